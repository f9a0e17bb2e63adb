//! Bot walls, error pages and restarts before a host's well-known documents: only a document that is one
//! replaces or hides the last good copy, and a 404 ends that when it has lasted for five minutes on end.

use serde_json::json;
use test_support::assertions::assert_matrix_error;
use test_support::edge::{BucketKind, Layout};
use test_support::http::Answer;
use test_support::stores::Stored;
use test_support::time::wait_for;

use crate::support::origin::{Origin, Reply};
use crate::support::world::{MEDIA_HOST, PATIENCE, World, entry_name, same_host, wait_for_entry};

/// Each document, its last name, and what it says at least.
const DOCUMENTS: [(&str, &str, &str); 2] = [
    (
        "/.well-known/matrix/client",
        "client",
        r#"{"m.homeserver":{"base_url":"https://good.example.com"}}"#,
    ),
    ("/.well-known/matrix/server", "server", r#"{"m.server":"good.example.com:443"}"#),
];

/// Since when a document has been missing that is missing for much longer than five minutes.
const LONG_AGO: &str = "1";

fn get(world: &World, path: &str) -> Answer {
    same_host("GET", path).send(&world.edge.address)
}

fn key(name: &str) -> String {
    format!("v2/example.com/well-known/{name}")
}

fn document(text: &str) -> Reply {
    Reply::new(200).header("Content-Type", "application/json").body(text)
}

fn missing() -> Reply {
    Reply::error(404, "M_NOT_FOUND", "Not found")
}

/// Keeps a copy at the data centre, of a document that has been missing since then.
fn keep_missing(world: &World, name: &str, text: &str, since: &str) {
    let copy = Stored { record: format!("2 0 {since} "), body: text.into() };
    world.edge.stores.put_entry(&entry_name(MEDIA_HOST, &key(name)), &copy);
    wait_for_mark(world, name, |mark| mark == since);
}

/// Waits until the copy at the data centre has this mark.
fn wait_for_mark(world: &World, name: &str, is_it: impl Fn(&str) -> bool) {
    wait_for("the copy is marked", PATIENCE, || {
        let kept = world.edge.stores.entry(&entry_name(MEDIA_HOST, &key(name)))?;
        let meta = kept.header("x-edge-meta")?.to_owned();
        meta.split(' ').nth(2).is_some_and(&is_it).then_some(())
    });
}

#[track_caller]
fn assert_good(answer: &Answer, what: &str) {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{what}: {text}");
    assert!(text.contains("good.example.com") && text.contains("m.media_server"), "{what}: {text}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{what}");
}

/// Has each request ask the host: what that answers is what the tests are about.
const ASKS: (&str, &str) = ("WELL_KNOWN_SECONDS", "0");

/// A world that has a good copy of each document.
fn world_with_copies() -> World {
    let world = World::start_with(&[ASKS]);
    for (path, name, text) in DOCUMENTS {
        world.origin.reply(path, document(text));
        assert_good(&get(&world, path), path);
        wait_for_entry(&world.edge, MEDIA_HOST, &key(name));
    }
    world
}

#[test]
fn walls_and_pages_never_hide_a_good_copy() {
    let world = world_with_copies();
    let html = |status: u16| Reply::new(status).header("Content-Type", "text/html").body("<h1>");
    let walls = [
        html(200),
        html(401),
        html(403),
        html(405),
        html(410),
        html(429).header("Retry-After", "10"),
        html(500),
        html(503),
        html(520),
        html(530),
        Reply::new(403).header("Content-Type", "text/plain").body("error code: 1010"),
        html(403).header("cf-mitigated", "challenge"),
        html(200).header("cf-mitigated", "challenge"),
        Reply::new(302).header("Location", "ftp://login.example.com/"),
        document(r#"{"errcode":"M_UNKNOWN","error":"Try later"}"#),
        document("{}"),
        document(r#"{"m.homeserver":{},"m.server":""}"#),
        document("<html>"),
        Reply::error(429, "M_LIMIT_EXCEEDED", "Later"),
    ];
    for (number, wall) in walls.iter().enumerate() {
        for (path, name, text) in DOCUMENTS {
            world.origin.reply(path, wall.clone());
            for _ in 0..2 {
                assert_good(&get(&world, path), &format!("{path}, wall {number}"));
            }
            let kept = wait_for_entry(&world.edge, MEDIA_HOST, &key(name));
            assert_eq!(kept.text(), text, "wall {number}");
        }
    }
}

#[test]
fn a_short_404_is_answered_from_the_copy_until_the_document_returns() {
    let world = world_with_copies();
    for (path, name, text) in DOCUMENTS {
        world.origin.reply(path, missing());
        for _ in 0..3 {
            let answer = get(&world, path);
            assert_good(&answer, path);
            assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        }
        wait_for_mark(&world, name, |since| since != "-");
        let new = text.replace("good", "also.good");
        world.origin.reply(path, document(&new));
        assert!(get(&world, path).text().contains("also.good"), "{path}");
        wait_for_mark(&world, name, |since| since == "-");
    }
}

#[test]
fn a_404_that_lasts_ends_the_copy() {
    let world = world_with_copies();
    for (path, name, text) in DOCUMENTS {
        keep_missing(&world, name, text, LONG_AGO);
        world.origin.reply(path, missing());
        assert_eq!(get(&world, path).status, 404, "{path}");
        world.origin.reply(path, Reply::new(503));
        let answer = wait_for("the copy is gone", PATIENCE, || {
            Some(get(&world, path)).filter(|answer| answer.status != 200)
        });
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
    }
}

#[test]
fn another_answer_in_between_restarts_the_five_minutes() {
    let world = world_with_copies();
    for (path, name, text) in DOCUMENTS {
        keep_missing(&world, name, text, LONG_AGO);
        world.origin.reply(path, Reply::new(503));
        assert_good(&get(&world, path), path);
        wait_for_mark(&world, name, |since| since == "-");
        world.origin.reply(path, missing());
        assert_good(&get(&world, path), path);
    }
}

#[test]
fn a_document_that_names_no_server_any_more_counts_once_that_lasts() {
    let world = world_with_copies();
    for (path, name, text) in DOCUMENTS {
        world.origin.reply(path, document(r#"{"other":1}"#));
        assert_good(&get(&world, path), path);
        wait_for_mark(&world, name, |since| since != "-");
        keep_missing(&world, name, text, LONG_AGO);
        let answer = get(&world, path);
        assert!(answer.text().starts_with(r#"{"other":1"#), "{}", answer.text());
    }
}

#[test]
fn a_good_copy_takes_precedence_over_a_generated_document() {
    let world = World::start_with(&[("WELL_KNOWN_GENERATE", "true"), ASKS]);
    for (path, name, text) in DOCUMENTS {
        world.origin.reply(path, document(text));
        assert_good(&get(&world, path), path);
        wait_for_entry(&world.edge, MEDIA_HOST, &key(name));
        world.origin.reply(path, missing());
        assert_good(&get(&world, path), path);
        // The edge's own write would replace what is put before it ends.
        wait_for_mark(&world, name, |since| since != "-");
        keep_missing(&world, name, text, LONG_AGO);
        let answer = get(&world, path);
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("good.example.com"), "{}", answer.text());
    }
}

/// Has the bucket keep a copy, and nothing at the data centre.
fn start_with_copies_in_bucket(since: &str) -> World {
    let layout = Layout { bucket: BucketKind::Faulty, ..Layout::default() };
    let world = World::start_as(layout, &[]);
    for (_, name, text) in DOCUMENTS {
        let object = Stored { record: String::new(), body: format!("2 0 {since} \n{text}").into() };
        world.edge.stores.put_object(&key(name), &object);
    }
    world
}

#[test]
fn a_404_is_answered_from_another_data_centres_copy() {
    let world = start_with_copies_in_bucket("-");
    for (path, name, text) in DOCUMENTS {
        world.origin.reply(path, missing());
        assert_good(&get(&world, path), path);
        // From now on it has one of its own, which knows since when.
        wait_for_mark(&world, name, |since| since != "-");
        keep_missing(&world, name, text, LONG_AGO);
        assert_eq!(get(&world, path).status, 404, "{path}");
        wait_for("the bucket has none", PATIENCE, || {
            world.edge.stores.object(&key(name)).is_none().then_some(())
        });
    }
}

#[test]
fn a_host_without_documents_costs_one_bucket_look_up_a_minute() {
    let layout = Layout { bucket: BucketKind::Faulty, ..Layout::default() };
    let world = World::start_as(layout, &[]);
    let fail = |origin: &Origin, path: &str| origin.reply(path, missing());
    for (path, ..) in DOCUMENTS {
        fail(&world.origin, path);
        for _ in 0..5 {
            assert_eq!(get(&world, path).status, 404);
        }
    }
    assert_eq!(world.edge.stores.counts().get("get"), Some(&2), "one for each document");
    assert_eq!(world.edge.stores.counts().get("delete"), None);
    let told = json!({ "m.server": "late.example.com:443" }).to_string();
    world.origin.reply(DOCUMENTS[1].0, document(&told));
    assert!(get(&world, DOCUMENTS[1].0).text().contains("late.example.com"));
}
