//! Whatever a client writes into the head of an upload: the origin judges it as it came, or there is
//! a clear refusal; nothing is smuggled, and the Worker goes on.

use std::thread::sleep;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::http::{Incoming, Request};
use test_support::wire::from_latin1;

use crate::support::origin::{Received, Reply};
use crate::support::world::{BODY, World, media_domain, shared};

/// An upload that no other test makes.
fn target(file_name: &str) -> String {
    format!("/_matrix/media/v3/upload?filename={file_name}")
}

fn upload(world: &World, target: &str) -> Request {
    media_domain("POST", target).bearer(&world.token())
}

fn addresses(world: &World) -> [&str; 2] {
    [&world.edge.address, &world.edge.direct_address]
}

/// Claims that the Worker is well: nothing in its log, and the next upload works.
#[track_caller]
fn assert_well(world: &World) {
    let answer = upload(world, &target("well")).body(BODY).send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let log = world.edge.log();
    for word in ["panicked", "hung", "unreachable", "RuntimeError", "internal error"] {
        assert!(!log.contains(word), "{word}:\n{log}");
    }
}

/// (Most of these the runtime refuses by itself, with a 500.)
#[test]
fn malformed_lengths_are_refused_at_the_edge() {
    let world = World::start();
    for lengths in [
        &["4", "5"][..],
        &["5", "4"],
        &["4,5"],
        &["-4"],
        &["+4"],
        &["0x4"],
        &["4.0"],
        &["4e0"],
        &["4 4"],
        &["4;a=b"],
        &["four"],
        &[""],
        &["18446744073709551620"],
        &["99999999999999999999999999999999999999"],
    ] {
        let target = target("none");
        for address in addresses(&world) {
            let request = lengths.iter().fold(upload(&world, &target), |request, length| {
                request.header("Content-Length", length)
            });
            let mut connection = request.open(address).expect("a connection");
            // Whoever refuses early may also hang up early.
            let _ = connection.write(b"text");
            let answer = connection.answer().and_then(Incoming::read).expect("an answer");
            assert!(answer.status >= 400, "{lengths:?}: {}", answer.status);
            assert!(world.origin.asked(&target).is_empty(), "{lengths:?}");
        }
    }
    assert_well(&world);
}

/// RFC 9110 §8.6: a recipient refuses them, or takes them for one.
#[test]
fn equal_lengths_are_taken_for_one_or_are_refused() {
    let world = World::start();
    for lengths in [&["4", "4"][..], &["4, 4"]] {
        let target = target("repeated");
        for address in addresses(&world) {
            world.origin.forget(&target);
            let request = lengths.iter().fold(upload(&world, &target), |request, length| {
                request.header("Content-Length", length)
            });
            let mut connection = request.open(address).expect("a connection");
            let _ = connection.write(b"text");
            let answer = connection.answer().and_then(Incoming::read).expect("an answer");
            let asked = world.origin.asked(&target);
            assert_eq!(asked.len(), usize::from(answer.status == 200), "{}", answer.status);
            for asked in asked {
                assert_eq!(asked.header("content-length"), Some("4"));
                assert_eq!(asked.body, Received::whole(b"text"));
            }
        }
    }
    assert_well(&world);
}

/// RFC 9112 §6.3: the chunks count, and a server may refuse both together.
#[test]
fn a_length_beside_chunks_is_refused_by_one_or_the_other() {
    let world = World::start();
    for length in ["0", "4", "200"] {
        let target = target("both");
        for address in addresses(&world) {
            world.origin.forget(&target);
            let both = upload(&world, &target).header("Content-Length", length).chunked("text");
            let answer = both.send(address);
            assert!((400..500).contains(&answer.status), "{length}: {}", answer.status);
            for asked in world.origin.asked(&target) {
                assert_eq!(asked.header("content-length"), None);
                assert_eq!(asked.body, Received::whole(b"text"));
            }
        }
    }
    assert_well(&world);
}

#[test]
fn bytes_beyond_the_length_are_no_part_of_the_upload() {
    let world = World::start();
    for address in addresses(&world) {
        let target = target("longer");
        world.origin.forget(&target);
        let request = upload(&world, &target).header("Content-Length", "100");
        let mut connection = request.open(address).expect("a connection");
        connection.write(BODY).expect("the edge listens");
        let answer = connection.answer().and_then(Incoming::read).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(world.origin.asked_once(&target).body, Received::whole(&BODY[..100]));
    }
    assert_well(&world);
}

