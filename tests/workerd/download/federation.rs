//! The federation door: what a server signed arrives as it was signed, with our validator beside
//! it; what it gets is the homeserver's own multipart, whole, its envelope's head in one piece.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::http::{Answer, Request};

use crate::support::origin::{Media, Reply, Then};
use crate::support::world::{
    BODY, HOMESERVER_HOST, PATIENCE, World, download, download_path, federation_path, leased,
    same_host, shared, tier,
};

const SIGNATURE: &str =
    r#"X-Matrix origin="other.example",destination="example.com",key="ed25519:1",sig="c2ln""#;

pub(crate) fn signed(method: &str, target: &str) -> Request {
    same_host(method, target).header("Authorization", SIGNATURE)
}

fn get(world: &World, id: &str) -> Answer {
    signed("GET", &federation_path(id)).send(&world.edge.address)
}

/// Media whose envelope the edge has stored.
fn stored(world: &World) -> String {
    let id = world.media();
    world.store_by(&federation_path(&id), || get(world, &id));
    id
}

/// Claims an envelope around `BODY` whose boundary is the one that its head tells.
#[track_caller]
pub(crate) fn assert_envelope(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let type_ = answer.header("content-type").expect("a type");
    let boundary = type_.strip_prefix("multipart/mixed; boundary=").expect(type_);
    let before = format!(
        "\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n\
         --{boundary}\r\nContent-Type: image/png\r\nContent-Disposition: inline\r\n\r\n"
    );
    let after = format!("\r\n--{boundary}--\r\n");
    assert!(answer.body == [before.as_bytes(), BODY, after.as_bytes()].concat(), "{boundary}");
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.header("content-encoding"), None);
}

#[test]
fn a_miss_brings_the_homeservers_envelope_and_stores_it() {
    let world = shared();
    let id = world.media();
    let answer = get(world, &id);
    assert_envelope(&answer);
    assert_cache_status(&answer, "fwd=uri-miss; fwd-status=200; stored");
    assert_eq!(world.origin.asked_once(&federation_path(&id)).header("if-none-match"), None);
}

#[test]
fn a_304_brings_the_stored_envelope_with_its_own_boundary() {
    let world = shared();
    let id = stored(world);
    let answers: Vec<_> = (0..2)
        .map(|_| {
            let path = federation_path(&id);
            let (answer, asked) = world.assert_asked(&path, &signed("GET", &path));
            assert_envelope(&answer);
            assert_cache_status(&answer, "fwd=stale; fwd-status=304");
            assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
            answer
        })
        .collect();
    assert_eq!(answers[0].header("content-type"), answers[1].header("content-type"));
}

#[test]
fn a_signed_request_arrives_as_it_was_signed_on_a_hit_too() {
    let world = shared();
    let id = stored(world);
    for method in ["GET", "HEAD"] {
        // What the edge doesn't know may be about other bytes than those that are stored.
        for (query, condition) in [
            ("?timeout_ms=20000", Some("1")),
            ("?timeout_ms=%32%30000", Some("1")),
            ("?&&", Some("1")),
            ("?", Some("1")),
            ("?b=2&a=1&&=", None),
            ("?a=~!$()", None),
        ] {
            let target = format!("{}{query}", federation_path(&id));
            world.origin.forget(&federation_path(&id));
            let answer = signed(method, &target).send(&world.edge.direct_address);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let asked = world.origin.asked_once(&federation_path(&id));
            assert_eq!((asked.head.method.as_str(), &asked.head.target), (method, &target));
            assert_eq!(asked.header("authorization"), Some(SIGNATURE));
            assert_eq!(asked.header("if-none-match"), condition, "{query}");
            assert_eq!(answer.body.is_empty(), method == "HEAD");
        }
    }
}

#[test]
fn every_server_is_asked_about() {
    let world = leased();
    let id = stored(world);
    for signature in [SIGNATURE, "X-Matrix origin=third.example,key=\"ed25519:a\",sig=\"eA\""] {
        for _ in 0..2 {
            let path = federation_path(&id);
            let request = same_host("GET", &path).header("Authorization", signature);
            let (answer, asked) = world.assert_asked(&path, &request);
            assert_envelope(&answer);
            assert_eq!(asked.header("authorization"), Some(signature));
        }
    }
}

