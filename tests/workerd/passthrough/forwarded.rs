//! Requests that the edge passes on: signed ones to the byte, `config`, `preview_url`, and the
//! unstable prefixes. Nothing of them is stored, and the origin's word stands.

use test_support::assertions::{assert_cache_status, assert_matrix_error};

use crate::support::origin::Reply;
use crate::support::world::{BODY, download, media_domain, same_host, shared};

const SIGNATURE: &str =
    r#"X-Matrix origin="other.example",destination="example.com",key="ed25519:1",sig="c2ln""#;

#[test]
fn a_federation_request_arrives_as_it_was_signed() {
    let world = shared();
    for query in
        ["?timeout_ms=20000", "?timeout_ms=%32%30000", "?b=2&a=1&&=", "?", "", "?a=~!$()*,;:@/?[]|"]
    {
        for method in ["GET", "HEAD"] {
            let id = world.media();
            let path = format!("/_matrix/federation/v1/media/download/{id}");
            let target = format!("{path}{query}");
            let request = same_host(method, &target).header("Authorization", SIGNATURE);
            let answer = request.send(&world.edge.direct_address);
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            let asked = world.origin.asked_once(&path);
            assert_eq!((asked.head.method.as_str(), &asked.head.target), (method, &target));
            assert_eq!(asked.header("authorization"), Some(SIGNATURE));
            assert_eq!(asked.header("if-none-match"), None);
        }
    }
}

/// `fetch` would percent-encode these, and the signature would be over something else.
#[test]
fn a_federation_request_that_would_not_arrive_as_signed_is_refused() {
    let world = shared();
    let id = world.media();
    let path = format!("/_matrix/federation/v1/media/download/{id}");
    for query in ["?a='", "?a=\"", "?a=<", "?a=é"] {
        let request = same_host("GET", format!("{path}{query}"));
        let answer = request.header("Authorization", SIGNATURE).send(&world.edge.direct_address);
        // What is no URI is refused by the runtime, before the Worker.
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert_eq!(world.origin.asked(&path).len(), 0);
    }
    let request = same_host("GET", format!("{path}?a='")).header("Authorization", SIGNATURE);
    assert_matrix_error(&request.send(&world.edge.direct_address), 400, "M_INVALID_PARAM");
}

#[test]
fn unsigned_federation_requests_are_refused_by_the_origin() {
    let world = shared();
    let id = world.stored_media();
    let path = format!("/_matrix/federation/v1/media/download/{id}");
    let answer = same_host("GET", &path).bearer(&world.token()).send(&world.edge.address);
    assert_matrix_error(&answer, 401, "M_UNAUTHORIZED");
}

#[test]
fn config_and_previews_are_asked_for_every_time_by_each_user() {
    let world = shared();
    for target in [
        "/_matrix/client/v1/media/config",
        "/_matrix/media/v3/config",
        "/_matrix/client/v1/media/preview_url?url=https%3A%2F%2Fexample.org%2F%3Fa%3Db&ts=1",
        "/_matrix/media/v3/preview_url?url=x",
    ] {
        let path = target.split('?').next().expect("a path");
        world.origin.forget(path);
        let get = |token: &str| media_domain("GET", target).bearer(token).send(&world.edge.address);
        for _ in 0..2 {
            let answer = get(&world.token());
            assert_eq!(answer.status, 200, "{target}");
            assert_cache_status(&answer, "fwd=bypass; fwd-status=200; detail=endpoint");
        }
        assert_matrix_error(&get("syt_nobody"), 401, "M_UNKNOWN_TOKEN");
        let asked = world.origin.asked(path);
        assert_eq!(asked.len(), 3, "{target}");
        assert!(asked.iter().all(|record| record.head.target == target));
    }
}

#[test]
fn an_unstable_prefix_is_forwarded() {
    let world = shared();
    for (method, path) in [
        ("GET", "/_matrix/client/unstable/org.matrix.msc3916/media/download/example.com/a"),
        ("GET", "/_matrix/client/unstable/org.matrix.msc3916/media/config"),
        ("GET", "/_matrix/federation/unstable/org.matrix.msc3916.v2/media/download/a"),
        ("GET", "/_matrix/federation/unstable/org.matrix.msc3916/media/thumbnail/example.com/a"),
        ("POST", "/_matrix/media/unstable/fi.mau.msc2246/create"),
        ("PUT", "/_matrix/media/unstable/fi.mau.msc2246/upload/example.com/a"),
    ] {
        let request = media_domain(method, path).bearer(&world.token());
        let request = if method == "GET" { request } else { request.body("{}") };
        let answer = request.send(&world.edge.address);
        assert_matrix_error(&answer, 404, "M_UNRECOGNIZED");
        world.origin.asked_once(path);
    }
}

#[test]
fn an_unstable_download_that_the_origin_knows_is_passed_on() {
    let world = shared();
    let path = "/_matrix/client/unstable/org.matrix.msc3916/media/download/example.com/known";
    world.origin.reply(path, Reply::new(200).header("ETag", "1").body(BODY));
    for _ in 0..2 {
        let answer = media_domain("GET", path).bearer(&world.token()).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    }
    assert_eq!(world.origin.asked(path).len(), 2);
}

#[test]
fn an_unsupported_method_is_refused_by_the_origin() {
    let world = shared();
    let id = world.stored_media();
    let path = crate::support::world::download_path(&id);
    for method in ["DELETE", "PATCH"] {
        world.origin.forget(&path);
        let answer = media_domain(method, &path).bearer(&world.token()).body("");
        assert_matrix_error(&answer.send(&world.edge.address), 404, "M_UNRECOGNIZED");
        assert_eq!(world.origin.asked_once(&path).head.method, method);
    }
    assert_eq!(download(&id, &world.token()).send(&world.edge.address).body, BODY);
}
