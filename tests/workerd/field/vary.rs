//! `Vary` counts by the fields of the edge's own question in which readers differ, and by no others
//! (RFC 9111 §4.1).

use super::servers::{DOORS, Door, like_tuwunel, with_fields};
use crate::support::world::{World, shared};

/// Claims that what each door answers first is stored, or is not and why not.
#[track_caller]
fn assert_first(world: &World, door: Door, vary: &'static str, end: &str) {
    let id = world.legacy_media();
    with_fields(world, &door.path(&id), &[("Vary", vary)]);
    let answer = door.get(world, &id).send(&world.edge.address);
    door.assert_served(&answer);
    let status = answer.header("cache-status").unwrap_or_default();
    assert!(status.ends_with(end), "{door:?}, {vary}: {status}");
}

#[test]
fn media_of_a_server_whose_cors_layer_varies_everything_is_stored() {
    let world = shared();
    for door in DOORS {
        let id = world.legacy_media();
        like_tuwunel(world, &door.path(&id));
        let answer = door.get(world, &id).send(&world.edge.address);
        door.assert_served(&answer);
        let status = answer.header("cache-status").unwrap_or_default();
        assert!(status.ends_with("; stored"), "{door:?}: {status}");
    }
}

#[test]
fn media_that_varies_by_a_field_never_sent_is_stored_and_served() {
    let world = shared();
    for vary in [
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        "Accept, Accept-Language",
        "Cookie",
        "Range",
        "X-Requested-With, , Sec-Fetch-Mode",
    ] {
        for door in DOORS {
            assert_first(world, door, vary, "; stored");
        }
        let id = world.media();
        with_fields(world, &Door::Client.path(&id), &[("Vary", vary)]);
        world.store(&id);
        let answer = Door::Client.get(world, &id).send(&world.edge.address);
        Door::Client.assert_served(&answer);
        let asked = world.origin.asked_once(&Door::Client.path(&id));
        assert_eq!(asked.answered_bytes, 0, "{vary}");
    }
}

#[test]
fn media_that_varies_by_reader_is_not_stored() {
    let world = shared();
    for vary in [
        "Authorization",
        "Origin, User-Agent",
        "x-forwarded-for",
        "CF-IPCountry",
        "CF-Connecting-IP",
        "True-Client-IP",
        "X-Real-IP",
        "Forwarded",
        "Via",
        "*",
        "Accept Language",
    ] {
        for door in DOORS {
            assert_first(world, door, vary, "detail=vary");
        }
    }
}
