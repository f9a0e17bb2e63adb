//! Byte ranges, which no homeserver serves and every video player asks for: the same from what is
//! stored and from an origin that sends the whole.

use std::io::Read;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};
use test_support::time::wait_for;

use crate::support::origin::{Media, Reply, Then};
use crate::support::world::{BODY, PATIENCE, World, download, download_path, media_domain, shared};

/// Media that the edge has stored, and media that it has never seen.
fn hit_and_miss(world: &World) -> [String; 2] {
    [world.stored_media(), world.media()]
}

fn ask(world: &World, id: &str, range: &str) -> Answer {
    download(id, &world.token()).header("Range", range).send(&world.edge.address)
}

#[track_caller]
fn assert_part(answer: &Answer, first: usize, last: usize) {
    assert_eq!(answer.status, 206, "{}", answer.text());
    assert_eq!(answer.body, &BODY[first..=last]);
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    let range = format!("bytes {first}-{last}/256");
    assert_eq!(answer.header("content-range"), Some(range.as_str()));
    assert_eq!(answer.header("content-type"), Some("image/png"));
}

#[track_caller]
fn assert_whole(answer: &Answer) {
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    assert_eq!(answer.header("content-range"), None);
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
}

#[test]
fn one_range_is_exactly_its_bytes() {
    let world = shared();
    for (field, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-199", 100, 199),
        ("bytes=255-255", 255, 255),
        ("bytes=200-", 200, 255),
        ("bytes=0-", 0, 255),
        ("bytes=-56", 200, 255),
        ("bytes=-256", 0, 255),
        ("bytes=-9999", 0, 255),
        ("bytes=250-9999", 250, 255),
        ("BYTES=1-2", 1, 2),
        ("bytes=250-18446744073709551616", 250, 255),
        ("bytes=250-99999999999999999999999999999999", 250, 255),
        ("bytes=-18446744073709551616", 0, 255),
    ] {
        for id in hit_and_miss(world) {
            assert_part(&ask(world, &id, field), first, last);
        }
    }
}

