//! However many small bodies come through, an isolate holds no more of them than the admin allows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use test_support::edge::Layout;
use test_support::http::Request;

use crate::support::origin::Reply;
use crate::support::world::{World, media_domain, tier};

/// Together far more than may stay, and than the runtime lets lie about until it collects it.
const BODIES: usize = 1_000;
const BODY_BYTES: usize = 256 << 10;

const MEMORY_MIB: u64 = 8;

/// What an isolate may hold beside what it keeps, in bytes: the runtime's own, and what is under way.
const ALLOWED_BESIDE_BYTES: u64 = 4 << 20;

const READERS: usize = 4;

fn start(memory_mib: u64) -> (World, String) {
    let memory_mib = memory_mib.to_string();
    let layout = Layout { is_inspected: true, ..Layout::default() };
    let vars = [("MEMORY_CACHE_MIB", memory_mib.as_str()), ("LEASE_SECONDS", "600")];
    let world = World::start_as(layout, &vars);
    for number in 0..=BODIES {
        world.origin.on(&path(number), |call| {
            let is_known = call.head.headers.get("if-none-match") == Some("1");
            let reply = Reply::new(if is_known { 304 } else { 200 })
                .header("ETag", "1")
                .header("Content-Disposition", "inline");
            call.reply(&reply.header("Content-Type", "image/png").body([3; BODY_BYTES]))
        });
    }
    let token = world.token();
    (world, token)
}

/// The path of the thumbnails of one of many media: those of one share their places in a store.
fn path(number: usize) -> String {
    format!("/_matrix/client/v1/media/thumbnail/example.com/many{number}")
}

fn thumbnail(number: usize, token: &str) -> Request {
    let target = format!("{}?width=320&height=240&method=scale", path(number));
    media_domain("GET", target).bearer(token)
}

/// Asks for all once. Says how many came from a store.
fn read_all(world: &World, token: &str) -> usize {
    let (next, stored) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let read = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= BODIES {
            return;
        }
        let answer = thumbnail(number, token).send(&world.edge.direct_address);
        assert_eq!((answer.status, answer.body.len()), (200, BODY_BYTES));
        stored.fetch_add(usize::from(!tier(&answer).is_empty()), Ordering::Relaxed);
    };
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(read);
        }
    });
    stored.into_inner()
}

/// By how much the isolate holds more, garbage collected, when all has been stored and read again.
fn growth_bytes(memory_mib: u64) -> u64 {
    let (world, token) = start(memory_mib);
    let warm = thumbnail(BODIES, &token).send(&world.edge.direct_address);
    assert_eq!(warm.body.len(), BODY_BYTES);
    let before = world.edge.held().total();
    assert_eq!(read_all(&world, &token), 0);
    let stored = read_all(&world, &token);
    assert!(stored > BODIES * 9 / 10, "only {stored} came from a store");
    world.edge.held().total().saturating_sub(before)
}

#[test]
fn many_small_bodies_take_no_more_memory_than_the_admin_allows() {
    for memory_mib in [0, MEMORY_MIB] {
        let growth = growth_bytes(memory_mib);
        println!("with {memory_mib} MiB allowed the isolate holds {} KiB more", growth >> 10);
        let allowed = memory_mib << 20;
        assert!(growth < allowed + ALLOWED_BESIDE_BYTES, "{growth} bytes");
        assert!(growth >= allowed / 2, "hardly any is kept: {growth} bytes");
    }
}
