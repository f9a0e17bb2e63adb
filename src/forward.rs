//! Requests that the cache has no part in: media endpoints that the origin answers every time, and
//! everything that merely passes through.

use http::StatusCode;

use crate::cache_status::{CacheStatus, ForwardReason, Source};
use crate::config::Config;
use crate::exchange::ORIGIN_PATIENCE;
use crate::forwarding::{ask_for_identity, forwarding_headers};
use crate::headers::{add_cors, add_media_security, to_client};
use crate::matrix_error::Rejection;
use crate::request::{
    Keep, OriginError, OriginHead, OriginRequest, Patience, ReplyHead, RequestHead,
};
use crate::route::{Door, Endpoint, Upstream};

/// The client's media request, for the origin: same method, same target to the byte.
pub fn media_request(head: &RequestHead, config: &Config) -> OriginRequest {
    let mut set = forwarding_headers(head, config);
    ask_for_identity(&mut set);
    // The origin may answer only after the last byte of the client's body, whenever that comes.
    let patience = if head.is_read() { ORIGIN_PATIENCE } else { Patience::Client };
    OriginRequest {
        method: head.method.clone(),
        url: format!("{}{}", config.homeserver, head.target.as_str()),
        keep: Keep::Endpoint,
        set,
        is_for_homeserver: true,
        patience,
    }
}

/// The head of the origin's answer, for the client.
pub fn media_reply(head: &RequestHead, endpoint: Endpoint, origin: &OriginHead) -> ReplyHead {
    let mut headers = to_client(&origin.headers);
    // Servers don't read these, and what they get is to be what the origin sent.
    if endpoint.door != Door::Federation {
        add_cors(&mut headers);
        if head.is_read() && origin.status.is_success() {
            add_media_security(&mut headers);
        }
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
        set: forwarding_headers(head, config),
        is_for_homeserver: *base == config.homeserver,
        patience: Patience::Client,
    }
}
