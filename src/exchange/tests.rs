//! Single steps of an exchange, where the whole story would not tell one from another; see
//! `tests/policy` for that.

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::*;
use crate::config::tests::config;
use crate::request::OriginHead;
use crate::route::{Route, admit};
use crate::target::Target;

const NOW: u64 = 1_700_000_000;
const BYTES: u64 = 40;

const CLIENT: &str = "/_matrix/client/v1/media/download/example.com/abc";
const LEGACY: &str = "/_matrix/media/v3/download/example.com/abc";
const SERVER: &str = "/_matrix/federation/v1/media/download/abc";

const STRICT: &[(&str, &str)] = &[];
const LEASED: &[(&str, &str)] = &[("LEASE_SECONDS", "60")];
const PAIRED: &[(&str, &str)] = &[("LEASE_SECONDS", "60"), ("LEASE_SCOPE", "token+media")];
const STALE: &[(&str, &str)] = &[("STALE_IF_ERROR_SECONDS", "600")];

const TAG: (HeaderName, &str) = (ETAG, "1");
const LENGTH: (HeaderName, &str) = (CONTENT_LENGTH, "40");
const PRIVATE: (HeaderName, &str) = (CACHE_CONTROL, "no-store");

fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
    let fields = fields.iter().cloned();
    fields.map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

