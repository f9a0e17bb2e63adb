//! The tiers by example: where a response is found, where it is kept then, and what becomes of it
//! when a store is at fault.

use matrix_media_edge::cache::tier::{MAX_MEMORY_BODY_BYTES, Tier};
use matrix_media_edge::matrix::media::Door;

use crate::scene::{
    BOB, LEASED, NO_QUESTION, STRICT, SYNAPSE, ask, bytes, head, ranged, server, video, world,
    world_with_bucket,
};
use model::ask::{Ask, Credential, Span, What};
use model::edge::Place;
use model::flight::Answered;
use model::homeserver::{Quirk, Validators};
use model::store::{Fault, Spoil};
use model::world::World;

/// Two isolates of one data centre, and one of another.
const HERE: usize = 0;
const BESIDE: usize = 1;
const ELSEWHERE: usize = 2;

const POP: Place = Place::Pop(0);

fn tier(answered: &Answered) -> Option<Tier> {
    answered.flight.found.stored.as_ref().map(|stored| stored.tier)
}

fn with_large_media(mut world: World) -> World {
    world.homeserver.media[0].length =
        1 + usize::try_from(MAX_MEMORY_BODY_BYTES).expect("a length");
    world
}

#[test]
fn the_nearest_tier_with_the_media_serves_it() {
    let mut world = world_with_bucket(STRICT);
    for (isolate, found, heard) in [
        (HERE, None, 200),
        (HERE, Some(Tier::Memory), 304),
        (BESIDE, Some(Tier::Pop), 304),
        (BESIDE, Some(Tier::Memory), 304),
        (ELSEWHERE, Some(Tier::Bucket), 304),
        (ELSEWHERE, Some(Tier::Memory), 304),
        (ELSEWHERE + 1, Some(Tier::Pop), 304),
    ] {
        let answered = world.answer_at(isolate, &ask());
        assert_eq!((tier(&answered), answered.heard()), (found, vec![heard]), "{isolate}");
        assert_eq!(answered.reply.body, bytes());
    }
}

#[test]
fn a_large_body_is_stored_in_every_tier_but_memory() {
    let mut world = with_large_media(world_with_bucket(STRICT));
    for (isolate, found) in [
        (HERE, None),
        (HERE, Some(Tier::Pop)),
        (HERE, Some(Tier::Pop)),
        (ELSEWHERE, Some(Tier::Bucket)),
        (ELSEWHERE, Some(Tier::Pop)),
    ] {
        let answered = world.answer_at(isolate, &ask());
        assert_eq!(tier(&answered), found);
        assert_eq!(answered.reply.body, world.homeserver.media[0].bytes("content"));
    }
}

#[test]
fn a_range_is_served_from_every_tier() {
    let mut world = world_with_bucket(STRICT);
    for isolate in [HERE, HERE, HERE, ELSEWHERE] {
        let part = world.answer_at(isolate, &ranged(Span::Between(2, 5)));
        assert_eq!((part.status(), &*part.reply.body), (206, &bytes()[2..=5]));
    }
}

#[test]
fn the_data_centre_serves_without_a_memory_tier() {
    let vars = [("MEMORY_CACHE_MIB", "0")];
    let mut world = world(&vars, SYNAPSE);
    let found: Vec<_> = (0..3).map(|_| tier(&world.answer(&ask()))).collect();
    assert_eq!(found, [None, Some(Tier::Pop), Some(Tier::Pop)]);
}

#[test]
fn every_data_centre_fetches_the_bytes_without_a_bucket() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer_at(HERE, &ask());
    assert_eq!(world.answer_at(ELSEWHERE, &ask()).heard(), [200]);
}

#[test]
fn a_hit_in_every_tier_asks_the_homeserver() {
    let mut world = world_with_bucket(LEASED);
    world.answer_at(HERE, &ask());
    world.answer_at(HERE, &ask());
    world.homeserver.tokens[2].is_valid = false;
    for (isolate, from) in [(HERE, Tier::Memory), (BESIDE, Tier::Pop), (ELSEWHERE, Tier::Bucket)] {
        let refused = world.answer_at(isolate, &Ask::new(Door::Client, 0, BOB));
        assert_eq!((tier(&refused), refused.status()), (Some(from), 401));
        assert!(!refused.reply.is_stored);
    }
}

