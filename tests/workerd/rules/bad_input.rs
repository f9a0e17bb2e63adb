//! Bad input from both sides: whatever status the homeserver makes up and however long a header is,
//! there is a right answer or a clear error; nothing is granted, removed or learned by it.

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};

use super::{Door, media};
use crate::download::federation::signed;
use crate::support::origin::{Reply, Then};
use crate::support::world::{
    BODY, World, download, download_path, federation_path, is_hit, leased, media_domain, same_host,
    shared,
};

const STATUSES: [u16; 5] = [600, 601, 700, 899, 999];

fn odd(status: u16) -> Reply {
    Reply::error(status, "M_FORBIDDEN", "As nobody says").header("ETag", "1")
}

/// Claims our word in place of a status that is none.
#[track_caller]
fn assert_odd(answer: &Answer, what: &str) {
    println!("{what}");
    assert_matrix_error(answer, 502, "M_UNKNOWN");
}

#[test]
fn an_invalid_status_is_a_502_at_every_door() {
    let world = shared();
    let token = world.token();
    for status in STATUSES {
        let id = format!("odd{status}");
        let thumbnail = Door::Client.thumbnail(&id);
        for (path, request) in [
            (download_path(&id), download(&id, &token)),
            (download_path(&id), media_domain("HEAD", download_path(&id)).bearer(&token)),
            (Door::Legacy.download(&id), media_domain("GET", Door::Legacy.download(&id))),
            (
                thumbnail.clone(),
                media_domain("GET", format!("{thumbnail}?width=1&height=1")).bearer(&token),
            ),
            (federation_path(&id), signed("GET", &federation_path(&id))),
        ] {
            world.origin.reply(&path, odd(status));
            let answer = request.send(&world.edge.address);
            if request.to_string().starts_with("HEAD") {
                assert_eq!((answer.status, answer.body.len()), (502, 0));
            } else {
                assert_odd(&answer, &format!("{status} to {request}"));
            }
        }
    }
}

#[test]
fn an_invalid_status_is_a_502_in_answer_to_what_is_forwarded() {
    let world = World::start();
    let token = world.token();
    for status in STATUSES {
        for target in [
            "/_matrix/client/v1/media/config".to_owned(),
            "/_matrix/media/v3/preview_url?url=x".to_owned(),
            format!("/_matrix/media/v3/odd{status}"),
            format!("/_matrix/client/unstable/org.matrix.msc3916/media/odd{status}"),
            format!("{}?x=y", download_path(&format!("oddUnusual{status}"))),
        ] {
            world.origin.reply(&target, odd(status));
            let answer = media_domain("GET", &target).bearer(&token).send(&world.edge.address);
            assert_odd(&answer, &format!("{status} to {target}"));
        }
    }
}

#[test]
fn an_invalid_status_is_a_502_in_answer_to_uploads() {
    let world = World::start();
    for status in STATUSES {
        for (method, target) in [
            ("POST", format!("/_matrix/media/v3/upload?filename=odd{status}")),
            ("PUT", format!("/_matrix/media/v3/upload/example.com/odd{status}")),
            ("POST", format!("/_matrix/media/v1/create?odd{status}")),
        ] {
            world.origin.reply(&target, odd(status));
            let request = media_domain(method, &target).bearer(&world.token()).body("{}");
            assert_odd(&request.send(&world.edge.address), &format!("{status} to {target}"));
        }
    }
}

#[test]
fn an_invalid_status_is_a_502_in_place_of_a_document() {
    let world = World::start();
    let path = "/.well-known/matrix/client";
    for status in STATUSES {
        world.origin.reply(path, odd(status));
        let answer = same_host("GET", path).send(&world.edge.address);
        assert_odd(&answer, &format!("{status} to {path}"));
    }
}

