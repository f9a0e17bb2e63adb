//! Errors of media endpoints leave with `no-store`, whatever their sender says: browsers would remember
//! a 404 for as long as it is told to be kept (matrix-media-repo 218).

use test_support::http::{Answer, Request};

use super::servers::{DOORS, changed};
use crate::download::federation::signed;
use crate::support::origin::Reply;
use crate::support::world::{
    World, download, download_path, federation_path, legacy_path, media_domain, same_host, shared,
};

/// What lets a cache keep an answer, or ask about it again.
const KEPT: [(&str, &str); 5] = [
    ("Cache-Control", "public, max-age=259200, immutable"),
    ("Expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ("Age", "5"),
    ("ETag", "\"error\""),
    ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
];

/// A Matrix error with all of these.
fn error(status: u16) -> Reply {
    changed(Reply::error(status, "M_NOT_FOUND", "Not found"), &KEPT)
}

#[track_caller]
fn assert_unkept(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    for name in ["expires", "age", "etag", "last-modified"] {
        assert_eq!(answer.header(name), None, "{what}: {name}");
    }
}

#[track_caller]
fn assert_error_unkept(world: &World, path: &str, request: &Request, status: u16) {
    world.origin.reply(path, error(status));
    let answer = request.send(&world.edge.address);
    assert_unkept(&answer, status, &format!("{request}, {status}"));
}

#[test]
fn errors_of_downloads_are_no_store_at_every_door() {
    let world = shared();
    for status in [400, 401, 403, 404, 410, 429, 451, 500, 503] {
        for door in DOORS {
            let id = world.legacy_media();
            assert_error_unkept(world, &door.path(&id), &door.get(world, &id), status);
        }
    }
}

#[test]
fn an_error_in_place_of_stored_media_is_no_store() {
    let world = shared();
    for status in [403, 404] {
        let id = world.stored_media();
        let request = download(&id, &world.token());
        assert_error_unkept(world, &download_path(&id), &request, status);
    }
}

#[test]
fn errors_to_head_requests_are_no_store() {
    let world = shared();
    let id = world.media();
    let request = media_domain("HEAD", download_path(&id)).bearer(&world.token());
    assert_error_unkept(world, &download_path(&id), &request, 404);
    let id = world.media();
    let request = signed("HEAD", &federation_path(&id));
    assert_error_unkept(world, &federation_path(&id), &request, 404);
}

#[test]
fn errors_of_what_is_never_stored_are_no_store() {
    let world = World::start();
    let token = world.token();
    let id = world.media();
    let get = |path: &str| media_domain("GET", path).bearer(&token);
    let unstable = "/_matrix/client/unstable/org.matrix.msc3916/media/download/example.com/abc";
    for (path, request) in [
        (download_path(&id), get(&format!("{}?unknown=1", download_path(&id)))),
        (legacy_path(&id), get(&format!("{}?unknown=1", legacy_path(&id)))),
        ("/_matrix/client/v1/media/config".to_owned(), get("/_matrix/client/v1/media/config")),
        ("/_matrix/media/v3/config".to_owned(), get("/_matrix/media/v3/config")),
        (
            "/_matrix/client/v1/media/preview_url".to_owned(),
            get("/_matrix/client/v1/media/preview_url?url=a"),
        ),
        (unstable.to_owned(), get(unstable)),
        (
            "/_matrix/media/v3/upload".to_owned(),
            media_domain("POST", "/_matrix/media/v3/upload").bearer(&token).body(b"a"),
        ),
        (
            "/_matrix/media/v1/create".to_owned(),
            media_domain("POST", "/_matrix/media/v1/create").bearer(&token).body(b""),
        ),
    ] {
        for status in [403, 404, 500] {
            assert_error_unkept(&world, &path, &request, status);
        }
    }
    let path = download_path(&id);
    world.origin.reply(&path, error(401));
    let answer = media_domain("GET", &path).send(&world.edge.address);
    assert_unkept(&answer, 401, "without a token");
}

#[test]
fn a_range_beyond_the_end_is_no_store() {
    let world = shared();
    let id = world.stored_media();
    for _ in 0..2 {
        let request = download(&id, &world.token()).header("Range", "bytes=256-");
        let answer = request.send(&world.edge.address);
        assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */256")));
        assert_eq!(answer.header("cache-control"), Some("no-store, no-transform"));
    }
}

#[test]
fn an_error_that_passes_through_is_unchanged() {
    let world = shared();
    let path = "/_matrix/client/v3/rooms/field/state";
    world.origin.reply(path, error(404));
    let answer = same_host("GET", path).send(&world.edge.address);
    for (name, value) in KEPT {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[test]
fn a_redirect_that_is_passed_on_keeps_its_cache_headers() {
    let world = World::start_with(&[("ORIGIN_REDIRECTS", "pass")]);
    let id = world.media();
    let redirect = Reply::new(307).header("Location", "https://cdn.example.com/file");
    let kept = [("Cache-Control", "public, max-age=60"), ("Expires", "0")];
    world.origin.reply(&download_path(&id), changed(redirect, &kept));
    let target = format!("{}?allow_redirect=true", download_path(&id));
    let answer = media_domain("GET", target).bearer(&world.token()).send(&world.edge.address);
    assert_eq!(answer.status, 307);
    for (name, value) in kept {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}
