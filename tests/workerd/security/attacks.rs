//! What else might pass for the homeserver's word, or tell the refused what it is about.

mod anything;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use test_support::http::{Answer, Request};
use test_support::time::wait_for;

use crate::support::origin::{Origin, Reply, Then};
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, leased, legacy_download, legacy_path,
    media_domain, shared,
};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const PAGE: &str = "<h1>One moment, please</h1>";

#[track_caller]
fn assert_no_stored_bytes(answer: &Answer, what: &str) {
    let has_some = answer.body.windows(16).any(|part| part == &BODY[..16]);
    assert!(!has_some, "{what}: {} with stored bytes", answer.status);
}

fn fields(answer: &Answer) -> Vec<(String, String)> {
    let mut fields = answer.headers.0.clone();
    for (name, _) in &mut fields {
        name.make_ascii_lowercase();
    }
    fields.retain(|(name, _)| name != "date" && name != "server-timing");
    fields.sort();
    fields
}

/// Media that is dated and has no tag.
fn dated(world: &World, path: &str, request: &Request) {
    world.origin.on(path, move |call| match call.head.headers.get("if-modified-since") {
        Some(DATE) => call.reply(&Reply::new(304)),
        _ => call.reply(
            &Reply::new(200)
                .header("Content-Type", "image/png")
                .header("Content-Disposition", "inline")
                .header("Last-Modified", DATE)
                .body(BODY),
        ),
    });
    world.store_by(path, || request.send(&world.edge.address));
}

/// As servers of files answer for a page that is older than the media, whoever asks.
#[test]
fn a_304_for_another_validator_grants_nothing() {
    for (n, world) in [shared(), leased()].into_iter().enumerate() {
        let id = format!("olderPage{n}");
        dated(world, &download_path(&id), &download(&id, &world.token()));
        for page in [
            Reply::new(304).header("ETag", "\"page\""),
            Reply::new(304).header("Last-Modified", "Sat, 05 Nov 1994 08:49:37 GMT"),
        ] {
            world.origin.reply(&download_path(&id), page);
            let answer = download(&id, "syt_nobody").send(&world.edge.address);
            assert_no_stored_bytes(&answer, "a page");
        }
        let open = legacy_path(&id);
        world.origin.reply(&open, Reply::new(304).header("ETag", "\"page\""));
        assert_no_stored_bytes(&legacy_download(&id).send(&world.edge.address), "at the open door");
    }
}

#[test]
fn a_page_reveals_nothing_of_what_is_stored() {
    for world in [shared(), leased()] {
        for status in [200, 202, 203] {
            let page = Reply::new(status).header("Content-Type", "text/html").body(PAGE);
            let answers = [world.stored_media(), world.media()].map(|id| {
                world.origin.reply(&download_path(&id), page.clone());
                let answer = download(&id, "syt_nobody").send(&world.edge.address);
                let mut fields = fields(&answer);
                for (_, value) in &mut fields {
                    *value = value.replace(&id, "ID");
                }
                (answer.status, fields)
            });
            assert_eq!(answers[0], answers[1], "{status}");
        }
    }
}

/// This homeserver sends no validators.
fn unvalidated(world: &World, path: &str, token: &str) {
    world.origin.on(path, |call| {
        let reply = call.default_reply()?.without("ETag");
        call.reply(&reply)
    });
    for _ in 0..20 {
        media_domain("GET", path).bearer(token).send(&world.edge.address);
        thread::sleep(Duration::from_millis(20));
    }
    world.origin.forget(path);
    media_domain("GET", path).bearer(token).send(&world.edge.address);
    assert!(world.origin.asked(path).is_empty(), "it is not stored");
}

#[test]
fn a_redirected_whoami_does_not_prevent_a_download() {
    let world = World::start_with(&[("LEASE_SECONDS", "600")]);
    let id = world.media();
    unvalidated(&world, &download_path(&id), &world.token());
    world.origin.reply(WHOAMI, Reply::new(302).header("Location", "/elsewhere"));
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
}

