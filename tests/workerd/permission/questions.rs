//! Questions whose answers others may get: nothing of the reader's is in them but the credential,
//! the address and a bounded `User-Agent`, and all readers ask the same.

use test_support::http::Request;
use test_support::profile::Profile;
use test_support::proxy::ADDED_FIELDS;

use super::{DOORS, Door, WHOAMI, file, legacy_thumbnail_path, serve_file, thumbnail_path};
use crate::support::origin::{Record, Reply};
use crate::support::world::{
    BODY, World, download, download_path, leased, legacy_path, media_domain, same_host, shared,
};

/// What a question may carry; the runtime writes the last three itself.
const ALLOWED: [&str; 12] = [
    "host",
    "authorization",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-matrix-media-edge",
    "accept-encoding",
    "if-none-match",
    "if-modified-since",
    "cache-control",
    "pragma",
    "cf-worker",
];

/// What readers send, and some origins go by.
const OF_A_READER: [(&str, &str); 19] = [
    ("Accept", "image/evil"),
    ("Accept-Charset", "evil"),
    ("Accept-Encoding", "evil"),
    ("Accept-Language", "evil"),
    ("Cache-Control", "evil"),
    ("Content-Encoding", "evil"),
    ("Content-Language", "evil"),
    ("Content-Type", "image/evil"),
    ("Cookie", "evil"),
    ("DNT", "evil"),
    ("Date", "evil"),
    ("From", "evil"),
    ("Origin", "https://evil.example"),
    ("Pragma", "evil"),
    ("Referer", "https://evil.example/"),
    ("Save-Data", "evil"),
    ("Sec-Fetch-Dest", "evil"),
    ("Sec-CH-UA", "evil"),
    ("X-Requested-With", "evil"),
];

fn with_all(request: Request) -> Request {
    OF_A_READER.iter().fold(request, |request, (name, value)| request.header(name, value))
}

#[track_caller]
fn assert_impersonal(asked: &Record, what: &str) {
    for (name, value) in &asked.head.headers.0 {
        let name = name.to_lowercase();
        let is_of_the_proxy =
            Profile::current() == Profile::Cloudflare && ADDED_FIELDS.contains(&name.as_str());
        assert!(is_of_the_proxy || ALLOWED.contains(&name.as_str()), "{what}: {name}");
        assert!(!value.contains("evil"), "{what}: {name}: {value}");
    }
}

#[test]
fn a_question_carries_no_other_header_of_its_reader() {
    let world = shared();
    for door in DOORS {
        for id in [world.legacy_media(), door.stored(world)] {
            let request = with_all(door.get(world, &id));
            let (answer, asked) = world.assert_asked(&door.path(&id), &request);
            door.assert_served(&answer);
            assert_impersonal(&asked, &format!("{door:?}"));
        }
    }
}

#[test]
fn a_head_carries_no_other_header_of_its_reader() {
    let world = shared();
    for door in [Door::Client, Door::Legacy] {
        let id = world.legacy_media();
        let request = media_domain("HEAD", door.path(&id)).bearer(&world.token());
        let (_, asked) = world.assert_asked(&door.path(&id), &with_all(request));
        assert_impersonal(&asked, &format!("{door:?}"));
    }
}

#[test]
fn a_whoami_carries_no_other_header_of_its_reader() {
    let world = World::start_with(&[("LEASE_SECONDS", "600")]);
    let (path, token) = (download_path("checked"), world.token());
    serve_file(&world, &path, None);
    world.store_by(&path, || download("checked", &token).send(&world.edge.address));
    // What it guesses brings the body, and so the next one's token is checked instead.
    download("checked", &world.token()).send(&world.edge.address);
    world.origin.forget(WHOAMI);
    let other = world.token();
    with_all(download("checked", &other)).header("User-Agent", "A").send(&world.edge.address);
    let asked = world.origin.asked_once(WHOAMI);
    assert_impersonal(&asked, "whoami");
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {other}").as_str()));
    assert_eq!(asked.header("user-agent"), Some("A"));
}

