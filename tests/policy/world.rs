//! Drives the real policy as the shell does, one step at a time, so that anything may happen
//! between two of them.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap};
use matrix_media_edge::cache_key::CacheKey;
use matrix_media_edge::config::Config;
use matrix_media_edge::exchange::{
    Begin, Body, Cut, Decision, EntryChange, Exchange, Outcome, Pending, Question, Refresh, Verdict,
};
use matrix_media_edge::forward;
use matrix_media_edge::lease::{LeaseKeys, Leases};
use matrix_media_edge::matrix_error::Rejection;
use matrix_media_edge::request::{OriginError, OriginRequest, Patience, ReplyHead, RequestHead};
use matrix_media_edge::route::{BypassReason, Door, Endpoint, Route, admit};

use crate::ask::Ask;
use crate::homeserver::{Answer, HOMESERVER, Habits, Homeserver, SERVER_NAME, Wire};
use crate::store::{Cache, LeaseStore, Memory};

pub(crate) const START_UNIX_SECS: u64 = 1_700_000_000;

pub(crate) struct World {
    pub(crate) config: Rc<Config>,
    pub(crate) homeserver: Homeserver,
    pub(crate) cache: Cache,
    pub(crate) memories: [Memory; 2],
    /// Time that has passed.
    pub(crate) now_ms: u64,
    /// How far the edge's clock is off.
    pub(crate) step_secs: i64,
    pub(crate) flights: Vec<Flight>,
    /// All that the homeserver said, in the order in which the edge heard it.
    pub(crate) words: Vec<Word>,
    tags: BTreeMap<(usize, &'static str), String>,
}

/// A request on its way.
pub(crate) struct Flight {
    pub(crate) ask: Ask,
    pub(crate) head: Rc<RequestHead>,
    sent: HeaderMap,
    /// Which isolate has it.
    pub(crate) isolate: usize,
    keys: Option<(CacheKey, Option<LeaseKeys>)>,
    /// The lease that it renews behind the back of a client who has an answer already.
    renews: Option<CacheKey>,
    /// When it came, by the edge's clock.
    came_ms: u64,
    /// How many words had been heard when it looked leases up.
    pub(crate) heard_before: usize,
    pub(crate) found: Found,
    stage: Stage,
    pub(crate) talk: Vec<Exchanged>,
}

/// What a look-up brought.
#[derive(Clone, Default)]
pub(crate) struct Found {
    pub(crate) stored: Option<(matrix_media_edge::stored::StoredMeta, Vec<u8>)>,
    pub(crate) leases: Leases,
    pub(crate) now_unix_secs: u64,
}

enum Stage {
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
    Done,
}

enum Next {
    Pending(Pending),
    Forward(Endpoint),
}

/// An instant, by the wall and by the edge's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    now_ms: u64,
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
    pub(crate) status: u16,
    /// When the request came for which it was asked, and when it was said, by the edge's clock.
    pub(crate) came_ms: u64,
    pub(crate) said_ms: u64,
}

/// What the client gets.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The body ends before its end.
    pub(crate) is_broken: bool,
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

/// A reply with what led to it.
pub(crate) struct Answered {
    pub(crate) flight: Flight,
    pub(crate) reply: Reply,
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

impl World {
    pub(crate) fn new(vars: &[(&str, &str)], habits: Habits) -> Self {
        let required = [
            ("HOMESERVER_URL", HOMESERVER),
            ("SERVER_NAME", SERVER_NAME),
            ("MEDIA_URL", "https://media.example.com"),
        ];
        let vars: BTreeMap<_, _> = required.into_iter().chain(vars.iter().copied()).collect();
        let config = Config::parse(|name| vars.get(name).map(|text| (*text).to_owned()));
        Self {
            config: Rc::new(config.expect("good variables")),
            homeserver: Homeserver::new(habits),
            cache: Cache::default(),
            memories: <[Memory; 2]>::default(),
            now_ms: 0,
            step_secs: 0,
            flights: Vec::new(),
            words: Vec::new(),
            tags: BTreeMap::new(),
        }
    }

