//! The headers that the edge adds to a request to the origin: who is connecting, and that the
//! request has passed the edge.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use crate::config::{Config, OriginHeader};
use crate::headers::{CONNECTING_IP, LOOP, own_value};
use crate::message::RequestHead;
use crate::origin::client_headers::tells_who_connects;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The edge's own `User-Agent`. Some bot walls refuse requests without one.
const OWN_AGENT: &str = "matrix-media-edge";

/// How much of a reader's `User-Agent` goes along, in visible characters: enough for what
/// homeservers show in their lists of sessions.
const MAX_AGENT_BYTES: usize = 256;

/// Returns the headers of every request to a server of the admin's: the client's address, and that
/// the edge asks. The scheme is always `https`: the answer to one reader must not depend on how
/// another one came.
pub fn forwarding_headers(head: &RequestHead, config: &Config) -> HeaderMap {
    let mut headers = loop_header(config);
    // Set, not appended: Synapse believes the first address of the first header.
    if let Some(address) = head.headers.get(CONNECTING_IP) {
        headers.insert(FORWARDED_FOR, address.clone());
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
    headers
}

/// Returns the headers of every request to the homeserver, whoever asks: first the host that
/// clients know, where the edge reaches the homeserver by another name, since some homeservers
/// choose by that host what they serve; then `ORIGIN_HEADERS`, which may replace it. Never the
/// `Host` of a request: the answer to one client must not depend on how another one came.
pub fn homeserver_headers(config: &Config) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if config.has_own_origin() {
        headers.insert(FORWARDED_HOST, own_value(config.public.authority()));
    }
    for OriginHeader { name, value } in &config.origin_headers {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// Returns [`forwarding_headers`] for a request that passes through, with the scheme by which the
/// client came.
pub fn passthrough_headers(head: &RequestHead, config: &Config) -> HeaderMap {
    let mut headers = forwarding_headers(head, config);
    headers.insert(FORWARDED_PROTO, own_value(&head.scheme));
    headers
}

/// Adds the reader's `User-Agent`, bounded; the edge's own where the reader has none.
pub fn add_reader_agent(headers: &mut HeaderMap, head: &RequestHead) {
    let agent = head.headers.get(USER_AGENT).map(|value| value.as_bytes()).unwrap_or_default();
    let is_visible = |byte: &&u8| matches!(byte, b' '..=b'~');
    let bounded: Vec<u8> = agent.iter().filter(is_visible).take(MAX_AGENT_BYTES).copied().collect();
    match HeaderValue::from_bytes(bounded.trim_ascii()) {
        Ok(value) if !value.is_empty() => drop(headers.insert(USER_AGENT, value)),
        _ => add_own_agent(headers),
    }
}

/// Returns whether the field `name` (lower case) of a question about media differs between readers:
/// their credential, their `User-Agent`, and what the platform and proxies write about them. The
/// edge sends no other header of theirs.
pub fn differs_between_readers(name: &str) -> bool {
    [AUTHORIZATION, USER_AGENT].iter().any(|known| known == name) || tells_who_connects(name)
}

/// Adds the edge's own `User-Agent`.
pub fn add_own_agent(headers: &mut HeaderMap) {
    headers.insert(USER_AGENT, HeaderValue::from_static(OWN_AGENT));
}

/// Returns the one header that is sent to other servers too, by which the edge knows its own
/// request again.
pub fn loop_header(config: &Config) -> HeaderMap {
    HeaderMap::from_iter([(LOOP, own_value(config.server_name.as_str()))])
}

/// Asks for the identity coding: an encoded body has another length, and can't be sliced.
pub fn ask_for_identity(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::message::target::Target;

    fn head(headers: &[(&'static str, &'static str)]) -> RequestHead {
        RequestHead {
            method: http::Method::GET,
            scheme: "http".to_owned(),
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
    fn a_passthrough_request_alone_carries_the_clients_scheme() {
        let config = config(&[]).unwrap();
        assert_eq!(forwarding_headers(&head(&[]), &config)["x-forwarded-proto"], "https");
        assert_eq!(passthrough_headers(&head(&[]), &config)["x-forwarded-proto"], "http");
    }

    #[test]
    fn the_public_host_is_forwarded_if_the_homeserver_has_another_name() {
        let told = |vars: &[(&'static str, &str)]| {
            let headers = homeserver_headers(&config(vars).unwrap());
            headers.get("x-forwarded-host").map(|host| host.to_str().unwrap().to_owned())
        };
        let public = ("PUBLIC_URL", "https://matrix.example.com");
        assert_eq!(told(&[public]).as_deref(), Some("matrix.example.com"));
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("PUBLIC_URL", "https://origin.example.com:8448")]), None);
        let own = ("ORIGIN_HEADERS", r#"{"X-Forwarded-Host":"own.example.com"}"#);
        assert_eq!(
            told(&[public, own]).as_deref(),
            Some("own.example.com"),
            "the admin's own word"
        );
    }

    #[test]
    fn the_admins_headers_are_for_the_homeserver_alone() {
        let config = config(&[("ORIGIN_HEADERS", r#"{"X-Secret":"s"}"#)]).unwrap();
        assert_eq!(homeserver_headers(&config)["x-secret"], "s");
        for headers in [forwarding_headers(&head(&[]), &config), loop_header(&config)] {
            assert!(!headers.contains_key("x-secret"));
        }
    }

    #[test]
    fn a_user_agent_is_forwarded_up_to_a_bound() {
        let sent = |agent: &str| {
            let value = HeaderValue::from_bytes(agent.as_bytes()).unwrap();
            let mut client = head(&[]);
            client.headers.insert(USER_AGENT, value);
            let mut headers = HeaderMap::new();
            add_reader_agent(&mut headers, &client);
            headers["user-agent"].to_str().unwrap().to_owned()
        };
        assert_eq!(sent("Element/1.11 (Linux)"), "Element/1.11 (Linux)");
        assert_eq!(sent(&"x".repeat(17_000)), "x".repeat(256));
        assert_eq!(sent("a\u{e9}\tb"), "ab");
        for nobody in ["", "  ", "\u{e9}"] {
            assert_eq!(sent(nobody), "matrix-media-edge", "{nobody:?}");
        }
    }

    #[test]
    fn questions_carry_the_edges_mark() {
        let headers = forwarding_headers(&head(&[]), &config(&[]).unwrap());
        assert_eq!(headers["x-matrix-media-edge"], "example.com");
    }

    #[test]
    fn bytes_are_asked_for_unencoded() {
        let mut headers = HeaderMap::new();
        ask_for_identity(&mut headers);
        assert_eq!(headers["accept-encoding"], "identity");
    }
}
