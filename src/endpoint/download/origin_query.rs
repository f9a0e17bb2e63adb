//! What the origin is asked in an exchange, and how its answer is read.
//!
//! Others may get what comes of a question, so it carries nothing of the reader's but the
//! credential, the address that they connect from, and a bounded `User-Agent`. A question for a part
//! carries the range too, and its answer is for nobody else.

use std::rc::Rc;

use http::header::{AUTHORIZATION, HeaderMap, RANGE};
use http::{Method, StatusCode};

use super::origin_target::Waiting;
use super::part::Whole;
use super::response::{self, Fetched};
use super::{Exchange, Outcome};
use crate::cache::entry::{FetchTimes, StoredMeta, Validator};
use crate::cache::key::CacheKey;
use crate::config::OriginRedirects;
use crate::error::Rejection;
use crate::headers::cache_status::ForwardReason;
use crate::headers::own_value;
use crate::headers::range::RangeSpec;
use crate::lease::{LeaseChange, LeaseKeys, Leases};
use crate::matrix::media::Door;
use crate::origin::client_headers::ClientHeaders;
use crate::origin::forwarding::{
    add_own_agent, add_reader_agent, ask_for_identity, forwarding_headers, loop_header,
};
use crate::origin::intermediary::Intermediary;
use crate::origin::outage;
use crate::origin::redirect::{self, Next, Redirects};
use crate::origin::{
    ORIGIN_TIMEOUT, OriginAnswer, OriginError, OriginHead, OriginRequest, Timeout, whoami_url,
};
use crate::permission::{self, Refusal};

/// How long the origin may take where a stored response can be served instead: clients give up at
/// about 30 s.
const STALE_TIMEOUT: Timeout = Timeout::Ms(10_000);

/// A request to send to the origin, and how to read its answer.
#[derive(Debug)]
pub struct OriginExchange {
    /// What to send, without a body.
    pub request: OriginRequest,
    /// Takes the answer.
    pub pending: PendingAnswer,
}

/// What the origin was asked, and so how its answer is to be read.
#[derive(Debug)]
pub struct PendingAnswer {
    pub(super) exchange: Exchange,
    pub(super) stored: Option<Rc<StoredMeta>>,
    pub(super) query: OriginQuery,
    pub(super) leases: Leases,
    pub(super) asked_unix_secs: u64,
    /// The range that the origin is asked for, where nothing is stored to cut it from.
    pub(super) range: Option<RangeSpec>,
}

/// What the origin is asked, and how.
#[derive(Debug)]
pub(super) enum OriginQuery {
    /// A conditional request for the stored response (RFC 9111 §4.3.1).
    Revalidate,
    /// A HEAD for the stored response: this origin answers conditions with the whole body.
    RevalidateByHead,
    /// An unconditional GET: this origin redirects to the bytes, and a redirect to where it led before
    /// is its permission.
    ConfirmRedirect,
    /// `whoami`: this origin sends no validators, and the media's lease is alive.
    CheckToken,
    /// The media, by this method.
    Fetch(Method),
    /// The media by GET, since a HEAD was refused just now.
    FetchAfterHead {
        /// Whether the HEAD failed, as it may in an outage: what may be served then may be served
        /// where the GET fails too.
        failed: bool,
    },
    /// The media, from where the origin redirected to.
    FollowRedirect(Redirected),
}

/// A redirect that is followed.
#[derive(Debug)]
pub(super) struct Redirected {
    redirects: Redirects,
    /// Where the homeserver itself redirected to (see [`redirect::place`]); `None` where the
    /// redirect is to another URL of media, which any proxy may send to anyone and is no
    /// permission.
    place: Option<String>,
}

impl Redirected {
    /// Returns where the media is asked for now.
    pub(super) fn url(&self) -> &str {
        self.redirects.url()
    }

    /// Returns what the media is known by where it is asked for later.
    pub(super) fn validator(&self) -> Validator {
        Validator::Redirect(self.place.clone().unwrap_or_default())
    }
}

/// What to do after the origin's answer.
#[derive(Debug)]
pub enum AfterOrigin {
    /// Respond with this.
    Respond(Outcome),
    /// Respond with this: the part that the client wants. The whole may be worth asking for, too.
    RespondPart(Outcome, Option<Whole>),
    /// Release the answer's body, and send this instead.
    AskAgain(OriginExchange),
    /// The question failed, and its reader may be served stale: find out whether the homeserver is
    /// down, and call [`Suspicion::on_probe`].
    CheckOutage(Suspicion),
}

