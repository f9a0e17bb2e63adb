//! Which headers of the origin's answer are read, and which reach clients.

use http::header::{HeaderMap, HeaderName, SET_COOKIE};

use crate::headers::CF_MITIGATED;

/// The headers of an origin's answer that decisions depend on or that reach clients.
pub static ANSWERED: [HeaderName; 33] = [
    HeaderName::from_static("accept-ranges"),
    HeaderName::from_static("access-control-allow-headers"),
    HeaderName::from_static("access-control-allow-methods"),
    HeaderName::from_static("access-control-allow-origin"),
    HeaderName::from_static("access-control-expose-headers"),
    HeaderName::from_static("age"),
    HeaderName::from_static("allow"),
    HeaderName::from_static("cache-control"),
    HeaderName::from_static("content-disposition"),
    HeaderName::from_static("content-encoding"),
    HeaderName::from_static("content-language"),
    HeaderName::from_static("content-length"),
    HeaderName::from_static("content-range"),
    HeaderName::from_static("content-security-policy"),
    HeaderName::from_static("content-type"),
    HeaderName::from_static("cross-origin-resource-policy"),
    HeaderName::from_static("date"),
    HeaderName::from_static("deprecation"),
    HeaderName::from_static("etag"),
    HeaderName::from_static("expires"),
    HeaderName::from_static("last-modified"),
    HeaderName::from_static("link"),
    HeaderName::from_static("location"),
    HeaderName::from_static("referrer-policy"),
    HeaderName::from_static("retry-after"),
    HeaderName::from_static("synapse-trace-id"),
    HeaderName::from_static("www-authenticate"),
    HeaderName::from_static("x-content-security-policy"),
    HeaderName::from_static("x-content-type-options"),
    HeaderName::from_static("x-robots-tag"),
    HeaderName::from_static("vary"),
    CF_MITIGATED,
    SET_COOKIE,
];

/// What of an origin's headers reaches the client of a media endpoint.
pub fn to_client(origin: &HeaderMap) -> HeaderMap {
    let reaches_client =
        |name: &HeaderName| ANSWERED.contains(name) && *name != SET_COOKIE && *name != CF_MITIGATED;
    origin
        .iter()
        .filter(|(name, _)| reaches_client(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn cookies_and_what_is_not_listed_reach_no_client() {
        let sent = ["content-type", "etag", "set-cookie", "cf-mitigated", "server", "x-anything"];
        let origin: HeaderMap = sent
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("a")))
            .into_iter()
            .collect();
        let reached = to_client(&origin);
        assert_eq!(reached.len(), 2);
        assert!(reached.contains_key("content-type") && reached.contains_key("etag"));
    }
}
