//! The answers of an exchange: heads for the client, records for the cache.

use http::header::{
    ACCEPT_RANGES, AGE, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap,
    HeaderValue, RANGE,
};
use http::{Method, StatusCode};

use super::{Body, Cut, EntryChange, Exchange, Outcome};
use crate::cache_status::{CacheStatus, ForwardReason, Source};
use crate::conditional::{EntityTag, is_current, is_range_wanted};
use crate::content_disposition::with_file_name;
use crate::headers::{add_cors, add_media_security, to_client};
use crate::lease::LeaseChange;
use crate::lease_policy::LeaseScope;
use crate::matrix_error::Rejection;
use crate::range::{RangeRequest, unsatisfied_content_range};
use crate::request::{OriginHead, ReplyHead, own_value};
use crate::route::{Door, Terms};
use crate::storability::{NoStoreReason, is_encoded, storable_length};
use crate::stored::{Permission, StoredMeta};

/// Served on a living lease.
pub(super) fn leased(
    exchange: &Exchange,
    stored: &StoredMeta,
    confirmed_unix_secs: u64,
    now_unix_secs: u64,
) -> Outcome {
    without_word(exchange, stored, confirmed_unix_secs, now_unix_secs, None)
}

/// Served because the homeserver is down and was content with this credential not long ago.
pub(super) fn stale(
    exchange: &Exchange,
    stored: &StoredMeta,
    confirmed_unix_secs: u64,
    now_unix_secs: u64,
) -> Outcome {
    without_word(exchange, stored, confirmed_unix_secs, now_unix_secs, Some("stale-if-error"))
}

/// RFC 9111 §5.1: a stored response that nobody validated for this request tells its age, counted
/// from when it last was validated (§4.2.3).
fn without_word(
    exchange: &Exchange,
    stored: &StoredMeta,
    confirmed_unix_secs: u64,
    now_unix_secs: u64,
    detail: Option<&'static str>,
) -> Outcome {
    let lease_seconds = exchange.config.lease.lease_seconds;
    let ends_unix_secs = to_signed(confirmed_unix_secs.saturating_add(lease_seconds));
    let source = Source::Hit { ttl_seconds: ends_unix_secs - to_signed(now_unix_secs) };
    let status = CacheStatus { source, is_stored: false, detail };
    let mut headers = stored.headers();
    headers.insert(AGE, now_unix_secs.saturating_sub(confirmed_unix_secs).into());
    from_stored(exchange, stored, headers, status, LeaseChange::Keep)
}

/// The homeserver said 304: ours, freshened by its headers (RFC 9111 §4.3.4).
pub(super) fn validated(
    exchange: &Exchange,
    stored: &StoredMeta,
    origin: &OriginHead,
    leases: LeaseChange,
) -> Outcome {
    let mut headers = stored.headers();
    for (name, value) in &to_client(&origin.headers) {
        // §3.2: a length is the stored body's own. Servers get the homeserver's tag, others ours.
        let is_own_tag = *name == ETAG && exchange.request.door != Door::Federation;
        if *name != CONTENT_LENGTH && !is_own_tag {
            headers.insert(name.clone(), value.clone());
        }
    }
    let status = forwarded(ForwardReason::Stale, Some(origin.status));
    from_stored(exchange, stored, headers, status, leases)
}

/// The homeserver redirected, as it did when the bytes were stored. A redirect is a yes for now,
/// and grants nothing for later.
pub(super) fn confirmed(exchange: &Exchange, stored: &StoredMeta, origin: &OriginHead) -> Outcome {
    let status = forwarded(ForwardReason::Stale, Some(origin.status));
    from_stored(exchange, stored, stored.headers(), status, LeaseChange::Keep)
}

/// The homeserver knows the token, and confirmed the media within its lease.
pub(super) fn identified(
    exchange: &Exchange,
    stored: &StoredMeta,
    asked_unix_secs: u64,
) -> Outcome {
    let status = forwarded(ForwardReason::Stale, Some(StatusCode::OK));
    let leases = LeaseChange::GrantCredential { asked_unix_secs };
    from_stored(exchange, stored, stored.headers(), status, leases)
}

