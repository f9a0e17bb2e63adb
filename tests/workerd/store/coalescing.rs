//! Many who miss the same small body at once cost the origin about one; each still has a
//! permission of their own.

use std::sync::Barrier;
use std::thread::{self, sleep};
use std::time::Duration;

use test_support::http::{Answer, Request};
use test_support::time::{now, wait_for};

use crate::support::origin::{Media, Origin, Reply};
use crate::support::world::{BODY, PATIENCE, World, download, download_path, media_domain, shared};

/// What the origin takes for an answer.
const DELAY: Duration = Duration::from_millis(300);

const QUERY: &str = "width=96&height=96&method=crop";

fn thumbnail_path(id: &str) -> String {
    format!("/_matrix/client/v1/media/thumbnail/example.com/{id}")
}

fn thumbnail(id: &str, token: &str) -> Request {
    media_domain("GET", format!("{}?{QUERY}", thumbnail_path(id))).bearer(token)
}

fn delay(world: &World, path: &str) {
    world.origin.on(path, |call| {
        sleep(DELAY);
        call.reply_by_default()
    });
}

/// Sends all at once, and gives their answers in order.
fn send_at_once(world: &World, requests: &[Request]) -> Vec<Answer> {
    let barrier = Barrier::new(requests.len());
    let send = |request: &Request| {
        barrier.wait();
        request.send(&world.edge.direct_address)
    };
    thread::scope(|scope| {
        let sent: Vec<_> = requests.iter().map(|r| scope.spawn(|| send(r))).collect();
        sent.into_iter().map(|answer| answer.join().expect("an answer")).collect()
    })
}

/// How often the origin sent the whole.
fn fetches(origin: &Origin, path: &str) -> usize {
    origin.asked(path).iter().filter(|a| a.header("if-none-match").is_none()).count()
}

#[test]
fn fifty_concurrent_misses_cost_the_origin_at_most_five_fetches() {
    let world = shared();
    let id = world.media();
    let path = thumbnail_path(&id);
    delay(world, &path);
    let tokens: Vec<String> = (0..50).map(|_| world.token()).collect();
    let requests: Vec<Request> = tokens.iter().map(|token| thumbnail(&id, token)).collect();
    for answer in send_at_once(world, &requests) {
        assert_eq!((answer.status, answer.text().as_str()), (200, QUERY));
    }
    assert!(fetches(&world.origin, &path) <= 5, "{}", fetches(&world.origin, &path));
    let asked = world.origin.asked(&path);
    for token in &tokens {
        let own = format!("Bearer {token}");
        let count = asked.iter().filter(|a| a.header("authorization") == Some(&own)).count();
        assert_eq!(count, 1, "each was asked about");
    }
}

#[test]
fn unknown_tokens_among_concurrent_readers_are_refused() {
    let world = shared();
    let id = world.media();
    let path = thumbnail_path(&id);
    delay(world, &path);
    let is_stranger = |i: usize| i.is_multiple_of(10);
    let tokens: Vec<String> =
        (0..50).map(|i| if is_stranger(i) { format!("syt_x{i}") } else { world.token() }).collect();
    let requests: Vec<Request> = tokens.iter().map(|token| thumbnail(&id, token)).collect();
    for (i, answer) in send_at_once(world, &requests).iter().enumerate() {
        assert_eq!(answer.status, if is_stranger(i) { 401 } else { 200 }, "{}", answer.text());
        assert_eq!(answer.text() == QUERY, !is_stranger(i));
    }
    let sent = world.origin.asked(&path);
    let sent = sent.iter().filter(|a| a.answered_bytes == QUERY.len()).count();
    assert!(sent <= 5, "the origin sent the whole {sent} times");
}

#[test]
fn an_unknown_token_that_comes_first_does_not_prevent_coalescing() {
    let world = shared();
    let id = world.media();
    let path = thumbnail_path(&id);
    delay(world, &path);
    let tokens: Vec<String> = (0..49).map(|_| world.token()).collect();
    let requests: Vec<Request> = tokens.iter().map(|token| thumbnail(&id, token)).collect();
    thread::scope(|scope| {
        let first = scope.spawn(|| thumbnail(&id, "syt_nobody").send(&world.edge.direct_address));
        wait_for("the first is asked about", PATIENCE, || world.origin.asked(&path).pop());
        for answer in send_at_once(world, &requests) {
            assert_eq!((answer.status, answer.text().as_str()), (200, QUERY));
        }
        assert_eq!(first.join().expect("an answer").status, 401);
    });
    let fetches = fetches(&world.origin, &path);
    assert!(fetches <= 6, "the origin was asked for the whole {fetches} times");
}

