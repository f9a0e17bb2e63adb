//! `STALE_IF_ERROR_SECONDS`: while the homeserver is down, what is stored is served to those whom
//! it accepted not long ago, and to nobody else.

use std::sync::LazyLock;
use std::thread::sleep;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::http::Answer;

use crate::support::origin::{Reply, Then};
use crate::support::world::{
    BODY, World, download, download_path, legacy_download, legacy_path, media_domain, same_host,
    wait_until_shown,
};

/// What the edge probes the homeserver with.
const PROBED: &str = "/_matrix/client/v3/account/whoami";

fn start() -> World {
    World::start_with(&[("STALE_IF_ERROR_SECONDS", "600")])
}

/// A world whose homeserver is never down: for what is asked, whatever others are doing.
fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(start);
    &WORLD
}

/// Has the homeserver be down, as far as this media and probes go.
fn fall(world: &World, id: &str) {
    for path in [&download_path(id), PROBED] {
        world.origin.reply(path, Reply::new(502).body("Bad Gateway"));
    }
}

/// A stored media and a token that the homeserver has just accepted for it.
fn accepted(world: &World) -> (String, String) {
    let (id, token) = (world.stored_media(), world.token());
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 200);
    wait_until_shown(&world.edge);
    (id, token)
}

#[track_caller]
fn assert_stale(answer: &Answer) {
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    let status = answer.header("cache-status").expect("it tells what it did");
    let ttl = status
        .strip_prefix("matrix-media-edge; hit; ttl=")
        .and_then(|rest| rest.strip_suffix("; detail=stale-if-error"))
        .and_then(|ttl| ttl.parse::<i64>().ok());
    assert!(ttl.is_some_and(|ttl| ttl <= 0), "{status}");
    assert!(answer.header("age").is_some());
}

#[test]
fn an_accepted_reader_is_served_while_the_homeserver_is_down() {
    for status in [500, 502, 504, 520, 530] {
        let world = start();
        let (id, token) = accepted(&world);
        fall(&world, &id);
        world.origin.reply(&download_path(&id), Reply::error(status, "M_UNKNOWN", "Down"));
        let request = download(&id, &token);
        world.origin.forget(&download_path(&id));
        assert_stale(&request.send(&world.edge.address));
        assert_eq!(world.origin.asked_once(&download_path(&id)).header("if-none-match"), Some("1"));
        let part = request.header("Range", "bytes=8-15").send(&world.edge.address);
        assert_eq!((part.status, &part.body[..]), (206, &BODY[8..16]));
    }
}

#[test]
fn a_failure_for_one_media_alone_is_relayed() {
    let world = world();
    for status in [500, 502, 503, 504] {
        let (id, token) = accepted(world);
        world.origin.reply(&download_path(&id), Reply::error(status, "M_UNKNOWN", "Down"));
        let answer = download(&id, &token).send(&world.edge.address);
        assert_matrix_error(&answer, status, "M_UNKNOWN");
    }
}

#[test]
fn an_accepted_reader_is_served_while_the_connection_breaks() {
    let world = start();
    let (id, token) = accepted(&world);
    for path in [&download_path(&id), PROBED] {
        world.origin.on(path, |call| {
            call.receive()?;
            Ok(Then::Reset)
        });
    }
    assert_stale(&download(&id, &token).send(&world.edge.address));
}

#[test]
fn a_reader_who_was_not_accepted_gets_an_error() {
    let world = start();
    let (id, token) = accepted(&world);
    fall(&world, &id);
    assert_stale(&download(&id, &token).send(&world.edge.address));
    for token in [world.token().as_str(), "syt_nobody"] {
        assert_eq!(download(&id, token).send(&world.edge.address).status, 502);
    }
    let answer = media_domain("GET", download_path(&id)).send(&world.edge.address);
    assert_eq!(answer.status, 502);
}

#[test]
fn media_that_is_not_stored_is_not_served() {
    let world = start();
    let (known, token) = accepted(&world);
    let id = world.media();
    fall(&world, &known);
    fall(&world, &id);
    assert_stale(&download(&known, &token).send(&world.edge.address));
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 502);
}

#[test]
fn a_refusal_is_relayed_and_not_replaced_by_a_stale_response() {
    let world = world();
    for (status, errcode) in [
        (401, "M_UNKNOWN_TOKEN"),
        (403, "M_FORBIDDEN"),
        (404, "M_NOT_FOUND"),
        (429, "M_LIMIT_EXCEEDED"),
    ] {
        let (id, token) = accepted(world);
        world.origin.reply(&download_path(&id), Reply::error(status, errcode, "No"));
        let answer = download(&id, &token).send(&world.edge.address);
        assert_matrix_error(&answer, status, errcode);
    }
}