#[test]
fn an_invalid_status_removes_nothing() {
    for world in [shared(), leased()] {
        let (id, token) = (world.stored_media(), world.token());
        let path = download_path(&id);
        for status in STATUSES {
            world.origin.reply(&path, odd(status));
            assert_eq!(download(&id, &world.token()).send(&world.edge.address).status, 502);
        }
        world.origin.on(&path, |call| call.reply_by_default());
        world.origin.forget(&path);
        let answer = download(&id, &token).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        assert_eq!(world.origin.asked_once(&path).answered_bytes, 0, "it was stored");
    }
}

#[test]
fn an_invalid_status_grants_nothing() {
    let world = leased();
    let (id, odd_one) = (world.stored_media(), world.media());
    for status in STATUSES {
        world.origin.reply(&download_path(&odd_one), odd(status));
        let token = world.token();
        assert_eq!(download(&odd_one, &token).send(&world.edge.address).status, 502);
        world.assert_asked(&download_path(&id), &download(&id, &token));
    }
}

/// Claims the bytes themselves, or a clear error.
#[track_caller]
fn assert_right(answer: &Answer, what: &str) {
    if answer.status == 200 {
        assert_eq!(answer.body, BODY, "{what}");
    } else {
        println!("{what}: {}", answer.status);
        assert!(answer.status >= 400, "{what}: {}", answer.status);
        assert_matrix_error(answer, answer.status, &answer.errcode());
        assert!(!answer.errcode().is_empty(), "{what}");
    }
}

/// Claims that the Worker still answers and that nothing failed in it. The world must be the test's
/// own: the log holds what all of its tests provoke, down to lines that the runtime can't parse.
#[track_caller]
fn assert_well(world: &World) {
    let answer = download(&world.media(), &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    let log = world.edge.log();
    for word in
        ["panicked", "hung", "unreachable code", "RuntimeError", "internal error: ", "Uncaught"]
    {
        let found = log.lines().find(|line| line.contains(word));
        assert_eq!(found, None, "{word}");
    }
}

#[test]
fn a_homeservers_header_of_any_size_gets_a_right_answer() {
    let world = World::start();
    let long = "x".repeat(100_000);
    for length in [1_000, 5_000, 20_000, 60_000, 100_000] {
        for name in [
            "Content-Disposition",
            "Content-Type",
            "Content-Security-Policy",
            "Cache-Control",
            "ETag",
            "Last-Modified",
            "Link",
            "Retry-After",
            "Vary",
            "X-Anything",
        ] {
            let id = format!("header{name}{length}");
            let reply = media(200).without(name).header("Content-Type", "image/png").without(name);
            let reply = reply.header("ETag", "1").without(name).header(name, &long[..length]);
            world.origin.reply(&download_path(&id), reply.body(BODY));
            for _ in 0..2 {
                let answer = download(&id, &world.token()).send(&world.edge.address);
                assert_right(&answer, &format!("{name} of {length} bytes"));
            }
        }
    }
    assert_well(&world);
}

#[test]
fn a_long_header_on_a_304_removes_nothing() {
    let world = World::start();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    let long = "x".repeat(100_000);
    for name in ["Content-Disposition", "Content-Type", "Cache-Control", "X-Anything"] {
        for length in [5_000, 60_000, 100_000] {
            let reply = Reply::new(304).header("ETag", "1").header(name, &long[..length]);
            world.origin.reply(&path, reply);
            let answer = download(&id, &token).send(&world.edge.address);
            assert_right(&answer, &format!("{name} of {length} bytes"));
        }
    }
    world.origin.on(&path, |call| call.reply_by_default());
    let (answer, asked) = world.assert_asked(&path, &download(&id, &token));
    assert_eq!((&answer.body[..], asked.answered_bytes), (BODY, 0));
}

#[test]
fn a_name_of_any_length_in_a_path_gets_a_right_answer() {
    let world = World::start();
    for id in [world.media(), world.stored_media()] {
        for length in [255, 256, 1_000, 5_000, 15_000] {
            for name in ["a".repeat(length), "%E3%81%82".repeat(length / 3)] {
                let target = format!("{}/{name}", download_path(&id));
                let request = media_domain("GET", target).bearer(&world.token());
                let answer = request.send(&world.edge.address);
                assert_right(&answer, &format!("a name of {length} bytes"));
                let what = "a long name is told as it is, or cut";
                if answer.status == 200 {
                    let disposition = answer.header("content-disposition").expect("a disposition");
                    assert!(disposition.starts_with("inline"), "{what}: {disposition}");
                }
            }
        }
    }
    assert_well(&world);
}

/// What readers may say at any length.
const SAID: [&str; 8] = [
    "Referer",
    "User-Agent",
    "Accept",
    "Accept-Language",
    "If-None-Match",
    "Range",
    "Cookie",
    "X-Anything",
];

/// As far as the runtime lets them in.
const LENGTHS: [usize; 5] = [1_000, 4_000, 17_000, 50_000, 100_000];

/// The answers to a request with each of these headers; the runtime's own refusals are none.
fn say_all(request: &Request, address: &str) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for name in SAID {
        for length in LENGTHS {
            let request = request.clone().header(name, "x".repeat(length));
            let Ok(answer) = request.try_send(address) else { continue };
            if answer.status != 431 {
                answers.push((format!("{name} of {length} bytes"), answer));
            }
        }
    }
    assert!(answers.len() > SAID.len(), "hardly any was let in");
    answers
}

