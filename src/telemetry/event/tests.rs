use super::*;
use crate::error::Rejection;

fn plain() -> ReplyHead {
    ReplyHead::new(StatusCode::OK, http::HeaderMap::new())
}

fn forwarded(reason: ForwardReason, status: u16) -> CacheStatus {
    let status = StatusCode::from_u16(status).ok();
    let source = Source::Forwarded { reason, status };
    CacheStatus { source, is_stored: false, detail: None }
}

fn outcome(cache: CacheStatus, tier: Option<Tier>, status: u16) -> CacheOutcome {
    let mut event = Event::default();
    event.replied(&ReplyHead { cache_status: Some(cache), ..plain() }, true);
    if let Some(tier) = tier {
        event.served_from(tier);
    }
    event.answered(status, 0);
    event.outcome()
}

#[test]
fn every_kind_of_answer_has_its_outcome() {
    let hit =
        |detail| CacheStatus { source: Source::Hit { ttl_secs: 5 }, is_stored: false, detail };
    let stale = |status| forwarded(ForwardReason::Stale, status);
    for (cache, tier, status, expected) in [
        (hit(None), Some(Tier::Memory), 200, CacheOutcome::Hit),
        (hit(Some("stale-if-error")), Some(Tier::Pop), 200, CacheOutcome::Stale),
        (stale(304), Some(Tier::Memory), 200, CacheOutcome::Revalidated),
        (stale(304), None, 304, CacheOutcome::Revalidated),
        (stale(200), Some(Tier::Pop), 206, CacheOutcome::Revalidated),
        (stale(200), None, 200, CacheOutcome::Miss),
        (stale(401), None, 401, CacheOutcome::Refused),
        (forwarded(ForwardReason::UriMiss, 200), None, 200, CacheOutcome::Miss),
        (forwarded(ForwardReason::UriMiss, 200), None, 416, CacheOutcome::Miss),
        (forwarded(ForwardReason::UriMiss, 404), None, 404, CacheOutcome::Refused),
        (forwarded(ForwardReason::Bypass, 200), None, 200, CacheOutcome::Bypass),
    ] {
        assert_eq!(outcome(cache, tier, status), expected, "{cache} {status}");
    }
    assert_eq!(Event::default().outcome(), CacheOutcome::Local);
    let mut rejected = Event::default();
    rejected.replied(&Rejection::Loop.reply().0, true);
    assert_eq!(rejected.outcome(), CacheOutcome::Rejected);
}

fn asked(method: &Method, status: u16, length: &'static str) -> Event {
    let mut event = Event::default();
    let length = HeaderValue::from_static(length);
    let headers = http::HeaderMap::from_iter([(CONTENT_LENGTH, length)]);
    let status = StatusCode::from_u16(status).unwrap();
    event.asked_origin(method, Some(&OriginHead { status, headers }), 2);
    event
}

#[test]
fn an_answer_without_a_look_up_is_bypass_refused_or_local() {
    for (origin_status, status, expected) in [
        (200, 200, CacheOutcome::Bypass),
        (101, 101, CacheOutcome::Bypass),
        (404, 404, CacheOutcome::Refused),
        (503, 200, CacheOutcome::Local),
    ] {
        let mut event = asked(&Method::GET, origin_status, "5");
        event.answered(status, 5);
        assert_eq!(event.outcome(), expected, "{origin_status} {status}");
    }
}

#[test]
fn body_bytes_are_the_content_length_if_there_is_a_body() {
    let length = (CONTENT_LENGTH, HeaderValue::from_static("5"));
    let head = ReplyHead { headers: http::HeaderMap::from_iter([length]), ..plain() };
    let weight = |head, has_body| {
        let mut event = Event::default();
        event.replied(head, has_body);
        (event.is_answered(), event.body_bytes())
    };
    assert_eq!(weight(&head, true), (true, 5));
    assert_eq!(weight(&head, false), (true, 0));
    assert_eq!(weight(&plain(), true), (true, 0));
    assert!(!Event::default().is_answered());
}

#[test]
fn answers_to_head_and_304s_count_no_body_bytes() {
    let weight = |method, status| asked(&method, status, "5").origin().body_bytes;
    assert_eq!(weight(Method::GET, 200), 5);
    assert_eq!(weight(Method::HEAD, 200), 0);
    assert_eq!(weight(Method::GET, 304), 0);
}

#[test]
fn server_timing_names_the_tier_and_the_origins_time() {
    let told =
        |event: &Event| event.server_timing().map(|field| field.to_str().unwrap().to_owned());
    let mut event = Event::default();
    assert_eq!(told(&event), None);
    event.served_from(Tier::Pop);
    assert_eq!(told(&event).as_deref(), Some("tier;desc=pop"));
    let mut event = asked(&Method::GET, 304, "5");
    assert_eq!(told(&event).as_deref(), Some("origin;dur=2"));
    event.asked_origin(&Method::GET, None, 3);
    event.served_from(Tier::Memory);
    assert_eq!(told(&event).as_deref(), Some("tier;desc=memory, origin;dur=5"));
}

#[test]
fn a_refusal_has_no_server_timing() {
    for (status, is_told) in [
        (200, true),
        (206, true),
        (304, true),
        (416, true),
        (307, false),
        (401, false),
        (502, false),
    ] {
        let mut event = asked(&Method::GET, status, "5");
        event.served_from(Tier::Pop);
        event.answered(status, 0);
        assert_eq!(event.server_timing().is_some(), is_told, "{status}");
    }
}

