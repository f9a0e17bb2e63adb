//! `GET` and `HEAD` of `/.well-known/matrix/{client,server}`: the documents, with the media server
//! named in them (MSC3859). <https://spec.matrix.org/v1.15/client-server-api/#well-known-uri> and
//! <https://spec.matrix.org/v1.15/server-server-api/#resolving-server-names>
//!
//! 1. A reply of this isolate, or one of a kept copy, is sent again for `WELL_KNOWN_SECONDS`: 200
//!    ([`ReadyReply::reuse`]). Other copies are sent while their host allows that: 200
//!    ([`fresh_reply`]).
//! 2. The document's host is asked, and redirects are followed, within [`TIMEOUT_MS`]
//!    ([`request`]). What follows is [`decide`]'s.
//! 3. A document is sent and kept: 200. One that no longer names a server counts as a 404 until
//!    step 4 gives the copy up.
//! 4. A 404: the last good copy with 200, until the host has answered so for `MISSING_SECS`; then
//!    200 with a generated document (`WELL_KNOWN_GENERATE`), or the 404.
//! 5. No answer, a refusal (401, 403, 407, 429), a challenge, a 5xx, or one that makes no sense:
//!    the last good copy with 200, or 502.
//! 6. Any other answer: the last good copy with 200, or that answer with its own status and body.
//!
//! To a client a 404 means *go on without*, while a 5xx or a page of HTML means *fail*: so a 404
//! stays a 404 once it has lasted, and a failing host is bridged with the last good copy.
//!
//! The members are spliced into the text as it came, so that everything else in it stays byte for
//! byte: order, white space, numbers that no float can hold, members that the edge doesn't know.

mod reuse;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

pub use self::reuse::{ReadyChange, ReadyReply, Reuse};
use crate::cache::entry::FetchTimes;
use crate::config::{Config, WellKnownFields};
use crate::error::Rejection;
use crate::headers::cache_control::{has_directive, max_age_secs};
use crate::headers::{CF_MITIGATED, add_cors, own_value};
use crate::matrix::json::{self, Object};
use crate::matrix::well_known::{
    ClientDocument, Document, STABLE_FIELD, ServerDocument, ServerInformation, UNSTABLE_FIELD,
};
use crate::message::{ReplyHead, RequestHead};
use crate::origin::client_headers::ClientHeaders;
use crate::origin::forwarding::{add_own_agent, forwarding_headers, loop_header};
use crate::origin::response_headers::to_client;
use crate::origin::{OriginError, OriginHead, OriginRequest, Timeout};

/// The most that is read of a document, in bytes. Synapse takes 50 KiB of one; what is larger
/// passes untouched.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// How long a host may take for its whole document, redirects included, in milliseconds:
/// matrix-js-sdk gives up after 5 s, and a last good copy should reach it before.
pub const TIMEOUT_MS: u32 = 4_000;

/// `max-age` of a document whose host sends none, in seconds.
const DEFAULT_MAX_AGE_SECS: u64 = 3_600;

/// Bounds of `max-age` for servers, in seconds: Synapse clamps to these, and `no-store` would make
/// it fetch the document for every request.
const SERVER_MAX_AGE_SECS: std::ops::RangeInclusive<u64> = 300..=172_800;

/// `max-age` of a last good copy, in seconds: its host may be back soon.
const STALE_MAX_AGE_SECS: u64 = 300;

/// The longest that a document is reused without asking its host, in seconds: an admin who changes
/// it should not have to wait a day.
const MAX_REUSE_SECS: u64 = 3_600;

/// For how long on end a host must answer that there is no document before the last good copy is
/// given up, in seconds: websites answer so for a while when they restart, are deployed or move.
const MISSING_SECS: u64 = 300;

/// For how long after a look that found none the bucket is taken to have no copy, in seconds: where a host
/// has no document, every reader would wait for the bucket.
const NOT_IN_BUCKET_SECS: u64 = 60;

