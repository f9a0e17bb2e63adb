//! `GET` and `HEAD` of downloads and thumbnails: caching under the homeserver's authority.
//!
//! ```text
//! begin ─▶ LookUp ─▶ on_lookup ─▶ AskOrigin ─▶ on_origin ─▶ Respond
//!   └▶ Bypass            └▶ Serve                ├▶ AskAgain ────▶ on_origin …
//!                                                └▶ CheckOutage ─▶ on_probe
//! ```
//!
//! Each step consumes the one before, so that none can be left out or taken twice; the shell does
//! what a step returns before it takes the next.
//!
//! **Why a shared cache may serve private media.** RFC 9111 §3.5 keeps answers to requests with
//! `Authorization` out of shared caches, unless a directive permits it, since a cache can't know
//! whom the origin would refuse. This cache doesn't judge either: it spares the origin the bytes,
//! not the decision. A stored response is served only where the homeserver has granted this media
//! to this credential at this [`Door`], in answer to this request, within a lease, or in an outage
//! not long after. So `private` does not prevent storing, and `max-age` permits no reuse
//! ([`crate::cache::storability`]).
//!
//! **The key.** A [`CacheKey`] names the media and its representation, from parsed identifiers. No
//! credential, raw path or file name is part of it: the client and the legacy door share an entry,
//! and no permission. Servers get envelopes, which have entries of their own ([`Subject`]). A query
//! that the edge doesn't understand never gets here ([`QueryClass`]).
//!
//! **Strict mode** (`LEASE_SECONDS = 0`; always at the federation door). Each hit is revalidated
//! (RFC 9111 §4.3) by a request with the reader's own credential (`OriginQuery`): conditional, with
//! the [`Validator`] that came with the body, or with Synapse's where none came; or a HEAD, where
//! this origin answers conditions with the body ([`Revalidation`]); or a GET without a condition,
//! where it redirects. Synapse sends one tag with all media: its 304 proves permission, and the key
//! identifies the bytes.
//!
//! **Permission** is decided by [`crate::permission`], from an answer and what is stored:
//!
//! * A 304 to the edge's condition; or a 200 to its HEAD, with the stored length and type and the
//!   homeserver's mark ([`has_mark`](crate::permission::has_mark)). The stored response is
//!   freshened (§4.3.4) and served, and both leases are granted (`response::validated`).
//! * A 200 with the mark, which may replace what is stored, if anything is. It is served, both
//!   leases are granted, and the cache is filled where it is storable (`response::fetched`).
//! * A redirect to where the homeserver redirected when the body was stored
//!   (`response::confirmed`). It counts for this request alone, as does a 200 from where a redirect
//!   leads, though that may fill the cache.
//! * `whoami` with a user ID, while the media's lease is alive. It grants the credential's lease
//!   (`response::identified`).
//!
//! Anything else is no permission: an intermediary's page becomes an error of the edge
//! ([`crate::origin::intermediary`]), a 200 without the mark is relayed to its reader. Neither
//! changes anything for others.
//!
//! **Leases** (`LEASE_SECONDS`). The [`Leases`] of the credential and of the media count from when
//! the question was sent. While both are alive, a hit is served without a question; one in its last
//! quarter is renewed in the background ([`Refresh`]). With `MEDIA_LEASE_SECONDS`, the media's grant
//! stands for longer while the homeserver's own list of quarantined media, followed without a gap,
//! is up to date and does not name the media ([`standing`]). Only a Matrix error revokes: a 401 or 403
//! the credential's lease; a 404, 410 or 451 the media's, and in answer to a revalidation by GET it
//! also removes the stored response. At the legacy door all of these revoke the media's lease, with
//! [`LeaseScope::TokenAndMedia`] the credential's, and remove nothing. A [`QueryClass::PerRequest`]
//! query has no leases and revokes none.
//!
//! **Stale-if-error** (RFC 5861 §4, `STALE_IF_ERROR_SECONDS`). Where a revalidation ends without an
//! answer, in a 5xx or at an intermediary, the stored response is served if both grants are within
//! that window and a probe, which carries nothing of any reader, fails as well ([`Suspicion`]).
//! While an outage is known ([`crate::origin::outage`]), no question is asked first.
//!
//! **Fills.** Concurrent misses for a small body wait for the fill that is under way, and then each
//! request gets its own permission (request coalescing, [`crate::cache::in_flight`]). Ranges of a
//! stored response are cut by the edge. On a miss, a range is asked of an origin that may serve
//! ranges; its 206 is passed on and stored for nobody, and the [`Whole`] is fetched beside it if
//! that is worth it. Never stored is what has a [`NoStoreReason`]: any status but 200, `no-store`,
//! a cookie, a `Vary` by reader, no length, no mark, and others.
//!
//! **Purges.** An entry that is older than `CACHE_SECONDS`, or covered by a purge, is a miss
//! ([`is_usable`](crate::cache::tier::is_usable)). Media that Synapse lists as quarantined is
//! purged too ([`crate::admin::quarantine`]).
//!
//! A request ends in one of:
//!
//! * 200, 206, 304 or 416 for media, by the client's method, range and conditions. At the
//!   federation door 200 alone.
//! * The homeserver's own status, for a Matrix error or another answer that is no media.
//! * 502 or 504 where there is no answer, an intermediary's, one that makes no sense, or a redirect
//!   to a host that is not named; 400, 411, 413, 414, 415 or 431 where a proxy refuses the
//!   request's form.
//! * 500 where the runtime fails the edge.