#[test]
fn a_lease_belongs_to_its_data_centre() {
    let mut world = world_with_bucket(LEASED);
    world.answer_at(HERE, &ask());
    assert_eq!(world.answer_at(BESIDE, &ask()).heard(), NO_QUESTION);
    assert_eq!(world.answer_at(ELSEWHERE, &ask()).heard(), [304]);
}

#[test]
fn a_404_removes_media_from_every_tier_in_reach() {
    let mut world = world_with_bucket(STRICT);
    world.answer_at(HERE, &ask());
    world.answer_at(HERE, &ask());
    world.homeserver.media[0].is_quarantined = true;
    assert_eq!(world.answer_at(HERE, &ask()).status(), 404);
    world.homeserver.media[0].is_quarantined = false;
    for isolate in [HERE, ELSEWHERE] {
        let answered = world.answer_at(isolate, &ask());
        let from_elsewhere = (isolate == ELSEWHERE).then_some(Tier::Bucket);
        assert_eq!(tier(&answered), from_elsewhere, "only what has come since");
    }
}

#[test]
fn new_media_replaces_the_stored_in_every_tier() {
    let mut world = world_with_bucket(STRICT);
    world.answer_at(HERE, &ask());
    world.answer_at(HERE, &ask());
    world.homeserver.habits.validators = Validators::Both;
    assert_eq!(world.answer_at(HERE, &ask()).heard(), [200]);
    for isolate in [HERE, ELSEWHERE] {
        assert_eq!(world.answer_at(isolate, &ask()).heard(), [304], "it is asked with the new tag");
    }
}

#[test]
fn servers_find_their_envelopes_in_every_tier() {
    let mut world = world_with_bucket(STRICT);
    let miss = world.answer_at(HERE, &server());
    for isolate in [HERE, HERE, ELSEWHERE] {
        assert_eq!(world.answer_at(isolate, &server()).reply.body, miss.reply.body);
    }
}

#[test]
fn a_head_fills_the_nearer_tiers() {
    let mut world = world_with_bucket(STRICT);
    world.answer_at(HERE, &ask());
    world.answer_at(ELSEWHERE, &head(ask()));
    assert_eq!(tier(&world.answer_at(ELSEWHERE, &ask())), Some(Tier::Memory));
}

#[test]
fn a_body_that_breaks_off_gets_into_no_tier() {
    let mut world = with_large_media(world_with_bucket(STRICT));
    world.homeserver.quirk = Quirk::BreaksOff;
    assert!(world.answer_at(HERE, &ask()).reply.is_broken);
    world.homeserver.quirk = Quirk::None;
    assert_eq!(tier(&world.answer_at(HERE, &ask())), None);
    world.fail(Place::Bucket, Fault::Break);
    assert!(world.answer_at(ELSEWHERE, &ask()).reply.is_broken);
    world.fail(Place::Bucket, Fault::LookUp);
    assert_eq!(tier(&world.answer_at(ELSEWHERE, &ask())), None, "half of it was not kept");
}

#[test]
fn a_fault_of_a_store_changes_no_byte_and_no_permission() {
    let faults =
        [Fault::LookUp, Fault::Store, Fault::Late, Fault::Doubt, Fault::Break, Fault::Remove];
    for (place, fault, is_before) in [POP, Place::Pop(1), Place::Bucket]
        .iter()
        .flat_map(|place| faults.iter().map(move |fault| (*place, *fault)))
        .flat_map(|(place, fault)| [(place, fault, true), (place, fault, false)])
    {
        let case = format!("{place:?} {fault:?} before storing: {is_before}");
        let mut world = world_with_bucket(STRICT);
        if is_before {
            world.fail(place, fault);
        }
        world.answer_at(HERE, &ask());
        world.fail(place, fault);
        for isolate in [HERE, BESIDE, ELSEWHERE] {
            let answered = world.answer_at(isolate, &ask());
            assert_eq!((answered.status(), answered.reply.body), (200, bytes()), "{case}");
            assert!(!answered.reply.is_broken, "{case}");
        }
        world.homeserver.tokens[1].is_valid = false;
        assert_eq!(world.answer_at(HERE, &ask()).status(), 401, "{case}");
    }
}