/// A question that failed: by itself, or since the homeserver is down.
#[derive(Debug)]
pub struct Suspicion {
    exchange: Exchange,
    stored: Rc<StoredMeta>,
    failed: Result<OriginAnswer, OriginError>,
}

impl OriginExchange {
    pub(super) fn new(
        exchange: Exchange,
        stored: Option<Rc<StoredMeta>>,
        query: OriginQuery,
        leases: Leases,
        asked_unix_secs: u64,
    ) -> Self {
        let range =
            if stored.is_none() { exchange.range_for(&query, asked_unix_secs) } else { None };
        let pending = PendingAnswer { exchange, stored, query, leases, asked_unix_secs, range };
        Self { request: pending.request(), pending }
    }
}

impl PendingAnswer {
    pub(super) fn method(&self) -> Method {
        let exchange = &self.exchange;
        match &self.query {
            // Servers sign their method.
            OriginQuery::Revalidate if exchange.request.door == Door::Federation => {
                exchange.head.method.clone()
            }
            OriginQuery::Fetch(method) => method.clone(),
            OriginQuery::RevalidateByHead => Method::HEAD,
            // Whatever the client's method: a 304 has no body, and a 200 brings what to store.
            OriginQuery::Revalidate
            | OriginQuery::ConfirmRedirect
            | OriginQuery::CheckToken
            | OriginQuery::FetchAfterHead { .. }
            | OriginQuery::FollowRedirect(_) => Method::GET,
        }
    }

    pub(super) fn request(&self) -> OriginRequest {
        let exchange = &self.exchange;
        let homeserver = &exchange.config.homeserver;
        let waiting = if self.stored.is_some() { Waiting::ForNothing } else { Waiting::ForUpload };
        let mut set = self.reader_headers();
        let mut is_for_homeserver = true;
        let mut timeout = ORIGIN_TIMEOUT;
        let mut url = format!("{homeserver}{}", exchange.origin_target(waiting));
        match &self.query {
            OriginQuery::Revalidate => {
                let validator = self.stored.as_ref().map(|stored| stored.validator());
                if let Some((name, value)) = validator.and_then(Validator::precondition) {
                    set.insert(name, value);
                }
            }
            OriginQuery::RevalidateByHead
            | OriginQuery::ConfirmRedirect
            | OriginQuery::Fetch(_)
            | OriginQuery::FetchAfterHead { .. } => {}
            OriginQuery::CheckToken => {
                url = whoami_url(&exchange.config);
                if let Some(token) = &exchange.token {
                    set.insert(AUTHORIZATION, own_value(&token.to_header()));
                }
            }
            OriginQuery::FollowRedirect(redirected) => {
                url = exchange.config.origin_url(redirected.redirects.url()).into_owned();
                is_for_homeserver = exchange.config.is_homeservers_media(&url);
                // No credential, no client's address, no secret of the admin's.
                set = loop_header(&exchange.config);
                add_own_agent(&mut set);
            }
        }
        ask_for_identity(&mut set);
        if let Some(range) = self.range.and_then(RangeSpec::request_header) {
            set.insert(RANGE, own_value(&range));
        }
        if self.stored.is_some()
            && self.query.is_about_stored()
            && exchange.stale_since(self.leases, self.asked_unix_secs).is_some()
        {
            timeout = STALE_TIMEOUT;
        }
        let method = self.method();
        OriginRequest {
            method,
            url,
            client_headers: ClientHeaders::None,
            set,
            is_for_homeserver,
            timeout,
        }
    }

    /// Returns the headers by which the origin knows the reader.
    fn reader_headers(&self) -> HeaderMap {
        let Exchange { head, config, .. } = &self.exchange;
        let mut set = forwarding_headers(head, config);
        add_reader_agent(&mut set, head);
        if let Some(credential) = head.headers.get(AUTHORIZATION) {
            set.insert(AUTHORIZATION, credential.clone());
        }
        set
    }

    /// Returns whether the body of an answer with this head is to be read: of a Matrix error, and
    /// of `whoami`'s answer.
    pub fn reads_body(&self, head: &OriginHead) -> bool {
        head.may_be_matrix_error()
            || head.is_small_json() && matches!(self.query, OriginQuery::CheckToken)
    }

