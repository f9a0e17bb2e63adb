//! What a confirmation may change of the stored response that it confirms.
//!
//! A 304, or the answer to a HEAD, may have been changed on its way: a proxy that compresses adds
//! `Content-Encoding: gzip` for a body that it never sent, a file server sets a type of its own.
//! RFC 9111 §4.3.4 has a cache update the stored header fields from it, and §3.2 exempts those that
//! a cache depends on for the stored bytes. All of RFC 9110 §8 and §14 is about those bytes, or
//! about which part of them came. So they stay as they were stored. The fields that are freshened
//! are listed here; a confirmation sets no other, such as `Location`, `Retry-After` or a challenge.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, AGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, DATE, EXPIRES,
    HeaderMap, HeaderName, LINK, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};

use crate::headers::{CORP, X_CSP};

/// The fields that belong to an exchange, or to a resource whatever its bytes are.
pub static FRESHENED: [HeaderName; 18] = [
    // Reuse: RFC 9111 §5.1 to §5.3, RFC 9110 §6.6.1 and §12.5.5.
    AGE,
    CACHE_CONTROL,
    DATE,
    EXPIRES,
    VARY,
    // Who may use it, and what it may do where it is shown.
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    CONTENT_SECURITY_POLICY,
    X_CSP,
    CORP,
    REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
    HeaderName::from_static("x-robots-tag"),
    // The endpoint (RFC 9745 §2, with the links of RFC 8288 that explain it), and the request.
    HeaderName::from_static("deprecation"),
    LINK,
    HeaderName::from_static("synapse-trace-id"),
];

/// Freshens the head of a stored response by the head of the answer that confirmed it.
pub fn freshen(stored: &mut HeaderMap, confirmation: &HeaderMap) {
    for name in &FRESHENED {
        if confirmation.contains_key(name) {
            stored.remove(name);
            for value in confirmation.get_all(name) {
                stored.append(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn freshened(confirmation: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut stored = headers(&[
            ("content-type", "image/png"),
            ("content-length", "5"),
            ("cache-control", "private"),
        ]);
        freshen(&mut stored, &headers(confirmation));
        stored
    }

    #[test]
    fn a_confirmation_changes_no_header_that_describes_the_stored_bytes() {
        for name in [
            "content-type",
            "content-encoding",
            "content-language",
            "content-range",
            "content-length",
            "content-disposition",
            "content-location",
            "content-digest",
            "repr-digest",
            "last-modified",
            "accept-ranges",
            "etag",
            "transfer-encoding",
        ] {
            let changed = freshened(&[(name, "changed")]);
            assert_eq!(changed, freshened(&[]), "{name}");
        }
    }

    #[test]
    fn a_confirmation_changes_no_unlisted_header() {
        for name in ["location", "retry-after", "www-authenticate", "set-cookie", "x-unknown"] {
            assert_eq!(freshened(&[(name, "changed")]), freshened(&[]), "{name}");
        }
    }

    #[test]
    fn a_confirmation_freshens_what_belongs_to_the_exchange() {
        let fields = [("cache-control", "no-cache"), ("date", "now"), ("synapse-trace-id", "a")];
        let freshened = freshened(&fields);
        for (name, value) in fields {
            assert_eq!(freshened[name], value);
        }
        assert_eq!(freshened["content-type"], "image/png");
    }

    #[test]
    fn repeated_fields_are_freshened_whole() {
        let freshened = freshened(&[("cache-control", "no-cache"), ("cache-control", "max-age=5")]);
        let values: Vec<_> = freshened.get_all(CACHE_CONTROL).iter().collect();
        assert_eq!(values, ["no-cache", "max-age=5"]);
    }
}
