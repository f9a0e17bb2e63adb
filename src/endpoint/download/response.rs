//! The answers of an exchange: heads for the client, records for the cache.

use http::header::{
    ACCEPT_RANGES, AGE, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap,
    HeaderValue, RANGE,
};
use http::{Method, StatusCode};

use super::{BodySlice, Exchange, Outcome, ResponsePlan};
use crate::cache::entity_tag::entity_tag;
use crate::cache::entry::{FetchTimes, StoredMeta, Validator};
use crate::cache::storability::{NoStoreReason, is_encoded, storable_length};
use crate::config::lease_policy::LeaseScope;
use crate::error::Rejection;
use crate::headers::cache_control::{add_no_transform, forbid_reuse, forbid_storing};
use crate::headers::cache_status::{CACHE_STATUS, CacheStatus, ForwardReason, Source};
use crate::headers::conditional::{is_current, is_range_wanted};
use crate::headers::content_disposition::with_file_name;
use crate::headers::freshening::freshen;
use crate::headers::range::{ByteRange, RangeRequest, unsatisfied_content_range};
use crate::headers::{add_cors, add_media_security, is_html, own_value, remove_policies};
use crate::lease::LeaseChange;
use crate::matrix::media::{Door, QueryClass};
use crate::message::ReplyHead;
use crate::origin::response_headers::to_client;
use crate::origin::{OriginAnswer, OriginError, OriginHead};
use crate::permission::{Refusal, has_mark, may_replace, refusal};

/// Serves the stored response within a lease.
pub(super) fn leased(
    exchange: &Exchange,
    stored: &StoredMeta,
    confirmed_unix_secs: u64,
    now_unix_secs: u64,
) -> Outcome {
    without_word(exchange, stored, confirmed_unix_secs, now_unix_secs, None)
}

/// Serves the stored response in an outage, within the stale window of both grants.
pub(super) fn stale(
    exchange: &Exchange,
    stored: &StoredMeta,
    confirmed_unix_secs: u64,
    now_unix_secs: u64,
) -> Outcome {
    without_word(exchange, stored, confirmed_unix_secs, now_unix_secs, Some("stale-if-error"))
}

/// Serves the stored response without a question. Its `Age` (RFC 9111 §5.1) counts from when it was
/// last validated (§4.2.3).
fn without_word(
    exchange: &Exchange,
    stored: &StoredMeta,
    confirmed_unix_secs: u64,
    now_unix_secs: u64,
    detail: Option<&'static str>,
) -> Outcome {
    let lease_secs = exchange.config.lease.lease_secs;
    let ends_unix_secs = to_signed(confirmed_unix_secs.saturating_add(lease_secs));
    let source = Source::Hit { ttl_secs: ends_unix_secs - to_signed(now_unix_secs) };
    let status = CacheStatus { source, is_stored: false, detail };
    let mut headers = stored.headers();
    headers.insert(AGE, now_unix_secs.saturating_sub(confirmed_unix_secs).into());
    from_stored(exchange, stored, headers, status, LeaseChange::Unchanged)
}

/// Serves the stored response, which the homeserver has confirmed, freshened by the answer's
/// headers (RFC 9111 §4.3.4).
pub(super) fn validated(
    exchange: &Exchange,
    stored: &StoredMeta,
    origin: &OriginHead,
    leases: LeaseChange,
) -> Outcome {
    let mut headers = stored.headers();
    freshen(&mut headers, &to_client(&origin.headers, &exchange.config));
    // Servers get the homeserver's tag, others the edge's.
    if exchange.request.door == Door::Federation
        && let Some(tag) = origin.headers.get(ETAG)
    {
        headers.insert(ETAG, tag.clone());
    }
    let status = forwarded(ForwardReason::Stale, Some(origin.status));
    from_stored(exchange, stored, headers, status, leases)
}

/// Serves the stored response, since the homeserver redirected to where it did when the body was
/// stored. A redirect permits this request alone, and grants no lease.
pub(super) fn confirmed(exchange: &Exchange, stored: &StoredMeta, origin: &OriginHead) -> Outcome {
    let status = forwarded(ForwardReason::Stale, Some(origin.status));
    from_stored(exchange, stored, stored.headers(), status, LeaseChange::Unchanged)
}

