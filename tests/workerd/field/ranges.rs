//! Parts of media that is not stored: what they cost an origin that serves ranges, and one that does not.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};
use test_support::time::wait_for;

use crate::support::origin::{Call, Origin, Reply, Then};
use crate::support::world::{
    MEDIA_HOST, PATIENCE, World, content_key, download, download_path, federation_path,
    media_domain, tier, wait_for_entry,
};

/// A film that comes at a pace, in parts where its origin serves ranges.
struct Film {
    bytes: Vec<u8>,
    serves_ranges: bool,
    bytes_per_sec: usize,
    /// What was given to sockets.
    sent: AtomicUsize,
}

/// How much is sent at once.
const BLOCK_BYTES: usize = 64 << 10;

/// What a hasty origin sends in a second.
const HASTY: usize = 1 << 30;

impl Film {
    /// Puts a film of so many bytes at a path.
    fn put(
        origin: &Origin,
        path: &str,
        (length, bytes_per_sec): (usize, usize),
        serves_ranges: bool,
    ) -> Arc<Self> {
        let bytes = (0..length).map(|at| (at / 1000) as u8).collect();
        let film =
            Arc::new(Self { bytes, serves_ranges, bytes_per_sec, sent: AtomicUsize::new(0) });
        let served = Arc::clone(&film);
        origin.on(path, move |call| served.answer(call));
        film
    }

    fn answer(&self, call: &mut Call<'_>) -> io::Result<Then> {
        if call.head.headers.get("if-none-match").is_some() {
            return call.reply(&Reply::new(304).header("ETag", "\"film\""));
        }
        call.receive()?;
        let length = self.bytes.len();
        let wanted =
            call.head.headers.get("range").filter(|_| self.serves_ranges).map(str::to_owned);
        let (first, end) = wanted.as_deref().map_or((0, length), |range| bounds(range, length));
        let status = if wanted.is_some() { 206 } else { 200 };
        let mut reply = Reply::new(status)
            .header("Content-Type", "video/mp4")
            .header("Content-Disposition", "inline")
            .header("ETag", "\"film\"");
        if self.serves_ranges {
            reply = reply.header("Accept-Ranges", "bytes");
        }
        if wanted.is_some() {
            reply = reply.header("Content-Range", format!("bytes {first}-{}/{length}", end - 1));
        }
        call.send(reply.head_bytes(end - first))?;
        for block in self.bytes[first..end].chunks(BLOCK_BYTES) {
            call.send(block)?;
            self.sent.fetch_add(block.len(), Ordering::Relaxed);
            sleep(Duration::from_secs_f64(block.len() as f64 / self.bytes_per_sec as f64));
        }
        Ok(Then::KeepOpen)
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn assert_part(&self, answer: &Answer, first: usize, last: usize) {
        assert_eq!(answer.status, 206, "{}", answer.text());
        assert!(answer.body == self.bytes[first..=last], "other bytes");
        let range = format!("bytes {first}-{last}/{}", self.bytes.len());
        assert_eq!(answer.header("content-range"), Some(range.as_str()));
        let length = (last - first + 1).to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()));
    }
}

/// Offsets of the first byte of a range and behind its last.
fn bounds(range: &str, length: usize) -> (usize, usize) {
    let (first, last) = range.strip_prefix("bytes=").and_then(|r| r.split_once('-')).expect("one");
    let number = |digits: &str| digits.parse::<usize>().expect("a number");
    match (first, last) {
        ("", count) => (length - number(count), length),
        (first, "") => (number(first), length),
        (first, last) => (number(first), length.min(number(last) + 1)),
    }
}

fn part(id: &str, token: &str, range: &str) -> Request {
    download(id, token).header("Range", range)
}

/// The ranges that were asked for, one for each request.
fn asked_ranges(world: &World, id: &str) -> Vec<Option<String>> {
    let asked = world.origin.asked(&download_path(id));
    asked.iter().map(|asked| asked.header("range").map(str::to_owned)).collect()
}

/// Asks, reads a little, and leaves.
fn abort_seek(request: &Request, address: &str) {
    let mut incoming = request.open(address).and_then(|c| c.answer()).expect("an answer");
    incoming.body.read_exact(&mut [0; 1000]).expect("its beginning");
    incoming.reset();
}

const FILM_BYTES: usize = 60_000_000;

#[test]
fn seeks_in_an_uncached_film_cost_an_origin_with_ranges_no_more_than_they_bring() {
    let world = World::start();
    let token = world.token();
    let film = Film::put(&world.origin, &download_path("film"), (FILM_BYTES, HASTY), true);
    for (range, first, last) in [
        ("bytes=1000000-1000099", 1_000_000, 1_000_099),
        ("bytes=30000000-30000099", 30_000_000, 30_000_099),
        ("bytes=-100", FILM_BYTES - 100, FILM_BYTES - 1),
    ] {
        film.assert_part(&part("film", &token, range).send(&world.edge.address), first, last);
    }
    assert_eq!(film.sent(), 300);
    assert_eq!(asked_ranges(&world, "film").len(), 3);
}

