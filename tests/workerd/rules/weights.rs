//! Everything that is kept is weighed: a header has a bound, a record fits what the bucket takes with
//! an object, and memory counts records as well as bodies.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use test_support::assertions::assert_cache_status;
use test_support::edge::{BucketKind, Layout};
use test_support::http::{Answer, Request};
use test_support::time::wait_for;

use super::{Door, media, validate};
use crate::support::origin::{Origin, Reply};
use crate::support::world::{
    BODY, MEDIA_HOST, PATIENCE, World, content_key, download, download_path, media_domain,
    same_host, shared, tier, wait_for_entry, wait_for_tier,
};

/// The longest that a header is kept.
const MAX_HEADER_BYTES: usize = 1024;

/// The longest that a name is kept.
const MAX_NAME_BYTES: usize = 255;

/// Two data centres before one bucket.
fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| {
        World::start_as(Layout { pops: 1, bucket: BucketKind::R2, ..Layout::default() }, &[])
    });
    &WORLD
}

/// A name of 15 kB, and the 45 kB of header that tell it.
fn long_name() -> String {
    "あ".repeat(5_000)
}

fn long_disposition(kind: &str) -> String {
    let encoded: String = long_name().bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("{kind}; filename*=utf-8''{encoded}")
}

/// The name that a disposition tells, decoded.
fn name_of(disposition: &str) -> String {
    let (_, parameters) = disposition.split_once(';').unwrap_or_default();
    let parameters = parameters.split(';').map(str::trim);
    let mut names = parameters.filter_map(|parameter| {
        if let Some(encoded) = parameter.strip_prefix("filename*=") {
            let (_, encoded) = encoded.split_once("''").expect(disposition);
            let name = percent_decode_str(encoded).decode_utf8().expect("it is text");
            return Some(name.into_owned());
        }
        parameter.strip_prefix("filename=").map(|name| name.trim_matches('"').to_owned())
    });
    names.next().expect(disposition)
}

fn named_media(origin: &Origin, id: &str, disposition: &str) {
    let reply = Reply::new(200).header("Content-Disposition", disposition);
    let reply = reply.header("Content-Type", "video/mp4").body(BODY);
    validate(origin, &download_path(id), "1", reply);
}

/// The answer out of the bucket, after another data centre has brought it there.
fn from_bucket(id: &str) -> Answer {
    let world = world();
    let request = same_host("GET", download_path(id)).bearer(&world.token());
    request.send(&world.edge.pop_addresses[0]);
    wait_for(&format!("{id} is in the bucket"), PATIENCE, || {
        let keys = world.edge.stores.keys();
        keys.iter().any(|key| key.contains(&format!("/{id}/"))).then_some(())
    });
    let answer = request.send(&world.edge.direct_address);
    assert_eq!((answer.status, tier(&answer), &answer.body[..]), (200, "bucket", BODY));
    answer
}

#[test]
fn media_with_a_long_name_reaches_the_bucket() {
    named_media(&world().origin, "longName", &long_disposition("inline"));
    from_bucket("longName");
}

#[test]
fn media_with_a_long_name_keeps_its_type() {
    named_media(&world().origin, "longTyped", &long_disposition("inline"));
    assert_eq!(from_bucket("longTyped").header("content-type"), Some("video/mp4"));
}

#[test]
fn media_with_a_long_name_keeps_its_disposition() {
    for kind in ["inline", "attachment"] {
        let id = format!("long-{kind}");
        named_media(&world().origin, &id, &long_disposition(kind));
        let answer = from_bucket(&id);
        let disposition = answer.header("content-disposition").expect("a disposition");
        assert_eq!(disposition.split(';').next(), Some(kind), "{disposition}");
    }
}

