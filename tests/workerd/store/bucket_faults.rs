//! A bucket that fails in every way: readers get the right bytes, if later, nothing wrong is
//! stored, and the log has the reason.

use std::time::Duration;

use test_support::edge::{BucketKind, Layout};
use test_support::time::{now, wait_for};

use crate::store::bucket::{bring, bytes, get, in_bucket, wait_for_object};
use crate::support::world::{
    BODY, PATIENCE, World, content_key, download_path, tier, wait_for_tier,
};

/// The edge's patience with a bucket is 2 s, and a body is asked for once after that.
const LONGEST: Duration = Duration::from_secs(4);

/// Larger than what is read whole.
const LARGE_BYTES: usize = 1 << 20;

fn start() -> World {
    let layout = Layout { pops: 2, bucket: BucketKind::Faulty, ..Layout::default() };
    World::start_as(layout, &[])
}

/// Claims that a look-up with this fault is a miss, whose reason is in the log, and that nothing is
/// left of it afterwards.
#[track_caller]
fn assert_miss(world: &World, fault: &str, length: usize, reason: &str) {
    let stores = &world.edge.stores;
    let id = in_bucket(world, length);
    let request = get(&id, &world.token());
    stores.set_faults(&[("get", fault)]);
    let asked = now();
    let answer = request.send(&world.edge.address);
    let took = asked.elapsed();
    stores.set_faults(&[]);
    assert_eq!((answer.status, tier(&answer)), (200, ""), "{fault}");
    assert!(answer.body == bytes(length), "{fault}");
    assert!(took < LONGEST, "{fault}: it took {took:?}");
    assert_eq!(world.origin.asked_once(&download_path(&id)).answered_bytes, length, "{fault}");
    world.edge.wait_for_log(reason);
    for edge in [&world.edge.address, &world.edge.pop_addresses[1], &world.edge.pop_addresses[0]] {
        assert!(request.send(edge).body == bytes(length), "{fault}");
    }
    let object = wait_for_object(world, &content_key(&id), |_| true);
    assert!(object.body == bytes(length), "{fault}");
}

#[test]
fn a_look_up_that_fails_or_hangs_is_a_miss() {
    let world = start();
    for length in [BODY.len(), LARGE_BYTES] {
        assert_miss(&world, "fails", length, "bucket: get failed: it failed");
        assert_miss(&world, "hangs", length, "bucket: get failed: slow");
    }
}

#[test]
fn a_look_up_that_is_slow_is_waited_for() {
    let world = start();
    let id = in_bucket(&world, BODY.len());
    world.edge.stores.set_faults(&[("get", "is slow")]);
    let answer = get(&id, &world.token()).send(&world.edge.address);
    assert_eq!((&answer.body[..], tier(&answer)), (&bytes(BODY.len())[..], "bucket"));
}

#[test]
fn a_small_body_that_breaks_off_or_stalls_is_a_miss() {
    let world = start();
    for fault in ["is truncated", "breaks", "stalls", "runs over"] {
        assert_miss(&world, fault, BODY.len(), "stored body");
    }
}

#[test]
fn an_object_of_the_wrong_size_or_without_a_record_is_a_miss() {
    let world = start();
    for length in [BODY.len(), LARGE_BYTES] {
        for fault in ["lies about the size", "has no record"] {
            assert_miss(&world, fault, length, "bucket: what is stored has no record");
        }
    }
}

/// Its head is out already: the transfer breaks, as any that breaks off, and is not stored.
#[test]
fn a_large_body_that_breaks_off_is_a_broken_transfer_and_not_stored() {
    let world = start();
    for fault in ["is truncated", "breaks"] {
        for range in [None, Some("bytes=0-700000")] {
            let id = in_bucket(&world, LARGE_BYTES);
            let mut request = get(&id, &world.token());
            world.edge.stores.set_faults(&[("get", fault)]);
            if let Some(range) = range {
                request = request.header("Range", range);
            }
            let answer = request.try_send(&world.edge.address);
            assert!(answer.is_err(), "{fault} {range:?}: it looks complete");
            world.edge.stores.set_faults(&[]);
            // Long enough for a store that must not happen.
            std::thread::sleep(Duration::from_millis(500));
            let request = get(&id, &world.token());
            let answer = request.send(&world.edge.address);
            assert!(answer.body == bytes(LARGE_BYTES), "{fault} {range:?}");
            wait_for_tier("pop", &request, &world.edge.address);
        }
    }
}

#[test]
fn a_put_that_fails_or_hangs_delays_no_reader_and_is_repeated_later() {
    let world = start();
    let stores = &world.edge.stores;
    for (fault, reason) in [
        ("fails", "bucket: put failed: it failed"),
        ("breaks", "bucket: put failed: it broke"),
        ("hangs", ""),
    ] {
        for length in [BODY.len(), LARGE_BYTES] {
            let id = world
                .origin
                .homeserver()
                .add(crate::support::origin::Media::new("image/png", bytes(length)));
            let request = get(&id, &world.token());
            stores.set_faults(&[("put", fault)]);
            let asked = now();
            let answer = request.send(&world.edge.address);
            assert!(answer.body == bytes(length), "{fault}");
            assert!(asked.elapsed() < LONGEST, "{fault}");
            wait_for("it is stored here all the same", PATIENCE, || {
                Some(request.send(&world.edge.address)).filter(|a| !tier(a).is_empty())
            });
            wait_for("the put is tried", PATIENCE, || stores.counts().get("put").copied());
            assert_eq!(stores.object(&content_key(&id)), None, "{fault}");
            world.edge.wait_for_log(reason);
            stores.set_faults(&[]);
            // The next data centre asks the origin, and puts it there.
            assert!(bring(&world, &id).body == bytes(length), "{fault}");
        }
    }
}

#[test]
fn media_that_is_gone_is_gone_though_the_bucket_can_not_delete_it() {
    let world = start();
    let id = in_bucket(&world, BODY.len());
    let request = get(&id, &world.token());
    world.edge.stores.set_faults(&[("delete", "fails")]);
    world.origin.homeserver().quarantine(&id);
    for edge in [&world.edge.address, &world.edge.pop_addresses[0], &world.edge.pop_addresses[1]] {
        for _ in 0..2 {
            let answer = request.send(edge);
            assert_eq!((answer.status, tier(&answer)), (404, ""));
        }
    }
    world.edge.wait_for_log("bucket: delete failed: it failed");
}
