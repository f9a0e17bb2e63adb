//! The self-test: what the network lets the edge do is found out, and said with a fix.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use test_support::assertions::assert_matrix_error;
use test_support::edge::{BucketKind, Layout};
use test_support::http::{Answer, Request};
use test_support::profile::Profile;
use test_support::time::{now, wait_for};

use crate::admin::purge::ADMIN_TOKEN;
use crate::support::origin::Reply;
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, legacy_download, media_domain, shared,
};

const PATH: &str = "/_edge/selftest";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const CACHE: &str = "Data centre's cache";
const PARTS: &str = "Parts from the data centre's cache";
const DELETES: &str = "Deletes in the data centre's cache";
const CLIENTS: &str = "Revalidation for clients";

fn start_as(layout: Layout, vars: &[(&str, &str)]) -> World {
    let vars: Vec<_> = vars.iter().copied().chain([("ADMIN_TOKEN", ADMIN_TOKEN)]).collect();
    World::start_as(layout, &vars)
}

/// Behind the stand-ins of Cloudflare's network, whatever the other tests run behind.
fn start(bucket: BucketKind) -> World {
    start_as(Layout { bucket, profile: Some(Profile::Cloudflare), ..Layout::default() }, &[])
}

fn request() -> Request {
    media_domain("POST", PATH).bearer(ADMIN_TOKEN)
}

/// Runs the self-test. Returns its findings.
fn run(world: &World) -> Vec<Value> {
    let answer = request().send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    findings(&answer)
}

/// The findings of an answer, whose `ok` must fit them.
fn findings(answer: &Answer) -> Vec<Value> {
    let json = answer.json();
    let findings = json["checks"].as_array().expect("the findings are told").clone();
    let is_bad = findings.iter().any(|finding| finding["level"] == "bad");
    assert_eq!(json["ok"], json!(!is_bad), "{json}");
    for finding in &findings {
        assert_eq!(finding["level"] == "good", finding["cure"].is_null(), "{finding}");
    }
    findings
}

fn find<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {check}: {findings:?}"))
}

/// Claims a finding: its level, and the beginning of what was found.
#[track_caller]
fn assert_found(findings: &[Value], check: &str, level: &str, found: &str) {
    let finding = find(findings, check);
    let text = finding["found"].as_str().unwrap_or_default();
    assert!(finding["level"] == level && text.starts_with(found), "{finding}");
}

/// The first number in what was found.
fn number_in(finding: &Value) -> u64 {
    let text = finding["found"].as_str().unwrap_or_default();
    let number = text.split(' ').find_map(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("no number: {finding}"))
}

#[test]
fn every_finding_is_good_behind_a_correct_network() {
    let world = start(BucketKind::R2);
    let answer = request().send(&world.edge.address);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let findings = findings(&answer);
    let others: Vec<_> = findings.iter().filter(|finding| finding["level"] != "good").collect();
    assert!(others.is_empty(), "{others:?}");
    let names: Vec<_> = findings.iter().filter_map(|finding| finding["check"].as_str()).collect();
    assert_eq!(
        names,
        [
            "Homeserver",
            CLIENTS,
            "Revalidation of legacy media",
            "Revalidation for servers",
            CACHE,
            PARTS,
            DELETES,
            "Bucket",
            "List of purges",
            "Schedule",
            "Readers' addresses",
            "Length of uploads",
            "Answers not stored",
            "Revalidations",
        ]
    );
    assert_found(&findings, "Homeserver", "good", "It answers by its own word, in ");
    assert_found(&findings, "Bucket", "good", "A write took ");
}

#[test]
fn a_self_test_leaves_nothing_in_the_bucket() {
    let world = start(BucketKind::R2);
    run(&world);
    assert_eq!(world.edge.stores.keys(), Vec::<String>::new());
}

