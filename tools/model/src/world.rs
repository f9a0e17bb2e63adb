//! Drives the real policy as the shell does, one step at a time, so that anything may happen
//! between two of them.

use std::collections::BTreeMap;
use std::rc::Rc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, RANGE};
use http::{Method, StatusCode};
use matrix_media_edge::admin::quarantine::{MAX_PAGES, Step};
use matrix_media_edge::cache::key::{CacheKey, KeyPrefix};
use matrix_media_edge::config::Config;
use matrix_media_edge::endpoint::download::{
    AfterLookup, AfterOrigin, Begin, BodySlice, Exchange, OriginExchange, Outcome, Refresh,
    ResponsePlan,
};
use matrix_media_edge::endpoint::forward;
use matrix_media_edge::lease::LeaseChange;
use matrix_media_edge::matrix::media::Door;
use matrix_media_edge::message::ReplyHead;
use matrix_media_edge::origin::outage::{Advice, Evidence, PROBE_MS, probe_request};
use matrix_media_edge::origin::{OriginError, OriginHead, OriginRequest, Timeout};
use matrix_media_edge::route::{BypassReason, Endpoint, Route, admit};

use crate::ask::Ask;
use crate::edge::{Edge, Now, POPS, Place, pop_of};
use crate::flight::{Answered, Change, Exchanged, Flight, Found, Moment, Next, Reply, Stage, Word};
use crate::homeserver::{Answer, By, HOMESERVER, Habits, Homeserver, SERVER_NAME, Wire};
use crate::probes::{Probes, UnderWay};
use crate::proxy::{LOGIN, Proxy, login_page};
use crate::purged::{Purged, What};
use crate::store::{Body as Bytes, Fault, Store};

pub const START_UNIX_SECS: u64 = 1_700_000_000;

pub struct World {
    pub config: Rc<Config>,
    pub homeserver: Homeserver,
    pub edge: Edge,
    pub purged: Purged,
    pub probes: Probes,
    /// Time that has passed.
    pub now_ms: u64,
    /// How far the edge's clock is off.
    pub step_secs: i64,
    /// How far each data centre's is ahead of that.
    pub ahead_secs: [u64; POPS],
    pub proxy: Proxy,
    pub flights: Vec<Flight>,
    /// All that the homeserver said, in the order in which the edge heard it.
    pub words: Vec<Word>,
    tags: BTreeMap<Version, String>,
}

/// A version of a representation, as the homeserver tells one from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub media: usize,
    pub what: &'static str,
    /// The homeserver's validator.
    pub version: Option<String>,
}

impl World {
    pub fn new(vars: &[(&str, &str)], habits: Habits, has_bucket: bool) -> Self {
        let required = [
            ("HOMESERVER_URL", HOMESERVER),
            ("SERVER_NAME", SERVER_NAME),
            ("MEDIA_URL", "https://media.example.com"),
        ];
        let vars: BTreeMap<_, _> = required.into_iter().chain(vars.iter().copied()).collect();
        let config = Config::parse(|name| vars.get(name).map(|text| (*text).to_owned()));
        let config = config.expect("good variables");
        Self {
            edge: Edge::new(&config, has_bucket),
            config: Rc::new(config),
            homeserver: Homeserver::new(habits),
            purged: Purged::default(),
            probes: Probes::default(),
            now_ms: 0,
            step_secs: 0,
            ahead_secs: [0; POPS],
            proxy: Proxy::default(),
            flights: Vec::new(),
            words: Vec::new(),
            tags: BTreeMap::new(),
        }
    }

    /// An isolate's clock, in milliseconds since the Unix epoch.
    pub fn edge_ms(&self, isolate: usize) -> u64 {
        self.edge_ms_at(self.now_ms, isolate)
    }

    /// What an isolate's clock told at that time, in milliseconds since the Unix epoch.
    pub fn edge_ms_at(&self, at_ms: u64, isolate: usize) -> u64 {
        let right_ms = START_UNIX_SECS * 1000 + at_ms + 1000 * self.ahead_secs[pop_of(isolate)];
        right_ms.saturating_add_signed(self.step_secs * 1000)
    }

    fn edge_secs(&self, isolate: usize) -> u64 {
        self.edge_ms(isolate) / 1000
    }

    pub fn moment(&self, isolate: usize) -> Moment {
        Moment { now_ms: self.now_ms, edge_ms: self.edge_ms(isolate) }
    }