#[test]
fn names_reach_the_origin_as_they_were_written() {
    let world = World::start();
    for name in [
        "a.png",
        "",
        "a%0D%0AX-Injected:%20yes%0D%0A%0D%0Abody",
        "a%0AX-Injected:%20yes",
        "a%00b",
        "%FF%FE.png",
        "%C3",
        "%ED%A0%80",
        "%zz%",
        "%22;%20filename*=utf-8%27%27x.exe",
        "..%2F..%2Fetc%2Fpasswd",
        "a+b%2Bc",
        "a&filename=b",
        "%E2%80%AEgnp.exe",
    ] {
        let target = target(name);
        for address in addresses(&world) {
            world.origin.forget(&target);
            let answer = upload(&world, &target).body(BODY).send(address);
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert_eq!(answer.header("x-injected"), None);
            let asked = world.origin.asked_once(&target);
            assert_eq!(asked.head.target, target);
            assert_eq!(asked.header("x-injected"), None);
            assert_eq!(asked.body, Received::whole(BODY));
        }
    }
    assert_well(&world);
}

#[test]
fn types_reach_the_origin_as_they_were_written() {
    let world = World::start();
    let long = format!("text/plain; a={}", "x".repeat(8000));
    for type_ in [
        &b"image/png"[..],
        b"TEXT/Plain;charset=utf-8; a=\"b\\\"c\"",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"text/html; charset=UTF-7",
        b"not a type at all",
        b"text/plain; name=\"caf\xe9\"",
        "text/plain; name=\"café\"".as_bytes(),
        b"\xff\xfe\x80",
        b"text/plain;\ta=b",
        b"a, b",
        long.as_bytes(),
    ] {
        let target = target("typed");
        for address in addresses(&world) {
            world.origin.forget(&target);
            let request = upload(&world, &target).header("Content-Type", type_).body(BODY);
            let answer = request.send(address);
            assert_eq!(answer.status, 200, "{}: {}", from_latin1(type_), answer.text());
            let asked = world.origin.asked_once(&target);
            assert_eq!(asked.header("content-type"), Some(from_latin1(type_).as_str()));
            assert_eq!(asked.body, Received::whole(BODY));
        }
    }
    assert_well(&world);
}

#[test]
fn an_upload_without_a_type_gets_none_from_the_edge() {
    let world = shared();
    let target = target("untyped");
    upload(world, &target).body(BODY).send(&world.edge.address);
    assert_eq!(world.origin.asked_once(&target).header("content-type"), None);
}

/// What is no header the runtime refuses or drops.
#[test]
fn control_characters_in_headers_smuggle_nothing() {
    let world = World::start();
    let target = target("control");
    for type_ in ["a\0", "a\rX-Injected: a", "a\nX-Injected: a", "a\r\n X-Injected: a"] {
        for address in addresses(&world) {
            world.origin.forget(&target);
            let request = upload(&world, &target).header("Content-Type", type_).body(BODY);
            let answer = request.send(address);
            assert!(matches!(answer.status, 200 | 400), "{type_:?}: {}", answer.status);
            for asked in world.origin.asked(&target) {
                assert_eq!(asked.header("x-injected"), None);
                assert_eq!(asked.body, Received::whole(BODY));
            }
        }
    }
    assert_well(&world);
}

#[test]
fn an_upload_to_another_servers_id_is_refused_by_the_origin() {
    let world = shared();
    let target = "/_matrix/media/v3/upload/other.example/abc";
    let refusal = Reply::error(404, "M_NOT_FOUND", "Cannot upload to a remote ID");
    world.origin.reply(target, refusal);
    let put = media_domain("PUT", target).bearer(&world.token()).body(BODY);
    assert_matrix_error(&put.send(&world.edge.address), 404, "M_NOT_FOUND");
    assert_eq!(world.origin.asked_once(target).body, Received::whole(BODY));
}

#[test]
fn a_malformed_id_is_forwarded_and_never_fetched() {
    let world = World::start();
    for id in [
        "example.com/a%2Fb",
        "example.com/a.b",
        "example.com/%FF",
        "example.com/",
        "example.com",
        "example.com/a/b",
        "exa%20mple.com/abc",
        "mxc:%2F%2Fexample.com/abc",
        "%00/abc",
    ] {
        let target = format!("/_matrix/media/v3/upload/{id}");
        world.origin.reply(&target, Reply::new(200).body("taken"));
        for address in addresses(&world) {
            world.origin.forget(&target);
            let put = media_domain("PUT", &target).bearer(&world.token()).body(BODY);
            assert_eq!(put.send(address).text(), "taken", "{id}");
            assert_eq!(world.origin.asked_once(&target).body, Received::whole(BODY));
        }
    }
    sleep(Duration::from_millis(300));
    let asked = world.origin.records();
    assert!(asked.iter().all(|asked| asked.head.method == "PUT"), "{asked:?}");
    assert_well(&world);
}
