//! What the origin is asked in an exchange, and how its answer is read.

use std::rc::Rc;

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

use super::answer::{self, Fetched};
use super::{Exchange, ORIGIN_PATIENCE, Outcome};
use crate::cache_status::ForwardReason;
use crate::config::OriginRedirects;
use crate::forwarding::{ask_for_identity, forwarding_headers, loop_header};
use crate::lease::{LeaseChange, Leases};
use crate::matrix_error::Rejection;
use crate::redirect::{self, MAX_REDIRECTS};
use crate::request::{Keep, OriginError, OriginHead, OriginRequest, Patience, own_value};
use crate::route::Door;
use crate::stored::{Permission, StoredMeta};

/// How long the origin may take where a stored response can be served instead: clients give up at
/// about 30 s.
const STALE_PATIENCE: Patience = Patience::Millis(10_000);

/// A request to send, and how to read its answer.
#[derive(Debug)]
pub struct Question {
    /// What to send, without a body.
    pub request: OriginRequest,
    /// Takes the answer.
    pub pending: Pending,
}

/// What the origin was asked, and so how its answer is to be read.
#[derive(Debug)]
pub struct Pending {
    exchange: Exchange,
    aim: Aim,
    leases: Leases,
    asked_unix_secs: u64,
}

#[derive(Debug)]
pub(super) enum Aim {
    /// A conditional request about what is stored.
    Validate(Rc<StoredMeta>),
    /// An unconditional one: this origin redirects to the bytes, and redirecting is its yes.
    Confirm(Rc<StoredMeta>),
    /// Whether the token is one: this origin gives no validators, and the media has its lease.
    WhoAmI(Rc<StoredMeta>),
    /// The media, by this method.
    Fetch(Method),
    /// The media, from where the origin redirected to; and by how many hops.
    FetchRedirected(String, u8),
}

/// The last step's answer.
#[derive(Debug)]
pub enum Verdict {
    /// This is it.
    Answer(Outcome),
    /// Release the answer's body and ask this instead.
    AskAgain(Question),
}

impl Question {
    pub(super) fn new(exchange: Exchange, aim: Aim, leases: Leases, asked_unix_secs: u64) -> Self {
        let pending = Pending { exchange, aim, leases, asked_unix_secs };
        Self { request: pending.request(), pending }
    }
}

impl Pending {
    fn method(&self) -> Method {
        let exchange = &self.exchange;
        match &self.aim {
            // Servers sign their method.
            Aim::Validate(_) if exchange.request.door == Door::Federation => {
                exchange.head.method.clone()
            }
            Aim::Fetch(method) => method.clone(),
            // Whatever the client's method: a 304 has no body, and a 200 brings what to store.
            Aim::Validate(_) | Aim::Confirm(_) | Aim::WhoAmI(_) | Aim::FetchRedirected(..) => {
                Method::GET
            }
        }
    }

    fn request(&self) -> OriginRequest {
        let exchange = &self.exchange;
        let homeserver = &exchange.config.homeserver;
        let mut set = forwarding_headers(&exchange.head, &exchange.config);
        ask_for_identity(&mut set);
        let mut keep = Keep::Media;
        let mut is_for_homeserver = true;
        let mut patience = ORIGIN_PATIENCE;
        let mut url = format!("{homeserver}{}", exchange.origin_target());
        match &self.aim {
            Aim::Validate(stored) => {
                if let Some((name, value)) = stored.permission().precondition() {
                    set.insert(name, value);
                }
            }
            Aim::Confirm(_) | Aim::Fetch(_) => {}
            Aim::WhoAmI(_) => {
                url = format!("{homeserver}/_matrix/client/v3/account/whoami");
                keep = Keep::Nothing;
                if let Some(token) = &exchange.token {
                    set.insert(AUTHORIZATION, own_value(&token.to_header()));
                }
            }
            Aim::FetchRedirected(target, _) => {
                url.clone_from(target);
                keep = Keep::Nothing;
                is_for_homeserver = false;
                // No credential, no client's address, no secret of the admin's.
                set = loop_header(&exchange.config);
                ask_for_identity(&mut set);
            }
        }
        if !matches!(self.aim, Aim::Fetch(_) | Aim::FetchRedirected(..))
            && exchange.stale_since(self.leases, self.asked_unix_secs).is_some()
        {
            patience = STALE_PATIENCE;
        }
        OriginRequest { method: self.method(), url, keep, set, is_for_homeserver, patience }
    }

