//! Which headers of the origin's answer are read, and which reach clients.

use http::header::{HeaderMap, HeaderName, LOCATION, SET_COOKIE};

use crate::config::Config;
use crate::headers::{CF_MITIGATED, own_value};

/// The headers of an origin's answer that decisions depend on or that reach clients.
pub static RESPONSE_HEADERS: [HeaderName; 33] = [
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

/// Returns what of an origin's headers reaches the client of a media endpoint. A redirect to the
/// origin's own host leads to the homeserver's public one.
pub fn to_client(origin: &HeaderMap, config: &Config) -> HeaderMap {
    let reaches_client = |name: &HeaderName| {
        RESPONSE_HEADERS.contains(name) && *name != SET_COOKIE && *name != CF_MITIGATED
    };
    let mut headers: HeaderMap = origin
        .iter()
        .filter(|(name, _)| reaches_client(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let location = origin.get(LOCATION).and_then(|location| location.to_str().ok());
    if let Some(location) = location.and_then(|location| config.public_url(location)) {
        headers.insert(LOCATION, own_value(&location));
    }
    headers
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::config::tests::config;
    use crate::headers::freshening::FRESHENED;

    #[test]
    fn cookies_and_unlisted_headers_reach_no_client() {
        let sent = ["content-type", "etag", "set-cookie", "cf-mitigated", "server", "x-anything"];
        let origin: HeaderMap = sent
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("a")))
            .into_iter()
            .collect();
        let reached = to_client(&origin, &config(&[]).unwrap());
        assert_eq!(reached.len(), 2);
        assert!(reached.contains_key("content-type") && reached.contains_key("etag"));
    }

    #[test]
    fn freshened_headers_are_read() {
        for name in &FRESHENED {
            assert!(RESPONSE_HEADERS.contains(name), "{name}");
        }
    }

    #[test]
    fn a_redirect_to_the_origin_leads_clients_to_the_public_host() {
        let public = [("PUBLIC_URL", "https://matrix.example.com")];
        let location = |vars: &[(&'static str, &str)], sent: &'static str| {
            let origin = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(sent))]);
            to_client(&origin, &config(vars).unwrap())[LOCATION].to_str().unwrap().to_owned()
        };
        let origin = "https://origin.example.com/a?b";
        assert_eq!(location(&public, origin), "https://matrix.example.com/a?b");
        assert_eq!(location(&[], origin), origin);
        for other in ["https://cdn.example.com/a?b", "/a?b"] {
            assert_eq!(location(&public, other), other);
        }
    }
}
