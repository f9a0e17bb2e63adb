//! The heads that the core reasons about: the client's request, what we ask the origin, what the
//! origin answered, what the client gets.

pub mod target;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::headers::cache_status::{CACHE_STATUS, CacheStatus};
use crate::headers::media_type;
use crate::message::target::Target;

/// The head of a client's request: of its headers only those in [`crate::headers::READ`].
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, known to HTTP or not.
    pub method: Method,
    /// `http` or `https`, as the client used it. Only what passes through is told.
    pub scheme: String,
    /// The host that the client named, with its port.
    pub authority: String,
    /// Path and query, raw.
    pub target: Target,
    /// The headers that decisions depend on.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// A header as text, if it is there and is ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether it asks for something as it is: GET or HEAD.
    pub fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}

/// A request to the origin. Its body, if any, is the client's own stream.
#[derive(Debug)]
pub struct OriginRequest {
    /// The method.
    pub method: Method,
    /// The absolute URL: a configured base and a target that came from the client.
    pub url: String,
    /// Which of the client's headers go along.
    pub keep: Keep,
    /// Headers set on top, replacing the client's of the same name.
    pub set: HeaderMap,
    /// Whether it goes to the homeserver, for which alone `ORIGIN_HEADERS` are: they may be secret.
    pub is_for_homeserver: bool,
    /// How long to wait for the head of the answer.
    pub patience: Patience,
}

/// Which headers of the client's request are sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those that a media endpoint reads: the origin answers the client itself.
    Endpoint,
    /// All but hop-by-hop, platform and forged forwarding headers.
    Most,
    /// None: the request is ours.
    Nothing,
}

/// How long to wait for the head of the origin's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// This many milliseconds.
    Millis(u32),
    /// As long as the client does: the answer may come only after all of the client's body.
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
    /// A header as text, if it is there and is ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns whether the body is JSON and short enough to be read, as Matrix errors are.
    pub fn is_small_json(&self) -> bool {
        let is_encoded = self.headers.contains_key(http::header::CONTENT_ENCODING);
        let is_short = self.content_length().is_none_or(|length| length <= MAX_JSON_BYTES as u64);
        is_short && !is_encoded && media_type(&self.headers).as_deref() == Some("application/json")
    }

    /// `Content-Length` in bytes.
    pub fn content_length(&self) -> Option<u64> {
        self.header(&http::header::CONTENT_LENGTH)?.parse().ok()
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
    /// An answer whose body is not read.
    pub const fn unread(head: OriginHead) -> Self {
        Self { head, text: None }
    }
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
}

/// The head of the answer to the client.
#[derive(Clone, Debug)]
pub struct ReplyHead {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// What the cache had to do with it, for the log.
    pub cache_status: Option<CacheStatus>,
    /// The word of an error of ours, for the log.
    pub rejection: Option<&'static str>,
}

impl ReplyHead {
    /// A head of which there is nothing else to tell.
    pub const fn new(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, headers, cache_status: None, rejection: None }
    }

    /// The head of an answer of our own making, which nobody may keep.
    pub fn unstored(status: StatusCode, content_type: &'static str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self::new(status, headers)
    }

    /// Tells the log what the cache had to do with it, and the client too, unless it was refused:
    /// what is stored says what others have read.
    pub fn set_cache_status(&mut self, cache_status: CacheStatus) {
        if is_granted(self.status) || !cache_status.depends_on_store() {
            self.headers.insert(CACHE_STATUS, own_value(&cache_status.to_string()));
        }
        self.cache_status = Some(cache_status);
    }
}

/// Whether a status is only ever sent to a client who may have what it asked for.
pub fn is_granted(status: StatusCode) -> bool {
    status.is_success()
        || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE)
}

/// A header value from text that we wrote ourselves: ASCII without control characters.
///
/// Text that came from outside must be checked before; what slips through becomes empty rather
/// than a panic.
pub(crate) fn own_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
