//! The life of a download, as decisions: three consuming steps, so that none can be left out or
//! taken twice. The shell does what each answer says and asks the next question; it never looks
//! inside a header.
//!
//! ```text
//! Exchange::begin ─▶ LookUp ─▶ on_lookup ─▶ ask the origin ─▶ on_origin ─▶ Outcome
//!                 └▶ Bypass
//! ```
//!
//! Every answer stands on the homeserver's word about this very credential (design: strict mode).
//! On a stored response the question is a conditional request (RFC 9111 §4.3): 304 says yes, and
//! proves permission only; the identity of the bytes is the key's. Anything else is relayed.

use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, ETAG, IF_NONE_MATCH};
use http::{Method, StatusCode};

use crate::cache_key::{CacheKey, Subject};
use crate::cache_status::{CACHE_STATUS, CacheStatus, ForwardReason};
use crate::conditional::EntityTag;
use crate::config::Config;
use crate::content_disposition::with_file_name;
use crate::credentials::Credential;
use crate::headers::{add_cors, add_media_security, ask_for_identity, to_homeserver};
use crate::matrix_error::Rejection;
use crate::request::{
    Keep, OriginError, OriginHead, OriginRequest, Patience, ReplyHead, RequestHead, own_value,
};
use crate::route::{BypassReason, MediaRequest};
use crate::storability::{NoStoreReason, storable_length};
use crate::stored::{STORED_META, StoredMeta};

/// How long the origin may take for the head of a media answer, in milliseconds.
///
/// Synapse holds a request for media that is still being uploaded for at most 60 s (`timeout_ms`),
/// and sends nothing of remote media before it has all of it. The platform itself gives up on a
/// proxied origin at 100 s.
pub const ORIGIN_PATIENCE: Patience = Patience::Millis(90_000);

/// A request for media, from its arrival to the question to the origin.
#[derive(Debug)]
pub struct Exchange<'a> {
    config: &'a Config,
    head: &'a RequestHead,
    request: MediaRequest,
    key: CacheKey,
}

/// The first step's answer.
#[derive(Debug)]
pub enum Begin<'a> {
    /// Look [`Exchange::key`] up and call [`Exchange::on_lookup`].
    LookUp(Exchange<'a>),
    /// Don't: let the origin say what it makes of the request.
    Bypass(BypassReason),
}

/// What the origin was asked, and so how its answer is to be read.
#[derive(Debug)]
pub struct Pending<'a> {
    exchange: Exchange<'a>,
    stored: Option<StoredMeta>,
}

/// The last step's answer: what to send, and what to do to the cache.
#[derive(Debug)]
pub struct Outcome {
    /// The head for the client.
    pub head: ReplyHead,
    /// The body for the client. Whatever stream is not named here is to be released unread.
    pub body: Body,
    /// What becomes of the cache entry.
    pub entry: EntryChange,
}

/// Where the body for the client comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    Empty,
    /// This text.
    Text(String),
    /// The origin's stream.
    Origin,
    /// The stored response's stream.
    Stored,
}

/// What to do to the cache entry of the exchange's key.
#[derive(Debug)]
pub enum EntryChange {
    /// Nothing.
    Keep,
    /// Remove it: the homeserver no longer has the media.
    Remove,
    /// Store the origin's body under these headers.
    Store(CacheKey, ReplyHead),
}

