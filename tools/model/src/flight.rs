//! A request on its way, and what came of it.

use std::fmt;
use std::rc::Rc;

use http::header::{
    AsHeaderName, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use matrix_media_edge::cache::in_flight::Ticket;
use matrix_media_edge::cache::key::CacheKey;
use matrix_media_edge::endpoint::download::{PendingAnswer, Suspicion};
use matrix_media_edge::lease::{LeaseChange, LeaseKeys, Leases};
use matrix_media_edge::matrix::media::Door;
use matrix_media_edge::message::RequestHead;
use matrix_media_edge::origin::{OriginRequest, Timeout};
use matrix_media_edge::route::Endpoint;

use crate::ask::Ask;
use crate::edge::Stored;
use crate::homeserver::{Answer, By, HOMESERVER, Wire};
use crate::purged::Heard;

/// A request on its way.
pub struct Flight {
    pub ask: Ask,
    pub head: Rc<RequestHead>,
    pub sent: HeaderMap,
    /// Which isolate has it.
    pub isolate: usize,
    pub keys: Option<(CacheKey, Option<LeaseKeys>)>,
    /// The background renewal that this is; `None` for a client that waits for an answer.
    pub renews: Option<Ticket>,
    /// When it came, by the edge's clock.
    pub came_ms: u64,
    /// How many words had been heard when it looked leases up.
    pub heard_before: usize,
    pub found: Found,
    /// Whether its last answer was taken for a sign of an outage.
    pub has_suspected: bool,
    pub stage: Stage,
    pub talk: Vec<Exchanged>,
}

/// What a look-up brought.
#[derive(Clone, Default)]
pub struct Found {
    pub stored: Option<Stored>,
    pub leases: Leases,
    pub now_unix_secs: u64,
    pub heard: Heard,
    /// Whether its isolate has forgotten a purge that it had heard of.
    pub has_forgotten: bool,
    /// Whether its isolate must know that the homeserver is down.
    pub is_down_known: bool,
    /// How long before it was served, or found out about an outage, a probe had failed there.
    pub down_ms: Option<u64>,
}

/// Where it is.
pub enum Stage {
    /// The question is on its way to the origin.
    Asking {
        next: Next,
        request: OriginRequest,
        asked: Moment,
    },
    /// The answer is on its way back.
    Answering {
        next: Next,
        timeout: Timeout,
        asked: Moment,
        answered: Moment,
        answer: Answer,
    },
    /// The question failed, and a probe tells whether it is to be served stale.
    Suspecting {
        suspicion: Suspicion,
        since: Moment,
        asked: Moment,
        answer: Answer,
    },
    Done,
}

/// Who takes the answer.
pub enum Next {
    Pending(PendingAnswer),
    Forward(Endpoint),
}

/// An instant, by the wall and by the edge's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    pub now_ms: u64,
    pub edge_ms: u64,
}

/// One question and what came back.
#[derive(Clone, Debug)]
pub struct Exchanged {
    pub wire: Wire,
    pub answer: Answer,
    /// How the homeserver would have refused the client's own request at that moment.
    pub direct: Option<u16>,
}

/// What the homeserver said about a request.
#[derive(Clone, Debug)]
pub struct Word {
    pub isolate: usize,
    pub door: Door,
    pub token: Option<usize>,
    /// Nothing for `whoami`.
    pub media: Option<usize>,
    pub is_thumbnail: bool,
    pub status: u16,
    /// When the request came for which it was asked, and when it was said, by the edge's clock.
    pub came_ms: u64,
    pub said_ms: u64,
    /// When it was heard, by the edge's clock.
    pub heard_ms: u64,
    /// Whether the isolate that heard it is the one of then.
    pub is_remembered: bool,
    /// It was a refusal, the data centre kept its yes, and who heard it has forgotten.
    pub is_forgotten: bool,
    /// Whether what it ends could be removed at the data centre.
    pub is_removable: bool,
}

/// What the client gets.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The body ends before its end.
    pub is_broken: bool,
    /// It is of a stored response.
    pub is_stored: bool,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value:?}")?;
        }
        writeln!(f, "{:?}", String::from_utf8_lossy(&self.body))
    }
}

/// A reply with what led to it, and what it led to.
pub struct Answered {
    pub flight: Flight,
    pub reply: Reply,
    pub change: Change,
}

/// What became of the entry and of the leases.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub is_stored: bool,
    pub is_removed: bool,
    pub leases: LeaseChange,
}

impl Change {
    pub const NOTHING: Self =
        Self { is_stored: false, is_removed: false, leases: LeaseChange::Unchanged };
}

impl Answered {
    pub fn status(&self) -> u16 {
        self.reply.status
    }

    pub fn header(&self, name: impl AsHeaderName) -> &str {
        self.reply.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// How the origin answered each question; 0 where it didn't.
    pub fn heard(&self) -> Vec<u16> {
        self.flight.talk.iter().map(|told| told.answer.status().unwrap_or(0)).collect()
    }

    /// What was asked, with the server it was asked of left out if that is the homeserver.
    pub fn questions(&self) -> Vec<String> {
        let text = |url: &str| url.trim_start_matches(HOMESERVER).to_owned();
        self.flight.talk.iter().map(|told| text(&told.wire.url)).collect()
    }

    /// The homeserver's validator of what is served.
    pub fn version(&self) -> Option<String> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let stored = self.flight.found.stored.as_ref().filter(|_| self.reply.is_stored);
        if let Some(stored) = stored {
            return stored.meta.validator().precondition().map(|(_, value)| text(&value));
        }
        let answer = &self.flight.talk.last()?.answer;
        let head = answer.head.as_ref().ok().filter(|_| answer.by == By::Homeserver)?;
        head.headers.get(ETAG).or_else(|| head.headers.get(LAST_MODIFIED)).map(text)
    }
}

impl Exchanged {
    pub fn is_conditional(&self) -> bool {
        [IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|name| self.wire.headers.contains_key(name))
    }
}

impl Flight {
    /// Whether the cache had a part in it.
    pub const fn has_looked_up(&self) -> bool {
        self.keys.is_some()
    }

    /// Whether nobody waits for its answer.
    pub const fn is_behind(&self) -> bool {
        self.renews.is_some()
    }
}
