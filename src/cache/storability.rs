//! Whether an origin's answer may be stored (RFC 9111 §3), and if not, why not.
//!
//! Two departures, both because no stored byte is served without the homeserver's permission:
//! `private` and `Authorization` (§3.5, §5.2.2.7) do not prevent storing, and freshness (`max-age`,
//! `s-maxage`) decides nothing, since every use is validated as §5.2.2.2 demands.

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, SET_COOKIE, VARY};
use http::{HeaderValue, StatusCode};
use serde::{Serialize, Serializer};

use crate::headers::cache_control::has_directive;
use crate::headers::cookies::is_platforms;
use crate::headers::is_token_byte;
use crate::origin::OriginHead;
use crate::origin::forwarding::differs_between_readers;

/// The most that the platform's cache takes for one response: 512 MB.
const MAX_STORED_BYTES: u64 = 512_000_000;

/// Why an answer is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoStoreReason {
    /// Anything but 200.
    Status,
    /// `Cache-Control: no-store`, or unreadable.
    NoStore,
    /// It sets a cookie, and so is for one client.
    SetCookie,
    /// It varies by request headers that are not part of the key.
    Vary,
    /// It is encoded, though the edge asked for identity.
    Encoded,
    /// It is only a part of the media.
    Partial,
    /// No length to hold the body against, so a short one could pass for whole.
    NoLength,
    /// Larger than the platform's cache takes.
    TooLarge,
    /// No way of asking the origin for its word alone is left (see [`crate::origin::revalidation`]),
    /// and no lease could stand in for that.
    NoValidator,
    /// Nothing shows that the homeserver sent it (see [`crate::permission::has_mark`]).
    NoMark,
    /// It is of another kind than what is stored, and so may not take its place.
    OtherKind,
    /// A page, where a redirect led.
    Page,
    /// From another URL of media, to which an intermediary may redirect everyone.
    SamePath,
    /// A header that would have to be kept with it is too long.
    HeaderTooLong,
    /// An answer to HEAD, which has no body.
    NoBody,
    /// Asked for with a parameter that invites a redirect, while redirects are passed on.
    Parameter,
}

impl NoStoreReason {
    /// Returns the word for `Cache-Status` and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::Encoded => "encoded",
            Self::Partial => "partial",
            Self::NoLength => "no-length",
            Self::TooLarge => "too-large",
            Self::NoValidator => "no-validator",
            Self::NoMark => "no-mark",
            Self::OtherKind => "other-kind",
            Self::Page => "page",
            Self::SamePath => "same-path",
            Self::HeaderTooLong => "header-too-long",
            Self::NoBody => "no-body",
            Self::Parameter => "parameter",
        }
    }
}

impl Serialize for NoStoreReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Returns the length in bytes of a body that may be stored.
///
/// # Errors
/// The first reason not to store it.
pub fn storable_length(head: &OriginHead) -> Result<u64, NoStoreReason> {
    // RFC 9111 §3: "the response status code is final [and] understood".
    if head.status != StatusCode::OK {
        return Err(NoStoreReason::Status);
    }
    // "the no-store cache directive is not present in the response"
    for value in head.headers.get_all(CACHE_CONTROL) {
        if !value.to_str().is_ok_and(|field| !has_directive(field, "no-store")) {
            return Err(NoStoreReason::NoStore);
        }
    }
    if head.headers.get_all(SET_COOKIE).iter().any(|field| !is_platforms(field.as_bytes())) {
        return Err(NoStoreReason::SetCookie);
    }
    if head.headers.get_all(VARY).iter().any(selects_by_reader) {
        return Err(NoStoreReason::Vary);
    }
    if is_encoded(head) {
        return Err(NoStoreReason::Encoded);
    }
    if head.headers.contains_key(CONTENT_RANGE) {
        return Err(NoStoreReason::Partial);
    }
    let length = head.content_length().ok_or(NoStoreReason::NoLength)?;
    if length > MAX_STORED_BYTES {
        return Err(NoStoreReason::TooLarge);
    }
    Ok(length)
}

/// Returns whether a `Vary` field means that another reader could get another answer (RFC 9111
/// §4.1): if it names a field in which readers differ, or `*`, or can't be parsed. A field that the
/// edge never sends, or sends with one value, doesn't count.
fn selects_by_reader(field: &HeaderValue) -> bool {
    let Ok(field) = field.to_str() else { return true };
    let mut names = field.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.any(|name| {
        name == "*"
            || !name.bytes().all(is_token_byte)
            || differs_between_readers(&name.to_ascii_lowercase())
    })
}

