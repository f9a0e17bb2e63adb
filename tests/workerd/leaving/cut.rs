//! Background work that the platform cuts off in the middle, without a word to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use test_support::edge::Layout;
use test_support::http::Request;
use test_support::time::{now, wait_for};

use super::video;
use crate::support::origin::{Media, Reply, Then};
use crate::support::world::{
    BODY, MEDIA_HOST, PATIENCE, World, content_key, download, download_path, entry_name, is_hit,
    tier,
};

/// After how long it is cut off here.
const CUT_MS: u32 = 1_500;

const LARGE_BYTES: usize = 8 << 20;

fn start(vars: &[(&str, &str)]) -> World {
    let layout = Layout { cuts_background_ms: Some(CUT_MS), ..Layout::default() };
    World::start_as(layout, vars)
}

/// How often the origin was asked for the whole.
fn fetches(world: &World, id: &str) -> usize {
    let asked = world.origin.asked(&download_path(id));
    asked.iter().filter(|asked| asked.header("if-none-match").is_none()).count()
}

#[test]
fn work_that_ends_in_time_is_done() {
    let world = start(&[]);
    let (id, token) = (world.stored_media(), world.token());
    let answer = download(&id, &token).send(&world.edge.direct_address);
    assert_eq!((answer.status, &answer.body[..], tier(&answer)), (200, BODY, "memory"));
}

/// The fill is of a reader who has left, and its origin never answers.
#[test]
fn readers_stop_waiting_for_a_fill_that_was_cut_off() {
    let world = start(&[]);
    let (id, first) = (world.media(), world.token());
    let path = download_path(&id);
    let hung = format!("Bearer {first}");
    world.origin.on(&path, move |call| {
        match call.head.headers.get("authorization") == Some(&hung) {
            true => call.wait_for_end(),
            false => call.reply_by_default(),
        }
    });
    let connection = download(&id, &first).open(&world.edge.direct_address).expect("it is sent");
    wait_for("the first is asked about", PATIENCE, || world.origin.asked(&path).pop());
    connection.reset();
    wait_for("it is cut off", PATIENCE, || (world.origin.open_connections() == 0).then_some(()));
    // Its last sign of life is no older than that.
    sleep(Duration::from_millis(5_000));
    let asked = now();
    let answer = download(&id, &world.token()).send(&world.edge.direct_address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert!(asked.elapsed() < Duration::from_millis(2_500), "it waited {:?}", asked.elapsed());
}

#[test]
fn a_renewal_that_was_cut_off_is_repeated_by_the_next_reader() {
    let world = start(&[("LEASE_SECONDS", "40")]);
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    let request = download(&id, &token);
    let ask = || request.send(&world.edge.direct_address);
    wait_for("the lease", PATIENCE, || is_hit(&ask()).then_some(()));
    world.origin.on(&path, |call| call.wait_for_end());
    world.origin.forget(&path);
    let hit = || assert!(is_hit(&ask()), "the lease has ended");
    // It is renewed in its last quarter.
    let began = now();
    while world.origin.asked(&path).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(40), "it was not renewed");
        hit();
        sleep(Duration::from_millis(50));
    }
    world.origin.on(&path, |call| call.reply_by_default());
    wait_for("a renewal begins again", Duration::from_secs(10), || {
        hit();
        (world.origin.asked(&path).len() > 1).then_some(())
    });
}

