//! Homeservers that redirect to where the bytes are.

use super::{BODY, content_key, download, download_path, legacy_path, media_domain};
use crate::origin::Reply;
use crate::worlds::World;

/// Has the other server serve a blob. Returns where it is.
fn serve(world: &World<'_>) -> String {
    let blob = Reply::new(200).header("Content-Type", "image/png").header("ETag", "\"blob\"");
    world.other.on("/blob", blob.body(BODY));
    format!("{}/blob?signature=a%2Fb", world.other.url())
}

/// Plays through a world that follows redirects.
pub(super) fn play(world: &mut World<'_>) {
    world.turn_to("redirects");
    let to = serve(world);
    for (id, status) in [("moved", 307), ("moved308", 308)] {
        world.origin.on(&download_path(id), Reply::redirect(status, &to));
        let request = || {
            download(id, "syt_alice")
                .header("Cookie", "a=b")
                .header("Referer", "https://app.example.com/")
        };
        world.fill(&format!("a {status} is followed"), request(), &content_key(id));
        world.ask(&format!("a {status} to where it led before"), request());
        world.ask(&format!("a part behind a {status}"), request().header("Range", "bytes=8-15"));
    }
    let refusal = Reply::error(401, "M_UNKNOWN_TOKEN", "Invalid access token");
    world.origin.on(&download_path("moved"), refusal);
    world.ask("a refusal instead of a redirect", download("moved", "syt_nobody"));
    world.origin.on(&legacy_path("legacy"), Reply::redirect(307, &to));
    world.ask("a legacy redirect", media_domain("GET", &legacy_path("legacy")));
    world
        .origin
        .on("/blobs/relative", Reply::new(200).header("Content-Type", "image/png").body(BODY));
    let other = world.other.url();
    world.other.on("/round", Reply::redirect(307, &format!("{other}/round")));
    world.other.on("/gone", Reply::new(404).body("<Error/>"));
    world.other.on("/page", Reply::page(200, "<form>"));
    for (id, title, to) in [
        ("relative", "a relative location", "/blobs/relative?x=y".to_owned()),
        ("round", "a loop", format!("{other}/round")),
        ("gone", "a target that isn't there", format!("{other}/gone")),
        ("page", "a target that is a page", format!("{other}/page")),
        ("plain", "plain HTTP abroad", "http://example.org/a".to_owned()),
        ("scheme", "another scheme", "javascript:alert(1)".to_owned()),
    ] {
        world.origin.on(&download_path(id), Reply::redirect(307, &to));
        world.ask(title, download(id, "syt_alice"));
    }
    world.origin.on(&download_path("forbidden"), Reply::redirect(307, &serve(world)));
    let target = format!("{}?allow_redirect=false", download_path("forbidden"));
    world.ask(
        "a redirect that the client forbids",
        media_domain("GET", &target).bearer("syt_alice"),
    );
}

/// Plays through a world that passes redirects on.
pub(super) fn play_passed_on(world: &mut World<'_>) {
    world.turn_to("redirects, passed on");
    let to = serve(world);
    world.origin.on(&download_path("moved"), Reply::redirect(307, &to));
    world.ask("a redirect", download("moved", "syt_alice"));
    world.origin.on(&download_path("round"), Reply::redirect(302, "http://example.org/a"));
    world.ask("a 302", download("round", "syt_alice"));
}
