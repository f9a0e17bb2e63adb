//! What the edge tells the origin of its own accord: who is connecting, and that it passed here.

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};

use crate::config::Config;
use crate::headers::{CONNECTING_IP, LOOP};
use crate::request::{RequestHead, own_value};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers of every request to a server of the admin's: who is asking, and for whom.
pub fn forwarding_headers(head: &RequestHead, config: &Config) -> HeaderMap {
    let mut headers = loop_header(config);
    // Set, not appended: Synapse believes the first address of the first header.
    if let Some(address) = head.headers.get(CONNECTING_IP) {
        headers.insert(FORWARDED_FOR, address.clone());
    }
    headers.insert(FORWARDED_PROTO, own_value(&head.scheme));
    headers
}

/// All that a stranger is told, and so that we know our own request again.
pub fn loop_header(config: &Config) -> HeaderMap {
    HeaderMap::from_iter([(LOOP, own_value(config.server_name.as_str()))])
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
        let headers = forwarding_headers(
            &head(&[("cf-connecting-ip", "203.0.113.7")]),
            &config(&[]).unwrap(),
        );
        assert_eq!(headers["x-forwarded-for"], "203.0.113.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
    }

    #[test]
    fn the_origin_knows_us_again() {
        let headers = forwarding_headers(&head(&[]), &config(&[]).unwrap());
        assert_eq!(headers["x-matrix-media-edge"], "example.com");
    }

    #[test]
    fn bytes_are_asked_for_as_they_are() {
        let mut headers = HeaderMap::new();
        ask_for_identity(&mut headers);
        assert_eq!(headers["accept-encoding"], "identity");
    }
}
