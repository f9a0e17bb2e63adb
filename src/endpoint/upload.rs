//! `POST` of `/_matrix/media/*/upload`, `PUT` of `/_matrix/media/*/upload/{serverName}/{mediaId}`,
//! and `GET` of `config`: uploads and their limits.
//! <https://spec.matrix.org/v1.15/client-server-api/#content-repository>
//!
//! The origin stores and answers; nothing here retries or holds an upload. An upload:
//!
//! 1. Its length is checked, before a byte of it is read, against `MAX_UPLOAD_BYTES` and then
//!    against the limit that the origin told this token not long ago ([`limit_key`]): over either,
//!    413 ([`check`]).
//! 2. It is streamed to the origin. One without a length is counted on its way: over the limit, 413
//!    ([`Admission::Counted`]).
//! 3. The origin's answer is relayed with its own status. Where there is none, or an
//!    intermediary's, 502 or 504; where a proxy refuses the request's form, 400, 411, 413, 414, 415
//!    or 431 ([`crate::endpoint::forward`]).
//! 4. After a 200 to one that is not too large ([`should_prefetch`]), the media is downloaded in
//!    the background with the uploader's credential ([`prefetch_request`]), so that its first
//!    reader hits.
//!
//! A request for the limits:
//!
//! 1. It is sent to the origin, and an answer other than a 200 that can be read ([`is_readable`])
//!    is relayed with its own status. Where there is none, as in step 3 above.
//! 2. The limit in it is remembered for this token ([`advertised_limit`]).
//! 3. It is answered with 200, and with no limit above `MAX_UPLOAD_BYTES` ([`lowered`]).

use std::borrow::Cow;

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, USER_AGENT,
};
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::cache::key::{CacheKey, Subject};
use crate::config::Config;
use crate::error::Rejection;
use crate::headers::CONNECTING_IP;
use crate::matrix::access_token::TokenDigest;
use crate::matrix::credential::Credential;
use crate::matrix::ids::Mxc;
use crate::matrix::json;
use crate::matrix::media::{Door, MediaRequest, QueryClass, Representation};
use crate::message::RequestHead;
use crate::message::target::Target;
use crate::origin::OriginHead;

/// The most that is read of an answer to an upload or to a request for limits, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How long a limit that the origin told is remembered, in seconds: admins change it now and then.
pub const LIMIT_SECS: u64 = 900;

/// The most that is fetched for readers who may come, in bytes: what an uplink of 10 Mbit/s brings
/// in the 30 s that the platform leaves after the answer.
const MAX_WARM_BYTES: u64 = 32 * 1024 * 1024;

/// The member of a `config` answer that tells the limit.
const LIMIT_FIELD: &str = "m.upload.size";

/// Returns where the limit that the origin told this credential is kept; `None` where there is no
/// credential to tell users apart by.
pub fn limit_key(head: &RequestHead, config: &Config) -> Option<CacheKey> {
    match Credential::of(head) {
        Credential::Bearer(token) => {
            let digest = TokenDigest::new(config.digest_key(), &token);
            Some(CacheKey::new(&config.server_name, Subject::UploadLimit(&digest)))
        }
        Credential::Missing | Credential::Unusual => None,
    }
}

/// How an upload that may be sent keeps within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its `Content-Length` is within the limit.
    Measured {
        /// That length.
        length_bytes: u64,
    },
    /// It has no length (RFC 9112 §7.1: it comes in chunks), so its bytes are counted on their way.
    /// The homeserver decides whether a length is required.
    Counted {
        /// The most that may be sent.
        limit_bytes: u64,
    },
}

