//! Homeservers that answer a HEAD by an error where they answer a GET by media: the edge knows HEAD
//! all the same (MSC4120), and remembers how to ask.

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};

use super::servers::without_head;
use crate::download::federation::signed;
use crate::support::origin::Reply;
use crate::support::world::{
    BODY, World, download, download_path, federation_path, legacy_path, media_domain, shared,
};

/// What homeservers and proxies answer to a HEAD that they don't know, and their names.
fn refusals() -> Vec<(&'static str, Reply)> {
    let bare = |status| Reply::new(status).header("Content-Type", "text/html");
    vec![
        ("405", Reply::error(405, "M_UNRECOGNIZED", "Unrecognized request")),
        ("bare 405", bare(405)),
        ("404", Reply::error(404, "M_UNRECOGNIZED", "Unrecognized request")),
        ("bare 404", bare(404)),
        ("501", Reply::error(501, "M_UNRECOGNIZED", "Unrecognized request")),
        ("bare 501", bare(501)),
        ("500", Reply::error(500, "M_UNKNOWN", "Internal server error")),
        ("bare 500", bare(500)),
    ]
}

fn head(path: &str, token: &str) -> Request {
    media_domain("HEAD", path).bearer(token)
}

#[track_caller]
fn assert_head_of_media(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{what}: {answer:?}");
    assert_eq!(answer.header("content-length"), Some("256"), "{what}");
    assert_eq!(answer.header("content-type"), Some("image/png"), "{what}");
}

fn methods(world: &World, path: &str) -> Vec<String> {
    world.origin.asked(path).into_iter().map(|record| record.head.method).collect()
}

#[test]
fn a_head_that_is_refused_is_asked_again_by_get_and_the_next_at_once() {
    for (what, refusal) in refusals() {
        let world = World::start();
        let [first, second, open] = [world.media(), world.media(), world.legacy_media()];
        for path in [download_path(&first), download_path(&second), legacy_path(&open)] {
            without_head(&world, &path, refusal.clone());
        }
        let answer = head(&download_path(&first), &world.token()).send(&world.edge.address);
        assert_head_of_media(&answer, what);
        assert_eq!(methods(&world, &download_path(&first)), ["HEAD", "GET"], "{what}");
        let answer = head(&download_path(&second), &world.token()).send(&world.edge.address);
        assert_head_of_media(&answer, what);
        assert_eq!(methods(&world, &download_path(&second)), ["GET"], "{what}: remembered");
        let answer = media_domain("HEAD", legacy_path(&open)).send(&world.edge.address);
        assert_head_of_media(&answer, what);
        assert_eq!(methods(&world, &legacy_path(&open)), ["HEAD", "GET"], "{what}: another door");
    }
}

#[test]
fn a_head_for_missing_media_has_the_status_of_a_get() {
    let world = World::start();
    for token in [world.token(), world.token()] {
        let answer = head(&download_path("nowhere"), &token).send(&world.edge.address);
        assert_eq!((answer.status, answer.body.len()), (404, 0));
    }
    let asked = methods(&world, &download_path("nowhere"));
    assert_eq!(asked, ["HEAD", "GET", "HEAD", "GET"], "it shows nothing of HEAD");
}

#[test]
fn a_servers_head_is_never_asked_again_since_its_method_is_signed() {
    let world = shared();
    for (what, refusal) in refusals() {
        let id = world.media();
        let path = federation_path(&id);
        without_head(world, &path, refusal);
        let answer = signed("HEAD", &path).send(&world.edge.address);
        assert!(answer.status >= 400, "{what}: {}", answer.status);
        assert_eq!(methods(world, &path), ["HEAD"], "{what}");
    }
}

#[test]
fn a_head_that_is_not_looked_up_is_asked_again_by_get_too() {
    let world = shared();
    for (what, refusal) in refusals() {
        let id = world.media();
        without_head(world, &download_path(&id), refusal);
        let target = format!("{}?unknown=1", download_path(&id));
        let answer = head(&target, &world.token()).send(&world.edge.address);
        assert_head_of_media(&answer, what);
        assert_eq!(methods(world, &download_path(&id)), ["HEAD", "GET"], "{what}");
    }
}

/// Serves media without validators to whoever the homeserver doesn't know as nobody, and refuses HEAD.
fn serve_plainly(world: &World, id: &str, refusal: Reply) {
    world.origin.on(&download_path(id), move |call| {
        let file = Reply::new(200)
            .header("Content-Type", "image/png")
            .header("Content-Disposition", "inline")
            .body(BODY);
        match call.head.method.as_str() {
            "HEAD" => call.reply(&refusal),
            _ => call.reply(&file),
        }
    });
}

#[test]
fn media_is_served_where_neither_conditions_nor_head_are_answered() {
    for (what, refusal) in refusals() {
        let world = World::start();
        let id = world.media();
        serve_plainly(&world, &id, refusal);
        for n in 0..4 {
            let answer = download(&id, &world.token()).send(&world.edge.address);
            assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{what}, read {n}");
        }
    }
}

const STALE: [(&str, &str); 2] = [("LEASE_SECONDS", "0"), ("STALE_IF_ERROR_SECONDS", "600")];

/// An edge that has stored this media, and a token that may be served stale.
fn start_stale() -> (World, String, String) {
    let world = World::start_with(&STALE);
    let (id, token) = (world.media(), world.token());
    serve_plainly(&world, &id, Reply::new(500));
    for _ in 0..2 {
        let answer = download(&id, &token).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        crate::support::world::wait_until_shown(&world.edge);
    }
    (world, id, token)
}

#[test]
fn a_head_that_fails_in_an_outage_is_answered_from_what_is_stored() {
    let (world, id, token) = start_stale();
    world.origin.reply(&download_path(&id), Reply::new(500));
    world.origin.reply("/_matrix/client/v3/account/whoami", Reply::new(502));
    let answer = head(&download_path(&id), &token).send(&world.edge.address);
    assert_head_of_media(&answer, "the probe fails too");
    let status = answer.header("cache-status").unwrap_or_default();
    assert!(status.ends_with("detail=stale-if-error"), "{status}");
}

#[test]
fn a_head_that_fails_while_the_homeserver_is_up_is_an_error() {
    let (world, id, token) = start_stale();
    world.origin.reply(&download_path(&id), Reply::error(500, "M_UNKNOWN", "No"));
    let answer = head(&download_path(&id), &token).send(&world.edge.address);
    assert_eq!(answer.status, 500);
    let answer = download(&id, &token).send(&world.edge.address);
    assert_matrix_error(&answer, 500, "M_UNKNOWN");
}
