//! Requests within requests: every request that reaches the origin is one that the edge has read and
//! marked, whatever a client writes about where its own ends (RFC 9112 §6, §11.2).

use std::sync::LazyLock;

use test_support::http::{Incoming, Request};
use test_support::profile::Profile;

use crate::support::origin::{Origin, Received, Reply};
use crate::support::world::{World, download_path, federation_path, media_domain, same_host};

/// What would be a request of its own, if a body were read from another place on.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: matrix.example.com\r\n\r\n";
const HIDDEN_IN_READ: &str = "GET /hidden/in-read HTTP/1.1\r\nHost: matrix.example.com\r\n\r\n";

const NEXT: &str = "/_matrix/client/v3/next";

fn addresses(world: &World) -> [&str; 2] {
    [&world.edge.address, &world.edge.direct_address]
}

/// Sends bytes as they are, and takes whatever comes.
fn send_raw(request: &Request, body: &str, address: &str) -> Option<u16> {
    let mut connection = request.open(address).ok()?;
    // Whoever refuses early may also hang up early.
    let _ = connection.write(body.as_bytes());
    connection.answer().and_then(Incoming::read).ok().map(|answer| answer.status)
}

/// Claims that the edge has read all that the origin was asked, and that the next request works.
#[track_caller]
fn assert_all_read(world: &World, what: &str) {
    let next = same_host("GET", NEXT).send(&world.edge.address);
    assert_eq!((next.status, next.text().as_str()), (200, "passed"), "{what}");
    for asked in world.origin.records() {
        let mark = asked.header("x-matrix-media-edge");
        assert_eq!(mark, Some("example.com"), "{what}: {:?}", asked.head);
    }
}

fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| {
        let world = World::start();
        world.origin.reply(NEXT, Reply::new(200).body("passed"));
        world
    });
    &WORLD
}

/// A path that passes through, and that no other test asks for.
fn passing(name: &str) -> String {
    let path = format!("/_matrix/client/v3/passing/{name}");
    world().origin.reply(&path, Reply::new(200));
    path
}

#[test]
fn a_body_of_a_get_or_head_is_not_forwarded() {
    let world = world();
    let (id, token) = (world.stored_media(), world.token());
    for path in [
        download_path(&id),
        download_path(&world.media()),
        "/_matrix/client/v1/media/config".to_owned(),
        "/_matrix/client/v1/media/preview_url".to_owned(),
        federation_path(&id),
        passing("read"),
    ] {
        for address in addresses(world) {
            for method in ["GET", "HEAD"] {
                let request = same_host(method, &path).bearer(&token);
                send_raw(&request.clone().body(HIDDEN_IN_READ), HIDDEN_IN_READ, address);
                let chunk = format!("{:x}\r\n{HIDDEN_IN_READ}\r\n0\r\n\r\n", HIDDEN_IN_READ.len());
                send_raw(&request.chunked(""), &chunk, address);
                assert_all_read(world, &format!("{method} {path}"));
            }
        }
    }
    for asked in world.origin.records() {
        let is_read = ["GET", "HEAD"].contains(&asked.head.method.as_str());
        for name in ["content-length", "transfer-encoding"] {
            assert!(!is_read || asked.header(name).is_none(), "{:?}", asked.head);
        }
        assert_ne!(asked.head.target, "/hidden/in-read", "{:?}", asked.head);
    }
}