/// Claims the longest beginning of `name` that is kept.
#[track_caller]
fn assert_cut(answer: &Answer, name: &str) {
    let disposition = answer.header("content-disposition").expect("a disposition");
    let kept = name_of(disposition);
    assert!(disposition.len() <= MAX_HEADER_BYTES, "{}: {kept}", disposition.len());
    assert!(name.starts_with(&kept), "{kept}");
    // Characters of three bytes are not cut in two.
    let is_longest = (MAX_NAME_BYTES - 2..=MAX_NAME_BYTES).contains(&kept.len());
    assert!(is_longest, "{} bytes: {kept}", kept.len());
}

#[test]
fn a_long_name_is_cut_to_a_length_that_file_systems_take() {
    named_media(&world().origin, "longCut", &long_disposition("inline"));
    assert_cut(&from_bucket("longCut"), &long_name());
}

#[test]
fn a_long_name_in_quotes_is_cut_too() {
    let name = "a".repeat(15_000);
    let disposition = format!("attachment; filename=\"{name}\"");
    named_media(&world().origin, "longQuoted", &disposition);
    assert_cut(&from_bucket("longQuoted"), &name);
}

#[test]
fn a_long_name_is_cut_in_memory_and_at_the_data_centre() {
    let world = World::start_two_isolates(&[]);
    named_media(&world.origin, "longNear", &long_disposition("inline"));
    let request = download("longNear", &world.token());
    assert_cut(&wait_for_tier("memory", &request, &world.edge.direct_address), &long_name());
    wait_for_entry(&world.edge, MEDIA_HOST, &content_key("longNear"));
    let answer = request.send(&world.edge.neighbor_address);
    assert_eq!(tier(&answer), "pop");
    assert_cut(&answer, &long_name());
}

#[test]
fn a_name_that_is_not_too_long_is_kept_whole() {
    let name = "a".repeat(900);
    let disposition = format!("inline; filename={name}");
    named_media(&world().origin, "fairlyLong", &disposition);
    let answer = from_bucket("fairlyLong");
    assert_eq!(answer.header("content-disposition"), Some(disposition.as_str()));
}

#[test]
fn an_upload_with_a_long_name_arrives_as_it_was_sent() {
    let world = shared();
    for name in ["a".repeat(15_000), "%E3%81%82".repeat(5_000)] {
        let target = format!("/_matrix/media/v3/upload?filename={name}");
        let request = media_domain("POST", &target).bearer(&world.token()).body(BODY);
        assert_eq!(request.send(&world.edge.address).status, 200);
        world.origin.asked_once(&target);
    }
}

/// The two answers to one who asks twice for media whose answer has these headers besides.
fn ask_twice(id: &str, headers: &[(&str, &str)]) -> [Answer; 2] {
    let world = shared();
    let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut reply = media(200).body(BODY);
    for (name, value) in [("ETag", "1"), ("Content-Type", "image/png")] {
        if !has(name) {
            reply = reply.header(name, value);
        }
    }
    let reply = headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value));
    let path = download_path(id);
    world.origin.on(&path, move |call| {
        let is_known = call.head.headers.get("if-none-match").is_some();
        call.reply(if is_known { &NOT_MODIFIED } else { &reply })
    });
    let request = download(id, &world.token());
    [(); 2].map(|()| {
        let answer = request.send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{id}");
        // It takes a moment until something is stored.
        std::thread::sleep(std::time::Duration::from_millis(200));
        answer
    })
}

static NOT_MODIFIED: LazyLock<Reply> = LazyLock::new(|| Reply::new(304));

const KEPT: [&str; 6] = [
    "Cache-Control",
    "Content-Security-Policy",
    "Content-Type",
    "ETag",
    "Referrer-Policy",
    "X-Robots-Tag",
];

/// A value of so many bytes that no reader of this header stumbles over.
fn value_of(name: &str, length: usize) -> String {
    let beginning = match name {
        "Cache-Control" => "public, max-age=60, x=",
        "Content-Security-Policy" => "sandbox; x-",
        "Content-Type" => "image/png; x=",
        "ETag" => "\"v",
        "Referrer-Policy" => "no-referrer, ",
        _ => "noindex, ",
    };
    let end = if name == "ETag" { "\"" } else { "" };
    format!("{beginning}{}{end}", "x".repeat(length - beginning.len() - end.len()))
}