    /// The edge's clock, in milliseconds since the Unix epoch.
    pub(crate) fn edge_ms(&self) -> u64 {
        (START_UNIX_SECS * 1000 + self.now_ms).saturating_add_signed(self.step_secs * 1000)
    }

    pub(crate) fn edge_secs(&self) -> u64 {
        self.edge_ms() / 1000
    }

    fn moment(&self) -> Moment {
        Moment { now_ms: self.now_ms, edge_ms: self.edge_ms() }
    }

    /// Takes a request in, as far as its first question. The last of the flights is its own then,
    /// unless there is an answer already.
    pub(crate) fn begin(&mut self, ask: &Ask, isolate: usize) -> Option<Answered> {
        let sent = ask
            .headers(&self.homeserver, |media, what| self.tags.get(&(media, what.name())).cloned());
        let head = Rc::new(ask.head(&self.homeserver, &sent));
        let mut flight = Flight {
            ask: ask.clone(),
            head: Rc::clone(&head),
            sent,
            isolate,
            keys: None,
            renews: None,
            came_ms: self.edge_ms(),
            heard_before: self.words.len(),
            found: Found::default(),
            stage: Stage::Done,
            talk: Vec::new(),
        };
        let route = admit(&head, &self.config).expect("a target that leaves as it came");
        let media = match route {
            Route::Media(media) => media,
            Route::Forward(endpoint) => return self.forward(flight, endpoint),
            Route::Limits(door) => {
                let reason = BypassReason::Endpoint;
                return self.forward(flight, Endpoint { door, reason });
            }
            other => panic!("not media: {other:?}"),
        };
        let door = media.door;
        let config = Rc::clone(&self.config);
        let exchange = match Exchange::begin(config, head, media, &self.config.digest_key()) {
            Begin::LookUp(exchange) => exchange,
            Begin::Bypass(reason) => return self.forward(flight, Endpoint { door, reason }),
        };
        let keys = (exchange.key().clone(), exchange.lease_keys().cloned());
        let stored = self.cache.look_up(&keys.0, self.now_ms);
        let leases = self.leases(isolate).look_up(keys.1.as_ref());
        flight.keys = Some(keys);
        flight.found = Found { stored: stored.clone(), leases, now_unix_secs: self.edge_secs() };
        match exchange.on_lookup(stored.map(|(meta, _)| Rc::new(meta)), leases, self.edge_secs()) {
            Decision::Serve(outcome, refresh) => {
                let is_under_way = |key: &CacheKey| {
                    self.flights.iter().any(|flight| flight.renews.as_ref() == Some(key))
                };
                if let Some(Refresh { key, question }) = refresh.filter(|r| !is_under_way(&r.key)) {
                    let behind = Flight {
                        ask: flight.ask.clone(),
                        head: Rc::clone(&flight.head),
                        sent: flight.sent.clone(),
                        keys: flight.keys.clone(),
                        renews: Some(key),
                        found: Found::default(),
                        stage: self.asking(question),
                        talk: Vec::new(),
                        ..flight
                    };
                    self.flights.push(behind);
                }
                Some(self.respond(flight, outcome, None))
            }
            Decision::Ask(question) => {
                flight.stage = self.asking(question);
                self.flights.push(flight);
                None
            }
        }
    }

    fn asking(&self, Question { request, pending }: Question) -> Stage {
        Stage::Asking { next: Next::Pending(pending), request, asked: self.moment() }
    }

    fn forward(&mut self, mut flight: Flight, endpoint: Endpoint) -> Option<Answered> {
        let request = forward::media_request(&flight.head, &self.config);
        let next = Next::Forward(endpoint);
        flight.stage = Stage::Asking { next, request, asked: self.moment() };
        self.flights.push(flight);
        None
    }

