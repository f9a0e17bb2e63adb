//! An origin that is down for a while: whom `STALE_IF_ERROR_SECONDS` is for reads on without waiting
//! for it, nobody else reads anything, and when it comes back it is not met by all of them at once.
//!
//! One test waits for a minute. Tests start in the order of their names, and it must not be among the last.

use std::sync::Barrier;
use std::thread::{self, sleep};
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};
use test_support::time::{now, wait_for};

use crate::support::origin::{Call, Reply, Then};
use crate::support::world::{BODY, PATIENCE, World, download, download_path, wait_until_shown};

const PROBED: &str = "/_matrix/client/v3/account/whoami";

/// Far less than the edge waits for an origin that says nothing, but a busy machine's time.
const AT_ONCE: Duration = Duration::from_millis(1_500);

fn start() -> World {
    World::start_with(&[("STALE_IF_ERROR_SECONDS", "600")])
}

/// Stored media, and so many who have read it.
fn readers(world: &World, count: usize) -> (String, Vec<Request>) {
    let id = world.stored_media();
    let readers: Vec<_> = (0..count).map(|_| download(&id, &world.token())).collect();
    for reader in &readers {
        assert_eq!(reader.send(&world.edge.direct_address).status, 200);
    }
    wait_until_shown(&world.edge);
    (id, readers)
}

fn is_stale(answer: &Answer) -> bool {
    let status = answer.header("cache-status").unwrap_or_default();
    answer.status == 200 && answer.body == BODY && status.ends_with("; detail=stale-if-error")
}

/// Has the origin fail for these media, and for probes.
fn fall(world: &World, id: &str, fail: fn(&mut Call<'_>) -> std::io::Result<Then>) {
    for path in [&download_path(id), PROBED] {
        world.origin.on(path, fail);
        world.origin.forget(path);
    }
}

fn rise(world: &World, id: &str) {
    for path in [&download_path(id), PROBED] {
        world.origin.on(path, |call| call.reply_by_default());
        world.origin.forget(path);
    }
}

fn answer_with_502(call: &mut Call<'_>) -> std::io::Result<Then> {
    call.reply(&Reply::new(502).body("Bad Gateway"))
}

/// Asks until the edge answers without a question.
fn wait_until_known(world: &World, id: &str, reader: &Request) {
    wait_for("the edge knows", PATIENCE, || {
        world.origin.forget(&download_path(id));
        assert!(is_stale(&reader.send(&world.edge.direct_address)));
        world.origin.asked(&download_path(id)).is_empty().then_some(())
    });
    world.origin.forget(PROBED);
}

/// Sends all at once, and says how long the slowest took.
fn send_at_once(world: &World, readers: &[Request]) -> (Vec<Answer>, Duration) {
    let barrier = Barrier::new(readers.len());
    let began = now();
    let answers = thread::scope(|scope| {
        let send = |reader: &Request| {
            barrier.wait();
            reader.send(&world.edge.direct_address)
        };
        let sent: Vec<_> = readers.iter().map(|reader| scope.spawn(move || send(reader))).collect();
        sent.into_iter().map(|answer| answer.join().expect("an answer")).collect()
    });
    (answers, began.elapsed())
}

#[test]
fn concurrent_readers_cost_the_origin_a_probe_or_two() {
    let world = start();
    let (id, readers) = readers(&world, 200);
    fall(&world, &id, answer_with_502);
    wait_until_known(&world, &id, &readers[0]);
    for _ in 0..3 {
        let (answers, _) = send_at_once(&world, &readers);
        assert!(answers.iter().all(is_stale));
        sleep(Duration::from_millis(500));
    }
    assert_eq!(world.origin.asked(&download_path(&id)).len(), 0, "readers' questions");
    let probes = world.origin.asked(PROBED);
    assert!(probes.len() <= 4, "{} probes", probes.len());
    assert!(probes.iter().all(|probe| probe.header("authorization").is_none()));

    rise(&world, &id);
    wait_for("it is asked again", PATIENCE, || {
        let (answers, _) = send_at_once(&world, &readers[..50]);
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == BODY));
        let asked = world.origin.asked(&download_path(&id)).len();
        assert!(asked == 0 || world.origin.asked(PROBED).len() == 1, "a probe comes first");
        answers.iter().all(|answer| !is_stale(answer)).then_some(())
    });
    world.origin.forget(&download_path(&id));
    let (answers, _) = send_at_once(&world, &readers[..50]);
    assert!(!answers.iter().any(is_stale));
    assert_eq!(world.origin.asked(&download_path(&id)).len(), 50, "each is asked about");
}

#[test]
fn readers_do_not_wait_for_an_origin_that_is_known_to_be_silent() {
    let world = start();
    let (id, readers) = readers(&world, 20);
    fall(&world, &id, |call| call.wait_for_end());
    // Ten seconds for the question, and four and a half for the probe that makes it known.
    let asked = now();
    assert!(is_stale(&readers[0].send(&world.edge.direct_address)));
    let took = asked.elapsed();
    assert!((Duration::from_secs(14)..PATIENCE).contains(&took), "{took:?}");
    for _ in 0..8 {
        let (answers, took) = send_at_once(&world, &readers);
        assert!(answers.iter().all(is_stale));
        assert!(took < AT_ONCE, "{took:?}");
        sleep(Duration::from_millis(700));
    }
}

#[test]
fn media_that_fails_alone_is_asked_for_each_time() {
    let world = start();
    let (id, readers) = readers(&world, 2);
    world.origin.on(&download_path(&id), answer_with_502);
    world.origin.forget(&download_path(&id));
    for count in 1..=10 {
        assert_eq!(readers[count % 2].send(&world.edge.direct_address).status, 502);
        assert_eq!(world.origin.asked(&download_path(&id)).len(), count);
    }
}

#[test]
fn accepted_readers_alone_read_through_a_minute_of_outage() {
    let world = start();
    let (id, mut readers) = readers(&world, 3);
    let revoked_token = world.token();
    let revoked = download(&id, &revoked_token);
    assert_eq!(revoked.send(&world.edge.direct_address).status, 200);
    world.origin.homeserver().log_out(&revoked_token);
    assert_eq!(revoked.send(&world.edge.direct_address).status, 401);
    let strangers = [revoked, download(&id, &world.token()), download(&id, "syt_nobody")];
    world.origin.stop();
    let began = now();
    while began.elapsed() < Duration::from_secs(60) {
        for reader in &readers {
            let asked = now();
            assert!(is_stale(&reader.send(&world.edge.direct_address)));
            assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
        }
        for stranger in &strangers {
            assert_matrix_error(&stranger.send(&world.edge.direct_address), 502, "M_UNKNOWN");
        }
        readers.rotate_left(1);
        sleep(Duration::from_millis(500));
    }
    world.origin.come_back();
    let began = now();
    wait_for("it is asked again", PATIENCE, || {
        let answer = readers[0].send(&world.edge.direct_address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        (!is_stale(&answer)).then_some(())
    });
    println!("it was asked again after {:?}", began.elapsed());
    for (stranger, status) in strangers.iter().zip([401, 200, 401]) {
        assert_eq!(stranger.send(&world.edge.direct_address).status, status);
    }
}
