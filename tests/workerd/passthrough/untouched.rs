//! What is not ours passes through untouched: a route that is too broad must not break a
//! homeserver.

use std::io::Read;
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};

use test_support::profile::Profile;
use test_support::time::wait_for;
use tungstenite::WebSocket;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;

use crate::support::origin::{Received, Reply, Then};
use crate::support::world::{BODY, HOMESERVER_HOST, PATIENCE, same_host, shared};

#[test]
fn any_method_passes_with_its_body() {
    let world = shared();
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let path = format!("/_matrix/client/v3/method/{method}");
        world.origin.reply(&path, Reply::new(418).header("X-Kept", "1").body("short"));
        let request = same_host(method, &path);
        let request = if method == "GET" { request } else { request.body(BODY) };
        let answer = request.send(&world.edge.address);
        assert_eq!((answer.status, answer.text().as_str()), (418, "short"), "{method}");
        assert_eq!(answer.header("x-kept"), Some("1"));
        let asked = world.origin.asked_once(&path);
        assert_eq!(asked.head.method, method);
        if method != "GET" {
            assert_eq!(asked.body, Received::whole(BODY), "{method}");
            assert_eq!(asked.header("content-length"), Some("256"), "{method}");
        }
    }
}

/// Some clients send `{}` with whatever they ask.
#[test]
fn a_read_passes_without_its_body() {
    let world = shared();
    for method in ["GET", "HEAD"] {
        for (framing, is_chunked) in [("length", false), ("chunks", true)] {
            let path = format!("/_matrix/client/v3/read/{method}/{framing}");
            world.origin.reply(&path, Reply::new(200).header("X-Kept", "1"));
            let request = same_host(method, &path).header("Content-Type", "application/json");
            let request = if is_chunked { request.chunked("{}") } else { request.body("{}") };
            let answer = request.send(&world.edge.address);
            assert_eq!((answer.status, answer.header("x-kept")), (200, Some("1")), "{path}");
            let asked = world.origin.asked_once(&path);
            assert_eq!(asked.body, Received::whole(b""), "{path}");
            for name in ["content-length", "transfer-encoding"] {
                assert_eq!(asked.header(name), None, "{path}");
            }
        }
    }
}

#[test]
fn a_head_request_stays_one() {
    let world = shared();
    let path = "/_matrix/client/v3/head";
    world.origin.reply(path, Reply::new(200).body(BODY));
    let answer = same_host("HEAD", path).send(&world.edge.address);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("256")));
    assert_eq!(world.origin.asked_once(path).head.method, "HEAD");
}

#[test]
fn a_target_passes_as_it_came() {
    let world = shared();
    for target in [
        "/_matrix/client/v3/rooms/%21a:example.com/send/m.room.message/%2F%2e%2e%2Fx",
        "/_matrix/client/v3/x?filter=%7B%22a%22:1%7D&b=%20+'",
        "//double//slashes",
        "/?",
        "/a%00b",
    ] {
        let path = target.split('?').next().expect("a path");
        world.origin.reply(path, Reply::new(200));
        let answer = same_host("GET", target).send(&world.edge.direct_address);
        assert_eq!(answer.status, 200, "{target}");
        let asked = world.origin.asked_once(path).head.target;
        assert_eq!(decoded(&asked), decoded(target), "{target}");
    }
}

/// `fetch` percent-encodes quotes in queries: another spelling of the same.
fn decoded(target: &str) -> String {
    target.replace("%22", "\"").replace("%27", "'")
}

