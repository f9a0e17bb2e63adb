//! The edge's own errors: the one place where their status, `errcode` and sentence are chosen.
//!
//! <https://spec.matrix.org/v1.15/client-server-api/#standard-error-response>. None of them is a
//! 401, which would log users out.

use http::StatusCode;
use http::header::{HeaderMap, HeaderValue};
use serde::Serialize;

use crate::config::ConfigError;
use crate::headers::{add_cors, add_media_security};
use crate::matrix::json;
use crate::message::ReplyHead;
use crate::origin::OriginError;
use crate::origin::intermediary::Intermediary;

/// Why the edge refuses or can't answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The client's request can't be sent on unchanged.
    UnfaithfulTarget,
    /// Not media, on the media domain.
    Unrecognized,
    /// Only the admin may ask this.
    NotAdmin,
    /// A request to purge that doesn't name what to purge.
    PurgeWhat,
    /// The status is only ever read, or asked for with a token in a form.
    StatusMethod,
    /// The list of purges has no room for so many more.
    PurgesFull,
    /// A purge is only ever sent.
    PurgeMethod,
    /// A self-test is only ever started.
    SelfTestMethod,
    /// A self-test is running in this isolate.
    SelfTestRuns,
    /// A well-known document is only ever read.
    WellKnownMethod,
    /// The admin's variables are wrong; every request is refused until they are right.
    Misconfigured(ConfigError),
    /// An upload of more bytes than the origin or the edge takes.
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The request has been here before.
    Loop,
    /// The origin gave no answer.
    Origin(OriginError),
    /// The origin's answer makes no sense for what it was asked.
    OriginNonsense,
    /// The origin redirects media to a host that the admin has not named.
    RedirectHost,
    /// There is no well-known document to be had, and none kept from before.
    WellKnownUnavailable,
    /// The runtime refused something that it should not have; the log has more.
    Internal,
}