/// The version of the record kept beside a document, and those before it: without `asked`, and without
/// `missing_since` either.
const KEPT_VERSION: &str = "3";
const UNDATED_VERSION: &str = "2";
const EARLIEST_VERSION: &str = "1";

/// A document as its host sent it, kept for when the host is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDocument {
    /// The text, before anything was added.
    pub text: String,
    /// Its host's `Cache-Control`.
    pub cache_control: Option<String>,
    /// Until when its host allows reuse without asking, in seconds since the Unix epoch.
    pub fresh_until_unix_secs: u64,
    /// Since when its host has answered only that there is no such document, in seconds since the
    /// Unix epoch.
    pub missing_since_unix_secs: Option<u64>,
    /// When its host was asked for this text, in seconds since the Unix epoch; 0 if that is not known.
    pub asked_unix_secs: u64,
}

impl KeptDocument {
    /// Returns the record to keep beside the text, as a header value: version, `fresh_until`,
    /// `missing_since` (`-` for none), `asked` and `Cache-Control`, a space apart.
    pub fn meta(&self) -> HeaderValue {
        let cache_control = self.cache_control.as_deref().unwrap_or_default();
        let missing = self.missing_since_unix_secs.map(|secs| secs.to_string());
        let missing = missing.as_deref().unwrap_or("-");
        let (fresh, asked) = (self.fresh_until_unix_secs, self.asked_unix_secs);
        own_value(&format!("{KEPT_VERSION} {fresh} {missing} {asked} {cache_control}"))
    }

    /// Parses a record and the text beside it; `None` if it is of another version.
    pub fn parse(meta: &str, text: Vec<u8>) -> Option<Self> {
        let (version, rest) = split_field(meta);
        let (fresh, rest) = split_field(rest);
        let (missing, rest) = match version {
            KEPT_VERSION | UNDATED_VERSION => split_field(rest),
            EARLIEST_VERSION => ("-", rest),
            _ => return None,
        };
        let (asked, cache_control) =
            if version == KEPT_VERSION { split_field(rest) } else { ("0", rest) };
        Some(Self {
            fresh_until_unix_secs: fresh.parse().ok()?,
            missing_since_unix_secs: match missing {
                "-" => None,
                secs => Some(secs.parse().ok()?),
            },
            asked_unix_secs: asked.parse().ok()?,
            cache_control: Some(cache_control).filter(|field| !field.is_empty()).map(str::to_owned),
            text: String::from_utf8(text).ok()?,
        })
    }
}

/// Splits a record behind its first field. Headers lose a space at the end, so that a last field has none.
fn split_field(record: &str) -> (&str, &str) {
    record.split_once(' ').unwrap_or((record, ""))
}

/// The most that [`KeptDocument::to_text`] returns, in bytes.
pub const MAX_KEPT_BYTES: usize = MAX_DOCUMENT_BYTES + 16 * 1024;

impl KeptDocument {
    /// Returns the record and the text as one, for the bucket: the record's line, then the text.
    pub fn to_text(&self) -> String {
        format!("{}\n{}", String::from_utf8_lossy(self.meta().as_bytes()), self.text)
    }

    /// Parses what [`KeptDocument::to_text`] returned; `None` if it is of another version.
    pub fn from_text(text: &str) -> Option<Self> {
        let (meta, text) = text.split_once('\n')?;
        Self::parse(meta, text.into())
    }

    /// Returns whether the document's host has answered something else than in `other`.
    pub fn differs_from(&self, other: &Self) -> bool {
        (&self.text, &self.cache_control, self.missing_since_unix_secs)
            != (&other.text, &other.cache_control, other.missing_since_unix_secs)
    }

    /// Returns what becomes of the copy when its host answers that there is no document; `None` if
    /// the host has answered so for [`MISSING_SECS`] on end, which ends the copy.
    fn missing(&self, now_unix_secs: u64) -> Option<CopyChange> {
        match self.missing_since_unix_secs {
            Some(since) if now_unix_secs.saturating_sub(since) >= MISSING_SECS => None,
            Some(_) => Some(CopyChange::Unchanged),
            None => Some(CopyChange::Store(Self {
                missing_since_unix_secs: Some(now_unix_secs),
                ..self.clone()
            })),
        }
    }

