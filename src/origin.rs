//! The origin: what it is sent, what it answers, who else answers in its place, where it redirects
//! to, how it can be asked again, and whether it is up.

pub mod client_headers;
pub mod forwarding;
pub mod intermediary;
pub mod outage;
pub mod pace;
pub mod ranges;
pub mod redirect;
pub mod response_headers;
pub mod revalidation;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde::Deserialize;

use self::client_headers::ClientHeaders;
use self::intermediary::Intermediary;
use crate::config::Config;
use crate::headers::media_type;
use crate::matrix::json;

/// How long the origin may take for the head of a media answer.
///
/// Synapse holds a request for media that is still being uploaded for at most 60 s (`timeout_ms`),
/// and sends nothing of remote media before it has all of it. The platform itself gives up on a
/// proxied origin at 100 s.
pub const ORIGIN_TIMEOUT: Timeout = Timeout::Ms(90_000);

/// How long a way of asking that has failed is not tried again, in seconds: by then the origin may
/// be another, or stand behind another proxy.
const RETRY_SECS: u64 = 600;

/// Returns whether a way of asking that failed then is not tried again yet. A clock that has
/// stepped back ends that.
const fn is_spared(failed_unix_secs: u64, now_unix_secs: u64) -> bool {
    match now_unix_secs.checked_sub(failed_unix_secs) {
        Some(age) => age < RETRY_SECS,
        None => false,
    }
}

/// Returns the URL at which the homeserver names the user of a token.
/// <https://spec.matrix.org/v1.15/client-server-api/#get_matrixclientv3accountwhoami>
pub fn whoami_url(config: &Config) -> String {
    format!("{}/_matrix/client/v3/account/whoami", config.homeserver)
}

/// A request to the origin. Its body, if any, is the client's own stream.
#[derive(Debug)]
pub struct OriginRequest {
    /// The method.
    pub method: Method,
    /// The absolute URL: a configured base and a target that came from the client.
    pub url: String,
    /// Which of the client's headers go along.
    pub client_headers: ClientHeaders,
    /// Headers set on top, replacing the client's of the same name.
    pub set: HeaderMap,
    /// Whether it goes to the homeserver, for which alone `ORIGIN_HEADERS` are: they may be secret.
    pub is_for_homeserver: bool,
    /// How long the head of the answer may take.
    pub timeout: Timeout,
}

/// How long the head of the origin's answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// This many milliseconds.
    Ms(u32),
    /// As long as the client waits: the answer may come only after all of the client's body.
    Client,
}

/// The head of an origin's answer.
#[derive(Clone, Debug)]
pub struct OriginHead {
    /// The status.
    pub status: StatusCode,
    /// End-to-end headers.
    pub headers: HeaderMap,
}

impl OriginHead {
    /// Returns a header as text; `None` if it is missing or not ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns whether the body is JSON and short enough to be read, as Matrix errors are.
    pub fn is_small_json(&self) -> bool {
        let is_encoded = self.headers.contains_key(CONTENT_ENCODING);
        let is_short = self.content_length().is_none_or(|length| length <= MAX_JSON_BYTES as u64);
        is_short && !is_encoded && media_type(&self.headers).as_deref() == Some("application/json")
    }

    /// Returns whether the status is an error: 4xx or 5xx.
    pub fn is_error(&self) -> bool {
        self.status.is_client_error() || self.status.is_server_error()
    }

    /// Returns whether the body may be a Matrix error, and is short enough to be read.
    pub fn may_be_matrix_error(&self) -> bool {
        self.is_error() && self.is_small_json()
    }

    /// Returns whether this is Cloudflare's page about a connection to the origin that was lost: a
    /// 520 in JSON is the homeserver's own.
    /// <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/error-520/>
    pub fn is_of_lost_connection(&self) -> bool {
        self.status.as_u16() == 520 && !self.is_small_json()
    }

    /// Returns whether an answer to HEAD may come from a server that supports GET alone there,
    /// though RFC 9110 §9.1 demands both and MSC4120 asks homeservers for HEAD. Such servers answer
    /// 405 or 501 (§15.5.6, §15.6.2), some a 500, and others `M_UNRECOGNIZED`: a 404 which, without
    /// a body, can't be told from one about the media.
    pub fn may_not_know_head(&self) -> bool {
        matches!(self.status.as_u16(), 404 | 405 | 500 | 501)
    }

    /// Returns `Content-Length` in bytes; `None` if it is missing or no number.
    pub fn content_length(&self) -> Option<u64> {
        self.header(&CONTENT_LENGTH)?.parse().ok()
    }
}

/// The most that is read of a JSON answer, in bytes.
pub const MAX_JSON_BYTES: usize = 64 * 1024;

/// An origin's answer, as far as decisions read it.
#[derive(Clone, Debug)]
pub struct OriginAnswer {
    /// The head.
    pub head: OriginHead,
    /// The body of a small JSON answer; `None` for any other, which is not read.
    pub text: Option<String>,
}

impl OriginAnswer {
    /// Returns an answer whose body is not read.
    pub const fn unread(head: OriginHead) -> Self {
        Self { head, text: None }
    }

    /// Returns the Matrix error code of the answer; `None` unless it is a JSON object with one.
    /// <https://spec.matrix.org/v1.15/client-server-api/#standard-error-response>
    pub fn errcode(&self) -> Option<String> {
        if !self.head.is_error() {
            return None;
        }
        let MatrixError { errcode } = json::object(self.text.as_deref()?)?;
        (!errcode.is_empty()).then_some(errcode)
    }
}

/// What is read of a Matrix error.
#[derive(Deserialize)]
struct MatrixError {
    errcode: String,
}

/// Why there is no answer of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// The connection failed or broke before a head came.
    Unreachable,
    /// No head came in time.
    TimedOut,
    /// The answer has a status that HTTP doesn't know.
    Malformed,
    /// Something between the edge and the origin answered.
    Intercepted(Intermediary),
}
