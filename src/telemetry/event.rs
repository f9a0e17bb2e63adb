//! What is reported of a request when it has ended.
//!
//! The edge's own words and numbers, by type: there is no place in an event for a token, a user, an
//! address, a media ID, or any other text that came from outside.

use std::borrow::Cow;

use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;

use crate::cache::tier::Tier;
use crate::config::LogRequests;
use crate::headers::cache_status::{CacheStatus, ForwardReason, Source};
use crate::headers::own_value;
use crate::matrix::json;
use crate::matrix::media::Door;
use crate::message::{ReplyHead, is_granted};
use crate::origin::OriginHead;
use crate::route::Route;

/// The header that tells clients' tools where an answer came from (W3C Server Timing).
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// One request, as it is logged and counted.
#[derive(Clone, Debug, Default)]
pub struct Event {
    route: Option<&'static str>,
    door: Option<Door>,
    cache: Option<CacheStatus>,
    tier: Option<Tier>,
    rejection: Option<&'static str>,
    status: u16,
    origin_status: Option<u16>,
    body_bytes: u64,
    origin: OriginShare,
    duration_ms: u64,
    pop: Pop,
}

/// What the origin had to do with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginShare {
    /// How often it was asked.
    pub requests: u32,
    /// What the bodies of its answers said they weigh, in bytes.
    pub body_bytes: u64,
    /// How long it took for the heads of its answers, in milliseconds.
    pub waited_ms: u64,
}

/// The code of a data centre: three letters, such as `FRA`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pop([u8; 3]);

impl Pop {
    /// Reads a code; what is none is nowhere.
    pub fn parse(text: &str) -> Self {
        match text.as_bytes() {
            &[a, b, c] if text.bytes().all(|b| b.is_ascii_uppercase()) => Self([a, b, c]),
            _ => Self::default(),
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default().trim_matches('\0')
    }
}

/// How a request was answered, as one word of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheOutcome {
    /// From the stored response, without asking the origin.
    Hit,
    /// From the stored response, while the origin is down.
    Stale,
    /// From the stored response, which the origin has revalidated.
    Revalidated,
    /// From the origin, which was asked for all of it.
    Miss,
    /// From the origin, as every time.
    Bypass,
    /// The origin's refusal or failure.
    Refused,
    /// An error of the edge.
    Rejected,
    /// By the edge alone: a preflight, the status, a document that is kept or made.
    Local,
}

impl CacheOutcome {
    /// Returns the word for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Local => "local",
        }
    }

    /// Returns whether the body came from a stored response.
    pub const fn is_from_store(self) -> bool {
        matches!(self, Self::Hit | Self::Stale | Self::Revalidated)
    }
}

impl Event {
    /// Records what is asked for.
    pub fn routed(&mut self, route: &Route) {
        self.route = Some(route.as_str());
        self.door = route.door();
    }

    /// Records the head of the answer, and whether a body goes with it.
    pub fn replied(&mut self, head: &ReplyHead, has_body: bool) {
        self.cache = head.cache_status;
        self.rejection = head.rejection;
        let length = head.headers.get(CONTENT_LENGTH).filter(|_| has_body);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        self.answered(head.status.as_u16(), length.unwrap_or(0));
    }

    /// Records the tier that the served response was found in.
    pub fn served_from(&mut self, tier: Tier) {
        self.tier = Some(tier);
    }

    /// Records a request to the origin: how long it took, and the answer, if there was one.
    pub fn asked_origin(&mut self, method: &Method, answer: Option<&OriginHead>, waited_ms: u64) {
        self.origin.requests += 1;
        self.origin.waited_ms = self.origin.waited_ms.saturating_add(waited_ms);
        self.origin_status = answer.map(|answer| answer.status.as_u16());
        // Either may tell the length of a body that does not come (RFC 9110 §8.6).
        let has_body = method != Method::HEAD && self.origin_status != Some(304);
        let length = answer.filter(|_| has_body).and_then(OriginHead::content_length);
        self.origin.body_bytes = self.origin.body_bytes.saturating_add(length.unwrap_or(0));
    }

    /// Records the status of the answer and its body's length in bytes, 0 where that is not known.
    pub fn answered(&mut self, status: u16, body_bytes: u64) {
        self.status = status;
        self.body_bytes = body_bytes;
    }

    /// Returns whether the answer is recorded.
    pub fn is_answered(&self) -> bool {
        self.status != 0
    }

    /// Records how long the answer took, and at which data centre.
    pub fn ended(&mut self, duration_ms: u64, pop: Pop) {
        self.duration_ms = duration_ms;
        self.pop = pop;
    }

    /// Returns the origin's share so far.
    pub fn origin(&self) -> OriginShare {
        self.origin
    }