    /// Returns what becomes of the copy when its host gives any answer but a document or that there
    /// is none.
    fn unheard(&self) -> CopyChange {
        match self.missing_since_unix_secs {
            Some(_) => CopyChange::Store(Self { missing_since_unix_secs: None, ..self.clone() }),
            None => CopyChange::Unchanged,
        }
    }
}

/// What came of asking the document's host.
#[derive(Debug)]
pub enum Fetched {
    /// An answer with its whole body.
    Whole(OriginHead, Vec<u8>),
    /// An answer whose body is too large to read.
    Oversize(OriginHead),
    /// No whole answer.
    Failed(OriginError),
}

/// What to send, and what to keep.
#[derive(Debug)]
pub enum WellKnownReply {
    /// This document.
    Document(ReplyHead, String),
    /// A document of the edge's own, since the host has none.
    Generated(ReplyHead, String),
    /// The host's answer with its own body.
    Untouched(ReplyHead),
    /// An error of the edge's own.
    Rejected(Rejection),
}

/// What becomes of the kept copy.
#[derive(Debug, PartialEq, Eq)]
pub enum CopyChange {
    /// It stays as it is, if there is one.
    Unchanged,
    /// There is no such document any more.
    Remove,
    /// Keep this one.
    Store(KeptDocument),
}

/// Returns whether a look for a copy in the bucket is worth it: `false` for a while after a look at
/// `looked_unix_secs` has found none; `None` where this isolate has not looked.
pub fn may_be_in_bucket(looked_unix_secs: Option<u64>, now_unix_secs: u64) -> bool {
    looked_unix_secs.is_none_or(|at| now_unix_secs.saturating_sub(at) >= NOT_IN_BUCKET_SECS)
}

/// Returns the request for a document at this URL: at its own host first, and then wherever that
/// redirects to.
pub fn request(url: String, head: &RequestHead, config: &Config) -> OriginRequest {
    // A redirect may lead anywhere: to the homeserver with its secrets for its documents alone, and
    // to strangers without anyone's address.
    let is_for_homeserver = config.is_homeservers_document(&url);
    let own = url.strip_prefix(&config.well_known.to_string());
    let mut set = if is_for_homeserver || own.is_some_and(|target| target.starts_with('/')) {
        forwarding_headers(head, config)
    } else {
        loop_header(config)
    };
    // The document is for all readers: nothing may answer by who asks for it.
    add_own_agent(&mut set);
    OriginRequest {
        method: Method::GET,
        url,
        client_headers: ClientHeaders::None,
        set,
        is_for_homeserver,
        timeout: Timeout::Ms(TIMEOUT_MS),
    }
}

/// Returns the reply of a kept copy that its host allows to be sent without asking; `None` if it does
/// not, or if `WELL_KNOWN_SECONDS` decides: about a copy that names a server, or an older one. With 0
/// it decides about none.
pub fn fresh_reply(
    document: Document,
    kept: &KeptDocument,
    config: &Config,
    now_unix_secs: u64,
) -> Option<WellKnownReply> {
    let is_hosts_choice = config.well_known_secs == 0
        || !names_server(document, &kept.text)
            && reuse::age_secs(kept.asked_unix_secs, config, now_unix_secs).is_some();
    (is_hosts_choice && now_unix_secs < kept.fresh_until_unix_secs)
        .then(|| document_reply(document, &kept.text, kept.cache_control.as_deref(), config))
        .flatten()
}

