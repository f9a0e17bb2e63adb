//! What is told of a request when it is done.
//!
//! Words and numbers of ours, by type: there is no place in it for a token, a user, an address, a
//! media ID, or any other text that came from outside.

use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::cache_status::{CacheStatus, ForwardReason, Source};
use crate::config::LogRequests;
use crate::request::{OriginHead, ReplyHead, own_value};
use crate::route::{Door, Route};
use crate::tier::Tier;

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

/// What came of a request, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// From what is stored, without asking.
    Hit,
    /// From what is stored, though the origin is down.
    Stale,
    /// From what is stored, on the origin's word.
    Revalidated,
    /// From the origin, which was asked for all of it.
    Miss,
    /// From the origin, as every time.
    Bypass,
    /// The origin's refusal or failure.
    Refused,
    /// An error of ours.
    Rejected,
    /// From us alone: a preflight, the status, a document that is kept or made.
    Local,
}

impl Outcome {
    /// The word for the log.
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

    /// Whether the body came from what is stored.
    pub const fn is_from_store(self) -> bool {
        matches!(self, Self::Hit | Self::Stale | Self::Revalidated)
    }
}

impl Event {
    /// What is asked for.
    pub fn routed(&mut self, route: &Route) {
        self.route = Some(route.as_str());
        self.door = route.door();
    }

    /// The head of the answer.
    pub fn replied(&mut self, head: &ReplyHead) {
        self.cache = head.cache_status;
        self.rejection = head.rejection;
    }

    /// Where the stored response was found that is served.
    pub fn served_from(&mut self, tier: Tier) {
        self.tier = Some(tier);
    }

    /// The origin was asked, took this long, and maybe answered.
    pub fn asked_origin(&mut self, method: &Method, answer: Option<&OriginHead>, waited_ms: u64) {
        self.origin.requests += 1;
        self.origin.waited_ms += waited_ms;
        self.origin_status = answer.map(|answer| answer.status.as_u16());
        // Either may tell the length of a body that does not come (RFC 9110 §8.6).
        let has_body = method != Method::HEAD && self.origin_status != Some(304);
        let length = answer.filter(|_| has_body).and_then(OriginHead::content_length);
        self.origin.body_bytes += length.unwrap_or(0);
    }

    /// The answer, its body's length if it has one, when it came, and where.
    pub fn answered(&mut self, status: u16, body_bytes: u64, duration_ms: u64, pop: Pop) {
        self.status = status;
        self.body_bytes = body_bytes;
        self.duration_ms = duration_ms;
        self.pop = pop;
    }

    /// What the origin had to do with it so far.
    pub fn origin(&self) -> OriginShare {
        self.origin
    }

    /// Where the answer comes from and how long the origin took, for the client's tools (W3C Server
    /// Timing); nothing, if there is nothing to tell.
    pub fn server_timing(&self) -> Option<HeaderValue> {
        let OriginShare { requests, waited_ms, .. } = self.origin;
        let timing = match self.tier.map(Tier::as_str) {
            Some(tier) if requests > 0 => format!("tier;desc={tier}, origin;dur={waited_ms}"),
            Some(tier) => format!("tier;desc={tier}"),
            None if requests > 0 => format!("origin;dur={waited_ms}"),
            None => return None,
        };
        Some(own_value(&timing))
    }

    /// The length of the answer's body, in bytes.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// What came of it.
    pub fn outcome(&self) -> Outcome {
        if self.rejection.is_some() {
            return Outcome::Rejected;
        }
        let is_refusal = self.status >= 400 && self.status != 416;
        let Some(cache) = self.cache else {
            return match self.origin_status {
                Some(_) if is_refusal => Outcome::Refused,
                Some(..400) => Outcome::Bypass,
                Some(_) | None => Outcome::Local,
            };
        };
        match cache.source {
            Source::Hit { .. } if cache.detail.is_some() => Outcome::Stale,
            Source::Hit { .. } => Outcome::Hit,
            Source::Forwarded { status: None, .. } => Outcome::Rejected,
            Source::Forwarded { .. } if is_refusal => Outcome::Refused,
            Source::Forwarded { reason: ForwardReason::Bypass, .. } => Outcome::Bypass,
            Source::Forwarded { reason: ForwardReason::Stale, status: Some(status) }
                if status != StatusCode::OK || self.tier.is_some() =>
            {
                Outcome::Revalidated
            }
            Source::Forwarded { .. } => Outcome::Miss,
        }
    }

    /// Whether it has a line in the log.
    pub fn is_logged(&self, config: LogRequests) -> bool {
        match config {
            LogRequests::All => true,
            LogRequests::Failures => {
                matches!(self.outcome(), Outcome::Refused | Outcome::Rejected | Outcome::Stale)
            }
            LogRequests::None => false,
        }
    }

    /// The line of the log: one JSON object. Its members are named in `docs/numbers.md`.
    pub fn to_line(&self) -> String {
        let word = |word: Option<&str>| {
            word.map_or_else(|| "null".to_owned(), |word| format!("\"{word}\""))
        };
        let origin_status = self.origin_status.map(|status| status.to_string());
        format!(
            concat!(
                r#"{{"event":"request","route":{},"door":{},"outcome":{},"tier":{},"reason":{},"#,
                r#""stored":{},"status":{},"origin_status":{},"body_bytes":{},"#,
                r#""origin_requests":{},"origin_body_bytes":{},"duration_ms":{},"origin_ms":{},"#,
                r#""pop":"{}"}}"#
            ),
            word(self.route),
            word(self.door.map(Door::as_str)),
            word(Some(self.outcome().as_str())),
            word(self.tier.map(Tier::as_str)),
            word(self.reason()),
            self.cache.is_some_and(|cache| cache.is_stored),
            self.status,
            origin_status.as_deref().unwrap_or("null"),
            self.body_bytes,
            self.origin.requests,
            self.origin.body_bytes,
            self.duration_ms,
            self.origin.waited_ms,
            self.pop.as_str(),
        )
    }