    /// Moves a flight on: the origin makes up its mind, or its answer arrives.
    pub(crate) fn advance(&mut self, index: usize) -> Option<Answered> {
        let mut flight = self.flights.remove(index);
        match std::mem::replace(&mut flight.stage, Stage::Done) {
            Stage::Asking { next, request, asked } => {
                let wire = wire(&flight, &request);
                let mut answer = self.homeserver.answer(&wire);
                if answer.is_broken {
                    answer.body.truncate(answer.body.len() / 2);
                }
                let is_refused = answer.status().is_some_and(|status| status >= 400);
                let direct = is_refused.then(|| self.directly(&flight)).flatten();
                flight.talk.push(Exchanged { wire, answer: answer.clone(), direct });
                let answered = self.moment();
                let patience = request.patience;
                flight.stage = Stage::Answering { next, patience, asked, answered, answer };
                self.flights.insert(index, flight);
                None
            }
            Stage::Answering { next, patience, asked, answered, mut answer } => {
                let waited_ms = self.now_ms - asked.now_ms;
                if matches!(patience, Patience::Millis(limit) if waited_ms > u64::from(limit)) {
                    answer.head = Err(OriginError::TimedOut);
                }
                if let Some(last) = flight.talk.last_mut() {
                    last.answer = answer.clone();
                }
                self.hear(&flight, &answer, answered);
                match next {
                    Next::Forward(endpoint) => Some(self.relay(flight, endpoint, answer)),
                    Next::Pending(pending) => {
                        match pending.on_origin(answer.head.clone(), self.edge_secs()) {
                            Verdict::Answer(outcome) => {
                                Some(self.respond(flight, outcome, Some(answer)))
                            }
                            Verdict::AskAgain(question) => {
                                flight.stage = self.asking(question);
                                self.flights.insert(index, flight);
                                None
                            }
                        }
                    }
                }
            }
            Stage::Done => unreachable!("what is done has landed"),
        }
    }

    /// Without preconditions: these are the edge's to answer.
    fn directly(&mut self, flight: &Flight) -> Option<u16> {
        let url = format!("{HOMESERVER}{}", flight.head.target.as_str());
        let method = flight.head.method.clone();
        let credential = flight.sent.get(AUTHORIZATION).map(|value| (AUTHORIZATION, value.clone()));
        let headers = HeaderMap::from_iter(credential);
        self.homeserver.answer(&Wire { method, url, headers }).status()
    }

    fn hear(&mut self, flight: &Flight, answer: &Answer, answered: Moment) {
        let Some(Exchanged { wire, .. }) = flight.talk.last() else { return };
        let is_about_media = wire.url.contains("/download/") || wire.url.contains("/thumbnail/");
        let is_about_token = wire.url.ends_with("/account/whoami");
        let Some(status) = answer.status() else { return };
        if flight.ask.is_judged_alone()
            || !wire.url.starts_with(HOMESERVER)
            || !(is_about_media || is_about_token)
        {
            return;
        }
        self.words.push(Word {
            isolate: flight.isolate,
            door: flight.ask.door,
            token: flight.ask.token(),
            media: is_about_media.then_some(flight.ask.media),
            status,
            came_ms: flight.came_ms,
            said_ms: answered.edge_ms,
        });
    }

    fn relay(&self, flight: Flight, endpoint: Endpoint, answer: Answer) -> Answered {
        let reply = match &answer.head {
            Ok(origin) => {
                let head = forward::media_reply(&flight.head, endpoint, origin);
                reply(&head, answer.body, answer.is_broken)
            }
            Err(error) => {
                let (head, text) = Rejection::Origin(*error).reply();
                reply(&head, text.into_bytes(), false)
            }
        };
        Answered { flight, reply }
    }

