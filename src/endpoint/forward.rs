//! Any method and path that the cache has no part in: media endpoints that the origin answers every
//! time, and everything that passes through.
//!
//! A media endpoint ([`BypassReason`] tells why):
//!
//! 1. The request is sent to the homeserver with its own method and target ([`endpoint_request`]).
//! 2. A HEAD of a download which the homeserver may not know is sent again as a GET
//!    ([`asks_again_by_get`]).
//! 3. The homeserver's answer is relayed with its own status ([`media_reply`]). Where there is
//!    none, or an intermediary's, 502 or 504; where a proxy refuses the request's form, 400, 411,
//!    413, 414, 415 or 431 ([`media_failure`]).
//!
//! What passes through:
//!
//! 1. The request is sent as it is to the homeserver or the host of the well-known documents
//!    ([`passthrough_request`]).
//! 2. The answer passes with its own status, whoever gave it; only a `Location` that names the
//!    origin's host is made public ([`passthrough_location`]). Where there is no answer, 502.

use http::header::{CONTENT_DISPOSITION, COOKIE, LOCATION};
use http::{HeaderValue, Method, StatusCode};

use crate::config::Config;
use crate::error::Rejection;
use crate::headers::cache_control::{add_no_transform, forbid_reuse, make_private};
use crate::headers::cache_status::{CacheStatus, ForwardReason, Source};
use crate::headers::cookies::without_platforms;
use crate::headers::{add_cors, add_media_security, media_type};
use crate::matrix::credential::Credential;
use crate::matrix::media::Door;
use crate::message::{ReplyHead, RequestHead};
use crate::origin::client_headers::ClientHeaders;
use crate::origin::forwarding::{ask_for_identity, forwarding_headers, passthrough_headers};
use crate::origin::intermediary::Intermediary;
use crate::origin::response_headers::to_client;
use crate::origin::{
    ORIGIN_TIMEOUT, OriginAnswer, OriginError, OriginHead, OriginRequest, Timeout,
};
use crate::route::{BypassReason, Endpoint, Upstream};

/// Returns the client's media request, for the origin: the client's method, and its target to the byte.
/// Only a file name that would lead a careless reader to another path is left out.
pub fn media_request(head: &RequestHead, config: &Config) -> OriginRequest {
    let mut set = forwarding_headers(head, config);
    ask_for_identity(&mut set);
    // The origin may answer only after the last byte of the client's body, whenever that comes.
    let timeout = if head.is_read() { ORIGIN_TIMEOUT } else { Timeout::Client };
    OriginRequest {
        method: head.method.clone(),
        url: format!("{}{}", config.homeserver, head.target.without_hidden_name()),
        client_headers: ClientHeaders::Endpoint,
        set,
        is_for_homeserver: true,
        timeout,
    }
}

/// Returns the client's request at this endpoint, for the origin: [`media_request`] with the cookie that
/// the homeserver may know its user by.
pub fn endpoint_request(head: &RequestHead, endpoint: Endpoint, config: &Config) -> OriginRequest {
    let mut request = media_request(head, config);
    request.set.extend(cookie(head, endpoint).map(|cookie| (COOKIE, cookie)));
    request
}

/// Returns the cookie that is sent on: at the client door's downloads and thumbnails, where that is the
/// credential (MSC4250, <https://github.com/matrix-org/matrix-spec-proposals/pull/4250>). The platform's
/// own are none. Elsewhere homeservers must not read cookies, and beside a token they need none.
fn cookie(head: &RequestHead, endpoint: Endpoint) -> Option<HeaderValue> {
    let is_media = match endpoint.reason {
        BypassReason::Credential | BypassReason::Unusual | BypassReason::QuarantineBypass => true,
        BypassReason::Upload | BypassReason::Endpoint | BypassReason::Method => false,
    };
    let is_read = is_media && endpoint.door == Door::Client;
    let field = head.headers.get(COOKIE).filter(|_| is_read)?;
    (Credential::of(head) == Credential::Missing).then(|| without_platforms(field))?
}