/// An origin that chooses by what it hears, as one that makes other formats for some readers.
#[test]
fn a_readers_preferences_do_not_change_what_others_get() {
    let world = shared();
    for door in [Door::Client, Door::Legacy] {
        let id = format!("tasteful{door:?}");
        world.origin.on(&door.path(&id), |call| {
            if call.head.headers.get("if-none-match").is_some() {
                return call.reply(&Reply::new(304).header("ETag", "1"));
            }
            let is_evil = call.head.headers.0.iter().any(|(_, value)| value.contains("evil"));
            let body: &[u8] = if is_evil { b"evil" } else { BODY };
            call.reply(&file(body, &[("ETag", "1")]))
        });
        world
            .store_by(&door.path(&id), || with_all(door.get(world, &id)).send(&world.edge.address));
        door.assert_served(&door.get(world, &id).send(&world.edge.address));
    }
}

#[test]
fn a_user_agent_is_forwarded_and_bounded() {
    let world = shared();
    let long = "x".repeat(20_000);
    for door in DOORS {
        for id in [world.legacy_media(), door.stored(world)] {
            for (sent, heard) in [
                ("Element/1.12 (Linux; U)", "Element/1.12 (Linux; U)"),
                (&long[..256], &long[..256]),
                (&long[..257], &long[..256]),
                (&long[..8000], &long[..256]),
            ] {
                let request = door.get(world, &id).header("User-Agent", sent);
                let (_, asked) = world.assert_asked(&door.path(&id), &request);
                assert_eq!(asked.header("user-agent"), Some(heard), "{door:?}");
            }
        }
    }
}

#[test]
fn a_reader_without_a_user_agent_has_the_edges() {
    let world = shared();
    for door in DOORS {
        for id in [world.legacy_media(), door.stored(world)] {
            for request in [door.get(world, &id), door.get(world, &id).header("User-Agent", "")] {
                let (_, asked) = world.assert_asked(&door.path(&id), &request);
                assert_eq!(asked.header("user-agent"), Some("matrix-media-edge"), "{door:?}");
            }
        }
    }
}

/// Without what stands before the edge, a request comes by plain http.
#[test]
fn every_question_is_forwarded_as_https() {
    let world = shared();
    for door in DOORS {
        for id in [world.legacy_media(), door.stored(world)] {
            let request = door.get(world, &id).header("X-Forwarded-Proto", "http");
            for address in [&world.edge.address, &world.edge.direct_address] {
                world.origin.forget(&door.path(&id));
                request.send(address);
                let asked = world.origin.asked_once(&door.path(&id));
                assert_eq!(asked.header("x-forwarded-proto"), Some("https"), "{door:?}");
            }
        }
    }
}

#[test]
fn limits_and_previews_are_forwarded_as_https() {
    let world = shared();
    for path in [
        "/_matrix/client/v1/media/config/https",
        "/_matrix/client/v1/media/preview_url/https",
        "/_matrix/federation/v1/media/https",
    ] {
        let request = same_host("GET", path).bearer(&world.token());
        request.header("X-Forwarded-Proto", "http").send(&world.edge.direct_address);
        let asked = world.origin.asked_once(path);
        assert_eq!(asked.header("x-forwarded-proto"), Some("https"), "{path}");
    }
}

/// Claims what a world that nobody else is in is asked for, upon these targets.
#[track_caller]
fn assert_targets(world: &World, targets: &[(String, String)]) {
    for (sent, expected) in targets {
        let before = world.origin.records().len();
        media_domain("GET", sent).bearer(&world.token()).send(&world.edge.address);
        let asked = world.origin.records();
        let asked: Vec<_> = asked[before..].iter().map(|asked| &asked.head.target).collect();
        assert_eq!(asked, [expected], "{sent}");
    }
}

