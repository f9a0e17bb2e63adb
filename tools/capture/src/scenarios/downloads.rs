//! Downloads in strict mode: whose credential opens what, and how a request may spell it.

use super::{BODY, content_key, download, download_path, media_domain, same_host};
use crate::origin::Media;
use crate::worlds::World;

pub(super) fn play(world: &mut World<'_>) {
    world.turn_to("downloads");
    {
        let mut homeserver = world.origin.homeserver();
        homeserver.add("cat", Media::new(BODY));
        homeserver.add("dog", Media::new(BODY));
        homeserver.add("named", Media::new(BODY).named("own.png"));
        homeserver.add_of("example.org:8448", "remote", Media::new(BODY));
    }
    store_and_read(world);
    credentials(world);
    names(world);
    parameters(world);
    spellings(world);
}

fn store_and_read(world: &mut World<'_>) {
    world.fill("a miss is stored", download("cat", "syt_alice"), &content_key("cat"));
    world.ask("the first hit comes from the PoP", download("cat", "syt_alice"));
    world.ask("the second hit comes from memory", download("cat", "syt_alice"));
    let request = same_host("GET", &download_path("cat")).bearer("syt_alice");
    world.ask("the homeserver's own host serves it too", request);
    let head = |id| media_domain("HEAD", &download_path(id)).bearer("syt_alice");
    world.ask("HEAD of what is stored", head("cat"));
    world.ask("HEAD of what is not", head("dog"));
}

fn credentials(world: &mut World<'_>) {
    let path = download_path("cat");
    let in_query = |token: &str| media_domain("GET", &format!("{path}?access_token={token}"));
    let with = |value: &str| media_domain("GET", &path).header("Authorization", value);
    world.ask("a token in the query", in_query("syt_alice"));
    let both = in_query("syt_alice").bearer("syt_alice");
    world.ask("a token in header and query", both);
    world.ask("no token", media_domain("GET", &path));
    world.ask("an unknown token", download("cat", "syt_nobody"));
    world.ask("another scheme", with("Basic YTpi"));
    world.ask("a scheme in lower case", with("bearer syt_alice"));
}

fn names(world: &mut World<'_>) {
    let named = |id: &str, name: &str| {
        media_domain("GET", &format!("{}/{name}", download_path(id))).bearer("syt_alice")
    };
    world.ask("a file name", named("cat", "cat.png"));
    world.ask("a file name in UTF-8", named("cat", "caf%C3%A9%20%F0%9F%90%88.png"));
    world.ask("a file name with a slash", named("cat", "a%2Fb"));
    world.ask("a file name with a line break", named("cat", "a%0D%0ASet-Cookie:%20x"));
    world.ask("a file name that hides a dot segment", named("cat", "..%2f..%2fx"));
    let key = content_key("named");
    world.fill("the upload's own name", download("named", "syt_alice"), &key);
    world.ask("another name than the upload's", named("named", "other.png"));
}

fn parameters(world: &mut World<'_>) {
    for query in [
        "allow_redirect=true",
        "allow_redirect=false",
        "timeout_ms=5000",
        "user_id=@b:example.com",
        "admin_unsafely_bypass_quarantine=true",
        "unknown=1",
        "timeout_ms=1&timeout_ms=2",
        "timeout_ms=1;allow_redirect=true",
    ] {
        let target = format!("{}?{query}", download_path("cat"));
        world.ask(&format!("?{query}"), media_domain("GET", &target).bearer("syt_alice"));
    }
}

fn spellings(world: &mut World<'_>) {
    let at = |target: &str| media_domain("GET", target).bearer("syt_alice");
    let prefix = "/_matrix/client/v1/media/download";
    let remote = format!("{prefix}/example.org:8448/remote");
    let key = "v2/example.com/media/example.org/remote/example.org:8448/content";
    world.fill("media of another server", at(&remote), key);
    world.ask("the same with escapes", at(&format!("{prefix}/example.org%3A8448/%72emote")));
    world.ask("media that isn't there", at(&download_path("nothing")));
    world.ask(
        "a media ID outside the grammar",
        at(&format!("{prefix}/example.com/mxc:%2F%2Fa%2Fb")),
    );
    world.ask("a dot segment", at(&format!("{prefix}/../download/example.com/cat")));
    world.ask("a hidden dot segment", at(&format!("{prefix}/example.com/..%2fcat")));
    let post = media_domain("POST", &download_path("cat")).bearer("syt_alice").body("{}");
    world.ask("POST to a download", post);
}
