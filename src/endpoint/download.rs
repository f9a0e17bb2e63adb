//! The life of a download, as decisions: consuming steps, so that none can be left out or taken
//! twice. The shell does what each answer says before it takes the next step.
//!
//! ```text
//! begin ─▶ LookUp ─▶ on_lookup ─▶ AskOrigin ─▶ on_origin ─▶ Respond
//!   └▶ Bypass            └▶ Serve                ├▶ AskAgain ────▶ on_origin …
//!                                                └▶ CheckOutage ─▶ on_probe
//! ```
//!
//! Every answer stands on the homeserver's permission for this very credential at this very door
//! (see [`crate::permission`]). On a stored response the question is a conditional request (RFC 9111
//! §4.3): its 304 proves permission; the identity of the bytes is the key's. While a lease is alive
//! (see [`crate::lease`]) an earlier permission stands. Whatever else is answered is relayed to the
//! one who asked, and changes nothing for others.

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
    /// Don't: let the origin say what it makes of the request.
    Bypass(BypassReason),
}

/// What to do after the look-ups.
#[derive(Debug)]
pub enum AfterLookup {
    /// Serve without asking; and maybe renew the lease.
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
                let query = self.query_about(&stored, leases, now_unix_secs);
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

    /// Returns when the older of the two leases was granted; `None` unless both are alive.
    fn leased_since(&self, leases: Leases, now_unix_secs: u64) -> Option<u64> {
        let policy = self.config.lease;
        self.confirmed_since(leases, |at| policy.is_alive(at, now_unix_secs))
    }

    /// Returns when the older of the two grants was asked for; `None` unless both still count. A
    /// refusal revokes only the grant that it concerns, so both are required.
    fn confirmed_since(&self, leases: Leases, counts: impl Fn(u64) -> bool) -> Option<u64> {
        let keys = self.lease_keys.as_ref()?;
        let media = leases.media.filter(|at| counts(*at))?;
        match keys.credential {
            Some(_) => leases.credential.filter(|at| counts(*at)).map(|at| at.min(media)),
            None => Some(media),
        }
    }

    /// Returns the record to renew; `None` if neither is old. The credential's comes before the
    /// media's, since it serves more requests.
    fn old_record(&self, leases: Leases, now_unix_secs: u64) -> Option<CacheKey> {
        let keys = self.lease_keys.as_ref()?;
        let is_old = |confirmed: Option<u64>| {
            confirmed.is_some_and(|at| self.config.lease.is_old(at, now_unix_secs))
        };
        match &keys.credential {
            Some(key) if is_old(leases.credential) => Some(key.clone()),
            _ if is_old(leases.media) => Some(keys.media.clone()),
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
        let is_media_granted = leases.media.is_some_and(|at| policy.is_alive(at, now_unix_secs));
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
        let policy = self.config.lease;
        self.confirmed_since(leases, |at| policy.is_within_stale_window(at, now_unix_secs))
    }
}