#[test]
fn a_readers_header_of_any_size_gets_a_right_answer() {
    for world in [World::start(), World::start_with(&[("LEASE_SECONDS", "600")])] {
        for id in [world.media(), world.stored_media()] {
            for (what, answer) in say_all(&download(&id, &world.token()), &world.edge.address) {
                assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{what}");
            }
        }
        assert_well(&world);
    }
}

/// As Synapse does with what is longer than 16 kB.
#[test]
fn a_readers_long_header_makes_no_homeserver_hang_up() {
    let world = shared();
    let id = "hangsUp";
    let reply = media(200).header("ETag", "1").header("Content-Type", "image/png").body(BODY);
    world.origin.on(&download_path(id), move |call| {
        let length = |(name, value): &(String, String)| name.len() + value.len();
        if call.head.headers.0.iter().any(|field| length(field) > 16_000) {
            return Ok(Then::Reset);
        }
        match call.head.headers.get("if-none-match") {
            Some(_) => call.reply(&Reply::new(304)),
            None => call.reply(&reply),
        }
    });
    for (what, answer) in say_all(&download(id, &world.token()), &world.edge.address) {
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{what}");
    }
}

#[test]
fn a_readers_header_of_any_size_grants_nothing() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.address);
    assert!(is_hit(&download(&id, &token).send(&world.edge.address)));
    for (what, answer) in say_all(&download(&id, "syt_nobody"), &world.edge.address) {
        println!("{what}");
        assert_matrix_error(&answer, 401, "M_UNKNOWN_TOKEN");
    }
    let answer = download(&id, "syt_nobody").send(&world.edge.address);
    assert_matrix_error(&answer, 401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_readers_header_of_any_size_removes_nothing() {
    for world in [shared(), leased()] {
        let (id, token) = (world.stored_media(), world.token());
        for token in ["syt_nobody", &token] {
            say_all(&download(&id, token), &world.edge.address);
        }
        let path = download_path(&id);
        world.origin.forget(&path);
        let answer = download(&id, &token).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        let asked = world.origin.asked(&path);
        assert!(asked.iter().all(|asked| asked.answered_bytes == 0), "{asked:?}");
    }
}

#[test]
fn a_readers_header_of_any_size_reveals_nothing() {
    for world in [shared(), leased()] {
        let id = world.stored_media();
        for (what, answer) in say_all(&download(&id, "syt_nobody"), &world.edge.address) {
            for name in ["cache-status", "server-timing"] {
                assert_eq!(answer.header(name), None, "{what}: {name}");
            }
        }
    }
}
