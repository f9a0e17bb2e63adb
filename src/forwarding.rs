//! What the edge tells the origin of its own accord: who is connecting, that it passed here, and
//! what the admin adds.

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};

use crate::config::Config;
use crate::headers::{CONNECTING_IP, LOOP};
use crate::request::{RequestHead, own_value};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers of every request that goes to the homeserver: who is asking, for whom, and the admin's.
pub fn to_homeserver(head: &RequestHead, config: &Config) -> HeaderMap {
    let mut headers = to_stranger(head, config);
    for (name, value) in &config.origin_headers {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// The same for a host that is not the homeserver, and so must not see the admin's secrets.
pub fn to_stranger(head: &RequestHead, config: &Config) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Set, not appended: Synapse believes the first address of the first header.
    if let Some(address) = head.headers.get(CONNECTING_IP) {
        headers.insert(FORWARDED_FOR, address.clone());
    }
    headers.insert(FORWARDED_PROTO, own_value(&head.scheme));
    headers.insert(LOOP, own_value(config.server_name.as_str()));
    headers
}

/// Asks for the bytes as they are: an encoded body has another length, and can't be sliced.
pub fn ask_for_identity(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::target::Target;

    fn head(headers: &[(&'static str, &'static str)]) -> RequestHead {
        RequestHead {
            method: http::Method::GET,
            scheme: "https".to_owned(),
            authority: "media.example.com".to_owned(),
            target: Target::new("/"),
            headers: headers
                .iter()
                .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
                .collect(),
        }
    }

    #[test]
    fn the_connecting_address_replaces_any_claim() {
        let headers =
            to_homeserver(&head(&[("cf-connecting-ip", "203.0.113.7")]), &config(&[]).unwrap());
        assert_eq!(headers["x-forwarded-for"], "203.0.113.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
    }

    #[test]
    fn origin_headers_are_for_the_homeserver_alone() {
        let config = config(&[("ORIGIN_HEADERS", r#"{"X-Secret":"s"}"#)]).unwrap();
        assert_eq!(to_homeserver(&head(&[]), &config)["x-secret"], "s");
        assert!(!to_stranger(&head(&[]), &config).contains_key("x-secret"));
    }
}
