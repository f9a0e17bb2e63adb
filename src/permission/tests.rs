use http::header::{CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::cache::entry::FetchTimes;
use crate::cache::key::{CacheKey, Subject};
use crate::matrix::ids::Mxc;
use crate::matrix::media::Representation;

const PNG: (HeaderName, &str) = (CONTENT_TYPE, "image/png");
const PAGE: (HeaderName, &str) = (CONTENT_TYPE, "text/html; charset=utf-8");
const TAG: (HeaderName, &str) = (ETAG, "1");
const DATE: (HeaderName, &str) = (LAST_MODIFIED, "Mon, 03 Mar 2025 03:03:03 GMT");
const INLINE: (HeaderName, &str) = (CONTENT_DISPOSITION, "inline");
const LENGTH: (HeaderName, &str) = (CONTENT_LENGTH, "5");

const DOORS: [Door; 2] = [Door::Client, Door::Legacy];

fn head(status: u16, fields: &[(HeaderName, &'static str)]) -> OriginHead {
    let headers: HeaderMap =
        fields.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect();
    OriginHead { status: StatusCode::from_u16(status).unwrap(), headers }
}

fn stored_with(fields: &[(HeaderName, &'static str)], validator: Option<Validator>) -> StoredMeta {
    let mxc = Mxc::parse("mxc://example.com/abc").unwrap();
    let subject = Subject::Media(&mxc, Representation::Content);
    let key = CacheKey::new(&mxc.server_name, subject);
    let head = head(200, fields);
    let validator = validator.unwrap_or_else(|| Validator::of(&head));
    let times = FetchTimes { asked_unix_secs: 0, answered_unix_secs: 0 };
    StoredMeta::new(&key, &head, validator, 5, times).unwrap()
}

fn stored(fields: &[(HeaderName, &'static str)]) -> StoredMeta {
    stored_with(fields, None)
}

fn error(status: u16, text: &str) -> OriginAnswer {
    OriginAnswer { head: head(status, &[]), text: Some(text.to_owned()) }
}

#[test]
fn a_disposition_is_the_homeservers_mark() {
    for door in DOORS {
        assert!(has_mark(&head(200, &[INLINE, PNG]), door));
        assert!(has_mark(&head(200, &[INLINE, PAGE]), door), "an upload that is a page");
    }
}

#[test]
fn a_validator_with_a_type_of_media_is_an_older_homeservers_mark() {
    for door in DOORS {
        assert!(has_mark(&head(200, &[TAG, PNG]), door));
        assert!(has_mark(&head(200, &[DATE, PNG]), door));
    }
}

#[test]
fn a_page_has_no_mark() {
    for content_type in [
        "text/html",
        "Text/HTML; charset=utf-8",
        "application/xhtml+xml",
        "application/json",
        "text/plain; charset=utf-8",
        "image/png, text/html",
        "",
    ] {
        let page = head(200, &[TAG, DATE, (CONTENT_TYPE, content_type)]);
        assert!(DOORS.iter().all(|door| !has_mark(&page, *door)), "{content_type}");
    }
    for fields in [&[PNG][..], &[TAG], &[]] {
        assert!(DOORS.iter().all(|door| !has_mark(&head(200, fields), *door)), "{fields:?}");
    }
}

#[test]
fn an_envelope_is_the_mark_of_federation_media() {
    let is_marked =
        |value| has_mark(&head(200, &[(CONTENT_TYPE, value), INLINE]), Door::Federation);
    assert!(is_marked("multipart/mixed; boundary=abc"));
    assert!(is_marked("Multipart/Mixed; charset=x; Boundary=\"a b\""));
    for value in [
        "multipart/mixed",
        "multipart/mixed; boundary=",
        "multipart/form-data; boundary=a",
        "image/png",
    ] {
        assert!(!is_marked(value), "{value}");
    }
}

#[test]
fn media_of_the_same_kind_may_replace_stored_media() {
    let may = |fields: &[_], stored: &StoredMeta| {
        let head = head(200, fields);
        may_replace(&head, &Validator::of(&head), stored)
    };
    let synapse = stored(&[TAG, PNG, INLINE]);
    assert!(may(&[TAG, PNG, INLINE], &synapse));
    assert!(may(&[PNG, INLINE], &synapse), "a proxy took the tag away");
    assert!(!may(&[DATE, PNG, INLINE], &synapse), "another kind of validator");
    assert!(!may(&[TAG, PAGE, INLINE], &synapse), "a page in place of a picture");
    assert!(!may(&[TAG, PNG], &synapse), "no disposition in place of one");
    assert!(may(&[TAG, PAGE, INLINE], &stored(&[TAG, PAGE, INLINE])), "a page in its own place");
    assert!(may(&[TAG, PNG], &stored(&[TAG, PNG])), "an older homeserver");
}

#[test]
fn media_from_a_redirect_replaces_only_its_own_kind() {
    let place = || Validator::Redirect("https://cdn.example.com/a".to_owned());
    let may = |fields: &[_], stored: &StoredMeta| may_replace(&head(200, fields), &place(), stored);
    let redirected = stored_with(&[PNG, TAG], Some(place()));
    assert!(may(&[PNG, TAG], &redirected));
    assert!(!may(&[(CONTENT_TYPE, "image/gif"), TAG], &redirected), "another type");
    assert!(!may(&[PNG, TAG], &stored(&[PNG, TAG])), "the homeserver's own");
}

#[test]
fn a_304_to_a_date_confirms_with_that_date_or_no_validator() {
    let dated = stored(&[DATE, PNG, INLINE]);
    let older = (LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT");
    for fields in [&[][..], &[DATE], &[DATE, TAG]] {
        assert!(confirms_by_condition(&head(304, fields), &dated), "{fields:?}");
    }
    for fields in [&[TAG][..], &[older.clone(), TAG], &[older]] {
        assert!(!confirms_by_condition(&head(304, fields), &dated), "{fields:?}");
    }
}

#[test]
fn a_304_to_a_tag_confirms_whatever_else_it_says() {
    for fields in [&[][..], &[TAG], &[DATE]] {
        assert!(confirms_by_condition(&head(304, fields), &stored(&[TAG, PNG, INLINE])));
    }
    assert!(confirms_by_condition(&head(304, &[]), &stored(&[PNG, INLINE])), "a guess");
}

#[test]
fn html_is_recognized_among_several_types() {
    for type_ in ["text/html", "Text/HTML;a", "image/png, text/html", "text/html;a, image/png"] {
        assert!(is_html(&head(200, &[(CONTENT_TYPE, type_)]).headers), "{type_}");
    }
    for type_ in ["image/png", "text/htmlx", "image/png;a=text/html", ""] {
        assert!(!is_html(&head(200, &[(CONTENT_TYPE, type_)]).headers), "{type_}");
    }
}

#[test]
fn a_head_confirms_with_length_type_and_mark() {
    let known = stored(&[PNG, INLINE]);
    let confirms =
        |status, fields: &[_]| confirms_by_head(&head(status, fields), &known, Door::Client);
    assert!(confirms(200, &[LENGTH, PNG, INLINE]));
    assert!(!confirms(200, &[(CONTENT_LENGTH, "6"), PNG, INLINE]));
    assert!(!confirms(200, &[LENGTH, (CONTENT_TYPE, "image/gif"), INLINE]));
    assert!(!confirms(200, &[LENGTH, PNG]));
    assert!(!confirms(200, &[PNG, INLINE]));
    assert!(!confirms(204, &[LENGTH, PNG, INLINE]));
}

#[test]
fn a_redirect_confirms_where_it_leads_to_the_same_place() {
    const FROM: &str = "https://origin.example.com/_matrix/media";
    let known =
        stored_with(&[PNG], Some(Validator::Redirect("https://cdn.example.com/a".to_owned())));
    let confirms =
        |location| confirms_by_redirect(FROM, &head(307, &[(LOCATION, location)]), &known);
    for location in
        ["https://cdn.example.com/a", "https://cdn.example.com/a?sig=2", "//cdn.example.com/a#x"]
    {
        assert!(confirms(location), "{location}");
    }
    for location in [
        "https://cdn.example.com/b",
        "https://cdn.example.com/a/login",
        "http://cdn.example.com/a",
        "https://login.example.com/a",
        "/a",
        "",
    ] {
        assert!(!confirms(location), "{location}");
    }
    let head = head(307, &[(LOCATION, "https://cdn.example.com/a")]);
    assert!(!confirms_by_redirect(FROM, &head, &stored(&[PNG, TAG])), "stored without a redirect");
}

#[test]
fn a_token_is_accepted_by_a_whoami_with_a_user_id() {
    assert!(knows_token(&error(200, r#"{"user_id":"@a:example.com","is_guest":false}"#)));
    for (status, text) in [
        (200, "{}"),
        (200, r#"{"user_id":1}"#),
        (200, r#"{"user_id":"a"}"#),
        (200, "<html>"),
        (200, r#"[{"user_id":"@a:b"}]"#),
        (401, r#"{"user_id":"@a:example.com"}"#),
    ] {
        assert!(!knows_token(&error(status, text)), "{status} {text}");
    }
    assert!(!knows_token(&OriginAnswer::unread(head(200, &[]))));
}

#[test]
fn a_refusal_is_a_matrix_error() {
    for (status, errcode, expected) in [
        (401, "M_UNKNOWN_TOKEN", Some(Refusal::Credential)),
        (403, "M_FORBIDDEN", Some(Refusal::Credential)),
        (404, "M_NOT_FOUND", Some(Refusal::Media)),
        (410, "M_UNKNOWN", Some(Refusal::Media)),
        (451, "M_UNKNOWN", Some(Refusal::Media)),
        (404, "M_UNRECOGNIZED", None),
        (400, "M_UNKNOWN", None),
        (405, "M_UNRECOGNIZED", None),
        (429, "M_LIMIT_EXCEEDED", None),
        (431, "M_UNKNOWN", None),
        (502, "M_UNKNOWN", None),
        (504, "M_NOT_YET_UPLOADED", None),
        (404, "", None),
    ] {
        let text = format!(r#"{{"errcode":"{errcode}","error":"No"}}"#);
        assert_eq!(refusal(&error(status, &text)), expected, "{status} {errcode}");
    }
}

#[test]
fn bodies_without_a_matrix_error_are_no_refusal() {
    for status in [401, 403, 404, 410, 451] {
        for text in ["", "{}", "Not Found", "<html>", r#"{"errcode":5}"#, r#"["errcode"]"#, "null"]
        {
            assert_eq!(refusal(&error(status, text)), None, "{status} {text}");
        }
        assert_eq!(refusal(&OriginAnswer::unread(head(status, &[]))), None, "{status} unread");
    }
    assert_eq!(refusal(&error(200, r#"{"errcode":"M_NOT_FOUND"}"#)), None);
}
