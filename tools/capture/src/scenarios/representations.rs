//! Parts, conditions and thumbnails of what is stored and of what is not, in strict mode.

use test_support::http::Request;
use test_support::noise::noise;

use super::{BODY, content_key, download, download_path, media_domain, thumbnail_path};
use crate::origin::{Media, Reply};
use crate::worlds::World;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Larger than what is kept in memory.
const LARGE_BYTES: usize = 300_000;

pub(super) fn play(world: &mut World<'_>) {
    world.turn_to("representations");
    {
        let mut homeserver = world.origin.homeserver();
        for id in ["stored", "missed", "missed2", "picture"] {
            homeserver.add(id, Media::new(BODY));
        }
        homeserver.add("large", Media::new(noise(LARGE_BYTES)));
    }
    ranges(world);
    conditions(world);
    dates(world);
    large(world);
    thumbnails(world);
}

fn part(id: &str, range: &str) -> Request {
    download(id, "syt_alice").header("Range", range)
}

fn ranges(world: &mut World<'_>) {
    let key = content_key("stored");
    world.fill(
        "a part of what isn't stored, which is stored then",
        part("stored", "bytes=0-9"),
        &key,
    );
    for range in ["bytes=0-9", "bytes=-6", "bytes=0-1,4-5", "bytes=a-b", "bytes=256-"] {
        world.ask(range, part("stored", range));
    }
    let head = media_domain("HEAD", &download_path("stored")).bearer("syt_alice");
    world.ask("HEAD with a range", head.header("Range", "bytes=0-9"));
    let key = content_key("missed");
    world.fill("a range beyond the end of what isn't stored", part("missed", "bytes=256-"), &key);
}

fn conditions(world: &mut World<'_>) {
    let with = |id: &str, name: &str, value: &str| download(id, "syt_alice").header(name, value);
    let tag = "\"stored-256\"";
    world.ask("If-None-Match: its tag", with("stored", "If-None-Match", tag));
    world.ask("If-None-Match: *", with("stored", "If-None-Match", "*"));
    world.ask("If-None-Match: another", with("stored", "If-None-Match", "\"x\""));
    let stranger = download("stored", "syt_nobody").header("If-None-Match", tag);
    world.ask("If-None-Match by a stranger", stranger);
    let key = content_key("missed2");
    let known = with("missed2", "If-None-Match", "\"missed2-256\"");
    world.fill("If-None-Match: its tag, and it isn't stored", known, &key);
    let if_range = |value: &str| part("stored", "bytes=0-9").header("If-Range", value);
    world.ask("If-Range: its tag", if_range(tag));
    world.ask("If-Range: another", if_range("\"x\""));
    world.ask("If-Modified-Since without a date", with("stored", "If-Modified-Since", DATE));
}

fn dates(world: &mut World<'_>) {
    let dated = Reply::media(BODY).header("Last-Modified", DATE).conditional();
    world.origin.on(&download_path("dated"), dated);
    let with = |name: &str, value: &str| download("dated", "syt_alice").header(name, value);
    world.fill("an origin with dates", download("dated", "syt_alice"), &content_key("dated"));
    world.ask("an origin with dates is asked by date", download("dated", "syt_bob"));
    world.ask("If-Modified-Since: its date", with("If-Modified-Since", DATE));
    let request = with("If-Range", DATE).header("Range", "bytes=1-2");
    world.ask("If-Range: its date", request);
}

fn large(world: &mut World<'_>) {
    world.fill("a large file", download("large", "syt_alice"), &content_key("large"));
    world.ask("a large file from the PoP", download("large", "syt_alice"));
    world.ask("a part of a large file", part("large", "bytes=100000-199999"));
}

fn thumbnails(world: &mut World<'_>) {
    let get =
        |query: &str| media_domain("GET", &thumbnail_path("picture", query)).bearer("syt_alice");
    let key = |size: &str| {
        format!("v2/example.com/media/example.com/picture/example.com/thumbnail/{size}")
    };
    world.fill("a thumbnail", get("width=32&height=32&method=crop"), &key("32x32-crop"));
    world.ask("the same in another order", get("method=crop&height=32&width=32"));
    world.fill("another method", get("width=320&height=240&method=scale"), &key("320x240-scale"));
    world.ask("a thumbnail that moves", get("width=32&height=32&method=crop&animated=true"));
    for query in ["width=32", "width=32&height=32&method=stretch", "width=32&height=32&width=64"] {
        world.ask(&format!("?{query}"), get(query));
    }
}
