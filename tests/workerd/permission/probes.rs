//! A stored copy is served without the homeserver's word only in an outage, and one reader's failed
//! question is none: a probe that has nothing of any reader's must fail as well.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};

use super::{Door, PAGE, WHOAMI, come_back, page, pages};
use crate::support::origin::{Call, Origin, Reply, Then};
use crate::support::world::{
    BODY, World, download, download_path, legacy_download, legacy_path, wait_until_shown,
};

/// Asked of a homeserver by others too.
pub(super) const VERSIONS: &str = "/_matrix/client/versions";

/// As long as what is heard of a homeserver speaks against its being down.
const A_WHILE: Duration = Duration::from_millis(6_000);

pub(super) fn start() -> World {
    World::start_with(&[("STALE_IF_ERROR_SECONDS", "600")])
}

/// A stored media, and a request of one whom the homeserver has just accepted for it.
pub(super) fn accepted(world: &World) -> (String, Request) {
    let (id, token) = (world.stored_media(), world.token());
    let request = download(&id, &token);
    assert_eq!(request.send(&world.edge.address).status, 200);
    wait_until_shown(&world.edge);
    (download_path(&id), request)
}

pub(super) fn break_off(call: &mut Call<'_>) -> io::Result<Then> {
    call.receive()?;
    Ok(Then::Reset)
}

/// Has the homeserver fail for this path and for whoever wants to know how it is.
pub(super) fn fall(world: &World, path: &str) {
    for path in [path, WHOAMI, VERSIONS] {
        world.origin.on(path, break_off);
    }
}

/// The homeserver itself says a word, about what nobody has stored.
fn hear_a_word(world: &World) {
    let request = download(&world.media(), &world.token());
    assert_eq!(request.send(&world.edge.address).status, 200);
}

pub(super) fn is_stale(answer: &Answer) -> bool {
    let status = answer.header("cache-status").unwrap_or_default();
    answer.status == 200 && answer.body == BODY && status.ends_with("; detail=stale-if-error")
}

#[test]
fn a_probe_carries_nothing_of_a_reader() {
    let world = start();
    let (path, reader) = accepted(&world);
    fall(&world, &path);
    world.origin.forget(WHOAMI);
    let reader = reader
        .header("User-Agent", "evil")
        .header("Referer", "https://evil.example/")
        .header("Cookie", "evil")
        .header("X-Forwarded-For", "203.0.113.77");
    assert!(is_stale(&reader.send(&world.edge.address)));
    let probes = world.origin.asked(WHOAMI);
    assert!(!probes.is_empty(), "it was not probed before");
    for probe in probes {
        assert_eq!((probe.head.method.as_str(), probe.head.target.as_str()), ("GET", WHOAMI));
        for name in ["authorization", "cookie", "referer"] {
            assert_eq!(probe.header(name), None, "{:?}", probe.head);
        }
        probe.assert_without_address();
        assert!(!format!("{:?}", probe.head).contains("evil"), "{:?}", probe.head);
    }
}

#[test]
fn a_failure_is_an_error_while_the_homeserver_is_up() {
    let world = start();
    for status in [500, 502, 503, 504, 520, 530] {
        let (path, reader) = accepted(&world);
        for reply in [
            Reply::new(status).header("Content-Type", "text/html").body(PAGE),
            Reply::new(status).header("Retry-After", "1").body(PAGE),
        ] {
            world.origin.reply(&path, reply);
            let expected = if status == 504 { 504 } else { 502 };
            assert_matrix_error(&reader.send(&world.edge.address), expected, "M_UNKNOWN");
        }
        let own = Reply::error(status, "M_UNKNOWN", "Down for a moment");
        world.origin.reply(&path, own.clone());
        let answer = reader.send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (status, own.bytes()));
    }
}

#[test]
fn a_broken_connection_is_an_error_while_the_homeserver_is_up() {
    let world = start();
    let (path, reader) = accepted(&world);
    world.origin.on(&path, break_off);
    assert_matrix_error(&reader.send(&world.edge.address), 502, "M_UNKNOWN");
}