impl Rejection {
    /// Returns the status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::UnfaithfulTarget | Self::PurgeWhat => StatusCode::BAD_REQUEST,
            Self::NotAdmin => StatusCode::FORBIDDEN,
            Self::Unrecognized => StatusCode::NOT_FOUND,
            Self::WellKnownMethod
            | Self::PurgeMethod
            | Self::StatusMethod
            | Self::SelfTestMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::SelfTestRuns => StatusCode::TOO_MANY_REQUESTS,
            Self::Misconfigured(_) | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::PurgesFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Origin(OriginError::TimedOut) => StatusCode::GATEWAY_TIMEOUT,
            Self::Origin(OriginError::Intercepted(intermediary)) => intermediary.client_status(),
            Self::Origin(OriginError::Unreachable | OriginError::Malformed)
            | Self::OriginNonsense
            | Self::RedirectHost
            | Self::WellKnownUnavailable => StatusCode::BAD_GATEWAY,
        }
    }

    /// Returns the word for the log.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::UnfaithfulTarget => "unfaithful-target",
            Self::Unrecognized => "unrecognized",
            Self::NotAdmin => "not-admin",
            Self::PurgeWhat => "purge-what",
            Self::PurgesFull => "purges-full",
            Self::PurgeMethod => "purge-method",
            Self::StatusMethod => "status-method",
            Self::SelfTestMethod => "self-test-method",
            Self::SelfTestRuns => "self-test-runs",
            Self::WellKnownMethod => "well-known-method",
            Self::Misconfigured(_) => "misconfigured",
            Self::TooLarge { .. } => "too-large",
            Self::Loop => "loop",
            Self::Origin(OriginError::Unreachable) => "origin-unreachable",
            Self::Origin(OriginError::TimedOut) => "origin-timed-out",
            Self::Origin(OriginError::Malformed) => "origin-malformed",
            Self::Origin(OriginError::Intercepted(intermediary)) => intermediary.as_str(),
            Self::RedirectHost => "redirect-host",
            Self::OriginNonsense => "origin-nonsense",
            Self::WellKnownUnavailable => "well-known-unavailable",
            Self::Internal => "internal",
        }
    }

    /// Returns the Matrix error code.
    pub const fn errcode(&self) -> &'static str {
        match self {
            Self::UnfaithfulTarget => "M_INVALID_PARAM",
            Self::NotAdmin => "M_FORBIDDEN",
            Self::PurgeWhat => "M_BAD_JSON",
            Self::Unrecognized
            | Self::WellKnownMethod
            | Self::PurgeMethod
            | Self::StatusMethod
            | Self::SelfTestMethod => "M_UNRECOGNIZED",
            Self::SelfTestRuns | Self::PurgesFull => "M_LIMIT_EXCEEDED",
            Self::TooLarge { .. }
            | Self::Origin(OriginError::Intercepted(Intermediary::Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
            ))) => "M_TOO_LARGE",
            Self::Misconfigured(_)
            | Self::Loop
            | Self::Origin(_)
            | Self::OriginNonsense
            | Self::RedirectHost
            | Self::WellKnownUnavailable
            | Self::Internal => "M_UNKNOWN",
        }
    }

    /// Returns the sentence for people: what happened and what to do about it.
    pub fn message(&self) -> String {
        match self {
            Self::UnfaithfulTarget => {
                "The path has dot segments, backslashes or unreadable bytes: percent-encode it once"
                    .to_owned()
            }
            Self::Unrecognized => {
                "Only media is served on this host: use the homeserver's own for anything else"
                    .to_owned()
            }
            Self::NotAdmin => "Show the ADMIN_TOKEN of this edge as a bearer token".to_owned(),
            Self::PurgeWhat => "Send a JSON object with one of: \"mxc\" (an mxc URI, or an array \
                 of up to 1000), \"server_name\", or \"everything\": true"
                .to_owned(),
            Self::PurgesFull => "Nothing was purged, since the list of purges is full: purge a \
                 \"server_name\" or \"everything\" instead, which take the place of single media"
                .to_owned(),
            Self::PurgeMethod => "Use POST to purge".to_owned(),
            Self::StatusMethod => "Use GET or HEAD for the status".to_owned(),
            Self::SelfTestMethod => "Use POST to run the self-test".to_owned(),
            Self::SelfTestRuns => {
                "A self-test is running: send this again when it has ended, in at most 15 s"
                    .to_owned()
            }
            Self::WellKnownMethod => "Use GET or HEAD for this document".to_owned(),
            Self::Misconfigured(error) => {
                format!("The media edge is not configured: its admin must fix {error}")
            }
            Self::TooLarge { limit_bytes } => {
                format!("Uploads are limited to {limit_bytes} bytes: send a smaller file")
            }
            Self::Loop => "HOMESERVER_URL or WELL_KNOWN_URL leads back to the media edge itself: \
                 its admin must give the address of the server behind it"
                .to_owned(),
            Self::Origin(OriginError::Unreachable) => {
                "The homeserver could not be reached: try again later".to_owned()
            }
            Self::Origin(OriginError::TimedOut) => {
                "The homeserver did not answer in time: try again later".to_owned()
            }
            Self::Origin(OriginError::Intercepted(Intermediary::Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
            ))) => {
                "A proxy in front of the homeserver takes no upload of this size: send a smaller \
                 file"
                    .to_owned()
            }
            Self::Origin(OriginError::Intercepted(Intermediary::Refused(_))) => {
                "A proxy in front of the homeserver refused the request: send it in another form"
                    .to_owned()
            }
            Self::Origin(OriginError::Intercepted(_)) => "Something in front of the homeserver \
                 answered in its place: try again later"
                .to_owned(),
            Self::RedirectHost => {
                "The homeserver redirects its media to a host that the media edge \
                 may not follow: its admin must name that host in ORIGIN_REDIRECT_HOSTS"
                    .to_owned()
            }
            Self::OriginNonsense | Self::Origin(OriginError::Malformed) => {
                "The homeserver's answer does not fit the request: try again later".to_owned()
            }
            Self::WellKnownUnavailable => {
                "The well-known document could not be fetched: try again later".to_owned()
            }
            Self::Internal => "The media edge failed: try again later".to_owned(),
        }
    }

    /// Returns the answer: its head, and its JSON body.
    pub fn reply(&self) -> (ReplyHead, String) {
        let mut head = ReplyHead::unstored(self.status(), "application/json");
        add_cors(&mut head.headers);
        add_media_security(&mut head.headers);
        head.rejection = Some(self.as_str());
        (head, json::write(&Body { errcode: self.errcode(), error: self.message() }))
    }
}

/// The body of a Matrix error.
#[derive(Serialize)]
struct Body {
    errcode: &'static str,
    error: String,
}