#[test]
fn a_self_test_takes_fewer_subrequests_than_the_free_plan_grants() {
    let world = start(BucketKind::R2);
    world.edge.cache.set(&json!({ "visibleAfterMs": null }));
    world.edge.bucket.set(&json!({}));
    run(&world);
    let calls = |counts: std::collections::BTreeMap<String, u64>, names: &[&str]| {
        names.iter().map(|name| counts.get(*name).copied().unwrap_or_default()).sum::<u64>()
    };
    let of_cache = calls(world.edge.cache.counts(), &["match", "put", "delete"]);
    let of_bucket = calls(world.edge.bucket.counts(), &["get", "put", "delete", "list"]);
    assert_eq!(world.origin.asked(WHOAMI).len(), 1);
    assert!(of_cache >= 10 && of_bucket >= 5, "{of_cache} {of_bucket}");
    let of_homeserver = 1;
    assert!(of_cache + of_bucket + of_homeserver <= 50, "{of_cache} {of_bucket}");
}

#[test]
fn a_self_test_is_refused_to_others_than_the_admin() {
    let world = start(BucketKind::None);
    for request in [media_domain("POST", PATH), media_domain("POST", PATH).bearer("another")] {
        assert_matrix_error(&request.send(&world.edge.address), 403, "M_FORBIDDEN");
    }
    let in_address = media_domain("POST", format!("{PATH}?access_token={ADMIN_TOKEN}"));
    assert_matrix_error(&in_address.send(&world.edge.address), 403, "M_FORBIDDEN");
    let by_get = media_domain("GET", PATH).bearer(ADMIN_TOKEN);
    assert_matrix_error(&by_get.send(&world.edge.address), 405, "M_UNRECOGNIZED");
    assert_eq!(world.edge.cache.counts()["put"], 0);
    let without_admin = request().send(&shared().edge.address);
    assert_matrix_error(&without_admin, 404, "M_UNRECOGNIZED");
}

#[test]
fn a_second_self_test_in_an_isolate_is_refused() {
    let world = start(BucketKind::R2);
    let send = || request().send(&world.edge.address);
    // One takes more than a second, since the bucket takes one write of a key in each.
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(send);
        (send(), one.join().expect("it is answered"))
    });
    let (first, second) = if one.status == 200 { (one, other) } else { (other, one) };
    assert_eq!(first.status, 200, "{}", first.text());
    assert_matrix_error(&second, 429, "M_LIMIT_EXCEEDED");
    assert_eq!(send().status, 200, "the first has ended");
}

#[test]
fn an_abandoned_self_test_does_not_block_the_next() {
    let world = start(BucketKind::R2);
    world.edge.cache.set(&json!({ "visibleAfterMs": null }));
    let left = request().open(&world.edge.direct_address).expect("it is reached");
    thread::sleep(Duration::from_millis(500));
    left.reset();
    wait_for("another may run", PATIENCE, || {
        (request().send(&world.edge.direct_address).status == 200).then_some(())
    });
    wait_for("nothing of it is left", PATIENCE, || {
        world.edge.stores.keys().is_empty().then_some(())
    });
}

/// What is found of revalidation for clients, once a client has read media twice.
fn revalidation_behind(profile: Profile) -> Value {
    let world = start_as(Layout { profile: Some(profile), ..Layout::default() }, &[]);
    let id = world.stored_media();
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!(answer.body, BODY);
    find(&run(&world), CLIENTS).clone()
}

#[test]
fn a_received_tag_is_distinguished_from_a_guessed_one() {
    for (profile, found) in [
        (Profile::Plain, "By the tag that the homeserver tells: a 304 was seen."),
        (
            Profile::Cloudflare,
            "By a guessed tag, since none arrives with the media: a 304 was seen.",
        ),
    ] {
        assert_eq!(revalidation_behind(profile)["found"], found);
    }
}

#[test]
fn a_disabled_cache_is_found_with_its_causes() {
    let world = start(BucketKind::None);
    for by in ["access", "development"] {
        world.edge.cache.set(&json!({ "offBy": by }));
        let findings = run(&world);
        assert_found(&findings, CACHE, "bad", "It took a body of 1 MiB and never showed it.");
        let cure = find(&findings, CACHE)["cure"].as_str().unwrap_or_default().to_owned();
        for cause in ["Access", "Development Mode", "Cache Rule"] {
            assert!(cure.contains(cause), "{by}: {cure}");
        }
    }
    world.edge.cache.set(&json!({ "offBy": null }));
    assert_found(&run(&world), CACHE, "good", "It showed a new body of 1 MiB after ");
}