fn from_stored(
    exchange: &Exchange,
    stored: &StoredMeta,
    headers: HeaderMap,
    status: CacheStatus,
    leases: LeaseChange,
) -> Outcome {
    let (head, cut) = complete(exchange, headers, Some(stored.length_bytes()), status);
    let body = cut.map_or(Body::Empty, Body::Stored);
    Outcome { head, body, entry: EntryChange::Keep, leases }
}

/// How a 200 came about.
pub(super) struct Fetched {
    pub(super) permission: Permission,
    pub(super) method: Method,
    pub(super) forward: ForwardReason,
}

/// The origin sent the media: pass it on, and store it where that is allowed.
pub(super) fn fetched(
    exchange: &Exchange,
    origin: &OriginHead,
    Fetched { permission, method, forward }: Fetched,
    leases: LeaseChange,
    asked_unix_secs: u64,
) -> Outcome {
    let mut status = forwarded(forward, Some(origin.status));
    let storable = if method == Method::HEAD {
        Err(NoStoreReason::NoBody)
    } else if exchange.request.terms == Terms::Unknown {
        Err(NoStoreReason::Parameter)
    } else {
        storable(exchange, origin, &permission)
    };
    let entry = match storable {
        Ok(length) => {
            status.is_stored = true;
            let key = &exchange.key;
            EntryChange::Store(StoredMeta::new(key, origin, permission, length, asked_unix_secs))
        }
        Err(reason) => {
            status.detail = Some(reason.as_str());
            let is_of_others = matches!(reason, NoStoreReason::NoBody | NoStoreReason::Parameter);
            if forward == ForwardReason::Stale && !is_of_others {
                EntryChange::Remove
            } else {
                EntryChange::Keep
            }
        }
    };
    // The runtime decodes what it is asked to cut, and what is encoded has another length.
    let length = origin.content_length().filter(|_| !is_encoded(origin));
    let mut headers = to_client(&origin.headers);
    if exchange.request.door != Door::Federation {
        headers.remove(ETAG);
    }
    let (head, cut) = complete(exchange, headers, length, status);
    Outcome { head, body: cut.map_or(Body::Empty, Body::Origin), entry, leases }
}

/// The homeserver said something else: its own words, our headers.
pub(super) fn relayed(exchange: &Exchange, origin: &OriginHead, forward: ForwardReason) -> Outcome {
    let status = forwarded(forward, Some(origin.status));
    // The legacy door is shut to most media that the client door has: its 404 says nothing of it.
    let is_gone = origin.status == StatusCode::NOT_FOUND && exchange.request.door != Door::Legacy;
    let entry = if is_gone && forward == ForwardReason::Stale {
        EntryChange::Remove
    } else {
        EntryChange::Keep
    };
    let has_credential = exchange.lease_keys.as_ref().is_some_and(|keys| keys.credential.is_some());
    let is_pair = exchange.config.lease.scope == LeaseScope::TokenAndMedia;
    let leases = match origin.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if has_credential => {
            LeaseChange::EndCredential
        }
        // It may be gone, or hidden from this one.
        StatusCode::NOT_FOUND if has_credential && is_pair => LeaseChange::End,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            LeaseChange::EndMedia
        }
        _ => LeaseChange::Keep,
    };
    let mut head = ReplyHead::new(origin.status, to_client(&origin.headers));
    if exchange.request.door != Door::Federation {
        add_cors(&mut head.headers);
        // What a page may embed must say so at every step on the way.
        if origin.status.is_redirection() {
            add_media_security(&mut head.headers);
        }
    }
    head.set_cache_status(status);
    let is_head = exchange.head.method == Method::HEAD;
    let body = if is_head { Body::Empty } else { Body::Origin(Cut::Whole) };
    Outcome { head, body, entry, leases }
}