/// Returns the answer to a CORS preflight: any method and header that a Matrix client uses, for a
/// day.
///
/// Browsers cap `Access-Control-Max-Age` themselves (Chromium at two hours).
pub fn preflight_reply() -> ReplyHead {
    let mut headers = HeaderMap::new();
    add_cors(&mut headers);
    headers.insert(http::header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    ReplyHead::new(StatusCode::NO_CONTENT, headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Rejection> {
        vec![
            Rejection::UnfaithfulTarget,
            Rejection::Unrecognized,
            Rejection::WellKnownMethod,
            Rejection::Misconfigured(ConfigError {
                variable: "MEDIA_URL",
                problem: "is \"bad\"".to_owned(),
            }),
            Rejection::NotAdmin,
            Rejection::PurgeWhat,
            Rejection::PurgesFull,
            Rejection::PurgeMethod,
            Rejection::StatusMethod,
            Rejection::SelfTestMethod,
            Rejection::SelfTestRuns,
            Rejection::TooLarge { limit_bytes: 5 },
            Rejection::Loop,
            Rejection::Origin(OriginError::Unreachable),
            Rejection::Origin(OriginError::TimedOut),
            Rejection::Origin(OriginError::Malformed),
            Rejection::Origin(OriginError::Intercepted(Intermediary::Blocked)),
            Rejection::Origin(OriginError::Intercepted(Intermediary::Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
            ))),
            Rejection::RedirectHost,
            Rejection::OriginNonsense,
            Rejection::WellKnownUnavailable,
            Rejection::Internal,
        ]
    }

    #[test]
    fn every_error_is_json_with_cors_and_is_not_stored() {
        for rejection in all() {
            let (head, body) = rejection.reply();
            let json: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(json["errcode"], rejection.errcode());
            assert!(json["error"].as_str().is_some_and(|error| !error.is_empty()));
            assert_eq!(head.headers["access-control-allow-origin"], "*");
            assert_eq!(head.headers["cache-control"], "no-store");
        }
    }

    #[test]
    fn clients_act_on_the_right_status_and_code() {
        for (rejection, status, errcode) in [
            (Rejection::UnfaithfulTarget, 400, "M_INVALID_PARAM"),
            (Rejection::NotAdmin, 403, "M_FORBIDDEN"),
            (Rejection::Unrecognized, 404, "M_UNRECOGNIZED"),
            (Rejection::WellKnownMethod, 405, "M_UNRECOGNIZED"),
            (Rejection::SelfTestRuns, 429, "M_LIMIT_EXCEEDED"),
            (Rejection::TooLarge { limit_bytes: 5 }, 413, "M_TOO_LARGE"),
            (Rejection::Internal, 500, "M_UNKNOWN"),
            (Rejection::Origin(OriginError::Unreachable), 502, "M_UNKNOWN"),
            (Rejection::Origin(OriginError::Malformed), 502, "M_UNKNOWN"),
            (Rejection::Origin(OriginError::TimedOut), 504, "M_UNKNOWN"),
            (Rejection::Loop, 508, "M_UNKNOWN"),
        ] {
            assert_eq!((rejection.status().as_u16(), rejection.errcode()), (status, errcode));
        }
    }

    #[test]
    fn every_error_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = all().iter().map(Rejection::as_str).collect();
        assert_eq!(words.len(), all().len());
    }

    #[test]
    fn a_preflight_allows_what_clients_send_for_a_day() {
        let head = preflight_reply();
        assert_eq!(head.status, StatusCode::NO_CONTENT);
        assert_eq!(head.headers["access-control-max-age"], "86400");
        let allowed = head.headers["access-control-allow-headers"].to_str().unwrap();
        assert!(["Authorization", "Content-Type", "Range"].iter().all(|n| allowed.contains(n)));
    }

    #[test]
    fn the_edges_errors_log_no_user_out() {
        assert!(all().iter().all(|rejection| rejection.status() != StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn a_misconfiguration_names_the_variable() {
        let (_, body) = all()[3].reply();
        assert!(body.contains("MEDIA_URL"));
        let error = r#"The media edge is not configured: its admin must fix MEDIA_URL is \"bad\""#;
        assert_eq!(body, format!(r#"{{"errcode":"M_UNKNOWN","error":"{error}"}}"#));
    }
}