/// A proxy that sends all on to where media is asked for in another way asks nobody.
#[test]
fn a_redirect_of_all_media_grants_nothing() {
    let (world, elsewhere) = (World::start(), Origin::start());
    for (n, (from, to)) in [
        ("/_matrix/media/v3", "/_matrix/media/v3"),
        ("/_matrix/media/r0", "/_matrix/media/v3"),
        ("/_matrix/media/v3", "/prefix/_matrix/media/v3"),
    ]
    .into_iter()
    .enumerate()
    {
        for slash in ["", "/"] {
            let file = format!("/download/example.com/moved{n}{}", slash.len());
            let (asked, path) = (format!("{from}{file}"), format!("{to}{file}{slash}"));
            let location = format!("{}{path}", elsewhere.url());
            world.origin.reply(&asked, Reply::new(308).header("Location", location));
            let media = Reply::new(200)
                .header("Content-Type", "image/png")
                .header("Content-Disposition", "inline")
                .header("ETag", "1");
            elsewhere.reply(&path, media.body(BODY));
            let request = media_domain("GET", &asked);
            for _ in 0..5 {
                let answer = request.send(&world.edge.address);
                assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
                thread::sleep(Duration::from_millis(40));
            }
            elsewhere.reply(&path, Reply::error(404, "M_NOT_FOUND", "Gone"));
            let answer = request.send(&world.edge.address);
            assert_no_stored_bytes(&answer, &format!("{asked} to {path}"));
        }
    }
}

/// A rate limiter that counts all that comes from one network, and so all of the edge's.
#[test]
fn an_exhausted_rate_limit_is_no_outage() {
    let world = World::start_with(&[("STALE_IF_ERROR_SECONDS", "600")]);
    let (id, token) = (world.stored_media(), world.token());
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 200);
    world.origin.homeserver().log_out(&token);
    thread::sleep(Duration::from_millis(5_200));
    let limited = Reply::new(503).header("Content-Type", "text/html").body(PAGE);
    for path in [WHOAMI.to_owned(), download_path(&id)] {
        world.origin.reply(&path, limited.clone());
    }
    // Of what fills it, some come through.
    let versions = media_domain("GET", "/_matrix/client/v1/media/config").bearer("syt_nobody");
    assert_eq!(versions.send(&world.edge.address).status, 401);
    let answer = download(&id, &token).send(&world.edge.address);
    assert_no_stored_bytes(&answer, "limited");
}

/// A refusal is heard while another of the token's questions is on its way.
#[test]
fn a_refusal_during_a_question_ends_its_stale_response() {
    let world = World::start_with(&[("STALE_IF_ERROR_SECONDS", "600")]);
    let (id, other, token) = (world.stored_media(), world.stored_media(), world.token());
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 200);
    let (arrived, arrivals): (Sender<()>, Receiver<()>) = channel();
    let (release, released): (Sender<()>, Receiver<()>) = channel();
    let released = Arc::new(Mutex::new(released));
    let arrived = Mutex::new(arrived);
    world.origin.on(&download_path(&id), move |call| {
        call.receive()?;
        let _ = arrived.lock().map(|arrived| arrived.send(()));
        let _ = released.lock().map(|released| released.recv_timeout(PATIENCE));
        Ok(Then::Reset)
    });
    let request = download(&id, &token);
    thread::scope(|scope| {
        let answer = scope.spawn(|| request.send(&world.edge.address));
        arrivals.recv_timeout(PATIENCE).expect("it is asked");
        world.origin.homeserver().log_out(&token);
        assert_eq!(download(&other, &token).send(&world.edge.address).status, 401);
        world.origin.on(WHOAMI, |_| Ok(Then::Reset));
        release.send(()).expect("it waits");
        release.send(()).expect("it waits again");
        let answer = answer.join().expect("it ends");
        assert_no_stored_bytes(&answer, "refused meanwhile");
    });
}

#[test]
fn a_long_token_in_the_query_is_in_no_log() {
    let world = World::start();
    for length in [7_000, 20_000, 70_000] {
        let token = format!("syt_{}", "x".repeat(length));
        let target = format!("{}?access_token={token}", download_path(&world.media()));
        let _ = media_domain("GET", &target).try_send(&world.edge.address);
        let _ = media_domain("GET", &target).try_send(&world.edge.direct_address);
    }
    wait_for("the log", PATIENCE, || Some(world.edge.log()));
    assert!(!world.edge.log().contains("syt_"), "{}", world.edge.log().len());
}
