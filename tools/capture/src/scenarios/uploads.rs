//! Uploads: refused early or streamed through, and read by the Worker itself before anyone else.

use test_support::http::Request;

use super::{BODY, content_key, download, media_domain, same_host};
use crate::origin::{Reply, Script};
use crate::worlds::World;

const UPLOAD: &str = "/_matrix/media/v3/upload?filename=a%20b.png";

const CONFIG: &str = "/_matrix/client/v1/media/config";

/// Plays through a world of `MAX_UPLOAD_BYTES=1000`.
pub(super) fn play(world: &mut World<'_>) {
    world.turn_to("uploads");
    new(world);
    in_two_steps(world);
    refused(world);
    limits(world);
}

fn post(target: &str) -> Request {
    media_domain("POST", target).bearer("syt_alice").header("Content-Type", "image/png")
}

fn new(world: &mut World<'_>) {
    let key = content_key("uploaded1");
    world.fill("an upload is read at once", post(UPLOAD).body(BODY), &key);
    world.ask("its first reader", download("uploaded1", "syt_bob"));
    let in_query = "/_matrix/media/r0/upload?access_token=syt_alice";
    let request = same_host("POST", in_query).body(BODY).header("Content-Encoding", "aes");
    world.fill("a token in the query", request, &content_key("uploaded2"));
    world.ask("an empty upload", post(UPLOAD).body(""));
    let request = post("/_matrix/media/v1/upload").header("Expect", "100-continue").body(BODY);
    world.fill("an upload that waits to be asked for", request, &content_key("uploaded4"));
}

fn in_two_steps(world: &mut World<'_>) {
    let create = "/_matrix/media/v1/create";
    world.ask("create", same_host("POST", create).bearer("syt_alice").body("{}"));
    world.ask("create without a body", post(create).header("Content-Length", "0"));
    let put = |path: &str| media_domain("PUT", path).bearer("syt_alice").body(BODY);
    let path = "/_matrix/media/v3/upload/example.com/created5";
    world.fill("PUT", put(path), &content_key("created5"));
    world.ask("PUT once more", put(path));
    world.ask("its first reader", download("created5", "syt_bob"));
    world.ask(
        "PUT to an unstable path",
        put("/_matrix/media/unstable/fi.mau.msc2246/upload/example.com/x"),
    );
}

fn refused(world: &mut World<'_>) {
    world.ask("without a length", post(UPLOAD).chunked(BODY));
    world.ask("over the limit", post(UPLOAD).body(vec![7; 1001]));
    world.ask("without a token", media_domain("POST", UPLOAD).body(BODY));
    let too_large = Reply::error(413, "M_TOO_LARGE", "Upload request body is too large");
    for (target, title, script) in [
        ("too-large", "a 413 of the origin's", too_large.into()),
        ("page", "a 413 page", Reply::page(413, "<h1>Too large</h1>").into()),
        ("bodiless", "an answer without a body", Reply::new(415).into()),
        ("odd", "an answer that names no media", Reply::new(200).body("{}").into()),
        ("down", "an origin that hangs up", Script::HangUp),
    ] {
        let target = format!("/_matrix/media/v3/upload?filename={target}");
        world.origin.on(&target, script);
        world.ask(title, post(&target).body(BODY));
    }
}

fn limits(world: &mut World<'_>) {
    let config = |query: &str| media_domain("GET", &format!("{CONFIG}{query}"));
    world.ask("config is lowered", config("").bearer("syt_alice"));
    world.ask("config without a token", config(""));
    let json = |text: &str| Reply::new(200).header("Content-Type", "application/json").body(text);
    let spaced = "{ \"b\" : 1e400,\n\t\"m.upload.size\" : 50000000 , \"é\\u0041\":[{}, -0.0 ] }\n";
    for (query, title, reply) in [
        ("?spaced", "all else stays to the byte", json(spaced)),
        ("?none", "a limit is added", json("{}")),
        ("?lower", "config with a lower limit", json(r#"{"m.upload.size":100}"#)),
    ] {
        world.origin.on(&format!("{CONFIG}{query}"), reply);
        world.ask(title, config(query).bearer("syt_alice"));
    }
    world.ask("over the limit that this user was told", post(UPLOAD).body(vec![7; 101]));
    let other = media_domain("POST", UPLOAD).bearer("syt_bob").body(vec![7; 101]);
    world.fill("under the limit of another user", other, &content_key("uploaded7"));
}
