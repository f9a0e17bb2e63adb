//! Uploads that come to nothing: whoever ends one, the others hear of it at once and nothing is left.

use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, mpsc};
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use test_support::assertions::assert_matrix_error;
use test_support::http::{Connection, Incoming, Request};
use test_support::time::{now, wait_for};

use crate::support::origin::{Received, Reply, Then};
use crate::support::world::{BODY, PATIENCE, World, download, download_path, media_domain, shared};

/// An upload that no other test makes.
fn target(file_name: &str) -> String {
    format!("/_matrix/media/v3/upload?filename={file_name}")
}

fn upload(world: &World, target: &str) -> Request {
    media_domain("POST", target).bearer(&world.token())
}

/// Sends the head and the first half of an upload of a megabyte, and waits until the origin has it.
fn half_sent(world: &World, request: &Request, target: &str) -> Connection {
    let request = request.clone().header("Content-Length", "1000000");
    let mut connection = request.open(&world.edge.address).expect("a connection");
    connection.write(&[0; 500_000]).expect("the edge listens");
    wait_for("the origin is asked", PATIENCE, || world.origin.asked(target).pop());
    connection
}

/// (Of an answer without a length, workerd holds the end back until the upload has ended.)
#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending_unchanged() {
    let world = shared();
    for (status, errcode, more) in [
        (401, "M_UNKNOWN_TOKEN", json!({ "soft_logout": true })),
        (
            403,
            "M_USER_LIMIT_EXCEEDED",
            json!({ "info_uri": "https://a.example/é?a=b", "can_upgrade": true }),
        ),
        (413, "M_TOO_LARGE", json!({ "org.example.limit": 5e300 })),
        (429, "M_LIMIT_EXCEEDED", json!({ "retry_after_ms": 1500 })),
    ] {
        let target = target(&format!("early{status}"));
        let mut body = json!({ "errcode": errcode, "error": "No" });
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        let reply = Reply::json(status, &body).header("Retry-After", "2");
        world.origin.on(&target, {
            let reply = reply.header("Cache-Control", "no-store");
            move |call| {
                call.send(reply.to_bytes("POST"))?;
                call.receive()?;
                Ok(Then::Close)
            }
        });
        let connection = half_sent(world, &upload(world, &target), &target);
        let answer = connection.answer().and_then(Incoming::read).expect("an answer");
        assert_matrix_error(&answer, status, errcode);
        assert_eq!(answer.text(), body.to_string());
        assert_eq!(answer.header("retry-after"), Some("2"));
    }
}

#[test]
fn a_late_refusal_is_the_origins_to_the_byte() {
    let world = shared();
    let target = target("late");
    let body = "{\"errcode\" : \"M_LIMIT_EXCEEDED\", \"error\":\"Later\",\"retry_after_ms\":1e3}\n";
    let reply = Reply::new(429).header("Content-Type", "application/json").body(body);
    for reply in [reply.clone(), reply.chunked()] {
        world.origin.reply(&target, reply.header("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"));
        let answer = upload(world, &target).body(BODY).send(&world.edge.address);
        assert_eq!((answer.status, answer.text().as_str()), (429, body));
        assert_eq!(answer.header("retry-after"), Some("Wed, 21 Oct 2026 07:28:00 GMT"));
    }
    let exposed = "access-control-expose-headers";
    let answer = upload(world, &target).body(BODY).send(&world.edge.address);
    assert!(answer.headers.has_member(exposed, "Retry-After"), "{:?}", answer.headers);
}

#[test]
fn an_upload_aborted_half_way_is_broken_at_the_origin_within_a_second() {
    let world = shared();
    for (name, method, target) in [
        ("post", "POST", target("aborted")),
        ("put", "PUT", "/_matrix/media/v3/upload/example.com/aborted".to_owned()),
    ] {
        let request = media_domain(method, &target).bearer(&world.token());
        let connection = half_sent(world, &request, &target);
        let aborted = now();
        connection.reset();
        assert_eq!(world.origin.received(&target), Received::Broken, "{name}");
        println!("{name}: the origin knew after {:?}", aborted.elapsed());
        assert!(aborted.elapsed() < Duration::from_secs(1), "{:?}", aborted.elapsed());
        world.origin.asked_once(&target);
    }
    sleep(Duration::from_millis(300));
    assert!(world.origin.homeserver().media("aborted").is_none());
    assert!(world.origin.asked(&download_path("aborted")).is_empty(), "it was fetched");
    assert_eq!(download("aborted", &world.token()).send(&world.edge.address).status, 404);
}

