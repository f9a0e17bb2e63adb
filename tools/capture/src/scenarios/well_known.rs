//! The well-known documents: the host's own, with the media server in them.

use serde_json::json;
use test_support::http::Request;

use super::{GZIPPED, same_host};
use crate::origin::{Reply, Script};
use crate::worlds::World;

const CLIENT: &str = "/.well-known/matrix/client";
const SERVER: &str = "/.well-known/matrix/server";

/// Plays through a world of default variables.
pub(super) fn play(world: &mut World<'_>) {
    world.turn_to("well-known");
    documents(world);
}

fn document(text: impl AsRef<[u8]>) -> Reply {
    Reply::new(200).header("Content-Type", "application/json").body(text)
}

fn get(path: &str) -> Request {
    same_host("GET", path)
}

fn documents(world: &mut World<'_>) {
    let text = "{\n  \"m.homeserver\": {\"base_url\": \"https://matrix.example.com\"},\n  \
                \"zz\": 12345678901234567890123456789.0e-1, \"é\": \"\\u00e9é\", \"dup\": 1, \"dup\": 2 }\n";
    world.origin.on(CLIENT, document(text));
    world.origin.on(SERVER, document(r#"{"m.server":"matrix.example.com:443"}"#));
    world.ask("the client's document", get(CLIENT));
    world.ask("the server's document", get(SERVER));
    world.ask("HEAD", same_host("HEAD", CLIENT));
    world.ask("POST", same_host("POST", CLIENT).body("{}"));
    world.ask("OPTIONS", same_host("OPTIONS", CLIENT));
    let request =
        get(CLIENT).bearer("syt_alice").header("Cookie", "a=b").header("Range", "bytes=0-0");
    world.ask("a client's headers and query", request.header("If-None-Match", "*"));
    world.origin.on(CLIENT, Reply::new(503));
    world.ask("a host in trouble is bridged", get(CLIENT));
    world.origin.on(SERVER, Script::HangUp);
    world.ask("a host that hangs up is bridged", get(SERVER));
    let own = json!({ "m.media_server": { "base_url": "https://own.example" } }).to_string();
    for (title, reply) in [
        ("a document with a media server of its own", document(own)),
        ("an empty document", document("{}")),
        ("no JSON object", document("[]")),
        ("a gzipped document", document(GZIPPED).header("Content-Encoding", "gzip")),
        ("a 404", Reply::error(404, "M_NOT_FOUND", "No")),
        ("a 503 after a 404", Reply::new(503).header("Content-Type", "text/plain").body("down")),
        ("a redirect", Reply::redirect(302, "/moved")),
        ("a redirect to itself", Reply::redirect(302, CLIENT)),
        ("a document that breaks off", document("{\"m.homeserver\":{}}").short()),
    ] {
        world.origin.on(CLIENT, reply);
        world.origin.on("/moved", document(r#"{"moved":true}"#));
        world.ask(title, get(CLIENT));
    }
    world.origin.on(SERVER, document("{}").header("Cache-Control", "no-store"));
    world.ask("a server's document that may not be stored", get(SERVER));
    world.origin.on(SERVER, document("{}").header("Cache-Control", "public, max-age=600"));
    world.ask("a document with a lifetime", get(SERVER));
    world.ask("a document within its lifetime", get(SERVER));
}

/// Plays through a world that makes documents, and announces the media server by its stable name.
pub(super) fn play_generated(world: &mut World<'_>) {
    world.turn_to("well-known, generated");
    for path in [CLIENT, SERVER] {
        world.origin.on(path, Reply::new(404));
        world.ask(&format!("{path} of a host that has none"), get(path));
    }
    world.origin.on(CLIENT, document(r#"{"m.homeserver":{"base_url":"https://own.example"}}"#));
    world.ask("a document that is there", get(CLIENT));
    world.origin.on(SERVER, Reply::new(503));
    world.ask("a host that is down", get(SERVER));
}

/// Plays through a world whose documents are the other server's.
pub(super) fn play_of_website(world: &mut World<'_>) {
    world.turn_to("well-known, of a website");
    world.other.on(CLIENT, document("{}"));
    world.ask("the client's document", get(CLIENT));
    world.ask("another document of the website's", get("/.well-known/matrix/support"));
    world.ask("the homeserver gets its headers", get("/_matrix/client/versions"));
}