mod lessons;
mod origin_query;
mod origin_target;
mod part;
mod response;
#[cfg(test)]
mod tests;

pub use origin_query::{AfterOrigin, OriginExchange, PendingAnswer, Suspicion};
pub use part::Whole;

use std::rc::Rc;

use http::Method;
use http::header::AUTHORIZATION;

use self::origin_query::OriginQuery;
use crate::cache::entry::{StoredMeta, Validator};
use crate::cache::key::{CacheKey, Subject};
use crate::cache::storability::NoStoreReason;
use crate::config::Config;
use crate::config::lease_policy::LeaseScope;
use crate::endpoint::upload::prefetch_request;
use crate::headers::range::ByteRange;
use crate::lease::standing::{MediaWatch, Standing, standing, standing_by_list};
use crate::lease::{LeaseChange, LeaseKeys, Leases};
use crate::matrix::access_token::{AccessToken, TokenDigest};
use crate::matrix::credential::Credential;
use crate::matrix::ids::Mxc;
use crate::matrix::media::{Door, MediaRequest, QueryClass};
use crate::message::{ReplyHead, RequestHead};
use crate::origin::ranges::RangeHosts;
use crate::origin::revalidation::{RevalidateBy, Revalidation};
use crate::route::BypassReason;

/// A request for media, from its arrival to the question to the origin.
#[derive(Debug)]
pub struct Exchange {
    config: Rc<Config>,
    head: Rc<RequestHead>,
    request: MediaRequest,
    key: CacheKey,
    token: Option<AccessToken>,
    lease_keys: Option<LeaseKeys>,
    /// The ways of asking that this origin is known to answer.
    revalidation: Revalidation,
    /// Which hosts are known to serve ranges; `None` where the whole is asked for in any case.
    ranges: Option<Rc<RangeHosts>>,
}

/// What to do with a new request.
#[derive(Debug)]
pub enum Begin {
    /// Look [`Exchange::key`] and [`Exchange::lease_keys`] up and call [`Exchange::on_lookup`].
    LookUp(Exchange),
    /// Don't look up: forward the request, and relay the origin's answer.
    Bypass(BypassReason),
}

/// What to do after the look-ups.
#[derive(Debug)]
pub enum AfterLookup {
    /// Serve without a question; with a [`Refresh`], renew the lease in the background.
    Serve(Outcome, Option<Refresh>),
    /// Send this to the origin.
    AskOrigin(OriginExchange),
}

/// What to ask in the background, since a lease is about to end. The client is served already, so
/// of the answer only the changes to cache and leases count.
#[derive(Debug)]
pub struct Refresh {
    /// The record to renew. One renewal of it at a time is enough.
    pub key: CacheKey,
    /// What to ask.
    pub question: OriginExchange,
}

/// A download that nobody waits for: it stores new media before its first reader asks.
#[derive(Debug)]
pub struct Warming {
    /// The name to store the media under.
    pub key: CacheKey,
    /// The lease records that the answer may grant.
    pub lease_keys: Option<LeaseKeys>,
    /// What to ask.
    pub question: OriginExchange,
}

