//! `POST` of `/_edge/purge`: purges stored responses (see [`crate::admin::purge`]).
//!
//! Before this, the entry has answered 404 where `ADMIN_TOKEN` is not set, 403 to a request without
//! that token, and 405 to another method.
//!
//! 1. Parses the body as scopes. If it is too long, or isn't a JSON object that names some, 400.
//! 2. Puts what they cover on the list of purges, after which this isolate serves none of them. If the
//!    list has no room for them, 507.
//! 3. Deletes what can be reached: in this isolate's memory, and in the bucket for at most 10 s.
//! 4. Answers with a report: 200, or 502 where the list could not be written for others.

use std::cell::Cell;

use ::http::StatusCode;
use futures_util::future::join5;
use wasm_bindgen::JsValue;
use web_sys::Response;
use worker::worker_sys::R2Bucket;

use crate::admin::purge::{MAX_REQUEST_BYTES, Report, Scope};
use crate::cache::key::KeyPrefix;
use crate::config::Config;
use crate::error::Rejection;
use crate::message::ReplyHead;
use crate::shell::body::streams;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::clock;
use crate::shell::store::purge_list::Listed;
use crate::shell::store::{bucket, memory, purge_list};

/// For how long objects are deleted, in milliseconds: an admin waits for the answer.
const DELETING_MS: u64 = 10_000;

/// After how many deletions that failed no more are tried: the plan's subrequests are used up, or the
/// bucket does not work.
const MAX_FAILURES: usize = 3;

/// Answers the admin's request to purge.
pub(crate) async fn answer(context: &RequestContext) -> Result<Response, JsValue> {
    let text = match context.request.body() {
        Some(body) => streams::read_bounded(&body, MAX_REQUEST_BYTES).await?,
        None => None,
    };
    let scopes = text.and_then(|text| Scope::parse_all(std::str::from_utf8(&text).ok()?));
    let Some(scopes) = scopes else { return context.reject(&Rejection::PurgeWhat) };
    let (config, bucket) = (&context.config, context.bucket.as_ref());
    let to_purge = prefixes(config, &scopes);
    // Whether there is room is known by the list that was read.
    purge_list::current(context).await;
    let listed = purge_list::list(config, bucket, &to_purge).await;
    if listed == Listed::Full {
        return context.reject(&Rejection::PurgesFull);
    }
    let is_listed = listed == Listed::Yes;
    let (memory, bucket) = delete(bucket, &to_purge).await;
    let report = Report { memory, bucket, is_listed };
    let status = if is_listed { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
    let head = ReplyHead::unstored(status, "application/json");
    context.reply_text(head, &report.to_json(&context.config))
}

/// Returns the prefixes of all keys that these scopes cover.
pub(crate) fn prefixes(config: &Config, scopes: &[Scope]) -> Vec<KeyPrefix> {
    scopes.iter().flat_map(|scope| scope.prefixes(config)).collect()
}

/// Deletes the stored responses that can be reached in time: the others are on the list. Returns how many
/// entries of memory and of the bucket it deleted, and whether those were all that the bucket had; `None`
/// without a bucket.
pub(crate) async fn delete(
    bucket: Option<&R2Bucket>,
    prefixes: &[KeyPrefix],
) -> (usize, Option<(usize, bool)>) {
    let in_memory = memory::remove_where(|key| prefixes.iter().any(|prefix| prefix.is_of(key)));
    let Some(bucket) = bucket else { return (in_memory, None) };
    let end_unix_ms = clock::now_unix_ms() + DELETING_MS;
    let (next, removed, failures) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let work = async || {
        while failures.get() < MAX_FAILURES && clock::now_unix_ms() < end_unix_ms {
            let Some(prefix) = prefixes.get(next.replace(next.get() + 1)) else { return true };
            let (count, was_all) = bucket::remove_all(bucket, prefix).await;
            removed.set(removed.get() + count);
            failures.set(failures.get() + usize::from(!was_all));
        }
        false
    };
    let ended: [bool; 5] = join5(work(), work(), work(), work(), work()).await.into();
    let is_all = failures.get() == 0 && ended.iter().all(|ended| *ended);
    (in_memory, Some((removed.get(), is_all)))
}