fn begin(method: Method, target: &str, vars: &[(&'static str, &str)]) -> Exchange {
    let credential = if target.starts_with(SERVER) {
        r#"X-Matrix origin="other.example",key="ed25519:1",sig="Z29vZA""#
    } else {
        "Bearer syt_a"
    };
    let fields = [(AUTHORIZATION, credential)];
    let shown = if target.starts_with(LEGACY) { &[] } else { fields.as_slice() };
    let config = config(vars).expect("the variables are good");
    let head = RequestHead {
        method,
        scheme: "https".to_owned(),
        authority: "media.example.com".to_owned(),
        target: Target::new(target),
        headers: headers(shown),
    };
    let Ok(Route::Media(request)) = admit(&head, &config) else { panic!("{target} is no media") };
    match Exchange::begin(Rc::new(config), Rc::new(head), request, b"key") {
        Begin::LookUp(exchange) => exchange,
        Begin::Bypass(reason) => panic!("{reason:?}"),
    }
}

fn get(target: &str, vars: &[(&'static str, &str)]) -> Exchange {
    begin(Method::GET, target, vars)
}

fn origin(status: u16, fields: &[(HeaderName, &'static str)]) -> OriginHead {
    let status = StatusCode::from_u16(status).expect("it is one");
    OriginHead { status, headers: headers(fields) }
}

/// What was stored a minute ago.
fn stored(exchange: &Exchange, fields: &[(HeaderName, &'static str)]) -> Rc<StoredMeta> {
    let head = origin(200, fields);
    let permission = Permission::of(&head);
    Rc::new(StoredMeta::new(&exchange.key, &head, permission, BYTES, NOW - 60))
}

fn missed(exchange: Exchange) -> Question {
    asked(exchange.on_lookup(None, Leases::default(), false, NOW))
}

/// Asks about what is stored with a validator.
fn validating(exchange: Exchange, leases: Leases) -> Question {
    let stored = stored(&exchange, &[TAG, (CONTENT_TYPE, "image/png")]);
    asked(exchange.on_lookup(Some(stored), leases, false, NOW))
}

fn asked(decision: Decision) -> Question {
    match decision {
        Decision::Ask(question) => question,
        Decision::Serve(outcome, _) => panic!("{outcome:?}"),
    }
}

fn heard(question: Question, status: u16, fields: &[(HeaderName, &'static str)]) -> Outcome {
    match question.pending.on_origin(Ok(origin(status, fields)), NOW) {
        Verdict::Answer(outcome) => outcome,
        Verdict::AskAgain(question) => panic!("{:?}", question.request),
    }
}

fn confirmed(credential: u64, media: u64) -> Leases {
    Leases { credential: Some(credential), media: Some(media) }
}

#[test]
fn a_304_freshens_what_it_says_but_the_length_and_our_tag() {
    let fields = [TAG, (CONTENT_TYPE, "image/webp"), (CONTENT_LENGTH, "7")];
    let told = heard(validating(get(CLIENT, STRICT), Leases::default()), 304, &fields);
    assert_eq!(told.head.headers[CONTENT_TYPE], "image/webp");
    assert_eq!(told.head.headers[CONTENT_LENGTH], "40");
    assert_eq!(told.head.headers[ETAG], "\"abc-40\"");
}

#[test]
fn servers_get_the_tag_of_the_304() {
    let told = heard(validating(get(SERVER, STRICT), Leases::default()), 304, &[(ETAG, "2")]);
    assert_eq!(told.head.headers[ETAG], "2");
}

#[test]
fn what_may_no_longer_be_stored_is_removed() {
    let told = heard(validating(get(CLIENT, STRICT), Leases::default()), 200, &[LENGTH, PRIVATE]);
    assert!(matches!(told.entry, EntryChange::Remove), "{told:?}");
    let told = heard(missed(get(CLIENT, STRICT)), 200, &[LENGTH, PRIVATE]);
    assert!(matches!(told.entry, EntryChange::Keep), "{told:?}");
}

#[test]
fn an_answer_without_a_body_removes_nothing() {
    let head = begin(Method::HEAD, SERVER, STRICT);
    let told = heard(validating(head, Leases::default()), 200, &[LENGTH, TAG]);
    assert!(matches!(told.entry, EntryChange::Keep), "{told:?}");
}

#[test]
fn a_refusal_ends_what_it_is_about() {
    use LeaseChange::{End, EndCredential, EndMedia};
    for (target, vars, status, expected) in [
        (CLIENT, LEASED, 401, EndCredential),
        (CLIENT, LEASED, 403, EndCredential),
        (CLIENT, LEASED, 404, EndMedia),
        (CLIENT, PAIRED, 404, End),
        (LEGACY, LEASED, 401, EndMedia),
        (LEGACY, PAIRED, 404, EndMedia),
    ] {
        let told = heard(missed(get(target, vars)), status, &[]);
        assert_eq!(told.leases, expected, "{target} {vars:?} {status}");
    }
}

#[test]
fn only_clients_need_cors() {
    for (target, expected) in [(CLIENT, true), (LEGACY, true), (SERVER, false)] {
        let told = heard(missed(get(target, STRICT)), 404, &[]);
        let has_cors = told.head.headers.contains_key("access-control-allow-origin");
        assert_eq!(has_cors, expected, "{target}");
    }
}

#[test]
fn without_validators_only_what_a_lease_can_serve_is_stored() {
    let on_behalf = format!("{CLIENT}?user_id=@b:example.com");
    for (target, vars, expected) in [
        (CLIENT, LEASED, true),
        (CLIENT, STRICT, false),
        (CLIENT, STALE, false),
        (on_behalf.as_str(), LEASED, false),
    ] {
        let told = heard(missed(get(target, vars)), 200, &[LENGTH]);
        let is_stored = matches!(told.entry, EntryChange::Store(_));
        assert_eq!(is_stored, expected, "{target} {vars:?}");
    }
}

#[test]
fn a_clients_head_about_what_is_stored_is_asked_by_get() {
    for (target, expected) in [(CLIENT, Method::GET), (SERVER, Method::HEAD)] {
        let question = validating(begin(Method::HEAD, target, STRICT), Leases::default());
        assert_eq!(question.request.method, expected, "{target}");
    }
}

#[test]
fn the_origin_has_less_time_where_something_else_can_be_served() {
    let lately = confirmed(NOW - 120, NOW - 120);
    let patience = |question: Question| question.request.patience;
    let patient = patience(validating(get(CLIENT, STALE), Leases::default()));
    let hasty = patience(validating(get(CLIENT, STALE), lately));
    assert!(matches!((patient, hasty), (Patience::Millis(a), Patience::Millis(b)) if a > b));
    let nothing_stored = asked(get(CLIENT, STALE).on_lookup(None, lately, false, NOW));
    assert_eq!(patience(nothing_stored), patient);
}

#[test]
fn whoamis_refusal_is_the_last_word() {
    for status in [401, 403] {
        let exchange = get(CLIENT, LEASED);
        let unvalidated = stored(&exchange, &[]);
        let leases = Leases { credential: None, media: Some(NOW - 10) };
        let question = asked(exchange.on_lookup(Some(unvalidated), leases, false, NOW));
        assert!(question.request.url.ends_with("/whoami"));
        assert_eq!(heard(question, status, &[]).head.status.as_u16(), status);
    }
}

#[test]
fn an_answer_to_what_was_not_asked_is_nonsense() {
    for status in [206, 304] {
        let told = heard(missed(get(CLIENT, STRICT)), status, &[LENGTH]);
        assert_eq!(told.head.status, StatusCode::BAD_GATEWAY, "{status}");
    }
}

#[test]
fn the_record_that_is_old_is_renewed() {
    let (old, young) = (NOW - 50, NOW - 5);
    let renewed = |leases: Leases| {
        let exchange = get(CLIENT, LEASED);
        let keys = exchange.lease_keys.clone().expect("it may be leased");
        let stored = stored(&exchange, &[TAG]);
        match exchange.on_lookup(Some(stored), leases, false, NOW) {
            Decision::Serve(_, refresh) => {
                let key = refresh.map(|refresh| refresh.key);
                (key == keys.credential && key.is_some(), key == Some(keys.media))
            }
            Decision::Ask(question) => panic!("{:?}", question.request),
        }
    };
    assert_eq!(renewed(confirmed(young, young)), (false, false));
    assert_eq!(renewed(confirmed(young, old)), (false, true));
    assert_eq!(renewed(confirmed(old, young)), (true, false));
    assert_eq!(renewed(confirmed(old, old)), (true, false));
}

#[test]
fn a_redirect_grants_nothing() {
    let question = missed(get(CLIENT, LEASED));
    let far = origin(307, &[(LOCATION, "https://cdn.example.com/abc")]);
    let Verdict::AskAgain(question) = question.pending.on_origin(Ok(far), NOW) else {
        panic!("it is followed")
    };
    assert_eq!(heard(question, 200, &[LENGTH]).leases, LeaseChange::Keep);
}