    fn reason(&self) -> Option<&'static str> {
        self.rejection.or_else(|| self.cache?.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix_error::Rejection;

    fn plain() -> ReplyHead {
        ReplyHead::new(StatusCode::OK, http::HeaderMap::new())
    }

    fn forwarded(reason: ForwardReason, status: u16) -> CacheStatus {
        let status = StatusCode::from_u16(status).ok();
        let source = Source::Forwarded { reason, status };
        CacheStatus { source, is_stored: false, detail: None }
    }

    fn outcome(cache: CacheStatus, tier: Option<Tier>, status: u16) -> Outcome {
        let mut event = Event::default();
        event.replied(&ReplyHead { cache_status: Some(cache), ..plain() });
        if let Some(tier) = tier {
            event.served_from(tier);
        }
        event.answered(status, 0, 0, Pop::default());
        event.outcome()
    }

    #[test]
    fn every_way_to_an_answer_has_its_word() {
        let hit = |detail| CacheStatus {
            source: Source::Hit { ttl_seconds: 5 },
            is_stored: false,
            detail,
        };
        let stale = |status| forwarded(ForwardReason::Stale, status);
        for (cache, tier, status, expected) in [
            (hit(None), Some(Tier::Memory), 200, Outcome::Hit),
            (hit(Some("stale-if-error")), Some(Tier::Pop), 200, Outcome::Stale),
            (stale(304), Some(Tier::Memory), 200, Outcome::Revalidated),
            (stale(304), None, 304, Outcome::Revalidated),
            (stale(200), Some(Tier::Pop), 206, Outcome::Revalidated),
            (stale(200), None, 200, Outcome::Miss),
            (stale(401), None, 401, Outcome::Refused),
            (forwarded(ForwardReason::UriMiss, 200), None, 200, Outcome::Miss),
            (forwarded(ForwardReason::UriMiss, 200), None, 416, Outcome::Miss),
            (forwarded(ForwardReason::UriMiss, 404), None, 404, Outcome::Refused),
            (forwarded(ForwardReason::Bypass, 200), None, 200, Outcome::Bypass),
        ] {
            assert_eq!(outcome(cache, tier, status), expected, "{cache} {status}");
        }
        assert_eq!(Event::default().outcome(), Outcome::Local);
        let mut rejected = Event::default();
        rejected.replied(&Rejection::Loop.reply().0);
        assert_eq!(rejected.outcome(), Outcome::Rejected);
    }

    fn asked(method: &Method, status: u16, length: &'static str) -> Event {
        let mut event = Event::default();
        let length = HeaderValue::from_static(length);
        let headers = http::HeaderMap::from_iter([(http::header::CONTENT_LENGTH, length)]);
        let status = StatusCode::from_u16(status).unwrap();
        event.asked_origin(method, Some(&OriginHead { status, headers }), 2);
        event
    }

    #[test]
    fn what_is_not_looked_up_is_the_origins_answer_or_ours() {
        for (origin_status, status, expected) in [
            (200, 200, Outcome::Bypass),
            (101, 101, Outcome::Bypass),
            (404, 404, Outcome::Refused),
            (503, 200, Outcome::Local),
        ] {
            let mut event = asked(&Method::GET, origin_status, "5");
            event.answered(status, 5, 0, Pop::default());
            assert_eq!(event.outcome(), expected, "{origin_status} {status}");
        }
    }

    #[test]
    fn bodies_that_do_not_come_weigh_nothing() {
        let weight = |method, status| asked(&method, status, "5").origin().body_bytes;
        assert_eq!(weight(Method::GET, 200), 5);
        assert_eq!(weight(Method::HEAD, 200), 0);
        assert_eq!(weight(Method::GET, 304), 0);
    }

    #[test]
    fn a_line_is_one_json_object() {
        let mut event = Event::default();
        event.routed(&Route::Unrecognized);
        event.replied(&Rejection::Unrecognized.reply().0);
        event.answered(404, 70, 3, Pop::parse("FRA"));
        let line: serde_json::Value = serde_json::from_str(&event.to_line()).unwrap();
        assert_eq!(line["route"], "unrecognized");
        assert_eq!(line["reason"], "unrecognized");
        assert_eq!((line["status"].as_u64(), line["body_bytes"].as_u64()), (Some(404), Some(70)));
        assert_eq!(line["pop"], "FRA");
        assert!(!event.to_line().contains('\n'));
    }

    #[test]
    fn the_admin_chooses_what_is_logged() {
        let mut rejected = Event::default();
        rejected.replied(&Rejection::Loop.reply().0);
        let is_logged = |config| (Event::default().is_logged(config), rejected.is_logged(config));
        assert_eq!(is_logged(LogRequests::All), (true, true));
        assert_eq!(is_logged(LogRequests::Failures), (false, true));
        assert_eq!(is_logged(LogRequests::None), (false, false));
    }

    #[test]
    fn a_pop_is_three_letters_or_nowhere() {
        assert_eq!(Pop::parse("FRA").as_str(), "FRA");
        for text in ["", "fra", "FRAX", "192.0.2.1", "é1"] {
            assert_eq!(Pop::parse(text).as_str(), "", "{text}");
        }
    }
}
