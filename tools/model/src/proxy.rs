//! What may stand in front of the homeserver and answer in its place: a bot wall, a login page, a
//! maintenance page, a rate limiter. It says much, but never what only a homeserver says.

use std::collections::BTreeMap;

use http::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LOCATION, REFERER,
    RETRY_AFTER, USER_AGENT,
};
use matrix_media_edge::headers::CF_MITIGATED;
use matrix_media_edge::origin::OriginError;

use crate::homeserver::{Answer, By, Wire, value};

/// Where a login page is.
pub const LOGIN: &str = "https://login.example.net";

const FORWARDED_FOR: &str = "x-forwarded-for";
pub const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// How long a header it takes, in bytes.
const LONG_BYTES: usize = 8_000;

/// How many requests of one address it lets through in a second.
const RATE: u32 = 2;

/// When it answers by itself, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    pub trigger: Trigger,
    pub page: Page,
}

/// What provokes it. Of a reader's request it sees what the edge lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    Everything,
    /// A `User-Agent` that says so.
    Robot,
    /// A `User-Agent` that is the edge's own.
    Tool,
    /// A `Referer` from another site.
    Referer,
    /// A browser that wants a page.
    Accept,
    /// A header that is too long.
    LongField,
    /// A request that came without TLS.
    Scheme,
    /// Too many requests of one address.
    Rate,
}

/// What it says then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Html,
    /// One that caches may keep.
    HtmlWithTag,
    Json,
    Text,
    /// Elsewhere: to log in.
    Login,
    /// Elsewhere: to the same place, with TLS.
    SamePlace,
    Unauthorized,
    Forbidden,
    /// The platform's own page.
    Mitigated,
    Gone,
    TooMany,
    /// 503, with and without a time to come back.
    Unavailable(bool),
    BadGateway,
    Dropped,
}

pub const PAGES: [Page; 18] = [
    Page::Html,
    Page::Html,
    Page::HtmlWithTag,
    Page::HtmlWithTag,
    Page::Json,
    Page::Json,
    Page::Text,
    Page::Login,
    Page::SamePlace,
    Page::Unauthorized,
    Page::Forbidden,
    Page::Mitigated,
    Page::Gone,
    Page::TooMany,
    Page::Unavailable(false),
    Page::Unavailable(true),
    Page::BadGateway,
    Page::Dropped,
];

/// The more can go wrong by one, the oftener it is here.
pub const TRIGGERS: [Trigger; 12] = [
    Trigger::Everything,
    Trigger::Everything,
    Trigger::Everything,
    Trigger::Robot,
    Trigger::Robot,
    Trigger::Tool,
    Trigger::Tool,
    Trigger::Referer,
    Trigger::Accept,
    Trigger::LongField,
    Trigger::Scheme,
    Trigger::Rate,
];

#[derive(Debug, Default)]
pub struct Proxy {
    pub wall: Option<Wall>,
    /// The second of each address's last request, and how many came in it.
    counted: BTreeMap<String, (u64, u32)>,
}

impl Proxy {
    /// What it answers by itself, if it does.
    pub fn answer(&mut self, wire: &Wire, now_ms: u64) -> Option<Answer> {
        let wall = self.wall?;
        let text = |name: &str| wire.headers.get(name).and_then(|value| value.to_str().ok());
        let agent = text(USER_AGENT.as_str()).unwrap_or_default();
        let is_provoked = match wall.trigger {
            Trigger::Everything => true,
            Trigger::Robot => agent.contains("bot"),
            Trigger::Tool => agent == "matrix-media-edge",
            Trigger::Referer => wire.headers.contains_key(REFERER),
            Trigger::Accept => wire.headers.contains_key(ACCEPT),
            Trigger::LongField => wire.headers.values().any(|value| value.len() > LONG_BYTES),
            Trigger::Scheme => text(FORWARDED_PROTO) == Some("http"),
            Trigger::Rate => {
                let address = text(FORWARDED_FOR).unwrap_or_default().to_owned();
                let (second, count) = self.counted.entry(address).or_default();
                if *second != now_ms / 1000 {
                    (*second, *count) = (now_ms / 1000, 0);
                }
                *count += 1;
                *count > RATE
            }
        };
        is_provoked.then(|| wall.page.answer(wire))
    }
}

impl Page {
    fn answer(self, wire: &Wire) -> Answer {
        let page = |status, content_type, fields: &[(HeaderName, &str)]| {
            written(By::Proxy, status, content_type, fields)
        };
        match self {
            Self::Html => page(200, "text/html", &[]),
            Self::HtmlWithTag => page(200, "text/html", &[(ETAG, "\"page\"")]),
            Self::Json => page(200, "application/json", &[]),
            Self::Text => page(200, "text/plain; charset=utf-8", &[]),
            Self::Login => page(302, "text/html", &[(LOCATION, &format!("{LOGIN}/?next=media"))]),
            Self::SamePlace => page(301, "text/html", &[(LOCATION, &wire.url)]),
            Self::Unauthorized => page(401, "text/html", &[]),
            Self::Forbidden => page(403, "text/html", &[]),
            Self::Mitigated => page(403, "text/html", &[(CF_MITIGATED, "challenge")]),
            Self::Gone => page(404, "text/plain", &[]),
            Self::TooMany => page(429, "text/plain", &[(RETRY_AFTER, "1")]),
            Self::Unavailable(true) => page(503, "text/html", &[(RETRY_AFTER, "60")]),
            Self::Unavailable(false) => page(503, "text/html", &[]),
            Self::BadGateway => page(502, "text/html", &[]),
            Self::Dropped => Answer::failed(By::Proxy, OriginError::Unreachable),
        }
    }
}

/// The page of a stranger, to whom nobody's credential is told.
pub fn login_page(wire: &Wire) -> Answer {
    assert!(!wire.headers.contains_key("authorization"), "a stranger gets no credential");
    assert!(!wire.headers.contains_key(FORWARDED_FOR), "a stranger gets no address");
    written(By::Login, 200, "text/html; charset=utf-8", &[(ETAG, "\"login\"")])
}

fn written(by: By, status: u16, content_type: &str, fields: &[(HeaderName, &str)]) -> Answer {
    let body = match content_type {
        "application/json" => "{\"message\":\"by somebody else\"}",
        _ => "<p>by somebody else</p>",
    };
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, value(content_type))]);
    headers.insert(CONTENT_LENGTH, body.len().into());
    headers.extend(fields.iter().map(|(name, text)| (name.clone(), value(text))));
    Answer::new(by, status, headers, body)
}