    /// Reads the origin's answer.
    pub fn on_origin(
        self,
        answer: Result<OriginAnswer, OriginError>,
        now_unix_secs: u64,
    ) -> AfterOrigin {
        let method = self.method();
        let answer = match answer {
            Ok(origin) => match Intermediary::of(&origin, &method) {
                Some(intermediary) if !self.can_ask_otherwise(&origin.head) => {
                    Err(OriginError::Intercepted(intermediary))
                }
                Some(_) | None => Ok(origin),
            },
            Err(error) => Err(error),
        };
        let origin = match answer {
            Ok(origin) if !origin.head.status.is_server_error() => origin,
            // It has no body to relay: what the client asked for itself brings the error's.
            Ok(origin) if matches!(self.query, OriginQuery::RevalidateByHead) => origin,
            Ok(origin) if self.can_ask_otherwise(&origin.head) => origin,
            failed => return self.on_failure(failed, now_unix_secs),
        };
        if matches!(self.query, OriginQuery::RevalidateByHead) {
            return self.on_head(&origin.head);
        }
        // `whoami` is no media, wherever it is.
        if self.exchange.follows(&origin.head) && !matches!(self.query, OriginQuery::CheckToken) {
            return self.on_redirect(&origin);
        }
        if let Some(range) = self.range {
            if origin.head.status == StatusCode::PARTIAL_CONTENT {
                return self.on_part(range, &origin.head, now_unix_secs);
            }
            if self.leaves_whole(&origin) {
                return AfterOrigin::AskAgain(self.for_whole());
            }
        }
        let Self { exchange, stored, query, leases, asked_unix_secs, .. } = self;
        let status = origin.head.status;
        let nonsense = |exchange: &Exchange, forward| {
            response::rejected(exchange, &Rejection::OriginNonsense, forward, Some(status))
        };
        let forward = query.forward_reason();
        let head = &origin.head;
        let times = FetchTimes { asked_unix_secs, answered_unix_secs: now_unix_secs };
        let fetched = |exchange: &Exchange, validator| {
            let fetched = Fetched { stored: stored.as_deref(), validator, method, forward };
            response::fetched(exchange, head, fetched, times)
        };
        AfterOrigin::Respond(match (query, status, &stored) {
            (OriginQuery::Revalidate, StatusCode::NOT_MODIFIED, Some(stored))
                if permission::confirms_by_condition(head, stored) =>
            {
                response::validated(&exchange, stored, head, exchange.granted(asked_unix_secs))
            }
            // The media's lease may have ended while the answer was on its way.
            (OriginQuery::CheckToken, StatusCode::OK, Some(stored))
                if permission::knows_token(&origin)
                    && exchange.media_standing(leases, now_unix_secs).is_some() =>
            {
                response::identified(&exchange, stored, asked_unix_secs)
            }
            (OriginQuery::CheckToken, ..)
                if permission::refusal(&origin) == Some(Refusal::Credential) =>
            {
                response::relayed(&exchange, &origin, forward)
            }
            // Nothing learned, so only the media itself can tell.
            (OriginQuery::CheckToken, ..)
            | (OriginQuery::Revalidate, StatusCode::NOT_MODIFIED, Some(_)) => {
                let query = OriginQuery::Fetch(exchange.fetch_method(now_unix_secs));
                let question =
                    OriginExchange::new(exchange, stored, query, leases, asked_unix_secs);
                return AfterOrigin::AskAgain(question);
            }
            (OriginQuery::FollowRedirect(redirected), StatusCode::OK, _) => {
                fetched(&exchange, redirected.validator())
            }
            // What the homeserver redirects to is not the homeserver: its word means nothing.
            (OriginQuery::FollowRedirect(_), ..) => nonsense(&exchange, forward),
            (OriginQuery::Fetch(Method::HEAD), ..) if exchange.asks_again_by_get(head) => {
                let query = OriginQuery::after_head(head);
                let question =
                    OriginExchange::new(exchange, stored, query, leases, asked_unix_secs);
                return AfterOrigin::AskAgain(question);
            }
            (OriginQuery::Fetch(Method::HEAD), StatusCode::OK, Some(stored))
                if permission::confirms_by_head(head, stored, exchange.request.door) =>
            {
                response::validated(&exchange, stored, head, exchange.granted(asked_unix_secs))
            }
            (_, StatusCode::OK, _) => fetched(&exchange, Validator::of(head)),
            // The edge sent no such precondition, and no range.
            (
                _,
                StatusCode::NOT_MODIFIED
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::PRECONDITION_FAILED
                | StatusCode::RANGE_NOT_SATISFIABLE,
                _,
            ) => nonsense(&exchange, forward),
            _ => response::relayed(&exchange, &origin, forward),
        })
    }

