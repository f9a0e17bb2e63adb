//! Somebody in front of the homeserver who says anything at all to whom they take for a robot: that
//! opens nothing to anyone, and nobody else gets any of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use test_support::edge::{BucketKind, Layout};
use test_support::http::{Answer, Request};

use super::{DATE, PAGE};
use crate::support::origin::{Call, Reply, Then};
use crate::support::world::{BODY, World, download_path, legacy_path, media_domain};

/// Marks whom the wall takes for a robot.
const ROBOT: &str = "robot";

const STEPS: usize = 1_000;

/// The constants of Knuth's MMIX generator.
struct Chance(AtomicU64);

impl Chance {
    fn below(&self, bound: usize) -> usize {
        let step = |seed: u64| {
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
        };
        let seed = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |seed| Some(step(seed)));
        let seed = step(seed.unwrap_or_else(|seed| seed));
        usize::try_from(seed >> 33).unwrap_or_default() % bound
    }

    fn one<'a>(&self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// What a wall says: nothing that only a homeserver would.
fn anything(call: &mut Call<'_>, chance: &Chance) -> std::io::Result<Then> {
    call.receive()?;
    let statuses = [
        201, 202, 203, 204, 206, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 416,
        429, 451, 500, 502, 503, 504, 520, 530, 599, 600, 103,
    ];
    // Most of what may pass for media is a 200.
    let status = if chance.below(2) == 0 { 200 } else { statuses[chance.below(statuses.len())] };
    if chance.below(12) == 0 {
        return Ok(Then::Reset);
    }
    let types = [
        "text/html",
        "text/html; charset=utf-8",
        "TEXT/HTML;a=\"b;c\"",
        "application/xhtml+xml",
        "text/plain",
        "application/json",
        "application/json; charset=utf-8",
        "text/html, image/png",
        "image/png, text/html",
        ";",
        "",
    ];
    let mut reply = Reply::new(status).header("Content-Type", chance.one(&types));
    for (name, values) in [
        ("ETag", &["1", "\"1\"", "\"page\"", "*", "W/\"1\"", "1, \"page\""][..]),
        ("Last-Modified", &[DATE, "Sat, 05 Nov 1994 08:49:37 GMT", "never"]),
        ("Cache-Control", &["no-store", "public, max-age=31536000", "\u{e9}"]),
        ("Content-Security-Policy", &["default-src *, script-src *", ",", "\u{e9}"]),
        (
            "Location",
            &["/login", "https://login.example/", "//login.example", "login", "\\\\a", ""],
        ),
        ("Retry-After", &["1", "never"]),
        ("Vary", &["*", "Accept-Encoding"]),
        ("Set-Cookie", &["a=b"]),
        ("Age", &["99"]),
        ("Content-Range", &["bytes 0-1/256", "bytes */256"]),
        ("cf-mitigated", &["challenge"]),
        ("X-Long", &["x"]),
    ] {
        if chance.below(3) == 0 {
            reply = reply.header(name, chance.one(values));
        }
    }
    let bodies = [
        PAGE,
        "",
        "{}",
        "[]",
        "{\"errcode\":null}",
        "{\"errcode\":\"\"}",
        "{\"errcode\":\"M_NOT_FOUND\"}x",
        "\u{feff}{\"errcode\":\"M_NOT_FOUND\"}",
        "{\"user_id\":\"@a:example.com\"}",
        "{\"a\":{\"errcode\":\"M_NOT_FOUND\"}}",
    ];
    reply = reply.body(chance.one(&bodies));
    if chance.below(3) == 0 {
        reply = reply.chunked();
    }
    let mut bytes = reply.to_bytes(&call.head.method);
    if chance.below(8) == 0 {
        bytes.truncate(bytes.len() - chance.below(bytes.len().min(20) + 1));
        call.send(bytes)?;
        return Ok(Then::Close);
    }
    call.send(bytes)?;
    // A status that makes no sense, or a half answer, leaves the connection in no good state.
    Ok(if (200..600).contains(&status) { Then::KeepOpen } else { Then::Close })
}

