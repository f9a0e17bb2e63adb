//! The endpoints beside the client's own: legacy and federation downloads, what is forwarded each
//! time, preflights, and what isn't the Worker's business at all.

use test_support::http::Request;

use super::{
    BODY, GZIPPED, SIGNATURE, download_path, federation_path, legacy_path, media_domain, same_host,
    to_host,
};
use crate::origin::{Media, Reply};
use crate::worlds::{Ask, MEDIA_HOST, World};

pub(super) fn play(world: &mut World<'_>) {
    world.turn_to("endpoints");
    {
        let mut homeserver = world.origin.homeserver();
        for id in ["old", "old2"] {
            homeserver.add(id, Media::new(BODY).legacy());
        }
        homeserver.add("new", Media::new(BODY));
    }
    legacy(world);
    federation(world);
    forwarded(world);
    preflights(world);
    unrecognized(world);
    passthrough(world);
    refused(world);
}

fn legacy(world: &mut World<'_>) {
    let get = |target: &str| media_domain("GET", target);
    let key = super::content_key("old");
    world.fill("legacy v3", get(&legacy_path("old")), &key);
    world.ask("legacy r0", get("/_matrix/media/r0/download/example.com/old"));
    let with_token = get(&legacy_path("old")).bearer("syt_alice");
    world.ask("legacy with a token", with_token);
    let local = format!("{}?allow_remote=false", legacy_path("old"));
    world.ask("legacy ?allow_remote=false", get(&local));
    world.ask("legacy, of what needs a token", get(&legacy_path("new")));
    let thumbnail = "/_matrix/media/v3/thumbnail/example.com/old2?width=32&height=32";
    world.ask("a legacy thumbnail", get(thumbnail));
}

fn federation(world: &mut World<'_>) {
    let signed =
        |method: &str, target: &str| same_host(method, target).header("Authorization", SIGNATURE);
    let path = federation_path("new");
    let key = "v2/example.com/federation/new/content";
    world.fill("federation", signed("GET", &path), key);
    world.ask("federation from the PoP", signed("GET", &path));
    world.ask("federation from memory", signed("GET", &path));
    world.ask("federation HEAD", signed("HEAD", &path));
    for query in ["timeout_ms=20000", "b=2&a=~!$()"] {
        world.ask(&format!("federation ?{query}"), signed("GET", &format!("{path}?{query}")));
    }
    world.ask("federation without a signature", same_host("GET", &path));
    let range = signed("GET", &path).header("Range", "bytes=0-9").header("If-None-Match", "*");
    world.ask("federation with a range and a condition", range);
    let thumbnail = "/_matrix/federation/v1/media/thumbnail/new?width=32&height=32&method=crop";
    world.ask("a federation thumbnail", signed("GET", thumbnail));
    let moved = federation_path("moved");
    world.origin.on(&moved, Reply::redirect(307, "https://cdn.example.com/moved"));
    world.ask("federation, redirected", signed("GET", &moved));
}

fn forwarded(world: &mut World<'_>) {
    let get = |target: &str| media_domain("GET", target).bearer("syt_alice");
    let preview = "/_matrix/client/v1/media/preview_url?url=https%3A%2F%2Fexample.org%2F";
    world.ask("preview_url", get(preview));
    world.ask("legacy config", get("/_matrix/media/v3/config"));
    for prefix in [
        "/_matrix/client/unstable/org.matrix.msc3916/media/download/example.com/new",
        "/_matrix/federation/unstable/org.matrix.msc3916.v2/media/download/new",
        "/_matrix/client/v1/media/future/thing",
    ] {
        world.origin.on(prefix, Reply::media(BODY).header("ETag", "1"));
        world.ask(prefix, get(prefix));
    }
    let post = get("/_matrix/client/v1/media/future/thing").header("Cookie", "a=b");
    let post = post.header("X-Anything", "1").header("If-None-Match", "\"x\"");
    world.ask("which headers an endpoint gets", post.header("Origin", "https://app.example.com"));
}

