//! Whatever a client sends at any door: it gets what the origin says of it or a clear 400, never
//! what is stored, and the Worker goes on as if nothing had happened.

use std::sync::LazyLock;

use test_support::http::{Answer, Request};

use crate::support::world::{
    BODY, World, download, download_path, federation_path, is_hit, legacy_download, legacy_path,
    media_domain, same_host,
};

const SIGNATURE: &str = r#"X-Matrix origin="other.example",key="ed25519:1",sig="c2ln""#;

/// Media that is stored at all doors and leased where that is possible, and the token that did it.
fn stored_everywhere(world: &World) -> (String, String) {
    let (id, token) = (world.legacy_media(), world.token());
    let federated = same_host("GET", federation_path(&id)).header("Authorization", SIGNATURE);
    world.store(&id);
    world.store_by(&federation_path(&id), || federated.send(&world.edge.address));
    download(&id, &token).send(&world.edge.address);
    legacy_download(&id).send(&world.edge.address);
    assert!(is_hit(&download(&id, &token).send(&world.edge.address)));
    (id, token)
}

/// A world with leases for these tests alone: its log must hold no failure.
fn world() -> &'static World {
    static HOSTILE: LazyLock<World> =
        LazyLock::new(|| World::start_with(&[("LEASE_SECONDS", "600")]));
    &HOSTILE
}

/// Claims that the Worker is well: nothing in its log, and the next requests work.
#[track_caller]
fn assert_well(world: &World, id: &str, token: &str) {
    let answer = download(id, token).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    let log = world.edge.log();
    for word in ["panicked", "hung", "unreachable", "RuntimeError", "internal error", "Uncaught"] {
        assert!(!log.contains(word), "{word}:\n{log}");
    }
}

/// Claims that an answer is the origin's refusal, the runtime's, or a clear one of ours.
#[track_caller]
fn assert_refused(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
    assert!(!is_hit(answer), "{what}: {answer:?}");
    assert!(!answer.body.windows(16).any(|part| part == &BODY[..16]), "{what}: stored bytes");
}

/// Sends to the Worker with and without what stands before it.
fn send_everywhere(world: &World, request: &Request) -> Vec<Answer> {
    let addresses = [&world.edge.address, &world.edge.direct_address];
    // The runtime hangs up on what it can't read.
    let answers: Vec<Answer> =
        addresses.iter().filter_map(|address| request.try_send(address).ok()).collect();
    assert!(!answers.is_empty(), "{request} has no answer");
    answers
}

fn get(target: &str) -> Request {
    media_domain("GET", target)
}

#[test]
fn a_malformed_credential_grants_nothing() {
    let world = world();
    let (id, token) = stored_everywhere(world);
    let path = download_path(&id);
    let bearer = format!("Bearer {token}");
    let long = "x".repeat(100_000);
    for (what, request) in [
        ("two headers", get(&path).bearer(&token).bearer(&token)),
        ("another first", get(&path).bearer("syt_nobody").bearer(&token)),
        ("another second", get(&path).bearer(&token).bearer("syt_nobody")),
        ("a list", get(&path).header("Authorization", format!("{bearer}, {bearer}"))),
        ("header and query", get(&format!("{path}?access_token={token}")).bearer(&token)),
        ("header and other query", get(&format!("{path}?access_token=x")).bearer(&token)),
        ("two in the query", get(&format!("{path}?access_token=x&access_token={token}"))),
        ("an escaped name", get(&format!("{path}?access%5Ftoken={token}x"))),
        ("another scheme", get(&path).header("Authorization", format!("Basic {token}"))),
        ("lower case", get(&path).header("Authorization", format!("bearer {token}"))),
        ("two spaces", get(&path).header("Authorization", format!("Bearer  {token}"))),
        ("a tab", get(&path).header("Authorization", format!("Bearer\t{token}"))),
        ("no space", get(&path).header("Authorization", format!("Bearer{token}"))),
        ("quotes", get(&path).header("Authorization", format!("Bearer \"{token}\""))),
        ("a comma", get(&path).header("Authorization", format!("{bearer},"))),
        ("the token alone", get(&path).header("Authorization", &token)),
        ("another header", get(&path).header("X-Authorization", &bearer)),
        ("a cookie", get(&path).header("Cookie", format!("access_token={token}"))),
        ("raw bytes", get(&path).header("Authorization", b"Bearer \xff\xfe\x80")),
        ("UTF-8", get(&path).header("Authorization", "Bearer ключ")),
        ("a null in the query", get(&format!("{path}?access_token={token}%00"))),
        ("a line in the query", get(&format!("{path}?access_token={token}%0D%0Ax"))),
        ("bytes in the query", get(&format!("{path}?access_token=%FF%FE"))),
        ("a signature", get(&path).header("Authorization", SIGNATURE)),
        ("a long one", get(&path).header("Authorization", format!("{bearer}{long}"))),
        (
            "a fairly long one",
            get(&path).header("Authorization", format!("{bearer}{}", &long[..9000])),
        ),
        ("a long one in the query", get(&format!("{path}?access_token={token}{long}"))),
    ] {
        for answer in send_everywhere(world, &request) {
            assert_refused(&answer, what);
        }
    }
    assert_well(world, &id, &token);
}