#[test]
fn a_store_is_used_again_after_a_fault() {
    for place in [POP, Place::Bucket] {
        for fault in [Fault::LookUp, Fault::Store, Fault::Late, Fault::Doubt, Fault::Break] {
            let mut world = world_with_bucket(STRICT);
            world.fail(place, fault);
            world.answer_at(HERE, &ask());
            world.fail(place, Fault::None);
            world.store(place).settle();
            for _ in 0..2 {
                world.answer_at(HERE, &ask());
            }
            let hit = world.answer_at(HERE, &ask());
            assert_eq!(tier(&hit), Some(Tier::Memory), "{place:?} {fault:?}");
        }
    }
}

const BAD: [Spoil; 5] =
    [Spoil::Version("2"), Spoil::Version("4"), Spoil::Key, Spoil::Record, Spoil::Body];

#[test]
fn a_bad_entry_is_a_miss_and_not_an_error() {
    for spoil in BAD {
        let mut world = world(&[("MEMORY_CACHE_MIB", "0")], SYNAPSE);
        world.answer(&ask());
        world.store(POP).spoil(0, spoil);
        let miss = world.answer(&ask());
        assert_eq!((tier(&miss), miss.heard(), miss.reply.body), (None, vec![200], bytes()));
        assert_eq!(tier(&world.answer(&ask())), Some(Tier::Pop), "{spoil:?}: a good one came");
    }
}

#[test]
fn a_bad_object_in_the_bucket_is_a_miss_and_is_replaced() {
    for spoil in BAD {
        let mut world = world_with_bucket(STRICT);
        world.answer_at(HERE, &ask());
        world.store(Place::Bucket).spoil(0, spoil);
        let miss = world.answer_at(ELSEWHERE, &ask());
        assert_eq!((tier(&miss), miss.heard(), miss.reply.body), (None, vec![200], bytes()));
        world.store(POP).evict(0);
        let again = world.answer_at(BESIDE, &ask());
        assert_eq!(tier(&again), Some(Tier::Bucket), "{spoil:?}: a good one came");
    }
}

#[test]
fn entries_expire_in_every_tier() {
    let mut world = world_with_bucket(&[("CACHE_SECONDS", "60")]);
    world.answer_at(HERE, &ask());
    world.answer_at(HERE, &ask());
    world.now_ms += 60_000;
    for isolate in [HERE, BESIDE] {
        let here = if isolate == HERE { None } else { Some(Tier::Pop) };
        assert_eq!(tier(&world.answer_at(isolate, &ask())), here);
    }
    world.now_ms += 60_000;
    assert_eq!(tier(&world.answer_at(ELSEWHERE, &ask())), None);
}

/// Two sizes that homeservers don't make by default, and that share a name for this media.
const SHARING: [&str; 2] = ["32x32-scale-default", "44x32-scale-default"];

fn sized(name: &'static str) -> Ask {
    let query = match name {
        "32x32-scale-default" => "width=32&height=32&method=scale",
        _ => "width=44&height=32&method=scale",
    };
    Ask { what: What::Thumbnail(name, query), ..ask() }
}

#[test]
fn sizes_that_share_a_name_take_each_others_place_and_are_served_as_themselves() {
    let [first, second] = SHARING;
    let mut world = world_with_bucket(STRICT);
    for (isolate, name, found) in [
        (HERE, first, None),
        (HERE, second, None),
        (HERE, first, Some(Tier::Memory)),
        (HERE, second, Some(Tier::Memory)),
        (BESIDE, second, Some(Tier::Pop)),
        (BESIDE, first, None),
        (ELSEWHERE, second, None),
        (ELSEWHERE + 1, second, Some(Tier::Pop)),
        (ELSEWHERE + 1, first, None),
    ] {
        let answered = world.answer_at(isolate, &sized(name));
        assert_eq!((tier(&answered), answered.reply.body), (found, video(0).bytes(name)), "{name}");
    }
}

#[test]
fn a_refusal_of_one_size_removes_no_other() {
    let [first, second] = SHARING;
    let mut world = world_with_bucket(STRICT);
    world.answer_at(HERE, &sized(first));
    let garbage = Ask { credential: Credential::Garbage("syt_nobody"), ..sized(second) };
    for isolate in [BESIDE, ELSEWHERE] {
        assert_eq!(world.answer_at(isolate, &garbage).status(), 401);
    }
    assert_eq!(tier(&world.answer_at(BESIDE, &sized(first))), Some(Tier::Pop));
    assert_eq!(tier(&world.answer_at(ELSEWHERE, &sized(first))), Some(Tier::Bucket));
}