#[test]
fn the_path_of_a_question_is_canonical() {
    let world = World::start();
    let client = "/_matrix/client/v1/media/download";
    let mut targets = vec![
        (format!("{client}/example.com/%6dedia"), format!("{client}/example.com/media")),
        (format!("{client}/ex%61mple.com/media"), format!("{client}/example.com/media")),
        (format!("{client}/example.com%3A8448/media"), format!("{client}/example.com:8448/media")),
        (format!("{client}/example.com/media/%63at.png"), format!("{client}/example.com/media")),
        (format!("{client}/example.com/media/"), format!("{client}/example.com/media")),
    ];
    for version in ["r0", "v1", "v3"] {
        let legacy = format!("/_matrix/media/{version}/download");
        targets.push((
            format!("{legacy}/example%2Ecom/m%65dia/a.png"),
            format!("{legacy}/example.com/media"),
        ));
    }
    assert_targets(&world, &targets);
}

#[test]
fn the_query_of_a_question_is_canonical() {
    let world = World::start();
    for path in [thumbnail_path("media"), legacy_thumbnail_path("media")] {
        let targets = [
            ("height=32&width=48", "width=48&height=32"),
            ("method=crop&height=32&width=48", "width=48&height=32&method=crop"),
            (
                "animated=true&method=scale&height=32&width=48",
                "width=48&height=32&method=scale&animated=true",
            ),
            ("w%69dth=48&height=%33%32", "width=48&height=32"),
        ];
        let target = |query: &str| format!("{path}?{query}");
        assert_targets(&world, &targets.map(|(sent, heard)| (target(sent), target(heard))));
    }
}

#[test]
fn allow_redirect_is_not_forwarded_if_the_edge_follows_redirects() {
    let world = World::start();
    for name in ["allow_redirect", "com.beeper.msc3860.allow_redirect"] {
        for value in ["true", "false"] {
            let (client, legacy) = (download_path("media"), legacy_path("media"));
            let thumbnail = format!("{}?width=48&height=32", thumbnail_path("media"));
            assert_targets(
                &world,
                &[
                    (format!("{client}?{name}={value}"), client),
                    (format!("{legacy}?{name}={value}"), legacy),
                    (format!("{thumbnail}&{name}={value}"), thumbnail),
                ],
            );
        }
    }
}

#[test]
fn allow_remote_true_is_not_forwarded() {
    let world = World::start();
    let path = legacy_path("media");
    assert_targets(&world, &[(format!("{path}?allow_remote=true"), path)]);
}

#[test]
fn timeout_ms_is_forwarded_for_media_that_is_not_stored() {
    let world = World::start();
    let path = download_path("media");
    let target = format!("{path}?timeout_ms=5000");
    let thumbnail = thumbnail_path("media");
    assert_targets(
        &world,
        &[
            (target.clone(), target),
            (
                format!("{path}?allow_redirect=true&timeout_ms=5000"),
                format!("{path}?timeout_ms=5000"),
            ),
            (
                format!("{thumbnail}?timeout_ms=5000&height=32&width=48"),
                format!("{thumbnail}?width=48&height=32&timeout_ms=5000"),
            ),
        ],
    );
}

#[test]
fn timeout_ms_is_not_forwarded_for_stored_media() {
    let world = World::start();
    for door in [Door::Client, Door::Legacy] {
        let id = door.stored(&world);
        for query in ["timeout_ms=5000", "timeout_ms=0", "timeout_ms=5000&allow_redirect=true"] {
            let target = format!("{}?{query}", door.path(&id));
            assert_targets(&world, &[(target, door.path(&id))]);
        }
    }
}

#[test]
fn a_token_in_the_query_stays_there() {
    let world = World::start();
    let (id, token) = (world.media(), world.token());
    for (path, rest) in [(download_path(&id), ""), (thumbnail_path(&id), "&height=32&width=48")] {
        let target = format!("{path}?access_token={token}{rest}");
        let answer = media_domain("GET", target).send(&world.edge.address);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let asked = world.origin.asked_once(&path);
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(asked.head.target.matches(&format!("access_token={token}")).count(), 1);
    }
}

#[test]
fn another_spelling_of_a_path_is_a_hit() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.address);
    let before = world.origin.asked(&download_path(&id)).len();
    let spelled = download_path(&id).replace("media/download/example", "media/download/%65xample");
    let answer = media_domain("GET", spelled).bearer(&token).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(world.origin.asked(&download_path(&id)).len(), before);
}