    fn respond(&mut self, flight: Flight, outcome: Outcome, origin: Option<Answer>) -> Answered {
        let Some((key, lease_keys)) = flight.keys.clone() else { unreachable!("it has looked up") };
        self.leases(flight.isolate).apply(lease_keys.as_ref(), outcome.leases);
        match &outcome.entry {
            EntryChange::Keep => {}
            EntryChange::Remove => self.cache.remove(&key),
            EntryChange::Store(meta) => {
                let body = origin.as_ref().expect("an answer to store");
                if !body.is_broken {
                    let head = meta.entry_head(&self.config, self.edge_secs());
                    self.cache.store(&key, &head, &body.body, self.now_ms);
                }
            }
        }
        let is_broken = matches!(outcome.body, Body::Origin(_))
            && origin.as_ref().is_some_and(|origin| origin.is_broken);
        let body = match outcome.body {
            Body::Empty => Vec::new(),
            Body::Text(text) => text.into_bytes(),
            Body::Origin(cut) => cut_out(origin.expect("an answer to serve").body, cut),
            Body::Stored(cut) => {
                let stored = flight.found.stored.as_ref().or_else(|| {
                    assert!(flight.is_behind(), "something stored to serve");
                    None
                });
                stored.map(|(_, body)| cut_out(body.clone(), cut)).unwrap_or_default()
            }
        };
        let answered = Answered { flight, reply: reply(&outcome.head, body, is_broken) };
        self.keep_tag(&answered);
        answered
    }

    /// A client keeps the tag of what it got.
    fn keep_tag(&mut self, Answered { flight, reply }: &Answered) {
        let is_content = matches!(reply.status, 200 | 206 | 304);
        let is_behind_a_door = matches!(flight.ask.door, Door::Client | Door::Legacy);
        let tag = reply.headers.get("etag").and_then(|tag| tag.to_str().ok());
        if let Some(tag) = tag.filter(|_| is_content && is_behind_a_door && !flight.is_behind()) {
            self.tags.insert((flight.ask.media, flight.ask.what.name()), tag.to_owned());
        }
    }

    /// What tags the edge has given.
    pub(crate) const fn tags(&self) -> &BTreeMap<(usize, &'static str), String> {
        &self.tags
    }

    fn leases(&mut self, isolate: usize) -> LeaseStore<'_> {
        let now_unix_secs = self.edge_secs();
        LeaseStore {
            memory: &mut self.memories[isolate],
            cache: &mut self.cache,
            policy: self.config.lease,
            now_ms: self.now_ms,
            now_unix_secs,
        }
    }

    /// Asks and waits for the answer; others stay where they are.
    pub(crate) fn answer(&mut self, ask: &Ask) -> Answered {
        let others = std::mem::take(&mut self.flights);
        let mut answered = self.begin(ask, 0);
        while answered.is_none() {
            answered = self.advance(0);
        }
        self.flights.splice(0..0, others);
        answered.expect("an answer")
    }
}

/// The request as the shell sends it: what is kept of the client's headers, and ours on top.
fn wire(flight: &Flight, request: &OriginRequest) -> Wire {
    let kept = flight.sent.iter().filter(|(name, _)| request.keep.admits(name.as_str()));
    let mut headers: HeaderMap = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in &request.set {
        headers.insert(name.clone(), value.clone());
    }
    Wire { method: request.method.clone(), url: request.url.clone(), headers }
}

fn reply(head: &ReplyHead, body: Vec<u8>, is_broken: bool) -> Reply {
    let has_body = head.status != StatusCode::NOT_MODIFIED;
    let body = if has_body { body } else { Vec::new() };
    Reply { status: head.status.as_u16(), headers: head.headers.clone(), body, is_broken }
}

fn cut_out(body: Vec<u8>, cut: Cut) -> Vec<u8> {
    let offset = |at: u64| usize::try_from(at).expect("a small body").min(body.len());
    match cut {
        Cut::Whole | Cut::Multipart(_) => body,
        Cut::Part(range, _) => body[offset(range.first)..offset(range.last + 1)].to_vec(),
    }
}
