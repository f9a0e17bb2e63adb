//! A data centre's cache as Cloudflare's can be: it shows what was put late or never, is off, refuses
//! deletes, forgets. Readers get the right bytes, and the other tiers fill all the same.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use test_support::edge::{BucketKind, Layout};
use test_support::http::Answer;
use test_support::profile::Profile;
use test_support::time::{now, wait_for};

use crate::store::bucket::{bytes, get};
use crate::support::origin::{Media, Reply, Then};
use crate::support::world::{
    BODY, PATIENCE, World, content_key, download_path, tier, wait_for_tier, wait_until_shown,
};

/// Kept in memory; filled from one buffer; larger than that.
const SIZES: [usize; 3] = [BODY.len(), 1 << 20, 3 << 20];

fn start(settings: &Value) -> World {
    let layout = Layout {
        neighbors: 1,
        pops: 1,
        bucket: BucketKind::R2,
        profile: Some(Profile::Cloudflare),
        ..Layout::default()
    };
    let world = World::start_as(layout, &[]);
    world.edge.cache.set(settings);
    world
}

fn add(world: &World, length: usize) -> String {
    world.origin.homeserver().add(Media::new("image/png", bytes(length)))
}

/// Asks until it is in the bucket, and claims that each answer is right.
fn read_until_in_bucket(world: &World, id: &str, length: usize) {
    let request = get(id, &world.token());
    wait_for(&format!("{length} bytes are in the bucket"), PATIENCE, || {
        assert!(request.send(&world.edge.direct_address).body == bytes(length));
        thread::sleep(Duration::from_millis(300));
        world.edge.stores.object(&content_key(id)).filter(|object| object.body == bytes(length))
    });
}

/// How often the origin sent the whole.
fn bodies(world: &World, id: &str, length: usize) -> usize {
    let asked = world.origin.asked(&download_path(id));
    asked.iter().filter(|asked| asked.answered_bytes == length).count()
}

fn count(world: &World, call: &str) -> u64 {
    world.edge.cache.counts()[call]
}

#[test]
fn the_bucket_fills_though_the_cache_shows_entries_late_or_never() {
    for visible_after_ms in [json!(0), json!(50), json!(500), Value::Null] {
        let world = start(&json!({ "visibleAfterMs": visible_after_ms }));
        for length in SIZES {
            let id = add(&world, length);
            read_until_in_bucket(&world, &id, length);
            let answer = get(&id, &world.token()).send(&world.edge.pop_addresses[0]);
            assert!(answer.body == bytes(length), "{visible_after_ms}");
            assert_eq!(tier(&answer), "bucket", "{visible_after_ms}");
            let sent = bodies(&world, &id, length);
            assert!(sent <= 3, "{visible_after_ms}: the origin sent {length} bytes {sent} times");
        }
        assert_eq!(count(&world, "delete"), 0, "{visible_after_ms}: what can't be seen stays");
    }
}

#[test]
fn memory_fills_though_the_cache_shows_entries_late_or_never() {
    for settings in [json!({ "visibleAfterMs": 500 }), json!({ "visibleAfterMs": null })] {
        let world = start(&settings);
        let id = world.media();
        let request = get(&id, &world.token());
        request.send(&world.edge.direct_address);
        let answer = wait_for_tier("memory", &request, &world.edge.direct_address);
        assert_eq!(answer.body, BODY);
        assert_eq!(bodies(&world, &id, BODY.len()), 1, "{settings}");
    }
}