/// Returns whether the body is encoded, though the edge asks for identity.
pub fn is_encoded(head: &OriginHead) -> bool {
    head.header(&CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue};

    /// Synapse's answer, with these headers changed; an empty value takes one away.
    fn storable(changes: &[(&'static str, &'static str)]) -> Result<u64, NoStoreReason> {
        let mut headers = HeaderMap::new();
        let synapse = [
            ("cache-control", "public,max-age=86400,s-maxage=0,proxy-revalidate"),
            ("etag", "1"),
            ("content-length", "5"),
        ];
        for (name, value) in synapse.iter().chain(changes) {
            let name = HeaderName::from_static(name);
            if value.is_empty() {
                headers.remove(name);
            } else {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        storable_length(&OriginHead { status: StatusCode::OK, headers })
    }

    #[test]
    fn synapses_media_is_storable() {
        assert_eq!(storable(&[]), Ok(5));
        assert_eq!(storable(&[("vary", "Origin, accept-encoding")]), Ok(5));
        assert_eq!(storable(&[("cache-control", "private, immutable")]), Ok(5));
        assert_eq!(storable(&[("content-encoding", "identity")]), Ok(5));
    }

    #[test]
    fn every_reason_not_to_store_is_named() {
        for (header, value, reason) in [
            ("cache-control", "no-store", NoStoreReason::NoStore),
            ("cache-control", "public, No-Store", NoStoreReason::NoStore),
            ("set-cookie", "a=b", NoStoreReason::SetCookie),
            ("vary", "*", NoStoreReason::Vary),
            ("vary", "Origin, User-Agent", NoStoreReason::Vary),
            ("content-encoding", "gzip", NoStoreReason::Encoded),
            ("content-range", "bytes 0-1/5", NoStoreReason::Partial),
            ("content-length", "", NoStoreReason::NoLength),
            ("content-length", "-1", NoStoreReason::NoLength),
            ("content-length", "512000001", NoStoreReason::TooLarge),
        ] {
            assert_eq!(storable(&[(header, value)]), Err(reason), "{header}: {value}");
        }
        assert_eq!(storable(&[("content-length", "512000000")]), Ok(512_000_000));
    }

    #[test]
    fn a_vary_on_fields_never_sent_does_not_select_by_reader() {
        for field in [
            "origin, access-control-request-method, access-control-request-headers",
            "Accept",
            "Accept-Language, Accept-Encoding",
            "Cookie",
            "Range, If-None-Match",
            "X-Requested-With",
            " , Origin ,, ",
            "",
        ] {
            let vary = HeaderValue::from_static(field);
            assert!(!selects_by_reader(&vary), "{field}");
        }
    }

    #[test]
    fn a_vary_on_fields_that_differ_by_reader_selects_by_reader() {
        for field in [
            "authorization",
            "Origin, USER-AGENT",
            "X-Forwarded-For",
            "CF-IPCountry",
            "CF-Connecting-IP",
            "True-Client-IP",
            "X-Real-IP",
            "Forwarded",
            "Via",
        ] {
            assert!(selects_by_reader(&HeaderValue::from_static(field)), "{field}");
        }
    }

    #[test]
    fn an_unreadable_vary_selects_by_reader() {
        for field in
            [&b"*"[..], b"Origin, *", b"Accept Language", b"Origin;q=1", b"caf\xe9", b"(a)"]
        {
            let vary = HeaderValue::from_bytes(field).unwrap();
            assert!(selects_by_reader(&vary), "{vary:?}");
        }
    }

    #[test]
    fn the_platforms_cookies_do_not_prevent_storing() {
        for cookie in
            ["__cf_bm=a; path=/", "_cfuvid=a", "__cflb=a; SameSite=Lax", "CF_Authorization=a"]
        {
            assert_eq!(storable(&[("set-cookie", cookie)]), Ok(5), "{cookie}");
        }
        for cookie in ["a=b; path=__cf_bm", "__cf_bmx=a", "=__cf_bm", "__CF_BM=a"] {
            let found = storable(&[("set-cookie", cookie)]);
            assert_eq!(found, Err(NoStoreReason::SetCookie), "{cookie}");
        }
    }

    #[test]
    fn a_cookie_beside_the_platforms_prevents_storing() {
        let mut headers = HeaderMap::new();
        for cookie in ["__cf_bm=a", "session=b"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        let head = OriginHead { status: StatusCode::OK, headers };
        assert_eq!(storable_length(&head), Err(NoStoreReason::SetCookie));
    }

    #[test]
    fn statuses_other_than_200_are_not_stored() {
        for status in [203, 204, 206, 304, 307, 404, 500] {
            let status = StatusCode::from_u16(status).unwrap();
            let head = OriginHead { status, headers: HeaderMap::new() };
            assert_eq!(storable_length(&head), Err(NoStoreReason::Status));
        }
    }
}
