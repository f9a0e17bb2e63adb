//! Credentials that are odd, lost on the way, or refused meanwhile open nothing at any door.

use std::thread::{self, sleep};
use std::time::Duration;

use test_support::http::Request;
use test_support::time::wait_for;

use super::{Door, come_back, file};
use crate::support::origin::Reply;
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, federation_path, is_hit, leased,
    legacy_download, legacy_path, media_domain, same_host,
};

const SIGNATURE: &str = r#"X-Matrix origin="other.example",key="ed25519:1",sig="c2ln""#;

fn get(path: &str) -> Request {
    media_domain("GET", path)
}

#[test]
fn a_malformed_signature_is_refused() {
    let world = leased();
    let id = Door::Federation.stored(world);
    let path = federation_path(&id);
    let lower = SIGNATURE.to_lowercase();
    let both = format!("Bearer x, {SIGNATURE}");
    for (what, request) in [
        ("none", get(&path)),
        ("a token", get(&path).bearer(&world.token())),
        ("lower case", get(&path).header("Authorization", &lower)),
        ("nothing", get(&path).header("Authorization", "")),
        ("the scheme alone", get(&path).header("Authorization", "X-Matrix")),
        ("a token first", get(&path).bearer("x").header("Authorization", SIGNATURE)),
        ("a list", get(&path).header("Authorization", &both)),
        ("raw bytes", get(&path).header("Authorization", b"X-Matri\xff")),
        ("another header", get(&path).header("X-Authorization", SIGNATURE)),
        ("the query", get(&format!("{path}?authorization=X-Matrix"))),
    ] {
        for address in [&world.edge.address, &world.edge.direct_address] {
            let answer = request.send(address);
            assert_eq!(answer.status, 401, "{what}");
            assert!(!is_hit(&answer), "{what}: {answer:?}");
        }
    }
}

#[test]
fn two_signatures_arrive_as_two() {
    let world = leased();
    let id = Door::Federation.stored(world);
    let path = federation_path(&id);
    let other = SIGNATURE.replace("ed25519:1", "ed25519:2");
    for _ in 0..2 {
        let request = same_host("GET", &path)
            .header("Authorization", SIGNATURE)
            .header("Authorization", &other);
        let (_, asked) = world.assert_asked(&path, &request);
        let told: Vec<_> = asked
            .head
            .headers
            .0
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case("authorization"))
            .collect();
        let told = format!("{told:?}");
        assert!(told.contains("ed25519:1") && told.contains("ed25519:2"), "{told}");
    }
}

#[test]
fn every_credential_at_the_legacy_door_is_asked_about() {
    let world = leased();
    let id = Door::Legacy.stored(world);
    let path = legacy_path(&id);
    legacy_download(&id).send(&world.edge.address);
    world.assert_unasked(&path, &legacy_download(&id));
    for credential in
        ["Bearer x", "Basic YTpi", "bearer", "X-Matrix origin=a", "Bearer a, Bearer b"]
    {
        let request = legacy_download(&id).header("Authorization", credential);
        let (_, asked) = world.assert_asked(&path, &request);
        assert_eq!(asked.header("authorization"), Some(credential));
    }
}

#[test]
fn a_refused_credential_at_the_legacy_door_gets_nothing() {
    let world = leased();
    let id = Door::Legacy.stored(world);
    let path = legacy_path(&id);
    world.origin.on(&path, |call| match call.head.headers.get("authorization") {
        Some(_) => call.reply(&Reply::error(401, "M_UNKNOWN_TOKEN", "Unrecognised access token")),
        None => call.reply_by_default(),
    });
    legacy_download(&id).send(&world.edge.address);
    for request in [
        legacy_download(&id).bearer("x"),
        legacy_download(&id).bearer("x").bearer("y"),
        legacy_download(&id).header("Authorization", "Basic YTpi"),
    ] {
        let answer = request.send(&world.edge.address);
        assert_eq!((answer.status, is_hit(&answer)), (401, false), "{request}");
    }
}

/// Media that is open to all; but a token that is none is refused.
fn open_media(world: &World) -> String {
    let id = world.media();
    world.origin.on(&download_path(&id), |call| match call.head.headers.get("authorization") {
        None => call.reply(&file(BODY, &[("ETag", "1")])),
        Some(_) => call.reply_by_default(),
    });
    id
}

#[test]
fn a_credential_named_by_connection_grants_nothing() {
    let world = leased();
    let stored = world.stored_media();
    for (n, connection) in ["authorization", "close, Authorization", "keep-alive,AUTHORIZATION"]
        .into_iter()
        .enumerate()
    {
        let (garbage, open) = (format!("syt_ends{n}"), open_media(world));
        for address in [&world.edge.address, &world.edge.direct_address] {
            for id in [&open, &stored] {
                let request = download(id, &garbage).header("Connection", connection);
                let answer = request.send(address);
                assert!(!is_hit(&answer), "{connection}: {answer:?}");
            }
            let answer = download(&stored, &garbage).send(address);
            assert_eq!(answer.status, 401, "{connection}");
        }
    }
}