/// Returns the head of the origin's answer to the client's request, which was sent by this method, for the
/// client.
///
/// # Errors
/// Something else answered in the origin's place.
pub fn media_reply(
    endpoint: Endpoint,
    request: &RequestHead,
    method: &Method,
    answer: &OriginAnswer,
    config: &Config,
) -> Result<ReplyHead, OriginError> {
    if let Some(intermediary) = Intermediary::of(answer, method) {
        return Err(OriginError::Intercepted(intermediary));
    }
    let origin = &answer.head;
    let mut headers = to_client(&origin.headers, config);
    if may_be_media(endpoint, origin) {
        add_no_transform(&mut headers);
    }
    if origin.is_error() {
        forbid_reuse(&mut headers);
    } else if cookie(request, endpoint).is_some() {
        make_private(&mut headers);
    }
    // Servers don't read these, and what they get is to be what the origin sent.
    if endpoint.door != Door::Federation {
        add_cors(&mut headers);
        add_media_security(&mut headers);
    }
    let mut reply = ReplyHead::new(origin.status, headers);
    reply.set_cache_status(cache_status(endpoint, Some(origin.status)));
    Ok(reply)
}

/// Returns whether a HEAD that was answered so is asked again as a GET, whose head is its answer. Only
/// where media is downloaded: elsewhere the method may be signed, or a GET do something.
pub fn asks_again_by_get(endpoint: Endpoint, method: &Method, origin: &OriginHead) -> bool {
    let is_download = matches!(endpoint.door, Door::Client | Door::Legacy);
    *method == Method::HEAD && is_download && origin.may_not_know_head()
}

/// Returns whether an answer may be media: a success or a 304 at one of the three doors, or elsewhere one
/// that is not mere JSON, since older names of downloads are among the other endpoints.
fn may_be_media(endpoint: Endpoint, origin: &OriginHead) -> bool {
    let is_json = media_type(&origin.headers).as_deref() == Some("application/json");
    let is_at_door = endpoint.door != Door::Other;
    let is_media = is_at_door || !is_json || origin.headers.contains_key(CONTENT_DISPOSITION);
    let has_representation =
        origin.status.is_success() || origin.status == StatusCode::NOT_MODIFIED;
    has_representation && is_media
}

/// Returns what the client gets where the origin gave no answer: a head and a JSON body.
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

/// Returns the client's request as it is, for whoever answers what is not the edge's.
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
        client_headers: ClientHeaders::Most,
        set: passthrough_headers(head, config),
        is_for_homeserver: *base == config.homeserver,
        timeout: Timeout::Client,
    }
}