#[test]
fn headers_of_both_sides_pass() {
    let world = shared();
    let path = "/_matrix/client/v3/headers";
    let reply = Reply::new(200)
        .header("Set-Cookie", "a=1")
        .header("Set-Cookie", "b=2; Path=/")
        .header("Cache-Control", "public, max-age=600")
        .header("ETag", "\"theirs\"")
        .header("Vary", "Cookie")
        .header("X-Anything", "caf\u{e9}")
        .header("Server", "Synapse");
    world.origin.reply(path, reply.body("{}"));
    let request = same_host("GET", path).header("Cookie", "a=1").header("If-None-Match", "\"x\"");
    let request = request.header("Range", "bytes=0-1").header("X-Dup", "1").header("X-Dup", "2");
    let answer = request.header("Authorization", "Basic YTpi").send(&world.edge.address);
    let mut cookies: Vec<_> = answer.headers.all("set-cookie").collect();
    let (vary, server) = match Profile::current() {
        Profile::Cloudflare => {
            let of_the_proxy = cookies.pop().unwrap_or_default();
            assert!(of_the_proxy.starts_with("__cf_bm="), "{of_the_proxy}");
            ("Cookie, Accept-Encoding", "cloudflare")
        }
        Profile::Plain => ("Cookie", "Synapse"),
    };
    assert_eq!(cookies, ["a=1", "b=2; Path=/"]);
    for (name, value) in [
        ("cache-control", "public, max-age=600"),
        ("etag", "\"theirs\""),
        ("vary", vary),
        ("server", server),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(answer.header("access-control-allow-origin"), None, "theirs to say");
    assert_eq!(answer.header("cache-status"), None, "no cache was asked");

    let asked = world.origin.asked_once(path);
    for (name, value) in [
        ("cookie", "a=1"),
        ("if-none-match", "\"x\""),
        ("range", "bytes=0-1"),
        ("authorization", "Basic YTpi"),
    ] {
        assert_eq!(asked.header(name), Some(value), "{name}");
    }
    assert_eq!(asked.head.headers.all("x-dup").collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn partial_answers_not_modified_and_redirects_pass() {
    let world = shared();
    let replies = [
        (206, Reply::new(206).header("Content-Range", "bytes 0-1/9").body("ab")),
        (304, Reply::new(304).header("ETag", "\"x\"")),
        (302, Reply::new(302).header("Location", "/elsewhere?a=%2F")),
        (204, Reply::new(204)),
        (401, Reply::error(401, "M_UNKNOWN_TOKEN", "No")),
        (500, Reply::new(500).body("<h1>oops</h1>")),
    ];
    for (status, reply) in replies {
        let path = format!("/_matrix/client/v3/status/{status}");
        world.origin.reply(&path, reply);
        let direct = same_host("GET", &path).send(&world.origin.address);
        let answer = same_host("GET", &path).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body), (status, &direct.body));
        for name in ["content-range", "location", "etag"] {
            assert_eq!(answer.header(name), direct.header(name), "{status}: {name}");
        }
    }
    assert_eq!(world.origin.asked("/elsewhere").len(), 0, "a redirect was followed");
}

#[test]
fn passthrough_answers_are_not_stored() {
    let world = shared();
    let path = "/_matrix/client/versions";
    world.origin.reply(path, Reply::new(200).header("Cache-Control", "public, max-age=600"));
    for _ in 0..3 {
        assert_eq!(same_host("GET", path).send(&world.edge.address).status, 200);
    }
    assert_eq!(world.origin.asked(path).len(), 3);
}

#[test]
fn an_encoded_body_passes_as_it_is() {
    let world = shared();
    let path = "/_matrix/client/v3/encoded";
    world.origin.reply(path, Reply::new(200).header("Content-Encoding", "gzip").body(GZIPPED));
    let request = same_host("GET", path).header("Accept-Encoding", "gzip");
    let answer = request.send(&world.edge.address);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.body, GZIPPED);
}

/// `{"a":1}`, gzipped.
const GZIPPED: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x4a, 0x54, 0xb2, 0x32,
    0xac, 0x05, 0x00, 0xaf, 0xac, 0x1b, 0x56, 0x07, 0x00, 0x00, 0x00,
];

#[test]
fn a_body_without_a_length_passes_in_both_directions() {
    let world = shared();
    let path = "/_matrix/client/v3/chunked";
    world.origin.reply(path, Reply::new(200).body(BODY).chunked());
    let answer = same_host("POST", path).chunked(BODY).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(world.origin.asked_once(path).body, Received::whole(BODY));
}

#[test]
fn an_answer_passes_while_it_is_written() {
    let world = shared();
    let path = "/_matrix/client/v3/events";
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    world.origin.on(path, move |call| {
        call.receive()?;
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst \r\n")?;
        let waited = may_go.lock().expect("unshared").recv_timeout(PATIENCE);
        assert!(waited.is_ok(), "the first chunk never reached the client");
        call.send("6\r\nsecond\r\n0\r\n\r\n")?;
        Ok(Then::KeepOpen)
    });
    let connection = same_host("GET", path).open(&world.edge.address);
    let mut incoming = connection.and_then(|c| c.answer()).expect("an answer");
    let mut first = [0; 6];
    incoming.body.read_exact(&mut first).expect("the first chunk");
    go.send(()).expect("the origin waits");
    assert_eq!(incoming.read().expect("the rest").text(), "second");
}

#[test]
fn a_web_socket_opens_and_carries_messages_both_ways() {
    let world = shared();
    let path = "/_matrix/client/unstable/socket";
    world.origin.on(path, |call| {
        let key = call.head.headers.get("sec-websocket-key").unwrap_or_default();
        call.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        ))?;
        let mut socket = WebSocket::from_raw_socket(call.stream()?, Role::Server, None);
        while let Ok(message) = socket.read() {
            if message.is_text() && socket.send(message).is_err() {
                break;
            }
        }
        Ok(Then::Close)
    });
    let stream = TcpStream::connect(&world.edge.address).expect("a connection");
    let url = format!("ws://{HOMESERVER_HOST}{path}");
    let (mut socket, answer) = tungstenite::client(url, stream).expect("a web socket");
    assert_eq!(answer.status(), 101);
    for text in ["one", "two"] {
        socket.send(text.into()).expect("it is open");
        assert_eq!(socket.read().expect("an echo"), text.into());
    }
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let world = shared();
    let path = "/_matrix/client/v3/sync";
    let (left, has_left) = mpsc::channel();
    world.origin.on(path, move |call| {
        let then = call.wait_for_end();
        // The test may have ended already.
        let _ = left.send(());
        then
    });
    let connection = same_host("GET", path).open(&world.edge.address).expect("a connection");
    wait_for("the origin is asked", PATIENCE, || world.origin.asked(path).pop());
    connection.reset();
    has_left.recv_timeout(PATIENCE).expect("the origin still works for a client that is gone");
}
