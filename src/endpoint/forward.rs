//! Requests that the cache has no part in: media endpoints that the origin answers every time, and
//! everything that merely passes through.

use http::StatusCode;

use crate::config::Config;
use crate::error::Rejection;
use crate::headers::cache_status::{CacheStatus, ForwardReason, Source};
use crate::headers::{add_cors, add_media_security};
use crate::matrix::media::Door;
use crate::message::{ReplyHead, RequestHead};
use crate::origin::client_headers::Keep;
use crate::origin::forwarding::{ask_for_identity, forwarding_headers, passthrough_headers};
use crate::origin::response_headers::to_client;
use crate::origin::{ORIGIN_PATIENCE, OriginError, OriginHead, OriginRequest, Patience};
use crate::route::{Endpoint, Upstream};

/// The client's media request, for the origin: same method, same target to the byte. Only a file
/// name that would lead a careless reader to another path is left out.
pub fn media_request(head: &RequestHead, config: &Config) -> OriginRequest {
    let mut set = forwarding_headers(head, config);
    ask_for_identity(&mut set);
    // The origin may answer only after the last byte of the client's body, whenever that comes.
    let patience = if head.is_read() { ORIGIN_PATIENCE } else { Patience::Client };
    OriginRequest {
        method: head.method.clone(),
        url: format!("{}{}", config.homeserver, head.target.without_hidden_name()),
        keep: Keep::Endpoint,
        set,
        is_for_homeserver: true,
        patience,
    }
}

/// The head of the origin's answer, for the client.
pub fn media_reply(endpoint: Endpoint, origin: &OriginHead) -> ReplyHead {
    let mut headers = to_client(&origin.headers);
    // Servers don't read these, and what they get is to be what the origin sent.
    if endpoint.door != Door::Federation {
        add_cors(&mut headers);
        add_media_security(&mut headers);
    }
    let mut reply = ReplyHead::new(origin.status, headers);
    reply.set_cache_status(cache_status(endpoint, Some(origin.status)));
    reply
}

/// What the client gets where the origin gave no answer: a head and a JSON body.
pub fn media_failure(endpoint: Endpoint, error: OriginError) -> (ReplyHead, String) {
    let (mut head, text) = Rejection::Origin(error).reply();
    head.set_cache_status(cache_status(endpoint, None));
    (head, text)
}

fn cache_status(endpoint: Endpoint, status: Option<StatusCode>) -> CacheStatus {
    CacheStatus {
        source: Source::Forwarded { reason: ForwardReason::Bypass, status },
        is_stored: false,
        detail: Some(endpoint.reason.as_str()),
    }
}

/// The client's request as it is, for whoever answers what is not ours.
pub fn passthrough_request(
    head: &RequestHead,
    upstream: Upstream,
    config: &Config,
) -> OriginRequest {
    let base = match upstream {
        Upstream::Homeserver => &config.homeserver,
        Upstream::WellKnown => &config.well_known,
    };
    OriginRequest {
        method: head.method.clone(),
        url: format!("{base}{}", head.target.as_str()),
        keep: Keep::Most,
        set: passthrough_headers(head, config),
        is_for_homeserver: *base == config.homeserver,
        patience: Patience::Client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::message::target::Target;
    use crate::route::BypassReason;
    use http::{HeaderMap, Method};

    const CLIENT: Endpoint = Endpoint { door: Door::Client, reason: BypassReason::Unusual };

    fn head(method: Method) -> RequestHead {
        RequestHead {
            method,
            scheme: "https".to_owned(),
            authority: "example.com".to_owned(),
            target: Target::new("/a//b?c='d"),
            headers: HeaderMap::new(),
        }
    }

    #[test]
    fn what_passes_through_is_asked_of_its_own_server_as_it_came() {
        let config = config(&[]).unwrap();
        let head = head(Method::DELETE);
        for (upstream, url, is_for_homeserver) in [
            (Upstream::Homeserver, "https://origin.example.com/a//b?c='d", true),
            (Upstream::WellKnown, "https://example.com/a//b?c='d", false),
        ] {
            let request = passthrough_request(&head, upstream, &config);
            assert_eq!((request.method, &*request.url), (Method::DELETE, url));
            assert_eq!(request.is_for_homeserver, is_for_homeserver, "its secrets are its own");
            assert_eq!((request.keep, request.patience), (Keep::Most, Patience::Client));
        }
    }

    #[test]
    fn a_website_on_the_homeserver_may_have_the_homeservers_secrets() {
        let config = config(&[("WELL_KNOWN_URL", "https://origin.example.com")]).unwrap();
        let request = passthrough_request(&head(Method::GET), Upstream::WellKnown, &config);
        assert!(request.is_for_homeserver);
    }

    #[test]
    fn who_sends_a_body_is_waited_for() {
        let patience = |method| media_request(&head(method), &config(&[]).unwrap()).patience;
        assert_eq!(patience(Method::POST), Patience::Client);
        assert_eq!(patience(Method::GET), ORIGIN_PATIENCE);
    }

    #[test]
    fn clients_get_what_browsers_need_and_servers_what_was_sent() {
        let reply = |door, status| {
            let origin = OriginHead { status, headers: HeaderMap::new() };
            media_reply(Endpoint { door, ..CLIENT }, &origin).headers
        };
        let has = |headers: &HeaderMap| {
            ["access-control-allow-origin", "content-security-policy"]
                .map(|name| headers.contains_key(name))
        };
        let (ok, gone) = (StatusCode::OK, StatusCode::NOT_FOUND);
        // A page in the homeserver's place is one on the media's host, whatever its status.
        for (door, status) in [(Door::Client, ok), (Door::Client, gone), (Door::Other, ok)] {
            assert_eq!(has(&reply(door, status)), [true, true]);
        }
        assert_eq!(has(&reply(Door::Federation, ok)), [false, false]);
    }

    #[test]
    fn no_answer_is_an_error_that_says_why_the_cache_was_not_asked() {
        let (head, text) = media_failure(CLIENT, OriginError::TimedOut);
        assert_eq!(head.status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(head.headers["cache-status"], "matrix-media-edge; fwd=bypass; detail=unusual");
        assert!(text.contains("M_UNKNOWN"), "{text}");
    }
}