#[test]
fn a_servers_method_is_never_changed() {
    let world = shared();
    for id in [world.media(), stored(world)] {
        let path = federation_path(&id);
        world.origin.forget(&path);
        let answer = signed("HEAD", &path).send(&world.edge.address);
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert!(answer.header("content-length").is_some());
        assert_eq!(world.origin.asked_once(&path).head.method, "HEAD");
        assert_envelope(&get(world, &id));
    }
    let unknown = world.media();
    world.origin.reply(&federation_path(&unknown), Reply::error(405, "M_UNRECOGNIZED", "No HEAD"));
    let answer = signed("HEAD", &federation_path(&unknown)).send(&world.edge.address);
    assert_eq!(answer.status, 405);
    assert_eq!(world.origin.asked_once(&federation_path(&unknown)).head.method, "HEAD");
}

#[test]
fn errors_come_as_the_homeserver_made_them() {
    let world = shared();
    for id in [world.media(), stored(world)] {
        let path = federation_path(&id);
        for (status, errcode) in [
            (400, "M_UNAUTHORIZED"),
            (401, "M_UNAUTHORIZED"),
            (403, "M_FORBIDDEN"),
            (429, "M_LIMIT_EXCEEDED"),
            (500, "M_UNKNOWN"),
            (502, "M_UNKNOWN"),
            (504, "M_NOT_YET_UPLOADED"),
            (404, "M_NOT_FOUND"),
        ] {
            world.origin.reply(&path, Reply::error(status, errcode, "So it is"));
            let answer = get(world, &id);
            assert_matrix_error(&answer, status, errcode);
            assert_eq!(answer.json()["error"], "So it is");
        }
    }
}

#[test]
fn the_two_forms_of_a_media_are_never_mixed() {
    let world = shared();
    let (id, token) = (stored(world), world.token());
    let client = download(&id, &token).send(&world.edge.address);
    assert_eq!((client.status, &client.body[..]), (200, BODY));
    assert_cache_status(&client, "fwd=uri-miss; fwd-status=200; stored");
    world.store(&id);
    let answer = get(world, &id);
    assert_envelope(&answer);
    assert_eq!(answer.header("accept-ranges"), None);

    let other = world.stored_media();
    let answer = get(world, &other);
    assert_envelope(&answer);
    assert_cache_status(&answer, "fwd=uri-miss; fwd-status=200; stored");
    assert_eq!(download(&other, &token).send(&world.edge.address).body, BODY);
}

#[test]
fn media_lost_at_one_door_is_served_at_the_other() {
    let world = shared();
    let (id, token) = (stored(world), world.token());
    world.store(&id);
    world.origin.reply(&federation_path(&id), Reply::error(404, "M_NOT_FOUND", "Not for you"));
    assert_matrix_error(&get(world, &id), 404, "M_NOT_FOUND");
    let (answer, asked) = world.assert_asked(&download_path(&id), &download(&id, &token));
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(asked.answered_bytes, 0);
}

#[test]
fn conditions_and_ranges_of_a_server_are_ignored() {
    let world = shared();
    for id in [world.media(), stored(world)] {
        for (name, value) in
            [("Range", "bytes=0-9"), ("If-None-Match", "*"), ("If-None-Match", "1")]
        {
            let request = signed("GET", &federation_path(&id)).header(name, value);
            assert_envelope(&request.send(&world.edge.address));
        }
    }
}

#[test]
fn a_redirect_is_passed_on_unfollowed() {
    let world = shared();
    let id = "movedSigned";
    let to = format!("{}/elsewhere/{id}", world.origin.url());
    world.origin.reply(&federation_path(id), Reply::new(307).header("Location", &to));
    let answer = get(world, id);
    assert_eq!((answer.status, answer.header("location")), (307, Some(to.as_str())));
    assert!(world.origin.asked(&format!("/elsewhere/{id}")).is_empty());
}

/// The head of an envelope with a long name in it, then media.
const PREAMBLE: &str = "\r\n--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\n\
    Content-Type: text/plain\r\nContent-Disposition: inline; filename=a-long-name.txt\r\n\r\n";

/// Answers with an envelope whose head is written in pieces that end wherever it hurts.
fn send_in_pieces(world: &World, id: &str) -> Vec<u8> {
    let envelope = [PREAMBLE.as_bytes(), BODY, b"\r\n--b--\r\n"].concat();
    let sent = envelope.clone();
    world.origin.on(&federation_path(id), move |call| {
        call.receive()?;
        let reply = Reply::new(200).header("ETag", "1");
        if call.head.headers.get("if-none-match") == Some("1") {
            return call.reply(&Reply::new(304).header("ETag", "1"));
        }
        let reply = reply.header("Content-Type", "multipart/mixed; boundary=b");
        call.send(reply.head_bytes(sent.len()))?;
        let mut rest = &sent[..];
        // Within the line break, the first type, `{}`, the boundary, the second type, the name.
        for length in [1, 20, 16, 8, 10, 40, 30] {
            let (piece, left) = rest.split_at(length);
            call.send(piece)?;
            thread::sleep(Duration::from_millis(30));
            rest = left;
        }
        call.send(rest)?;
        Ok(Then::KeepOpen)
    });
    envelope
}