    /// Returns whether a question that may have met an intermediary is asked in another way, rather
    /// than be answered by an error: `whoami` may not be let through where media is, and what
    /// answers a HEAD has no body to be known by.
    fn can_ask_otherwise(&self, origin: &OriginHead) -> bool {
        match self.query {
            OriginQuery::CheckToken => !outage::is_failure(origin),
            OriginQuery::RevalidateByHead => {
                !outage::is_failure(origin) || origin.may_not_know_head()
            }
            OriginQuery::Fetch(Method::HEAD) => self.exchange.asks_again_by_get(origin),
            // A proxy may refuse a range alone.
            _ => self.range.is_some() && origin.is_error() && !outage::is_failure(origin),
        }
    }

    /// Reads the answer to a HEAD about what is stored. Whatever does not fit that is asked again as
    /// the client would: a refusal of HEAD has no body to be known by as the homeserver's.
    fn on_head(self, origin: &OriginHead) -> AfterOrigin {
        let Self { exchange, stored, leases, asked_unix_secs, .. } = self;
        if let Some(stored) = &stored
            && permission::confirms_by_head(origin, stored, exchange.request.door)
        {
            let granted = exchange.granted(asked_unix_secs);
            return AfterOrigin::Respond(response::validated(&exchange, stored, origin, granted));
        }
        let is_refused = origin.status != StatusCode::OK && !origin.status.is_server_error();
        let query = if is_refused || origin.may_not_know_head() {
            OriginQuery::after_head(origin)
        } else {
            OriginQuery::Fetch(exchange.head.method.clone())
        };
        AfterOrigin::AskAgain(OriginExchange::new(exchange, stored, query, leases, asked_unix_secs))
    }

    fn on_redirect(self, answer: &OriginAnswer) -> AfterOrigin {
        let origin = &answer.head;
        let from = self.request().url;
        let Self { exchange, stored, query, leases, asked_unix_secs, .. } = self;
        let forward = query.forward_reason();
        if let (OriginQuery::ConfirmRedirect, Some(stored)) = (&query, &stored)
            && permission::confirms_by_redirect(&from, origin, stored)
        {
            return AfterOrigin::Respond(response::confirmed(&exchange, stored, origin));
        }
        let (mut redirects, place) = match query {
            OriginQuery::FollowRedirect(Redirected { redirects, place }) => {
                (redirects, Some(place))
            }
            OriginQuery::Fetch(_)
            | OriginQuery::FetchAfterHead { .. }
            | OriginQuery::Revalidate
            | OriginQuery::RevalidateByHead
            | OriginQuery::ConfirmRedirect
            | OriginQuery::CheckToken => (Redirects::begin(from.clone()), None),
        };
        // No homeserver sends readers back to where they came from, without their credential: that
        // is about the way, such as to https, and comes from an intermediary.
        let is_first = place.is_none();
        match redirects.next(origin) {
            Next::Follow if !exchange.config.admits_redirect(redirects.url()) => {
                AfterOrigin::Respond(if exchange.wants_redirects() {
                    response::relayed(&exchange, answer, forward)
                } else {
                    let rejection = Rejection::RedirectHost;
                    response::rejected(&exchange, &rejection, forward, Some(origin.status))
                })
            }
            Next::Follow
                if !(is_first
                    && redirect::is_same_path(
                        &from,
                        &exchange.config.origin_url(redirects.url()),
                    )) =>
            {
                let place = place.unwrap_or_else(|| {
                    let is_judged = !redirect::asks_for_media(redirects.url());
                    is_judged.then(|| redirect::place(redirects.url()).to_owned())
                });
                let query = OriginQuery::FollowRedirect(Redirected { redirects, place });
                let question =
                    OriginExchange::new(exchange, stored, query, leases, asked_unix_secs);
                AfterOrigin::AskAgain(question)
            }
            Next::Follow | Next::Stay | Next::TooMany => AfterOrigin::Respond(response::rejected(
                &exchange,
                &Rejection::OriginNonsense,
                forward,
                Some(origin.status),
            )),
        }
    }

    /// Reads a failure, or that there was no answer. Where the stored response may be served stale
    /// (RFC 5861 §4), returns the suspicion of an outage, else an error.
    fn on_failure(
        self,
        failed: Result<OriginAnswer, OriginError>,
        now_unix_secs: u64,
    ) -> AfterOrigin {
        let Self { exchange, stored, query, leases, .. } = self;
        let forward = query.forward_reason();
        let stale_since = exchange.stale_since(leases, now_unix_secs);
        AfterOrigin::Respond(match (query, failed, stored, stale_since) {
            (query, failed, Some(stored), Some(_)) if query.is_about_stored() => {
                return AfterOrigin::CheckOutage(Suspicion { exchange, stored, failed });
            }
            (OriginQuery::FollowRedirect(_), Ok(_) | Err(OriginError::Intercepted(_)), ..) => {
                response::rejected(&exchange, &Rejection::OriginNonsense, forward, None)
            }
            (_, failed, ..) => response::failed(&exchange, failed, forward),
        })
    }
}