#[test]
fn an_upload_shorter_than_its_length_is_no_upload() {
    let world = shared();
    let target = target("shorter");
    let mut connection = half_sent(world, &upload(world, &target), &target);
    connection.finish().expect("a connection");
    match connection.answer().and_then(Incoming::read) {
        Ok(answer) => assert!(answer.status >= 400, "{}", answer.text()),
        Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "it waits for ever"),
    }
    assert_eq!(world.origin.received(&target), Received::Broken);
}

#[test]
fn a_failed_upload_is_a_502_and_not_tried_again() {
    let world = &World::start();
    for (method, target) in [
        ("POST", target("failed")),
        ("PUT", "/_matrix/media/v3/upload/example.com/failed".to_owned()),
        ("POST", "/_matrix/media/v1/create".to_owned()),
    ] {
        for then in [Then::Reset, Then::Close] {
            world.origin.forget(&target);
            world.origin.on(&target, move |call| call.receive().map(|()| then));
            let request = media_domain(method, &target).bearer(&world.token()).body(BODY);
            assert_matrix_error(&request.send(&world.edge.address), 502, "M_UNKNOWN");
            world.origin.asked_once(&target);
        }
    }
    assert!(world.origin.asked(&download_path("failed")).is_empty(), "it was fetched");
}

#[test]
fn an_origin_that_dies_in_mid_upload_is_a_502_and_not_asked_again() {
    let world = shared();
    for then in [Then::Reset, Then::Close] {
        let target = target(&format!("died{then:?}"));
        world.origin.on(&target, move |call| {
            // The rest is never read.
            let _ = call.receive_into(&mut FirstBytes(300_000));
            Ok(then)
        });
        let connection = half_sent(world, &upload(world, &target), &target);
        let answer = connection.answer().and_then(Incoming::read).expect("an answer");
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
        world.origin.asked_once(&target);
    }
}

/// Takes so many bytes.
struct FirstBytes(usize);

impl Write for FirstBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_answer_that_breaks_off_is_a_broken_transfer_and_nothing_is_fetched() {
    let world = shared();
    let target = target("cut");
    world.origin.on(&target, |call| {
        call.receive()?;
        let uri = r#"{"content_uri":"mxc://example.com/cutAnswer"}"#;
        call.send(Reply::new(200).head_bytes(uri.len() + 1))?;
        call.send(uri)?;
        Ok(Then::Close)
    });
    let answer = upload(world, &target).body(BODY).try_send(&world.edge.address);
    assert!(answer.is_err(), "it looks complete: {answer:?}");
    sleep(Duration::from_millis(300));
    assert!(world.origin.asked(&download_path("cutAnswer")).is_empty(), "it was fetched");
}

#[test]
fn an_origin_that_is_gone_is_a_502() {
    let world = World::start();
    world.origin.stop();
    let answer = upload(&world, &target("gone")).body(BODY).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
}

#[test]
fn concurrent_uploads_to_one_id_are_forwarded() {
    let world = shared();
    let target = "/_matrix/media/v3/upload/example.com/raced";
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    world.origin.on(target, move |call| {
        // Both are there before one is answered.
        let _ = may_go.lock().expect("unshared").recv_timeout(PATIENCE);
        call.reply_by_default()
    });
    let put = |body: &[u8]| {
        let put = media_domain("PUT", target).bearer(&world.token()).body(body);
        put.send(&world.edge.address).status
    };
    std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(|| put(b"one")), scope.spawn(|| put(b"two")));
        wait_for("both are there", PATIENCE, || {
            (world.origin.asked(target).len() == 2).then_some(())
        });
        go.send(()).expect("the origin waits");
        go.send(()).expect("the origin waits");
        let mut statuses = [one, other].map(|put| put.join().expect("an answer"));
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    });
    assert_eq!(world.origin.asked(target).len(), 2);
}