/// Checks an upload by its head, given the limit that the origin told its user. Returns how the upload
/// keeps within the smaller of that and `MAX_UPLOAD_BYTES`.
///
/// # Errors
/// [`Rejection::TooLarge`] if its length is more than may be sent.
pub fn check(
    head: &RequestHead,
    told_bytes: Option<u64>,
    config: &Config,
) -> Result<Admission, Rejection> {
    let limit_bytes =
        told_bytes.map_or(config.max_upload_bytes, |told| told.min(config.max_upload_bytes));
    let Some(length) = head.headers.get(CONTENT_LENGTH) else {
        return Ok(Admission::Counted { limit_bytes });
    };
    // A number that no integer holds is too large.
    match length.to_str().ok().and_then(|length| length.parse().ok()) {
        Some(length_bytes) if length_bytes <= limit_bytes => {
            Ok(Admission::Measured { length_bytes })
        }
        Some(_) | None => Err(Rejection::TooLarge { limit_bytes }),
    }
}

/// Returns whether an answer about limits can be read, and so lowered: a 200 that is not encoded and
/// not too long.
pub fn is_readable(origin: &OriginHead) -> bool {
    origin.status == StatusCode::OK
        && !origin.headers.contains_key(CONTENT_ENCODING)
        && origin.content_length().is_none_or(|length| length <= MAX_ANSWER_BYTES as u64)
}

/// Returns the limit that a `config` answer advertises, in bytes; `None` if it has none.
pub fn advertised_limit(answer: &str) -> Option<u64> {
    json::value(json::member(answer, LIMIT_FIELD)?.get())
}

/// Returns a `config` answer with a limit of at most `max_bytes`, all else as it was to the byte; `None`
/// if the answer may stay as it is. A missing limit means "unknown", and becomes `max_bytes`.
pub fn lowered(answer: &str, max_bytes: u64) -> Option<String> {
    let members = json::members(answer)?;
    let mut limits = members.iter().filter(|(name, _)| name == LIMIT_FIELD).peekable();
    if limits.peek().is_none() {
        let start = answer.find('{')? + 1;
        let (before, after) = answer.split_at(start);
        let comma = if members.is_empty() { "" } else { "," };
        let limit = json::write_members([(LIMIT_FIELD, max_bytes)]);
        return Some([before, &limit, comma, after].concat());
    }
    let mut text = answer.to_owned();
    let is_high = |value: &str| {
        value == "null"
            || value.bytes().all(|b| b.is_ascii_digit())
                && value.parse::<u64>().map_or(true, |told| told > max_bytes)
    };
    let high: Vec<_> = limits
        .map(|(_, value)| value.get())
        .filter(|value| is_high(value))
        .map(|value| json::position(answer, value))
        .collect();
    for range in high.iter().rev() {
        text.replace_range(range.clone(), &max_bytes.to_string());
    }
    (!high.is_empty()).then_some(text)
}

/// Parses the new media's ID in the origin's answer to an upload; `None` if it has none.
pub fn content_uri(answer: &str) -> Option<Mxc> {
    let Uploaded { content_uri } = json::object(answer)?;
    Mxc::parse(&content_uri)
}

/// What is read of an answer to an upload.
#[derive(Deserialize)]
struct Uploaded<'a> {
    #[serde(borrow)]
    content_uri: Cow<'a, str>,
}

/// Returns whether media is fetched for its first reader, right after the origin took the upload.
/// `sent_bytes` is the length of the upload; `None` where its end has not been seen.
pub fn should_prefetch(sent_bytes: Option<u64>, origin: &OriginHead, config: &Config) -> bool {
    config.warm_uploads
        && origin.status == StatusCode::OK
        && sent_bytes.is_some_and(|sent| (1..=MAX_WARM_BYTES).contains(&sent))
}