#[test]
fn huge_and_malformed_headers_change_nothing() {
    let world = world();
    let (id, token) = stored_everywhere(world);
    let long = "x".repeat(100_000);
    let fairly_long = &long[..12_000];
    let tags = "\"x\",".repeat(10_000);
    let ranges = format!("bytes={}", "0-0,".repeat(1000));
    let federated = same_host("GET", federation_path(&id)).header("Authorization", SIGNATURE);
    for (name, value) in [
        ("X-Long", long.as_bytes()),
        ("X-Long", fairly_long.as_bytes()),
        ("If-None-Match", fairly_long.as_bytes()),
        ("Range", fairly_long.as_bytes()),
        ("If-None-Match", long.as_bytes()),
        ("If-None-Match", tags.as_bytes()),
        ("If-None-Match", b"\"\xff\xfe"),
        ("If-Modified-Since", long.as_bytes()),
        ("If-Range", b"\x80"),
        ("Range", ranges.as_bytes()),
        ("Range", b"bytes=\xff-"),
        ("Range", long.as_bytes()),
        ("Accept-Encoding", b"gzip;q=NaN, br;q=-1, \xff"),
        ("Cookie", long.as_bytes()),
        ("Content-Length", b"0"),
        ("CF-Connecting-IP", b"not an address"),
        ("X-Forwarded-For", b"127.0.0.1, ::1, \xff"),
        ("Cache-Control", b"no-cache, no-store, only-if-cached"),
        ("X-Edge-Meta", b"{\"version\":1}"),
    ] {
        for request in [
            download(&id, &token).header(name, value),
            legacy_download(&id).header(name, value),
            federated.clone().header(name, value),
        ] {
            for answer in send_everywhere(world, &request) {
                // 431 and 414 are the runtime's own.
                assert!(matches!(answer.status, 200 | 400 | 431), "{name}: {}", answer.status);
            }
        }
        for answer in send_everywhere(world, &download(&id, "syt_nobody").header(name, value)) {
            assert_refused(&answer, name);
        }
    }
    assert_well(world, &id, &token);
}

/// What is signed is the homeserver's to judge; the edge reads nothing in it.
#[test]
fn a_malformed_signature_is_forwarded() {
    let world = world();
    let (id, token) = stored_everywhere(world);
    let path = federation_path(&id);
    let long = format!("X-Matrix {}", "a=b,".repeat(15_000));
    for signature in [
        "X-Matrix",
        "X-Matrix ",
        "X-Matrix origin",
        "X-Matrix origin=,key=,sig=",
        "X-Matrix origin=\"a\\\"b\",key=\"ed25519:1\",sig=\"\\",
        "X-Matrix ,,,===,,\"\"\"",
        "X-Matrix origin=a,origin=b,destination=evil.example",
        &long,
    ] {
        let request = same_host("GET", &path).header("Authorization", signature);
        world.origin.forget(&path);
        let answers = send_everywhere(world, &request);
        let asked = world.origin.asked(&path);
        assert_eq!(asked.len(), answers.len(), "{signature}");
        for (answer, asked) in answers.iter().zip(&asked) {
            assert!(!is_hit(answer), "{signature}");
            assert_eq!(asked.header("authorization"), Some(signature.trim()));
            let is_accepted = signature.trim() != "X-Matrix";
            assert_eq!(answer.status, if is_accepted { 200 } else { 401 }, "{signature}");
        }
    }
    for (what, request) in [
        ("none", same_host("GET", &path)),
        ("a token", same_host("GET", &path).bearer(&token)),
        ("lower case", same_host("GET", &path).header("Authorization", "x-matrix origin=a")),
        ("raw bytes", same_host("GET", &path).header("Authorization", b"\xff\xfe")),
    ] {
        for answer in send_everywhere(world, &request) {
            assert_refused(&answer, what);
        }
    }
    // Several keys are several headers, and none may be lost.
    world.origin.forget(&path);
    let two = same_host("GET", &path).header("Authorization", SIGNATURE);
    let two = two.header("Authorization", "X-Matrix origin=b,key=c,sig=d");
    assert_eq!(two.send(&world.edge.direct_address).status, 200);
    let asked = world.origin.asked_once(&path);
    let told: Vec<&str> = asked.head.headers.all("authorization").collect();
    assert_eq!(told, [&format!("{SIGNATURE}, X-Matrix origin=b,key=c,sig=d")]);
    assert_well(world, &id, &token);
}

#[test]
fn malformed_targets_grant_nothing() {
    let world = world();
    let (id, token) = stored_everywhere(world);
    let long = "a".repeat(20_000);
    let parameters = "x=y&".repeat(5_000);
    for (door, path) in [
        ("client", download_path(&id)),
        ("legacy", legacy_path("neverThere")),
        ("federation", federation_path(&id)),
    ] {
        for suffix in [
            "%00",
            "%FF",
            "/..",
            "/../",
            "/%2e%2e/x",
            "\\",
            "/\\..",
            ";a=b",
            "%2F",
            "//",
            "%",
            "?%",
            "?%FF=%FF",
            "?a=\u{0}",
            "#x",
            " ",
            "?access_token",
            "?=&=&",
            &format!("/{long}"),
            &format!("?{parameters}"),
            &format!("?{long}"),
        ] {
            let target = format!("{path}{suffix}");
            for answer in send_everywhere(world, &get(&target)) {
                assert_refused(&answer, &format!("{door}: {suffix}"));
            }
        }
    }
    assert_well(world, &id, &token);
}
