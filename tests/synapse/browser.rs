//! What only a real browser can tell: seeking in a video before it is loaded, and how far an upload
//! has come.

use std::net::TcpListener;

use serde_json::Value;
use test_support::edge::{Edge, Layout};
use test_support::profile::Profile;
use test_support::script::tell;

use crate::servers::start_edge_as;
use crate::world::world;

const LEAST_BYTES: u64 = 20_000_000;

/// How long a browser may have nothing to tell of an upload under way, and how often it has something
/// at the least.
const MAX_PAUSE_MS: u64 = 3000;
const LEAST_EVENTS: usize = 10;

/// What lies in the system's buffers between browser, edge and line, at the most, of a file of 95 MB:
/// each of the two connections may hold 36 MiB (`tcp_rmem` and `tcp_wmem`).
const MAX_AHEAD_BYTES: u64 = 76_000_000;

#[test]
fn a_browser_seeks_through_the_edge_but_not_on_synapse_alone() {
    let (synapse, edge) = (&world().synapse.address, &world().edge.address);
    let sources = [format!("miss={edge}"), format!("hit={edge}"), format!("alone={synapse}")];
    let [miss, hit, alone] = &sources;
    let told = tell("seek.mjs", &[world().token("alice"), synapse, miss, hit, alone]);

    let bytes = number(&told["bytes"]);
    assert!(bytes >= LEAST_BYTES, "the video has only {bytes} bytes");
    for state in ["miss", "hit"] {
        let seen = &told["seen"][state];
        assert_eq!(seen["seekableUntil"], told["seconds"], "{state}");
        for seek in seen["seeks"].as_array().expect("seeks are listed") {
            assert_eq!(seek["shown"], seek["target"], "{state}: {seek}");
            assert!(number(&seek["movedBytes"]) < bytes / 2, "{state}: {seek}");
        }
    }
    let alone = &told["seen"]["alone"];
    assert_eq!(alone["seekableUntil"], 0);
    for seek in alone["seeks"].as_array().expect("seeks are listed") {
        let (shown, target) = (number(&seek["shown"]), number(&seek["target"]));
        assert!(shown < target / 2, "Synapse alone can be sought in: {seek}");
    }
}

/// How many times its size a video may cost its homeserver, in tenths.
const MAX_TENTHS: u64 = 12;

#[test]
fn seeks_in_an_uncached_video_cost_a_homeserver_with_ranges_about_its_size() {
    let told = seek_cold("parts");
    let first_byte = &told["firstByte"];
    assert_eq!((number(&first_byte["status"]), number(&first_byte["questions"])), (206, 1));
    assert_eq!(first_byte["isRight"], true);
}

#[test]
fn seeks_in_an_uncached_video_cost_a_homeserver_without_ranges_about_its_size() {
    seek_cold("whole");
}

/// Seeks in a video of 40 MB, and claims what it cost. It comes within 16 s, of the 25 that a fill may take
/// without a reader: a busy machine may need some more.
fn seek_cold(sends: &str) -> Value {
    let port = free_port();
    let homeserver = format!("http://127.0.0.1:{port}");
    let vars = [
        ("HOMESERVER_URL", homeserver.as_str()),
        ("SERVER_NAME", "example.com"),
        ("MEDIA_URL", "https://media.example.com"),
        ("WELL_KNOWN_URL", &homeserver),
    ];
    let edge = Edge::start_as(Layout::default(), &vars);
    let told = tell("seek_cold.mjs", &[&edge.address, &port, sends, "60"]);
    for seek in told["seeks"].as_array().expect("seeks are listed") {
        assert_eq!(seek["shown"], seek["target"], "{seek}");
    }
    let (bytes, sent) = (number(&told["bytes"]), number(&told["sentBytes"]));
    assert!(bytes >= 35_000_000, "the video has only {bytes} bytes");
    assert!(sent * 10 <= bytes * MAX_TENTHS, "{sent} bytes were sent of {bytes}");
    told
}

/// A port that nobody listens on.
fn free_port() -> String {
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    port.expect("a free port").port().to_string()
}

#[test]
fn an_uploads_progress_is_reported_as_it_happens() {
    // An edge asks nothing before it is asked, so the line may come after it.
    let port = free_port();
    let line = format!("http://127.0.0.1:{port}");
    let synapse = &world().synapse;
    // What Cloudflare's proxy takes ahead of the origin is none of the edge's.
    let plain = Layout { profile: Some(Profile::Plain), ..Layout::default() };
    let edge = start_edge_as(synapse, plain, &[("HOMESERVER_URL", &line)]);
    let told =
        tell("upload.mjs", &[synapse.token("alice"), &edge.address, &synapse.address, &port]);

    assert_eq!(told["status"], 200);
    let answer: Value = serde_json::from_str(text(&told["answer"])).expect("it is JSON");
    assert!(text(&answer["content_uri"]).starts_with("mxc://localhost/"), "{answer}");

    let bytes = number(&told["bytes"]);
    let events = told["events"].as_array().expect("events are listed");
    assert!(events.len() >= LEAST_EVENTS, "there are only {} events", events.len());
    let last = events.last().expect("there are events");
    assert_eq!((text(&last["type"]), number(&last["loaded"])), ("loadend", bytes));
    for pair in events.windows(2) {
        let [earlier, later] = pair else { unreachable!("windows are of two") };
        let pause = number(&later["atMs"]) - number(&earlier["atMs"]);
        assert!(pause < MAX_PAUSE_MS, "nothing was told for {pause} ms: {later}");
        assert!(number(&later["loaded"]) >= number(&earlier["loaded"]), "{later}");
    }
    for event in events {
        let ahead = number(&event["loaded"]).saturating_sub(number(&event["movedBytes"]));
        assert!(ahead < MAX_AHEAD_BYTES, "what was told was {ahead} bytes ahead: {event}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}
