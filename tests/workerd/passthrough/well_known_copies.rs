//! `WELL_KNOWN_SECONDS`: for how long the documents are answered without their host, from an isolate's
//! memory and the data centre's copy, and that none is older than that while its host answers.

use std::thread::{scope, sleep};
use std::time::Duration;

use serde_json::json;
use test_support::assertions::assert_matrix_error;
use test_support::http::Answer;
use test_support::stores::Stored;
use test_support::time::{now, unix_secs, wait_for};

use crate::admin::purge::{ADMIN_TOKEN, purge};
use crate::support::origin::{Reply, Then};
use crate::support::world::{
    MEDIA_HOST, PATIENCE, World, entry_name, is_hit, media_domain, same_host, tier, wait_for_entry,
};

/// Each document, and its last name.
const DOCUMENTS: [(&str, &str); 2] =
    [("/.well-known/matrix/client", "client"), ("/.well-known/matrix/server", "server")];

/// How long an answer takes at most that waits for nobody.
const AT_ONCE: Duration = Duration::from_secs(2);

fn get(world: &World, path: &str) -> Answer {
    same_host("GET", path).send(&world.edge.address)
}

/// A document of either kind, which names this server.
fn text(name: &str) -> String {
    let base_url = format!("https://{name}.example.com");
    json!({ "m.homeserver": { "base_url": base_url }, "m.server": format!("{name}.example.com:1") })
        .to_string()
}

fn document(name: &str) -> Reply {
    Reply::new(200).header("Content-Type", "application/json").body(text(name))
}

fn missing() -> Reply {
    Reply::error(404, "M_NOT_FOUND", "Not found")
}

#[track_caller]
fn assert_names(answer: &Answer, name: &str) {
    let told = answer.text();
    assert_eq!(answer.status, 200, "{told}");
    assert!(told.contains(&format!("{name}.example.com")), "{told}");
    assert!(told.contains("m.media_server"), "{told}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// Claims an answer of this document from a store.
#[track_caller]
fn assert_hit(answer: &Answer, name: &str, tier_name: &str) {
    assert_names(answer, name);
    assert!(is_hit(answer), "{answer:?}");
    assert_eq!(tier(answer), tier_name, "{answer:?}");
}

fn age(answer: &Answer) -> u64 {
    answer.header("age").and_then(|age| age.parse().ok()).expect("an age")
}

/// Puts a copy at the data centre whose host was asked at that time, and allowed any reuse.
fn put_copy(world: &World, last: &str, name: &str, asked_unix_secs: u64) {
    put_record(world, last, name, &format!("3 9999999999 - {asked_unix_secs} max-age=3600"));
}

fn put_record(world: &World, last: &str, name: &str, record: &str) {
    let key = format!("v2/example.com/well-known/{last}");
    let record = record.to_owned();
    let copy = Stored { record, body: text(name).into() };
    world.edge.stores.put_entry(&entry_name(MEDIA_HOST, &key), &copy);
    wait_for_entry(&world.edge, MEDIA_HOST, &key);
}

/// A world with copies of that age, before a host whose documents are newer.
fn start_with_copies(age_secs: u64, vars: &[(&str, &str)]) -> World {
    let world = World::start_with(vars);
    for (path, last) in DOCUMENTS {
        put_copy(&world, last, "kept", unix_secs() - age_secs);
        world.origin.reply(path, document("new"));
    }
    world
}

#[test]
fn a_young_copy_answers_without_its_host_and_then_from_memory() {
    let world = start_with_copies(100, &[]);
    for (path, _) in DOCUMENTS {
        for tier_name in ["pop", "memory", "memory"] {
            let answer = get(&world, path);
            assert_hit(&answer, "kept", tier_name);
            // Memory makes it no younger.
            assert!((100..130).contains(&age(&answer)), "{answer:?}");
            let field = answer.header("cache-status").expect("a status");
            assert_eq!(field, format!("matrix-media-edge; hit; ttl={}", 300 - age(&answer)));
        }
        let head = same_host("HEAD", path).send(&world.edge.address);
        assert_eq!((head.status, head.body.len(), is_hit(&head)), (200, 0, true));
        assert!(world.origin.asked(path).is_empty(), "{path}");
    }
}

#[test]
fn a_document_that_its_host_forbids_to_store_is_asked_for_once_for_all_isolates() {
    let world = World::start_two_isolates(&[]);
    for (path, last) in DOCUMENTS {
        world.origin.reply(path, document("new").header("Cache-Control", "no-store"));
        let first = get(&world, path);
        assert_names(&first, "new");
        assert_eq!((is_hit(&first), first.header("age")), (false, None));
        let again = get(&world, path);
        assert_hit(&again, "new", "memory");
        assert_eq!(again.header("cache-control"), first.header("cache-control"));
        wait_for_entry(&world.edge, MEDIA_HOST, &format!("v2/example.com/well-known/{last}"));
        let neighbor = same_host("GET", path).send(&world.edge.neighbor_address);
        assert_hit(&neighbor, "new", "pop");
        world.origin.asked_once(path);
    }
}

#[test]
fn what_a_client_sends_along_asks_no_host() {
    let world = start_with_copies(10, &[]);
    for (path, _) in DOCUMENTS {
        let request = same_host("GET", format!("{path}?cache=bust")).bearer("syt_secret");
        let request = request.header("Cache-Control", "no-cache").header("Range", "bytes=0-0");
        assert_names(&request.send(&world.edge.address), "kept");
        assert!(world.origin.asked(path).is_empty());
    }
}

#[test]
fn an_aging_copy_answers_at_once_while_its_host_is_silent() {
    let world = start_with_copies(200, &[]);
    for (path, _) in DOCUMENTS {
        world.origin.on(path, |call| call.wait_for_end());
        for _ in 0..5 {
            let began = now();
            let answer = get(&world, path);
            assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
            assert_names(&answer, "kept");
            assert!(is_hit(&answer), "{answer:?}");
        }
        wait_for("its host is asked", PATIENCE, || world.origin.asked(path).pop());
        assert_eq!(world.origin.asked(path).len(), 1, "one refresh at a time");
    }
}

#[test]
fn one_refresh_serves_all_readers_of_an_aging_copy() {
    let world = start_with_copies(200, &[]);
    for (path, _) in DOCUMENTS {
        world.origin.on(path, |call| {
            sleep(Duration::from_secs(2));
            call.reply(&document("new"))
        });
        scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_names(&get(&world, path), "kept"));
            }
        });
        let fresh = wait_for("it is refreshed", PATIENCE, || {
            Some(get(&world, path)).filter(|answer| answer.text().contains("new.example.com"))
        });
        assert_hit(&fresh, "new", "memory");
        assert!(age(&fresh) < 60, "{fresh:?}");
        world.origin.asked_once(path);
    }
}

