//! Validators that are taken away, conditions that are dropped, homeservers that tell none: what is
//! stored is revalidated without its body all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use test_support::assertions::assert_matrix_error;

use super::{proxied, proxied_with_leases, start_with};
use crate::download::federation::{assert_envelope, signed};
use crate::support::origin::{Record, Reply};
use crate::support::world::{
    BODY, World, download, download_path, federation_path, legacy_download, legacy_path,
};

/// How many bodies the homeserver sent.
fn bodies(asked: &[Record]) -> usize {
    asked.iter().filter(|record| record.answered_bytes > 0).count()
}

/// Claims that so many reads by new tokens all bring the media. Returns what the homeserver was asked.
#[track_caller]
fn read(world: &World, id: &str, times: usize) -> Vec<Record> {
    world.origin.forget(&download_path(id));
    for _ in 0..times {
        let answer = download(id, &world.token()).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    }
    world.origin.asked(&download_path(id))
}

/// A homeserver that tells no validators and heeds no condition; `knows_head` or not. Returns how many
/// bodies it has sent.
fn tell_no_validators(world: &World, id: &str, knows_head: bool) -> Arc<AtomicUsize> {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    world.origin.on(&download_path(id), move |call| {
        let head = call.head.clone();
        if head.headers.get("authorization") == Some("Bearer syt_nobody") {
            return call.reply(&Reply::error(401, "M_UNKNOWN_TOKEN", "Invalid access token"));
        }
        if head.method == "HEAD" && !knows_head {
            return call.reply(&Reply::error(405, "M_UNRECOGNIZED", "Unrecognized request"));
        }
        let file = Reply::new(200)
            .header("Content-Type", "image/png")
            .header("Content-Disposition", "inline")
            .body(BODY);
        count.fetch_add(usize::from(head.method == "GET"), Ordering::SeqCst);
        call.reply(&file)
    });
    sent
}

#[test]
fn a_tag_that_the_proxy_removes_is_guessed() {
    let world = proxied();
    let id = world.media();
    world.store(&id);
    let asked = read(world, &id, 5);
    assert_eq!((asked.len(), bodies(&asked)), (5, 0));
    assert!(asked.iter().all(|record| record.header("if-none-match") == Some("1")));
}

#[test]
fn a_guess_grants_nothing_to_a_token_that_the_homeserver_refuses() {
    for world in [proxied(), proxied_with_leases()] {
        let id = world.stored_media();
        let refused = download(&id, "syt_nobody").send(&world.edge.address);
        assert_matrix_error(&refused, 401, "M_UNKNOWN_TOKEN");
    }
}

#[test]
fn media_that_is_removed_is_gone_at_the_next_guess() {
    let world = proxied();
    let id = world.stored_media();
    world.origin.homeserver().delete(&id);
    let gone = download(&id, &world.token()).send(&world.edge.address);
    assert_matrix_error(&gone, 404, "M_NOT_FOUND");
}

#[test]
fn a_tag_is_guessed_at_the_legacy_door_too() {
    let world = proxied();
    let id = world.legacy_media();
    world.store_by(&legacy_path(&id), || legacy_download(&id).send(&world.edge.address));
    let answer = legacy_download(&id).send(&world.edge.address);
    assert_eq!(answer.body, BODY);
    assert_eq!(bodies(&world.origin.asked(&legacy_path(&id))), 0);
}

#[test]
fn a_tag_is_guessed_for_other_servers_too() {
    let world = proxied();
    let id = world.media();
    let path = federation_path(&id);
    world.store_by(&path, || signed("GET", &path).send(&world.edge.address));
    let answer = signed("GET", &path).send(&world.edge.address);
    assert_envelope(&answer);
    let asked = world.origin.asked_once(&path);
    assert_eq!((asked.head.method.as_str(), asked.answered_bytes), ("GET", 0));
}

#[test]
fn a_homeserver_without_validators_is_asked_by_head() {
    let world = start_with(&[]);
    let id = world.media();
    let sent = tell_no_validators(&world, &id, true);
    read(&world, &id, 5);
    let bodies = sent.load(Ordering::SeqCst);
    assert!((1..=3).contains(&bodies), "{bodies} bodies for five reads");
    let asked = read(&world, &id, 5);
    assert_eq!(sent.load(Ordering::SeqCst), bodies, "what works is remembered");
    assert!(asked.iter().all(|record| record.head.method == "HEAD"));
}

#[test]
fn a_head_grants_nothing_to_a_token_that_the_homeserver_refuses() {
    let world = start_with(&[]);
    let id = world.media();
    tell_no_validators(&world, &id, true);
    read(&world, &id, 5);
    let refused = download(&id, "syt_nobody").send(&world.edge.address);
    assert_matrix_error(&refused, 401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_homeserver_with_neither_validators_nor_head_sends_every_body() {
    let world = start_with(&[]);
    let id = world.media();
    let sent = tell_no_validators(&world, &id, false);
    let asked = read(&world, &id, 6);
    assert_eq!(sent.load(Ordering::SeqCst), 6);
    assert!(asked.len() <= 8, "{} questions", asked.len());
}

#[test]
fn a_proxy_that_drops_conditions_costs_no_body_each_time() {
    let world = start_with(&[]);
    world.edge.proxy.on("/download/", "drops conditions");
    let id = world.media();
    let asked = read(&world, &id, 8);
    assert!(bodies(&asked) <= 3, "{} bodies", bodies(&asked));
}

#[test]
fn repeated_or_missing_tags_cost_few_bodies() {
    for does in ["doubles tags", "drops tags"] {
        let world = start_with(&[]);
        world.edge.proxy.on("/download/", does);
        let id = world.media();
        let asked = read(&world, &id, 8);
        assert!(bodies(&asked) <= 3, "{does}: {} bodies", bodies(&asked));
    }
}

#[test]
fn a_head_that_a_proxy_turns_into_a_get_still_confirms() {
    let world = start_with(&[]);
    world.edge.proxy.on("/download/", "gets for heads");
    let id = world.media();
    tell_no_validators(&world, &id, true);
    read(&world, &id, 6);
}
