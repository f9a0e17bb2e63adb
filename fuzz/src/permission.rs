//! Permissions: what a homeserver alone would have said counts, and nothing else, whatever is said.

use http::StatusCode;
use http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, LOCATION, RETRY_AFTER,
};
use matrix_media_edge::cache::entry::{FetchTimes, StoredMeta, Validator};
use matrix_media_edge::cache::key::Subject;
use matrix_media_edge::headers::is_html;
use matrix_media_edge::matrix::ids::Mxc;
use matrix_media_edge::matrix::media::{Door, Representation};
use matrix_media_edge::origin::outage::{Evidence, evidence, is_failure};
use matrix_media_edge::origin::{OriginAnswer, OriginHead, redirect};
use matrix_media_edge::permission::{
    Refusal, confirms_by_head, confirms_by_redirect, has_mark, knows_token, may_replace, refusal,
};
use serde_json::Value;

use crate::input::{headers, key, lines};
use crate::json::read_shallow;

const NOW: u64 = 1_700_000_000;
const FROM: &str = "https://origin.example.com/_matrix/client/v1/media/download/example.com/abc";
const PLACE: &str = "https://cdn.example.com/abc";

/// The input's lines: the status, type, tag, disposition and length of an answer, where it
/// redirects to, when to come back, and its body.
pub(crate) fn target(input: &[u8]) {
    let [status, content_type, tag, disposition, length, location, retry, body] = lines(input);
    let head = OriginHead {
        status: StatusCode::from_bytes(status).unwrap_or(StatusCode::OK),
        headers: headers(&[
            (CONTENT_TYPE, content_type),
            (ETAG, tag),
            (CONTENT_DISPOSITION, disposition),
            (CONTENT_LENGTH, length),
            (LOCATION, location),
            (RETRY_AFTER, retry),
        ]),
    };
    let text = std::str::from_utf8(body).ok().map(str::to_owned);
    let answer = OriginAnswer { head, text };
    a_mark_is_no_pages(&answer.head);
    stays_what_it_is(&answer.head);
    a_refusal_is_a_matrix_error(&answer);
    tells_of_an_outage(answer);
}

fn a_mark_is_no_pages(head: &OriginHead) {
    let has = |name: &HeaderName| head.headers.contains_key(name);
    assert_eq!(has_mark(head, Door::Client), has_mark(head, Door::Legacy));
    if has_mark(head, Door::Client) && !has(&CONTENT_DISPOSITION) {
        let field = head.headers.get(&CONTENT_TYPE).map(|field| field.as_bytes());
        let essence = field.unwrap_or_default().split(|byte| *byte == b';').next();
        let essence = String::from_utf8_lossy(essence.unwrap_or_default());
        let essence = essence.trim().to_ascii_lowercase();
        assert!(has(&ETAG) && !is_html(&head.headers) && !essence.is_empty());
        assert!(!["text/plain", "application/json"].contains(&&*essence));
    }
    if has_mark(head, Door::Federation) {
        let field = head.header(&CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        assert!(field.trim_start().starts_with("multipart/mixed") && field.contains("boundary"));
    }
}

/// Nothing becomes a page that was none, and a redirect leads where it led.
fn stays_what_it_is(head: &OriginHead) {
    let mxc = Mxc::parse("mxc://example.com/abc").expect("an mxc URI");
    let key = key(Subject::Media(&mxc, Representation::Content));
    let stored = |validator: Validator| {
        let png = OriginHead {
            status: StatusCode::OK,
            headers: headers(&[(CONTENT_TYPE, b"image/png"), (CONTENT_DISPOSITION, b"inline")]),
        };
        let times = FetchTimes { asked_unix_secs: NOW, answered_unix_secs: NOW };
        StoredMeta::new(&key, &png, validator, 5, times).expect("short headers")
    };
    let (tagged, redirected) = (
        stored(Validator::ETag("1".parse().expect("ASCII"))),
        stored(Validator::Redirect(PLACE.into())),
    );
    let validator = Validator::of(head);
    for stored in [&tagged, &redirected] {
        if may_replace(head, &validator, stored) {
            assert!(!is_html(&head.headers) && head.headers.contains_key(CONTENT_DISPOSITION));
        }
        if confirms_by_head(head, stored, Door::Client) {
            assert_eq!((head.status, head.content_length()), (StatusCode::OK, Some(5)));
            assert!(has_mark(head, Door::Client));
        }
    }
    let elsewhere = Validator::Redirect("https://elsewhere.example.com/".to_owned());
    assert!(!may_replace(head, &elsewhere, &tagged), "a redirect replaces only its like");
    assert!(!confirms_by_redirect(FROM, head, &tagged));
    if confirms_by_redirect(FROM, head, &redirected) {
        let target = redirect::target(FROM, head).expect("it redirects");
        let rest = target.strip_prefix(PLACE).expect("the same place");
        assert!(rest.is_empty() || rest.starts_with('?'), "{target}");
    }
}

fn a_refusal_is_a_matrix_error(answer: &OriginAnswer) {
    let status = answer.head.status.as_u16();
    let value = answer.text.as_deref().and_then(read_shallow);
    let member =
        |name: &str| value.as_ref().and_then(|value| value.get(name)).and_then(Value::as_str);
    if let Some(code) = answer.errcode() {
        assert!((400..600).contains(&status) && !code.is_empty());
        // What only the strict reader refuses is nobody's answer.
        assert!(value.is_none() || member("errcode") == Some(&code), "{code}");
    }
    match refusal(answer) {
        Some(Refusal::Credential) => assert!(matches!(status, 401 | 403)),
        Some(Refusal::Media) => {
            assert!(matches!(status, 404 | 410 | 451));
            assert_ne!(answer.errcode().as_deref(), Some("M_UNRECOGNIZED"));
        }
        None => {}
    }
    assert!(refusal(answer).is_none() || answer.errcode().is_some());
    if knows_token(answer) {
        assert_eq!(status, 200);
        assert!(value.is_none() || member("user_id").is_some_and(|user| user.starts_with('@')));
    }
}

fn tells_of_an_outage(answer: OriginAnswer) {
    let status = answer.head.status.as_u16();
    let (fails, is_error) = (is_failure(&answer.head), answer.errcode().is_some());
    assert_eq!(fails, (500..600).contains(&status));
    match evidence(&Ok(answer)) {
        Evidence::Up => assert!(is_error && status < 500 && status != 429),
        Evidence::Down => assert!(fails && status != 503),
        Evidence::Unclear => assert!(status == 429 || !is_error || status >= 500),
    }
}