/// Has the origin answer at this path only after a while, as it does by default.
fn delay(world: &World, path: &str, millis: u64) {
    world.origin.on(path, move |call| {
        let reply = call.default_reply()?;
        sleep(Duration::from_millis(millis));
        call.reply(&reply)
    });
}

/// Waits until this path has been asked for.
fn wait_until_asked(world: &World, path: &str) {
    wait_for("it is asked", PATIENCE, || (!world.origin.asked(path).is_empty()).then_some(()));
}

#[test]
fn a_grant_of_a_token_that_arrives_after_its_refusal_does_not_count() {
    let world = leased();
    let (stored, slow, token) = (world.stored_media(), world.media(), world.token());
    download(&stored, &world.token()).send(&world.edge.address);
    let path = download_path(&slow);
    delay(world, &path, 1500);
    thread::scope(|scope| {
        let answer = scope.spawn(|| download(&slow, &token).send(&world.edge.address));
        wait_until_asked(world, &path);
        world.origin.homeserver().log_out(&token);
        let refused = download(&world.media(), &token).send(&world.edge.address);
        assert_eq!(refused.status, 401);
        assert_eq!(answer.join().expect("an answer").status, 200);
    });
    for id in [&stored, &slow] {
        let answer = download(id, &token).send(&world.edge.address);
        assert_eq!((answer.status, is_hit(&answer)), (401, false), "{id}");
    }
}

#[test]
fn a_grant_of_media_that_arrives_after_its_removal_does_not_count() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    delay(world, &path, 1500);
    thread::scope(|scope| {
        let answer = scope.spawn(|| download(&id, &token).send(&world.edge.address));
        wait_until_asked(world, &path);
        world.origin.homeserver().quarantine(&id);
        come_back(world, &path);
        assert_eq!(download(&id, &world.token()).send(&world.edge.address).status, 404);
        answer.join().expect("an answer");
    });
    let answer = download(&id, &token).send(&world.edge.address);
    assert_eq!((answer.status, is_hit(&answer)), (404, false));
}

#[test]
fn a_legacy_grant_that_arrives_after_the_removal_does_not_count() {
    let world = leased();
    let id = world.legacy_media();
    let path = legacy_path(&id);
    delay(world, &path, 1500);
    thread::scope(|scope| {
        let answer = scope.spawn(|| legacy_download(&id).send(&world.edge.address));
        wait_until_asked(world, &path);
        world.origin.reply(&path, Reply::error(404, "M_NOT_FOUND", "Not found"));
        // Not by waiting for the first one's file.
        let other = super::legacy_thumbnail_path(&id);
        world.origin.reply(&other, Reply::error(404, "M_NOT_FOUND", "Not found"));
        assert_eq!(super::legacy_thumbnail(&id, 32).send(&world.edge.address).status, 404);
        assert_eq!(answer.join().expect("an answer").status, 200);
    });
    let answer = legacy_download(&id).send(&world.edge.address);
    assert_eq!((answer.status, is_hit(&answer)), (404, false));
}

#[test]
fn a_reader_who_leaves_before_the_refusal_has_no_lease() {
    let world = leased();
    let stored = world.stored_media();
    download(&stored, &world.token()).send(&world.edge.address);
    for (n, id) in [world.media(), world.stored_media()].into_iter().enumerate() {
        let (path, garbage) = (download_path(&id), format!("syt_leaves{n}"));
        delay(world, &path, 300);
        world.origin.forget(&path);
        let connection = download(&id, &garbage).open(&world.edge.address).expect("it is sent");
        wait_until_asked(world, &path);
        drop(connection);
        sleep(Duration::from_millis(500));
        let answer = download(&stored, &garbage).send(&world.edge.address);
        assert_eq!((answer.status, is_hit(&answer)), (401, false));
    }
}

#[test]
fn readers_who_hang_do_not_delay_a_refusal() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let request = download(&id, &token);
    request.send(&world.edge.address);
    // They have asked, and read nothing of what they get.
    let hanging: Vec<_> =
        (0..20).map(|_| request.open(&world.edge.address).expect("it is sent")).collect();
    world.origin.homeserver().log_out(&token);
    assert_eq!(download(&world.media(), &token).send(&world.edge.address).status, 401);
    let answer = request.send(&world.edge.address);
    assert_eq!((answer.status, is_hit(&answer)), (401, false));
    drop(hanging);
}

#[test]
fn a_refusal_of_one_token_ends_the_lease_of_no_other() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.address);
    world.assert_unasked(&download_path(&id), &download(&id, &token));
    for (status, errcode) in [(401, "M_UNKNOWN_TOKEN"), (403, "M_FORBIDDEN")] {
        world.origin.reply(&download_path(&id), Reply::error(status, errcode, "No"));
        assert_eq!(download(&id, "syt_nobody").send(&world.edge.address).status, status);
        world.assert_unasked(&download_path(&id), &download(&id, &token));
    }
}