/// It takes longer than the platform lets background work go on.
#[test]
fn a_large_body_that_comes_slowly_is_stored_by_a_client_who_reads_it_whole() {
    let world = start(&[]);
    let token = world.token();
    let id = world.origin.homeserver().add(Media::new("video/mp4", vec![5; LARGE_BYTES]));
    world.origin.on(&download_path(&id), |call| {
        let reply = call.default_reply()?;
        if call.head.headers.get("if-none-match").is_some() {
            return call.reply(&reply);
        }
        call.send(reply.head_bytes(reply.bytes().len()))?;
        for block in reply.bytes().chunks(LARGE_BYTES / 32) {
            call.send(block)?;
            sleep(Duration::from_millis(u64::from(CUT_MS) / 8));
        }
        Ok(Then::KeepOpen)
    });
    let answer = download(&id, &token).send(&world.edge.direct_address);
    assert_eq!((answer.status, answer.body.len()), (200, LARGE_BYTES));
    let answer = wait_for("it is stored", PATIENCE, || {
        // The local cache keeps the beginning of a body that breaks off.
        let part = download(&id, &token).header("Range", "bytes=-5");
        let answer = part.send(&world.edge.direct_address);
        (tier(&answer) == "pop").then_some(answer)
    });
    assert_eq!((answer.status, &answer.body[..]), (206, &[5; 5][..]));
}

/// What is left after a seek would not come in time.
#[test]
fn a_client_who_seeks_and_leaves_costs_the_origin_no_more_than_they_read() {
    let world = World::start();
    let token = world.token();
    let body = vec![5; 64 << 20];
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let reply = video(body);
    world.origin.on(&download_path("film"), move |call| {
        call.receive()?;
        call.send(reply.head_bytes(reply.bytes().len()))?;
        for block in reply.bytes().chunks(64 << 10) {
            call.send(block)?;
            counted.fetch_add(block.len(), Ordering::Relaxed);
            // 6 MB/s, which all of it takes 10 s at.
            sleep(Duration::from_millis(10));
        }
        Ok(Then::KeepOpen)
    });
    for seek in 0..4 {
        let first = 1_000_000 * seek;
        let request =
            download("film", &token).header("Range", format!("bytes={first}-{}", first + 99_999));
        let answer = request.send(&world.edge.direct_address);
        assert_eq!((answer.status, answer.body.len()), (206, 100_000));
    }
    wait_for("the origin is let go", Duration::from_secs(3), || {
        (world.origin.open_connections() == 0).then_some(())
    });
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 24 << 20, "the origin sent {sent} bytes for 400,000");
}

#[test]
fn ranges_of_one_body_fill_the_cache_once_at_a_time() {
    let world = World::start();
    let token = world.token();
    let body = vec![5; 8 << 20];
    let (whole, broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = [Arc::clone(&whole), Arc::clone(&broken)];
    let reply = video(body);
    world.origin.on(&download_path("clip"), move |call| {
        if call.head.headers.get("if-none-match").is_some() {
            return call.reply(&Reply::new(304).header("ETag", "1"));
        }
        call.receive()?;
        call.send(reply.head_bytes(reply.bytes().len()))?;
        for block in reply.bytes().chunks(256 << 10) {
            if let Err(error) = call.send(block) {
                counted[1].fetch_add(1, Ordering::Relaxed);
                return Err(error);
            }
            sleep(Duration::from_millis(60));
        }
        counted[0].fetch_add(1, Ordering::Relaxed);
        Ok(Then::KeepOpen)
    });
    let part = |first: usize| -> Request {
        download("clip", &token).header("Range", format!("bytes={first}-{}", first + 9))
    };
    thread::scope(|scope| {
        for seek in 0..5 {
            let request = part(100 * seek);
            let address = &world.edge.direct_address;
            scope.spawn(move || assert_eq!(request.send(address).status, 206));
            sleep(Duration::from_millis(100));
        }
    });
    wait_for("it is stored", PATIENCE, || {
        let name = entry_name(MEDIA_HOST, &content_key("clip"));
        world.edge.stores.try_entry(&name).ok().flatten()
    });
    let fetches = fetches(&world, "clip");
    wait_for("all have ended", PATIENCE, || {
        let ended = whole.load(Ordering::Relaxed) + broken.load(Ordering::Relaxed);
        (ended == fetches).then_some(())
    });
    assert_eq!(whole.load(Ordering::Relaxed), 1, "it was sent whole more than once");
}
