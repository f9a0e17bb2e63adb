//! A CDN compresses what it may on the way out: media keeps its length and its strong tag, since every
//! answer about media says `no-transform` (RFC 9111 §5.2.2.6).

use test_support::http::{Answer, Request};

use super::servers::{DOORS, Door};
use crate::support::origin::Media;
use crate::support::world::{World, download_path, media_domain, shared};

/// Text, which compresses well.
fn text() -> Vec<u8> {
    "plain text ".repeat(1000).into_bytes()
}

/// Media of text, at every door.
fn media(world: &World) -> String {
    let media = Media { is_legacy: true, ..Media::new("text/plain", text()) };
    world.origin.homeserver().add(media)
}

/// Sends it as a reader who accepts compression. The local front would compress it whatever it says.
fn send(world: &World, request: Request) -> Answer {
    request.header("Accept-Encoding", "gzip, br, zstd").send(&world.edge.direct_address)
}

#[track_caller]
fn assert_untransformed(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    let control = answer.header("cache-control").unwrap_or_default();
    assert!(control.ends_with("no-transform"), "{what}: {control}");
    assert_eq!(answer.header("content-encoding"), None, "{what}");
}

#[test]
fn media_keeps_its_length_and_tag_at_every_door_stored_or_not() {
    let world = shared();
    for door in DOORS {
        let id = media(world);
        for n in 0..3 {
            let what = format!("{door:?}, read {n}");
            let answer = send(world, door.get(world, &id));
            assert_untransformed(&answer, 200, &what);
            let length = answer.body.len().to_string();
            assert_eq!(answer.header("content-length"), Some(length.as_str()), "{what}");
            if door != Door::Federation {
                assert!(answer.body == text(), "{what}");
                assert!(answer.header("etag").is_some_and(|tag| tag.starts_with('"')), "{what}");
            }
        }
    }
}

#[test]
fn every_answer_about_media_is_untransformed() {
    let world = shared();
    for door in [Door::Client, Door::Legacy] {
        let id = media(world);
        for n in 0..2 {
            let what = format!("{door:?}, round {n}");
            let part = send(world, door.get(world, &id).header("Range", "bytes=11-21"));
            assert_untransformed(&part, 206, &what);
            assert_eq!(
                (&part.body[..], part.header("content-length")),
                (&text()[11..22], Some("11"))
            );
            let beyond = send(world, door.get(world, &id).header("Range", "bytes=99999-"));
            assert_untransformed(&beyond, 416, &what);
            let tag = part.header("etag").expect("a tag").to_owned();
            assert!(tag.starts_with('"'), "{tag}");
            let known = send(world, door.get(world, &id).header("If-None-Match", &tag));
            assert_untransformed(&known, 304, &what);
            assert_eq!(known.header("etag"), Some(tag.as_str()), "{what}");
            let head = media_domain("HEAD", door.path(&id)).bearer(&world.token());
            let head = send(world, head);
            assert_untransformed(&head, 200, &what);
            assert_eq!(head.header("content-length"), Some("11000"), "{what}");
            assert_eq!(head.header("etag"), Some(tag.as_str()), "{what}");
        }
    }
}

#[test]
fn media_that_is_never_stored_keeps_its_length() {
    let world = shared();
    let id = media(world);
    let unusual = format!("{}?unknown=1", download_path(&id));
    let unstable =
        format!("/_matrix/client/unstable/org.matrix.msc3916/media/download/example.com/{id}");
    world.origin.on(&unstable, |call| {
        let reply = crate::support::origin::Reply::new(200)
            .header("Content-Type", "text/plain")
            .header("Content-Disposition", "inline")
            .body("plain text ".repeat(1000));
        call.reply(&reply)
    });
    for target in [&unusual, &unstable] {
        let answer = send(world, media_domain("GET", target).bearer(&world.token()));
        assert_untransformed(&answer, 200, target);
        assert!(answer.body == text(), "{target}");
        assert_eq!(answer.header("content-length"), Some("11000"), "{target}");
    }
}

#[test]
fn answers_without_media_may_be_compressed() {
    let world = shared();
    let request = media_domain("GET", "/_matrix/media/v3/config").bearer(&world.token());
    let answer = send(world, request);
    let control = answer.header("cache-control").unwrap_or_default();
    assert!(!control.contains("no-transform"), "{control}");
}
