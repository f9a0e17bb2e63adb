//! What a confirmation may change: a 304, or the answer to a HEAD, freshens what belongs to the
//! exchange, and nothing that describes the stored bytes (RFC 9111 §3.2, §4.3.4; RFC 9110 §8).

use std::sync::LazyLock;

use test_support::http::Answer;

use super::servers::{DOORS, Door, changed, start_with_tiers, store_in_tiers, tiers, with_fields};
use crate::support::origin::Reply;
use crate::support::world::{BODY, World, download, download_path, media_domain, shared, tier};

/// What proxies say in a 304, or might, of bytes that they never sent.
const WRONG: [(&str, &str); 16] = [
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "br"),
    ("Content-Encoding", "zstd"),
    ("Content-Type", "text/html"),
    ("Content-Type", "multipart/mixed; boundary=other"),
    ("Content-Range", "bytes 0-9/256"),
    ("Content-Language", "tlh"),
    ("Content-Length", "7"),
    ("Content-Disposition", "attachment; filename=other.exe"),
    ("Content-Location", "/other"),
    ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("Accept-Ranges", "none"),
    ("Location", "https://other.example/"),
    ("Retry-After", "60"),
    ("WWW-Authenticate", "Basic"),
    ("Allow", "GET"),
];

/// Three tiers, for tests that touch no media of others.
fn tiered() -> &'static World {
    static TIERED: LazyLock<World> = LazyLock::new(start_with_tiers);
    &TIERED
}

/// What describes an answer's bytes, and where to go for others.
fn described(answer: &Answer) -> Vec<(String, String)> {
    let is_told = |name: &str| WRONG.iter().any(|(wrong, _)| wrong.eq_ignore_ascii_case(name));
    let fields = answer.headers.0.iter().filter(|(name, _)| is_told(name));
    let mut fields: Vec<_> =
        fields.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    fields.sort();
    fields
}

#[test]
fn a_304_changes_no_header_that_describes_the_stored_bytes_at_any_door() {
    let world = shared();
    for door in DOORS {
        let id = world.legacy_media();
        let path = door.path(&id);
        world.store_by(&path, || door.get(world, &id).send(&world.edge.address));
        let right = described(&door.get(world, &id).send(&world.edge.address));
        for wrong in WRONG {
            with_fields(world, &path, &[wrong]);
            world.origin.forget(&path);
            let answer = door.get(world, &id).send(&world.edge.address);
            assert_eq!(world.origin.asked_once(&path).answered_bytes, 0, "{door:?}, {wrong:?}");
            door.assert_served(&answer);
            assert_eq!(described(&answer), right, "{door:?}, {wrong:?}");
        }
    }
}

#[test]
fn a_304_changes_no_header_that_describes_the_bytes_of_any_tier() {
    let world = tiered();
    for (name, address) in tiers(world) {
        let id = world.media();
        store_in_tiers(world, &id);
        let wrong: Vec<_> =
            WRONG.into_iter().filter(|(name, _)| *name != "Content-Length").collect();
        with_fields(world, &download_path(&id), &wrong);
        let answer = download(&id, &world.token()).send(address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{name}");
        assert_eq!(tier(&answer), name);
        let expected = [
            ("accept-ranges", "bytes"),
            ("content-disposition", "inline"),
            ("content-length", "256"),
            ("content-type", "image/png"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(described(&answer), expected, "{name}");
    }
}

#[test]
fn a_range_is_described_by_the_edge_whatever_a_304_says() {
    let world = shared();
    let id = world.stored_media();
    with_fields(
        world,
        &download_path(&id),
        &[("Content-Range", "bytes 0-9/256"), ("Content-Encoding", "gzip")],
    );
    let request = download(&id, &world.token()).header("Range", "bytes=10-19");
    let answer = request.send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (206, &BODY[10..20]));
    assert_eq!(answer.header("content-range"), Some("bytes 10-19/256"));
    assert_eq!(answer.header("content-encoding"), None);
}

#[test]
fn the_answer_to_a_head_changes_no_header_that_describes_the_stored_bytes() {
    // Without validators, a token's yes about one media says nothing of another.
    let vars = [("LEASE_SECONDS", "600"), ("LEASE_SCOPE", "token+media")];
    let world = World::start_with(&vars);
    let path = download_path("headed");
    let file = Reply::new(200).header("Content-Type", "image/png").body(BODY);
    let file = file.header("Content-Disposition", "inline; filename=own.png");
    world.origin.reply(&path, file.clone());
    let token = world.token();
    world.store_by(&path, || download("headed", &token).send(&world.edge.address));
    let head = |token: &str| {
        media_domain("HEAD", download_path("headed")).bearer(token).send(&world.edge.address)
    };
    let right = described(&head(&token));
    let wrong = [
        ("Content-Disposition", "attachment; filename=other.exe"),
        ("Content-Language", "tlh"),
        ("Accept-Ranges", "none"),
        ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    world.origin.reply(&path, changed(file, &wrong));
    world.origin.forget(&path);
    let answer = head(&world.token());
    assert_eq!(world.origin.asked_once(&path).head.method, "HEAD");
    assert_eq!((answer.status, described(&answer)), (200, right));
}

#[test]
fn a_304_freshens_what_belongs_to_the_exchange() {
    let world = shared();
    for door in DOORS {
        let id = world.legacy_media();
        let path = door.path(&id);
        world.store_by(&path, || door.get(world, &id).send(&world.edge.address));
        let fresh = [
            ("Cache-Control", "private, max-age=7"),
            ("Expires", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Synapse-Trace-Id", "abc"),
            ("Referrer-Policy", "same-origin"),
        ];
        with_fields(world, &path, &fresh);
        let answer = door.get(world, &id).send(&world.edge.address);
        door.assert_served(&answer);
        for (name, value) in fresh {
            let found = answer.header(name).unwrap_or_default();
            assert!(found.starts_with(value), "{door:?}, {name}: {found}");
        }
    }
}

#[test]
fn a_server_gets_the_tag_of_the_304() {
    let world = shared();
    let id = world.media();
    let path = Door::Federation.path(&id);
    world.store_by(&path, || Door::Federation.get(world, &id).send(&world.edge.address));
    with_fields(world, &path, &[("ETag", "\"2\"")]);
    let answer = Door::Federation.get(world, &id).send(&world.edge.address);
    Door::Federation.assert_served(&answer);
    assert_eq!(answer.header("etag"), Some("\"2\""));
}