/// Serves the stored response to a token that the homeserver knows, within the media's lease.
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
    let (length, validator) = (Some(stored.length_bytes()), stored.validator());
    let (head, slice) = complete(exchange, Served { headers, length, validator }, status);
    Outcome { head, plan: ResponsePlan::ServeStored(slice), leases }
}

/// The question that a 200 answers, and what was stored before.
pub(super) struct Fetched<'a> {
    pub(super) stored: Option<&'a StoredMeta>,
    pub(super) validator: Validator,
    pub(super) method: Method,
    pub(super) forward: ForwardReason,
}

/// Serves the media that the origin sent, and stores it where that is allowed. The answer grants
/// leases only if it bears the homeserver's mark and, where something is stored, may replace that.
pub(super) fn fetched(
    exchange: &Exchange,
    origin: &OriginHead,
    fetched: Fetched<'_>,
    times: FetchTimes,
) -> Outcome {
    let Fetched { stored, validator, method, forward } = fetched;
    let mut status = forwarded(forward, Some(origin.status));
    let is_redirected = matches!(validator, Validator::Redirect(_));
    let mut origin = origin.clone();
    if is_redirected {
        remove_policies(&mut origin.headers);
    }
    let accepted = match stored {
        // Without a body it replaces no response, and whether it confirms one was decided before.
        Some(_) if method == Method::HEAD => Err(NoStoreReason::NoBody),
        stored => accept(exchange, &origin, &validator, stored),
    };
    let is_accepted = accepted.is_ok();
    let leases = match accepted {
        // A redirect permits this request alone.
        Ok(()) if !is_redirected => exchange.granted(times.asked_unix_secs),
        Ok(()) | Err(_) => LeaseChange::Unchanged,
    };
    // The body's date is a grant too, where one may stand for long enough to outlast its record.
    let is_watched = exchange.lease_keys.as_ref().is_some_and(|keys| keys.is_watched);
    let granted_at = match leases {
        LeaseChange::Grant { .. } if is_watched => Some(exchange.request.door),
        _ => None,
    };
    let meta = accepted.and_then(|()| {
        let length = storable(exchange, &origin, &validator, &method, times)?;
        let meta = StoredMeta::new(&exchange.key, &origin, validator.clone(), length, times)?;
        Ok(meta.granted_at(granted_at))
    });
    let not_stored = meta.as_ref().err().copied();
    let meta = meta.ok();
    status.detail = not_stored.map(NoStoreReason::as_str);
    status.is_stored = meta.is_some();
    // The runtime decodes what it is asked to cut, and what is encoded has another length.
    let length = origin.content_length().filter(|_| !is_encoded(&origin));
    let mut headers = to_client(&origin.headers, &exchange.config);
    if exchange.request.door != Door::Federation {
        headers.remove(ETAG);
    }
    if let Some(kept) = meta.as_ref().and_then(StoredMeta::disposition) {
        // A file name that is cut in the record is cut for its first reader too.
        headers.insert(CONTENT_DISPOSITION, kept.clone());
    }
    let served = Served { headers, length, validator: &validator };
    let (mut head, slice) = complete(exchange, served, status);
    if !is_accepted {
        // It is not granted, so its reader may not learn what is stored.
        head.headers.remove(CACHE_STATUS);
    }
    let plan = match meta {
        Some(meta) => ResponsePlan::FillCache { meta, slice },
        None => ResponsePlan::Relay { slice, removes_stored: false, not_stored },
    };
    Outcome { head, plan, leases }
}

/// Serves the part of media that the origin sent. `whole` is the head that all of the media would
/// have. Returns the outcome, and whether the whole could be stored; `None` if this client is to
/// get another response than that part. A part grants no lease.
pub(super) fn part(
    exchange: &Exchange,
    mut whole: OriginHead,
    part: ByteRange,
    validator: &Validator,
    forward: ForwardReason,
    times: FetchTimes,
) -> Option<(Outcome, bool)> {
    if matches!(validator, Validator::Redirect(_)) {
        remove_policies(&mut whole.headers);
    }
    let is_accepted = accept(exchange, &whole, validator, None).is_ok();
    let is_storable =
        is_accepted && storable(exchange, &whole, validator, &Method::GET, times).is_ok();
    let mut status = forwarded(forward, Some(StatusCode::PARTIAL_CONTENT));
    status.detail = Some(NoStoreReason::Partial.as_str());
    let length = whole.content_length();
    let mut headers = to_client(&whole.headers, &exchange.config);
    headers.remove(ETAG);
    let (mut head, slice) = complete(exchange, Served { headers, length, validator }, status);
    if !is_accepted {
        // It is not granted, so its reader may not learn what is stored.
        head.headers.remove(CACHE_STATUS);
    }
    let plan = match slice {
        Some(BodySlice::Range(wanted, _)) if wanted == part => ResponsePlan::RelayPart,
        None if head.status == StatusCode::NOT_MODIFIED => ResponsePlan::Reply(None),
        _ => return None,
    };
    Some((Outcome { head, plan, leases: LeaseChange::Unchanged }, is_storable))
}

