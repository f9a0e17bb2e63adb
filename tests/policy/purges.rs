//! Purges by example: what is gone at once, what within a minute, and what stays gone whatever
//! fails.

use matrix_media_edge::cache::tier::Tier;

use crate::scene::{SYNAPSE, THUMBNAIL, ask, server, video, world, world_with_bucket};
use model::ask::Ask;
use model::edge::Place;
use model::homeserver::{Media, SERVER_NAME};
use model::purged::What;
use model::store::Fault;
use model::world::World;

const ADMIN: &[(&str, &str)] = &[("ADMIN_TOKEN", "a-token-of-the-admin")];

const HERE: usize = 0;
const BESIDE: usize = 1;
const ELSEWHERE: usize = 2;

fn is_stored(world: &mut World, isolate: usize, ask: &Ask) -> bool {
    world.answer_at(isolate, ask).flight.found.stored.is_some()
}

/// Everybody has the media, and then it is purged.
fn purged(mut world: World, what: What) -> World {
    for isolate in [HERE, HERE, BESIDE, ELSEWHERE, ELSEWHERE] {
        world.answer_at(isolate, &ask());
    }
    world.now_ms += 1000;
    assert!(world.purge(HERE, what));
    world.now_ms += 1000;
    world
}

#[test]
fn the_purging_isolate_no_longer_serves_purged_media() {
    let mut world = purged(world_with_bucket(ADMIN), What::Media(0));
    let answered = world.answer_at(HERE, &ask());
    assert_eq!((answered.flight.found.stored.is_none(), answered.heard()), (true, vec![200]));
}

#[test]
fn a_purge_removes_all_forms_of_what_it_names_and_no_other_media() {
    let asks = [ask(), Ask { what: THUMBNAIL, ..ask() }, server()];
    let others = [Ask { media: 1, ..ask() }, Ask { media: 2, ..ask() }];
    for (what, others_stay) in [
        (What::Media(0), [true, true]),
        (What::Server(SERVER_NAME), [false, true]),
        (What::Everything, [false, false]),
    ] {
        let mut world = world_with_bucket(ADMIN);
        world.homeserver.media.push(Media { server_name: "example.org", ..video(2) });
        for ask in asks.iter().chain(&others) {
            world.answer(ask);
        }
        world.now_ms += 1000;
        world.purge(HERE, what);
        world.now_ms += 1000;
        for ask in &asks {
            assert!(!is_stored(&mut world, HERE, ask), "{what:?}: {ask:?}");
        }
        let stayed = others.each_ref().map(|ask| is_stored(&mut world, HERE, ask));
        assert_eq!(stayed, others_stay, "{what:?}");
    }
}

#[test]
fn a_purge_reaches_every_isolate_within_a_minute() {
    for isolate in [BESIDE, ELSEWHERE, ELSEWHERE + 1] {
        let mut world = purged(world_with_bucket(ADMIN), What::Everything);
        world.now_ms += 59_000;
        assert!(!is_stored(&mut world, isolate, &ask()), "{isolate}");
    }
}

#[test]
fn a_purge_without_a_bucket_reaches_its_data_centre() {
    let mut world = purged(world(ADMIN, SYNAPSE), What::Everything);
    world.now_ms += 59_000;
    assert!(!is_stored(&mut world, BESIDE, &ask()));
    assert!(is_stored(&mut world, ELSEWHERE, &ask()), "which is all that is said");
}

#[test]
fn media_stored_after_a_purge_is_kept() {
    let mut world = purged(world_with_bucket(ADMIN), What::Media(0));
    world.now_ms += 5_000;
    world.answer_at(HERE, &ask());
    world.now_ms += 60_000;
    for (isolate, tier) in [(HERE, Tier::Memory), (ELSEWHERE, Tier::Bucket)] {
        let found = world.answer_at(isolate, &ask()).flight.found.stored;
        assert_eq!(found.map(|stored| stored.tier), Some(tier));
    }
}

#[test]
fn media_under_way_during_a_purge_is_not_kept() {
    let mut world = world_with_bucket(ADMIN);
    world.begin(&ask(), HERE);
    world.now_ms += 1000;
    world.advance(0);
    world.purge(HERE, What::Media(0));
    world.now_ms += 1000;
    world.advance(0);
    assert!(!is_stored(&mut world, HERE, &ask()));
}

#[test]
fn a_known_purge_outlasts_the_list() {
    for place in [Place::Bucket, Place::Pop(0)] {
        let mut world = world_with_bucket(ADMIN);
        world.fail(Place::Bucket, Fault::Remove);
        let mut world = purged(world, What::Media(0));
        world.fail(place, Fault::LookUp);
        world.now_ms += 3_600_000;
        world.answer_at(HERE, &Ask { media: 1, ..ask() });
        world.fail(place, Fault::None);
        world.now_ms += 1000;
        assert!(!is_stored(&mut world, HERE, &ask()), "{place:?}");
    }
}

#[test]
fn a_purge_that_could_not_be_listed_is_reported() {
    for fault in [Fault::LookUp, Fault::Store] {
        let mut world = purged(world_with_bucket(ADMIN), What::Media(1));
        world.fail(Place::Bucket, fault);
        assert!(!world.purge(HERE, What::Media(0)), "{fault:?}");
    }
    let mut world = world(ADMIN, SYNAPSE);
    world.fail(Place::Pop(0), Fault::Store);
    assert!(!world.purge(HERE, What::Media(0)));
}

#[test]
fn an_object_that_could_not_be_removed_is_not_used() {
    let mut world = world_with_bucket(ADMIN);
    world.fail(Place::Bucket, Fault::Remove);
    let mut world = purged(world, What::Media(0));
    assert!(!is_stored(&mut world, HERE, &ask()));
}

#[test]
fn a_failed_read_of_the_list_makes_no_copy_fresh() {
    let mut world = world_with_bucket(ADMIN);
    let start_ms = world.now_ms;
    let other = Ask { media: 1, ..ask() };
    let ask_at = |world: &mut World, secs: u64, isolate, ask: &Ask| {
        world.now_ms = start_ms + 1000 * secs;
        is_stored(world, isolate, ask)
    };
    for isolate in [HERE, HERE, BESIDE, ELSEWHERE, ELSEWHERE] {
        ask_at(&mut world, 0, isolate, &ask());
    }
    ask_at(&mut world, 30, HERE, &other);
    world.now_ms = start_ms + 31_000;
    world.purge(ELSEWHERE, What::Media(0));
    world.fail(Place::Bucket, Fault::LookUp);
    ask_at(&mut world, 60, HERE, &other);
    world.fail(Place::Bucket, Fault::None);
    ask_at(&mut world, 89, BESIDE, &other);
    assert!(!ask_at(&mut world, 92, BESIDE, &ask()), "a minute after the purge");
}