/// What to send, and what to do to cache and leases.
#[derive(Debug)]
pub struct Outcome {
    /// The head for the client.
    pub head: ReplyHead,
    /// What to do for the client and to the cache.
    pub plan: ResponsePlan,
    /// What becomes of the leases.
    pub leases: LeaseChange,
}

/// What to do for the client and to the cache. A variant's [`BodySlice`] is how much of the body the
/// client gets; with `None` it gets the head alone. Whatever stream is not served or stored is to be
/// released unread.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponsePlan {
    /// Serve the stored response.
    ServeStored(Option<BodySlice>),
    /// Pass the origin's answer on.
    Relay {
        /// How much of the body the client gets.
        slice: Option<BodySlice>,
        /// Whether the stored response is removed: it is no longer what the homeserver has.
        removes_stored: bool,
        /// Why the media that it brings is not stored; `None` where it brings none.
        not_stored: Option<NoStoreReason>,
    },
    /// Pass the part on that the origin sent of its media.
    RelayPart,
    /// Store the origin's body, and serve it meanwhile.
    FillCache {
        /// The record to store it with.
        meta: StoredMeta,
        /// How much of it is served.
        slice: Option<BodySlice>,
    },
    /// Send a text of the edge's own; with `None` the head alone.
    Reply(Option<String>),
}

impl ResponsePlan {
    /// Returns whether the client gets a body.
    pub const fn has_body(&self) -> bool {
        match self {
            Self::ServeStored(slice)
            | Self::Relay { slice, .. }
            | Self::FillCache { slice, .. } => slice.is_some(),
            Self::RelayPart => true,
            Self::Reply(text) => text.is_some(),
        }
    }

    /// Returns whether media that came from the origin is stored, and if not, why not; `None` where
    /// none came.
    pub fn storing(&self) -> Option<Result<(), NoStoreReason>> {
        match self {
            Self::FillCache { .. } => Some(Ok(())),
            Self::Relay { not_stored, .. } => not_stored.map(Err),
            Self::ServeStored(_) | Self::RelayPart | Self::Reply(_) => None,
        }
    }

    /// Returns what is left to do where nobody waits for the response.
    pub fn without_body(self) -> Self {
        match self {
            Self::ServeStored(_) => Self::ServeStored(None),
            Self::Relay { removes_stored, not_stored, .. } => {
                Self::Relay { slice: None, removes_stored, not_stored }
            }
            Self::FillCache { meta, .. } => Self::FillCache { meta, slice: None },
            Self::RelayPart | Self::Reply(_) => Self::Reply(None),
        }
    }
}

/// How much of a body the client gets, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySlice {
    /// All of it, untouched.
    Whole,
    /// These bytes of this many.
    Range(ByteRange, u64),
    /// All of these many bytes, and the envelope's head in one piece (see [`crate::matrix::multipart`]).
    MultipartEnvelope(u64),
}

impl Exchange {
    /// Takes a request in. `digest_key` keys the digests that stand for tokens in names.
    pub fn begin(
        config: Rc<Config>,
        head: Rc<RequestHead>,
        request: MediaRequest,
        digest_key: &[u8],
    ) -> Begin {
        let token = match (request.door, Credential::of(&head)) {
            (Door::Client, Credential::Bearer(token)) => Some(token),
            // Only the origin may refuse: 401 logs users out.
            (Door::Client, Credential::Missing | Credential::Unusual) => {
                return Begin::Bypass(BypassReason::Credential);
            }
            (Door::Legacy | Door::Federation | Door::Other, _) => None,
        };
        let subject = match request.door {
            Door::Federation => Subject::Federation(&request.mxc.media_id, request.representation),
            Door::Client | Door::Legacy | Door::Other => {
                Subject::Media(&request.mxc, request.representation)
            }
        };
        let key = CacheKey::new(&config.server_name, subject);
        let policy = config.lease;
        let is_leasable = match request.door {
            Door::Client => true,
            // A credential at the open door is none of our business, and no other's permission.
            Door::Legacy => !head.headers.contains_key(AUTHORIZATION),
            Door::Federation | Door::Other => false,
        };
        let lease_keys = (policy.is_remembering()
            && is_leasable
            && request.query_class == QueryClass::Canonical)
            .then(|| {
                let digest = token.as_ref().map(|token| TokenDigest::new(digest_key, token));
                let (door, mxc, kind) = (request.door, &request.mxc, request.representation.kind());
                LeaseKeys::new(&config.server_name, policy, door, digest.as_ref(), mxc, kind)
            });
        let (revalidation, ranges) = (Revalidation::NEW, None);
        Begin::LookUp(Self { config, head, request, key, token, lease_keys, revalidation, ranges })
    }