impl<'a> Exchange<'a> {
    /// Takes a request in.
    pub fn begin(config: &'a Config, head: &'a RequestHead, request: MediaRequest) -> Begin<'a> {
        match Credential::of(head) {
            Credential::Bearer(_) => {}
            // Only the origin may refuse: 401 logs users out.
            Credential::Missing | Credential::Unusual => {
                return Begin::Bypass(BypassReason::Credential);
            }
        }
        let key = CacheKey::new(Subject::Media(&request.mxc, request.representation));
        Begin::LookUp(Self { config, head, request, key })
    }

    /// The key to look up.
    pub fn key(&self) -> &CacheKey {
        &self.key
    }

    /// Asks the origin for its word on a stored response, or for the media.
    pub fn on_lookup(self, stored: Option<StoredMeta>) -> (OriginRequest, Pending<'a>) {
        let mut set = to_homeserver(self.head, self.config);
        ask_for_identity(&mut set);
        // A stored response is validated with GET whatever the client's method: a 304 has no body,
        // and a 200 brings what to store. Without one, HEAD spares the origin the body.
        let method = match &stored {
            Some(stored) => {
                set.insert(IF_NONE_MATCH, stored.validator());
                Method::GET
            }
            None => self.head.method.clone(),
        };
        let request = OriginRequest {
            method,
            url: format!("{}{}", self.config.homeserver, self.origin_target()),
            keep: Keep::Media,
            set,
            patience: ORIGIN_PATIENCE,
        };
        (request, Pending { exchange: self, stored })
    }

    /// The client's own target without the file name: one stored response serves every name, and
    /// without one the origin tells the name that the upload had.
    fn origin_target(&self) -> String {
        let target = &self.head.target;
        format!("{}{}", self.request.unnamed_path, &target.as_str()[target.path().len()..])
    }

    fn cache_status(&self, forward: ForwardReason, status: StatusCode) -> CacheStatus {
        CacheStatus { forward, origin_status: Some(status), is_stored: false, detail: None }
    }
}

impl Pending<'_> {
    /// Reads the origin's answer.
    pub fn on_origin(self, answer: Result<OriginHead, OriginError>, now_unix_secs: u64) -> Outcome {
        let forward =
            if self.stored.is_some() { ForwardReason::Stale } else { ForwardReason::UriMiss };
        let origin = match answer {
            Ok(origin) => origin,
            Err(error) => return Outcome::rejected(&Rejection::Origin(error), forward, None),
        };
        let status = origin.status;
        match (status, self.stored) {
            (StatusCode::NOT_MODIFIED, Some(stored)) => {
                serve_stored(&self.exchange, &stored, &origin)
            }
            (StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT, _) => {
                Outcome::rejected(&Rejection::OriginNonsense, forward, Some(status))
            }
            (StatusCode::OK, _) => serve_origin(&self.exchange, origin, forward, now_unix_secs),
            _ => relay(&self.exchange, origin, forward),
        }
    }
}

impl Outcome {
    fn rejected(rejection: &Rejection, forward: ForwardReason, status: Option<StatusCode>) -> Self {
        let (mut head, text) = rejection.reply();
        let cache_status =
            CacheStatus { forward, origin_status: status, is_stored: false, detail: None };
        head.headers.insert(CACHE_STATUS, own_value(&cache_status.to_string()));
        Self { head, body: Body::Text(text), entry: EntryChange::Keep }
    }
}

/// The homeserver said yes: ours, freshened by the 304's headers (RFC 9111 §4.3.4).
fn serve_stored(exchange: &Exchange<'_>, stored: &StoredMeta, origin: &OriginHead) -> Outcome {
    let mut headers = stored.headers();
    for (name, value) in &origin.headers {
        // §3.2: a 304 may carry a length, its own or the whole's; either way not ours to copy.
        if *name != CONTENT_LENGTH && *name != ETAG {
            headers.insert(name.clone(), value.clone());
        }
    }
    let status = exchange.cache_status(ForwardReason::Stale, origin.status);
    let head = ReplyHead { status: StatusCode::OK, headers };
    let (head, is_body_wanted) = finish(exchange, head, stored.length_bytes(), status);
    let body = if is_body_wanted { Body::Stored } else { Body::Empty };
    Outcome { head, body, entry: EntryChange::Keep }
}

