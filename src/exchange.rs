//! The life of a download, as decisions: consuming steps, so that none can be left out or taken
//! twice. The shell does what each answer says and asks the next question; it never looks inside
//! a header.
//!
//! ```text
//! begin ─▶ LookUp ─▶ on_lookup ─▶ Ask ─▶ on_origin ─▶ Answer
//!   └▶ Bypass            └▶ Serve          └▶ AskAgain ─▶ on_origin …
//! ```
//!
//! Every answer stands on the homeserver's word about this very credential at this very door. On a
//! stored response the question is a conditional request (RFC 9111 §4.3): its 304 proves
//! permission; the identity of the bytes is the key's. While a lease is alive (see
//! [`crate::lease`]) an earlier word stands. Whatever else the homeserver says is relayed.

mod answer;

use std::rc::Rc;

use http::header::{AUTHORIZATION, HeaderMap};
use http::{Method, StatusCode};

use crate::cache_key::{CacheKey, Subject};
use crate::cache_status::ForwardReason;
use crate::config::{Config, OriginRedirects};
use crate::credentials::{AccessToken, Credential};
use crate::headers::{LOOP, ask_for_identity, to_homeserver};
use crate::lease::{LeaseChange, LeaseKeys, LeaseScope, Leases, TokenDigest};
use crate::matrix_error::Rejection;
use crate::range::ByteRange;
use crate::redirect::{self, MAX_REDIRECTS};
use crate::request::{
    Keep, OriginError, OriginHead, OriginRequest, Patience, ReplyHead, RequestHead, own_value,
};
use crate::route::{BypassReason, Door, MediaRequest, Terms};
use crate::stored::{Permission, StoredMeta};

/// How long the origin may take for the head of a media answer.
///
/// Synapse holds a request for media that is still being uploaded for at most 60 s (`timeout_ms`),
/// and sends nothing of remote media before it has all of it. The platform itself gives up on a
/// proxied origin at 100 s.
pub const ORIGIN_PATIENCE: Patience = Patience::Millis(90_000);

/// The same where a stored response can be served instead: clients give up at about 30 s.
const STALE_PATIENCE: Patience = Patience::Millis(10_000);

/// A request for media, from its arrival to the question to the origin.
#[derive(Debug)]
pub struct Exchange {
    config: Rc<Config>,
    head: Rc<RequestHead>,
    request: MediaRequest,
    key: CacheKey,
    token: Option<AccessToken>,
    lease_keys: Option<LeaseKeys>,
}

/// The first step's answer.
#[derive(Debug)]
pub enum Begin {
    /// Look [`Exchange::key`] and [`Exchange::lease_keys`] up and call [`Exchange::on_lookup`].
    LookUp(Exchange),
    /// Don't: let the origin say what it makes of the request.
    Bypass(BypassReason),
}

/// The second step's answer.
#[derive(Debug)]
pub enum Decision {
    /// Serve without asking; and maybe renew the lease.
    Serve(Outcome, Option<Refresh>),
    /// Ask the origin.
    Ask(Question),
}

/// A question to ask behind the back of a client who is served already, since a lease is about to
/// end. Of its answer only the changes to cache and leases count.
#[derive(Debug)]
pub struct Refresh {
    /// The record that is old: one question at a time is enough for it.
    pub key: CacheKey,
    /// What to ask.
    pub question: Question,
}

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
enum Aim {
    /// A conditional request about what is stored.
    Validate(StoredMeta),
    /// An unconditional one: this origin redirects to the bytes, and redirecting is its yes.
    Confirm(StoredMeta),
    /// Whether the token is one: this origin gives no validators, and the media has its lease.
    WhoAmI(StoredMeta),
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

/// What to send, and what to do to cache and leases.
#[derive(Debug)]
pub struct Outcome {
    /// The head for the client.
    pub head: ReplyHead,
    /// The body for the client. Whatever stream is not named here is to be released unread.
    pub body: Body,
    /// What becomes of the cache entry.
    pub entry: EntryChange,
    /// What becomes of the leases.
    pub leases: LeaseChange,
}

/// Where the body for the client comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    Empty,
    /// This text.
    Text(String),
    /// The origin's stream.
    Origin(Cut),
    /// The stored response's stream.
    Stored(Cut),
}

/// How much of a stream the client gets, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it, untouched.
    Whole,
    /// These bytes of this many.
    Part(ByteRange, u64),
    /// All of these many bytes, and the envelope's head in one piece (see [`crate::multipart`]).
    Multipart(u64),
}