    /// Returns where the answer comes from and how long the origin took, for the client's tools
    /// (W3C Server Timing). `None` if neither is recorded, or if the client was refused: it would
    /// learn what others have read.
    pub fn server_timing(&self) -> Option<HeaderValue> {
        if StatusCode::from_u16(self.status).is_ok_and(|status| !is_granted(status)) {
            return None;
        }
        let OriginShare { requests, waited_ms, .. } = self.origin;
        let timing = match self.tier.map(Tier::as_str) {
            Some(tier) if requests > 0 => format!("tier;desc={tier}, origin;dur={waited_ms}"),
            Some(tier) => format!("tier;desc={tier}"),
            None if requests > 0 => format!("origin;dur={waited_ms}"),
            None => return None,
        };
        Some(own_value(&timing))
    }

    /// Returns the length of the answer's body, in bytes.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Returns the outcome of the request.
    pub fn outcome(&self) -> CacheOutcome {
        if self.rejection.is_some() {
            return CacheOutcome::Rejected;
        }
        let is_refusal = self.status >= 400 && self.status != 416;
        let Some(cache) = self.cache else {
            return match self.origin_status {
                Some(_) if is_refusal => CacheOutcome::Refused,
                Some(..400) => CacheOutcome::Bypass,
                Some(_) | None => CacheOutcome::Local,
            };
        };
        match cache.source {
            Source::Hit { .. } if cache.detail.is_some() => CacheOutcome::Stale,
            Source::Hit { .. } => CacheOutcome::Hit,
            Source::Forwarded { status: None, .. } => CacheOutcome::Rejected,
            Source::Forwarded { .. } if is_refusal => CacheOutcome::Refused,
            Source::Forwarded { reason: ForwardReason::Bypass, .. } => CacheOutcome::Bypass,
            Source::Forwarded { reason: ForwardReason::Stale, status: Some(status) }
                if status != StatusCode::OK || self.tier.is_some() =>
            {
                CacheOutcome::Revalidated
            }
            Source::Forwarded { .. } => CacheOutcome::Miss,
        }
    }

    /// Returns whether the request has a line in the log.
    pub fn is_logged(&self, config: LogRequests) -> bool {
        match config {
            LogRequests::All => true,
            LogRequests::Failures => {
                matches!(
                    self.outcome(),
                    CacheOutcome::Refused | CacheOutcome::Rejected | CacheOutcome::Stale
                )
            }
            LogRequests::None => false,
        }
    }

    /// Returns the line of the log: one JSON object. Its members are named in `docs/numbers.md`.
    pub fn to_line(&self) -> String {
        json::write(&Line {
            event: "request",
            route: self.route,
            door: self.door.map(Door::as_str),
            outcome: self.outcome().as_str(),
            tier: self.tier.map(Tier::as_str),
            reason: self.reason(),
            stored: self.cache.is_some_and(|cache| cache.is_stored),
            status: self.status,
            origin_status: self.origin_status,
            body_bytes: self.body_bytes,
            origin_requests: self.origin.requests,
            origin_body_bytes: self.origin.body_bytes,
            duration_ms: self.duration_ms,
            origin_ms: self.origin.waited_ms,
            pop: self.pop.as_str(),
        })
    }

    /// Returns the data point for Analytics Engine, whose columns `docs/numbers.md` names.
    pub fn data_point(&self) -> DataPoint<'_> {
        let door = self.door.map_or("", Door::as_str);
        let origin_status = self.origin_status.map(|status| status.to_string());
        DataPoint {
            indexes: [door],
            blobs: [
                self.route.unwrap_or_default().into(),
                door.into(),
                self.outcome().as_str().into(),
                self.tier.map_or("", Tier::as_str).into(),
                self.reason().unwrap_or_default().into(),
                self.status.to_string().into(),
                origin_status.unwrap_or_default().into(),
                self.pop.as_str().into(),
            ],
            doubles: [
                self.body_bytes as f64,
                self.origin.body_bytes as f64,
                f64::from(self.origin.requests),
                self.duration_ms as f64,
                self.origin.waited_ms as f64,
            ],
        }
    }

    fn reason(&self) -> Option<&'static str> {
        self.rejection.or_else(|| self.cache?.detail)
    }
}

/// One request in the columns of Analytics Engine. Texts are empty where the log has null.
#[derive(Clone, Debug, PartialEq)]
pub struct DataPoint<'a> {
    /// `index1`: the door.
    pub indexes: [&'static str; 1],
    /// `blob1` to `blob8`: route, door, outcome, tier, reason, status, origin's status, PoP.
    pub blobs: [Cow<'a, str>; 8],
    /// `double1` to `double5`: bytes of the body, bytes of the origin's bodies, requests to the origin,
    /// milliseconds, milliseconds of waiting for the origin. Analytics Engine has doubles alone.
    pub doubles: [f64; 5],
}

/// The line of the log, member by member.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    route: Option<&'static str>,
    door: Option<&'static str>,
    outcome: &'static str,
    tier: Option<&'static str>,
    reason: Option<&'static str>,
    stored: bool,
    status: u16,
    origin_status: Option<u16>,
    body_bytes: u64,
    origin_requests: u32,
    origin_body_bytes: u64,
    duration_ms: u64,
    origin_ms: u64,
    pop: &'a str,
}

#[cfg(test)]
mod tests;