impl Suspicion {
    /// Returns the key of the stored response.
    pub fn key(&self) -> &CacheKey {
        self.exchange.key()
    }

    /// Returns the lease records to look up again before [`Self::on_probe`].
    pub fn lease_keys(&self) -> Option<&LeaseKeys> {
        self.exchange.lease_keys()
    }

    /// Serves the stored response if the homeserver is down, and else relays the failure: the
    /// failure of a reader's own question is no reason to serve stale. `leases` are looked up anew,
    /// since a refusal may have come in the meantime.
    pub fn on_probe(self, is_origin_down: bool, leases: Leases, now_unix_secs: u64) -> Outcome {
        let Self { exchange, stored, failed } = self;
        match exchange.stale_since(leases, now_unix_secs) {
            Some(confirmed_unix_secs) if is_origin_down => {
                response::stale(&exchange, &stored, confirmed_unix_secs, now_unix_secs)
            }
            _ => response::failed(&exchange, failed, ForwardReason::Stale),
        }
    }
}

impl OriginQuery {
    /// Returns the query by GET that follows a HEAD with this answer.
    const fn after_head(origin: &OriginHead) -> Self {
        Self::FetchAfterHead { failed: origin.status.as_u16() >= 500 }
    }

    /// Returns whether the answer can permit that the stored response is served.
    pub(super) const fn is_about_stored(&self) -> bool {
        match self {
            Self::Revalidate
            | Self::RevalidateByHead
            | Self::ConfirmRedirect
            | Self::CheckToken => true,
            Self::Fetch(method) => matches!(*method, Method::HEAD),
            Self::FetchAfterHead { failed } => *failed,
            Self::FollowRedirect(_) => false,
        }
    }

    /// Returns why the request was forwarded, for `Cache-Status`.
    pub(super) const fn forward_reason(&self) -> ForwardReason {
        match self {
            Self::Revalidate
            | Self::RevalidateByHead
            | Self::ConfirmRedirect
            | Self::CheckToken => ForwardReason::Stale,
            Self::Fetch(_) | Self::FetchAfterHead { .. } | Self::FollowRedirect(_) => {
                ForwardReason::UriMiss
            }
        }
    }
}

impl Exchange {
    /// Returns whether an answer is a redirect that the edge follows. Servers never get one at the
    /// top level, and what they signed is for the homeserver.
    pub(super) fn follows(&self, origin: &OriginHead) -> bool {
        self.config.origin_redirects == OriginRedirects::Follow
            && self.request.door != Door::Federation
            && redirect::is_redirect(origin)
    }

    /// Returns whether a HEAD with this answer is asked again as a GET. Not every homeserver knows
    /// HEAD; the edge does (MSC4120). And an error to HEAD has no body that shows whether the
    /// homeserver refuses, which revokes a lease, or an intermediary. Servers sign their method.
    fn asks_again_by_get(&self, origin: &OriginHead) -> bool {
        let may_end_lease = self.lease_keys.is_some() && permission::may_refuse(origin.status);
        let answer = OriginAnswer::unread(origin.clone());
        let may_be_page = Intermediary::of(&answer, &Method::HEAD).is_some();
        let is_otherwise_refused = !outage::is_failure(origin) && (may_end_lease || may_be_page);
        self.request.door != Door::Federation
            && (origin.may_not_know_head() || is_otherwise_refused)
    }

    /// Returns the method by which media is asked for: the client's own, but a GET for a HEAD that is
    /// known to bring an error. Servers sign theirs.
    pub(super) fn fetch_method(&self, now_unix_secs: u64) -> Method {
        if self.asks_by_head(now_unix_secs) { Method::HEAD } else { Method::GET }
    }

    /// Returns whether the client's request is a HEAD, and may be asked as one.
    pub(super) fn asks_by_head(&self, now_unix_secs: u64) -> bool {
        self.head.method == Method::HEAD
            && self.revalidation.may_ask_by_head(self.request.door, now_unix_secs)
    }

    /// Returns the change of the leases where the homeserver grants this request.
    pub(super) fn granted(&self, asked_unix_secs: u64) -> LeaseChange {
        match self.lease_keys {
            Some(_) => LeaseChange::Grant { asked_unix_secs },
            None => LeaseChange::Unchanged,
        }
    }
}