#[test]
fn a_range_of_a_miss_has_the_headers_of_a_range_of_a_hit() {
    let world = World::start();
    let token = world.token();
    Film::put(&world.origin, &download_path("film"), (3_000_000, HASTY), true);
    let cold = part("film", &token, "bytes=1000-1999").send(&world.edge.address);
    assert_eq!(asked_ranges(&world, "film")[0].as_deref(), Some("bytes=1000-1999"));
    wait_for_entry(&world.edge, MEDIA_HOST, &content_key("film"));
    let warm = wait_for("a hit", PATIENCE, || {
        let answer = part("film", &token, "bytes=1000-1999").send(&world.edge.address);
        (tier(&answer) == "pop").then_some(answer)
    });
    assert!(cold.body == warm.body && cold.status == warm.status);
    for name in [
        "accept-ranges",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "cache-control",
        "content-disposition",
        "content-length",
        "content-range",
        "content-security-policy",
        "content-type",
        "cross-origin-resource-policy",
        "etag",
        "x-content-type-options",
    ] {
        assert_eq!(cold.header(name), warm.header(name), "{name}");
    }
}

#[test]
fn ranges_of_a_small_film_fill_the_cache_with_the_whole_once() {
    let world = World::start();
    let token = world.token();
    let film = Film::put(&world.origin, &download_path("clip"), (8_000_000, 8_000_000), true);
    for seek in 1..=5 {
        let first = 1_000_000 * seek;
        let range = format!("bytes={first}-{}", first + 9);
        film.assert_part(&part("clip", &token, &range).send(&world.edge.address), first, first + 9);
    }
    wait_for_entry(&world.edge, MEDIA_HOST, &content_key("clip"));
    let wholes = asked_ranges(&world, "clip").iter().filter(|range| range.is_none()).count();
    assert_eq!((wholes, film.sent()), (1, 8_000_050));
}

#[test]
fn aborted_seeks_without_range_support_share_one_fill() {
    let world = World::start();
    let token = world.token();
    let film = Film::put(&world.origin, &download_path("film"), (FILM_BYTES, 15_000_000), false);
    abort_seek(&part("film", &token, "bytes=0-"), &world.edge.address);
    let seeks = (1..=5).map(|seek| format!("bytes={}-", 10_000_000 * seek));
    for range in seeks {
        let request = part("film", &token, &range);
        let connection = request.open(&world.edge.address).expect("it is sent");
        sleep(Duration::from_millis(300));
        connection.reset();
    }
    let (first, last) = (FILM_BYTES - 1000, FILM_BYTES - 1);
    let answer = part("film", &token, "bytes=-1000").send(&world.edge.address);
    film.assert_part(&answer, first, last);
    let sent = film.sent();
    assert!(sent <= FILM_BYTES / 10 * 12, "the origin sent {sent} bytes of {FILM_BYTES}");
}

#[test]
fn a_reader_who_still_reads_does_not_block_a_range() {
    let world = World::start();
    let token = world.token();
    let film = Film::put(&world.origin, &download_path("film"), (FILM_BYTES, 10_000_000), false);
    let mut first = download("film", &token)
        .open(&world.edge.address)
        .and_then(|c| c.answer())
        .expect("an answer");
    first.body.read_exact(&mut [0; 1000]).expect("its beginning");
    let answer = part("film", &token, "bytes=5000-5999").send(&world.edge.address);
    film.assert_part(&answer, 5000, 5999);
    first.reset();
}

#[test]
fn a_fill_from_an_origin_with_ranges_is_given_up_when_its_reader_leaves() {
    let world = World::start();
    let token = world.token();
    let film = Film::put(&world.origin, &download_path("film"), (FILM_BYTES, 2_500_000), true);
    abort_seek(&part("film", &token, "bytes=0-"), &world.edge.address);
    wait_for("the origin is let go", Duration::from_secs(10), || {
        (world.origin.open_connections() == 0).then_some(())
    });
    let sent = film.sent();
    assert!(sent < FILM_BYTES / 2, "the origin sent {sent} bytes");
}

#[test]
fn a_host_that_ignored_a_range_is_not_asked_for_one() {
    let world = World::start();
    let token = world.token();
    for id in ["first", "second"] {
        let film = Film::put(&world.origin, &download_path(id), (100_000, HASTY), false);
        let answer = part(id, &token, "bytes=5000-5999").send(&world.edge.address);
        film.assert_part(&answer, 5000, 5999);
    }
    assert_eq!(asked_ranges(&world, "first")[0].as_deref(), Some("bytes=5000-5999"));
    assert_eq!(asked_ranges(&world, "second")[0], None);
}

