//! A request on its way, and what came of it.

use std::fmt;
use std::rc::Rc;

use http::header::{ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use matrix_media_edge::cache::key::CacheKey;
use matrix_media_edge::endpoint::download::{Pending, Suspicion};
use matrix_media_edge::lease::{LeaseChange, LeaseKeys, Leases};
use matrix_media_edge::matrix::media::Door;
use matrix_media_edge::message::RequestHead;
use matrix_media_edge::origin::{OriginRequest, Patience};
use matrix_media_edge::route::Endpoint;

use crate::ask::Ask;
use crate::edge::Stored;
use crate::homeserver::{Answer, By, Wire};
use crate::purged::Heard;

/// A request on its way.
pub(crate) struct Flight {
    pub(crate) ask: Ask,
    pub(crate) head: Rc<RequestHead>,
    pub(crate) sent: HeaderMap,
    /// Which isolate has it.
    pub(crate) isolate: usize,
    pub(crate) keys: Option<(CacheKey, Option<LeaseKeys>)>,
    /// The lease that it renews behind the back of a client who has an answer already.
    pub(crate) renews: Option<CacheKey>,
    /// When it came, by the edge's clock.
    pub(crate) came_ms: u64,
    /// How many words had been heard when it looked leases up.
    pub(crate) heard_before: usize,
    pub(crate) found: Found,
    /// Whether its last answer was taken for a sign of an outage.
    pub(crate) has_suspected: bool,
    pub(crate) stage: Stage,
    pub(crate) talk: Vec<Exchanged>,
}

/// What a look-up brought.
#[derive(Clone, Default)]
pub(crate) struct Found {
    pub(crate) stored: Option<Stored>,
    pub(crate) leases: Leases,
    pub(crate) now_unix_secs: u64,
    pub(crate) heard: Heard,
    /// Whether its isolate has forgotten a purge that it had heard of.
    pub(crate) has_forgotten: bool,
    /// Whether its isolate must know that the homeserver is down.
    pub(crate) is_down_known: bool,
    /// How long before it was served, or found out about an outage, a probe had failed there.
    pub(crate) down_ms: Option<u64>,
}

/// Where it is.
pub(crate) enum Stage {
    /// The question is on its way to the origin.
    Asking {
        next: Next,
        request: OriginRequest,
        asked: Moment,
    },
    /// The answer is on its way back.
    Answering {
        next: Next,
        patience: Patience,
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
pub(crate) enum Next {
    Pending(Pending),
    Forward(Endpoint),
}

/// An instant, by the wall and by the edge's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    pub(crate) now_ms: u64,
    pub(crate) edge_ms: u64,
}

/// One question and what came back.
#[derive(Clone, Debug)]
pub(crate) struct Exchanged {
    pub(crate) wire: Wire,
    pub(crate) answer: Answer,
    /// How the homeserver would have refused the client's own request at that moment.
    pub(crate) direct: Option<u16>,
}

/// What the homeserver said about a request.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) isolate: usize,
    pub(crate) door: Door,
    pub(crate) token: Option<usize>,
    /// Nothing for `whoami`.
    pub(crate) media: Option<usize>,
    pub(crate) is_thumbnail: bool,
    pub(crate) status: u16,
    /// When the request came for which it was asked, and when it was said, by the edge's clock.
    pub(crate) came_ms: u64,
    pub(crate) said_ms: u64,
    /// It was a refusal, the data centre kept its yes, and who heard it has forgotten.
    pub(crate) is_forgotten: bool,
    /// Whether what it ends could be removed at the data centre.
    pub(crate) is_removable: bool,
}

/// What the client gets.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The body ends before its end.
    pub(crate) is_broken: bool,
    /// It is of a stored response.
    pub(crate) is_stored: bool,
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
pub(crate) struct Answered {
    pub(crate) flight: Flight,
    pub(crate) reply: Reply,
    pub(crate) change: Change,
}

/// What became of the entry and of the leases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) is_stored: bool,
    pub(crate) is_removed: bool,
    pub(crate) leases: LeaseChange,
}

impl Change {
    pub(crate) const NOTHING: Self =
        Self { is_stored: false, is_removed: false, leases: LeaseChange::Keep };
}

impl Answered {
    /// The homeserver's validator of what is served.
    pub(crate) fn version(&self) -> Option<String> {
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

impl Flight {
    /// Whether the cache had a part in it.
    pub(crate) const fn has_looked_up(&self) -> bool {
        self.keys.is_some()
    }

    /// Whether nobody waits for its answer.
    pub(crate) const fn is_behind(&self) -> bool {
        self.renews.is_some()
    }
}