#[test]
fn a_late_cache_is_found_with_its_delay() {
    let world = start(BucketKind::None);
    world.edge.cache.set(&json!({ "visibleAfterMs": 500 }));
    let findings = run(&world);
    assert_found(&findings, CACHE, "unsure", "It showed a new body of 1 MiB after ");
    let told: Vec<_> = find(&findings, CACHE)["found"]
        .as_str()
        .unwrap_or_default()
        .split(' ')
        .filter_map(|word| word.parse::<u64>().ok())
        .collect();
    assert!(matches!(told[..], [1, 450..=3_500]), "{told:?}");
    assert_found(&findings, PARTS, "good", "It gave the last byte, and a part");
}

#[test]
fn deletes_that_are_refused_or_late_are_found() {
    let world = start(BucketKind::None);
    world.edge.cache.set(&json!({ "refusesDeleteOf": 1 }));
    let findings = run(&world);
    assert_found(&findings, DELETES, "unsure", "It refused a delete.");
    assert_found(&findings, CACHE, "good", "It showed a new body");
    world.edge.cache.set(&json!({ "refusesDeleteOf": 0, "deletesAfterMs": 10_000 }));
    assert_found(&run(&world), DELETES, "unsure", "What was deleted was still there after 3 s.");
}

#[test]
fn a_slow_bucket_is_found_with_its_times() {
    let world = start(BucketKind::R2);
    world.edge.bucket.set(&json!({ "callMs": [1_200, 1_300] }));
    let findings = run(&world);
    assert_found(&findings, "Bucket", "unsure", "A write took ");
    assert!(number_in(find(&findings, "Bucket")) >= 1_200, "{findings:?}");
}

#[test]
fn a_bucket_that_fails_is_found_by_the_step_that_failed() {
    let world = start(BucketKind::Faulty);
    for (operation, found) in [
        ("put", "It could not be written."),
        ("get", "It could not be read."),
        ("delete", "It could not be deleted from."),
    ] {
        world.edge.stores.set_faults(&[(operation, "fails")]);
        assert_found(&run(&world), "Bucket", "bad", found);
    }
}

#[test]
fn an_intermediary_is_found_by_its_code() {
    let world = start(BucketKind::None);
    for (does, code) in [
        ("blocked", "(blocked)"),
        ("challenged", "(challenged)"),
        ("limited", "(rate-limited)"),
        ("login", "(login)"),
        ("maintenance", "(page)"),
        ("522", "(origin-522)"),
    ] {
        world.edge.proxy.on(WHOAMI, does);
        let findings = run(&world);
        let finding = find(&findings, "Homeserver");
        let found = finding["found"].as_str().unwrap_or_default();
        assert!(finding["level"] == "bad" && found.ends_with(code), "{does}: {finding}");
    }
    world.edge.proxy.on(WHOAMI, "passes");
    assert_found(&run(&world), "Homeserver", "good", "It answers by its own word");
}

#[test]
fn a_self_test_ends_in_time_though_no_store_or_origin_answers() {
    let world = start(BucketKind::Faulty);
    world.edge.stores.set_faults(&[("put", "hangs"), ("get", "hangs")]);
    world.edge.cache.set(&json!({ "callMs": [60_000, 60_000] }));
    world.origin.on(WHOAMI, |call| call.wait_for_end());
    let began = now();
    let findings = run(&world);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_found(&findings, "Homeserver", "bad", "There was no answer in time. (origin-timed-out)");
    assert_found(&findings, CACHE, "bad", "It ");
    assert_found(&findings, "Bucket", "bad", "It did not answer in time.");
    assert_found(&findings, "List of purges", "bad", "It could not be read.");
}

/// The findings of the status page's JSON, as the admin gets them.
fn status(world: &World) -> Value {
    media_domain("GET", "/_edge/status").bearer(ADMIN_TOKEN).send(&world.edge.address).json()
}