/// Decides on what the host answered when it was asked at that time. Returns the reply, and what
/// becomes of the kept copy.
pub fn decide(
    document: Document,
    fetched: &Fetched,
    kept: Option<&KeptDocument>,
    config: &Config,
    times: FetchTimes,
) -> (WellKnownReply, CopyChange) {
    let FetchTimes { asked_unix_secs, answered_unix_secs: now_unix_secs } = times;
    let unheard = || kept.map_or(CopyChange::Unchanged, KeptDocument::unheard);
    let (head, body) = match fetched {
        Fetched::Failed(_) => {
            let reply = last_good_reply(document, kept, config)
                .unwrap_or(WellKnownReply::Rejected(Rejection::WellKnownUnavailable));
            return (reply, unheard());
        }
        Fetched::Oversize(head) => (head, None),
        Fetched::Whole(head, body) => (head, Some(body)),
    };
    let untouched = || WellKnownReply::Untouched(untouched_head(document, head, config));
    // The edge sent no such precondition, and no range.
    let is_nonsense = matches!(head.status, StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT);
    // A refusal, a challenge or a failure doesn't show whether there is a document.
    let is_intercepted = head.headers.contains_key(CF_MITIGATED)
        || matches!(head.status.as_u16(), 401 | 403 | 407 | 429 | 500..);
    if is_intercepted || is_nonsense {
        let reply = last_good_reply(document, kept, config)
            .unwrap_or(WellKnownReply::Rejected(Rejection::WellKnownUnavailable));
        return (reply, unheard());
    }
    // What is missing may be so for a moment: the last good copy outlives that.
    let while_missing = || {
        let change = kept?.missing(now_unix_secs)?;
        Some((last_good_reply(document, kept, config)?, change))
    };
    if head.status == StatusCode::NOT_FOUND {
        return while_missing().unwrap_or_else(|| {
            let generated = config
                .well_known_generate
                .then(|| document_parts(document, &generate(document, config), None, config))
                .flatten()
                .map(|(head, text)| WellKnownReply::Generated(head, text));
            let change = kept.map_or(CopyChange::Unchanged, |_| CopyChange::Remove);
            (generated.unwrap_or_else(untouched), change)
        });
    }
    // Only a document takes the place of the last good one.
    let other = || (last_good_reply(document, kept, config).unwrap_or_else(untouched), unheard());
    if head.status != StatusCode::OK {
        return other();
    }
    let cache_control = head.header(&CACHE_CONTROL);
    let text = body.and_then(|body| std::str::from_utf8(body).ok());
    let reply =
        text.and_then(|text| document_reply(document, text, cache_control, config).zip(Some(text)));
    let Some((reply, text)) = reply else { return other() };
    // An object that names no server, such as an error, is a document no more than a 404 is.
    if !names_server(document, text)
        && kept.is_some_and(|kept| names_server(document, &kept.text))
        && let Some(missing) = while_missing()
    {
        return missing;
    }
    let kept = KeptDocument {
        text: text.to_owned(),
        cache_control: cache_control.map(str::to_owned),
        fresh_until_unix_secs: now_unix_secs.saturating_add(reuse_secs(cache_control)),
        missing_since_unix_secs: None,
        asked_unix_secs,
    };
    (reply, CopyChange::Store(kept))
}

/// Returns whether a JSON object has the member that the specification requires of the document.
fn names_server(document: Document, text: &str) -> bool {
    document.homeserver(text).is_some_and(|name| !name.is_empty())
}

fn last_good_reply(
    document: Document,
    kept: Option<&KeptDocument>,
    config: &Config,
) -> Option<WellKnownReply> {
    let stale = format!("public, max-age={STALE_MAX_AGE_SECS}");
    document_reply(document, &kept?.text, Some(&stale), config)
}

/// Returns the reply with the edge's members in it; `None` if the text is no JSON object.
fn document_reply(
    document: Document,
    text: &str,
    cache_control: Option<&str>,
    config: &Config,
) -> Option<WellKnownReply> {
    let (head, text) = document_parts(document, text, cache_control, config)?;
    Some(WellKnownReply::Document(head, text))
}

/// Returns head and text of [`document_reply`].
fn document_parts(
    document: Document,
    text: &str,
    cache_control: Option<&str>,
    config: &Config,
) -> Option<(ReplyHead, String)> {
    let text = inject(text, &members(document, config))?;
    let mut headers = HeaderMap::new();
    add_cors(&mut headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, own_value(&client_cache_control(document, cache_control)));
    Some((ReplyHead::new(StatusCode::OK, headers), text))
}