/// Answers a range by `reply`, and all else by the whole.
fn answer_range(world: &World, id: &str, reply: Reply) {
    let whole = Reply::new(200)
        .header("Content-Type", "video/mp4")
        .header("Content-Disposition", "inline")
        .header("ETag", "\"film\"")
        .body(WHOLE);
    world.origin.on(&download_path(id), move |call| {
        let is_ranged = call.head.headers.get("range").is_some();
        call.reply(if is_ranged { &reply } else { &whole })
    });
}

const WHOLE: [u8; 1000] = [7; 1000];

#[test]
fn a_range_is_cut_from_the_whole_if_its_answer_does_not_fit() {
    let part_of = |range: &str, bytes: usize| {
        let reply = Reply::new(206).header("Content-Type", "video/mp4");
        reply
            .header("Content-Disposition", "inline")
            .header("Content-Range", range)
            .body(vec![9; bytes])
    };
    for (case, reply) in [
        ("another part", part_of("bytes 0-9/1000", 10)),
        ("a longer one", part_of("bytes 10-29/1000", 20)),
        ("a shorter one", part_of("bytes 10-14/1000", 5)),
        ("of unknown length", part_of("bytes 10-19/*", 10)),
        ("of another unit", part_of("lines 10-19/1000", 10)),
        ("a shorter body", part_of("bytes 10-19/1000", 5)),
        ("two ranges", part_of("bytes 10-19/1000", 10).header("Content-Range", "bytes 0-9/1000")),
        ("no range", Reply::new(206).header("Content-Type", "video/mp4").body([9; 10])),
        ("a 416", Reply::new(416).header("Content-Range", "bytes */1000")),
        ("a page", Reply::new(403).header("Content-Type", "text/html").body(b"<html>")),
        ("a bad request", Reply::new(400).header("Content-Type", "text/plain").body(b"no")),
    ] {
        let world = World::start();
        answer_range(&world, "odd", reply);
        let answer = part("odd", &world.token(), "bytes=10-19").send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (206, &WHOLE[10..20]), "{case}");
        assert_eq!(answer.header("content-range"), Some("bytes 10-19/1000"), "{case}");
        assert_eq!(asked_ranges(&world, "odd").len(), 2, "{case}");
    }
}

#[test]
fn a_range_with_another_if_range_is_the_whole() {
    let world = World::start();
    let token = world.token();
    let film = Film::put(&world.origin, &download_path("film"), (100_000, HASTY), true);
    let request = part("film", &token, "bytes=5000-5999").header("If-Range", "\"another\"");
    let answer = request.send(&world.edge.address);
    assert_eq!(answer.status, 200);
    assert!(answer.body == film.bytes);
}

#[test]
fn a_range_with_a_matching_if_none_match_is_a_304() {
    let world = World::start();
    let token = world.token();
    Film::put(&world.origin, &download_path("film"), (40_000_000, HASTY), true);
    let tag = part("film", &token, "bytes=1-1").send(&world.edge.address);
    let tag = tag.header("etag").expect("a tag").to_owned();
    let request = part("film", &token, "bytes=5000-5999").header("If-None-Match", tag);
    let answer = request.send(&world.edge.address);
    assert_eq!((answer.status, answer.body.len()), (304, 0));
}

#[test]
fn a_range_grants_no_lease() {
    let world = World::start_with(&[("LEASE_SECONDS", "600")]);
    let token = world.token();
    Film::put(&world.origin, &download_path("film"), (40_000_000, HASTY), true);
    let request = part("film", &token, "bytes=5000-5999");
    for _ in 0..2 {
        world.assert_asked(&download_path("film"), &request);
    }
}

#[test]
fn a_refused_range_has_the_homeservers_error() {
    let world = World::start();
    let answer = part(&world.media(), "syt_nobody", "bytes=5-9").send(&world.edge.address);
    assert_matrix_error(&answer, 401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_range_is_asked_of_a_redirects_target() {
    let world = World::start();
    let store = Origin::start();
    let film = Film::put(&store, "/film", (FILM_BYTES, HASTY), true);
    let location = format!("{}/film?signature=1", store.url());
    world.origin.on(&download_path("film"), move |call| {
        call.reply(&Reply::new(307).header("Location", &location))
    });
    let answer = part("film", &world.token(), "bytes=30000000-30000099").send(&world.edge.address);
    film.assert_part(&answer, 30_000_000, 30_000_099);
    let asked = store.asked_once("/film");
    assert_eq!(asked.header("range"), Some("bytes=30000000-30000099"));
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(film.sent(), 100);
}

#[test]
fn servers_get_no_ranges() {
    let world = World::start();
    let id = world.media();
    let request = media_domain("GET", federation_path(&id)).header("Range", "bytes=5-9");
    let answer = request.header("Authorization", "X-Matrix a").send(&world.edge.address);
    assert_ne!(answer.status, 206);
    let asked = world.origin.asked(&federation_path(&id));
    assert!(asked.iter().all(|asked| asked.header("range").is_none()));
}
