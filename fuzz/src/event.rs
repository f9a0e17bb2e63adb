//! What is told of a request: one JSON object on one line, and nothing that came from outside.

use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Method, StatusCode};
use matrix_media_edge::cache::tier::Tier;
use matrix_media_edge::config::LogRequests;
use matrix_media_edge::headers::cache_status::{CacheStatus, ForwardReason, Source};
use matrix_media_edge::message::ReplyHead;
use matrix_media_edge::origin::OriginHead;
use matrix_media_edge::route::admit;
use matrix_media_edge::telemetry::daily::Tally;
use matrix_media_edge::telemetry::event::{DataPoint, Event, Pop};
use serde_json::Value;

use crate::input::{CONFIG, get, headers, is_plain, texts};

const NOW: u64 = 1_700_000_000;

/// All that may be told of events, routes, doors, tiers and outcomes.
const WORDS: [&[&str]; 5] = [
    &["request"],
    &[
        "preflight",
        "well-known",
        "media",
        "status",
        "purge",
        "upload",
        "limits",
        "forward",
        "passthrough",
        "unrecognized",
    ],
    &["client", "legacy", "federation", "other"],
    &["memory", "pop", "bucket"],
    &["hit", "stale", "revalidated", "miss", "bypass", "refused", "rejected", "local"],
];

/// The input's lines: the target, the data centre, the status, how long the body is and how long
/// the origin took; then answers of the origin, each a status and a length.
pub(crate) fn target(input: &[u8]) {
    let Some([target, pop, status, length, waited, answers]) = texts(input) else { return };
    let number = |text: &str| text.parse().unwrap_or(5);
    let mut event = Event::default();
    if let Ok(route) = admit(&get(target, HeaderMap::new()), &CONFIG) {
        event.routed(&route);
    }
    let mut head = ReplyHead::new(StatusCode::OK, HeaderMap::new());
    let mut asked = 0_u32;
    for answer in answers.lines().take(8) {
        let (status, length) = answer.split_once(' ').unwrap_or((answer, ""));
        let origin = StatusCode::from_bytes(status.as_bytes()).ok().map(|status| OriginHead {
            status,
            headers: headers(&[(CONTENT_LENGTH, length.as_bytes())]),
        });
        event.asked_origin(&Method::GET, origin.as_ref(), number(waited));
        let status = origin.map(|origin| origin.status);
        let source = Source::Forwarded { reason: ForwardReason::Stale, status };
        head.set_cache_status(CacheStatus { source, is_stored: false, detail: None });
        event.served_from(Tier::Pop);
        asked += 1;
    }
    event.replied(&head, true);
    let status = status.parse().unwrap_or(200);
    event.answered(status, number(length));
    event.ended(number(waited), Pop::parse(pop));

    let line = event.to_line();
    let told: Value = serde_json::from_str(&line).expect("JSON");
    assert!(is_plain(&line), "one line: {line:?}");
    assert_eq!(told["status"].as_u64(), Some(status.into()));
    assert_eq!(told["origin_requests"].as_u64(), Some(asked.into()));
    let is_code = pop.len() == 3 && pop.bytes().all(|b| b.is_ascii_uppercase());
    assert_eq!(told["pop"], if is_code { pop } else { "" });
    let texts = told.as_object().expect("an object").iter().filter(|(name, _)| *name != "pop");
    let is_ours = |text: &str| WORDS.iter().any(|words| words.contains(&text));
    assert!(texts.filter_map(|(_, value)| value.as_str()).all(is_ours), "{line}");
    is_the_line_in_columns(&event.data_point(), &told);
    assert!(event.is_logged(LogRequests::All) && !event.is_logged(LogRequests::None));
    // Who is refused learns nothing.
    let is_granted =
        matches!(status, 200..300 | 304 | 416) || StatusCode::from_u16(status).is_err();
    assert_eq!(event.server_timing().is_some(), asked > 0 && is_granted);
    assert!(event.server_timing().is_none_or(|field| !field.is_empty()));

    let mut tally = Tally::default();
    tally.add(&event, NOW);
    tally.add(&event, NOW);
    let [day] = tally.days() else { panic!("one day") };
    assert!(day.requests == 2 && day.served_bytes >= event.body_bytes());
    assert!(day.origin_bytes >= event.origin().body_bytes);
}

/// A data point has what the log's line has, under the columns of docs/numbers.md.
fn is_the_line_in_columns(point: &DataPoint<'_>, told: &Value) {
    let text = |name: &&str| match &told[*name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let names = ["route", "door", "outcome", "tier", "reason", "status", "origin_status", "pop"];
    assert!(names.iter().map(text).eq(point.blobs.iter().map(|blob| &**blob)));
    assert_eq!(point.indexes, [&*point.blobs[1]]);
    let names = ["body_bytes", "origin_body_bytes", "origin_requests", "duration_ms", "origin_ms"];
    assert_eq!(names.map(|name| told[name].as_f64()), point.doubles.map(Some));
}