#[test]
fn a_token_that_was_refused_is_not_served_afterwards() {
    let world = start();
    let ((id, token), other) = (accepted(&world), world.token());
    download(&id, &other).send(&world.edge.address);
    wait_until_shown(&world.edge);
    world.origin.homeserver().log_out(&token);
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 401);
    fall(&world, &id);
    assert_stale(&download(&id, &other).send(&world.edge.address));
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 502);
}

#[test]
fn media_that_was_gone_is_not_served_afterwards() {
    let world = start();
    let (id, token) = accepted(&world);
    for (status, errcode) in [(404, "M_NOT_FOUND"), (410, "M_GONE"), (451, "M_UNAVAILABLE")] {
        world.origin.on(&download_path(&id), |call| call.reply_by_default());
        world.store_by(&download_path(&id), || download(&id, &token).send(&world.edge.address));
        world.origin.reply(&download_path(&id), Reply::error(status, errcode, "Gone"));
        assert_eq!(download(&id, &token).send(&world.edge.address).status, status);
        fall(&world, &id);
        assert_eq!(download(&id, &token).send(&world.edge.address).status, 502, "{status}");
    }
}

/// The legacy door's 404 leaves the stored bytes to the client door, and no permission here.
#[test]
fn media_that_was_gone_at_the_legacy_door_is_not_served_there_afterwards() {
    let world = start();
    let id = world.legacy_media();
    world.store_by(&legacy_path(&id), || legacy_download(&id).send(&world.edge.address));
    world.origin.reply(&legacy_path(&id), Reply::error(404, "M_NOT_FOUND", "Not found"));
    assert_eq!(legacy_download(&id).send(&world.edge.address).status, 404);
    fall(&world, &id);
    world.origin.reply(&legacy_path(&id), Reply::new(502).body("Bad Gateway"));
    assert_eq!(legacy_download(&id).send(&world.edge.address).status, 502);
}

#[test]
fn a_non_canonical_query_is_not_served_stale() {
    let world = start();
    let (id, token) = accepted(&world);
    fall(&world, &id);
    assert_stale(&download(&id, &token).send(&world.edge.address));
    let target = format!("{}?user_id=@b:example.com", download_path(&id));
    let answer = media_domain("GET", target).bearer(&token).send(&world.edge.address);
    assert_eq!(answer.status, 502);
}

#[test]
fn each_door_has_its_own_grant() {
    let world = start();
    let (id, token) = (world.legacy_media(), world.token());
    world.store(&id);
    download(&id, &token).send(&world.edge.address);
    wait_until_shown(&world.edge);
    fall(&world, &id);
    world.origin.reply(&legacy_path(&id), Reply::new(502).body("Bad Gateway"));
    assert_stale(&download(&id, &token).send(&world.edge.address));
    assert_eq!(legacy_download(&id).send(&world.edge.address).status, 502);

    world.origin.on(&legacy_path(&id), |call| call.reply_by_default());
    assert_eq!(legacy_download(&id).send(&world.edge.address).status, 200);
    wait_until_shown(&world.edge);
    world.origin.reply(&legacy_path(&id), Reply::new(502).body("Bad Gateway"));
    assert_stale(&legacy_download(&id).send(&world.edge.address));
    let other = legacy_download(&id).bearer(&token).send(&world.edge.address);
    assert_eq!(other.status, 502);
}

/// A signature can't be asked about, and is good for one request.
#[test]
fn servers_are_never_served_without_the_homeserver() {
    let world = start();
    let (id, token) = accepted(&world);
    let path = format!("/_matrix/federation/v1/media/download/{id}");
    let request = same_host("GET", &path).header("Authorization", "X-Matrix origin=a,sig=b");
    world.store_by(&path, || request.send(&world.edge.address));
    fall(&world, &id);
    world.origin.reply(&path, Reply::new(502).body("Bad Gateway"));
    assert_stale(&download(&id, &token).send(&world.edge.address));
    assert_eq!(request.send(&world.edge.address).status, 502);
}

#[test]
fn stale_responses_are_not_served_without_the_variable() {
    let world = World::start();
    let (id, token) = accepted(&world);
    fall(&world, &id);
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 502);
}

/// One world and one wait for all that needs an end: of the window, and of the homeserver.
#[test]
fn stale_responses_are_served_until_the_window_ends() {
    let world = World::start_with(&[("STALE_IF_ERROR_SECONDS", "4")]);
    let (id, token) = accepted(&world);
    let other = world.token();
    download(&id, &token).send(&world.edge.address);
    world.origin.stop();
    assert_stale(&download(&id, &token).send(&world.edge.address));
    let answer = download(&id, &other).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
    sleep(Duration::from_millis(4100));
    let answer = download(&id, &token).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
}
