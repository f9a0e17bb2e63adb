//! Single steps of an exchange, where the whole story would not tell one from another; see
//! `tests/policy` for that.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED, LOCATION,
    RANGE, REFERER, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

mod heads;

use super::*;
use crate::cache::entry::FetchTimes;
use crate::cache::purge_list::Stamp;
use crate::cache::storability::NoStoreReason;
use crate::config::tests::config;
use crate::message::REQUEST_HEADERS;
use crate::message::target::Target;
use crate::origin::client_headers::ClientHeaders;
use crate::origin::forwarding::differs_between_readers;
use crate::origin::outage::Evidence;
use crate::origin::ranges::RangeLesson;
use crate::origin::revalidation::{Lesson, RevalidateBy, Revalidated, Revalidation};
use crate::origin::{OriginAnswer, OriginError, OriginHead, Timeout};
use crate::route::{Route, admit};

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
const PNG: (HeaderName, &str) = (CONTENT_TYPE, "image/png");
const PAGE: (HeaderName, &str) = (CONTENT_TYPE, "text/html");
const INLINE: (HeaderName, &str) = (CONTENT_DISPOSITION, "inline");
/// The mark of federation media.
const ENVELOPE: (HeaderName, &str) = (CONTENT_TYPE, "multipart/mixed; boundary=b");

const FAR: &str = "https://cdn.example.com/abc";

fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
    let fields = fields.iter().cloned();
    fields.map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