/// The homeserver at one path, behind a wall. What it says of media that it grants has this validator.
fn behind_a_wall(
    world: &World,
    path: &str,
    validator: Option<(&'static str, &'static str)>,
    chance: &Arc<Chance>,
) {
    let chance = Arc::clone(chance);
    world.origin.on(path, move |call| {
        if call.head.headers.get("user-agent") == Some(ROBOT) && chance.below(4) > 0 {
            return anything(call, &chance);
        }
        let condition = match validator {
            Some(("ETag", _)) => "if-none-match",
            Some(_) => "if-modified-since",
            None => "x-none",
        };
        let is_known = call.head.headers.get(condition).is_some()
            && call.head.headers.get(condition) == validator.map(|(_, value)| value);
        // The stand-in's own tag is taken off, and its 304 is made anew.
        for (name, value) in &mut call.head.headers.0 {
            if name.eq_ignore_ascii_case("if-none-match") {
                value.clear();
            }
        }
        let mut reply = call.default_reply()?;
        let is_media = reply.bytes() == BODY;
        reply = reply.without("ETag");
        if is_media && let Some((name, value)) = validator {
            reply = reply.header(name, value);
        }
        if is_media && is_known { call.reply(&Reply::new(304)) } else { call.reply(&reply) }
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Accepted,
    LoggedOut,
    Stranger,
    /// Of the open door, where the media is not.
    Open,
}

fn has_media(answer: &Answer) -> bool {
    answer.body.windows(2).any(|part| part == [0xfe, 0xff])
}

#[track_caller]
fn assert_sound(world: &World, validators: &[Option<(&'static str, &'static str)>], seed: u64) {
    let chance = Arc::new(Chance(AtomicU64::new(seed)));
    let media: Vec<String> = validators.iter().cycle().take(3).map(|_| world.media()).collect();
    for (id, validator) in media.iter().zip(validators.iter().cycle()) {
        for path in [download_path(id), legacy_path(id)] {
            behind_a_wall(world, &path, *validator, &chance);
        }
    }
    let accepted: Vec<String> = (0..2).map(|_| world.token()).collect();
    let gone = world.token();
    world.origin.homeserver().log_out(&gone);
    let failed = Mutex::new(0);
    for step in 0..STEPS {
        let id = &media[chance.below(media.len())];
        let reader =
            [Reader::Accepted, Reader::LoggedOut, Reader::Stranger, Reader::Open][chance.below(4)];
        let is_robot = reader != Reader::Accepted || chance.below(3) == 0;
        let path = if reader == Reader::Open { legacy_path(id) } else { download_path(id) };
        let method = chance.one(&["GET", "HEAD"]);
        let mut request: Request = media_domain(method, &path);
        request = match reader {
            Reader::Accepted => request.bearer(&accepted[chance.below(2)]),
            Reader::LoggedOut => request.bearer(&gone),
            Reader::Stranger => request.bearer(chance.one(&["syt_a", "syt_b", "syt_c"])),
            Reader::Open => request,
        };
        if is_robot {
            request = request.header("User-Agent", ROBOT);
        }
        for (name, value) in [
            ("If-None-Match", "*"),
            ("If-None-Match", "1"),
            ("If-Modified-Since", DATE),
            ("Range", "bytes=-16"),
            ("Referer", "https://a.example/"),
            ("Accept", "text/html"),
        ] {
            if chance.below(8) == 0 {
                request = request.header(name, value);
            }
        }
        let Ok(answer) = request.try_send(&world.edge.address) else {
            *failed.lock().expect("one thread") += 1;
            assert!(is_robot, "{step}: {request} broke");
            continue;
        };
        let what = format!("seed {seed}, step {step}: {reader:?} of {request}: {answer:?}");
        if reader == Reader::Accepted && !is_robot {
            let is_whole =
                matches!(answer.status, 200 | 206) && method == "HEAD" || has_media(&answer);
            assert!(is_whole || answer.status == 304, "{what}");
        } else if reader != Reader::Accepted {
            assert!(!has_media(&answer), "{what}");
            // By their status too, nobody learns what only the media would have.
            let length = answer.header("content-length");
            assert_ne!((answer.status, length), (200, Some("256")), "{what}");
        }
    }
}

const ALL: [Option<(&str, &str)>; 3] = [Some(("ETag", "1")), Some(("Last-Modified", DATE)), None];

fn with_bucket(vars: &[(&str, &str)]) -> World {
    World::start_as(Layout { bucket: BucketKind::R2, ..Layout::default() }, vars)
}

#[test]
fn a_walls_answers_grant_nothing() {
    assert_sound(&World::start(), &ALL, 1);
    assert_sound(&with_bucket(&[("ORIGIN_REDIRECTS", "pass")]), &ALL, 2);
}

#[test]
fn a_walls_answers_grant_nothing_with_leases() {
    assert_sound(&World::start_with(&[("LEASE_SECONDS", "600")]), &ALL, 3);
    let pair = [("LEASE_SECONDS", "600"), ("LEASE_SCOPE", "token+media")];
    assert_sound(&with_bucket(&pair), &ALL, 4);
}

#[test]
fn a_walls_answers_grant_nothing_with_a_stale_window() {
    let stale = ("STALE_IF_ERROR_SECONDS", "600");
    assert_sound(&World::start_with(&[stale]), &ALL, 5);
    assert_sound(&World::start_with(&[stale, ("LEASE_SECONDS", "600")]), &ALL, 6);
}
