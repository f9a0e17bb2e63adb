//! The legacy door: open to anyone, for whatever the homeserver still gives out there. It shares
//! bytes with the client door, and no permission either way.

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::http::Answer;

use crate::support::origin::Reply;
use crate::support::world::{
    BODY, World, download, download_path, leased, legacy_download, legacy_path, media_domain,
    shared,
};

#[track_caller]
fn assert_served(answer: &Answer) {
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
}

fn store_openly(world: &World, id: &str) {
    world.store_by(&legacy_path(id), || legacy_download(id).send(&world.edge.address));
}

#[test]
fn media_is_stored_and_confirmed_without_a_token() {
    let world = shared();
    let id = world.legacy_media();
    let answer = legacy_download(&id).send(&world.edge.address);
    assert_served(&answer);
    assert_cache_status(&answer, "fwd=uri-miss; fwd-status=200; stored");
    store_openly(world, &id);
    let (answer, asked) = world.assert_asked(&legacy_path(&id), &legacy_download(&id));
    assert_served(&answer);
    assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
    assert_eq!(asked.header("authorization"), None);
}

#[test]
fn a_legacy_404_stands_whatever_the_client_door_answers() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    for version in ["r0", "v1", "v3"] {
        let path = format!("/_matrix/media/{version}/download/example.com/{id}");
        let answer = media_domain("GET", &path).bearer(&token).send(&world.edge.address);
        assert_matrix_error(&answer, 404, "M_NOT_FOUND");
        assert_eq!(world.origin.asked_once(&path).header("if-none-match"), Some("1"));
    }
    // And it takes nothing from those who may.
    let (answer, asked) = world.assert_asked(&download_path(&id), &download(&id, &token));
    assert_served(&answer);
    assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
}

#[test]
fn a_legacy_200_stands_whatever_the_client_door_answers() {
    let world = shared();
    let (id, token) = (world.legacy_media(), world.token());
    store_openly(world, &id);
    for (status, errcode) in [(401, "M_UNKNOWN_TOKEN"), (403, "M_FORBIDDEN")] {
        world.origin.reply(&download_path(&id), Reply::error(status, errcode, "No"));
        let answer = download(&id, &token).send(&world.edge.address);
        assert_matrix_error(&answer, status, errcode);
        let (answer, asked) = world.assert_asked(&legacy_path(&id), &legacy_download(&id));
        assert_served(&answer);
        assert_eq!(asked.answered_bytes, 0);
    }
    world.origin.reply(&download_path(&id), Reply::error(404, "M_NOT_FOUND", "Not found"));
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 404);
    assert_served(&legacy_download(&id).send(&world.edge.address));
}

#[test]
fn allow_remote_false_does_not_prevent_serving_stored_media() {
    let world = shared();
    let id = world.legacy_media();
    store_openly(world, &id);
    let path = legacy_path(&id);
    let request = media_domain("GET", format!("{path}?allow_remote=false"));
    let (answer, asked) = world.assert_asked(&path, &request);
    assert_served(&answer);
    assert_eq!(asked.head.target, format!("{path}?allow_remote=false"));
    assert_eq!(asked.header("if-none-match"), Some("1"));
}

#[test]
fn allow_remote_false_is_asked_of_the_origin_even_with_a_lease() {
    let world = leased();
    let id = world.legacy_media();
    let path = legacy_path(&id);
    store_openly(world, &id);
    legacy_download(&id).send(&world.edge.address);
    world.assert_unasked(&path, &legacy_download(&id));
    let target = format!("{path}?allow_remote=false");
    world.origin.reply(&target, Reply::error(404, "M_NOT_FOUND", "Not here"));
    let (answer, _) = world.assert_asked(&target, &media_domain("GET", &target));
    assert_matrix_error(&answer, 404, "M_NOT_FOUND");
}

#[test]
fn allow_redirect_changes_no_bytes() {
    let world = leased();
    let id = world.legacy_media();
    let path = legacy_path(&id);
    store_openly(world, &id);
    legacy_download(&id).send(&world.edge.address);
    for query in [
        "allow_redirect=true",
        "allow_redirect=false",
        "com.beeper.msc3860.allow_redirect=true",
        "allow_remote=true&allow_redirect=true&timeout_ms=20000",
    ] {
        let request = media_domain("GET", format!("{path}?{query}"));
        assert_served(&world.assert_unasked(&path, &request));
    }
    for query in ["allow_redirect=maybe", "allow_remote=1", "x=y"] {
        let request = media_domain("GET", format!("{path}?{query}"));
        assert_served(&world.assert_asked(&path, &request).0);
    }
}

#[test]
fn a_credential_is_forwarded_to_the_origin() {
    let world = shared();
    let id = world.legacy_media();
    store_openly(world, &id);
    for credential in ["Bearer syt_nobody", "Basic YTpi", "X-Matrix origin=a"] {
        let request = legacy_download(&id).header("Authorization", credential);
        let (answer, asked) = world.assert_asked(&legacy_path(&id), &request);
        assert_served(&answer);
        assert_eq!(asked.header("authorization"), Some(credential));
    }
}

#[test]
fn head_and_ranges_work_at_the_legacy_door() {
    let world = shared();
    for is_stored in [false, true] {
        let id = world.legacy_media();
        if is_stored {
            store_openly(world, &id);
        }
        let head = media_domain("HEAD", legacy_path(&id)).send(&world.edge.address);
        assert_eq!((head.status, head.header("content-length")), (200, Some("256")));
        let part = legacy_download(&id).header("Range", "bytes=8-15").send(&world.edge.address);
        assert_eq!((part.status, &part.body[..]), (206, &BODY[8..16]));
    }
}

#[test]
fn quarantined_media_is_gone_at_the_legacy_door() {
    let world = shared();
    let id = world.legacy_media();
    store_openly(world, &id);
    world.origin.homeserver().quarantine(&id);
    assert_matrix_error(&legacy_download(&id).send(&world.edge.address), 404, "M_NOT_FOUND");
}