#[test]
fn a_replacement_is_in_memory_though_the_cache_never_shows_it() {
    let layout = Layout { profile: Some(Profile::Cloudflare), ..Layout::default() };
    let world = World::start_as(layout, &[]);
    world.edge.cache.set(&json!({ "visibleAfterMs": null }));
    let id = world.media();
    let request = get(&id, &world.token());
    request.send(&world.edge.address);
    wait_for_tier("memory", &request, &world.edge.address);
    world.origin.on(&download_path(&id), |call| {
        let is_known = call.head.headers.get("if-none-match") == Some("\"new\"");
        let reply = Reply::new(if is_known { 304 } else { 200 }).header("ETag", "\"new\"");
        let reply =
            reply.header("Content-Type", "image/png").header("Content-Disposition", "inline");
        call.reply(&if is_known { reply } else { reply.body(b"new") })
    });
    assert_eq!(request.send(&world.edge.address).body, b"new");
    wait_until_shown(&world.edge);
    let answer = request.send(&world.edge.address);
    assert_eq!((&answer.body[..], tier(&answer)), (&b"new"[..], "memory"));
    assert_eq!(bodies(&world, &id, 3), 1);
}

#[test]
fn an_entry_that_shows_late_is_served_from_then_on() {
    let world = start(&json!({ "visibleAfterMs": 500 }));
    for length in SIZES {
        let id = add(&world, length);
        let request = get(&id, &world.token());
        request.send(&world.edge.direct_address);
        thread::sleep(Duration::from_secs(1));
        let answer = wait_for_tier("pop", &request, &world.edge.neighbor_address);
        assert!(answer.body == bytes(length));
        assert_eq!(bodies(&world, &id, length), 1, "{length}");
    }
}

#[test]
fn a_large_body_reaches_the_bucket_once_the_cache_shows_it() {
    let world = start(&json!({ "visibleAfterMs": 1_000 }));
    let (id, length) = (add(&world, SIZES[2]), SIZES[2]);
    get(&id, &world.token()).send(&world.edge.direct_address);
    wait_for("it is in the bucket", PATIENCE, || world.edge.stores.object(&content_key(&id)));
    assert_eq!(bodies(&world, &id, length), 1);
}

#[test]
fn memory_and_bucket_serve_though_the_cache_is_off() {
    for off_by in ["access", "development"] {
        let world = start(&json!({ "offBy": off_by }));
        for length in SIZES {
            let id = add(&world, length);
            read_until_in_bucket(&world, &id, length);
            let answer = get(&id, &world.token()).send(&world.edge.direct_address);
            let expected = if length == BODY.len() { "memory" } else { "bucket" };
            assert_eq!(tier(&answer), expected, "{off_by}, {length}");
            assert!(answer.body == bytes(length), "{off_by}");
            let part = get(&id, &world.token()).header("Range", "bytes=100-199");
            let part = part.send(&world.edge.direct_address);
            assert_eq!((part.status, &part.body[..]), (206, &bytes(length)[100..200]));
        }
    }
}

#[test]
fn a_cache_rule_does_not_prevent_hits() {
    let world = start(&json!({ "offBy": "rule" }));
    for length in SIZES {
        let id = add(&world, length);
        let request = get(&id, &world.token());
        request.send(&world.edge.direct_address);
        // Until it is there: what the other isolate fetches itself comes from its memory then.
        thread::sleep(Duration::from_secs(1));
        let answer = wait_for_tier("pop", &request, &world.edge.neighbor_address);
        assert!(answer.body == bytes(length));
    }
}

