//! Where the list of purges lives: in the bucket for the world, at the data centre, and in each
//! isolate; and how a purge is carried out.

use std::cell::RefCell;
use std::rc::Rc;

use ::http::StatusCode;
use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use wasm_bindgen::JsValue;
use web_sys::Response;
use worker::worker_sys::R2Bucket;

use super::bucket::Condition;
use super::{Call, bucket, cache, clock, memory, streams};
use crate::cache_key::{CacheKey, Subject};
use crate::config::Config;
use crate::matrix_error::Rejection;
use crate::purge::{MAX_LIST_BYTES, MAX_REQUEST_BYTES, PURGES_FRESH_SECS, Purges, Report, Scope};
use crate::request::ReplyHead;

/// How often a list that another has written meanwhile is read again.
const ATTEMPTS: usize = 3;

thread_local! {
    /// The list, and when it was read, in seconds since the Unix epoch.
    static KNOWN: RefCell<(Rc<Purges>, u64)> = RefCell::default();
}

/// The list, as old as it may be.
pub(super) async fn current(config: &Config, bucket: Option<&R2Bucket>) -> Rc<Purges> {
    let now = clock::now_unix_secs();
    let (known, read_unix_secs) = KNOWN.with_borrow(Clone::clone);
    if !config.can_purge() || now.saturating_sub(read_unix_secs) < PURGES_FRESH_SECS {
        return known;
    }
    let here = look_up(config).await;
    let list = match (here, bucket) {
        (Some(list), _) => list,
        (None, Some(bucket)) => {
            let text = bucket::read_text(bucket, &key(), MAX_LIST_BYTES).await;
            let list = text.and_then(|(text, _)| Purges::parse(&text)).unwrap_or_default();
            write_here(config, true, &list).await;
            list
        }
        (None, None) => Purges::default(),
    };
    remember(list, now, config)
}

/// Answers the admin's request to purge.
pub(super) async fn answer(call: &Call) -> Result<Response, JsValue> {
    let text = match call.request.body() {
        Some(body) => streams::read_bounded(&body, MAX_REQUEST_BYTES).await?,
        None => None,
    };
    let scope = text.and_then(|text| Scope::parse(std::str::from_utf8(&text).ok()?));
    let Some(scope) = scope else { return call.reject(&Rejection::PurgeWhat) };
    let report = purge(&call.config, call.bucket.as_ref(), &[scope]).await;
    let headers = HeaderMap::from_iter([
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ]);
    let status = if report.is_listed { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
    call.reply_text(ReplyHead::new(status, headers), &report.to_json(&call.config))
}

/// Puts what is to go on the list, and deletes what can be reached.
pub(super) async fn purge(config: &Config, bucket: Option<&R2Bucket>, scopes: &[Scope]) -> Report {
    let now = clock::now_unix_secs();
    let prefixes: Vec<_> = scopes.iter().flat_map(|scope| scope.prefixes(config)).collect();
    let mut list = KNOWN.with_borrow(|(known, _)| (**known).clone());
    list.merge(look_up(config).await.unwrap_or_default());
    list.add(prefixes.clone(), now, config);
    let is_in_bucket = match bucket {
        Some(bucket) => Some(write_to_bucket(bucket, &mut list).await),
        None => None,
    };
    let is_here = write_here(config, bucket.is_some(), &list).await;
    let is_listed = is_in_bucket.unwrap_or(is_here);
    remember(list, now, config);
    let memory = memory::remove_where(|key| prefixes.iter().any(|prefix| prefix.is_of(key)));
    let mut in_bucket = bucket.map(|_| (0, true));
    if let (Some(bucket), Some((removed, is_all))) = (bucket, &mut in_bucket) {
        for prefix in &prefixes {
            let (count, was_all) = bucket::remove_all(bucket, prefix).await;
            *removed += count;
            *is_all &= was_all;
        }
    }
    Report { memory, bucket: in_bucket, is_listed }
}

/// Writes the list for the world, with what others have put on it. Says whether that went well.
async fn write_to_bucket(bucket: &R2Bucket, list: &mut Purges) -> bool {
    for _ in 0..ATTEMPTS {
        let found = bucket::read_text(bucket, &key(), MAX_LIST_BYTES).await;
        let (text, version) = found.unzip();
        list.merge(text.and_then(|text| Purges::parse(&text)).unwrap_or_default());
        let condition = version.map_or(Condition::IsAbsent, Condition::IsVersion);
        if bucket::write_text(bucket, &key(), &list.to_text(), &condition).await {
            return true;
        }
    }
    false
}

/// With a bucket, what is here is a copy of what is there, and as old as it may be. Says whether it
/// was written, as far as the platform tells.
async fn write_here(config: &Config, is_copy: bool, list: &Purges) -> bool {
    let seconds = if is_copy { PURGES_FRESH_SECS } else { config.cache_seconds };
    cache::put_text(config, &key(), &list.to_text(), seconds).await
}

async fn look_up(config: &Config) -> Option<Purges> {
    Purges::parse(&cache::look_up_text(config, &key(), MAX_LIST_BYTES).await?)
}

/// Takes a list in. What is known stands, whatever has become of the list since.
fn remember(mut list: Purges, now_unix_secs: u64, config: &Config) -> Rc<Purges> {
    KNOWN.with_borrow_mut(|(known, read_unix_secs)| {
        list.merge((**known).clone());
        list.forget(now_unix_secs, config);
        *known = Rc::new(list);
        *read_unix_secs = now_unix_secs;
        Rc::clone(known)
    })
}

fn key() -> CacheKey {
    CacheKey::new(Subject::Purges)
}