/// Checks that a 200 is the homeserver's permission: it bears the homeserver's mark and, where
/// something is stored, may replace that.
fn accept(
    exchange: &Exchange,
    origin: &OriginHead,
    validator: &Validator,
    stored: Option<&StoredMeta>,
) -> Result<(), NoStoreReason> {
    match validator {
        Validator::Redirect(place) if place.is_empty() => return Err(NoStoreReason::SamePath),
        Validator::Redirect(_) if is_html(&origin.headers) => return Err(NoStoreReason::Page),
        _ => {}
    }
    if !has_mark(origin, exchange.request.door) {
        return Err(NoStoreReason::NoMark);
    }
    let Some(stored) = stored else { return Ok(()) };
    storable_length(origin)?;
    if may_replace(origin, validator, stored) { Ok(()) } else { Err(NoStoreReason::OtherKind) }
}

/// Relays any other answer: its status and body, with the edge's headers. Only a Matrix error
/// revokes a lease or removes the stored response.
pub(super) fn relayed(
    exchange: &Exchange,
    answer: &OriginAnswer,
    forward: ForwardReason,
) -> Outcome {
    let origin = &answer.head;
    let (removes_stored, leases) = match refusal(answer) {
        // Such a refusal counts for its own request alone.
        Some(_) if exchange.request.query_class == QueryClass::PerRequest => {
            (false, LeaseChange::Unchanged)
        }
        Some(refusal) => refused(exchange, refusal, forward),
        None => (false, LeaseChange::Unchanged),
    };
    let mut head = ReplyHead::new(origin.status, to_client(&origin.headers, &exchange.config));
    if origin.is_error() {
        forbid_reuse(&mut head.headers);
    } else if !origin.status.is_redirection() {
        add_no_transform(&mut head.headers);
    }
    if exchange.request.door != Door::Federation {
        add_cors(&mut head.headers);
        add_media_security(&mut head.headers);
    }
    // Whatever its status is, nothing is granted by it.
    head.cache_status = Some(forwarded(forward, Some(origin.status)));
    let is_head = exchange.head.method == Method::HEAD;
    let slice = (!is_head).then_some(BodySlice::Whole);
    let plan = ResponsePlan::Relay { slice, removes_stored, not_stored: None };
    Outcome { head, plan, leases }
}

/// Returns whether a refusal removes the stored response, and which leases it revokes: of the
/// credential its own record, of the media the grants at this door. The entry goes where a refusal is
/// meant for everyone: not at the legacy door, which is shut to most media that the client door has, and
/// not where each token is asked about each media.
fn refused(exchange: &Exchange, refusal: Refusal, forward: ForwardReason) -> (bool, LeaseChange) {
    let is_legacy = exchange.request.door == Door::Legacy;
    let is_pair = exchange.config.lease.scope == LeaseScope::TokenAndMedia;
    match refusal {
        // At the open door a refusal is of everyone.
        Refusal::Credential if is_legacy => (false, LeaseChange::RevokeMedia),
        Refusal::Credential => (false, LeaseChange::RevokeCredential),
        Refusal::Media if is_legacy => (false, LeaseChange::RevokeMedia),
        Refusal::Media if is_pair => (false, LeaseChange::RevokeCredential),
        Refusal::Media if forward == ForwardReason::Stale => (true, LeaseChange::RevokeMedia),
        Refusal::Media => (false, LeaseChange::RevokeMedia),
    }
}

/// Relays the answer of a question that failed, or makes an error where there was none.
pub(super) fn failed(
    exchange: &Exchange,
    failed: Result<OriginAnswer, OriginError>,
    forward: ForwardReason,
) -> Outcome {
    match failed {
        Ok(origin) => relayed(exchange, &origin, forward),
        Err(error) => rejected(exchange, &Rejection::Origin(error), forward, None),
    }
}