/// Of those who miss at once the first fills, in vain; the others then ask for themselves.
#[test]
fn readers_do_not_wait_for_a_fill_after_a_failed_one() {
    const READERS: usize = 5;
    // Longer than a request takes to get there, shorter than anyone waits for a fill.
    const TOGETHER: Duration = Duration::from_millis(2_500);
    let world = start(&json!({ "offBy": "access" }));
    let id = add(&world, 600_000);
    let path = download_path(&id);
    let request = get(&id, &world.token());
    world.edge.bucket.set(&json!({ "writeMs": 600_000 }));
    world.edge.stores.remove_object(&content_key(&id));
    request.send(&world.edge.direct_address);
    thread::sleep(Duration::from_secs(1));
    world.edge.stores.remove_object(&content_key(&id));
    world.origin.forget(&path);
    world.origin.on(&path, {
        let barrier = std::sync::Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
        move |call| {
            let (arrived, all) = &*barrier;
            let mut arrived = arrived.lock().expect("unpoisoned");
            *arrived += 1;
            all.notify_all();
            let is_alone = |arrived: &mut usize| *arrived < READERS;
            let waited = all.wait_timeout_while(arrived, TOGETHER, is_alone).expect("unpoisoned");
            if waited.1.timed_out() {
                return call.reply(&Reply::error(500, "M_UNKNOWN", "they come one by one"));
            }
            drop(waited);
            call.reply_by_default()
        }
    });
    let answers: Vec<Answer> = thread::scope(|scope| {
        let asked: Vec<_> = (0..READERS)
            .map(|_| scope.spawn(|| request.send(&world.edge.direct_address)))
            .collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    for answer in answers {
        assert_eq!((answer.status, answer.body.len()), (200, 600_000), "{}", answer.text());
    }
}

#[test]
fn an_entry_that_broke_off_is_removed_on_sight() {
    let world = start(&json!({ "commitsBroken": true }));
    let (id, length) = (add(&world, SIZES[2]), SIZES[2]);
    let path = download_path(&id);
    world.origin.on(&path, move |call| {
        call.receive()?;
        let reply = Reply::new(200).header("ETag", "\"1\"").header("Content-Type", "image/png");
        call.send(reply.head_bytes(length))?;
        call.send(&bytes(length)[..length / 2])?;
        thread::sleep(Duration::from_millis(100));
        Ok(Then::Close)
    });
    let request = get(&id, &world.token());
    assert!(request.try_send(&world.edge.direct_address).is_err(), "it looks complete");
    wait_for("it is removed", PATIENCE, || (count(&world, "delete") > 0).then_some(()));
    world.origin.on(&path, |call| call.reply_by_default());
    read_until_in_bucket(&world, &id, length);
}

#[test]
fn removed_media_is_not_served_though_deletes_are_refused_or_late() {
    for settings in [json!({ "refusesDeleteOf": 1 }), json!({ "deletesAfterMs": 500 })] {
        let world = start(&settings);
        for length in SIZES {
            let id = add(&world, length);
            read_until_in_bucket(&world, &id, length);
            let request = get(&id, &world.token());
            world.origin.homeserver().quarantine(&id);
            for _ in 0..3 {
                for isolate in [&world.edge.direct_address, &world.edge.neighbor_address] {
                    assert_eq!(request.send(isolate).status, 404, "{settings}");
                }
            }
        }
    }
}

#[test]
fn an_evicted_entry_comes_from_the_bucket() {
    let world = start(&json!({ "unreadMs": 3_600_000 }));
    for length in [SIZES[1], SIZES[2]] {
        let id = add(&world, length);
        read_until_in_bucket(&world, &id, length);
        let request = get(&id, &world.token());
        wait_for_tier("pop", &request, &world.edge.direct_address);
        world.edge.cache.pass_ms(3_700_000);
        let answer = request.send(&world.edge.direct_address);
        assert_eq!(tier(&answer), "bucket");
        assert!(answer.body == bytes(length));
        assert_eq!(bodies(&world, &id, length), 1);
    }
}

#[test]
fn a_cache_that_evicts_at_random_serves_the_right_bytes() {
    let world = start(&json!({ "evictsOf": 2 }));
    for length in SIZES {
        let id = add(&world, length);
        let request = get(&id, &world.token());
        let began = now();
        while began.elapsed() < Duration::from_secs(2) {
            for isolate in [&world.edge.direct_address, &world.edge.neighbor_address] {
                assert!(request.send(isolate).body == bytes(length));
            }
        }
    }
}

#[test]
fn a_body_that_the_cache_is_too_small_for_reaches_the_bucket() {
    let world = start(&json!({ "maxBytes": 2 << 20 }));
    let (id, length) = (add(&world, SIZES[2]), SIZES[2]);
    read_until_in_bucket(&world, &id, length);
    assert!(count(&world, "refused") > 0);
    let sent = bodies(&world, &id, length);
    assert!(sent <= 3, "the origin sent it {sent} times");
}