#[test]
fn unstored_answers_are_counted_by_reason_and_reported_with_a_fix() {
    let world = start(BucketKind::None);
    let id = world.media();
    world.origin.on(&download_path(&id), |call| {
        let file = Reply::new(200).header("Content-Type", "image/png").header("ETag", "\"1\"");
        call.reply(&file.header("Set-Cookie", "session=b; Path=/").body(BODY))
    });
    for _ in 0..3 {
        download(&id, &world.token()).send(&world.edge.address);
    }
    let expected = "3 of 3 answers with media were not cached (set-cookie) in this isolate";
    assert_found(&run(&world), "Answers not stored", "unsure", expected);
    let status = status(&world);
    assert_eq!(status["isolate_counts"]["not_stored"], json!({ "set-cookie": 3 }));
    let checks = status["checks"].as_array().expect("the checks are told");
    assert_found(checks, "Answers not stored", "unsure", expected);
    let page = media_domain("GET", "/").bearer(ADMIN_TOKEN).send(&world.edge.address).text();
    assert!(page.contains("set-cookie") && page.contains("exempt /_matrix/"), "{page}");
    let stranger = media_domain("GET", "/").send(&world.edge.address).text();
    assert!(!stranger.contains("set-cookie"), "{stranger}");
}

#[test]
fn repeated_bodies_for_cached_media_are_counted() {
    let world = start(BucketKind::None);
    let id = world.legacy_media();
    let read = || legacy_download(&id).send(&world.edge.address);
    wait_for("it is stored", PATIENCE, || {
        let answer = read();
        answer.header("cache-status").is_some_and(|field| field.contains("304")).then_some(())
    });
    world.edge.proxy.on(&id, "drops conditions");
    for _ in 0..12 {
        assert_eq!(read().body, BODY);
    }
    let counts = &status(&world)["isolate_counts"];
    // A way that has worked fails three times before HEAD takes its place.
    assert_eq!(counts["revalidated_with_body"], 3, "{counts}");
    assert!(counts["revalidated_without_body"].as_u64() >= Some(9), "{counts}");
    let findings = run(&world);
    let found = "By HEAD: no condition was answered by a 304.";
    assert_found(&findings, "Revalidation of legacy media", "unsure", found);
    assert_found(&findings, "Revalidations", "good", "3 of ");
}

#[test]
fn uploads_without_a_length_are_counted() {
    let world = start(BucketKind::None);
    let upload = |request: Request| request.bearer(&world.token()).send(&world.edge.direct_address);
    let to =
        || media_domain("POST", "/_matrix/media/v3/upload").header("Content-Type", "image/png");
    assert_found(&run(&world), "Length of uploads", "good", "No upload came to this isolate yet.");
    assert_eq!(upload(to().body(BODY)).status, 200);
    assert_found(&run(&world), "Length of uploads", "good", "All of 1 in this isolate");
    assert_eq!(upload(to().chunked(BODY)).status, 400, "the homeserver wants a length");
    assert_found(&run(&world), "Length of uploads", "unsure", "1 of 2 in this isolate");
}

#[test]
fn a_scheduled_run_is_reported_with_its_result() {
    const CHANGES: &str = "/_synapse/admin/v1/media/quarantine_changes";
    let layout = Layout { bucket: BucketKind::R2, ..Layout::default() };
    let world = start_as(layout, &[("SYNAPSE_ADMIN_TOKEN", "syt_admin_0123456789")]);
    assert_found(&run(&world), "Schedule", "unsure", "It was never seen to run.");
    world.origin.reply(CHANGES, Reply::json(200, &json!({ "next_batch": 0, "changes": [] })));
    world.edge.run_scheduled();
    assert_found(&run(&world), "Schedule", "good", "It ran ");
    world.origin.reply(CHANGES, Reply::error(403, "M_FORBIDDEN", "You are not a server admin"));
    // The bucket takes one write of a key in a second.
    thread::sleep(Duration::from_millis(1_100));
    world.edge.run_scheduled();
    let findings = run(&world);
    assert_found(&findings, "Schedule", "bad", "It ran ");
    assert!(find(&findings, "Schedule")["found"].as_str().is_some_and(|f| f.ends_with("failed.")));
}

#[test]
fn a_request_without_the_readers_address_is_reported() {
    let world = start(BucketKind::None);
    assert_found(&run(&world), "Readers' addresses", "good", "They come with each request");
    let findings = findings(&request().send(&world.edge.direct_address));
    assert_found(&findings, "Readers' addresses", "unsure", "This request came without");
}