    /// Begins the download of new media that its uploader could make now. Returns `None` where the
    /// upload shows no credential that the origin could be asked with.
    pub fn for_warming(
        config: Rc<Config>,
        upload: &RequestHead,
        mxc: Mxc,
        revalidation: Revalidation,
        now_unix_secs: u64,
    ) -> Option<Warming> {
        let (head, media) = prefetch_request(upload, mxc)?;
        let begun = Self::begin(Rc::clone(&config), Rc::new(head), media, config.digest_key());
        let Begin::LookUp(exchange) = begun else { return None };
        let (key, lease_keys) = (exchange.key.clone(), exchange.lease_keys.clone());
        let question = exchange.knowing(revalidation).fetch(Leases::default(), now_unix_secs);
        Some(Warming { key, lease_keys, question })
    }

    /// Returns the exchange with what is known of how this origin revalidates stored media.
    pub fn knowing(self, revalidation: Revalidation) -> Self {
        Self { revalidation, ..self }
    }

    /// Returns the exchange with what is known of hosts and ranges, so that the origin may be asked
    /// for the range that the client wants.
    pub fn with_ranges(self, ranges: Rc<RangeHosts>) -> Self {
        Self { ranges: Some(ranges), ..self }
    }

    /// Returns the key to look up.
    pub fn key(&self) -> &CacheKey {
        &self.key
    }

    /// Returns the lease records to look up; `None` where none can count.
    pub fn lease_keys(&self) -> Option<&LeaseKeys> {
        self.lease_keys.as_ref()
    }

    /// Serves the stored response on a living lease, or asks the origin for its grant or for the
    /// media. One that is known to be down (see [`crate::origin::outage`]) is not waited for where
    /// its failure would end in a stale answer.
    pub fn on_lookup(
        self,
        stored: Option<Rc<StoredMeta>>,
        leases: Leases,
        is_origin_down: bool,
        now_unix_secs: u64,
    ) -> AfterLookup {
        let Some(stored) = stored else {
            return AfterLookup::AskOrigin(self.fetch(leases, now_unix_secs));
        };
        if let Some(confirmed_unix_secs) = self.leased_since(leases, now_unix_secs) {
            let outcome = response::leased(&self, &stored, confirmed_unix_secs, now_unix_secs);
            let refresh = self.old_record(leases, now_unix_secs).map(|key| {
                // `whoami` tells nothing of a media whose own grant is old.
                let is_medias = self.lease_keys.as_ref().is_some_and(|keys| keys.media == key);
                let known = if is_medias { Leases::default() } else { leases };
                let query = self.query_about(&stored, known, now_unix_secs);
                let question =
                    OriginExchange::new(self, Some(stored), query, leases, now_unix_secs);
                Refresh { key, question }
            });
            return AfterLookup::Serve(outcome, refresh);
        }
        let stale_since = self.stale_since(leases, now_unix_secs);
        match (self.query_about(&stored, leases, now_unix_secs), stale_since) {
            (query, Some(confirmed_unix_secs)) if is_origin_down && query.is_about_stored() => {
                let outcome = response::stale(&self, &stored, confirmed_unix_secs, now_unix_secs);
                AfterLookup::Serve(outcome, None)
            }
            (query, _) => AfterLookup::AskOrigin(OriginExchange::new(
                self,
                Some(stored),
                query,
                leases,
                now_unix_secs,
            )),
        }
    }

    /// Asks for the media where nothing is stored. HEAD spares the origin the body.
    fn fetch(self, leases: Leases, now_unix_secs: u64) -> OriginExchange {
        let query = OriginQuery::Fetch(self.fetch_method(now_unix_secs));
        OriginExchange::new(self, None, query, leases, now_unix_secs)
    }

    /// Returns since when both the credential and the media are confirmed; `None` unless both grants
    /// stand. A refusal revokes only the grant that it concerns, so both are required.
    fn leased_since(&self, leases: Leases, now_unix_secs: u64) -> Option<u64> {
        let policy = self.config.lease;
        let media = self.media_standing(leases, now_unix_secs)?.confirmed_unix_secs;
        self.with_credential(media, leases, |at| policy.is_alive(at, now_unix_secs))
    }