/// What to do to the cache entry of the exchange's key.
#[derive(Debug)]
pub enum EntryChange {
    /// Nothing.
    Keep,
    /// Remove it: it is no longer what the homeserver has.
    Remove,
    /// Store the origin's body, this many bytes long, under these headers.
    Store(ReplyHead, u64),
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
        let key = CacheKey::new(match request.door {
            Door::Federation => Subject::Federation(&request.mxc.media_id, request.representation),
            Door::Client | Door::Legacy | Door::Other => {
                Subject::Media(&request.mxc, request.representation)
            }
        });
        let policy = config.lease;
        let is_leasable = match request.door {
            Door::Client => true,
            // A credential at the open door is none of our business, and no other's permission.
            Door::Legacy => !head.headers.contains_key(AUTHORIZATION),
            Door::Federation | Door::Other => false,
        };
        let lease_keys = (policy.is_remembering() && is_leasable && request.terms == Terms::Plain)
            .then(|| {
                let digest = token.as_ref().map(|token| TokenDigest::new(digest_key, token));
                LeaseKeys::new(policy, request.door, digest.as_ref(), &request.mxc)
            });
        Begin::LookUp(Self { config, head, request, key, token, lease_keys })
    }

    /// The key to look up.
    pub fn key(&self) -> &CacheKey {
        &self.key
    }

    /// The lease records to look up, if any may count.
    pub fn lease_keys(&self) -> Option<&LeaseKeys> {
        self.lease_keys.as_ref()
    }

    /// Serves what is stored on a living lease, or asks the origin for its word or for the media.
    pub fn on_lookup(
        self,
        stored: Option<StoredMeta>,
        leases: Leases,
        now_unix_secs: u64,
    ) -> Decision {
        let Some(stored) = stored else {
            // HEAD spares the origin the body.
            let aim = Aim::Fetch(self.head.method.clone());
            return Decision::Ask(self.ask(aim, leases, now_unix_secs));
        };
        if let Some(confirmed_unix_secs) = self.leased_since(leases, now_unix_secs) {
            let outcome = answer::leased(&self, &stored, confirmed_unix_secs, now_unix_secs);
            let refresh = self.old_record(leases, now_unix_secs).map(|key| {
                let (exchange, aim) = self.aim_at(stored, leases, now_unix_secs);
                Refresh { key, question: exchange.ask(aim, leases, now_unix_secs) }
            });
            return Decision::Serve(outcome, refresh);
        }
        let (exchange, aim) = self.aim_at(stored, leases, now_unix_secs);
        Decision::Ask(exchange.ask(aim, leases, now_unix_secs))
    }

    /// Since when both records have been alive, if they are.
    fn leased_since(&self, leases: Leases, now_unix_secs: u64) -> Option<u64> {
        let keys = self.lease_keys.as_ref()?;
        let alive = |confirmed: Option<u64>| {
            confirmed.filter(|at| self.config.lease.is_alive(*at, now_unix_secs))
        };
        let media = alive(leases.media)?;
        match keys.credential {
            Some(_) => alive(leases.credential).map(|credential| credential.min(media)),
            None => Some(media),
        }
    }

    /// The record that should be renewed: the credential's before the media's, since it serves
    /// more requests.
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

    /// How to ask about what is stored.
    fn aim_at(self, stored: StoredMeta, leases: Leases, now_unix_secs: u64) -> (Self, Aim) {
        let policy = self.config.lease;
        let aim = match stored.permission() {
            Permission::ETag(_) | Permission::LastModified(_) => Aim::Validate(stored),
            Permission::Redirect => Aim::Confirm(stored),
            // `whoami` tells of a token, not of what it may read.
            Permission::None
                if self.lease_keys.is_some()
                    && self.token.is_some()
                    && policy.scope == LeaseScope::Token
                    && leases.media.is_some_and(|at| policy.is_alive(at, now_unix_secs)) =>
            {
                Aim::WhoAmI(stored)
            }
            Permission::None => Aim::Fetch(self.head.method.clone()),
        };
        (self, aim)
    }

    fn ask(self, aim: Aim, leases: Leases, asked_unix_secs: u64) -> Question {
        let pending = Pending { exchange: self, aim, leases, asked_unix_secs };
        Question { request: pending.request(), pending }
    }

    /// The client's own target without the file name: one stored response serves every name, and
    /// without one the origin tells the name that the upload had.
    fn origin_target(&self) -> String {
        let target = &self.head.target;
        format!("{}{}", self.request.unnamed_path, &target.as_str()[target.path().len()..])
    }

    /// Whether a client of this door may be served while the homeserver is down.
    fn is_within_stale_window(&self, leases: Leases, now_unix_secs: u64) -> bool {
        let Some(keys) = &self.lease_keys else { return false };
        let last_yes = if keys.credential.is_some() { leases.credential } else { leases.media };
        last_yes.is_some_and(|at| self.config.lease.is_within_stale_window(at, now_unix_secs))
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
        let mut set = to_homeserver(&exchange.head, &exchange.config);
        ask_for_identity(&mut set);
        let mut keep = Keep::Media;
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
                // No credential, no client's address, no secret of the admin's.
                set =
                    HeaderMap::from_iter([(LOOP, own_value(exchange.config.server_name.as_str()))]);
                ask_for_identity(&mut set);
            }
        }
        if !matches!(self.aim, Aim::Fetch(_) | Aim::FetchRedirected(..))
            && exchange.is_within_stale_window(self.leases, self.asked_unix_secs)
        {
            patience = STALE_PATIENCE;
        }
        OriginRequest { method: self.method(), url, keep, set, patience }
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
        let granted = exchange.granted(asked_unix_secs);
        let nonsense = |exchange: &Exchange, forward| {
            answer::rejected(exchange, &Rejection::OriginNonsense, forward, Some(status))
        };
        let forward = aim.forward_reason();
        Verdict::Answer(match (aim, status) {
            (Aim::Validate(stored), StatusCode::NOT_MODIFIED) => {
                answer::validated(&exchange, &stored, &origin, granted)
            }
            (Aim::WhoAmI(stored), StatusCode::OK) => {
                answer::identified(&exchange, &stored, asked_unix_secs)
            }
            (Aim::WhoAmI(_), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                answer::relayed(&exchange, &origin, forward)
            }
            // It has no such endpoint, so only the media itself can tell.
            (Aim::WhoAmI(_), _) => {
                let aim = Aim::Fetch(exchange.head.method.clone());
                return Verdict::AskAgain(exchange.ask(aim, leases, asked_unix_secs));
            }
            (Aim::FetchRedirected(..), StatusCode::OK) => {
                let fetched = Fetched { permission: Permission::Redirect, method, forward };
                answer::fetched(&exchange, &origin, fetched, LeaseChange::Keep, now_unix_secs)
            }
            // What the homeserver redirects to is not the homeserver: its word means nothing.
            (Aim::FetchRedirected(..), _) => nonsense(&exchange, forward),
            // Not every homeserver knows HEAD; the edge does (MSC4120).
            (Aim::Fetch(Method::HEAD), StatusCode::METHOD_NOT_ALLOWED)
                if exchange.request.door != Door::Federation =>
            {
                let aim = Aim::Fetch(Method::GET);
                return Verdict::AskAgain(exchange.ask(aim, leases, asked_unix_secs));
            }
            (_, StatusCode::OK) => {
                let fetched = Fetched { permission: Permission::of(&origin), method, forward };
                answer::fetched(&exchange, &origin, fetched, granted, now_unix_secs)
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
        // Beyond the homeserver the network is a stranger's, unless the homeserver is next door.
        let is_allowed = |target: &String| {
            target.starts_with("https://") || !exchange.config.homeserver.is_https()
        };
        let target = redirect::target(&from, origin).filter(is_allowed);
        match target.filter(|_| hops < MAX_REDIRECTS) {
            Some(target) => {
                let aim = Aim::FetchRedirected(target, hops + 1);
                Verdict::AskAgain(exchange.ask(aim, leases, asked_unix_secs))
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
        match (aim, failed) {
            (Aim::Validate(stored) | Aim::Confirm(stored) | Aim::WhoAmI(stored), _)
                if exchange.is_within_stale_window(leases, now_unix_secs) =>
            {
                answer::stale(&exchange, &stored, leases, now_unix_secs)
            }
            (Aim::FetchRedirected(..), Ok(origin)) => answer::rejected(
                &exchange,
                &Rejection::OriginNonsense,
                forward,
                Some(origin.status),
            ),
            (_, Ok(origin)) => answer::relayed(&exchange, &origin, forward),
            (_, Err(error)) => {
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

/// How a 200 came about.
struct Fetched {
    permission: Permission,
    method: Method,
    forward: ForwardReason,
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

impl AccessToken {
    fn to_header(&self) -> String {
        format!("Bearer {}", String::from_utf8_lossy(self.as_bytes()))
    }
}