/// The first bytes of the body, as one read of the socket gives them.
fn first_read(world: &World, id: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(&world.edge.direct_address).expect("the edge listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let path = federation_path(id);
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {HOMESERVER_HOST}\r\nAuthorization: {SIGNATURE}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the request can be sent");
    let mut head = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = stream.read(&mut buffer).expect("there is an answer");
        assert!(read > 0, "the answer breaks off");
        head.extend(&buffer[..read]);
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = head.split_off(end + 4);
            if !body.is_empty() {
                return body;
            }
            let read = stream.read(&mut buffer).expect("there is a body");
            return buffer[..read].to_vec();
        }
    }
}

#[track_caller]
fn assert_in_one_piece(read: &[u8]) {
    assert!(read.starts_with(PREAMBLE.as_bytes()), "{}", String::from_utf8_lossy(read));
}

#[test]
fn the_preamble_of_the_envelope_comes_in_one_piece() {
    let world = shared();
    let id = "inPieces";
    let envelope = send_in_pieces(world, id);
    assert_in_one_piece(&first_read(world, id));
    world.store_by(&federation_path(id), || {
        let answer = get(world, id);
        assert_eq!(answer.body, envelope);
        answer
    });
    for _ in 0..5 {
        assert_in_one_piece(&first_read(world, id));
    }
    assert!(world.origin.asked(&federation_path(id)).iter().all(|a| a.answered_bytes == 0));
}

/// Which has not seen yet that the data centre has all of it.
#[test]
fn a_large_envelope_comes_whole_from_an_isolate_that_has_just_found_it() {
    let world = World::start_two_isolates(&[]);
    let id = world.origin.homeserver().add(Media::new("video/mp4", vec![5; 1 << 20]));
    let request = signed("GET", &federation_path(&id));
    world.store_by(&federation_path(&id), || request.send(&world.edge.direct_address));
    let connection = request.open(&world.edge.neighbor_address).expect("it is sent");
    connection.set_patience(PATIENCE).expect("it is connected");
    let answer = connection.answer().and_then(|answer| answer.read()).expect("it is whole");
    assert_eq!((answer.status, tier(&answer)), (200, "pop"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
}

#[test]
fn an_envelope_that_breaks_off_is_a_broken_transfer_and_not_stored() {
    let world = shared();
    for (i, sent) in [10, PREAMBLE.len(), PREAMBLE.len() + 100].into_iter().enumerate() {
        let id = format!("brokenEnvelope{i}");
        let path = federation_path(&id);
        world.origin.on(&path, move |call| {
            call.receive()?;
            let reply = Reply::new(200).header("ETag", "1");
            let reply = reply.header("Content-Type", "multipart/mixed; boundary=b");
            call.send(reply.head_bytes(PREAMBLE.len() + BODY.len()))?;
            call.send(&[PREAMBLE.as_bytes(), BODY].concat()[..sent])?;
            thread::sleep(Duration::from_millis(50));
            Ok(Then::Reset)
        });
        let answer = signed("GET", &path).try_send(&world.edge.address);
        assert!(answer.is_err(), "it looks complete: {answer:?}");
        thread::sleep(Duration::from_millis(2000));
        world.origin.forget(&path);
        let _ = signed("GET", &path).try_send(&world.edge.address);
        let asked = world.origin.asked_once(&path);
        assert_eq!(asked.header("if-none-match"), None, "stored after {sent} bytes");
    }
}

#[test]
fn a_body_that_is_no_envelope_comes_whole() {
    let world = shared();
    for (i, length) in [0, 1, 100, 100_000].into_iter().enumerate() {
        let id = format!("noEnvelope{i}");
        let body: Vec<u8> = BODY.iter().copied().cycle().take(length).collect();
        let reply = Reply::new(200).header("ETag", "1").header("Content-Type", "text/plain");
        world.origin.reply(&federation_path(&id), reply.body(&body));
        for _ in 0..2 {
            assert!(get(world, &id).body == body, "{length}");
        }
    }
}