#[test]
fn a_range_beyond_the_end_is_a_416_with_the_length() {
    let world = shared();
    for field in [
        "bytes=256-",
        "bytes=256-300",
        "bytes=-0",
        "bytes=9223372036854775808-",
        "bytes=18446744073709551615-18446744073709551615",
        "bytes=18446744073709551616-99999999999999999999999999999999",
    ] {
        for id in hit_and_miss(world) {
            let answer = ask(world, &id, field);
            assert_eq!((answer.status, answer.body.len()), (416, 0), "{field}");
            assert_eq!(answer.header("content-range"), Some("bytes */256"), "{field}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        }
    }
}

#[test]
fn several_ranges_and_malformed_ones_are_the_whole() {
    let world = shared();
    let thousand: Vec<String> = (0..1000).map(|i| format!("{i}-{i}")).collect();
    let thousand = format!("bytes={}", thousand.join(","));
    for field in [
        "bytes=0-1,4-5",
        "bytes=0-1, 0-1",
        "bytes=9-1",
        "bytes=a-b",
        "bytes=-",
        "bytes=",
        "bytes",
        "",
        "lines=0-1",
        "0-1",
        "bytes=+0-1",
        "bytes=--1",
        "bytes=0x0-0x1",
        "bytes=0-1;q=1",
        &thousand,
    ] {
        for id in hit_and_miss(world) {
            assert_whole(&ask(world, &id, field));
        }
    }
}

#[test]
fn two_range_headers_are_the_whole() {
    let world = shared();
    for id in hit_and_miss(world) {
        let request = download(&id, &world.token()).header("Range", "bytes=0-1");
        assert_whole(&request.header("Range", "bytes=4-5").send(&world.edge.address));
    }
}

#[test]
fn the_whole_is_stored_after_a_miss_for_a_range() {
    let world = shared();
    for field in ["bytes=0-0", "bytes=100-109", "bytes=-1", "bytes=0-", "bytes=999-"] {
        let (id, token) = (world.media(), world.token());
        let answer = ask(world, &id, field);
        assert!(matches!(answer.status, 206 | 416));
        // A homeserver that is not known yet may have been asked for the part before.
        let asked = world.origin.asked(&download_path(&id)).pop().expect("it is asked");
        assert_eq!((asked.header("range"), asked.answered_bytes), (None, BODY.len()), "{field}");
        wait_for("the whole is stored", PATIENCE, || {
            world.origin.forget(&download_path(&id));
            let head = media_domain("HEAD", download_path(&id)).bearer(&token);
            head.send(&world.edge.address);
            world.origin.asked_once(&download_path(&id)).header("if-none-match").map(drop)
        });
        world.origin.forget(&download_path(&id));
        assert_whole(&download(&id, &token).send(&world.edge.address));
        assert_eq!(world.origin.asked_once(&download_path(&id)).answered_bytes, 0);
    }
}

#[test]
fn if_range_is_honoured_for_the_edges_strong_tag_alone() {
    let world = shared();
    let whole = download(&world.stored_media(), &world.token()).send(&world.edge.address);
    let another = whole.header("etag").expect("a tag").to_owned();
    for id in hit_and_miss(world) {
        let tag = {
            let head = media_domain("HEAD", download_path(&id)).bearer(&world.token());
            head.send(&world.edge.address).header("etag").expect("a tag").to_owned()
        };
        let ask = |if_range: &str| {
            let request = download(&id, &world.token()).header("Range", "bytes=8-15");
            request.header("If-Range", if_range).send(&world.edge.address)
        };
        for other in [
            &format!("W/{tag}"),
            &another,
            "1",
            "\"1\"",
            "*",
            &format!("{tag}, {tag}"),
            "Mon, 01 Jan 2035 00:00:00 GMT",
        ] {
            assert_whole(&ask(other));
        }
        assert_part(&ask(&tag), 8, 15);
    }
}

#[test]
fn if_none_match_takes_precedence_over_range() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let request = download(&id, &token).header("Range", "bytes=8-15");
    let answer = request.clone().header("If-None-Match", "*").send(&world.edge.address);
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    let answer = request.header("If-None-Match", "\"other\"").send(&world.edge.address);
    assert_part(&answer, 8, 15);
}

#[test]
fn head_has_no_ranges() {
    let world = shared();
    for id in hit_and_miss(world) {
        let head = media_domain("HEAD", download_path(&id)).bearer(&world.token());
        for field in ["bytes=8-15", "bytes=999-"] {
            let answer = head.clone().header("Range", field).send(&world.edge.address);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-length"), Some("256"));
            assert_eq!(answer.header("accept-ranges"), Some("bytes"));
            assert_eq!(answer.header("content-range"), None);
        }
    }
}

#[test]
fn browsers_may_ask_for_ranges_and_read_the_answer() {
    let world = shared();
    let has = |answer: &Answer, field: &str, names: &[&str]| {
        for name in names {
            assert!(answer.headers.has_member(field, name), "{field}: {name}");
        }
    };
    let answer = ask(world, &world.stored_media(), "bytes=0-9");
    let readable = ["Content-Range", "Accept-Ranges", "ETag", "Content-Length"];
    has(&answer, "access-control-expose-headers", &readable);
    let preflight = media_domain("OPTIONS", download_path("any"))
        .header("Origin", "https://app.example.com")
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization,range,if-none-match,if-range");
    let answer = preflight.send(&world.edge.address);
    assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
    let allowed = ["Range", "If-None-Match", "If-Range", "Authorization"];
    has(&answer, "access-control-allow-headers", &allowed);
}

#[test]
fn a_refused_reader_gets_no_range() {
    let world = shared();
    for id in hit_and_miss(world) {
        for field in ["bytes=0-9", "bytes=999-", "bytes=0-1,2-3"] {
            let request = download(&id, "syt_nobody").header("Range", field);
            let answer = request.send(&world.edge.address);
            assert_matrix_error(&answer, 401, "M_UNKNOWN_TOKEN");
            assert_eq!(answer.header("content-range"), None);
        }
        world.origin.homeserver().quarantine(&id);
        assert_matrix_error(&ask(world, &id, "bytes=0-9"), 404, "M_NOT_FOUND");
    }
}

#[test]
fn an_empty_file_has_no_range() {
    let world = shared();
    let id = world.origin.homeserver().add(Media::new("image/png", b""));
    let answer = ask(world, &id, "bytes=0-");
    assert_eq!(answer.status, 416);
    assert_eq!(answer.header("content-range"), Some("bytes */0"));
    assert_eq!(download(&id, &world.token()).send(&world.edge.address).status, 200);
}

#[test]
fn a_body_without_a_length_is_always_the_whole() {
    let world = shared();
    let id = "unsizedRange";
    let reply = Reply::new(200).header("Content-Type", "image/png").header("ETag", "1");
    world.origin.reply(&download_path(id), reply.body(BODY).chunked());
    let answer = ask(world, id, "bytes=0-9");
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(answer.header("accept-ranges"), None);
}

#[test]
fn thumbnails_have_ranges_too() {
    let world = shared();
    let path = format!("/_matrix/client/v1/media/thumbnail/example.com/{}", world.media());
    let target = format!("{path}?width=32&height=32&method=crop");
    let token = world.token();
    for _ in 0..2 {
        let request = media_domain("GET", &target).bearer(&token).header("Range", "bytes=6-7");
        let answer = request.send(&world.edge.address);
        assert_eq!((answer.status, answer.text().as_str()), (206, "32"));
        world.store_by(&path, || request.send(&world.edge.address));
    }
}

/// Sends the first `sent` bytes of `BODY` for `id`, and dies.
fn break_off(world: &World, id: &str, sent: usize) {
    world.origin.on(&download_path(id), move |call| {
        call.receive()?;
        let head = Reply::new(200).header("Content-Type", "image/png").header("ETag", "1");
        call.send(head.head_bytes(BODY.len()))?;
        call.send(&BODY[..sent])?;
        std::thread::sleep(Duration::from_millis(50));
        Ok(Then::Reset)
    });
}

#[track_caller]
fn assert_not_stored(world: &World, id: &str) {
    std::thread::sleep(Duration::from_millis(300));
    world.origin.forget(&download_path(id));
    let _ = download(id, &world.token()).try_send(&world.edge.address);
    assert_eq!(world.origin.asked_once(&download_path(id)).header("if-none-match"), None);
}

#[test]
fn an_origin_that_dies_within_a_range_breaks_the_transfer_and_leaves_nothing_stored() {
    let world = shared();
    for (i, field) in ["bytes=50-149", "bytes=200-210", "bytes=-1"].into_iter().enumerate() {
        let id = format!("diesWithin{i}");
        break_off(world, &id, 100);
        let request = download(&id, &world.token()).header("Range", field);
        let answer = request.try_send(&world.edge.address);
        assert!(answer.is_err(), "{field}: it looks complete: {answer:?}");
        assert_not_stored(world, &id);
    }
}

#[test]
fn an_origin_that_dies_after_a_range_leaves_nothing_stored() {
    let world = shared();
    let id = "diesBehind";
    break_off(world, id, 200);
    let request = download(id, &world.token()).header("Range", "bytes=10-19");
    assert_part(&request.send(&world.edge.address), 10, 19);
    assert_not_stored(world, id);
}

/// Breaks the connection after the beginning of the answer.
fn leave_early(world: &World, request: &Request) {
    let connection = request.open(&world.edge.address);
    let mut incoming = connection.and_then(|c| c.answer()).expect("an answer");
    assert_eq!(incoming.head.status, 206);
    incoming.body.read_exact(&mut [0; 1000]).expect("its beginning");
    incoming.reset();
}

#[test]
fn a_reader_who_leaves_within_a_range_does_not_lose_the_fill() {
    let world = shared();
    let large: Vec<u8> = (0..16_u32 << 20).map(|i| (i / 1000) as u8).collect();
    for field in ["bytes=0-", "bytes=4000000-12000000"] {
        let id = world.origin.homeserver().add(Media::new("video/mp4", &large));
        let token = world.token();
        leave_early(world, &download(&id, &token).header("Range", field));
        wait_for("the whole is stored", PATIENCE, || {
            let head = media_domain("HEAD", download_path(&id)).bearer(&token);
            head.send(&world.edge.address);
            world.origin.asked(&download_path(&id)).last()?.header("if-none-match").map(drop)
        });
        assert!(download(&id, &token).send(&world.edge.address).body == large);
        let part = download(&id, &token).header("Range", "bytes=9000000-9999999");
        assert!(part.send(&world.edge.address).body == large[9_000_000..10_000_000]);
    }
}

#[test]
fn concurrent_readers_of_ranges_each_get_their_own() {
    let world = shared();
    let body: Vec<u8> = (0..2_u32 << 20).map(|i| (i / 7) as u8).collect();
    let id = world.origin.homeserver().add(Media::new("video/mp4", &body));
    let token = world.token();
    std::thread::scope(|scope| {
        for i in 0..16 {
            let (body, id, token) = (&body, &id, &token);
            scope.spawn(move || {
                let (first, last) = (i * 100_000, i * 100_000 + 150_000);
                let range = format!("bytes={first}-{last}");
                let request = download(id, token).header("Range", range);
                let answer = request.send(&world.edge.address);
                assert_eq!(answer.status, 206);
                assert!(answer.body == body[first..=last], "{first}");
            });
        }
    });
}
