//! `docs/conformance.md`: questions in the manner of the public suites that test HTTP caches, and what
//! the edge answers. Each of them is asked of the built Worker, and the page is written from them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use test_support::ROOT;
use test_support::edge::Layout;
use test_support::http::{Answer, Request};
use test_support::profile::Profile;

use crate::support::origin::Reply;
use crate::support::world::{BODY, World, download, download_path, media_domain, wait_until_shown};

const BEGINNING: &str = include_str!("conformance.md");

/// Set, it has the page written instead of compared.
const WRITE: &str = "WRITE_CONFORMANCE";

type Fields = &'static [(&'static str, &'static str)];

/// A question to the cache, and the answer.
struct Question {
    words: &'static str,
    clause: &'static str,
    /// What the homeserver says in place of, or besides, what it says of every file.
    origin: Fields,
    /// What the reader says.
    reader: Fields,
    answer: &'static str,
}

const fn first(
    words: &'static str,
    clause: &'static str,
    origin: Fields,
    answer: &'static str,
) -> Question {
    Question { words, clause, origin, reader: &[], answer }
}

const fn asked(
    words: &'static str,
    clause: &'static str,
    reader: Fields,
    answer: &'static str,
) -> Question {
    Question { words, clause, origin: &[], reader, answer }
}

/// The first answer to a question about a file.
const STORING: &[Question] = &[
    first("no field about reuse", "RFC 9111 §3", &[], STORED),
    first("`Cache-Control: max-age=0`", "§5.2.2.1", &[("Cache-Control", "max-age=0")], STORED),
    first("`Cache-Control: no-cache`", "§5.2.2.4", &[("Cache-Control", "no-cache")], STORED),
    first("`Cache-Control: private`", "§5.2.2.7", &[("Cache-Control", "private")], STORED),
    first("`Cache-Control: no-store`", "§5.2.2.5", &[("Cache-Control", "no-store")], NO_STORE),
    first(
        "`Cache-Control: No-Store` among others",
        "§5.2",
        &[("Cache-Control", "max-age=60, No-Store")],
        NO_STORE,
    ),
    first(
        "two `Cache-Control`, `no-store` in the second",
        "§5.2",
        &[("Cache-Control", "max-age=60"), ("+Cache-Control", "no-store")],
        NO_STORE,
    ),
    first("`Cache-Control: \"no-store`", "§5.2", &[("Cache-Control", "\"no-store")], STORED),
    first("`Expires: 0`", "§5.3", &[("Expires", "0")], STORED),
    first("an invalid `Date`", "RFC 9110 §6.6.1", &[("Date", "yesterday")], STORED),
    first("an invalid `Age`", "§5.1", &[("Age", "old")], STORED),
    first("`Set-Cookie`", "RFC 6265 §3", &[("Set-Cookie", "a=b")], "200, not stored (set-cookie)"),
    first("`Vary: *`", "§4.1", &[("Vary", "*")], VARY),
    first(
        "`Vary: Accept, Cookie`, which are never sent",
        "§4.1",
        &[("Vary", "Accept, Cookie")],
        STORED,
    ),
    first("`Vary: Origin`", "§4.1", &[("Vary", "Origin")], STORED),
    first("`Vary: Authorization`", "§4.1", &[("Vary", "Authorization")], VARY),
    first(
        "two `Vary`, the second by `User-Agent`",
        "§4.1",
        &[("Vary", "Accept"), ("+Vary", "User-Agent")],
        VARY,
    ),
    first("an invalid `Vary`", "§4.1", &[("Vary", "a b")], VARY),
    first(
        "a `Content-Encoding`, though `identity` was asked for",
        "RFC 9110 §8.4",
        &[("Content-Encoding", "x-own")],
        "200, not stored (encoded)",
    ),
    first("an `ETag` without quotes", "RFC 9110 §8.8.3", &[("ETag", "a")], STORED),
    first("a weak `ETag`", "RFC 9110 §8.8.1", &[("ETag", "W/\"a\"")], STORED),
    first("two `ETag`", "RFC 9110 §5.3", &[("ETag", "\"a\""), ("+ETag", "\"b\"")], STORED),
    first("an invalid `Last-Modified`", "RFC 9110 §8.8.2", &[("Last-Modified", "now")], STORED),
    first(
        "two equal `Content-Length`",
        "RFC 9110 §8.6",
        &[("+Content-Length", "256")],
        "200, not stored (no-length)",
    ),
    first("two different `Content-Length`", "RFC 9112 §6.3", &[("+Content-Length", "255")], "502"),
    first("a field with an invalid name", "RFC 9110 §5.1", &[("X Y", "a")], "502"),
    first("the status 203", "RFC 9110 §15.3.4", &[(":status", "203")], "203, not stored"),
    first(
        "an unrequested 206",
        "RFC 9111 §3.3",
        &[(":status", "206"), ("Content-Range", "bytes 0-255/256")],
        "502",
    ),
    first("an unrequested 304", "RFC 9110 §15.4.5", &[(":status", "304")], "502"),
];