/// Makes an error of the edge's own.
pub(super) fn rejected(
    exchange: &Exchange,
    rejection: &Rejection,
    forward: ForwardReason,
    origin_status: Option<StatusCode>,
) -> Outcome {
    let (mut head, text) = rejection.reply();
    let status = forwarded(forward, origin_status);
    head.set_cache_status(status);
    let text = (exchange.head.method != Method::HEAD).then_some(text);
    Outcome { head, plan: ResponsePlan::Reply(text), leases: LeaseChange::Unchanged }
}

/// Returns the length of a body that may be stored: one that is storable, and can be revalidated
/// later.
fn storable(
    exchange: &Exchange,
    origin: &OriginHead,
    validator: &Validator,
    method: &Method,
    times: FetchTimes,
) -> Result<u64, NoStoreReason> {
    if *method == Method::HEAD {
        return Err(NoStoreReason::NoBody);
    }
    if exchange.invites_redirects() {
        return Err(NoStoreReason::Parameter);
    }
    let length = storable_length(origin)?;
    match validator {
        Validator::ETag(_) | Validator::LastModified(_) | Validator::Redirect(_) => Ok(length),
        Validator::None if exchange.can_revalidate(times.answered_unix_secs) => Ok(length),
        Validator::None => Err(NoStoreReason::NoValidator),
    }
}

/// What is served: of the stored response or of the origin's.
struct Served<'a> {
    headers: HeaderMap,
    length: Option<u64>,
    validator: &'a Validator,
}

/// Completes the head of a 200, and makes it a 304, 206 or 416 where the client's conditions and
/// range ask for that (RFC 9110 §13.2.2). Returns the head, and how much of the body goes with it;
/// `None` for no body.
fn complete(
    exchange: &Exchange,
    Served { mut headers, length, validator }: Served<'_>,
    status: CacheStatus,
) -> (ReplyHead, Option<BodySlice>) {
    let is_head = exchange.head.method == Method::HEAD;
    add_no_transform(&mut headers);
    if exchange.request.door == Door::Federation {
        let slice = length.map_or(BodySlice::Whole, BodySlice::MultipartEnvelope);
        let mut head = ReplyHead::new(StatusCode::OK, headers);
        head.set_cache_status(status);
        return (head, (!is_head).then_some(slice));
    }
    if let Some(file_name) = &exchange.request.file_name {
        let of_origin = headers.get(CONTENT_DISPOSITION).map(HeaderValue::as_bytes);
        let disposition = with_file_name(of_origin, file_name);
        headers.insert(CONTENT_DISPOSITION, own_value(&disposition));
    }
    add_media_security(&mut headers);
    add_cors(&mut headers);
    let mut head = ReplyHead::new(StatusCode::OK, headers);
    head.set_cache_status(status);
    let Some(length) = length else {
        return (head, (!is_head).then_some(BodySlice::Whole));
    };
    let tag = entity_tag(&exchange.request, length, validator);
    head.headers.insert(ETAG, own_value(&tag.to_string()));
    head.headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if is_current(&exchange.head.headers, &tag, &head.headers) {
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
        .filter(|_| is_range_wanted(&exchange.head.headers, &tag, &head.headers));
    let slice = match RangeRequest::parse(range, length) {
        RangeRequest::Whole => Some(BodySlice::Whole),
        RangeRequest::Part(range) => {
            head.status = StatusCode::PARTIAL_CONTENT;
            head.headers.insert(CONTENT_RANGE, own_value(&range.content_range(length)));
            head.headers.insert(CONTENT_LENGTH, range.length().into());
            Some(BodySlice::Range(range, length))
        }
        RangeRequest::Unsatisfiable => {
            head.status = StatusCode::RANGE_NOT_SATISFIABLE;
            forbid_storing(&mut head.headers);
            add_no_transform(&mut head.headers);
            head.headers.insert(CONTENT_RANGE, own_value(&unsatisfied_content_range(length)));
            head.headers.insert(CONTENT_LENGTH, 0.into());
            None
        }
    };
    (head, slice)
}

fn forwarded(reason: ForwardReason, status: Option<StatusCode>) -> CacheStatus {
    CacheStatus { source: Source::Forwarded { reason, status }, is_stored: false, detail: None }
}

fn to_signed(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX)
}
