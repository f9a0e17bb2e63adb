//! The edge around the policy, as the shell has it: isolates and a cache at each data centre, one
//! bucket for all. What it asks, serves and stores is the Worker's own decision.

use std::collections::BTreeMap;
use std::rc::Rc;

use http::header::{AUTHORIZATION, HeaderMap};
use http::{HeaderValue, Method};
use matrix_media_edge::cache::entry::StoredMeta;
use matrix_media_edge::cache::key::CacheKey;
use matrix_media_edge::cache::purge_list::Freshness;
use matrix_media_edge::cache::tier::{Tier, is_usable};
use matrix_media_edge::config::Config;
use matrix_media_edge::endpoint::download::{
    AfterLookup, AfterOrigin, Begin, Exchange, OriginExchange, Outcome, Refresh, ResponsePlan,
};
use matrix_media_edge::lease::LeaseKeys;
use matrix_media_edge::matrix::media::MediaRequest;
use matrix_media_edge::message::RequestHead;
use matrix_media_edge::route::{Route, admit};

use crate::pop::Pop;
use crate::purge_list::FollowedList;
use crate::setting::Setting;
use crate::tally::{Source, Tally};
use crate::workload::{Request, Workload};

/// When the day begins.
pub(crate) const START_UNIX_SECS: u64 = 1_700_000_000;

pub(crate) struct Edge<'a> {
    workload: &'a Workload,
    config: Rc<Config>,
    pops: Vec<Pop>,
    bucket: Option<BTreeMap<CacheKey, Rc<StoredMeta>>>,
    /// `None` where no grant stands by it.
    list: Option<FollowedList>,
    tally: Tally,
}

/// The names that an outcome is written under.
struct Keys {
    entry: CacheKey,
    leases: Option<LeaseKeys>,
}

impl<'a> Edge<'a> {
    pub(crate) fn new(workload: &'a Workload, setting: Setting) -> Self {
        let config = Rc::new(setting.config());
        Self {
            workload,
            pops: (0..workload.model.pops).map(|_| Pop::new(workload.model, &config)).collect(),
            list: FollowedList::new(&config),
            config,
            bucket: setting.has_bucket.then(BTreeMap::new),
            tally: Tally::new(setting),
        }
    }

    pub(crate) fn into_tally(self) -> Tally {
        self.tally
    }

    /// Answers a request, in no time.
    pub(crate) fn answer(&mut self, request: &Request) {
        let head = Rc::new(self.head(request));
        let media = self.admit(&head);
        let media_door = media.door;
        let digest_key = self.config.digest_key();
        let begun = Exchange::begin(Rc::clone(&self.config), head, media, digest_key);
        let Begin::LookUp(exchange) = begun else { unreachable!("a token that can be one") };
        let keys = Keys { entry: exchange.key().clone(), leases: exchange.lease_keys().cloned() };
        let now = unix_secs(request);
        self.pops[request.pop].renew_isolate(request);
        if let Some(list) = &mut self.list {
            list.advance(self.workload, request.at_ms);
        }
        // One that is old is waited for, and one that is aging is refreshed behind the reader.
        if self.freshness(request) == Freshness::Old {
            self.refresh_list(request);
        }
        let (meta, tier) = self.look_up(request, &keys.entry).unzip();
        let body = meta.as_ref().and_then(|meta| meta.granted_unix_secs(media_door));
        let leases = self.pops[request.pop].look_up_leases(
            request.isolate,
            &keys.entry,
            keys.leases.as_ref(),
            self.config.lease,
            body,
            now,
        );
        match exchange.on_lookup(meta, leases, false, now) {
            AfterLookup::Serve(outcome, refresh) => {
                self.apply(request, &keys, outcome, tier);
                if let Some(Refresh { question, .. }) = refresh {
                    let outcome = self.ask(request, question);
                    let plan = outcome.plan.without_body();
                    self.apply(request, &keys, Outcome { plan, ..outcome }, None);
                }
            }
            AfterLookup::AskOrigin(question) => {
                self.tally.questioned += 1;
                let outcome = self.ask(request, question);
                if outcome.head.status.is_success() {
                    self.tally.questioned_for_media += 1;
                }
                self.apply(request, &keys, outcome, tier);
            }
        }
        if self.freshness(request) != Freshness::Fresh {
            self.refresh_list(request);
        }
    }