    /// Whoever is there for a request answers it.
    fn ask_origin(&mut self, wire: &Wire) -> Answer {
        let is_for_homeserver = wire.url.starts_with(HOMESERVER);
        let by_proxy = is_for_homeserver.then(|| self.proxy.answer(wire, self.now_ms)).flatten();
        let mut answer = match by_proxy {
            Some(answer) => answer,
            None if wire.url.starts_with(LOGIN) => login_page(wire),
            None => self.homeserver.answer(wire),
        };
        if wire.method == Method::HEAD {
            answer.body.clear();
        }
        answer
    }

    /// Takes a request in, as far as its first question. The last of the flights is its own then,
    /// unless there is an answer already.
    pub fn begin(&mut self, ask: &Ask, isolate: usize) -> Option<Answered> {
        self.end_old_probes();
        let answered = self.take_in(ask, isolate);
        self.settle_probes();
        answered
    }

    fn take_in(&mut self, ask: &Ask, isolate: usize) -> Option<Answered> {
        let sent = ask.headers(&self.homeserver, |media, what| {
            let is_of_it = |of: &&Version| of.media == media && of.what == what.name();
            let last = self.tags.keys().rev().find(is_of_it)?;
            self.tags.get(last).cloned()
        });
        let head = Rc::new(ask.head(&self.homeserver, &sent));
        let mut flight = Flight {
            ask: ask.clone(),
            head: Rc::clone(&head),
            sent,
            isolate,
            keys: None,
            renews: None,
            came_ms: self.edge_ms(isolate),
            heard_before: self.words.len(),
            found: Found::default(),
            has_suspected: false,
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
        let exchange = match Exchange::begin(config, head, media, self.config.digest_key()) {
            Begin::LookUp(exchange) => {
                let isolate = self.edge.isolate(isolate);
                exchange.knowing(isolate.revalidation).with_ranges(Rc::clone(&isolate.ranges))
            }
            Begin::Bypass(reason) => return self.forward(flight, Endpoint { door, reason }),
        };
        let keys = (exchange.key().clone(), exchange.lease_keys().cloned());
        let config = Rc::clone(&self.config);
        let now = self.now(&config, isolate);
        self.edge.hear_of_purges(isolate, now);
        self.note_deafness();
        let heard = self.purged.heard_by(isolate, self.now_ms);
        let media = self.homeserver.media.get(ask.media).map(|media| (ask.media, media));
        let standing = media.map(|media| self.purged.standing(&heard, media, now));
        let is_forgotten = |at: &u64| !self.edge.is_purged(isolate, &keys.0, at - 1);
        let has_forgotten = standing.unwrap_or_default().iter().any(is_forgotten);
        let stored = self.edge.look_up(isolate, &keys.0, now);
        self.edge.refresh_purges_behind(isolate, now);
        let moment = self.moment(isolate);
        let is_origin_down = self.probes.outages[isolate].is_known(moment.edge_ms);
        let mut lease_store = self.edge.leases(isolate, &keys.0, now);
        let leases = lease_store.look_up(keys.1.as_ref(), is_origin_down);
        let meta = stored.as_ref().map(|stored| Rc::clone(&stored.meta));
        let body = meta.as_ref().and_then(|meta| meta.granted_unix_secs(door));
        let leases = lease_store.with_body(leases, keys.1.as_ref(), body);
        flight.keys = Some(keys);
        let is_down_known = self.probes.is_surely_known(isolate, moment);
        let down_ms = self.probes.down_for_ms(isolate, moment);
        let now_unix_secs = now.unix_secs;
        flight.found =
            Found { stored, leases, now_unix_secs, heard, has_forgotten, is_down_known, down_ms };
        if is_origin_down {
            self.probe(isolate);
        }
        match exchange.on_lookup(meta, leases, is_origin_down, now.unix_secs) {
            AfterLookup::Serve(outcome, refresh) => {
                let renewals = &mut self.edge.isolate(isolate).renewals;
                if let Some(Refresh { key, question }) = refresh
                    && let Some(ticket) = renewals.begin_alone(key, moment.edge_ms)
                {
                    let behind = Flight {
                        ask: flight.ask.clone(),
                        head: Rc::clone(&flight.head),
                        sent: flight.sent.clone(),
                        keys: flight.keys.clone(),
                        renews: Some(ticket),
                        found: Found::default(),
                        stage: self.asking(isolate, question),
                        talk: Vec::new(),
                        ..flight
                    };
                    self.flights.push(behind);
                }
                Some(self.respond(flight, outcome, None))
            }
            AfterLookup::AskOrigin(question) => {
                flight.stage = self.asking(flight.isolate, question);
                self.flights.push(flight);
                None
            }
        }
    }

    fn asking(&self, isolate: usize, OriginExchange { request, pending }: OriginExchange) -> Stage {
        Stage::Asking { next: Next::Pending(pending), request, asked: self.moment(isolate) }
    }

    fn forward(&mut self, mut flight: Flight, endpoint: Endpoint) -> Option<Answered> {
        let request = forward::endpoint_request(&flight.head, endpoint, &self.config);
        let next = Next::Forward(endpoint);
        flight.stage = Stage::Asking { next, request, asked: self.moment(flight.isolate) };
        self.flights.push(flight);
        None
    }

    /// Moves a flight on: the origin makes up its mind, or its answer arrives.
    pub fn advance(&mut self, index: usize) -> Option<Answered> {
        self.end_old_probes();
        let answered = self.move_on(index);
        self.settle_probes();
        answered
    }

    fn move_on(&mut self, index: usize) -> Option<Answered> {
        let mut flight = self.flights.remove(index);
        match std::mem::replace(&mut flight.stage, Stage::Done) {
            Stage::Asking { next, request, asked } => {
                let wire = wire(&flight, &request);
                let mut answer = self.ask_origin(&wire);
                if answer.is_broken {
                    answer.body.truncate(answer.body.len() / 2);
                }
                let is_refused = answer.by == By::Homeserver
                    && answer.status().is_some_and(|status| status >= 400);
                let range = wire.headers.get(RANGE).cloned();
                let direct = is_refused.then(|| self.directly(&flight, range)).flatten();
                flight.talk.push(Exchanged { wire, answer: answer.clone(), direct });
                let answered = self.moment(flight.isolate);
                let timeout = request.timeout;
                flight.stage = Stage::Answering { next, timeout, asked, answered, answer };
                self.flights.insert(index, flight);
                None
            }
            Stage::Answering { next, timeout, asked, answered, mut answer } => {
                let waited_ms = self.now_ms - asked.now_ms;
                if matches!(timeout, Timeout::Ms(limit) if waited_ms > u64::from(limit)) {
                    answer.head = Err(OriginError::TimedOut);
                }
                if let Some(last) = flight.talk.last_mut() {
                    last.answer = answer.clone();
                }
                self.hear(&flight, &answer, answered);
                match next {
                    Next::Forward(endpoint) => Some(self.relay(flight, endpoint, answer)),
                    Next::Pending(pending) => {
                        let read = answer.read(|head| pending.reads_body(head));
                        self.hear_of_outage(&flight, &answer, pending.evidence(&read));
                        if let Some(lesson) = pending.lesson(&read) {
                            let now_unix_secs = self.edge_secs(flight.isolate);
                            let isolate = self.edge.isolate(flight.isolate);
                            isolate.revalidation.learn(lesson, now_unix_secs);
                        }
                        if let Some(lesson) = pending.range_lesson(&read) {
                            let now_unix_secs = self.edge_secs(flight.isolate);
                            let isolate = self.edge.isolate(flight.isolate);
                            Rc::make_mut(&mut isolate.ranges).learn(lesson, now_unix_secs);
                        }
                        if let Some(works) = pending.knows_head(&read) {
                            let now_unix_secs = self.edge_secs(flight.isolate);
                            let isolate = self.edge.isolate(flight.isolate);
                            isolate.revalidation.learn_head(pending.door(), works, now_unix_secs);
                        }
                        match pending.on_origin(read, self.edge_secs(flight.isolate)) {
                            AfterOrigin::Respond(outcome)
                            | AfterOrigin::RespondPart(outcome, _) => {
                                Some(self.respond(flight, outcome, Some((answer, asked))))
                            }
                            AfterOrigin::AskAgain(question) => {
                                flight.stage = self.asking(flight.isolate, question);
                                self.flights.insert(index, flight);
                                None
                            }
                            AfterOrigin::CheckOutage(suspicion) => {
                                flight.has_suspected = true;
                                let since = self.moment(flight.isolate);
                                flight.stage =
                                    Stage::Suspecting { suspicion, since, asked, answer };
                                self.suspect(index, flight)
                            }
                        }
                    }
                }
            }
            stage @ Stage::Suspecting { .. } => {
                flight.stage = stage;
                self.end_probes(|probe| probe.isolate == flight.isolate);
                self.suspect(index, flight)
            }
            Stage::Done => unreachable!("what is done has landed"),
        }
    }

    /// Without preconditions: these are the edge's to answer.
    fn directly(&mut self, flight: &Flight, range: Option<HeaderValue>) -> Option<u16> {
        let url = format!("{HOMESERVER}{}", flight.head.target.as_str());
        let method = flight.head.method.clone();
        let credential = flight.sent.get(AUTHORIZATION).map(|value| (AUTHORIZATION, value.clone()));
        let range = range.map(|range| (RANGE, range));
        let headers = credential.into_iter().chain(range).collect();
        self.homeserver.answer(&Wire { method, url, headers }).status()
    }

    fn hear(&mut self, flight: &Flight, answer: &Answer, answered: Moment) {
        let Some(Exchanged { wire, .. }) = flight.talk.last() else { return };
        let is_about_media = wire.url.contains("/download/") || wire.url.contains("/thumbnail/");
        let is_about_token = wire.url.ends_with("/account/whoami");
        let Some(status) = answer.status() else { return };
        // A refusal without a body could be anybody's.
        let is_mute = wire.method == Method::HEAD && status >= 400;
        if answer.by != By::Homeserver
            || is_mute
            || !flight.has_looked_up()
            || flight.ask.is_judged_alone()
            || !wire.url.starts_with(HOMESERVER)
            || !(is_about_media || is_about_token)
        {
            return;
        }
        let is_removable = self.store(Place::Pop(pop_of(flight.isolate))).fault != Fault::Remove;
        self.words.push(Word {
            isolate: flight.isolate,
            door: flight.ask.door,
            token: flight.ask.token(),
            media: is_about_media.then_some(flight.ask.media),
            is_thumbnail: wire.url.contains("/thumbnail/"),
            status,
            came_ms: flight.came_ms,
            said_ms: answered.edge_ms,
            heard_ms: self.edge_ms(flight.isolate),
            is_remembered: true,
            is_forgotten: false,
            is_removable,
        });
    }

    fn hear_of_outage(&mut self, flight: &Flight, answer: &Answer, evidence: Evidence) {
        let (isolate, now) = (flight.isolate, self.moment(flight.isolate));
        if let Some(told) = flight.talk.last() {
            self.probes.note_word(isolate, answer, told.is_word(), now);
        }
        match evidence {
            Evidence::Up => self.probes.outages[isolate].record_up(now.edge_ms),
            Evidence::Down if self.config.lease.stale_if_error_secs > 0 => self.probe(isolate),
            Evidence::Down | Evidence::Unclear => {}
        }
    }

    /// Goes on with a reader whose question has failed, as far as the probes allow.
    fn suspect(&mut self, index: usize, mut flight: Flight) -> Option<Answered> {
        let Stage::Suspecting { suspicion, since, asked, answer } =
            std::mem::replace(&mut flight.stage, Stage::Done)
        else {
            unreachable!("it suspects something")
        };
        let (isolate, now) = (flight.isolate, self.moment(flight.isolate));
        let advice = self.probes.outages[isolate].advise(since.edge_ms, now.edge_ms);
        if let Advice::Probe(probe) = advice {
            self.probes.begin(isolate, probe, now);
        }
        let is_patient = now.now_ms - since.now_ms <= u64::from(PROBE_MS);
        match advice {
            Advice::Probe(_) | Advice::Wait if is_patient => {
                flight.stage = Stage::Suspecting { suspicion, since, asked, answer };
                self.flights.insert(index, flight);
                None
            }
            advice => {
                let is_down = advice == Advice::ServeStale;
                flight.found.down_ms = self.probes.down_for_ms(isolate, now);
                let config = Rc::clone(&self.config);
                let store_now = self.now(&config, isolate);
                let Some((key, lease_keys)) = &flight.keys else {
                    unreachable!("it has looked up")
                };
                let held =
                    self.edge.leases(isolate, key, store_now).look_up(lease_keys.as_ref(), true);
                let outcome = suspicion.on_probe(is_down, held, now.edge_ms / 1000);
                Some(self.respond(flight, outcome, Some((answer, asked))))
            }
        }
    }

    /// Probes, if it is time to.
    fn probe(&mut self, isolate: usize) {
        let now = self.moment(isolate);
        if let Some(probe) = self.probes.outages[isolate].begin_probe(now.edge_ms) {
            self.probes.begin(isolate, probe, now);
        }
    }

    /// A probe is answered, or has taken too long.
    pub fn end_probe(&mut self, index: usize) {
        let under_way = self.probes.under_way.remove(index);
        let request = probe_request(&self.config);
        let wire = Wire { method: request.method, url: request.url, headers: request.set };
        let mut answer = self.ask_origin(&wire);
        let now = self.moment(under_way.isolate);
        if now.now_ms - under_way.began.now_ms > u64::from(PROBE_MS) {
            answer.head = Err(OriginError::TimedOut);
        }
        let read = answer.read(OriginHead::is_small_json);
        let outage = &mut self.probes.outages[under_way.isolate];
        outage.end_probe(under_way.probe, &read, now.edge_ms, 0x9E37_79B9);
        self.probes.note_probe(under_way, &answer, now);
    }

    fn end_probes(&mut self, is_ending: impl Fn(&UnderWay) -> bool) {
        while let Some(index) = self.probes.under_way.iter().position(&is_ending) {
            self.end_probe(index);
        }
    }

    /// None takes longer than it may.
    fn end_old_probes(&mut self) {
        let now_ms = self.now_ms;
        self.end_probes(|probe| now_ms - probe.began.now_ms >= u64::from(PROBE_MS));
    }

    fn settle_probes(&mut self) {
        if !self.probes.are_slow {
            self.end_probes(|_| true);
        }
    }

    fn relay(&self, flight: Flight, endpoint: Endpoint, answer: Answer) -> Answered {
        let read = answer.read(OriginHead::may_be_matrix_error);
        let asked = &flight.head;
        let sent = flight.talk.last().map_or(&asked.method, |told| &told.wire.method);
        let config = &self.config;
        let head = read.and_then(|read| forward::media_reply(endpoint, asked, sent, &read, config));
        let reply = match head {
            Ok(head) => reply(&head, answer.body, answer.is_broken),
            Err(error) => {
                let (head, text) = forward::media_failure(endpoint, error);
                reply(&head, text.into_bytes(), false)
            }
        };
        Answered { flight, reply, change: Change::NOTHING }
    }

    fn respond(
        &mut self,
        flight: Flight,
        outcome: Outcome,
        origin: Option<(Answer, Moment)>,
    ) -> Answered {
        let Some((key, lease_keys)) = flight.keys.clone() else { unreachable!("it has looked up") };
        let (config, isolate) = (Rc::clone(&self.config), flight.isolate);
        let now = self.now(&config, isolate);
        self.edge.leases(isolate, &key, now).apply(lease_keys.as_ref(), outcome.leases);
        if let Some(ticket) = flight.renews {
            self.edge.isolate(isolate).renewals.end(ticket);
        }
        match &outcome.plan {
            ResponsePlan::Relay { removes_stored: true, .. } => {
                self.edge.remove(isolate, &key);
                if lease_keys.as_ref().is_some_and(|keys| keys.is_watched) {
                    self.report_gone(isolate, &key, flight.ask.media);
                }
            }
            ResponsePlan::FillCache { meta, .. } => {
                let (answer, asked) = origin.as_ref().expect("an answer to store");
                let bytes = Rc::from(&answer.body[..]);
                let body = Bytes { bytes, asked: *asked };
                let replaces = flight.found.stored.is_some();
                if !answer.is_broken {
                    assert_eq!(answer.body.len() as u64, meta.length_bytes(), "all that is told");
                    self.edge.store(isolate, &key, meta, &body, replaces, now);
                }
            }
            ResponsePlan::ServeStored(_)
            | ResponsePlan::Relay { removes_stored: false, .. }
            | ResponsePlan::RelayPart
            | ResponsePlan::Reply(_) => {}
        }
        let change = Change {
            is_stored: matches!(outcome.plan, ResponsePlan::FillCache { .. }),
            is_removed: matches!(outcome.plan, ResponsePlan::Relay { removes_stored: true, .. }),
            leases: if lease_keys.is_some() { outcome.leases } else { LeaseChange::Unchanged },
        };
        let mut reply = reply(&outcome.head, Vec::new(), false);
        match outcome.plan {
            ResponsePlan::ServeStored(Some(_)) if flight.is_behind() => {}
            ResponsePlan::ServeStored(Some(slice)) => {
                let stored = flight.found.stored.as_ref().expect("something stored to serve");
                self.edge.serve(isolate, &key, stored, now);
                (reply.body, reply.is_broken) =
                    (cut_out(&stored.body.bytes, slice), stored.is_broken());
                reply.is_stored = true;
            }
            ResponsePlan::Relay { slice: Some(slice), .. }
            | ResponsePlan::FillCache { slice: Some(slice), .. } => {
                let (answer, _) = origin.expect("an answer to serve");
                (reply.body, reply.is_broken) = (cut_out(&answer.body, slice), answer.is_broken);
            }
            ResponsePlan::RelayPart => {
                let (answer, _) = origin.expect("a part to serve");
                (reply.body, reply.is_broken) = (answer.body, answer.is_broken);
            }
            ResponsePlan::Reply(Some(text)) => reply.body = text.into_bytes(),
            ResponsePlan::ServeStored(None)
            | ResponsePlan::Relay { slice: None, .. }
            | ResponsePlan::FillCache { slice: None, .. }
            | ResponsePlan::Reply(None) => reply.is_stored = is_of_stored(&flight, &reply),
        }
        let answered = Answered { flight, reply, change };
        self.keep_tag(&answered);
        answered
    }

    /// A client keeps the tag of what it got.
    fn keep_tag(&mut self, answered: &Answered) {
        let Answered { flight, reply, .. } = answered;
        let by = flight.talk.last().map(|told| told.answer.by);
        if !reply.is_stored && matches!(by, Some(By::Proxy | By::Login)) {
            return;
        }
        let is_content = matches!(reply.status, 200 | 206 | 304);
        let is_behind_a_door = matches!(flight.ask.door, Door::Client | Door::Legacy);
        let tag = reply.headers.get("etag").and_then(|tag| tag.to_str().ok());
        if let Some(tag) = tag.filter(|_| {
            is_content
                && is_behind_a_door
                && !flight.is_behind()
                && flight.ask.method == Method::GET
        }) {
            let (media, what) = (flight.ask.media, flight.ask.what.name());
            let version = Version { media, what, version: answered.version() };
            self.tags.insert(version, tag.to_owned());
        }
    }

    /// What tags the edge has given.
    pub const fn tags(&self) -> &BTreeMap<Version, String> {
        &self.tags
    }

    fn now<'a>(&self, config: &'a Config, isolate: usize) -> Now<'a> {
        Now { config, ms: self.now_ms, unix_secs: self.edge_secs(isolate) }
    }

    pub fn store(&mut self, place: Place) -> &mut Store {
        self.edge.at(place).expect("a bucket where there is one")
    }

    /// The admin purges, at an isolate. Says whether the purge is said to be on the list.
    pub fn purge(&mut self, isolate: usize, what: What) -> bool {
        let config = Rc::clone(&self.config);
        let (now, pop) = (self.now(&config, isolate), pop_of(isolate));
        let prefixes = what.scope(&self.homeserver.media).prefixes(&config);
        if self.edge.is_deaf(pop) && !self.edge.has_bucket() {
            self.purged.lose(pop);
        }
        self.edge.hear_of_purges(isolate, now);
        let is_listed = self.edge.purge(isolate, &prefixes, now);
        let is_in_reach = |other| is_listed && (self.edge.has_bucket() || other == pop);
        let reach: [bool; POPS] = std::array::from_fn(is_in_reach);
        self.purged.add(what, isolate, reach, now);
        is_listed
    }

    /// The schedule runs in an isolate, as the shell has it. With `is_odd`, a row of each page can't be
    /// read.
    pub fn poll(&mut self, isolate: usize, is_odd: bool) {
        let config = Rc::clone(&self.config);
        let now = self.now(&config, isolate);
        let token = config.synapse_admin_token.as_ref().expect("a token that reads the list");
        let Some((began, before)) = self.edge.begin_poll(isolate, now) else { return };
        let (mut position, mut quarantined, mut complete) = (began.clone(), Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let (status, text) = self.homeserver.page(&position.request(&config, token).url);
            let text = if is_odd { text.replacen("origin", "else", 1) } else { text };
            match position.clone().on_answer(status, Some(&text)) {
                Step::Next(scopes, next) => {
                    quarantined.extend(scopes);
                    position = next;
                }
                Step::Complete { position: next, is_begun_anew } => {
                    complete = Some(before.filter(|_| !is_begun_anew));
                    position = next;
                    break;
                }
                Step::Failed => break,
            }
        }
        let prefixes: Vec<_> =
            quarantined.iter().flat_map(|scope| scope.prefixes(&config)).collect();
        let is_listed = self.edge.record_run(isolate, &prefixes, complete, now);
        for index in 0..self.homeserver.media.len() {
            let what = What::Media(index);
            if quarantined.contains(&what.scope(&self.homeserver.media)) {
                self.purged.add(what, isolate, [is_listed; POPS], now);
            }
        }
        if is_listed && (position == began || self.edge.keep_position(&position, now)) {
            self.edge.delete(isolate, &prefixes);
        }
    }

    /// An isolate tells the others that the homeserver no longer has a media.
    fn report_gone(&mut self, isolate: usize, key: &CacheKey, media: usize) {
        let Some(prefix) = KeyPrefix::of_media(key) else { return };
        let config = Rc::clone(&self.config);
        let now = self.now(&config, isolate);
        let is_listed = self.edge.report_gone(isolate, &prefix, now);
        let is_in_reach = |other| is_listed && (self.edge.has_bucket() || other == pop_of(isolate));
        let reach: [bool; POPS] = std::array::from_fn(is_in_reach);
        self.purged.add(What::Media(media), isolate, reach, now);
    }

    pub fn fail(&mut self, place: Place, fault: Fault) {
        self.note_deafness();
        self.store(place).fault = fault;
    }

    fn note_deafness(&mut self) {
        for pop in (0..POPS).filter(|pop| self.edge.is_deaf(*pop)) {
            self.purged.keep_deaf(pop, self.now_ms);
        }
    }

    pub fn restart(&mut self, isolate: usize) {
        self.edge.restart(isolate, &self.config);
        self.purged.forget(isolate);
        self.probes.forget(isolate);
        for word in self.words.iter_mut().filter(|word| word.isolate == isolate) {
            word.is_forgotten |= !word.is_removable;
            word.is_remembered = false;
        }
    }

    /// Asks and waits for the answer; others stay where they are.
    pub fn answer(&mut self, ask: &Ask) -> Answered {
        self.answer_at(0, ask)
    }

    /// The same at another isolate.
    pub fn answer_at(&mut self, isolate: usize, ask: &Ask) -> Answered {
        let others = std::mem::take(&mut self.flights);
        let mut answered = self.begin(ask, isolate);
        while answered.is_none() {
            answered = self.advance(0);
        }
        self.flights.splice(0..0, others);
        answered.expect("an answer")
    }
}