#[test]
fn a_failure_at_the_legacy_door_is_an_error_while_the_homeserver_is_up() {
    let world = start();
    let id = Door::Legacy.stored(&world);
    assert_eq!(legacy_download(&id).send(&world.edge.address).status, 200);
    world.origin.reply(&legacy_path(&id), Reply::error(503, "M_UNKNOWN", "Too fast"));
    assert_matrix_error(&legacy_download(&id).send(&world.edge.address), 503, "M_UNKNOWN");
}

#[test]
fn readers_of_the_legacy_door_are_served_in_an_outage() {
    let world = start();
    let id = Door::Legacy.stored(&world);
    assert_eq!(legacy_download(&id).send(&world.edge.address).status, 200);
    wait_until_shown(&world.edge);
    fall(&world, &legacy_path(&id));
    assert!(is_stale(&legacy_download(&id).send(&world.edge.address)));
}

/// Synapse hangs up on headers that are too long.
#[test]
fn a_logged_out_token_is_not_served_when_its_request_breaks() {
    let world = start();
    for name in ["Referer", "User-Agent", "Accept-Language", "Origin"] {
        let (id, token) = (world.stored_media(), world.token());
        let path = download_path(&id);
        assert_eq!(download(&id, &token).send(&world.edge.address).status, 200);
        world.origin.homeserver().log_out(&token);
        world.origin.on(&path, |call| {
            if call.head.headers.0.iter().any(|(_, value)| value.len() > 16_384) {
                return break_off(call);
            }
            call.reply_by_default()
        });
        let request = download(&id, &token).header(name, "x".repeat(17_000));
        let answer = request.send(&world.edge.address);
        assert_eq!(answer.status, 401, "{name}: {}", answer.body.len());
    }
}

#[test]
fn an_unclear_probe_serves_no_stale_response() {
    let world = start();
    let limited = Reply::error(429, "M_LIMIT_EXCEEDED", "Too fast");
    for (what, reply) in [
        ("429", limited.clone()),
        ("429 for a while", limited.header("Retry-After", "5")),
        ("429 of a proxy", Reply::new(429).body(PAGE)),
        ("503", Reply::new(503).header("Content-Type", "text/html").body(PAGE)),
        ("503 for a while", Reply::new(503).header("Retry-After", "5").body(PAGE)),
        ("a challenge", page("text/html").header("cf-mitigated", "challenge")),
        ("200", page("text/html")),
        ("403", Reply::new(403).header("Content-Type", "text/html").body(PAGE)),
        ("404", Reply::new(404).body("404 page not found\n")),
        ("401 without a code", Reply::new(401).body("{}")),
        ("500", Reply::new(500).body(PAGE)),
        ("501", Reply::new(501).body(PAGE)),
        ("505", Reply::new(505).body(PAGE)),
        ("528", Reply::new(528).body(PAGE)),
        ("a redirect", Reply::new(302).header("Location", "/login")),
    ] {
        let (path, reader) = accepted(&world);
        world.origin.on(&path, break_off);
        world.origin.reply(WHOAMI, reply);
        let answer = reader.send(&world.edge.address);
        assert_eq!(answer.status, 502, "{what}: {answer:?}");
    }
}

#[test]
fn a_failed_probe_serves_a_stale_response() {
    let world = start();
    let of_status = |status| Reply::new(status).header("Content-Type", "text/html").body(PAGE);
    let statuses = [502, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530];
    for status in statuses {
        hear_a_word(&world);
        let (path, reader) = accepted(&world);
        world.origin.on(&path, break_off);
        world.origin.reply(WHOAMI, of_status(status));
        let answer = reader.send(&world.edge.address);
        assert!(is_stale(&answer), "{status}: {answer:?}");
    }
}