fn begin(method: Method, target: &str, vars: &[(&'static str, &str)]) -> Exchange {
    begin_with(method, target, vars, &[])
}

/// Begins a request with these headers besides its credential.
fn begin_with(
    method: Method,
    target: &str,
    vars: &[(&'static str, &str)],
    more: &[(HeaderName, &'static str)],
) -> Exchange {
    let credential = if target.starts_with(SERVER) {
        r#"X-Matrix origin="other.example",key="ed25519:1",sig="Z29vZA""#
    } else {
        "Bearer syt_a"
    };
    let fields = [(AUTHORIZATION, credential)];
    let shown = if target.starts_with(LEGACY) { &[] } else { fields.as_slice() };
    let named = ("ORIGIN_REDIRECT_HOSTS", "cdn.example.com mirror.example.com");
    let vars: Vec<_> = vars.iter().copied().chain([named]).collect();
    let config = config(&vars).expect("the variables are good");
    let head = RequestHead {
        method,
        scheme: "https".to_owned(),
        authority: "media.example.com".to_owned(),
        target: Target::new(target),
        headers: headers(&[shown, more].concat()),
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
    stored_as(exchange, &head, Validator::of(&head))
}

fn stored_as(exchange: &Exchange, head: &OriginHead, validator: Validator) -> Rc<StoredMeta> {
    let times = FetchTimes { asked_unix_secs: NOW - 60, answered_unix_secs: NOW - 60 };
    let meta = StoredMeta::new(&exchange.key, head, validator, BYTES, times);
    Rc::new(meta.expect("its headers are short"))
}

fn missed(exchange: Exchange) -> OriginExchange {
    asked(exchange.on_lookup(None, Leases::default(), false, NOW))
}

/// Asks about what is stored with a validator.
fn validating(exchange: Exchange, leases: Leases) -> OriginExchange {
    let stored = stored(&exchange, &[TAG, PNG, INLINE]);
    asked(exchange.on_lookup(Some(stored), leases, false, NOW))
}

/// Asks about what was stored from where the homeserver redirected to.
fn confirming(exchange: Exchange, leases: Leases) -> OriginExchange {
    let head = origin(200, &[PNG, TAG]);
    let stored = stored_as(&exchange, &head, Validator::Redirect(FAR.to_owned()));
    asked(exchange.on_lookup(Some(stored), leases, false, NOW))
}

fn asked(decision: AfterLookup) -> OriginExchange {
    match decision {
        AfterLookup::AskOrigin(question) => question,
        AfterLookup::Serve(outcome, _) => panic!("{outcome:?}"),
    }
}

fn heard(question: OriginExchange, status: u16, fields: &[(HeaderName, &'static str)]) -> Outcome {
    answered(question, OriginAnswer::unread(origin(status, fields)))
}

/// Hears a Matrix error.
fn refused(question: OriginExchange, status: u16, errcode: &str) -> Outcome {
    let text = Some(format!(r#"{{"errcode":"{errcode}","error":"No"}}"#));
    answered(question, OriginAnswer { head: origin(status, &[]), text })
}

fn answered(question: OriginExchange, answer: OriginAnswer) -> Outcome {
    match question.pending.on_origin(Ok(answer), NOW) {
        AfterOrigin::Respond(outcome) | AfterOrigin::RespondPart(outcome, _) => outcome,
        AfterOrigin::AskAgain(question) => panic!("{:?}", question.request),
        AfterOrigin::CheckOutage(suspicion) => panic!("{suspicion:?}"),
    }
}

fn asked_again(
    question: OriginExchange,
    status: u16,
    fields: &[(HeaderName, &'static str)],
) -> OriginExchange {
    let answer = OriginAnswer::unread(origin(status, fields));
    match question.pending.on_origin(Ok(answer), NOW) {
        AfterOrigin::AskAgain(question) => question,
        other => panic!("{other:?}"),
    }
}

fn is_stored(outcome: &Outcome) -> bool {
    matches!(outcome.plan, ResponsePlan::FillCache { .. })
}

fn is_removed(outcome: &Outcome) -> bool {
    matches!(outcome.plan, ResponsePlan::Relay { removes_stored: true, .. })
}

/// The origin's body, or so much of it, which is not stored, and no change of what is stored.
const fn relayed(slice: BodySlice, reason: NoStoreReason) -> ResponsePlan {
    ResponsePlan::Relay { slice: Some(slice), removes_stored: false, not_stored: Some(reason) }
}

const SERVED: ResponsePlan = ResponsePlan::ServeStored(Some(BodySlice::Whole));

fn is_kept(outcome: &Outcome) -> bool {
    !is_stored(outcome) && !is_removed(outcome)
}

fn confirmed(credential: u64, media: u64) -> Leases {
    Leases { credential: Some(credential), media: Some(media), ..Leases::default() }
}

#[test]
fn a_304_changes_no_header_that_describes_the_stored_bytes() {
    let fields = [
        TAG,
        (CONTENT_TYPE, "image/webp"),
        (CONTENT_LENGTH, "7"),
        (CONTENT_ENCODING, "gzip"),
        (CONTENT_RANGE, "bytes 0-6/7"),
        (CONTENT_DISPOSITION, "attachment"),
        (LOCATION, FAR),
    ];
    for target in [CLIENT, LEGACY, SERVER] {
        let asks = || validating(get(target, STRICT), Leases::default());
        let (told, plain) = (heard(asks(), 304, &fields), heard(asks(), 304, &[TAG]));
        assert_eq!(told.head.headers, plain.head.headers, "{target}");
        assert_eq!(told.head.headers[CONTENT_TYPE], "image/png");
    }
}

#[test]
fn a_304_to_a_renewal_leaves_the_stored_response_unchanged() {
    let exchange = get(CLIENT, LEASED);
    let stored = stored(&exchange, &[TAG, PNG, INLINE]);
    let old = confirmed(NOW - 50, NOW - 50);
    let AfterLookup::Serve(_, Some(refresh)) = exchange.on_lookup(Some(stored), old, false, NOW)
    else {
        panic!("it is renewed")
    };
    let wrong = [TAG, (CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "gzip")];
    let told = heard(refresh.question, 304, &wrong);
    assert_eq!(told.plan.without_body(), ResponsePlan::ServeStored(None));
    assert_eq!(told.leases, LeaseChange::Grant { asked_unix_secs: NOW });
}

#[test]
fn a_304_freshens_what_belongs_to_the_exchange() {
    for target in [CLIENT, LEGACY, SERVER] {
        let question = validating(get(target, STRICT), Leases::default());
        let told = heard(question, 304, &[(CACHE_CONTROL, "private"), (EXPIRES, "0")]);
        assert_eq!(told.head.headers[CACHE_CONTROL], "private, no-transform", "{target}");
        assert_eq!(told.head.headers[EXPIRES], "0", "{target}");
    }
}

#[test]
fn a_relayed_error_is_no_store() {
    let kept = [(CACHE_CONTROL, "max-age=259200"), (EXPIRES, "x"), TAG];
    for target in [CLIENT, LEGACY, SERVER] {
        let head = OriginHead { status: StatusCode::NOT_FOUND, headers: headers(&kept) };
        let text = Some(r#"{"errcode":"M_NOT_FOUND","error":""}"#.to_owned());
        let told = answered(missed(get(target, STRICT)), OriginAnswer { head, text });
        assert_eq!(told.head.headers[CACHE_CONTROL], "no-store", "{target}");
        for name in [EXPIRES, ETAG] {
            assert!(!told.head.headers.contains_key(&name), "{target}: {name}");
        }
    }
}

/// What `Vary` counts by is told by [`differs_between_readers`]: a question that tells more of its
/// reader must name it there.
#[test]
fn readers_differ_in_a_question_only_where_vary_counts() {
    let question = |target: &str, who: &'static str| {
        let mut exchange = get(target, LEASED);
        let mut head = RequestHead::clone(&exchange.head);
        for name in &REQUEST_HEADERS {
            // The credential is the client's own, and decides who it is.
            let value = if *name == AUTHORIZATION { "Bearer syt_" } else { "" };
            let value = HeaderValue::from_str(&format!("{value}{who}")).expect("ASCII");
            head.headers.insert(name.clone(), value);
        }
        exchange.head = Rc::new(head);
        exchange.token = AccessToken::parse(&format!("syt_{who}"));
        exchange
    };
    for target in [CLIENT, LEGACY, SERVER] {
        let sets = |who| {
            let missed = missed(question(target, who)).request.set;
            let validating = validating(question(target, who), Leases::default()).request.set;
            [missed, validating]
        };
        for (one, other) in sets("a").into_iter().zip(sets("b")) {
            assert!(one.contains_key(AUTHORIZATION) && one.contains_key(USER_AGENT));
            for name in one.keys().chain(other.keys()) {
                let differs = one.get(name) != other.get(name);
                assert!(!differs || differs_between_readers(name.as_str()), "{target}: {name}");
            }
        }
    }
}

#[test]
fn servers_get_the_tag_of_the_304() {
    let told = heard(validating(get(SERVER, STRICT), Leases::default()), 304, &[(ETAG, "2")]);
    assert_eq!(told.head.headers[ETAG], "2");
}

#[test]
fn a_200_that_may_not_be_stored_removes_nothing() {
    for fields in [&[LENGTH, PRIVATE][..], &[LENGTH, PNG, INLINE, PRIVATE], &[PNG, INLINE]] {
        let told = heard(validating(get(CLIENT, STRICT), Leases::default()), 200, fields);
        assert!(is_kept(&told), "{told:?}");
        let told = heard(missed(get(CLIENT, STRICT)), 200, fields);
        assert!(is_kept(&told), "{told:?}");
    }
}

#[test]
fn a_marked_200_is_stored_and_grants() {
    for (target, fields) in [
        (CLIENT, &[LENGTH, PNG, INLINE, TAG][..]),
        (LEGACY, &[LENGTH, PNG, INLINE, TAG]),
        (LEGACY, &[LENGTH, PNG, TAG]),
        (SERVER, &[LENGTH, ENVELOPE, TAG]),
    ] {
        for question in
            [missed(get(target, LEASED)), validating_in_kind(get(target, LEASED), fields)]
        {
            let told = heard(question, 200, fields);
            assert!(is_stored(&told), "{told:?}");
            let granted = LeaseChange::Grant { asked_unix_secs: NOW };
            let expected = if target == SERVER { LeaseChange::Unchanged } else { granted };
            assert_eq!(told.leases, expected);
        }
    }
}

/// Asks about what is stored, which has the fields of what will be answered.
fn validating_in_kind(exchange: Exchange, fields: &[(HeaderName, &'static str)]) -> OriginExchange {
    let stored = stored(&exchange, fields);
    asked(exchange.on_lookup(Some(stored), Leases::default(), false, NOW))
}

#[test]
fn a_200_without_a_mark_is_relayed_and_changes_nothing() {
    for target in [CLIENT, LEGACY, SERVER] {
        for fields in [&[LENGTH, PNG][..], &[LENGTH, TAG]] {
            for question in
                [missed(get(target, LEASED)), validating(get(target, LEASED), Leases::default())]
            {
                let told = heard(question, 200, fields);
                assert!(is_kept(&told) && told.leases == LeaseChange::Unchanged, "{told:?}");
                assert_eq!((told.head.status, told.plan), (StatusCode::OK, whole(target)));
            }
        }
    }
}

#[test]
fn a_page_is_a_502_and_changes_nothing() {
    for target in [CLIENT, LEGACY, SERVER] {
        for question in
            [missed(get(target, LEASED)), validating(get(target, LEASED), Leases::default())]
        {
            let told = heard(question, 200, &[LENGTH, PAGE, TAG]);
            assert!(is_kept(&told) && told.leases == LeaseChange::Unchanged, "{told:?}");
            assert_eq!(
                (told.head.status, told.head.rejection),
                (StatusCode::BAD_GATEWAY, Some("page"))
            );
        }
    }
}

/// A body without the homeserver's mark, as a door gets it.
fn whole(target: &str) -> ResponsePlan {
    let slice =
        if target == SERVER { BodySlice::MultipartEnvelope(BYTES) } else { BodySlice::Whole };
    relayed(slice, NoStoreReason::NoMark)
}

#[test]
fn a_refusal_of_a_head_is_asked_for_by_get_where_a_lease_may_end() {
    for status in [401, 403, 404, 410, 451] {
        let question = asked_again(missed(begin(Method::HEAD, CLIENT, LEASED)), status, &[]);
        assert_eq!(question.request.method, Method::GET, "{status}");
        let told = refused(question, 401, "M_UNKNOWN_TOKEN");
        assert_eq!((told.leases, told.plan.has_body()), (LeaseChange::RevokeCredential, false));
    }
    let json = (CONTENT_TYPE, "application/json");
    for (target, vars) in [(CLIENT, STRICT), (SERVER, LEASED)] {
        let question = missed(begin(Method::HEAD, target, vars));
        let told = heard(question, 401, std::slice::from_ref(&json));
        assert_eq!(told.head.status, StatusCode::UNAUTHORIZED, "{target}");
    }
}

#[test]
fn a_head_that_may_have_met_a_page_is_asked_for_by_get() {
    let question = asked_again(missed(begin(Method::HEAD, CLIENT, STRICT)), 404, &[PAGE]);
    assert_eq!(question.request.method, Method::GET);
    let told = heard(missed(begin(Method::HEAD, SERVER, STRICT)), 404, &[PAGE]);
    assert_eq!(told.head.rejection, Some("page"), "its method is signed");
}

#[test]
fn a_200_of_another_kind_replaces_nothing_and_grants_nothing() {
    for fields in [
        &[LENGTH, PNG, INLINE, (LAST_MODIFIED, "x")][..],
        &[LENGTH, PAGE, INLINE, TAG],
        &[LENGTH, PNG, TAG],
        &[LENGTH, PNG, INLINE, TAG, PRIVATE],
        &[PNG, INLINE, TAG],
    ] {
        let told = heard(validating(get(CLIENT, LEASED), Leases::default()), 200, fields);
        assert!(is_kept(&told) && told.leases == LeaseChange::Unchanged, "{told:?}");
    }
}

#[test]
fn a_head_confirms_stored_media_without_validators() {
    let question = || {
        let exchange = begin(Method::HEAD, CLIENT, LEASED);
        let stored = stored(&exchange, &[PNG, INLINE]);
        asked(exchange.on_lookup(Some(stored), Leases::default(), false, NOW))
    };
    let told = heard(question(), 200, &[LENGTH, PNG, INLINE]);
    assert_eq!(told.leases, LeaseChange::Grant { asked_unix_secs: NOW });
    assert!(is_kept(&told), "{told:?}");
    for fields in [&[LENGTH, PNG][..], &[PNG, INLINE], &[LENGTH, PAGE, INLINE]] {
        let told = heard(question(), 200, fields);
        assert!(is_kept(&told) && told.leases == LeaseChange::Unchanged, "{told:?}");
    }
}

#[test]
fn an_answer_without_a_body_removes_nothing() {
    let head = begin(Method::HEAD, SERVER, STRICT);
    let told = heard(validating(head, Leases::default()), 200, &[LENGTH, TAG, ENVELOPE]);
    assert!(is_kept(&told), "{told:?}");
}

#[test]
fn a_refusal_revokes_the_lease_it_concerns() {
    use LeaseChange::{RevokeCredential, RevokeMedia};
    for (target, vars, status, expected) in [
        (CLIENT, LEASED, 401, RevokeCredential),
        (CLIENT, LEASED, 403, RevokeCredential),
        (CLIENT, LEASED, 404, RevokeMedia),
        (CLIENT, LEASED, 410, RevokeMedia),
        (CLIENT, LEASED, 451, RevokeMedia),
        (CLIENT, PAIRED, 404, RevokeCredential),
        (LEGACY, LEASED, 401, RevokeMedia),
        (LEGACY, PAIRED, 404, RevokeMedia),
    ] {
        let told = refused(missed(get(target, vars)), status, "M_UNKNOWN");
        assert_eq!(told.leases, expected, "{target} {vars:?} {status}");
    }
}

#[test]
fn a_refusal_of_media_removes_the_entry_where_it_is_meant_for_all() {
    for (target, vars, expected) in [
        (CLIENT, STRICT, true),
        (CLIENT, LEASED, true),
        (CLIENT, PAIRED, false),
        (LEGACY, STRICT, false),
        (SERVER, STRICT, true),
    ] {
        for status in [404, 410, 451] {
            let question = validating(get(target, vars), Leases::default());
            let told = refused(question, status, "M_NOT_FOUND");
            assert_eq!(is_removed(&told), expected, "{target} {vars:?} {status}");
        }
    }
}

#[test]
fn a_refusal_without_a_matrix_error_revokes_nothing() {
    for target in [CLIENT, LEGACY, SERVER] {
        for status in [400, 401, 403, 404, 410, 429, 431, 451] {
            let told = heard(validating(get(target, LEASED), Leases::default()), status, &[PAGE]);
            assert!(is_kept(&told) && told.leases == LeaseChange::Unchanged, "{target} {told:?}");
        }
        let question = validating(get(target, LEASED), Leases::default());
        let told = refused(question, 404, "M_UNRECOGNIZED");
        assert!(is_kept(&told) && told.leases == LeaseChange::Unchanged, "{target} {told:?}");
    }
}

#[test]
fn a_refusal_of_a_non_canonical_query_revokes_nothing() {
    let on_behalf = format!("{CLIENT}?user_id=@b:example.com");
    let told = refused(validating(get(&on_behalf, LEASED), Leases::default()), 404, "M_NOT_FOUND");
    assert!(is_kept(&told) && told.leases == LeaseChange::Unchanged, "{told:?}");
}

#[test]
fn a_question_carries_only_the_readers_credential_address_and_agent() {
    for target in [CLIENT, LEGACY, SERVER] {
        let mut exchange = get(target, STRICT);
        let head = Rc::make_mut(&mut exchange.head);
        let long = HeaderValue::from_str(&"x".repeat(17_000)).expect("ASCII");
        head.headers.insert(USER_AGENT, long.clone());
        head.headers.insert(REFERER, long);
        let request = missed(exchange).request;
        assert_eq!(request.client_headers, ClientHeaders::None);
        let names: Vec<_> = request.set.keys().map(|name| name.as_str()).collect();
        assert!(!names.contains(&"referer"), "{names:?}");
        assert_eq!(request.set[USER_AGENT].len(), 256);
        assert_eq!(request.set["x-forwarded-proto"], "https");
        assert_eq!(names.contains(&"authorization"), target != LEGACY);
    }
}

#[test]
fn a_question_has_one_spelling() {
    let url = |target: &str, vars| {
        let url = missed(get(target, vars)).request.url;
        url.strip_prefix("https://origin.example.com").expect("the homeserver").to_owned()
    };
    let thumbnail = "/_matrix/client/v1/media/thumbnail/example.com/abc";
    for (target, expected) in [
        ("/_matrix/client/v1/media/download/ex%61mple.com/%61bc/name.png", CLIENT.to_owned()),
        (&format!("{thumbnail}?height=096&w%69dth=96"), format!("{thumbnail}?width=96&height=96")),
        (&format!("{CLIENT}?allow_redirect=true&timeout_ms=5"), format!("{CLIENT}?timeout_ms=5")),
        (&format!("{LEGACY}?allow_remote=true"), LEGACY.to_owned()),
        (&format!("{LEGACY}?allow_remote=false"), format!("{LEGACY}?allow_remote=false")),
        (&format!("{CLIENT}?user_id=@b:c"), format!("{CLIENT}?user_id=%40b%3Ac")),
        (&format!("{SERVER}?timeout_ms=05"), format!("{SERVER}?timeout_ms=05")),
    ] {
        assert_eq!(url(target, STRICT), expected, "{target}");
    }
    let pass = &[("ORIGIN_REDIRECTS", "pass")];
    let invited = format!("{CLIENT}?allow_redirect=true");
    assert_eq!(url(&invited, pass), invited);
}

#[test]
fn a_question_about_stored_media_has_no_upload_timeout() {
    let waiting = format!("{CLIENT}?timeout_ms=60000");
    let request = validating(get(&waiting, STRICT), Leases::default()).request;
    assert!(request.url.ends_with("/abc"), "{}", request.url);
}

#[test]
fn an_answer_to_allow_redirect_is_not_stored_if_redirects_are_passed_on() {
    let invited = format!("{CLIENT}?allow_redirect=true");
    let told = heard(
        missed(get(&invited, &[("ORIGIN_REDIRECTS", "pass")])),
        200,
        &[LENGTH, PNG, INLINE, TAG],
    );
    assert!(is_kept(&told), "{told:?}");
}

#[test]
fn a_redirect_to_the_stored_place_serves_the_stored_bytes_and_grants_nothing() {
    let signed = (LOCATION, "https://cdn.example.com/abc?signature=2");
    let told = heard(confirming(get(CLIENT, LEASED), Leases::default()), 307, &[signed]);
    assert_eq!((told.plan, told.leases), (SERVED, LeaseChange::Unchanged));
}

#[test]
fn a_redirect_to_anywhere_else_serves_what_it_leads_to() {
    let login = (LOCATION, "https://cdn.example.com/login");
    for question in [
        confirming(get(CLIENT, LEASED), Leases::default()),
        validating(get(CLIENT, LEASED), Leases::default()),
    ] {
        let question = asked_again(question, 302, std::slice::from_ref(&login));
        assert_eq!(question.request.url, "https://cdn.example.com/login");
        let told = heard(question, 200, &[LENGTH, PAGE, TAG, INLINE]);
        assert!(is_kept(&told) && told.leases == LeaseChange::Unchanged, "{told:?}");
        assert_eq!(told.plan, relayed(BodySlice::Whole, NoStoreReason::Page));
    }
}

#[test]
fn a_redirect_back_to_the_question_is_not_followed() {
    for target in [CLIENT, LEGACY] {
        let back: &'static str = format!("https://origin.example.com{target}?tls=1").leak();
        let told = heard(missed(get(target, LEASED)), 301, &[(LOCATION, back)]);
        assert_eq!((told.head.status, is_kept(&told)), (StatusCode::BAD_GATEWAY, true));
    }
}

#[test]
fn a_redirect_to_the_public_host_is_followed_at_the_origin_with_its_headers() {
    let vars = &[("PUBLIC_URL", "https://matrix.example.com")];
    for location in [
        "https://matrix.example.com/_matrix/file?sig=1",
        "HTTPS://Matrix.example.com:443/_matrix/file?sig=1",
    ] {
        let question = asked_again(missed(get(CLIENT, vars)), 307, &[(LOCATION, location)]);
        let request = &question.request;
        assert_eq!(request.url, "https://origin.example.com/_matrix/file?sig=1");
        assert!(request.is_for_homeserver);
        assert!(!request.set.contains_key(AUTHORIZATION), "{request:?}");
        // Where that leads on is resolved against what the homeserver said.
        let question = asked_again(question, 307, &[(LOCATION, "/further")]);
        assert_eq!(question.request.url, "https://origin.example.com/further");
    }
}

#[test]
fn a_redirect_to_the_public_host_that_leads_back_to_the_question_is_not_followed() {
    let back: &'static str = format!("https://matrix.example.com{CLIENT}").leak();
    let vars = &[("PUBLIC_URL", "https://matrix.example.com")];
    let told = heard(missed(get(CLIENT, vars)), 301, &[(LOCATION, back)]);
    assert_eq!((told.head.status, is_kept(&told)), (StatusCode::BAD_GATEWAY, true));
}

#[test]
fn a_redirect_to_the_public_host_confirms_what_it_led_to_when_that_was_stored() {
    let vars = &[("PUBLIC_URL", "https://matrix.example.com"), ("LEASE_SECONDS", "60")];
    let location = (LOCATION, "https://matrix.example.com/file?sig=1");
    let question = asked_again(missed(get(CLIENT, vars)), 307, std::slice::from_ref(&location));
    let told = heard(question, 200, &[LENGTH, PNG, INLINE]);
    let ResponsePlan::FillCache { meta, .. } = told.plan else { panic!("{:?}", told.plan) };
    let known = Validator::Redirect("https://matrix.example.com/file".to_owned());
    assert_eq!(meta.validator(), &known);

    let exchange = get(CLIENT, vars);
    let stored = stored_as(&exchange, &origin(200, &[PNG, TAG]), known);
    let question = asked(exchange.on_lookup(Some(stored), Leases::default(), false, NOW));
    let again = (LOCATION, "https://matrix.example.com/file?sig=2");
    assert_eq!(heard(question, 307, &[again]).plan, SERVED);
}

#[test]
fn media_at_the_same_path_of_another_host_is_not_stored() {
    let mirror: &'static str = format!("https://mirror.example.com{LEGACY}").leak();
    let question = asked_again(missed(get(LEGACY, LEASED)), 302, &[(LOCATION, mirror)]);
    let told = heard(question, 200, &[LENGTH, PNG, INLINE, TAG]);
    assert!(is_kept(&told) && told.leases == LeaseChange::Unchanged, "{told:?}");
    assert_eq!(told.plan, relayed(BodySlice::Whole, NoStoreReason::SamePath));
}

#[test]
fn media_from_a_redirect_brings_no_policy() {
    let question = asked_again(missed(get(CLIENT, STRICT)), 307, &[(LOCATION, FAR)]);
    let weak = (CONTENT_SECURITY_POLICY, "script-src *");
    let told = heard(question, 200, &[LENGTH, PNG, TAG, weak]);
    let policy = told.head.headers[CONTENT_SECURITY_POLICY].to_str().expect("ASCII");
    assert!(policy.starts_with("sandbox;"), "{policy}");
    let ResponsePlan::FillCache { meta, .. } = told.plan else { panic!("{:?}", told.plan) };
    assert!(!meta.headers().contains_key(CONTENT_SECURITY_POLICY));
}

#[test]
fn a_stale_response_is_served_only_after_a_failed_probe() {
    let lately = confirmed(NOW - 120, NOW - 120);
    let suspected = |answer| {
        let question = validating(get(CLIENT, STALE), lately);
        match question.pending.on_origin(answer, NOW) {
            AfterOrigin::CheckOutage(suspicion) => suspicion,
            other => panic!("{other:?}"),
        }
    };
    let failed = |status| Ok(OriginAnswer::unread(origin(status, &[])));
    for (answer, status) in [
        (failed(500), 502),
        (failed(504), 504),
        (Err(OriginError::Unreachable), 502),
        (Err(OriginError::TimedOut), 504),
    ] {
        let told = suspected(answer.clone()).on_probe(false, lately, NOW);
        assert_eq!(told.head.status.as_u16(), status);
        let told = suspected(answer).on_probe(true, lately, NOW);
        assert_eq!(told.plan, SERVED);
    }
    let late = suspected(failed(500)).on_probe(true, lately, NOW + 600);
    assert_eq!(late.head.status.as_u16(), 502, "the window has ended meanwhile");
    let refused = suspected(failed(500)).on_probe(true, Leases::default(), NOW);
    assert_eq!(refused.head.status.as_u16(), 502, "a refusal has come meanwhile");
}

#[test]
fn the_homeservers_own_answers_alone_show_that_it_is_up() {
    let evidence = |question: OriginExchange, answer| question.pending.evidence(&Ok(answer));
    let unread = |status, fields| OriginAnswer::unread(origin(status, fields));
    let ask = || validating(get(CLIENT, STALE), Leases::default());
    let error = OriginAnswer {
        head: origin(404, &[]),
        text: Some(r#"{"errcode":"M_NOT_FOUND"}"#.to_owned()),
    };
    assert_eq!(evidence(ask(), unread(304, &[])), Evidence::Up);
    assert_eq!(evidence(ask(), unread(200, &[PNG, INLINE])), Evidence::Up);
    assert_eq!(evidence(ask(), error), Evidence::Up);
    for status in [200, 302, 401, 404, 429, 431] {
        assert_eq!(evidence(ask(), unread(status, &[PAGE])), Evidence::Unclear, "{status}");
    }
    assert_eq!(evidence(ask(), unread(502, &[])), Evidence::Down);
    let elsewhere = asked_again(missed(get(CLIENT, STALE)), 307, &[(LOCATION, FAR)]);
    assert_eq!(evidence(elsewhere, unread(200, &[PNG, INLINE])), Evidence::Unclear);
}

#[test]
fn a_refusal_has_no_cache_status() {
    for question in
        [missed(get(CLIENT, STRICT)), validating(get(CLIENT, STRICT), Leases::default())]
    {
        let told = refused(question, 401, "M_UNKNOWN_TOKEN");
        assert!(!told.head.headers.contains_key("cache-status"), "{:?}", told.head);
        assert!(told.head.cache_status.is_some(), "the log is told");
    }
}

#[test]
fn cors_is_for_clients_and_not_for_servers() {
    for (target, expected) in [(CLIENT, true), (LEGACY, true), (SERVER, false)] {
        let told = refused(missed(get(target, STRICT)), 404, "M_NOT_FOUND");
        let has_cors = told.head.headers.contains_key("access-control-allow-origin");
        assert_eq!(has_cors, expected, "{target}");
    }
}

#[test]
fn media_that_cannot_be_revalidated_is_stored_only_for_leases() {
    let on_behalf = format!("{CLIENT}?user_id=@b:example.com");
    for (target, vars, expected) in [
        (CLIENT, LEASED, true),
        (CLIENT, STRICT, false),
        (CLIENT, STALE, false),
        (on_behalf.as_str(), LEASED, false),
    ] {
        let known = knowing(Door::Client, &[GUESS_FAILS, HEAD_FAILS]);
        let question = missed(get(target, vars).knowing(known));
        let told = heard(question, 200, &[LENGTH, PNG, INLINE]);
        assert_eq!(is_stored(&told), expected, "{target} {vars:?}");
    }
}

#[test]
fn a_clients_head_for_stored_media_is_asked_by_get() {
    for (target, expected) in [(CLIENT, Method::GET), (SERVER, Method::HEAD)] {
        let question = validating(begin(Method::HEAD, target, STRICT), Leases::default());
        assert_eq!(question.request.method, expected, "{target}");
    }
}

#[test]
fn a_question_has_a_shorter_timeout_if_a_stale_response_can_be_served() {
    let lately = confirmed(NOW - 120, NOW - 120);
    let timeout = |question: OriginExchange| question.request.timeout;
    let patient = timeout(validating(get(CLIENT, STALE), Leases::default()));
    let hasty = timeout(validating(get(CLIENT, STALE), lately));
    assert!(matches!((patient, hasty), (Timeout::Ms(a), Timeout::Ms(b)) if a > b));
    let nothing_stored = asked(get(CLIENT, STALE).on_lookup(None, lately, false, NOW));
    assert_eq!(timeout(nothing_stored), patient);
}

#[test]
fn a_page_in_place_of_whoami_leads_to_a_question_for_the_media() {
    let asking = || {
        let exchange = get(CLIENT, LEASED).knowing(knowing(Door::Client, &[GUESS_FAILS]));
        let unvalidated = stored(&exchange, &[PNG, INLINE]);
        let leases = Leases { media: Some(NOW - 10), ..Leases::default() };
        asked(exchange.on_lookup(Some(unvalidated), leases, false, NOW))
    };
    for (status, text) in
        [(200, None), (200, Some("<html>")), (200, Some("{}")), (401, None), (403, Some("No"))]
    {
        let text = text.map(str::to_owned);
        let answer = OriginAnswer { head: origin(status, &[PAGE]), text };
        let AfterOrigin::AskAgain(question) = asking().pending.on_origin(Ok(answer), NOW) else {
            panic!("{status} counts")
        };
        assert!(question.request.url.ends_with(CLIENT), "{}", question.request.url);
    }
    let text = Some(r#"{"user_id":"@a:example.com"}"#.to_owned());
    let told = answered(asking(), OriginAnswer { head: origin(200, &[]), text });
    assert_eq!(told.leases, LeaseChange::GrantCredential { asked_unix_secs: NOW });
    assert_eq!(told.plan, SERVED);
}

#[test]
fn a_refusal_of_whoami_is_final() {
    for status in [401, 403] {
        let exchange = get(CLIENT, LEASED).knowing(knowing(Door::Client, &[GUESS_FAILS]));
        let unvalidated = stored(&exchange, &[]);
        let leases = Leases { media: Some(NOW - 10), ..Leases::default() };
        let question = asked(exchange.on_lookup(Some(unvalidated), leases, false, NOW));
        assert!(question.request.url.ends_with("/whoami"));
        let told = refused(question, status, "M_UNKNOWN_TOKEN");
        assert_eq!(told.head.status.as_u16(), status);
    }
}

/// Whoever asks by GET gets the error whole, and learns nothing of what is stored.
#[test]
fn an_error_to_the_edges_own_head_is_asked_for_by_get() {
    let json = (CONTENT_TYPE, "application/json");
    for status in [401, 404, 500, 503] {
        let exchange = get(CLIENT, STRICT).knowing(knowing(Door::Client, &[GUESS_FAILS]));
        let question = asked_untold(exchange, Leases::default());
        assert_eq!(question.request.method, Method::HEAD);
        let again = asked_again(question, status, std::slice::from_ref(&json));
        assert_eq!(again.request.method, Method::GET, "{status}");
    }
}

#[test]
fn an_unrequested_206_or_304_is_a_502() {
    for status in [206, 304] {
        let told = heard(missed(get(CLIENT, STRICT)), status, &[LENGTH]);
        assert_eq!(told.head.status, StatusCode::BAD_GATEWAY, "{status}");
    }
}

#[test]
fn a_lease_record_that_is_old_is_renewed() {
    let (old, young) = (NOW - 50, NOW - 5);
    let renewed = |leases: Leases| {
        let exchange = get(CLIENT, LEASED).knowing(knowing(Door::Client, &[GUESS_FAILS]));
        let keys = exchange.lease_keys.clone().expect("it may be leased");
        let stored = stored(&exchange, &[TAG]);
        match exchange.on_lookup(Some(stored), leases, false, NOW) {
            AfterLookup::Serve(_, refresh) => {
                let key = refresh.map(|refresh| refresh.key);
                (key == keys.credential && key.is_some(), key == Some(keys.media))
            }
            AfterLookup::AskOrigin(question) => panic!("{:?}", question.request),
        }
    };
    assert_eq!(renewed(confirmed(young, young)), (false, false));
    assert_eq!(renewed(confirmed(young, old)), (false, true));
    assert_eq!(renewed(confirmed(old, young)), (true, false));
    assert_eq!(renewed(confirmed(old, old)), (true, false));
}

/// What `whoami` grants is the credential's, and a media may have been deleted since.
#[test]
fn an_old_grant_about_a_media_is_renewed_by_a_question_about_the_media() {
    const WATCHED: &[(&str, &str)] = &[
        ("LEASE_SECONDS", "60"),
        ("MEDIA_LEASE_SECONDS", "259200"),
        ("SYNAPSE_ADMIN_TOKEN", "syt_admin_0123456789"),
    ];
    let exchange = get(CLIENT, WATCHED).knowing(knowing(Door::Client, &[GUESS_FAILS]));
    let stamp = Stamp::complete(Some(Stamp::complete(None, NOW - 86_400)), NOW - 10);
    let watch = MediaWatch { stamp: Some(stamp), gone_unix_secs: None };
    let leases = Leases { watch, ..confirmed(NOW - 5, NOW - 7_200) };
    let stored = stored(&exchange, &[PNG, INLINE]);
    let AfterLookup::Serve(_, refresh) = exchange.on_lookup(Some(stored), leases, false, NOW)
    else {
        panic!("the list is up to date")
    };
    let question = refresh.expect("the grant is two hours old").question;
    assert!(question.request.url.ends_with(CLIENT), "{}", question.request.url);
}

#[test]
fn a_redirect_grants_nothing() {
    let question = asked_again(missed(get(CLIENT, LEASED)), 307, &[(LOCATION, FAR)]);
    let told = heard(question, 200, &[LENGTH, PNG, INLINE]);
    assert_eq!(told.leases, LeaseChange::Unchanged);
}

#[test]
fn warming_asks_with_the_uploaders_credential_alone() {
    let upload = |credential| RequestHead {
        method: Method::POST,
        scheme: "https".to_owned(),
        authority: "media.example.com".to_owned(),
        target: Target::new("/_matrix/media/v3/upload?filename=a"),
        headers: headers(&[(AUTHORIZATION, credential), (CONTENT_LENGTH, "40")]),
    };
    let mxc = || Mxc::parse("mxc://example.com/abc").unwrap();
    let config = || Rc::new(config(LEASED).expect("the variables are good"));
    let warming =
        Exchange::for_warming(config(), &upload("Bearer syt_a"), mxc(), Revalidation::NEW, NOW)
            .unwrap();
    let usual = get(CLIENT, LEASED);
    let media_lease = |keys: Option<&LeaseKeys>| keys.map(|keys| keys.media.clone());
    assert_eq!(&warming.key, usual.key());
    assert_eq!(media_lease(warming.lease_keys.as_ref()), media_lease(usual.lease_keys()));
    let (request, usual) = (warming.question.request, missed(usual).request);
    assert_eq!((&request.method, &request.url), (&Method::GET, &usual.url));
    assert_eq!(request.set, usual.set, "nothing of the upload's but the credential");
    assert!(
        Exchange::for_warming(config(), &upload("Basic YTpi"), mxc(), Revalidation::NEW, NOW)
            .is_none()
    );
}

#[test]
fn media_after_a_late_redirect_is_new_and_dated_by_its_first_question() {
    let question = missed(get(CLIENT, STRICT));
    let redirect = OriginAnswer::unread(origin(307, &[(LOCATION, FAR)]));
    let AfterOrigin::AskAgain(question) = question.pending.on_origin(Ok(redirect), NOW + 80) else {
        panic!("it is followed")
    };
    let media = OriginAnswer::unread(origin(200, &[LENGTH, PNG, TAG]));
    let AfterOrigin::Respond(told) = question.pending.on_origin(Ok(media), NOW + 160) else {
        panic!("it is answered")
    };
    let ResponsePlan::FillCache { meta, .. } = told.plan else { panic!("{:?}", told.plan) };
    assert_eq!((meta.stored_unix_secs(), meta.is_new(NOW + 200)), (NOW, true));
}

/// What is known after these answers at a door.
fn knowing(door: Door, lessons: &[(RevalidateBy, bool)]) -> Revalidation {
    let mut known = Revalidation::NEW;
    for &(by, works) in lessons {
        known.learn(Lesson { door, by, works }, NOW);
    }
    known
}

/// Asks about what is stored without a validator.
fn asked_untold(exchange: Exchange, leases: Leases) -> OriginExchange {
    let stored = stored(&exchange, &[PNG, INLINE]);
    asked(exchange.on_lookup(Some(stored), leases, false, NOW))
}

fn lesson(
    question: &OriginExchange,
    status: u16,
    fields: &[(HeaderName, &'static str)],
) -> Option<Lesson> {
    question.pending.lesson(&Ok(OriginAnswer::unread(origin(status, fields))))
}

const GUESS_FAILS: (RevalidateBy, bool) = (RevalidateBy::GuessedValidator, false);
const HEAD_FAILS: (RevalidateBy, bool) = (RevalidateBy::Head, false);

#[test]
fn synapses_tag_is_guessed_if_none_was_sent() {
    for target in [CLIENT, LEGACY, SERVER] {
        let question = asked_untold(get(target, STRICT), Leases::default());
        assert_eq!(question.request.set["if-none-match"], "1", "{target}");
        let told = heard(question, 304, &[]);
        assert!(told.plan.has_body(), "{target}");
    }
}

#[test]
fn the_result_of_a_guess_is_learned() {
    let question = || asked_untold(get(CLIENT, STRICT), Leases::default());
    let by = RevalidateBy::GuessedValidator;
    let found = |works| Some(Lesson { door: Door::Client, by, works });
    assert_eq!(lesson(&question(), 304, &[]), found(true));
    assert_eq!(lesson(&question(), 200, &[LENGTH, PNG, INLINE]), found(false));
    assert_eq!(lesson(&question(), 200, &[PNG, INLINE]), found(false), "no length");
    assert_eq!(lesson(&question(), 200, &[LENGTH, PAGE]), None, "a page");
    assert_eq!(lesson(&question(), 200, &[(CONTENT_LENGTH, "41"), PNG, INLINE]), None, "another");
    assert_eq!(lesson(&question(), 401, &[]), None);
}

#[test]
fn a_revalidation_is_counted_by_whether_it_brought_the_body() {
    let revalidated = |question: &OriginExchange, status, fields: &[_]| {
        question.pending.revalidated(&Ok(OriginAnswer::unread(origin(status, fields))))
    };
    let guess = || asked_untold(get(CLIENT, STRICT), Leases::default());
    let media = [LENGTH, PNG, INLINE];
    assert_eq!(revalidated(&guess(), 304, &[]), Some(Revalidated::WithoutBody));
    assert_eq!(revalidated(&guess(), 200, &media), Some(Revalidated::WithBody));
    assert_eq!(revalidated(&guess(), 200, &[LENGTH, PNG]), None, "not the homeserver's");
    assert_eq!(revalidated(&guess(), 401, &[]), None);
    assert_eq!(revalidated(&missed(get(CLIENT, STRICT)), 200, &media), None, "nothing is stored");
    let exchange = get(CLIENT, STRICT).knowing(knowing(Door::Client, &[GUESS_FAILS]));
    let by_head = asked_untold(exchange, Leases::default());
    assert_eq!(revalidated(&by_head, 200, &media), Some(Revalidated::WithoutBody));
    assert_eq!(revalidated(&by_head, 200, &[LENGTH, PAGE]), None);
    let after_head = asked_again(by_head, 405, &[]);
    assert_eq!(revalidated(&after_head, 200, &media), Some(Revalidated::WithBody));
}

#[test]
fn a_sent_tag_fails_only_if_the_stored_bytes_come_again() {
    let question = || validating(get(CLIENT, STRICT), Leases::default());
    let by = RevalidateBy::ToldValidator;
    let fails = Some(Lesson { door: Door::Client, by, works: false });
    assert_eq!(lesson(&question(), 200, &[LENGTH, PNG, INLINE, TAG]), fails);
    assert_eq!(lesson(&question(), 200, &[LENGTH, PNG, INLINE, (ETAG, "2")]), None, "new bytes");
}

#[test]
fn a_head_that_matches_the_stored_media_serves_and_grants() {
    let exchange = get(CLIENT, LEASED).knowing(knowing(Door::Client, &[GUESS_FAILS]));
    let question = asked_untold(exchange, Leases::default());
    assert_eq!(question.request.method, Method::HEAD);
    let fields = [LENGTH, PNG, INLINE];
    let works = Lesson { door: Door::Client, by: RevalidateBy::Head, works: true };
    assert_eq!(lesson(&question, 200, &fields), Some(works));
    let told = heard(question, 200, &fields);
    assert_eq!((told.plan, told.leases), (SERVED, LeaseChange::Grant { asked_unix_secs: NOW }));
}

#[test]
fn a_head_that_does_not_match_leads_to_an_unconditional_get() {
    for (status, fields) in [
        (200, &[(CONTENT_LENGTH, "41"), PNG, INLINE][..]),
        (200, &[LENGTH, (CONTENT_TYPE, "image/gif"), INLINE]),
        (200, &[LENGTH, PNG]),
        (200, &[PNG, INLINE]),
        (404, &[(CONTENT_TYPE, "application/json")]),
        (302, &[(LOCATION, FAR)]),
    ] {
        let exchange = get(CLIENT, STRICT).knowing(knowing(Door::Client, &[GUESS_FAILS]));
        let question = asked_untold(exchange, Leases::default());
        let again = asked_again(question, status, fields);
        assert_eq!(again.request.method, Method::GET, "{status}");
        assert!(!again.request.set.contains_key("if-none-match"), "{status}");
    }
}

#[test]
fn a_head_that_was_refused_though_a_get_is_granted_fails() {
    let exchange = get(CLIENT, STRICT).knowing(knowing(Door::Client, &[GUESS_FAILS]));
    let question = asked_untold(exchange, Leases::default());
    let again = asked_again(question, 405, &[(CONTENT_TYPE, "application/json")]);
    let fails = Lesson { door: Door::Client, by: RevalidateBy::Head, works: false };
    assert_eq!(lesson(&again, 200, &[LENGTH, PNG, INLINE]), Some(fails));
    assert_eq!(lesson(&again, 404, &[]), None);
}

#[test]
fn media_that_could_only_be_fetched_again_is_not_stored() {
    let known = knowing(Door::Client, &[GUESS_FAILS, HEAD_FAILS]);
    let fields = [LENGTH, PNG, INLINE];
    let told = heard(missed(get(CLIENT, STRICT).knowing(known)), 200, &fields);
    assert!(!is_stored(&told));
    let another_door = get(LEGACY, STRICT).knowing(known);
    assert!(is_stored(&heard(missed(another_door), 200, &fields)));
}

#[test]
fn whoami_is_asked_where_a_guess_has_brought_the_body() {
    let leases = confirmed(NOW - 90, NOW - 5);
    let question = asked_untold(get(CLIENT, LEASED), leases);
    assert_eq!(question.request.set["if-none-match"], "1");
    let known = knowing(Door::Client, &[GUESS_FAILS]);
    let question = asked_untold(get(CLIENT, LEASED).knowing(known), leases);
    assert!(question.request.url.ends_with("/whoami"));
}

#[test]
fn a_redirect_on_the_homeservers_own_host_carries_its_headers_and_no_credential() {
    for (location, is_for_homeserver) in [
        ("https://origin.example.com/_matrix/elsewhere", true),
        ("../../../../../signed/elsewhere", true),
        ("/_synapse/media/elsewhere", true),
        ("https://origin.example.com/elsewhere", false),
        ("/_synapse/admin/elsewhere", false),
    ] {
        let again = asked_again(missed(get(CLIENT, STRICT)), 307, &[(LOCATION, location)]);
        assert_eq!(again.request.is_for_homeserver, is_for_homeserver, "{location}");
        assert!(!again.request.set.contains_key(AUTHORIZATION));
    }
}

#[test]
fn a_redirect_to_an_unlisted_host_is_reported_to_the_admin() {
    let question = missed(get(CLIENT, STRICT));
    let host = |fields: &[(HeaderName, &'static str)]| {
        question.pending.refused_redirect_host(&Ok(OriginAnswer::unread(origin(307, fields))))
    };
    let far = "https://cdn.example.org/abc";
    assert_eq!(host(&[(LOCATION, far)]).as_deref(), Some("cdn.example.org"));
    assert_eq!(host(&[(LOCATION, FAR)]), None);
    assert_eq!(host(&[(LOCATION, "/elsewhere")]), None);
    assert_eq!(host(&[(LOCATION, "https://a.cloudflareaccess.com/")]), None);
    assert_eq!(host(&[]), None);
}

const PART: (HeaderName, &str) = (CONTENT_RANGE, "bytes 10-19/40");
const TEN: (HeaderName, &str) = (CONTENT_LENGTH, "10");

/// Asks for ten bytes of what is not stored, of hosts of which nothing is known.
fn missed_part(method: Method, target: &str) -> OriginExchange {
    let exchange = begin_with(method, target, LEASED, &[(RANGE, "bytes=10-19")]);
    missed(exchange.with_ranges(Rc::default()))
}

fn asked_range(question: &OriginExchange) -> Option<&str> {
    question.request.set.get(RANGE).map(|range| range.to_str().expect("it is text"))
}

#[test]
fn a_range_of_unstored_media_is_asked_of_the_homeserver() {
    for target in [CLIENT, LEGACY] {
        assert_eq!(asked_range(&missed_part(Method::GET, target)), Some("bytes=10-19"), "{target}");
    }
    assert_eq!(asked_range(&missed_part(Method::GET, SERVER)), None, "envelopes have no parts");
    assert_eq!(asked_range(&missed_part(Method::HEAD, CLIENT)), None);
    let exchange = begin_with(Method::GET, CLIENT, LEASED, &[(RANGE, "bytes=10-19")]);
    let question = validating(exchange.with_ranges(Rc::default()), Leases::default());
    assert_eq!(asked_range(&question), None, "it is cut from what is stored");
}

#[test]
fn a_host_that_ignores_ranges_is_asked_for_the_whole() {
    let mut hosts = RangeHosts::new();
    let host = "origin.example.com".to_owned();
    hosts.learn(RangeLesson { host, serves: false, is_proven: true }, NOW);
    let exchange = begin_with(Method::GET, CLIENT, LEASED, &[(RANGE, "bytes=10-19")]);
    let exchange = exchange.with_ranges(Rc::new(hosts));
    assert!(exchange.waits_for_whole(NOW));
    assert_eq!(asked_range(&missed(exchange)), None);
}

/// Hears a 206 with these headers.
fn heard_part(fields: &[(HeaderName, &'static str)]) -> AfterOrigin {
    let answer = OriginAnswer::unread(origin(206, fields));
    missed_part(Method::GET, CLIENT).pending.on_origin(Ok(answer), NOW)
}

#[test]
fn a_range_is_relayed_and_grants_nothing() {
    let AfterOrigin::RespondPart(outcome, whole) = heard_part(&[PART, TEN, PNG, INLINE, TAG])
    else {
        panic!("it fits")
    };
    assert_eq!(outcome.plan, ResponsePlan::RelayPart);
    assert_eq!(
        (outcome.head.status, outcome.leases),
        (StatusCode::PARTIAL_CONTENT, LeaseChange::Unchanged)
    );
    assert_eq!(outcome.head.headers[CONTENT_RANGE], "bytes 10-19/40");
    assert_eq!(outcome.head.headers[CONTENT_LENGTH], "10");
    let whole = whole.expect("the whole could be stored");
    assert_eq!((whole.length_bytes, asked_range(&whole.question)), (BYTES, None));
    let filled = heard(whole.question, 200, &[LENGTH, PNG, INLINE, TAG]);
    assert!(is_stored(&filled) && matches!(filled.leases, LeaseChange::Grant { .. }));
}

#[test]
fn the_whole_is_not_asked_for_if_it_could_not_be_stored() {
    for fields in [&[PART, TEN, PNG, INLINE, TAG, PRIVATE][..], &[PART, TEN, PNG]] {
        let AfterOrigin::RespondPart(outcome, whole) = heard_part(fields) else {
            panic!("it fits")
        };
        assert_eq!(outcome.plan, ResponsePlan::RelayPart);
        assert!(whole.is_none(), "{fields:?}");
    }
}

#[test]
fn a_206_that_does_not_fit_its_range_is_asked_for_whole() {
    for fields in [
        &[TEN, PNG, INLINE, TAG][..],
        &[(CONTENT_RANGE, "bytes 0-9/40"), TEN, PNG, INLINE, TAG],
        &[(CONTENT_RANGE, "bytes 10-19/*"), TEN, PNG, INLINE, TAG],
        &[PART, LENGTH, PNG, INLINE, TAG],
        &[PART, PNG, INLINE, TAG],
        &[PART, TEN, (CONTENT_ENCODING, "gzip"), PNG, INLINE, TAG],
    ] {
        let AfterOrigin::AskAgain(question) = heard_part(fields) else { panic!("{fields:?}") };
        assert_eq!(asked_range(&question), None);
    }
}

#[test]
fn an_unrequested_206_is_an_error() {
    let told = heard(missed(get(CLIENT, LEASED)), 206, &[PART, PNG, INLINE, TAG]);
    assert_eq!(told.head.status, StatusCode::BAD_GATEWAY);
}

#[test]
fn stored_media_was_asked_for_without_a_range() {
    let fields = [LENGTH, PNG, INLINE, TAG];
    let question = asked_again(missed_part(Method::GET, CLIENT), 200, &fields);
    assert_eq!(asked_range(&question), None);
    assert!(is_stored(&heard(question, 200, &fields)));
}

#[test]
fn a_refusal_of_the_range_alone_is_asked_for_whole() {
    for (status, field) in [(416, PART), (416, PAGE), (403, PAGE), (400, PAGE)] {
        let question = asked_again(missed_part(Method::GET, CLIENT), status, &[field]);
        assert_eq!(asked_range(&question), None, "{status}");
    }
    let told = refused(missed_part(Method::GET, CLIENT), 404, "M_NOT_FOUND");
    assert_eq!(told.head.status, StatusCode::NOT_FOUND, "the homeserver's word is about media");
}

#[test]
fn a_range_is_asked_of_a_redirects_target() {
    let question = asked_again(missed_part(Method::GET, CLIENT), 302, &[(LOCATION, FAR)]);
    assert_eq!(asked_range(&question), Some("bytes=10-19"));
    assert_eq!(question.request.set.get(AUTHORIZATION), None);
    let answer = OriginAnswer::unread(origin(206, &[PART, TEN, PNG, INLINE]));
    let lesson = question.pending.range_lesson(&Ok(answer.clone()));
    let host = "cdn.example.com".to_owned();
    assert_eq!(lesson, Some(RangeLesson { host, serves: true, is_proven: true }));
    let AfterOrigin::RespondPart(outcome, _) = question.pending.on_origin(Ok(answer), NOW) else {
        panic!("it fits")
    };
    assert_eq!(outcome.plan, ResponsePlan::RelayPart);
}

#[test]
fn a_hosts_range_support_is_learned_from_its_answer() {
    let lesson = |status, fields: &[_]| {
        let answer = OriginAnswer::unread(origin(status, fields));
        let lesson = missed_part(Method::GET, CLIENT).pending.range_lesson(&Ok(answer));
        lesson.map(|lesson| lesson.serves)
    };
    assert_eq!(lesson(206, &[PART, TEN, PNG]), Some(true));
    assert_eq!(lesson(206, &[(CONTENT_RANGE, "bytes 0-9/40"), TEN, PNG]), Some(false));
    assert_eq!(lesson(200, &[LENGTH, PNG, INLINE]), Some(false));
    assert_eq!(lesson(200, &[LENGTH, PAGE]), None, "a page in the homeserver's place");
    assert_eq!(lesson(200, &[(CONTENT_LENGTH, "0"), PNG, INLINE]), None, "it has no part");
    assert_eq!(lesson(403, &[PAGE]), None);
}