    /// Reads the origin's answer.
    pub fn on_origin(self, answer: Result<OriginHead, OriginError>, now_unix_secs: u64) -> Verdict {
        let origin = match answer {
            Ok(origin) if !origin.status.is_server_error() => origin,
            failed => return Verdict::Answer(self.on_failure(failed, now_unix_secs)),
        };
        if self.exchange.follows(&origin) {
            return self.on_redirect(&origin);
        }
        let method = self.method();
        let Self { exchange, aim, leases, asked_unix_secs } = self;
        let status = origin.status;
        let policy = exchange.config.lease;
        let granted = exchange.granted(asked_unix_secs);
        let nonsense = |exchange: &Exchange, forward| {
            answer::rejected(exchange, &Rejection::OriginNonsense, forward, Some(status))
        };
        let forward = aim.forward_reason();
        Verdict::Answer(match (aim, status) {
            (Aim::Validate(stored), StatusCode::NOT_MODIFIED) => {
                answer::validated(&exchange, &stored, &origin, granted)
            }
            // The media's lease may have ended while the answer was on its way.
            (Aim::WhoAmI(stored), StatusCode::OK)
                if leases.media.is_some_and(|at| policy.is_alive(at, now_unix_secs)) =>
            {
                answer::identified(&exchange, &stored, asked_unix_secs)
            }
            (Aim::WhoAmI(_), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                answer::relayed(&exchange, &origin, forward)
            }
            // Nothing learned, so only the media itself can tell.
            (Aim::WhoAmI(_), _) => {
                let aim = Aim::Fetch(exchange.head.method.clone());
                return Verdict::AskAgain(Question::new(exchange, aim, leases, asked_unix_secs));
            }
            (Aim::FetchRedirected(..), StatusCode::OK) => {
                let fetched = Fetched { permission: Permission::Redirect, method, forward };
                answer::fetched(&exchange, &origin, fetched, LeaseChange::Keep, asked_unix_secs)
            }
            // What the homeserver redirects to is not the homeserver: its word means nothing.
            (Aim::FetchRedirected(..), _) => nonsense(&exchange, forward),
            // Not every homeserver knows HEAD; the edge does (MSC4120).
            (Aim::Fetch(Method::HEAD), StatusCode::METHOD_NOT_ALLOWED)
                if exchange.request.door != Door::Federation =>
            {
                let aim = Aim::Fetch(Method::GET);
                return Verdict::AskAgain(Question::new(exchange, aim, leases, asked_unix_secs));
            }
            (_, StatusCode::OK) => {
                let fetched = Fetched { permission: Permission::of(&origin), method, forward };
                answer::fetched(&exchange, &origin, fetched, granted, asked_unix_secs)
            }
            // We sent no such precondition, and no range.
            (_, StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT) => {
                nonsense(&exchange, forward)
            }
            _ => answer::relayed(&exchange, &origin, forward),
        })
    }

    fn on_redirect(self, origin: &OriginHead) -> Verdict {
        let from = self.request().url;
        let Self { exchange, aim, leases, asked_unix_secs } = self;
        let forward = aim.forward_reason();
        let hops = match aim {
            Aim::Confirm(stored) => {
                return Verdict::Answer(answer::confirmed(&exchange, &stored, origin));
            }
            Aim::FetchRedirected(_, hops) => hops,
            Aim::Fetch(_) | Aim::Validate(_) | Aim::WhoAmI(_) => 0,
        };
        match redirect::target(&from, origin).filter(|_| hops < MAX_REDIRECTS) {
            Some(target) => {
                let aim = Aim::FetchRedirected(target, hops + 1);
                Verdict::AskAgain(Question::new(exchange, aim, leases, asked_unix_secs))
            }
            None => Verdict::Answer(answer::rejected(
                &exchange,
                &Rejection::OriginNonsense,
                forward,
                Some(origin.status),
            )),
        }
    }

    /// No answer, or a 5xx: RFC 5861 §4, for credentials that were accepted not long ago.
    fn on_failure(self, failed: Result<OriginHead, OriginError>, now_unix_secs: u64) -> Outcome {
        let Self { exchange, aim, leases, .. } = self;
        let forward = aim.forward_reason();
        let stale_since = exchange.stale_since(leases, now_unix_secs);
        match (aim, failed, stale_since) {
            (
                Aim::Validate(stored) | Aim::Confirm(stored) | Aim::WhoAmI(stored),
                _,
                Some(confirmed_unix_secs),
            ) => answer::stale(&exchange, &stored, confirmed_unix_secs, now_unix_secs),
            (Aim::FetchRedirected(..), Ok(origin), _) => answer::rejected(
                &exchange,
                &Rejection::OriginNonsense,
                forward,
                Some(origin.status),
            ),
            (_, Ok(origin), _) => answer::relayed(&exchange, &origin, forward),
            (_, Err(error), _) => {
                answer::rejected(&exchange, &Rejection::Origin(error), forward, None)
            }
        }
    }
}

impl Aim {
    const fn forward_reason(&self) -> ForwardReason {
        match self {
            Self::Validate(_) | Self::Confirm(_) | Self::WhoAmI(_) => ForwardReason::Stale,
            Self::Fetch(_) | Self::FetchRedirected(..) => ForwardReason::UriMiss,
        }
    }
}

impl Exchange {
    /// Whether an answer is a redirect that the edge follows. Servers never get one at the top
    /// level, and what they signed is for the homeserver.
    fn follows(&self, origin: &OriginHead) -> bool {
        self.config.origin_redirects == OriginRedirects::Follow
            && self.request.door != Door::Federation
            && redirect::is_redirect(origin)
    }

    fn granted(&self, asked_unix_secs: u64) -> LeaseChange {
        match self.lease_keys {
            Some(_) => LeaseChange::Grant { asked_unix_secs },
            None => LeaseChange::Keep,
        }
    }
}
