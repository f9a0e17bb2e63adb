//! Preflights, and what the edge says when it can't do what it is asked.

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::http::Answer;
use test_support::profile::Profile;

use crate::support::origin::{Origin, Reply, Then};
use crate::support::world::{
    BODY, World, download, download_path, media_domain, same_host, shared, start_edge,
};

#[test]
fn preflights_are_answered_without_the_origin() {
    let world = shared();
    for path in [
        "/_matrix/client/v1/media/download/example.com/preflight",
        "/_matrix/client/v1/media/preflight",
        "/_matrix/media/v3/upload/preflight",
        "/_matrix/media/unstable/preflight",
        "/_matrix/federation/v1/media/download/preflight",
    ] {
        let request = media_domain("OPTIONS", path)
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", "GET")
            .header("Access-Control-Request-Headers", "authorization,range");
        let answer = request.send(&world.edge.address);
        assert_preflight(&answer);
        assert_eq!(world.origin.asked(path).len(), 0, "{path}");
    }
    assert_preflight(&media_domain("OPTIONS", "/anything").send(&world.edge.address));
    for path in ["/.well-known/matrix/client", "/.well-known/matrix/server"] {
        assert_preflight(&same_host("OPTIONS", path).send(&world.edge.address));
    }
}

#[track_caller]
fn assert_preflight(answer: &Answer) {
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS"] {
        assert!(answer.headers.has_member("access-control-allow-methods", method), "{method}");
    }
    for name in ["Authorization", "Content-Type", "X-Requested-With", "Range", "If-None-Match"] {
        assert!(answer.headers.has_member("access-control-allow-headers", name), "{name}");
    }
    let max_age = answer.header("access-control-max-age").and_then(|age| age.parse().ok());
    assert!(max_age.is_some_and(|age: u32| age >= 600), "{max_age:?}");
}

#[test]
fn a_preflight_of_what_passes_through_is_answered_by_the_homeserver() {
    let world = shared();
    let path = "/_matrix/client/v3/preflight";
    world.origin.reply(path, Reply::new(204).header("Access-Control-Max-Age", "77"));
    let answer = same_host("OPTIONS", path).send(&world.edge.address);
    assert_eq!((answer.status, answer.header("access-control-max-age")), (204, Some("77")));
    world.origin.asked_once(path);
}

#[test]
fn an_origin_that_refuses_connections_is_a_502() {
    let world = World::start();
    let (stored, token) = (world.stored_media(), world.token());
    world.origin.stop();
    for request in [
        download(&stored, &token),
        download("unknown", &token),
        media_domain("GET", "/_matrix/media/v3/download/example.com/a"),
        media_domain("GET", "/_matrix/federation/v1/media/download/a"),
        media_domain("GET", "/_matrix/client/v1/media/config").bearer(&token),
        media_domain("POST", "/_matrix/media/v3/upload").bearer(&token).body(BODY),
    ] {
        let answer = request.send(&world.edge.address);
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
        assert!(answer.text().contains("homeserver"), "{}", answer.text());
    }
}

/// Cloudflare's page about it passes as any answer does.
#[test]
fn a_passthrough_request_reports_a_refused_connection() {
    let world = World::start();
    world.origin.stop();
    for request in [
        same_host("GET", "/_matrix/client/versions"),
        same_host("POST", "/_matrix/client/v3/login").body("{}"),
    ] {
        let answer = request.send(&world.edge.address);
        match Profile::current() {
            Profile::Cloudflare => {
                assert_eq!(answer.status, 521);
                assert_eq!(answer.header("content-type"), Some("text/html; charset=UTF-8"));
            }
            Profile::Plain => {
                assert_matrix_error(&answer, 502, "M_UNKNOWN");
                assert!(answer.text().contains("homeserver"), "{}", answer.text());
            }
        }
    }
}

#[test]
fn an_unreachable_origin_reveals_nothing_of_what_is_stored() {
    let world = World::start();
    let (stored, token) = (world.stored_media(), world.token());
    world.origin.stop();
    for id in [stored.as_str(), "unknown"] {
        let answer = download(id, &token).send(&world.edge.address);
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
        for name in ["cache-status", "server-timing"] {
            assert_eq!(answer.header(name), None, "{id}: {name}");
        }
    }
}

#[test]
fn a_forwarded_request_without_an_answer_says_so_in_cache_status() {
    let world = World::start();
    let token = world.token();
    world.origin.stop();
    let answer = media_domain("GET", "/_matrix/client/v1/media/config").bearer(&token);
    let answer = answer.send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
    assert_cache_status(&answer, "fwd=bypass; detail=endpoint");
}

#[test]
fn an_origin_that_speaks_no_http_is_a_502() {
    let world = shared();
    let token = world.token();
    for (i, bytes) in [
        &b""[..],
        b"HTTP/1.1",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50",
    ]
    .into_iter()
    .enumerate()
    {
        for then in [Then::Close, Then::Reset] {
            let id = format!("nonsense{i}{then:?}");
            world.origin.on(&download_path(&id), move |call| {
                call.receive()?;
                call.send(bytes)?;
                Ok(then)
            });
            let answer = download(&id, &token).send(&world.edge.address);
            assert_matrix_error(&answer, 502, "M_UNKNOWN");
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }
}

#[test]
fn errors_of_the_origin_stay_its_own() {
    let world = shared();
    let id = "teapot";
    let reply = Reply::error(429, "M_LIMIT_EXCEEDED", "Slow down").header("Retry-After", "3");
    world.origin.reply(&download_path(id), reply);
    let answer = download(id, &world.token()).send(&world.edge.address);
    assert_matrix_error(&answer, 429, "M_LIMIT_EXCEEDED");
    assert_eq!(answer.header("retry-after"), Some("3"));
}

#[test]
fn an_error_to_head_has_no_body() {
    let world = shared();
    let path = download_path("nothing");
    let answer = media_domain("HEAD", path).bearer("syt_nobody").send(&world.edge.address);
    assert_eq!((answer.status, answer.body.len()), (401, 0));
    let answer = media_domain("HEAD", "/nothing/here").send(&world.edge.address);
    assert_eq!((answer.status, answer.body.len()), (404, 0));
}

/// An edge whose homeserver is the edge itself: it must end at the first return.
#[test]
fn an_edge_before_itself_is_a_508() {
    let relay = Origin::start();
    let edge = start_edge(&relay.url(), &[]);
    for path in [download_path("loop"), "/_matrix/client/versions".to_owned()] {
        relay.on(&path, {
            let (address, path) = (edge.address.clone(), path.clone());
            move |call| {
                let mut again = same_host("GET", &path);
                for (name, value) in &call.head.headers.0 {
                    if !["host", "accept-encoding"].contains(&name.to_ascii_lowercase().as_str()) {
                        again = again.header(name, value);
                    }
                }
                let answer = again.try_send(&address)?;
                call.reply(&Reply::error(answer.status, &answer.errcode(), "as it came back"))
            }
        });
        let answer = same_host("GET", &path).bearer("t").send(&edge.address);
        assert_matrix_error(&answer, 508, "M_UNKNOWN");
        relay.asked_once(&path);
    }
}

#[test]
fn a_mark_of_another_edge_is_no_loop() {
    let world = shared();
    let request = download(&world.media(), &world.token());
    let answer = request.header("X-Matrix-Media-Edge", "other.example").send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
}