#[test]
fn a_refresh_that_fails_leaves_the_copy() {
    let world = start_with_copies(200, &[]);
    for (path, _) in DOCUMENTS {
        world.origin.on(path, |_| Ok(Then::Reset));
        assert_names(&get(&world, path), "kept");
        wait_for("its host is asked", PATIENCE, || world.origin.asked(path).pop());
        assert_names(&get(&world, path), "kept");
        world.origin.reply(path, document("new"));
        wait_for("it is refreshed after all", PATIENCE, || {
            get(&world, path).text().contains("new.example.com").then_some(())
        });
    }
}

#[test]
fn an_old_copy_waits_for_its_host() {
    for age_secs in [300, 100_000] {
        let world = start_with_copies(age_secs, &[]);
        for (path, _) in DOCUMENTS {
            let answer = get(&world, path);
            assert_names(&answer, "new");
            assert!(!is_hit(&answer), "{answer:?}");
            world.origin.asked_once(path);
        }
    }
}

#[test]
fn a_copy_of_the_future_or_without_a_date_waits_for_its_host() {
    let world = World::start();
    for (path, last) in DOCUMENTS {
        world.origin.reply(path, document("new"));
        put_copy(&world, last, "kept", unix_secs() + 600);
        assert_names(&get(&world, path), "new");
    }
    let world = World::start();
    for (path, last) in DOCUMENTS {
        world.origin.reply(path, document("new"));
        put_record(&world, last, "kept", "2 9999999999 - max-age=3600");
        assert_names(&get(&world, path), "new");
    }
}

#[test]
fn a_changed_document_is_seen_when_the_time_is_over_however_seldom_it_is_asked_for() {
    let world = World::start_with(&[("WELL_KNOWN_SECONDS", "2")]);
    for (path, _) in DOCUMENTS {
        world.origin.reply(path, document("kept").header("Cache-Control", "max-age=3600"));
        assert_names(&get(&world, path), "kept");
        world.origin.reply(path, document("new"));
    }
    sleep(Duration::from_millis(2_100));
    for (path, _) in DOCUMENTS {
        assert_names(&get(&world, path), "new");
    }
}

#[test]
fn with_a_time_of_0_every_request_asks_a_host_that_allows_no_reuse() {
    let world = World::start_with(&[("WELL_KNOWN_SECONDS", "0")]);
    for (path, last) in DOCUMENTS {
        world.origin.reply(path, document("new"));
        put_record(&world, last, "kept", &format!("3 0 - {} no-store", unix_secs()));
        for _ in 0..3 {
            let answer = get(&world, path);
            assert_names(&answer, "new");
            for name in ["age", "cache-status"] {
                assert_eq!(answer.header(name), None, "{name}");
            }
        }
        assert_eq!(world.origin.asked(path).len(), 3);
    }
}

