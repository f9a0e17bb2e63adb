//! Leases are of what was granted: of a token by `whoami` if it names a user, of a file or of its
//! thumbnails by the homeserver's yes to just that.

use std::thread::sleep;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;

use super::{
    WHOAMI, legacy_thumbnail, legacy_thumbnail_path, page, pages, serve_file, thumbnail,
    thumbnail_path,
};
use crate::support::origin::Reply;
use crate::support::world::{
    BODY, World, download, download_path, is_hit, leased, legacy_download, legacy_path,
};

fn start() -> World {
    World::start_with(&[("LEASE_SECONDS", "600")])
}

/// Media that is stored and leased at the client door, without a validator.
fn unvalidated(world: &World, id: &str) -> String {
    let (path, token) = (download_path(id), world.token());
    serve_file(world, &path, None);
    world.store_by(&path, || download(id, &token).send(&world.edge.address));
    path
}

/// Answers of `whoami` that name nobody, and their names.
fn nobodies() -> Vec<(&'static str, Reply)> {
    let json = |body: &str| Reply::new(200).header("Content-Type", "application/json").body(body);
    let mut replies = pages();
    replies.extend([
        ("an empty object", json("{}")),
        ("a device alone", json(r#"{"device_id":"D","is_guest":false}"#)),
        ("a number", json(r#"{"user_id":1}"#)),
        ("null", json(r#"{"user_id":null}"#)),
        ("a list", json(r#"["user_id","@a:example.com"]"#)),
        ("a text", json(r#""user_id""#)),
        ("a user within", json(r#"{"a":{"user_id":"@a:example.com"}}"#)),
        ("an object that breaks off", json(r#"{"user_id":"@a:example.com""#)),
        ("an error", json(r#"{"errcode":"M_UNKNOWN_TOKEN","error":"No"}"#)),
        ("nothing", json("")),
    ]);
    replies
}

#[test]
fn a_whoami_without_a_user_grants_nothing() {
    let world = start();
    unvalidated(&world, "behindWhoami");
    for (what, reply) in nobodies() {
        world.origin.reply(WHOAMI, reply);
        let answer = download("behindWhoami", "syt_nobody").send(&world.edge.address);
        assert_eq!(answer.status, 401, "{what}: it got {} bytes", answer.body.len());
    }
}

#[test]
fn a_whoami_without_a_user_grants_no_lease() {
    let world = start();
    unvalidated(&world, "afterWhoami");
    for (what, reply) in nobodies() {
        world.origin.reply(WHOAMI, reply);
        download("afterWhoami", "syt_nobody").send(&world.edge.address);
        super::come_back(&world, WHOAMI);
        let answer = download("afterWhoami", "syt_nobody").send(&world.edge.address);
        assert_eq!(answer.status, 401, "{what}: it got {} bytes", answer.body.len());
    }
}

/// Who is in doubt gets the media itself, if the homeserver sends it.
#[test]
fn a_whoami_without_a_user_leads_to_a_question_for_the_media() {
    let world = start();
    let path = unvalidated(&world, "inDoubt");
    world.origin.reply(WHOAMI, page("text/html"));
    let (answer, asked) = world.assert_asked(&path, &download("inDoubt", &world.token()));
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(asked.answered_bytes, BODY.len());
}

/// Media that only the client door has, and thumbnails of it that the legacy door gives out.
fn with_legacy_thumbnails(world: &World) -> String {
    let id = world.stored_media();
    world.origin.on(&legacy_thumbnail_path(&id), |call| {
        match call.head.headers.get("if-none-match") {
            Some("1") => call.reply(&Reply::new(304)),
            _ => call.reply(&super::file(call.head.target.as_bytes(), &[("ETag", "1")])),
        }
    });
    id
}

#[test]
fn a_granted_legacy_thumbnail_does_not_grant_the_file() {
    let world = leased();
    let id = with_legacy_thumbnails(world);
    assert_eq!(legacy_download(&id).send(&world.edge.address).status, 404);
    // A 404 counts for the second in which it came.
    sleep(Duration::from_millis(1100));
    assert_eq!(legacy_thumbnail(&id, 32).send(&world.edge.address).status, 200);
    let answer = legacy_download(&id).send(&world.edge.address);
    assert_matrix_error(&answer, 404, "M_NOT_FOUND");
}

#[test]
fn a_granted_legacy_file_does_not_grant_a_thumbnail() {
    let world = leased();
    let (id, token) = (world.legacy_media(), world.token());
    let path = thumbnail_path(&id);
    world.store_by(&path, || thumbnail(&id, 32, &token).send(&world.edge.address));
    let gone = Reply::error(404, "M_NOT_FOUND", "Not found");
    world.origin.reply(&legacy_thumbnail_path(&id), gone);
    assert_eq!(legacy_download(&id).send(&world.edge.address).status, 200);
    let answer = legacy_thumbnail(&id, 32).send(&world.edge.address);
    assert_matrix_error(&answer, 404, "M_NOT_FOUND");
}

/// Media whose file is stored, and was confirmed at the legacy door alone.
fn file_of_the_legacy_door(world: &World) -> String {
    let id = world.legacy_media();
    world.store_by(&legacy_path(&id), || legacy_download(&id).send(&world.edge.address));
    id
}

#[test]
fn a_granted_thumbnail_does_not_grant_the_file() {
    let world = leased();
    let (id, token) = (file_of_the_legacy_door(world), world.token());
    assert_eq!(thumbnail(&id, 32, &token).send(&world.edge.address).status, 200);
    let (_, asked) = world.assert_asked(&download_path(&id), &download(&id, &token));
    assert_eq!(asked.header("if-none-match"), Some("1"));
}

#[test]
fn a_granted_file_does_not_grant_a_thumbnail() {
    let world = leased();
    let (id, token) = (world.legacy_media(), world.token());
    let legacy = legacy_thumbnail_path(&id);
    world.store_by(&legacy, || legacy_thumbnail(&id, 32).send(&world.edge.address));
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 200);
    let (_, asked) = world.assert_asked(&thumbnail_path(&id), &thumbnail(&id, 32, &token));
    assert_eq!(asked.header("if-none-match"), Some("1"));
}

#[test]
fn a_granted_thumbnail_grants_all_stored_thumbnails() {
    let world = leased();
    let (id, token) = (world.legacy_media(), world.token());
    let legacy = legacy_thumbnail_path(&id);
    world.store_by(&legacy, || legacy_thumbnail(&id, 32).send(&world.edge.address));
    assert_eq!(thumbnail(&id, 33, &token).send(&world.edge.address).status, 200);
    world.assert_unasked(&thumbnail_path(&id), &thumbnail(&id, 32, &token));
}

#[test]
fn a_pairs_file_and_thumbnails_have_separate_leases() {
    let world = World::start_with(&[("LEASE_SECONDS", "600"), ("LEASE_SCOPE", "token+media")]);
    let (id, token, other) = (world.stored_media(), world.token(), world.token());
    download(&id, &other).send(&world.edge.address);
    assert_eq!(thumbnail(&id, 32, &token).send(&world.edge.address).status, 200);
    world.assert_asked(&download_path(&id), &download(&id, &token));
}

#[test]
fn a_removed_file_is_not_kept_readable_by_new_thumbnails() {
    let world = World::start_with(&[("LEASE_SECONDS", "3")]);
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.address);
    world.assert_unasked(&download_path(&id), &download(&id, &token));
    world.origin.reply(&download_path(&id), Reply::error(404, "M_NOT_FOUND", "Not found"));
    for width in 1..=5 {
        assert_eq!(thumbnail(&id, width, &token).send(&world.edge.address).status, 200);
        sleep(Duration::from_millis(900));
    }
    let answer = download(&id, &token).send(&world.edge.address);
    assert_matrix_error(&answer, 404, "M_NOT_FOUND");
}

#[test]
fn a_404_of_a_thumbnail_ends_the_lease_of_the_file_too() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.address);
    world.assert_unasked(&download_path(&id), &download(&id, &token));
    let gone = Reply::error(404, "M_NOT_FOUND", "Not found");
    world.origin.reply(&thumbnail_path(&id), gone);
    assert_eq!(thumbnail(&id, 32, &world.token()).send(&world.edge.address).status, 404);
    let answer = download(&id, &token).send(&world.edge.address);
    assert!(!is_hit(&answer), "{answer:?}");
}