#[test]
fn a_probe_without_an_answer_serves_a_stale_response() {
    let world = start();
    let (path, reader) = accepted(&world);
    world.origin.on(&path, break_off);
    world.origin.on(WHOAMI, |call| call.wait_for_end());
    assert!(is_stale(&reader.send(&world.edge.address)));
}

#[test]
fn a_challenge_page_is_a_failure() {
    let world = start();
    for status in [200, 403, 503] {
        hear_a_word(&world);
        let (path, reader) = accepted(&world);
        fall(&world, &path);
        let reply = Reply::new(status).header("cf-mitigated", "challenge").body(PAGE);
        world.origin.reply(&path, reply);
        let answer = reader.send(&world.edge.address);
        assert!(is_stale(&answer), "{status}: {answer:?}");
    }
}

/// A rate limiter that readers have filled turns the probe away as well, for as long as they like.
#[test]
fn a_rate_limited_probe_never_finds_an_outage() {
    let world = start();
    let (path, reader) = accepted(&world);
    for path in [path.as_str(), WHOAMI] {
        world.origin.reply(path, Reply::new(503).header("Content-Type", "text/html").body(PAGE));
    }
    for _ in 0..2 {
        assert_matrix_error(&reader.send(&world.edge.address), 502, "M_UNKNOWN");
        sleep(A_WHILE);
    }
}

#[test]
fn removed_media_is_not_served_stale() {
    let world = start();
    for (status, errcode) in
        [(404, "M_NOT_FOUND"), (410, "M_UNKNOWN"), (451, "M_UNAVAILABLE_FOR_LEGAL_REASONS")]
    {
        for path in [WHOAMI, VERSIONS] {
            come_back(&world, path);
        }
        hear_a_word(&world);
        let (path, reader) = accepted(&world);
        world.origin.reply(&path, Reply::error(status, errcode, "Gone"));
        assert_matrix_error(&reader.send(&world.edge.address), status, errcode);
        fall(&world, &path);
        let answer = reader.send(&world.edge.address);
        assert_eq!(answer.status, 502, "{status}: {answer:?}");
    }
}

#[test]
fn media_is_served_stale_after_a_proxys_404() {
    let world = start();
    let (path, reader) = accepted(&world);
    world.origin.reply(&path, Reply::new(404).body("404 page not found\n"));
    assert_matrix_error(&reader.send(&world.edge.address), 502, "M_UNKNOWN");
    fall(&world, &path);
    assert!(is_stale(&reader.send(&world.edge.address)));
}

#[test]
fn a_failing_redirect_target_is_no_outage() {
    let (world, elsewhere) = (start(), Origin::start());
    let (path, reader) = accepted(&world);
    fall(&world, &path);
    elsewhere.on("/nothing", break_off);
    let to = format!("{}/nothing", elsewhere.url());
    world.origin.reply(&path, Reply::new(307).header("Location", to));
    let answer = reader.send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
}

#[test]
fn a_page_accepts_no_token() {
    let world = start();
    let (path, reader) = accepted(&world);
    let id = path.rsplit('/').next().expect("an ID");
    for (n, (what, page)) in pages().into_iter().enumerate() {
        let (garbage, walled) = (format!("syt_garbage{n}"), world.media());
        world.origin.reply(&download_path(&walled), page);
        download(&walled, &garbage).send(&world.edge.address);
        fall(&world, &path);
        assert!(is_stale(&reader.send(&world.edge.address)), "it is down");
        let answer = download(id, &garbage).send(&world.edge.address);
        assert_eq!(answer.status, 502, "{what}: it got {} bytes", answer.body.len());
    }
}

#[test]
fn a_page_at_the_legacy_door_grants_nothing_in_an_outage() {
    let world = start();
    for (what, page) in pages() {
        let id = world.stored_media();
        world.origin.reply(&legacy_path(&id), page);
        legacy_download(&id).send(&world.edge.address);
        fall(&world, &legacy_path(&id));
        let answer = legacy_download(&id).send(&world.edge.address);
        assert_eq!(answer.status, 502, "{what}: it got {} bytes", answer.body.len());
    }
}