#[test]
fn an_object_that_names_no_server_is_asked_for_each_time() {
    let world = World::start();
    for (path, _) in DOCUMENTS {
        world.origin.reply(path, Reply::json(200, &json!({ "errcode": "M_UNKNOWN" })));
        get(&world, path);
        world.origin.reply(path, document("new"));
        assert_names(&get(&world, path), "new");
    }
}

#[test]
fn a_purge_of_everything_or_of_the_own_server_ends_copies_at_the_data_centre_and_in_memory() {
    for what in [json!({ "everything": true }), json!({ "server_name": "example.com" })] {
        let world = start_with_copies(10, &[("ADMIN_TOKEN", ADMIN_TOKEN)]);
        let (in_memory, at_pop) = (DOCUMENTS[0].0, DOCUMENTS[1].0);
        assert_names(&get(&world, in_memory), "kept");
        purge(&world, &json!({ "server_name": "example.org" }).to_string());
        assert_hit(&get(&world, in_memory), "kept", "memory");
        purge(&world, &what.to_string());
        for path in [in_memory, at_pop] {
            assert_names(&get(&world, path), "new");
            world.origin.asked_once(path);
        }
    }
}

#[test]
fn a_purge_ends_what_the_host_allows_as_well() {
    let vars = [("WELL_KNOWN_SECONDS", "0"), ("ADMIN_TOKEN", ADMIN_TOKEN)];
    let world = start_with_copies(10, &vars);
    let path = DOCUMENTS[0].0;
    assert_names(&get(&world, path), "kept");
    assert!(world.origin.asked(path).is_empty());
    purge(&world, &json!({ "everything": true }).to_string());
    assert_names(&get(&world, path), "new");
}

#[test]
fn a_host_that_is_down_is_bridged_as_ever_by_copies_that_are_old_or_purged() {
    let world = start_with_copies(400, &[("ADMIN_TOKEN", ADMIN_TOKEN)]);
    put_copy(&world, DOCUMENTS[1].1, "kept", unix_secs());
    purge(&world, &json!({ "everything": true }).to_string());
    for (path, _) in DOCUMENTS {
        world.origin.on(path, |_| Ok(Then::Reset));
        for _ in 0..2 {
            let answer = get(&world, path);
            assert_names(&answer, "kept");
            assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
            assert_eq!((is_hit(&answer), answer.header("age")), (false, None));
        }
    }
}

#[test]
fn a_404_for_a_moment_ends_no_copy_that_is_aging() {
    let world = start_with_copies(200, &[]);
    for (path, last) in DOCUMENTS {
        world.origin.reply(path, missing());
        assert_names(&get(&world, path), "kept");
        let entry = entry_name(MEDIA_HOST, &format!("v2/example.com/well-known/{last}"));
        wait_for("the copy is marked", PATIENCE, || {
            let kept = world.edge.stores.entry(&entry)?;
            let record = kept.header("x-edge-meta")?.to_owned();
            record.split(' ').nth(2).is_some_and(|since| since != "-").then_some(())
        });
        assert_names(&get(&world, path), "kept");
    }
}

#[test]
fn a_document_of_the_edges_own_is_sent_for_as_long() {
    let vars = [("WELL_KNOWN_GENERATE", "true"), ("WELL_KNOWN_SECONDS", "2")];
    let world = World::start_with(&vars);
    for (path, _) in DOCUMENTS {
        world.origin.reply(path, missing());
        let first = get(&world, path);
        assert_eq!((first.status, is_hit(&first)), (200, false));
        let again = get(&world, path);
        assert_eq!((again.text(), is_hit(&again)), (first.text(), true));
        world.origin.on(path, |_| Ok(Then::Reset));
    }
    sleep(Duration::from_millis(2_100));
    for (path, _) in DOCUMENTS {
        // It is never made because its host is down.
        assert_matrix_error(&get(&world, path), 502, "M_UNKNOWN");
        world.origin.reply(path, document("new"));
        assert_names(&get(&world, path), "new");
    }
}

#[test]
fn a_404_is_asked_about_each_time_where_none_is_made() {
    let world = World::start();
    for (path, _) in DOCUMENTS {
        world.origin.reply(path, missing());
        assert_eq!(get(&world, path).status, 404);
        world.origin.reply(path, document("new"));
        assert_names(&get(&world, path), "new");
    }
}

#[test]
fn the_status_asks_the_host_and_no_copy() {
    let world = start_with_copies(10, &[("ADMIN_TOKEN", ADMIN_TOKEN)]);
    for (path, _) in DOCUMENTS {
        assert_names(&get(&world, path), "kept");
        assert!(world.origin.asked(path).is_empty());
    }
    let answer = media_domain("GET", "/_edge/status").bearer(ADMIN_TOKEN);
    assert_eq!(answer.send(&world.edge.address).status, 200);
    for (path, _) in DOCUMENTS {
        world.origin.asked_once(path);
    }
}
