//! File names that are no ASCII: bytes of UTF-8 or of Latin-1, raw in a `Content-Disposition`, as some
//! homeservers and proxies send them.

use std::sync::LazyLock;

use test_support::http::{Answer, Request};
use test_support::wire::from_latin1;

use super::servers::{Door, start_with_tiers, store_in_tiers, tiers};
use crate::support::origin::Reply;
use crate::support::world::{BODY, World, media_domain, tier};

const UTF_8: [&[u8]; 3] = [
    "inline; filename=\"caf\u{e9}.png\"".as_bytes(),
    "inline; filename=\u{732b}.png".as_bytes(),
    "Inline ; filename=\"\u{1f408}.png\"; filename*=utf-8''cat.png".as_bytes(),
];
const LATIN_1: &[u8] = b"inline; filename=\"caf\xe9.png\"";
const SAVED: &[u8] = "attachment; filename=\"caf\u{e9}.png\"".as_bytes();

fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(start_with_tiers);
    &WORLD
}

/// Media at the client and the legacy door whose answers have this disposition, 304s too.
fn disposed(world: &World, disposition: &'static [u8]) -> String {
    let id = world.legacy_media();
    for door in [Door::Client, Door::Legacy] {
        world.origin.on(&door.path(&id), move |call| {
            let reply = call.default_reply()?.without("Content-Disposition");
            call.reply(&reply.header("Content-Disposition", disposition))
        });
    }
    id
}

fn named(door: Door, world: &World, id: &str) -> Request {
    let request = media_domain("GET", format!("{}/page.html", door.path(id)));
    if door == Door::Client { request.bearer(&world.token()) } else { request }
}

#[track_caller]
fn disposition(answer: &Answer) -> &str {
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    assert_eq!(answer.headers.all("content-disposition").count(), 1);
    answer.header("content-disposition").expect("there is a disposition")
}

#[test]
fn a_raw_utf_8_name_reaches_its_reader_unchanged_from_every_tier() {
    let world = world();
    for sent in UTF_8 {
        let id = disposed(world, sent);
        let miss = Door::Client.get(world, &id).send(&world.edge.direct_address);
        assert_eq!(disposition(&miss), from_latin1(sent), "miss");
        store_in_tiers(world, &id);
        for (name, address) in tiers(world) {
            let hit = Door::Client.get(world, &id).send(address);
            assert_eq!((disposition(&hit), tier(&hit)), (from_latin1(sent).as_str(), name));
        }
    }
}

#[test]
fn inline_media_stays_inline_under_a_name_in_the_path() {
    let world = world();
    for sent in UTF_8.into_iter().chain([LATIN_1]) {
        let id = disposed(world, sent);
        for door in [Door::Client, Door::Legacy] {
            let miss = named(door, world, &id).send(&world.edge.direct_address);
            assert_eq!(disposition(&miss), "inline; filename=page.html", "{door:?}, miss");
        }
        store_in_tiers(world, &id);
        for (name, address) in tiers(world) {
            let hit = named(Door::Client, world, &id).send(address);
            assert_eq!((disposition(&hit), tier(&hit)), ("inline; filename=page.html", name));
            let hit = named(Door::Legacy, world, &id).send(address);
            assert_eq!(disposition(&hit), "inline; filename=page.html", "{name}");
        }
    }
}

#[test]
fn an_attachment_stays_one_whatever_bytes_its_name_has() {
    let world = world();
    let id = disposed(world, SAVED);
    for _ in 0..2 {
        let answer = named(Door::Client, world, &id).send(&world.edge.direct_address);
        assert_eq!(disposition(&answer), "attachment; filename=page.html");
        store_in_tiers(world, &id);
    }
}

/// The runtime takes what is no UTF-8 for U+FFFD before any code sees it
/// (<https://github.com/cloudflare/workerd/issues/6927>).
#[test]
fn a_latin_1_name_keeps_its_type_and_its_readable_characters() {
    let world = world();
    let id = disposed(world, LATIN_1);
    let expected = from_latin1("inline; filename=\"caf\u{fffd}.png\"".as_bytes());
    let miss = Door::Client.get(world, &id).send(&world.edge.direct_address);
    assert_eq!(disposition(&miss), expected);
    store_in_tiers(world, &id);
    for (name, address) in tiers(world) {
        let hit = Door::Client.get(world, &id).send(address);
        assert_eq!((disposition(&hit), tier(&hit)), (expected.as_str(), name));
    }
}

#[test]
fn a_page_is_recognized_by_its_type_whatever_bytes_its_parameters_have() {
    let world = world();
    let id = world.media();
    let page = Reply::new(200)
        .header("Content-Type", "text/html; title=\u{e9}".as_bytes())
        .header("ETag", "\"page\"")
        .body("<h1>One moment, please</h1>");
    world.origin.reply(&Door::Client.path(&id), page);
    let answer = Door::Client.get(world, &id).send(&world.edge.direct_address);
    assert_eq!((answer.status, answer.errcode().as_str()), (502, "M_UNKNOWN"));
}