    /// Returns what may be done with the list as the isolate knows it; one that nobody follows is
    /// not looked at.
    fn freshness(&self, request: &Request) -> Freshness {
        let known = self.pops[request.pop].known_purges(request.isolate);
        self.list.as_ref().map_or(Freshness::Fresh, |_| known.freshness(unix_secs(request)))
    }

    fn refresh_list(&mut self, request: &Request) {
        let Some(list) = &self.list else { return };
        let pop = &mut self.pops[request.pop];
        pop.refresh_list(request.isolate, list, unix_secs(request), &self.config);
    }

    fn head(&self, request: &Request) -> RequestHead {
        let token = format!("Bearer syt_reader{}", request.reader);
        let token = HeaderValue::from_str(&token).expect("ASCII");
        RequestHead {
            method: Method::GET,
            scheme: "https".to_owned(),
            authority: "media.example.com".to_owned(),
            target: self.workload.item(request).target.clone(),
            headers: HeaderMap::from_iter([(AUTHORIZATION, token)]),
        }
    }

    fn admit(&self, head: &RequestHead) -> MediaRequest {
        match admit(head, &self.config) {
            Ok(Route::Media(media)) => media,
            other => unreachable!("not media: {other:?}"),
        }
    }

    fn ask(&mut self, request: &Request, mut question: OriginExchange) -> Outcome {
        loop {
            let OriginExchange { request: asked, pending } = question;
            let answer = self.tally.effort.answer(self.workload, request, &asked);
            match pending.on_origin(Ok(answer), unix_secs(request)) {
                AfterOrigin::Respond(outcome) => return outcome,
                AfterOrigin::AskAgain(again) => question = again,
                AfterOrigin::RespondPart(..) => unreachable!("nobody wants a part here"),
                AfterOrigin::CheckOutage(_) => unreachable!("the homeserver is up"),
            }
        }
    }

    fn look_up(&mut self, request: &Request, key: &CacheKey) -> Option<(Rc<StoredMeta>, Tier)> {
        let (config, now) = (Rc::clone(&self.config), unix_secs(request));
        let pop = &mut self.pops[request.pop];
        let purges = pop.known_purges(request.isolate).purges();
        let is_usable = |meta: &StoredMeta| is_usable(meta, key, &purges, &config, now);
        if let Some(found) = pop.look_up(request.isolate, key, is_usable) {
            return Some(found);
        }
        let bucket = self.bucket.as_mut()?;
        self.tally.bucket_reads += 1;
        let meta = bucket.get(key).cloned()?;
        if !is_usable(&meta) {
            bucket.remove(key);
            return None;
        }
        pop.fill_from_bucket(request.isolate, key, &meta);
        Some((meta, Tier::Bucket))
    }

    fn apply(&mut self, request: &Request, keys: &Keys, outcome: Outcome, found: Option<Tier>) {
        let (pop, isolate) = (&mut self.pops[request.pop], request.isolate);
        pop.apply_leases(isolate, keys.leases.as_ref(), outcome.leases, unix_secs(request));
        let has_body = outcome.plan.has_body();
        let source = match outcome.plan {
            ResponsePlan::ServeStored(_) => found.map(Source::Tier),
            ResponsePlan::Relay { removes_stored, .. } => {
                if removes_stored {
                    pop.remove(isolate, &keys.entry);
                    if let Some(bucket) = &mut self.bucket {
                        bucket.remove(&keys.entry);
                    }
                }
                Some(Source::Origin)
            }
            ResponsePlan::FillCache { meta, .. } => {
                let meta = Rc::new(meta);
                pop.fill(&keys.entry, &meta);
                if let Some(bucket) = &mut self.bucket {
                    self.tally.bucket_writes += 1;
                    bucket.entry(keys.entry.clone()).or_insert(meta);
                }
                Some(Source::Origin)
            }
            ResponsePlan::RelayPart => unreachable!("nobody wants a part here"),
            ResponsePlan::Reply(_) => unreachable!("the edge has no errors of its own here"),
        };
        let Some(source) = source.filter(|_| has_body) else { return };
        // The homeserver's refusals have bodies as well.
        if outcome.head.status.is_success() {
            self.tally.serve(self.workload, request, source);
        } else {
            self.tally.refused += 1;
        }
    }
}

fn unix_secs(request: &Request) -> u64 {
    START_UNIX_SECS + request.at_ms / 1000
}
