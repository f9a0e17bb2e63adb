//! New media is fetched once, in the background, so that its first reader finds it stored.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use test_support::http::{Answer, Request};
use test_support::profile::Profile;
use test_support::proxy::ADDED_FIELDS;
use test_support::time::wait_for;

use crate::support::origin::{Record, Reply};
use crate::support::world::{
    BODY, MEDIA_HOST, PATIENCE, World, content_key, download, download_path, leased, media_domain,
    shared, wait_for_entry,
};

const MAX_WARM_BYTES: usize = 32 << 20;

/// Longer than any background work of an upload takes.
pub(crate) const WHILE: Duration = Duration::from_millis(500);

/// An upload at a target of its own.
pub(crate) fn post(token: &str, name: &str, body: &[u8]) -> Request {
    let target = format!("/_matrix/media/v3/upload?filename={name}");
    media_domain("POST", target).bearer(token).header("Content-Type", "image/png").body(body)
}

pub(crate) fn put(token: &str, id: &str, body: &[u8]) -> Request {
    let target = format!("/_matrix/media/v3/upload/example.com/{id}");
    media_domain("PUT", target).bearer(token).header("Content-Type", "image/png").body(body)
}

pub(crate) fn send(world: &World, upload: &Request) -> Answer {
    let answer = upload.send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// The ID that the origin gave to an upload.
pub(crate) fn new_id(answer: &Answer) -> String {
    let uri = answer.json()["content_uri"].as_str().expect("a content_uri").to_owned();
    uri.rsplit('/').next().expect("an ID").to_owned()
}

/// Has the origin take whatever comes with this name, and call it `id`.
pub(crate) fn take_as(world: &World, name: &str, id: &str) {
    let target = format!("/_matrix/media/v3/upload?filename={name}");
    let uri = format!("mxc://example.com/{id}");
    world.origin.reply(&target, Reply::json(200, &json!({ "content_uri": uri })));
}

pub(crate) fn is_unconditional(asked: &Record) -> bool {
    asked.header("if-none-match").is_none()
}

/// Claims that the media was fetched once, by nobody but the edge, and then asked about without a
/// body.
#[track_caller]
fn assert_first_reader_hits(world: &World, id: &str) {
    let token = world.token();
    let answer = download(id, &token).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    let asked = world.origin.asked(&download_path(id));
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(is_unconditional(&asked[0]));
    assert_eq!(asked[0].answered_bytes, BODY.len());
    assert_eq!(asked[1].header("authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!((asked[1].header("if-none-match"), asked[1].answered_bytes), (Some("1"), 0));
    let status = answer.header("cache-status").expect("a Cache-Status");
    assert!(status.contains("fwd=stale; fwd-status=304"), "{status}");
}

#[track_caller]
fn assert_nothing_fetched(world: &World, id: &str) {
    sleep(WHILE);
    let asked = world.origin.asked(&download_path(id));
    assert!(asked.is_empty(), "{asked:?}");
}

#[test]
fn the_first_reader_of_an_upload_hits() {
    let world = shared();
    for number in 0..10 {
        let upload = post(&world.token(), &format!("warm{number}"), BODY);
        assert_first_reader_hits(world, &new_id(&send(world, &upload)));
    }
}

#[test]
fn the_first_reader_of_an_asynchronous_upload_hits() {
    let world = shared();
    for number in 0..10 {
        let id = format!("warmAsync{number}");
        send(world, &put(&world.token(), &id, BODY));
        assert_first_reader_hits(world, &id);
    }
}

#[test]
fn a_reader_who_comes_during_the_prefetch_waits_and_hits() {
    let world = shared();
    let id = "warmLate";
    world.origin.on(&download_path(id), |call| {
        if call.head.headers.get("if-none-match").is_none() {
            sleep(WHILE);
        }
        call.reply_by_default()
    });
    send(world, &put(&world.token(), id, BODY));
    assert_first_reader_hits(world, id);
}

#[test]
fn the_prefetch_carries_the_uploaders_credential_and_agent_alone() {
    let world = shared();
    let token = world.token();
    let target = format!("/_matrix/media/v3/upload?access_token={token}&filename=a.png");
    let in_query = media_domain("POST", target).body(BODY);
    for upload in [post(&token, "word", BODY), in_query] {
        let upload = upload
            .header("Content-Encoding", "aes")
            .header("Cookie", "a=b")
            .header("Origin", "https://app.example.com")
            .header("User-Agent", "uploader")
            .header("Range", "bytes=0-1")
            .header("If-None-Match", "1");
        let id = new_id(&send(world, &upload));
        let path = download_path(&id);
        let asked = wait_for("it is fetched", PATIENCE, || world.origin.asked(&path).pop());
        assert_eq!((asked.head.method.as_str(), asked.head.target.as_str()), ("GET", &*path));
        let mut sent: Vec<_> = asked.head.headers.0.iter().map(|(n, _)| n.to_lowercase()).collect();
        sent.sort();
        let of_the_proxy: &[&str] = match Profile::current() {
            Profile::Cloudflare => &ADDED_FIELDS,
            Profile::Plain => &[],
        };
        sent.retain(|name| !of_the_proxy.contains(&name.as_str()));
        let expected = [
            "accept-encoding",
            "authorization",
            "cache-control",
            "cf-worker",
            "host",
            "pragma",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-matrix-media-edge",
        ];
        assert_eq!(sent, expected);
        assert_eq!(asked.header("authorization"), Some(format!("Bearer {token}").as_str()));
        let encoding = match Profile::current() {
            Profile::Cloudflare => "br, gzip",
            Profile::Plain => "identity",
        };
        assert_eq!(asked.header("accept-encoding"), Some(encoding));
        assert_eq!(asked.header("user-agent"), Some("uploader"));
        assert_eq!(asked.connecting_address(), Some("127.0.0.1"));
    }
}

#[test]
fn an_upload_that_the_origin_refused_is_not_prefetched() {
    let world = shared();
    for status in [201, 202, 400, 401, 403, 409, 413, 429, 500] {
        let name = format!("refused{status}");
        let target = format!("/_matrix/media/v3/upload?filename={name}");
        let uri = format!("mxc://example.com/{name}");
        let error = json!({ "errcode": "M_UNKNOWN", "error": "No", "content_uri": uri });
        world.origin.reply(&target, Reply::json(status, &error));
        let put_target = format!("/_matrix/media/v3/upload/example.com/{name}");
        world.origin.reply(&put_target, Reply::json(status, &error));
        for upload in [post(&world.token(), &name, BODY), put(&world.token(), &name, BODY)] {
            assert_eq!(upload.send(&world.edge.address).status, status);
        }
    }
    sleep(WHILE);
    for status in [201, 202, 400, 401, 403, 409, 413, 429, 500] {
        assert!(world.origin.asked(&download_path(&format!("refused{status}"))).is_empty());
    }
}

#[test]
fn empty_and_too_large_uploads_are_not_prefetched() {
    let world = shared();
    for (id, length, is_fetched) in [
        ("warmEmpty", 0, false),
        ("warmSmallest", 1, true),
        ("warmLargest", MAX_WARM_BYTES, true),
        ("warmTooLarge", MAX_WARM_BYTES + 1, false),
    ] {
        take_as(world, id, id);
        send(world, &post(&world.token(), id, &vec![0; length]));
        let path = download_path(id);
        if is_fetched {
            wait_for(id, PATIENCE, || world.origin.asked(&path).pop());
        } else {
            assert_nothing_fetched(world, id);
        }
    }
}

#[test]
fn the_prefetch_can_be_turned_off() {
    let world = World::start_with(&[("WARM_UPLOADS", "false")]);
    let token = world.token();
    let id = new_id(&send(&world, &post(&token, "unwanted", BODY)));
    send(&world, &put(&token, "unwanted", BODY));
    for id in [&id, "unwanted"] {
        assert_nothing_fetched(&world, id);
        let (answer, asked) = world.assert_asked(&download_path(id), &download(id, &token));
        assert_eq!(&answer.body[..], BODY);
        assert!(is_unconditional(&asked));
    }
}

#[test]
fn the_prefetch_grants_leases_of_the_uploader_and_the_media() {
    let world = leased();
    let (uploader, reader, stranger) = (world.token(), world.token(), world.token());
    download(&world.stored_media(), &reader).send(&world.edge.address);
    let id = new_id(&send(world, &post(&uploader, "leased", BODY)));
    let path = download_path(&id);
    wait_for_entry(&world.edge, MEDIA_HOST, &content_key(&id));
    for token in [&uploader, &reader] {
        let answer = world.assert_unasked(&path, &download(&id, token));
        assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    }
    let (answer, asked) = world.assert_asked(&path, &download(&id, &stranger));
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
}

#[test]
fn the_prefetch_grants_nothing_to_other_readers_with_scope_token_and_media() {
    let world = World::start_with(&[("LEASE_SECONDS", "600"), ("LEASE_SCOPE", "token+media")]);
    let (uploader, reader) = (world.token(), world.token());
    download(&world.stored_media(), &reader).send(&world.edge.address);
    let id = new_id(&send(&world, &post(&uploader, "leased", BODY)));
    let path = download_path(&id);
    wait_for_entry(&world.edge, MEDIA_HOST, &content_key(&id));
    world.assert_unasked(&path, &download(&id, &uploader));
    let (_, asked) = world.assert_asked(&path, &download(&id, &reader));
    assert_eq!(asked.header("if-none-match"), Some("1"));
}