#[test]
fn huge_lengths_do_not_overflow_the_sum() {
    let mut event = asked(&Method::GET, 307, "18446744073709551615");
    let headers = http::HeaderMap::from_iter([(CONTENT_LENGTH, 5.into())]);
    event.asked_origin(&Method::GET, Some(&OriginHead { status: StatusCode::OK, headers }), 2);
    assert_eq!(event.origin().body_bytes, u64::MAX);
}

#[test]
fn a_line_is_one_json_object() {
    let mut event = Event::default();
    event.routed(&Route::Unrecognized);
    event.replied(&Rejection::Unrecognized.reply().0, true);
    event.answered(404, 70);
    event.ended(3, Pop::parse("FRA"));
    let line: serde_json::Value = serde_json::from_str(&event.to_line()).unwrap();
    assert_eq!(line["route"], "unrecognized");
    assert_eq!(line["reason"], "unrecognized");
    assert_eq!((line["status"].as_u64(), line["body_bytes"].as_u64()), (Some(404), Some(70)));
    assert_eq!(line["pop"], "FRA");
    assert!(!event.to_line().contains('\n'));
}

#[test]
fn a_line_names_the_door_the_tier_and_the_origins_share() {
    let mut event = asked(&Method::GET, 304, "5");
    event.routed(&Route::Limits(Door::Client));
    let cache_status = Some(forwarded(ForwardReason::Stale, 304));
    event.replied(&ReplyHead { cache_status, ..plain() }, true);
    event.served_from(Tier::Bucket);
    event.answered(206, 70);
    event.ended(9, Pop::default());
    let line: serde_json::Value = serde_json::from_str(&event.to_line()).unwrap();
    for (member, expected) in
        [("route", "limits"), ("door", "client"), ("outcome", "revalidated"), ("tier", "bucket")]
    {
        assert_eq!(line[member], expected);
    }
    for (member, expected) in
        [("origin_status", 304), ("origin_requests", 1), ("origin_ms", 2), ("duration_ms", 9)]
    {
        assert_eq!(line[member], expected);
    }
    assert_eq!((&line["reason"], &line["stored"]), (&serde_json::Value::Null, &false.into()));
}

#[test]
fn the_members_of_a_line_have_an_order() {
    let mut event = asked(&Method::GET, 200, "5");
    event.routed(&Route::Limits(Door::Client));
    let mut cache = forwarded(ForwardReason::UriMiss, 200);
    (cache.is_stored, cache.detail) = (true, Some("no-validator"));
    event.replied(&ReplyHead { cache_status: Some(cache), ..plain() }, true);
    event.served_from(Tier::Pop);
    event.answered(206, 70);
    event.ended(9, Pop::parse("FRA"));
    assert_eq!(
        event.to_line(),
        concat!(
            r#"{"event":"request","route":"limits","door":"client","outcome":"miss","tier":"pop","#,
            r#""reason":"no-validator","stored":true,"status":206,"origin_status":200,"#,
            r#""body_bytes":70,"origin_requests":1,"origin_body_bytes":5,"duration_ms":9,"#,
            r#""origin_ms":2,"pop":"FRA"}"#
        )
    );
    assert_eq!(
        Event::default().to_line(),
        concat!(
            r#"{"event":"request","route":null,"door":null,"outcome":"local","tier":null,"#,
            r#""reason":null,"stored":false,"status":0,"origin_status":null,"body_bytes":0,"#,
            r#""origin_requests":0,"origin_body_bytes":0,"duration_ms":0,"origin_ms":0,"pop":""}"#
        )
    );
}

#[test]
fn a_data_point_has_the_columns_that_queries_name() {
    let mut event = asked(&Method::GET, 200, "5");
    event.routed(&Route::Limits(Door::Client));
    let cache = CacheStatus { detail: Some("no-mark"), ..forwarded(ForwardReason::UriMiss, 200) };
    event.replied(&ReplyHead { cache_status: Some(cache), ..plain() }, true);
    event.served_from(Tier::Pop);
    event.answered(206, 70);
    event.ended(9, Pop::parse("FRA"));
    let DataPoint { indexes, blobs, doubles } = event.data_point();
    assert_eq!(indexes, ["client"]);
    assert_eq!(blobs, ["limits", "client", "miss", "pop", "no-mark", "206", "200", "FRA"]);
    assert_eq!(doubles, [70.0, 5.0, 1.0, 9.0, 2.0]);
}

#[test]
fn null_values_are_empty_in_a_data_point() {
    let event = Event::default();
    let DataPoint { indexes, blobs, doubles } = event.data_point();
    assert_eq!(indexes, [""]);
    assert_eq!(blobs, ["", "", "local", "", "", "0", "", ""]);
    assert_eq!(doubles, [0.0; 5]);
}

#[test]
fn the_admin_chooses_what_is_logged() {
    let mut rejected = Event::default();
    rejected.replied(&Rejection::Loop.reply().0, true);
    let is_logged = |config| (Event::default().is_logged(config), rejected.is_logged(config));
    assert_eq!(is_logged(LogRequests::All), (true, true));
    assert_eq!(is_logged(LogRequests::Failures), (false, true));
    assert_eq!(is_logged(LogRequests::None), (false, false));
}

#[test]
fn a_pop_is_three_letters_or_empty() {
    assert_eq!(Pop::parse("FRA").as_str(), "FRA");
    for text in ["", "fra", "FRAX", "192.0.2.1", "é1"] {
        assert_eq!(Pop::parse(text).as_str(), "", "{text}");
    }
}