fn untouched_head(document: Document, upstream: &OriginHead, config: &Config) -> ReplyHead {
    let mut headers = to_client(&upstream.headers, config);
    headers.remove(ETAG);
    headers.remove(CONTENT_LENGTH);
    add_cors(&mut headers);
    if document == Document::Server && upstream.status == StatusCode::OK {
        let field = client_cache_control(document, upstream.header(&CACHE_CONTROL));
        headers.insert(CACHE_CONTROL, own_value(&field));
    }
    ReplyHead::new(upstream.status, headers)
}

/// Returns the `Cache-Control` for the client: for servers a lifetime that they can use, for clients the
/// host's own.
fn client_cache_control(document: Document, of_host: Option<&str>) -> String {
    match (document, of_host) {
        (Document::Client, Some(field)) => field.to_owned(),
        (Document::Client, None) => format!("public, max-age={DEFAULT_MAX_AGE_SECS}"),
        (Document::Server, field) => {
            let of_host = field.and_then(max_age_secs).unwrap_or(DEFAULT_MAX_AGE_SECS);
            let max_age = of_host.clamp(*SERVER_MAX_AGE_SECS.start(), *SERVER_MAX_AGE_SECS.end());
            format!("public, max-age={max_age}")
        }
    }
}

/// Returns for how many seconds the host's `Cache-Control` allows its document to be reused (RFC 9111
/// §4.2.1). Without one, 0: heuristics are for caches that don't know how much hangs on a document.
fn reuse_secs(cache_control: Option<&str>) -> u64 {
    let Some(field) = cache_control else { return 0 };
    if ["no-store", "no-cache", "private"].iter().any(|name| has_directive(field, name)) {
        return 0;
    }
    max_age_secs(field).unwrap_or(0).min(MAX_REUSE_SECS)
}

/// Returns a document with the least that it must have: where clients and servers find the
/// homeserver, never where the edge does. Servers get the port with the host, since without one
/// they would go to 8448, which Cloudflare doesn't proxy.
fn generate(document: Document, config: &Config) -> String {
    match document {
        Document::Client => {
            let homeserver = ServerInformation { base_url: config.public.to_string() };
            json::write(&ClientDocument { homeserver: Object(homeserver) })
        }
        Document::Server => json::write(&ServerDocument { server: config.public.host_and_port() }),
    }
}

/// Returns the edge's members, as JSON text. The shapes differ: MSC3859 wants an object for clients and
/// a string for servers.
fn members(document: Document, config: &Config) -> String {
    let names: &[&str] = match config.well_known_fields {
        WellKnownFields::Both => &[STABLE_FIELD, UNSTABLE_FIELD],
        WellKnownFields::Stable => &[STABLE_FIELD],
        WellKnownFields::Unstable => &[UNSTABLE_FIELD],
    };
    let names = names.iter().copied();
    match document {
        Document::Client => {
            let server = ServerInformation { base_url: config.media.to_string() };
            json::write_members(names.map(|name| (name, &server)))
        }
        Document::Server => {
            let server = config.media.host_and_port();
            json::write_members(names.map(|name| (name, &server)))
        }
    }
}

/// Writes members before the closing brace of a JSON object, unless the document already names a
/// media server under either name. Returns `None` if the text is no JSON object.
fn inject(text: &str, members: &str) -> Option<String> {
    let present = json::members(text)?;
    if present.iter().any(|(name, _)| name == STABLE_FIELD || name == UNSTABLE_FIELD) {
        return Some(text.to_owned());
    }
    let (before, after) = text.split_at(text.rfind('}')?);
    let inner_len = before.trim_end().len();
    let (inner, space) = before.split_at(inner_len);
    let comma = if present.is_empty() { "" } else { "," };
    Some([inner, comma, members, space, after].concat())
}

#[cfg(test)]
mod tests;