    /// Returns when the older of the two grants was asked for, given the media's; `None` unless the
    /// credential's counts, at a door that asks for one.
    fn with_credential(
        &self,
        media_unix_secs: u64,
        leases: Leases,
        counts: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        match self.lease_keys.as_ref()?.credential {
            Some(_) => leases.credential.filter(|at| counts(*at)).map(|at| at.min(media_unix_secs)),
            None => Some(media_unix_secs),
        }
    }

    /// Returns on what the media's grant stands; `None` if the homeserver has to be asked about it.
    fn media_standing(&self, leases: Leases, now_unix_secs: u64) -> Option<Standing> {
        let (policy, watch) = (self.config.lease, self.media_watch(leases)?);
        standing(policy, leases.media, watch, now_unix_secs)
            .or_else(|| standing_by_list(policy, leases.by_list, watch, now_unix_secs))
    }

    /// Returns what the list of purges tells about this media at this door; `None` where no grant is
    /// remembered.
    fn media_watch(&self, leases: Leases) -> Option<MediaWatch> {
        let is_watched = self.lease_keys.as_ref()?.is_watched;
        Some(MediaWatch { stamp: leases.watch.stamp.filter(|_| is_watched), ..leases.watch })
    }

    /// Returns the record to renew; `None` if neither is old. The credential's comes before the
    /// media's, since it serves more requests.
    fn old_record(&self, leases: Leases, now_unix_secs: u64) -> Option<CacheKey> {
        let keys = self.lease_keys.as_ref()?;
        let is_old = |granted: u64| self.config.lease.is_old(granted, now_unix_secs);
        match &keys.credential {
            Some(key) if leases.credential.is_some_and(is_old) => Some(key.clone()),
            _ if self.media_standing(leases, now_unix_secs)?.is_old => Some(keys.media.clone()),
            _ => None,
        }
    }

    /// Returns the query that revalidates the stored response at this origin.
    fn query_about(&self, stored: &StoredMeta, leases: Leases, now_unix_secs: u64) -> OriginQuery {
        let (policy, door) = (self.config.lease, self.request.door);
        if let Validator::Redirect(_) = stored.validator() {
            return OriginQuery::ConfirmRedirect;
        }
        let is_told = stored.validator().is_told();
        let way = self.revalidation.way(door, is_told, now_unix_secs);
        // `whoami` tells of a token, not of what it may read.
        let is_media_granted = self.media_standing(leases, now_unix_secs).is_some();
        let can_check_token = !is_told
            && self.lease_keys.is_some()
            && self.token.is_some()
            && policy.scope == LeaseScope::Token
            && is_media_granted;
        match way {
            Some(RevalidateBy::ToldValidator) => OriginQuery::Revalidate,
            // The client's own HEAD costs no body, whatever a guess would.
            Some(by @ RevalidateBy::GuessedValidator)
                if self.asks_by_head(now_unix_secs)
                    && !self.revalidation.is_known_to_work(door, by) =>
            {
                OriginQuery::Fetch(Method::HEAD)
            }
            Some(RevalidateBy::GuessedValidator) => OriginQuery::Revalidate,
            Some(RevalidateBy::Head) | None if can_check_token => OriginQuery::CheckToken,
            Some(RevalidateBy::Head) => OriginQuery::RevalidateByHead,
            None if !is_told && self.asks_by_head(now_unix_secs) => {
                OriginQuery::Fetch(Method::HEAD)
            }
            // The condition does no harm, and may work again.
            None => OriginQuery::Revalidate,
        }
    }

    /// Returns whether a response that is stored without a validator could be revalidated later, if
    /// only within a lease.
    fn can_revalidate(&self, now_unix_secs: u64) -> bool {
        let is_leased = self.config.lease.lease_secs > 0 && self.lease_keys.is_some();
        is_leased || self.revalidation.way(self.request.door, false, now_unix_secs).is_some()
    }

    /// Returns when the older of the two grants was asked for; `None` unless both are within the
    /// stale window.
    fn stale_since(&self, leases: Leases, now_unix_secs: u64) -> Option<u64> {
        let counts = |at| self.config.lease.is_within_stale_window(at, now_unix_secs);
        let watch = self.media_watch(leases)?;
        let media = leases.media.filter(|at| counts(*at) && !watch.ends(*at))?;
        self.with_credential(media, leases, counts)
    }
}