fn preflights(world: &mut World<'_>) {
    let preflight = |request: Request| {
        let request = request.header("Origin", "https://app.example.com");
        let request = request.header("Access-Control-Request-Method", "GET");
        request.header("Access-Control-Request-Headers", "authorization, range")
    };
    for path in [
        &*download_path("new"),
        &*legacy_path("old"),
        &*federation_path("new"),
        "/_matrix/media/v3/upload",
        "/_edge/purge",
        "/_matrix/client/versions",
    ] {
        let request = preflight(media_domain("OPTIONS", path));
        world.ask(&format!("preflight {path}"), request);
    }
    let elsewhere = preflight(same_host("OPTIONS", "/_matrix/client/versions"));
    world.ask("preflight at the homeserver's host", elsewhere);
}

fn unrecognized(world: &mut World<'_>) {
    for (method, path) in [
        ("GET", "/_matrix/client/versions"),
        ("POST", "/_matrix/client/v3/login"),
        ("GET", "/_edge/nothing"),
    ] {
        let request = media_domain(method, path).header("Content-Length", "0");
        world.ask(&format!("unrecognized {method} {path}"), request);
    }
}

fn passthrough(world: &mut World<'_>) {
    let path = "/_matrix/client/v3/anything";
    let reply = Reply::new(200)
        .header("Set-Cookie", "a=1")
        .header("Set-Cookie", "b=2; Path=/")
        .header("Cache-Control", "public, max-age=600")
        .header("ETag", "\"theirs\"")
        .header("Vary", "Cookie")
        .header("Server", "Synapse")
        .header("Content-Type", "application/json");
    world.origin.on(path, reply.body("{}"));
    let get = same_host("GET", path).header("Cookie", "a=1").header("If-None-Match", "\"x\"");
    let get = get.header("X-Dup", "1").header("X-Dup", "2").header("X-Forwarded-For", "1.1.1.1");
    let get =
        get.header("Connection", "keep-alive, X-Hop").header("X-Hop", "1").header("TE", "trailers");
    world.ask("passthrough GET", get.header("Forwarded", "for=1.1.1.1"));
    world.ask("passthrough HEAD", same_host("HEAD", path));
    world.ask("passthrough GET with a body", same_host("GET", path).body("{}"));
    for method in ["POST", "PROPFIND"] {
        world.ask(&format!("passthrough {method}"), same_host(method, path).body(BODY));
    }
    world.ask("passthrough in chunks", same_host("POST", path).chunked(BODY));
    let target = "/_matrix/client/v3/rooms/%21a:example.com/x%2Fy?filter={%22a%22:1}&b=%20+~";
    world.ask("passthrough of a raw target", same_host("GET", target));
    world.ask("passthrough at an unknown host", to_host("other.example", "GET", path));
    let front = world.edge.address.clone();
    world.play(Ask::new("passthrough by the front", same_host("GET", path)).at(&front));
    let gzip = Reply::new(200).header("Content-Type", "application/json");
    world.origin.on("/gzip", gzip.header("Content-Encoding", "gzip").body(GZIPPED));
    let request = same_host("GET", "/gzip").header("Accept-Encoding", "gzip");
    world.ask("passthrough of a gzipped answer", request);
    world.origin.on("/down", crate::origin::Script::HangUp);
    world.ask("passthrough to an origin that hangs up", same_host("GET", "/down"));
    world.ask(
        "passthrough of POST to an origin that hangs up",
        same_host("POST", "/down").body("{}"),
    );
}

fn refused(world: &mut World<'_>) {
    let looped = same_host("GET", "/").header("X-Matrix-Media-Edge", "other.example, example.com");
    world.ask("a request that was here before", looped);
    for host in ["media.example.com.", "MEDIA.example.com:443", "media.example.com:8443"] {
        let request = to_host(host, "GET", "/_matrix/client/versions");
        world.ask(&format!("Host: {host}"), request);
    }
    let request = to_host(MEDIA_HOST, "GET", "/_matrix/client/v1/media/download/%ff");
    world.ask("a path that is no UTF-8", request);
}