const STORED: &str = "200, stored";
const NO_STORE: &str = "200, not stored (no-store)";
const VARY: &str = "200, not stored (vary)";

/// The answer about a stored file, whose homeserver answers the edge's condition by a 304.
const CONFIRMED: &[Question] = &[
    first("nothing else", "RFC 9111 §4.3.3", &[], AS_STORED),
    first("`Content-Encoding: gzip`", "§3.2", &[("Content-Encoding", "gzip")], AS_STORED),
    first("another `Content-Type`", "§3.2", &[("Content-Type", "text/html")], AS_STORED),
    first("another `Content-Length`", "§3.2", &[("Content-Length", "7")], AS_STORED),
    first("`Content-Range`", "§3.2", &[("Content-Range", "bytes 0-9/256")], AS_STORED),
    first(
        "another `Content-Disposition`",
        "§4.3.4",
        &[("Content-Disposition", "attachment")],
        AS_STORED,
    ),
    first(
        "another `Last-Modified`",
        "§4.3.4",
        &[("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
        AS_STORED,
    ),
    first("another `ETag`", "§4.3.4", &[("ETag", "\"b\"")], AS_STORED),
    first(
        "another `Cache-Control`",
        "§4.3.4",
        &[("Cache-Control", "max-age=7")],
        "200, with the new `Cache-Control`",
    ),
    first("another `Expires`", "§4.3.4", &[("Expires", "0")], "200, with the new `Expires`"),
    first("`Set-Cookie`", "§7.3", &[("Set-Cookie", "a=b")], AS_STORED),
];

const AS_STORED: &str = "200, as stored";

/// The answer to a reader about a stored file that the homeserver has confirmed.
const READERS: &[Question] = &[
    asked(
        "`Range: bytes=10-19`",
        "RFC 9110 §14.2",
        &[("Range", "bytes=10-19")],
        "206, bytes 10-19/256",
    ),
    asked(
        "`Range: bytes=250-999`",
        "§14.1.2",
        &[("Range", "bytes=250-999")],
        "206, bytes 250-255/256",
    ),
    asked("`Range: bytes=-6`", "§14.1.2", &[("Range", "bytes=-6")], "206, bytes 250-255/256"),
    asked("`Range: bytes=0-`", "§14.1.2", &[("Range", "bytes=0-")], "206, bytes 0-255/256"),
    asked("`Range: bytes=256-`", "§15.5.17", &[("Range", "bytes=256-")], "416, bytes */256"),
    asked("`Range: bytes=-0`", "§14.1.2", &[("Range", "bytes=-0")], "416, bytes */256"),
    asked("several ranges", "§14.2", &[("Range", "bytes=0-1,4-5")], AS_STORED),
    asked("`Range: bytes=9-5`", "§14.1.1", &[("Range", "bytes=9-5")], AS_STORED),
    asked("another unit", "§14.1", &[("Range", "lines=0-1")], AS_STORED),
    asked(
        "`If-Range` with the current tag",
        "§13.1.5",
        &[("Range", "bytes=0-1"), ("If-Range", ":tag")],
        "206, bytes 0-1/256",
    ),
    asked(
        "`If-Range` with the current tag as a weak one",
        "§13.1.5",
        &[("Range", "bytes=0-1"), ("If-Range", ":weak")],
        AS_STORED,
    ),
    asked(
        "`If-Range` with another tag",
        "§13.1.5",
        &[("Range", "bytes=0-1"), ("If-Range", "\"x\"")],
        AS_STORED,
    ),
    asked("`If-None-Match` with the current tag", "§13.1.2", &[("If-None-Match", ":tag")], "304"),
    asked(
        "`If-None-Match` with the current tag as a weak one",
        "§13.1.2",
        &[("If-None-Match", ":weak")],
        "304",
    ),
    asked("`If-None-Match: *`", "§13.1.2", &[("If-None-Match", "*")], "304"),
    asked("`If-None-Match` with another tag", "§13.1.2", &[("If-None-Match", "\"x\"")], AS_STORED),
    asked(
        "`If-None-Match` with a tag without quotes",
        "§13.1.2",
        &[("If-None-Match", "1")],
        AS_STORED,
    ),
    asked(
        "`If-None-Match` with the current tag, and `Range`",
        "§13.2.2",
        &[("If-None-Match", ":tag"), ("Range", "bytes=0-1")],
        "304",
    ),
    asked(
        "`If-Modified-Since`, if no date was sent",
        "§13.1.3",
        &[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")],
        AS_STORED,
    ),
    asked(
        "`Cache-Control: only-if-cached`",
        "RFC 9111 §5.2.1.7",
        &[("Cache-Control", "only-if-cached")],
        AS_STORED,
    ),
    asked(
        "`Cache-Control: no-cache`",
        "RFC 9111 §5.2.1.4",
        &[("Cache-Control", "no-cache")],
        AS_STORED,
    ),
    asked("HEAD", "RFC 9110 §9.3.2", &[(":method", "HEAD")], "200, headers only"),
    asked(
        "HEAD with `Range`",
        "§14.2",
        &[(":method", "HEAD"), ("Range", "bytes=0-1")],
        "200, headers only",
    ),
    asked(
        "HEAD with `If-None-Match` and the current tag",
        "§13.1.2",
        &[(":method", "HEAD"), ("If-None-Match", ":tag")],
        "304",
    ),
];

/// A homeserver's file, with these fields in place of its own, or besides them after a `+`.
fn reply(status: u16, fields: Fields) -> Reply {
    let status = fields
        .iter()
        .find(|(name, _)| *name == ":status")
        .map_or(status, |(_, value)| value.parse().expect("a status"));
    let mut reply = Reply::new(status)
        .header("Content-Type", "image/png")
        .header("Content-Disposition", "inline")
        .header("ETag", "\"a\"")
        .header("Cache-Control", "public, max-age=86400");
    for (name, value) in fields.iter().filter(|(name, _)| *name != ":status") {
        reply = match name.strip_prefix('+') {
            Some(name) => reply.header(name, value),
            None => reply.without(name).header(name, value),
        };
    }
    if status == 304 { reply } else { reply.body(BODY) }
}

/// What a reader sees of an answer about a file whose first answer had this head.
fn describe(answer: &Answer, stored: &Answer) -> String {
    let status = answer.status;
    let range = answer.header("content-range").unwrap_or_default();
    match status {
        206 | 416 => return format!("{status}, {range}"),
        200 => {}
        _ => return status.to_string(),
    }
    let names = [
        "content-type",
        "content-encoding",
        "content-length",
        "content-range",
        "content-disposition",
        "last-modified",
        "etag",
        "set-cookie",
    ];
    for name in names {
        assert_eq!(answer.header(name), stored.header(name), "{name}");
    }
    for name in ["Cache-Control", "Expires"] {
        if answer.header(name) != stored.header(name) {
            return format!("200, with the new `{name}`");
        }
    }
    if answer.body.is_empty() { "200, headers only".to_owned() } else { AS_STORED.to_owned() }
}

/// Stores a file, and returns the answer about it from the store.
fn stored(world: &World, id: &str) -> Answer {
    world.origin.on(&download_path(id), |call| match call.head.headers.get("if-none-match") {
        Some("\"a\"") => call.reply(&Reply::new(304)),
        _ => call.reply(&reply(200, &[])),
    });
    let token = world.token();
    download(id, &token).send(&world.edge.address);
    wait_until_shown(&world.edge);
    let answer = download(id, &token).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert!(answer.header("cache-status").is_some_and(|field| field.contains("fwd-status=304")));
    answer
}

fn request(world: &World, id: &str, fields: Fields, tag: &str) -> Request {
    let method = fields.iter().find(|(name, _)| *name == ":method").map_or("GET", |(_, it)| it);
    let request = media_domain(method, download_path(id)).bearer(&world.token());
    let fields = fields.iter().filter(|(name, _)| *name != ":method");
    fields.fold(request, |request, (name, value)| match *value {
        ":tag" => request.header(name, tag),
        ":weak" => request.header(name, format!("W/{tag}")),
        value => request.header(name, value),
    })
}

/// The edge by itself: what a proxy makes of odd heads is none of its answers.
fn start() -> World {
    World::start_as(Layout { profile: Some(Profile::Plain), ..Layout::default() }, &[])
}

/// Claims that all questions are answered as they are said to be.
#[track_caller]
fn assert_answers(questions: &[Question], answer: impl Fn(usize, &Question) -> String) {
    let wrong: Vec<_> = questions
        .iter()
        .enumerate()
        .map(|(n, question)| (question, answer(n, question)))
        .filter(|(question, answer)| question.answer != answer)
        .map(|(question, answer)| format!("{}: {answer}", question.words))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn responses_are_stored_as_the_page_says() {
    let world = start();
    assert_answers(STORING, |n, question| {
        let id = format!("first{n}");
        world.origin.reply(&download_path(&id), reply(200, question.origin));
        let answer = download(&id, &world.token()).send(&world.edge.address);
        let status = answer.status;
        if !(200..300).contains(&status) {
            return status.to_string();
        }
        assert_eq!(&answer.body[..], BODY, "{}", question.words);
        let told = answer.header("cache-status").unwrap_or_default();
        match told.rsplit_once("; detail=") {
            Some((_, reason)) => format!("{status}, not stored ({reason})"),
            None if told.ends_with("; stored") => format!("{status}, stored"),
            None => format!("{status}, not stored"),
        }
    });
}

#[test]
fn a_304_is_applied_as_the_page_says() {
    let world = start();
    assert_answers(CONFIRMED, |n, question| {
        let id = format!("confirmed{n}");
        let stored = stored(&world, &id);
        let fields = question.origin;
        let bare = Reply::new(304);
        let confirmation =
            fields.iter().fold(bare, |reply, (name, value)| reply.header(name, value));
        world.origin.reply(&download_path(&id), confirmation);
        describe(&download(&id, &world.token()).send(&world.edge.address), &stored)
    });
}

#[test]
fn readers_are_answered_as_the_page_says() {
    let world = start();
    let stored = stored(&world, "read");
    let tag = stored.header("etag").expect("a tag").to_owned();
    assert_answers(READERS, |_, question| {
        let request = request(&world, "read", question.reader, &tag);
        describe(&request.send(&world.edge.address), &stored)
    });
}

fn page() -> String {
    let mut page = BEGINNING.to_owned();
    for (title, test, head, questions) in [
        (
            "What is stored",
            "responses_are_stored_as_the_page_says",
            "The homeserver sends a 200 with…",
            STORING,
        ),
        (
            "What a 304 changes",
            "a_304_is_applied_as_the_page_says",
            "The homeserver confirms by a 304 with…",
            CONFIRMED,
        ),
        ("What readers get", "readers_are_answered_as_the_page_says", "The reader sends…", READERS),
    ] {
        let _ = write!(page, "\n## {title}\n\nShown by `field::conformance::{test}`.\n\n");
        let _ = writeln!(page, "| {head} | | The reader gets |\n|---|---|---|");
        for Question { words, clause, answer, .. } in questions {
            let _ = writeln!(page, "| {words} | {clause} | {answer} |");
        }
    }
    page
}

#[test]
fn the_page_matches_the_questions() {
    let path = PathBuf::from(ROOT).join("docs/conformance.md");
    if env::var_os(WRITE).is_some() {
        fs::write(&path, page()).expect("it can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/conformance.md is not what is asked: run `{WRITE}=1 cargo test --test workerd the_page_matches_the_questions`"
    );
}