/// The origin sent the media: pass it on, and store it where that is allowed.
fn serve_origin(
    exchange: &Exchange<'_>,
    origin: OriginHead,
    forward: ForwardReason,
    now_unix_secs: u64,
) -> Outcome {
    let mut status = exchange.cache_status(forward, origin.status);
    let storable = if exchange.head.method == Method::HEAD && forward == ForwardReason::UriMiss {
        // An answer to HEAD has no body to store.
        Err(NoStoreReason::Partial)
    } else {
        storable_length(&origin)
    };
    let entry = match storable {
        Ok(length) => {
            status.is_stored = true;
            EntryChange::Store(
                exchange.key.clone(),
                stored_head(exchange, &origin, length, now_unix_secs),
            )
        }
        Err(reason) => {
            status.detail = Some(reason.as_str());
            // What we had is no longer what the origin sends.
            if forward == ForwardReason::Stale { EntryChange::Remove } else { EntryChange::Keep }
        }
    };
    let length = origin.content_length();
    let mut headers = origin.headers;
    headers.remove(ETAG);
    let head = ReplyHead { status: StatusCode::OK, headers };
    let (head, is_body_wanted) = match length {
        Some(length) => finish(exchange, head, length, status),
        None => (finish_unsized(exchange, head, status), exchange.head.method != Method::HEAD),
    };
    let body = if is_body_wanted { Body::Origin } else { Body::Empty };
    Outcome { head, body, entry }
}

/// The homeserver said something else: its own words, our headers.
fn relay(exchange: &Exchange<'_>, origin: OriginHead, forward: ForwardReason) -> Outcome {
    let status = exchange.cache_status(forward, origin.status);
    let is_gone = origin.status == StatusCode::NOT_FOUND;
    let entry = if forward == ForwardReason::Stale && is_gone {
        EntryChange::Remove
    } else {
        EntryChange::Keep
    };
    let mut head = ReplyHead { status: origin.status, headers: origin.headers };
    add_cors(&mut head.headers);
    head.headers.insert(CACHE_STATUS, own_value(&status.to_string()));
    let body = if exchange.head.method == Method::HEAD { Body::Empty } else { Body::Origin };
    Outcome { head, body, entry }
}

/// Headers of a cache entry: the platform reads the standard ones, we read our own record.
fn stored_head(
    exchange: &Exchange<'_>,
    origin: &OriginHead,
    length: u64,
    now_unix_secs: u64,
) -> ReplyHead {
    let meta = StoredMeta::new(&exchange.key, origin, length, now_unix_secs);
    let max_age = format!("public, max-age={}", exchange.config.cache_seconds);
    let headers = [
        (http::header::CACHE_CONTROL, own_value(&max_age)),
        (CONTENT_LENGTH, length.into()),
        (ETAG, own_value(&EntityTag::new(&exchange.request, length).to_string())),
        (STORED_META, meta.to_header()),
    ];
    ReplyHead { status: StatusCode::OK, headers: headers.into_iter().collect() }
}

/// Completes the head of a 200, or makes it a 304 where the client has the bytes already
/// (RFC 9110 §13.2.2). Says whether a body is wanted.
fn finish(
    exchange: &Exchange<'_>,
    head: ReplyHead,
    length: u64,
    status: CacheStatus,
) -> (ReplyHead, bool) {
    let tag = EntityTag::new(&exchange.request, length);
    let mut head = finish_unsized(exchange, head, status);
    head.headers.insert(ETAG, own_value(&tag.to_string()));
    let is_current =
        exchange.head.header(&IF_NONE_MATCH).is_some_and(|field| tag.is_named_by(field));
    if is_current {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(CONTENT_LENGTH);
    }
    (head, !is_current && exchange.head.method != Method::HEAD)
}

fn finish_unsized(exchange: &Exchange<'_>, mut head: ReplyHead, status: CacheStatus) -> ReplyHead {
    if let Some(file_name) = &exchange.request.file_name {
        let of_origin = head.headers.get(CONTENT_DISPOSITION).and_then(|v| v.to_str().ok());
        let disposition = with_file_name(of_origin, file_name);
        head.headers.insert(CONTENT_DISPOSITION, own_value(&disposition));
    }
    add_media_security(&mut head.headers);
    add_cors(&mut head.headers);
    head.headers.insert(CACHE_STATUS, own_value(&status.to_string()));
    head
}
