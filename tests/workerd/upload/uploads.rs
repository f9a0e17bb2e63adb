//! Uploads: streamed with their length, never held, never sent twice.

use std::sync::mpsc;

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::http::Request;

use crate::support::origin::{Received, Reply, UPLOAD_LIMIT_BYTES};
use crate::support::world::{BODY, PATIENCE, World, media_domain, same_host, shared};

/// An upload that no other test makes.
fn target(file_name: &str) -> String {
    format!("/_matrix/media/v3/upload?filename={file_name}")
}

fn upload(world: &World, target: &str) -> Request {
    media_domain("POST", target).bearer(&world.token())
}

#[test]
fn an_upload_reaches_the_origin_whole_and_its_answer_the_client() {
    let world = shared();
    let target = target("a%2Fb%20caf%C3%A9.png&x=y");
    let token = world.token();
    let request = media_domain("POST", &target).bearer(&token).header("Content-Type", "image/png");
    let answer = request.body(BODY).send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_cache_status(&answer, "fwd=bypass; fwd-status=200; detail=upload");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));

    let uri = answer.json()["content_uri"].as_str().expect("a content_uri").to_owned();
    let id = uri.rsplit('/').next().expect("an id");
    let homeserver = world.origin.homeserver();
    let media = homeserver.media(id).expect("the origin has it");
    assert_eq!((media.content_type.as_str(), &*media.body), ("image/png", BODY));
    drop(homeserver);

    let asked = world.origin.asked_once(&target);
    assert_eq!(asked.header("content-length"), Some("256"));
    assert_eq!(asked.header("transfer-encoding"), None);
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(asked.body, Received::whole(BODY));
}

#[test]
fn an_empty_upload_keeps_its_length() {
    let world = shared();
    let target = target("empty");
    let answer = upload(world, &target).body("").send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.origin.asked_once(&target).header("content-length"), Some("0"));
}

#[test]
fn an_encoded_upload_is_not_decoded() {
    let world = shared();
    let target = target("encoded");
    let request = upload(world, &target).header("Content-Encoding", "gzip").body(BODY);
    assert_eq!(request.send(&world.edge.address).status, 200);
    let asked = world.origin.asked_once(&target);
    assert_eq!(asked.header("content-encoding"), Some("gzip"));
    assert_eq!(asked.body, Received::whole(BODY));
}

#[test]
fn an_expect_header_is_not_forwarded() {
    let world = shared();
    let target = target("expect");
    let request = upload(world, &target).header("Expect", "100-continue").body(BODY);
    assert_eq!(request.send(&world.edge.address).status, 200);
    let asked = world.origin.asked_once(&target);
    assert_eq!(asked.header("expect"), None);
    assert_eq!(asked.body, Received::whole(BODY));
}

#[test]
fn an_asynchronous_upload_works_in_both_steps() {
    let world = shared();
    let token = world.token();
    for body in ["", "{}"] {
        let create = same_host("POST", "/_matrix/media/v1/create").bearer(&token).body(body);
        let created = create.send(&world.edge.address);
        assert_eq!(created.status, 200, "{}", created.text());
        let uri = created.json()["content_uri"].as_str().expect("a content_uri").to_owned();
        let path = uri.replace("mxc://", "/_matrix/media/v3/upload/");
        let put = || same_host("PUT", &path).bearer(&token).body(BODY).send(&world.edge.address);
        assert_eq!(put().text(), "{}");
        assert_matrix_error(&put(), 409, "M_CANNOT_OVERWRITE_MEDIA");
    }
}

#[test]
fn a_create_without_a_body_has_none_at_the_origin() {
    let world = shared();
    let path = "/_matrix/media/v1/create";
    let answer = media_domain("POST", path).bearer(&world.token()).header("Content-Length", "0");
    assert_eq!(answer.send(&world.edge.address).status, 200);
    assert_eq!(world.origin.asked_once(path).header("transfer-encoding"), None);
}

#[test]
fn an_upload_without_a_token_is_refused_by_the_origin() {
    let world = shared();
    let answer = media_domain("POST", "/_matrix/media/v1/upload").body(BODY);
    assert_matrix_error(&answer.send(&world.edge.address), 401, "M_MISSING_TOKEN");
}

#[test]
fn an_upload_over_the_origins_limit_gets_its_413() {
    let world = shared();
    let target = target("large");
    let large = vec![0; UPLOAD_LIMIT_BYTES + 1];
    let answer = upload(world, &target).body(&large).send(&world.edge.address);
    assert_matrix_error(&answer, 413, "M_TOO_LARGE");
}

#[test]
fn an_answer_without_a_body_gets_its_cors() {
    let world = shared();
    let target = target("bodiless");
    world.origin.reply(&target, Reply::new(204));
    let answer = upload(world, &target).body(BODY).send(&world.edge.address);
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

/// As Synapse refuses forms.
#[test]
fn a_refusal_without_a_body_keeps_its_status_and_gets_a_body() {
    let world = shared();
    let target = target("refusedBodiless");
    world.origin.reply(&target, Reply::new(415));
    let answer = upload(world, &target).body(BODY).send(&world.edge.address);
    assert_matrix_error(&answer, 415, "M_UNKNOWN");
}

#[test]
fn an_upload_is_passed_on_while_it_arrives() {
    let world = shared();
    let target = target("streamed");
    let (seen, is_seen) = mpsc::channel();
    world.origin.on(&target, move |call| {
        let mut sink = FirstBytes(&seen);
        call.receive_into(&mut sink)?;
        call.reply(&Reply::new(200).body("{}"))
    });
    let body = vec![5; 100_000];
    let request = upload(world, &target).header("Content-Length", "200000");
    let mut connection = request.open(&world.edge.address).expect("a connection");
    connection.write(&body).expect("the edge listens");
    is_seen.recv_timeout(PATIENCE).expect("the origin has seen nothing of half the upload");
    connection.write(&body).expect("the edge listens");
    let answer = connection.answer().and_then(|a| a.read()).expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(world.origin.received(&target), Received::whole(&[body.clone(), body].concat()));
}

/// Tells when bytes arrive.
struct FirstBytes<'a>(&'a mpsc::Sender<()>);

impl std::io::Write for FirstBytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The test may have ended already.
        let _ = self.0.send(());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
