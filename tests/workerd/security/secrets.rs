//! Nothing that the log or a data point tells is anyone's secret, name or address, nor any text
//! that came from outside.

use serde_json::json;
use test_support::edge::{BucketKind, Layout, Metrics};
use test_support::http::Request;
use test_support::time::wait_for;

use crate::support::origin::{Reply, Then};
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, federation_path, legacy_download, media_domain,
    same_host,
};

/// In all that is secret here, and in nothing else.
const MARK: &str = "mArK";

/// Where readers are, by their own word and by the platform's.
const ADDRESS: &str = "203.0.113.77";
const OTHER_ADDRESS: &str = "2001:db8::77";

const ADMIN_TOKEN: &str = "admin-mArK-0123456789";
const SYNAPSE_ADMIN_TOKEN: &str = "synapse-mArK-0123456789";
const ORIGIN_HEADERS: &str = r#"{"X-Tunnel":"tunnel-mArK"}"#;

fn start() -> World {
    let layout = Layout { metrics: Metrics::Told, bucket: BucketKind::Faulty, ..Layout::default() };
    let vars = [
        ("ADMIN_TOKEN", ADMIN_TOKEN),
        ("SYNAPSE_ADMIN_TOKEN", SYNAPSE_ADMIN_TOKEN),
        ("ORIGIN_HEADERS", ORIGIN_HEADERS),
        ("STALE_IF_ERROR_SECONDS", "600"),
    ];
    World::start_as(layout, &vars)
}

/// A request of someone who can be known by what they send.
fn by_someone(request: Request) -> Request {
    request
        .header("X-Forwarded-For", ADDRESS)
        .header("CF-Connecting-IP", ADDRESS)
        .header("X-Real-IP", OTHER_ADDRESS)
        .header("Cookie", "session=mArK")
        .header("User-Agent", "agent-mArK")
        .header("Referer", "https://app.example.com/#/room/!mArK:example.com")
}

fn send(world: &World, request: Request) {
    // Some are refused by the runtime itself, and some connections break.
    let _ = by_someone(request).try_send(&world.edge.direct_address);
}

/// Waits until all is logged, and claims that no line tells who or what it was about.
fn assert_nothing_told(world: &World) {
    let last = format!("\"status\":{}", 405);
    media_domain("PUT", "/").send(&world.edge.direct_address);
    wait_for("all is logged", PATIENCE, || world.edge.log().contains(&last).then_some(()));
    let log = world.edge.log();
    assert!(log.contains(r#""event":"request""#) && log.contains("POINT "), "{log}");
    for secret in [MARK, ADDRESS, OTHER_ADDRESS, "syt_", "_matrix", "@someone"] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(secret)).collect();
        assert!(lines.is_empty(), "{secret}: {lines:?}");
    }
}

#[test]
fn a_readers_data_is_never_logged() {
    let world = start();
    let token = format!("{}mArK", world.token());
    let (id, media) = (format!("id{MARK}"), world.legacy_media());
    world.origin.homeserver().alias(&id, &media);
    let known = world.token();
    for token in [&token, &known, "@someone:example.com", "mArK\u{e9}"] {
        for _ in 0..3 {
            send(&world, download(&id, token));
        }
        send(&world, media_domain("GET", format!("{}?access_token={token}", download_path(&id))));
        send(&world, download(&id, token).header("Range", "bytes=0-mArK"));
        send(&world, download(&id, token).header("If-None-Match", "\"mArK\""));
    }
    send(&world, legacy_download(&id));
    send(&world, media_domain("GET", format!("{}/name-mArK.png", download_path(&id))));
    let signed = "X-Matrix origin=\"mArK.example\",key=\"ed25519:1\",sig=\"mArK\"";
    let federated = media_domain("GET", federation_path(&id));
    send(&world, federated.header("Authorization", signed));
    let odd = "/_matrix/client/v1/media/download/mArK..example/%2e%2e%2fmArK?mArK=\\";
    send(&world, media_domain("GET", odd).bearer(&known));
    send(&world, Request::new("GET", "/mArK").header("Host", "mArK.example.com"));
    send(&world, same_host("GET", "/_matrix/client/v3/profile/@someone:example.com"));
    send(&world, same_host("mArK", "/mArK"));
    assert_nothing_told(&world);
}

#[test]
fn an_uploaders_data_is_never_logged() {
    let world = start();
    let token = world.token();
    let upload = |target: &str| media_domain("POST", target).bearer(&token);
    let named = "/_matrix/media/v3/upload?filename=name-mArK.png";
    send(&world, upload(named).header("Content-Type", "image/mArK").body(BODY));
    send(&world, upload(named).header("Content-Length", "999999999999"));
    send(&world, upload(named).chunked("x"));
    let put = media_domain("PUT", "/_matrix/media/v3/upload/example.com/mArK").bearer(&token);
    send(&world, put.body(BODY));
    let preview = "/_matrix/media/v3/preview_url?url=https://mArK.example.com/";
    send(&world, media_domain("GET", preview).bearer(&token));
    assert_nothing_told(&world);
}

#[test]
fn an_admins_data_is_never_logged() {
    let world = start();
    world.edge.stores.set_faults(&[("put", "fails"), ("list", "fails")]);
    for token in [ADMIN_TOKEN, "wrong-mArK"] {
        send(&world, media_domain("GET", "/_edge/status").bearer(token));
        send(&world, media_domain("POST", "/").body(format!("token={token}")));
        let purge = json!({ "mxc": "mxc://example.com/mArK" }).to_string();
        send(&world, media_domain("POST", "/_edge/purge").bearer(token).body(purge));
    }
    world.edge.run_scheduled();
    assert_nothing_told(&world);
}

#[test]
fn the_origins_texts_are_never_logged() {
    let world = start();
    let token = world.token();
    let paths: Vec<_> = (0..8).map(|n| download_path(&format!("mArK{n}"))).collect();
    let redirect = |location: &str| Reply::new(307).header("Location", location);
    for (path, reply) in paths.iter().zip([
        Reply::error(500, "M_mArK", "Token mArK of @someone:example.com is unknown"),
        Reply::error(401, "M_UNKNOWN_TOKEN", "mArK"),
        Reply::new(200).header("Content-Type", "mArK\u{e9}").header("ETag", "mArK").body(BODY),
        redirect("https://127.0.0.1:1/_matrix/mArK?signature=mArK"),
        redirect("https://127.0.0.1:99999/mArK"),
        redirect("https://exa mple.com/mArK"),
        redirect("https://[::mArK]/mArK"),
        redirect("https://%00mArK/"),
    ]) {
        world.origin.reply(path, reply);
        send(&world, media_domain("GET", path).bearer(&token));
    }
    let broken = download_path("broken-mArK");
    for then in [Then::Reset, Then::Close] {
        world.origin.on(&broken, move |call| {
            call.send("HTTP/1.1 200 mArK\r\nContent-Length: 9\r\nmArK\r\n")?;
            Ok(then)
        });
        send(&world, media_domain("GET", &broken).bearer(&token));
    }
    for document in ["/.well-known/matrix/client", "/.well-known/matrix/server"] {
        for reply in [redirect("https://[mArK/"), Reply::new(200).body("mArK")] {
            world.origin.reply(document, reply);
            send(&world, same_host("GET", document));
        }
    }
    assert_nothing_told(&world);
}
