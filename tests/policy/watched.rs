//! `MEDIA_LEASE_SECONDS` by example: how long a grant about a media stands by the homeserver's list
//! of quarantined media, and what ends it.

use crate::scene::{NO_QUESTION, ask, legacy, world_with_bucket};
use model::edge::Place;
use model::store::Fault;
use model::world::World;

const WATCHED: &[(&str, &str)] = &[
    ("LEASE_SECONDS", "3600"),
    ("MEDIA_LEASE_SECONDS", "7200"),
    ("SYNAPSE_ADMIN_TOKEN", "a-token-of-an-admin"),
];

const HERE: usize = 0;
const ELSEWHERE: usize = 2;

/// A world in which the list is followed, and media 0 is stored and granted.
fn watched(vars: &[(&str, &str)]) -> World {
    let mut world = world_with_bucket(vars);
    world.poll(HERE, false);
    pass(&mut world, 60);
    for isolate in [HERE, ELSEWHERE] {
        world.answer_at(isolate, &ask());
    }
    world
}

/// So many seconds pass, and the list is polled each minute.
fn pass(world: &mut World, secs: u64) {
    for _ in 0..secs / 60 {
        world.now_ms += 60_000;
        world.poll(HERE, false);
    }
    world.now_ms += secs % 60 * 1000;
}

/// What the homeserver was asked, and answered.
fn asked(world: &mut World, isolate: usize) -> Vec<u16> {
    world.answer_at(isolate, &ask()).heard()
}

/// A token's grant, of its own: it counts for less long than the media's.
fn renew_token(world: &mut World, isolate: usize) {
    world.answer_at(isolate, &model::ask::Ask { media: 1, ..ask() });
}

#[test]
fn a_grant_stands_beyond_its_lease_and_ends_with_media_lease_seconds() {
    let mut world = watched(WATCHED);
    for (secs, expected) in [(3_590, vec![]), (3_500, vec![]), (180, vec![304])] {
        pass(&mut world, secs);
        renew_token(&mut world, ELSEWHERE);
        assert_eq!(asked(&mut world, ELSEWHERE), expected, "{secs}");
    }
}

#[test]
fn a_list_that_is_not_read_for_three_minutes_leaves_lease_seconds() {
    let vars = [&WATCHED[1..], &[("LEASE_SECONDS", "60")]].concat();
    let mut world = watched(&vars);
    pass(&mut world, 120);
    renew_token(&mut world, ELSEWHERE);
    assert_eq!(asked(&mut world, ELSEWHERE), NO_QUESTION);
    world.fail(Place::Bucket, Fault::Store);
    pass(&mut world, 180);
    renew_token(&mut world, ELSEWHERE);
    assert_eq!(asked(&mut world, ELSEWHERE), [304]);
}

#[test]
fn a_grant_of_before_a_quarantine_ends_though_the_body_is_stored_again() {
    let mut world = watched(WATCHED);
    let now_ms = world.now_ms;
    world.homeserver.quarantine(0, true, now_ms);
    pass(&mut world, 120);
    world.homeserver.quarantine(0, false, now_ms + 120_000);
    pass(&mut world, 60);
    world.answer_at(ELSEWHERE, &legacy());
    renew_token(&mut world, ELSEWHERE);
    assert_eq!(asked(&mut world, ELSEWHERE), [304]);
}

#[test]
fn a_restored_database_ends_the_grants_of_before_it() {
    for (is_restored, expected) in [(false, vec![]), (true, vec![304])] {
        let vars = [&WATCHED[1..], &[("LEASE_SECONDS", "60")]].concat();
        let mut world = watched(&vars);
        for is_quarantined in [true, false, true] {
            world.homeserver.quarantine(1, is_quarantined, 0);
        }
        pass(&mut world, 120);
        if is_restored {
            world.homeserver.restore(1);
        }
        for _ in 0..3 {
            world.homeserver.quarantine(1, false, 0);
        }
        pass(&mut world, 120);
        renew_token(&mut world, ELSEWHERE);
        assert_eq!(asked(&mut world, ELSEWHERE), expected, "{is_restored}");
    }
}

#[test]
fn a_row_that_can_not_be_read_stops_the_list_from_being_complete() {
    let vars = [&WATCHED[1..], &[("LEASE_SECONDS", "60")]].concat();
    let mut world = watched(&vars);
    world.homeserver.quarantine(1, false, 0);
    for _ in 0..4 {
        world.now_ms += 60_000;
        world.poll(HERE, true);
    }
    renew_token(&mut world, ELSEWHERE);
    assert_eq!(asked(&mut world, ELSEWHERE), [304]);
}