/// Returns the `Location` that the client gets in place of an answer's own: the public form of one that
/// names the origin's host. `None` where the answer passes through as it is.
pub fn passthrough_location(answer: &OriginHead, config: &Config) -> Option<String> {
    config.public_url(answer.header(&LOCATION)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::message::target::Target;
    use http::header::CACHE_CONTROL;
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

    fn head_of_get() -> RequestHead {
        head(Method::GET)
    }

    /// What is sent on of a cookie at an endpoint.
    fn sent_cookie(endpoint: Endpoint, fields: &[(&'static str, &'static str)]) -> Option<String> {
        let mut head = head(Method::GET);
        for (name, value) in fields {
            head.headers.insert(*name, HeaderValue::from_static(value));
        }
        let request = endpoint_request(&head, endpoint, &config(&[]).unwrap());
        request.set.get(COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_in_place_of_a_token_is_sent_on_without_the_platforms() {
        for reason in
            [BypassReason::Credential, BypassReason::Unusual, BypassReason::QuarantineBypass]
        {
            let endpoint = Endpoint { door: Door::Client, reason };
            let cookie = sent_cookie(endpoint, &[("cookie", "__cf_bm=a; auth=b")]);
            assert_eq!(cookie.as_deref(), Some("auth=b"), "{reason:?}");
            assert_eq!(sent_cookie(endpoint, &[("cookie", "__cf_bm=a")]), None);
            let token = ("authorization", "Bearer t");
            assert_eq!(sent_cookie(endpoint, &[("cookie", "auth=b"), token]), None);
        }
    }

    #[test]
    fn a_cookie_is_dropped_at_other_endpoints() {
        for (door, reason) in [
            (Door::Client, BypassReason::Endpoint),
            (Door::Client, BypassReason::Method),
            (Door::Legacy, BypassReason::Unusual),
            (Door::Federation, BypassReason::Unusual),
            (Door::Other, BypassReason::Upload),
            (Door::Other, BypassReason::Endpoint),
        ] {
            let endpoint = Endpoint { door, reason };
            let cookie = sent_cookie(endpoint, &[("cookie", "auth=b")]);
            assert_eq!(cookie, None, "{door:?} {reason:?}");
        }
    }

    #[test]
    fn an_answer_to_a_cookie_is_for_no_shared_cache() {
        let control = |cookie| {
            let mut request = head(Method::GET);
            request.headers.insert(COOKIE, HeaderValue::from_static(cookie));
            let field = (CACHE_CONTROL, HeaderValue::from_static("public, max-age=5"));
            let headers = HeaderMap::from_iter([field]);
            let answer = OriginAnswer::unread(OriginHead { status: StatusCode::OK, headers });
            let endpoint = Endpoint { reason: BypassReason::Credential, ..CLIENT };
            let reply =
                media_reply(endpoint, &request, &Method::GET, &answer, &config(&[]).unwrap())
                    .unwrap();
            reply.headers[CACHE_CONTROL].clone()
        };
        assert_eq!(control("auth=b"), "private, max-age=5, no-transform");
        assert_eq!(control("__cf_bm=b"), "public, max-age=5, no-transform");
    }

    #[test]
    fn a_passthrough_request_goes_unchanged_to_its_own_server() {
        let config = config(&[]).unwrap();
        let head = head(Method::DELETE);
        for (upstream, url, is_for_homeserver) in [
            (Upstream::Homeserver, "https://origin.example.com/a//b?c='d", true),
            (Upstream::WellKnown, "https://example.com/a//b?c='d", false),
        ] {
            let request = passthrough_request(&head, upstream, &config);
            assert_eq!((request.method, &*request.url), (Method::DELETE, url));
            assert_eq!(request.is_for_homeserver, is_for_homeserver, "its secrets are its own");
            assert_eq!(
                (request.client_headers, request.timeout),
                (ClientHeaders::Most, Timeout::Client)
            );
        }
    }

    #[test]
    fn a_website_on_the_homeserver_may_have_the_homeservers_secrets() {
        let config = config(&[("WELL_KNOWN_URL", "https://origin.example.com")]).unwrap();
        let request = passthrough_request(&head(Method::GET), Upstream::WellKnown, &config);
        assert!(request.is_for_homeserver);
    }

    #[test]
    fn a_redirect_that_names_the_origin_passes_as_one_to_the_public_host() {
        let location = |sent: &'static str| {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(sent))]);
            let head = OriginHead { status: StatusCode::FOUND, headers };
            let vars = [("PUBLIC_URL", "https://matrix.example.com")];
            passthrough_location(&head, &config(&vars).unwrap())
        };
        let public = location("https://origin.example.com/_matrix/static/");
        assert_eq!(public.as_deref(), Some("https://matrix.example.com/_matrix/static/"));
        assert_eq!(location("https://app.example.com/"), None);
    }

    #[test]
    fn a_request_with_a_body_has_no_timeout_of_the_edge() {
        let timeout = |method| media_request(&head(method), &config(&[]).unwrap()).timeout;
        assert_eq!(timeout(Method::POST), Timeout::Client);
        assert_eq!(timeout(Method::GET), ORIGIN_TIMEOUT);
    }

    #[test]
    fn clients_get_what_browsers_need_and_servers_what_was_sent() {
        let reply = |door, status| {
            let head = OriginHead { status, headers: HeaderMap::new() };
            let text = Some(r#"{"errcode":"M_NOT_FOUND","error":""}"#.to_owned());
            let answer = OriginAnswer { head, text };
            let config = config(&[]).unwrap();
            let endpoint = Endpoint { door, ..CLIENT };
            media_reply(endpoint, &head_of_get(), &Method::GET, &answer, &config).unwrap().headers
        };
        let has = |headers: &HeaderMap| {
            ["access-control-allow-origin", "content-security-policy"]
                .map(|name| headers.contains_key(name))
        };
        let (ok, gone) = (StatusCode::OK, StatusCode::NOT_FOUND);
        // What is shown on the media's host is bound by its policy, whatever its status.
        for (door, status) in [(Door::Client, ok), (Door::Client, gone), (Door::Other, ok)] {
            assert_eq!(has(&reply(door, status)), [true, true]);
        }
        assert_eq!(has(&reply(Door::Federation, ok)), [false, false]);
    }

    #[test]
    fn a_page_in_the_homeservers_place_is_an_error() {
        let head = OriginHead { status: StatusCode::FORBIDDEN, headers: HeaderMap::new() };
        let answer = OriginAnswer::unread(head);
        let config = config(&[]).unwrap();
        let error =
            media_reply(CLIENT, &head_of_get(), &Method::GET, &answer, &config).unwrap_err();
        assert_eq!(error, OriginError::Intercepted(Intermediary::Blocked));
    }

    #[test]
    fn media_alone_is_marked_no_transform() {
        let control = |door, status, type_| {
            let type_ = (http::header::CONTENT_TYPE, HeaderValue::from_static(type_));
            let head = OriginHead { status, headers: HeaderMap::from_iter([type_]) };
            let answer = OriginAnswer::unread(head);
            let config = config(&[]).unwrap();
            let endpoint = Endpoint { door, ..CLIENT };
            let reply =
                media_reply(endpoint, &head_of_get(), &Method::GET, &answer, &config).unwrap();
            reply.headers.get("cache-control").cloned()
        };
        let (ok, json) = (StatusCode::OK, "application/json");
        for door in [Door::Client, Door::Legacy, Door::Federation] {
            for status in [ok, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED] {
                assert_eq!(control(door, status, json).unwrap(), "no-transform");
            }
        }
        assert_eq!(control(Door::Other, ok, "text/plain").unwrap(), "no-transform");
        assert_eq!(control(Door::Other, ok, json), None);
        assert_eq!(control(Door::Client, StatusCode::FOUND, json), None);
    }

    #[test]
    fn a_forwarded_error_is_no_store() {
        for door in [Door::Client, Door::Legacy, Door::Federation, Door::Other] {
            let fields = [("cache-control", "max-age=259200"), ("expires", "x"), ("etag", "\"a\"")];
            let fields = fields.map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            let head =
                OriginHead { status: StatusCode::NOT_FOUND, headers: fields.into_iter().collect() };
            let text = Some(r#"{"errcode":"M_NOT_FOUND","error":""}"#.to_owned());
            let answer = OriginAnswer { head, text };
            let endpoint = Endpoint { door, ..CLIENT };
            let config = config(&[]).unwrap();
            let reply =
                media_reply(endpoint, &head_of_get(), &Method::GET, &answer, &config).unwrap();
            assert_eq!(reply.headers["cache-control"], "no-store", "{door:?}");
            assert!(!reply.headers.contains_key("expires") && !reply.headers.contains_key("etag"));
        }
    }

    #[test]
    fn a_head_is_asked_again_only_where_media_is_downloaded() {
        let asks = |door, method, status| {
            let status = StatusCode::from_u16(status).unwrap();
            let head = OriginHead { status, headers: HeaderMap::new() };
            asks_again_by_get(Endpoint { door, ..CLIENT }, &method, &head)
        };
        for status in [404, 405, 500, 501] {
            assert!(asks(Door::Client, Method::HEAD, status), "{status}");
            assert!(asks(Door::Legacy, Method::HEAD, status), "{status}");
            assert!(!asks(Door::Federation, Method::HEAD, status), "{status}");
            assert!(!asks(Door::Other, Method::HEAD, status), "{status}");
            assert!(!asks(Door::Client, Method::GET, status), "{status}");
        }
        for status in [200, 304, 401, 403, 410, 429, 502, 503, 504] {
            assert!(!asks(Door::Client, Method::HEAD, status), "{status}");
        }
    }

    #[test]
    fn a_missing_answer_is_an_error_with_the_reason_for_the_bypass() {
        let (head, text) = media_failure(CLIENT, OriginError::TimedOut);
        assert_eq!(head.status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(head.headers["cache-status"], "matrix-media-edge; fwd=bypass; detail=unusual");
        assert!(text.contains("M_UNKNOWN"), "{text}");
    }
}