/// An error of our own.
pub(super) fn rejected(
    exchange: &Exchange,
    rejection: &Rejection,
    forward: ForwardReason,
    origin_status: Option<StatusCode>,
) -> Outcome {
    let (mut head, text) = rejection.reply();
    let status = forwarded(forward, origin_status);
    head.set_cache_status(status);
    let body = if exchange.head.method == Method::HEAD { Body::Empty } else { Body::Text(text) };
    Outcome { head, body, entry: EntryChange::Keep, leases: LeaseChange::Keep }
}

/// Whether and how long: storability, and what depends on how the answer could be used later.
fn storable(
    exchange: &Exchange,
    origin: &OriginHead,
    permission: &Permission,
) -> Result<u64, NoStoreReason> {
    let is_usable = match permission {
        Permission::ETag(_) | Permission::LastModified(_) | Permission::Redirect => true,
        Permission::None => {
            exchange.config.lease.lease_seconds > 0 && exchange.lease_keys.is_some()
        }
    };
    let length = storable_length(origin)?;
    if !is_usable {
        return Err(NoStoreReason::NoValidator);
    }
    Ok(length)
}

/// Completes the head of a 200, and makes it a 304, 206 or 416 where the client asked for that
/// (RFC 9110 §13.2.2). Says how much of the body goes along; nothing for none.
fn complete(
    exchange: &Exchange,
    mut headers: HeaderMap,
    length: Option<u64>,
    status: CacheStatus,
) -> (ReplyHead, Option<Cut>) {
    let is_head = exchange.head.method == Method::HEAD;
    if exchange.request.door == Door::Federation {
        let cut = length.map_or(Cut::Whole, Cut::Multipart);
        let mut head = ReplyHead::new(StatusCode::OK, headers);
        head.set_cache_status(status);
        return (head, (!is_head).then_some(cut));
    }
    if let Some(file_name) = &exchange.request.file_name {
        let of_origin = headers.get(CONTENT_DISPOSITION).and_then(|field| field.to_str().ok());
        let disposition = with_file_name(of_origin, file_name);
        headers.insert(CONTENT_DISPOSITION, own_value(&disposition));
    }
    add_media_security(&mut headers);
    add_cors(&mut headers);
    let mut head = ReplyHead::new(StatusCode::OK, headers);
    head.set_cache_status(status);
    let Some(length) = length else {
        return (head, (!is_head).then_some(Cut::Whole));
    };
    let tag = EntityTag::new(&exchange.request, length);
    head.headers.insert(ETAG, own_value(&tag.to_string()));
    head.headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if is_current(&exchange.head, &tag, &head.headers) {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(CONTENT_LENGTH);
        return (head, None);
    }
    // RFC 9110 §14.2: a range is for GET.
    if is_head {
        return (head, None);
    }
    let range = exchange
        .head
        .header(&RANGE)
        .filter(|_| is_range_wanted(&exchange.head, &tag, &head.headers));
    let cut = match RangeRequest::parse(range, length) {
        RangeRequest::Whole => Some(Cut::Whole),
        RangeRequest::Part(range) => {
            head.status = StatusCode::PARTIAL_CONTENT;
            head.headers.insert(CONTENT_RANGE, own_value(&range.content_range(length)));
            head.headers.insert(CONTENT_LENGTH, range.length().into());
            Some(Cut::Part(range, length))
        }
        RangeRequest::Unsatisfiable => {
            head.status = StatusCode::RANGE_NOT_SATISFIABLE;
            head.headers.insert(CONTENT_RANGE, own_value(&unsatisfied_content_range(length)));
            head.headers.insert(CONTENT_LENGTH, 0.into());
            None
        }
    };
    (head, cut)
}

fn forwarded(reason: ForwardReason, status: Option<StatusCode>) -> CacheStatus {
    CacheStatus { source: Source::Forwarded { reason, status }, is_stored: false, detail: None }
}

fn to_signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