/// Whether a reply without a body is about what is stored: it is no word of the origin's.
fn is_of_stored(flight: &Flight, reply: &Reply) -> bool {
    let last = flight.talk.last();
    let is_fetched =
        last.is_some_and(|told| told.answer.status() == Some(200) && !told.is_whoami());
    flight.found.stored.is_some() && matches!(reply.status, 200 | 206 | 304 | 416) && !is_fetched
}

/// The request as the shell sends it: what is kept of the client's headers, and ours on top.
fn wire(flight: &Flight, request: &OriginRequest) -> Wire {
    let sent = flight.sent.iter();
    let sent = sent.map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")));
    let dropped = request.client_headers.dropped(&sent.collect::<Vec<_>>());
    let kept = flight.sent.iter().filter(|(name, _)| !dropped.contains(&name.as_str()));
    let mut headers: HeaderMap = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in &request.set {
        headers.insert(name.clone(), value.clone());
    }
    Wire { method: request.method.clone(), url: request.url.clone(), headers }
}

fn reply(head: &ReplyHead, body: Vec<u8>, is_broken: bool) -> Reply {
    let has_body = head.status != StatusCode::NOT_MODIFIED;
    let body = if has_body { body } else { Vec::new() };
    let headers = head.headers.clone();
    Reply { status: head.status.as_u16(), headers, body, is_broken, is_stored: false }
}

fn cut_out(body: &[u8], slice: BodySlice) -> Vec<u8> {
    let offset = |at: u64| usize::try_from(at).expect("a small body").min(body.len());
    match slice {
        BodySlice::Whole | BodySlice::MultipartEnvelope(_) => body.to_vec(),
        BodySlice::Range(range, _) => body[offset(range.first)..offset(range.last + 1)].to_vec(),
    }
}