#[test]
fn readers_do_not_wait_for_a_large_body() {
    let world = shared();
    let large = vec![5; 3 << 20];
    let id = world.origin.homeserver().add(Media::new("video/mp4", &large));
    let path = download_path(&id);
    world.origin.on(&path, move |call| {
        call.receive()?;
        let head = Reply::new(200)
            .header("Content-Type", "video/mp4")
            .header("Content-Disposition", "inline")
            .header("ETag", "1");
        call.send(head.head_bytes(large.len()))?;
        let (first, rest) = large.split_at(1 << 20);
        call.send(first)?;
        sleep(Duration::from_secs(2));
        call.send(rest)?;
        Ok(crate::support::origin::Then::KeepOpen)
    });
    let token = world.token();
    thread::scope(|scope| {
        let first = scope.spawn(|| download(&id, &token).send(&world.edge.direct_address));
        sleep(Duration::from_millis(300));
        let asked = now();
        let connection = download(&id, &token).open(&world.edge.direct_address);
        let second = connection.and_then(|c| c.answer()).expect("an answer");
        assert!(asked.elapsed() < Duration::from_secs(1), "it waited {:?}", asked.elapsed());
        assert_eq!(second.read().expect("its body").body.len(), 3 << 20);
        assert_eq!(first.join().expect("an answer").body.len(), 3 << 20);
    });
}

#[test]
fn readers_do_not_wait_long_for_an_origin_that_hangs() {
    let world = shared();
    let id = world.media();
    let path = download_path(&id);
    let hung = world.token();
    world.origin.on(&path, {
        let hung = format!("Bearer {hung}");
        move |call| match call.head.headers.get("authorization") == Some(&hung) {
            true => call.wait_for_end(),
            false => call.reply_by_default(),
        }
    });
    let _first = download(&id, &hung).open(&world.edge.direct_address).expect("it can be sent");
    wait_for("the first is asked about", PATIENCE, || world.origin.asked(&path).pop());
    let asked = now();
    let answer = download(&id, &world.token()).send(&world.edge.direct_address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert!(asked.elapsed() < Duration::from_secs(5), "it waited {:?}", asked.elapsed());
}

#[test]
fn a_reader_who_leaves_does_not_delay_others() {
    let world = shared();
    let id = world.media();
    let path = download_path(&id);
    delay(world, &path);
    let first = download(&id, &world.token()).open(&world.edge.direct_address);
    let first = first.expect("it can be sent");
    wait_for("the first is asked about", PATIENCE, || world.origin.asked(&path).pop());
    first.reset();
    let asked = now();
    let answer = download(&id, &world.token()).send(&world.edge.direct_address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert!(asked.elapsed() < Duration::from_secs(2), "it waited {:?}", asked.elapsed());
    assert_eq!(fetches(&world.origin, &path), 1, "what the first asked for is stored");
}

#[test]
fn a_fill_that_fails_does_not_delay_others() {
    let world = shared();
    for (i, reply) in [
        Reply::error(500, "M_UNKNOWN", "Internal server error"),
        Reply::error(404, "M_NOT_FOUND", "Not found"),
        Reply::new(200).header("Cache-Control", "no-store").header("ETag", "1").body(BODY),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("failedFill{i}");
        world.origin.on(&download_path(&id), move |call| {
            sleep(DELAY);
            call.reply(&reply)
        });
        let asked = now();
        let requests: Vec<Request> = (0..10).map(|_| download(&id, &world.token())).collect();
        let answers = send_at_once(world, &requests);
        let status = answers[0].status;
        assert!(answers.iter().all(|answer| answer.status == status));
        assert!(asked.elapsed() < Duration::from_millis(2500), "{:?}", asked.elapsed());
    }
}

#[test]
fn readers_of_ranges_share_a_fill() {
    let world = shared();
    let id = world.media();
    let path = download_path(&id);
    delay(world, &path);
    let requests: Vec<Request> = (0..20)
        .map(|i| download(&id, &world.token()).header("Range", format!("bytes={i}-{i}")))
        .collect();
    for (i, answer) in send_at_once(world, &requests).iter().enumerate() {
        assert_eq!((answer.status, &answer.body[..]), (206, &BODY[i..=i]));
    }
    assert!(fetches(&world.origin, &path) <= 5);
}