/// Each is a body that ends at once for one reader, and goes on for another.
#[test]
fn a_body_with_an_ambiguous_end_smuggles_no_request() {
    let world = world();
    let body = format!("0\r\n\r\n{HIDDEN}");
    let whole = body.len().to_string();
    let path = passing("twoWays");
    for (name, value) in [
        ("Transfer-Encoding", "chunked"),
        ("Transfer-Encoding", "\tchunked"),
        ("Transfer-Encoding", "Chunked"),
        ("Transfer-Encoding", "xchunked"),
        ("Transfer-Encoding", "chunked, identity"),
        ("Transfer-Encoding", "identity, chunked"),
        ("Transfer-Encoding", "gzip, chunked"),
        ("Transfer-Encoding", "chunked\r\nTransfer-Encoding: identity"),
        ("Transfer-Encoding", "\r\n chunked"),
        ("Transfer-Encoding", "\"chunked\""),
        ("Transfer-Encoding", "chunked;a=b"),
        ("Transfer-Encoding", "chunked\u{b}"),
        ("Transfer-Encoding ", "chunked"),
        (" Transfer-Encoding", "chunked"),
        ("X: y\nTransfer-Encoding", "chunked"),
        ("X: y\rTransfer-Encoding", "chunked"),
        ("Transfer_Encoding", "chunked"),
        ("Content-Length ", "5"),
        ("Content-Length", "\r\n 5"),
        ("Content_Length", "5"),
    ] {
        for length in [Some("5"), Some(whole.as_str()), None] {
            for method in ["POST", "PUT", "DELETE"] {
                let upload = media_domain(method, "/_matrix/media/v3/upload?hidden").bearer("t");
                for request in [same_host(method, &path), upload] {
                    let request = request.header(name, value);
                    let request = length.iter().fold(request, |r, l| r.header("Content-Length", l));
                    send_raw(&request, &body, &world.edge.direct_address);
                }
            }
        }
        assert_all_read(world, &format!("{name}: {value:?}"));
    }
}

#[test]
fn a_chunked_body_arrives_without_what_else_its_chunks_say() {
    let world = world();
    let path = passing("chunks");
    let request = same_host("POST", &path).header("Transfer-Encoding", "chunked");
    for end in ["0\r\n\r\n", "0\r\nX-Trailer: x\r\nContent-Length: 99\r\n\r\n"] {
        for address in addresses(world) {
            world.origin.forget(&path);
            assert_eq!(send_raw(&request, &format!("5\r\nhello\r\n{end}"), address), Some(200));
            let asked = world.origin.asked_once(&path);
            assert_eq!(asked.body, Received::whole(b"hello"));
            assert_eq!((asked.header("x-trailer"), asked.header("content-length")), (None, None));
        }
    }
}

/// A tunnel through the edge would be one that reads no requests any more.
#[test]
fn upgrades_to_other_protocols_than_web_sockets_are_not_forwarded() {
    let world = world();
    let path = passing("upgrade");
    for upgrade in ["h2c", "h2c, websocket", "TLS/1.0", "HTTP/2.0", "connect-udp"] {
        for address in addresses(world) {
            world.origin.forget(&path);
            let request = same_host("GET", &path)
                .header("Connection", "Upgrade, HTTP2-Settings")
                .header("Upgrade", upgrade)
                .header("HTTP2-Settings", "AAMAAABkAAQAAP__");
            let status = send_raw(&request, "", address);
            assert_ne!(status, Some(101), "{upgrade}");
            for asked in world.origin.asked(&path) {
                for name in ["upgrade", "http2-settings"] {
                    assert_eq!(asked.header(name), None, "{upgrade}: {name}");
                }
                // What the proxy says of its own connection.
                let connection = match Profile::current() {
                    Profile::Cloudflare => Some("close"),
                    Profile::Plain => None,
                };
                assert_eq!(asked.header("connection"), connection, "{upgrade}");
            }
        }
        assert_all_read(world, upgrade);
    }
}

#[test]
fn a_target_never_makes_the_edge_ask_another_server() {
    let world = world();
    let stranger = Origin::start();
    let address = &stranger.address;
    for (method, target) in [
        ("GET", format!("http://{address}/x")),
        ("GET", format!("//{address}/x")),
        ("GET", format!("/@{address}/x")),
        ("GET", format!("@{address}/x")),
        ("GET", format!(":80@{address}/x")),
        ("GET", format!(".{address}/x")),
        ("GET", format!("/http://{address}/x")),
        ("CONNECT", address.clone()),
        ("CONNECT", format!("/{address}")),
        ("OPTIONS", "*".to_owned()),
    ] {
        for request in [media_domain(method, &target), same_host(method, &target)] {
            for edge in addresses(world) {
                send_raw(&request, "", edge);
                send_raw(&request.clone().header("X-Forwarded-Host", address), "", edge);
                send_raw(&Request::new(method, &target).header("Host", address), "", edge);
            }
        }
        assert_all_read(world, &format!("{method} {target}"));
    }
    assert!(stranger.records().is_empty(), "{:?}", stranger.records());
}