#[test]
fn media_with_another_long_header_is_served_and_not_stored() {
    for name in KEPT {
        let value = value_of(name, MAX_HEADER_BYTES + 1);
        for answer in ask_twice(&format!("tooLong{name}"), &[(name, &value)]) {
            let told = "fwd=uri-miss; fwd-status=200; detail=header-too-long";
            assert_cache_status(&answer, told);
        }
    }
}

#[test]
fn media_with_headers_of_the_greatest_length_is_stored() {
    for name in KEPT {
        let value = value_of(name, MAX_HEADER_BYTES);
        let [_, again] = ask_twice(&format!("longest{name}"), &[(name, &value)]);
        assert_cache_status(&again, "fwd=stale; fwd-status=304");
    }
}

#[test]
fn media_with_a_long_unlisted_header_is_stored() {
    for name in ["Link", "Synapse-Trace-Id", "X-Whatever", "Content-Language"] {
        let value = "x".repeat(5_000);
        let [_, again] = ask_twice(&format!("unkept{name}"), &[(name, &value)]);
        assert_cache_status(&again, "fwd=stale; fwd-status=304");
    }
}

/// Each alone may be kept.
#[test]
fn media_whose_headers_are_long_together_is_served_and_not_stored() {
    let names = [&KEPT[..], &["Last-Modified", "X-Content-Security-Policy"]].concat();
    let values = names.iter().map(|name| (*name, value_of(name, MAX_HEADER_BYTES)));
    let values: Vec<(&str, String)> = values.collect();
    let headers: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for answer in ask_twice("longTogether", &headers) {
        assert_eq!(tier(&answer), "");
    }
}

/// What memory may hold.
const MEMORY_BYTES: usize = 1 << 20;

/// How many bytes of these many media come out of a memory of one MiB, told by their answers: bodies,
/// and what was kept with them.
fn bytes_from_memory(count: usize, headers: &[(&str, &str)]) -> usize {
    let world = World::start_with(&[("MEMORY_CACHE_MIB", "1"), ("LEASE_SECONDS", "600")]);
    let token = world.token();
    let path = Door::Client.thumbnail("many");
    let reply = Reply::new(200).header("Content-Type", "image/png").body("small");
    let reply = headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value));
    validate(&world.origin, &path, "1", reply);
    let ask = |number: usize| {
        let target = format!("{path}?width={}&height=1&method=crop", number + 1);
        let request: Request = media_domain("GET", target).bearer(&token);
        let answer = request.send(&world.edge.direct_address);
        assert_eq!((answer.status, answer.text().as_str()), (200, "small"));
        answer
    };
    for _ in 0..2 {
        (0..count).for_each(|number| drop(ask(number)));
    }
    // The last first: it is the first that have left.
    let answers = (0..count).rev().map(ask).filter(|answer| tier(answer) == "memory");
    let is_kept = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let weigh = |answer: Answer| {
        let kept = answer.headers.0.iter().filter(|(name, _)| is_kept(name));
        answer.body.len() + kept.map(|(_, value)| value.len()).sum::<usize>()
    };
    let weights: Vec<usize> = answers.map(weigh).collect();
    println!("{} of {count} are in memory", weights.len());
    assert!(!weights.is_empty(), "nothing is kept in memory");
    weights.iter().sum()
}

#[test]
fn memory_holds_no_more_of_long_names_than_the_admin_allows() {
    let held = bytes_from_memory(250, &[("Content-Disposition", &long_disposition("inline"))]);
    assert!(held <= MEMORY_BYTES, "{held} bytes");
}

#[test]
fn memory_holds_no_more_of_records_than_the_admin_allows() {
    let headers = ["Cache-Control", "Content-Type", "Referrer-Policy", "X-Robots-Tag"];
    let values = headers.map(|name| (name, value_of(name, 1_000)));
    let mut headers: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Content-Disposition", "inline"));
    let held = bytes_from_memory(350, &headers);
    assert!(held <= MEMORY_BYTES, "{held} bytes");
}
