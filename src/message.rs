//! The heads of the client's request and of the reply to it.

pub mod presence;
pub mod target;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::headers::cache_status::{CACHE_STATUS, CacheStatus};
use crate::headers::{CONNECTING_IP, LOOP, own_value};
use crate::message::target::Target;

/// The request headers that decisions depend on.
pub static REQUEST_HEADERS: [HeaderName; 10] = [
    AUTHORIZATION,
    CONNECTING_IP,
    CONTENT_LENGTH,
    COOKIE,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    LOOP,
    RANGE,
    USER_AGENT,
];

/// The head of a client's request: of its headers only those in [`crate::message::REQUEST_HEADERS`].
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
    /// Returns a header as text; `None` if it is missing or not ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns whether the method is GET or HEAD.
    pub fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
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
    /// The word of one of the edge's own errors, for the log.
    pub rejection: Option<&'static str>,
}

impl ReplyHead {
    /// Returns a head that is neither an error of the edge's own nor has a cache status.
    pub const fn new(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, headers, cache_status: None, rejection: None }
    }

    /// Returns the head of an answer of the edge's own, which forbids storing.
    pub fn unstored(status: StatusCode, content_type: &'static str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self::new(status, headers)
    }

    /// Sets the cache status for the log, and for the client too, unless the client was refused: it
    /// would learn from what is stored what others have read.
    pub fn set_cache_status(&mut self, cache_status: CacheStatus) {
        if is_granted(self.status) || !cache_status.depends_on_store() {
            self.headers.insert(CACHE_STATUS, own_value(&cache_status.to_string()));
        }
        self.cache_status = Some(cache_status);
    }
}

/// Returns whether a status is only ever sent to a client who may have what it asked for.
pub fn is_granted(status: StatusCode) -> bool {
    status.is_success()
        || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE)
}
