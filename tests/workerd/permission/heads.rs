//! A HEAD that the edge sends on brings no body: it may serve and grant if it tells of just what is
//! stored, and it never changes what that is.

use test_support::http::Request;

use super::{DATE, PAGE, come_back, file, page, pages, serve_file};
use crate::download::federation::signed;
use crate::support::origin::Reply;
use crate::support::world::{
    BODY, World, download, download_path, federation_path, leased, media_domain, shared,
};

fn head(id: &str, token: &str) -> Request {
    media_domain("HEAD", download_path(id)).bearer(token)
}

/// Where a HEAD is asked as one though the file is stored: without validators, a token's yes about
/// one media says nothing of another.
fn start() -> World {
    World::start_with(&[("LEASE_SECONDS", "600"), ("LEASE_SCOPE", "token+media")])
}

/// Media that is stored without a validator, and a token whose lease is alive.
fn stored(world: &World, id: &str) -> String {
    let (path, token) = (download_path(id), world.token());
    serve_file(world, &path, None);
    world.store_by(&path, || download(id, &token).send(&world.edge.address));
    world.assert_unasked(&path, &download(id, &token));
    token
}

#[test]
fn a_head_that_matches_the_stored_media_grants_a_lease() {
    let world = start();
    stored(&world, "headed");
    let token = world.token();
    let (answer, asked) = world.assert_asked(&download_path("headed"), &head("headed", &token));
    assert_eq!(asked.head.method, "HEAD");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("256")));
    let path = download_path("headed");
    let answer = world.assert_unasked(&path, &download("headed", &token));
    assert_eq!(&answer.body[..], BODY);
}

/// What a HEAD may say instead of what is stored, and its name.
fn others() -> Vec<(&'static str, Reply)> {
    let unmarked = Reply::new(200).header("Content-Type", "image/png").body(BODY);
    let mut replies = pages();
    replies.extend([
        ("another length", file(b"another", &[])),
        ("another type", file(BODY, &[("Content-Type", "image/gif")])),
        ("another type of the stored length", page("text/html").body(BODY)),
        ("no mark", unmarked),
        ("no length", file(BODY, &[]).chunked()),
    ]);
    replies
}

#[test]
fn a_head_of_other_media_grants_no_lease() {
    let world = start();
    stored(&world, "otherHead");
    let path = download_path("otherHead");
    for (n, (what, reply)) in others().into_iter().enumerate() {
        let garbage = format!("syt_head{n}");
        world.origin.reply(&path, reply);
        head("otherHead", &garbage).send(&world.edge.address);
        let refused = Reply::error(401, "M_UNKNOWN_TOKEN", "Invalid access token");
        world.origin.reply(&path, refused);
        let answer = download("otherHead", &garbage).send(&world.edge.address);
        assert_eq!(answer.status, 401, "{what}: it got {} bytes", answer.body.len());
    }
}

#[test]
fn a_head_of_other_media_is_relayed() {
    let world = start();
    stored(&world, "relayedHead");
    let other = file(PAGE.as_bytes(), &[("Content-Type", "image/gif")]);
    world.origin.reply(&download_path("relayedHead"), other);
    let answer = head("relayedHead", &world.token()).send(&world.edge.address);
    let length = PAGE.len().to_string();
    assert_eq!((answer.status, answer.header("content-length")), (200, Some(length.as_str())));
    assert_eq!(answer.header("content-type"), Some("image/gif"));
}

#[test]
fn the_head_of_a_page_is_an_error() {
    let world = start();
    stored(&world, "pagedHead");
    world.origin.reply(&download_path("pagedHead"), page("text/html"));
    let answer = head("pagedHead", &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("application/json")));
}

#[test]
fn a_head_never_replaces_or_removes_stored_media() {
    let world = start();
    let token = stored(&world, "keptFromHeads");
    let path = download_path("keptFromHeads");
    for (what, reply) in others() {
        world.origin.reply(&path, reply);
        head("keptFromHeads", &world.token()).send(&world.edge.address);
        let answer = world.assert_unasked(&path, &download("keptFromHeads", &token));
        assert_eq!(&answer.body[..], BODY, "{what}");
    }
}

#[test]
fn the_head_of_a_page_grants_a_garbage_token_no_lease() {
    let world = leased();
    let id = world.stored_media();
    download(&id, &world.token()).send(&world.edge.address);
    for (n, (what, page)) in pages().into_iter().enumerate() {
        let (garbage, walled) = (format!("syt_headed{n}"), world.media());
        world.origin.reply(&download_path(&walled), page);
        head(&walled, &garbage).send(&world.edge.address);
        let answer = download(&id, &garbage).send(&world.edge.address);
        assert_eq!(answer.status, 401, "{what}: it got {} bytes", answer.body.len());
    }
}

#[test]
fn a_servers_head_never_removes_stored_media() {
    let world = shared();
    for (what, status, reply) in [
        ("a page", 502, page("text/html")),
        ("a tagged page", 502, page("text/html").header("ETag", "\"page\"")),
        ("a file", 200, file(BODY, &[("ETag", "1")])),
        ("a dated file", 200, file(BODY, &[("Last-Modified", DATE)])),
    ] {
        let id = super::Door::Federation.stored(world);
        let path = federation_path(&id);
        world.origin.reply(&path, reply);
        assert_eq!(signed("HEAD", &path).send(&world.edge.address).status, status, "{what}");
        come_back(world, &path);
        super::Door::Federation.assert_stored(world, &id, what);
    }
}