/// Returns the download that the uploader could make now: its head, which has only credential, address
/// and `User-Agent` of the upload's, and the media that it is for. `None` without a usable credential.
pub fn prefetch_request(upload: &RequestHead, mxc: Mxc) -> Option<(RequestHead, MediaRequest)> {
    let Credential::Bearer(token) = Credential::of(upload) else { return None };
    let path =
        format!("/_matrix/client/v1/media/download/{}/{}", mxc.server_name, mxc.media_id.as_str());
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&token.to_header()).ok()?);
    for name in [CONNECTING_IP, USER_AGENT] {
        if let Some(value) = upload.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let head = RequestHead {
        method: Method::GET,
        scheme: upload.scheme.clone(),
        authority: upload.authority.clone(),
        target: Target::new(&path),
        headers,
    };
    let request = MediaRequest {
        door: Door::Client,
        mxc,
        representation: Representation::Content,
        file_name: None,
        origin_path: path,
        query_class: QueryClass::Canonical,
    };
    Some((head, request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use http::HeaderName;

    fn upload(headers: &[(&'static str, &'static str)]) -> RequestHead {
        RequestHead {
            method: Method::POST,
            scheme: "https".to_owned(),
            authority: "media.example.com".to_owned(),
            target: Target::new("/_matrix/media/v3/upload"),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (HeaderName::from_static(name), HeaderValue::from_static(value))
                })
                .collect(),
        }
    }

    fn judged(length: &'static str, told_bytes: Option<u64>) -> Result<Admission, Rejection> {
        let config = config(&[("MAX_UPLOAD_BYTES", "1000")]).unwrap();
        check(&upload(&[("content-length", length)]), told_bytes, &config)
    }

    #[test]
    fn the_smaller_of_both_limits_counts() {
        for (told, limit) in [(None, 1000), (Some(2000), 1000), (Some(500), 500)] {
            let over = Err(Rejection::TooLarge { limit_bytes: limit });
            assert_eq!(judged("500", told), Ok(Admission::Measured { length_bytes: 500 }));
            assert_eq!(judged("1001", told), over);
            assert_eq!(judged("99999999999999999999999", told), over);
        }
        assert_eq!(judged("1000", None), Ok(Admission::Measured { length_bytes: 1000 }));
        assert_eq!(judged("501", Some(500)), Err(Rejection::TooLarge { limit_bytes: 500 }));
    }

    #[test]
    fn an_upload_without_a_length_is_counted_against_the_smaller_limit() {
        let config = config(&[("MAX_UPLOAD_BYTES", "1000")]).unwrap();
        for (told, limit_bytes) in [(None, 1000), (Some(2000), 1000), (Some(500), 500)] {
            let expected = Ok(Admission::Counted { limit_bytes });
            assert_eq!(check(&upload(&[]), told, &config), expected);
        }
    }

    #[test]
    fn a_length_that_can_not_be_read_is_too_large() {
        for length in ["", "-1", "5,5", "0x5"] {
            let expected = Err(Rejection::TooLarge { limit_bytes: 1000 });
            assert_eq!(judged(length, None), expected, "{length}");
        }
    }

    #[test]
    fn a_limit_is_lowered_and_all_other_bytes_stay() {
        for (answer, expected) in [
            (r#"{"m.upload.size":2000}"#, Some(r#"{"m.upload.size":1000}"#)),
            (
                r#"{ "a":1e5, "m.upload.size" : 1001 ,"b":[]}"#,
                Some(r#"{ "a":1e5, "m.upload.size" : 1000 ,"b":[]}"#),
            ),
            (r#"{"m.upload.size":99999999999999999999999}"#, Some(r#"{"m.upload.size":1000}"#)),
            (r#"{"m.upload.size":null}"#, Some(r#"{"m.upload.size":1000}"#)),
            (
                r#"{"m.upload.size":5000,"m.upload.size":1}"#,
                Some(r#"{"m.upload.size":1000,"m.upload.size":1}"#),
            ),
            (
                r#"{"m.upload.size":50000,"a":1,"m.upload.size":null,"m.upload.size":2000}"#,
                Some(r#"{"m.upload.size":1000,"a":1,"m.upload.size":1000,"m.upload.size":1000}"#),
            ),
            ("{}", Some(r#"{"m.upload.size":1000}"#)),
            (r#"{ "a":1}"#, Some(r#"{"m.upload.size":1000, "a":1}"#)),
            (r#"{"m.upload.size":1000}"#, None),
            (r#"{"m.upload.size":5}"#, None),
            (r#"{"m.upload.size":"many"}"#, None),
            (r#"{"m.upload.size":-1}"#, None),
            ("[]", None),
            ("<html>", None),
        ] {
            assert_eq!(lowered(answer, 1000).as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn an_advertised_limit_is_a_whole_number() {
        assert_eq!(advertised_limit(r#"{"m.upload.size":52428800}"#), Some(52_428_800));
        for answer in [r#"{"m.upload.size":null}"#, r#"{"m.upload.size":-1}"#, "{}", "no"] {
            assert_eq!(advertised_limit(answer), None, "{answer}");
        }
    }

    #[test]
    fn an_encoded_large_or_refused_answer_is_not_read() {
        let origin = |status, name, value| OriginHead {
            status,
            headers: HeaderMap::from_iter([(name, HeaderValue::from_static(value))]),
        };
        assert!(is_readable(&origin(StatusCode::OK, CONTENT_LENGTH, "65536")));
        assert!(!is_readable(&origin(StatusCode::OK, CONTENT_LENGTH, "65537")));
        assert!(!is_readable(&origin(StatusCode::OK, CONTENT_ENCODING, "gzip")));
        assert!(!is_readable(&origin(StatusCode::UNAUTHORIZED, CONTENT_LENGTH, "5")));
    }

    #[test]
    fn every_token_has_its_own_limit() {
        let config = config(&[]).unwrap();
        let key = |headers: &[(&'static str, &'static str)]| limit_key(&upload(headers), &config);
        assert_eq!(key(&[]), None);
        assert!(key(&[("authorization", "Bearer a")]).is_some());
        assert_ne!(key(&[("authorization", "Bearer a")]), key(&[("authorization", "Bearer b")]));
    }

    #[test]
    fn the_new_id_is_read_from_the_answer() {
        let mxc = content_uri(r#"{"content_uri":"mxc://example.com:8448/aB_-"}"#).unwrap();
        assert_eq!(mxc.server_name.as_str(), "example.com:8448");
        assert_eq!(mxc.media_id.as_str(), "aB_-");
        for answer in [
            "{}",
            r#"{"content_uri":1}"#,
            r#"{"content_uri":"https://a/b"}"#,
            r#"{"content_uri":"mxc://a/b/c"}"#,
        ] {
            assert_eq!(content_uri(answer), None, "{answer}");
        }
    }

    #[test]
    fn a_prefetch_carries_the_uploaders_credential_and_address_alone() {
        let upload = upload(&[
            ("authorization", "Bearer t"),
            ("content-length", "5"),
            ("cf-connecting-ip", "192.0.2.1"),
        ]);
        let mxc = Mxc::parse("mxc://example.com/abc").unwrap();
        let (head, request) = prefetch_request(&upload, mxc).unwrap();
        assert_eq!(head.target.as_str(), "/_matrix/client/v1/media/download/example.com/abc");
        assert_eq!(head.headers["authorization"], "Bearer t");
        assert_eq!(head.headers.len(), 2);
        assert_eq!(request.door, Door::Client);
    }

    #[test]
    fn empty_large_or_unwanted_uploads_are_not_prefetched() {
        let origin = |status| OriginHead { status, headers: HeaderMap::new() };
        let on = config(&[]).unwrap();
        let off = config(&[("WARM_UPLOADS", "false")]).unwrap();
        assert!(should_prefetch(Some(33_554_432), &origin(StatusCode::OK), &on));
        for (sent_bytes, status, config) in [
            (Some(33_554_433), StatusCode::OK, &on),
            (Some(0), StatusCode::OK, &on),
            (None, StatusCode::OK, &on),
            (Some(5), StatusCode::CREATED, &on),
            (Some(5), StatusCode::OK, &off),
        ] {
            assert!(!should_prefetch(sent_bytes, &origin(status), config));
        }
    }
}
