//! A known outage: what ends it is the homeserver's own word, to a probe or to a reader, and nothing
//! that stands in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use test_support::http::Request;
use test_support::time::wait_for;

use super::probes::{VERSIONS, accepted, break_off, fall, is_stale, start};
use super::{Door, PAGE, WHOAMI, come_back, page};
use crate::download::federation::signed;
use crate::support::origin::Reply;
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, federation_path, legacy_download, legacy_path,
    media_domain,
};

/// Asks until the edge answers without a question.
fn wait_until_known(world: &World, path: &str, reader: &Request) {
    wait_for("the edge knows", PATIENCE, || {
        world.origin.forget(path);
        assert!(is_stale(&reader.send(&world.edge.address)));
        world.origin.asked(path).is_empty().then_some(())
    });
}

/// Claims that a reader is served, and nobody asked about it.
#[track_caller]
fn assert_known(world: &World, path: &str, reader: &Request, what: &str) {
    world.origin.forget(path);
    let answer = reader.send(&world.edge.address);
    assert!(is_stale(&answer), "{what}: {answer:?}");
    assert!(world.origin.asked(path).is_empty(), "{what}: it was asked");
}

/// What something in front of the homeserver may say to one who asks for it.
fn words_of_proxies() -> Vec<(&'static str, Reply)> {
    let html = |status| Reply::new(status).header("Content-Type", "text/html").body(PAGE);
    vec![
        ("431", html(431)),
        ("400", html(400)),
        ("403", html(403)),
        ("404", html(404)),
        ("404 in text", Reply::new(404).body("404 page not found\n")),
        ("429", html(429)),
        ("JSON", Reply::new(400).header("Content-Type", "application/json").body("{}")),
        ("a page", page("text/html")),
        ("a tagged page", page("text/html").header("ETag", "\"page\"")),
        ("an empty page", Reply::new(204)),
    ]
}

#[test]
fn a_proxys_answer_ends_no_outage() {
    let world = start();
    let (path, reader) = accepted(&world);
    fall(&world, &path);
    wait_until_known(&world, &path, &reader);
    for (n, (what, reply)) in words_of_proxies().into_iter().enumerate() {
        let id = format!("proxied{n}");
        for path in [download_path(&id), legacy_path(&id), federation_path(&id)] {
            world.origin.reply(&path, reply.clone());
        }
        for request in [
            legacy_download(&id),
            download(&id, "syt_nobody"),
            media_domain("GET", download_path(&id)),
            signed("GET", &federation_path(&id)),
        ] {
            let _ = request.try_send(&world.edge.address);
            assert_known(&world, &path, &reader, &format!("{what}, {request}"));
        }
    }
}

#[test]
fn a_page_in_place_of_whoami_ends_no_outage() {
    let world = start();
    let (path, reader) = accepted(&world);
    fall(&world, &path);
    wait_until_known(&world, &path, &reader);
    for path in [WHOAMI, VERSIONS] {
        world.origin.reply(path, page("text/html"));
    }
    for _ in 0..10 {
        sleep(Duration::from_millis(250));
        assert_known(&world, &path, &reader, "a page");
    }
}

/// Claims that this request's answer ends a known outage, though probes find the same as before.
#[track_caller]
fn assert_ended_by(what: &str, ask: impl Fn(&World) -> u16) {
    let world = start();
    let (path, reader) = accepted(&world);
    let is_down = Arc::new(AtomicBool::new(true));
    fall(&world, &path);
    let is_down_for_readers = Arc::clone(&is_down);
    world.origin.on(&path, move |call| {
        if is_down_for_readers.load(Ordering::SeqCst) {
            break_off(call)
        } else {
            call.reply_by_default()
        }
    });
    wait_until_known(&world, &path, &reader);
    is_down.store(false, Ordering::SeqCst);
    assert_known(&world, &path, &reader, what);
    let status = ask(&world);
    world.origin.forget(&path);
    let answer = reader.send(&world.edge.address);
    assert!(!is_stale(&answer) && answer.status == 200, "{what} ({status}): {answer:?}");
    assert_eq!(world.origin.asked(&path).len(), 1, "{what}");
}

#[test]
fn media_that_the_homeserver_sends_ends_an_outage() {
    assert_ended_by("a file", |world| {
        download(&world.media(), &world.token()).send(&world.edge.address).status
    });
}

#[test]
fn a_refusal_of_the_homeservers_ends_an_outage() {
    assert_ended_by("a 401", |world| {
        download(&world.media(), "syt_nobody").send(&world.edge.address).status
    });
    assert_ended_by("a 404", |world| {
        legacy_download("neverThere").send(&world.edge.address).status
    });
}

#[test]
fn a_304_of_the_homeservers_ends_an_outage() {
    let world = start();
    let other = Door::Legacy.stored(&world);
    let (path, reader) = accepted(&world);
    fall(&world, &path);
    wait_until_known(&world, &path, &reader);
    come_back(&world, &path);
    assert_eq!(download(&other, &world.token()).send(&world.edge.address).status, 200);
    assert!(!is_stale(&reader.send(&world.edge.address)));
}

#[test]
fn a_probe_that_is_answered_ends_an_outage() {
    let world = start();
    let (path, reader) = accepted(&world);
    fall(&world, &path);
    wait_until_known(&world, &path, &reader);
    for path in [path.as_str(), WHOAMI, VERSIONS] {
        come_back(&world, path);
    }
    wait_for("it is asked again", PATIENCE, || {
        let answer = reader.send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        (!is_stale(&answer)).then_some(())
    });
}
