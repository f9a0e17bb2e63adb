//! Carries a purge out.

use ::http::StatusCode;
use wasm_bindgen::JsValue;
use web_sys::Response;
use worker_sys::R2Bucket;

use crate::admin::purge::{MAX_REQUEST_BYTES, Report, Scope};
use crate::cache::key::KeyPrefix;
use crate::config::Config;
use crate::error::Rejection;
use crate::message::ReplyHead;
use crate::shell::body::streams;
use crate::shell::request_context::Call;
use crate::shell::store::{bucket, memory, purge_list};

/// Answers the admin's request to purge.
pub(crate) async fn answer(call: &Call) -> Result<Response, JsValue> {
    let text = match call.request.body() {
        Some(body) => streams::read_bounded(&body, MAX_REQUEST_BYTES).await?,
        None => None,
    };
    let scope = text.and_then(|text| Scope::parse(std::str::from_utf8(&text).ok()?));
    let Some(scope) = scope else { return call.reject(&Rejection::PurgeWhat) };
    let (config, bucket) = (&call.config, call.bucket.as_ref());
    let doomed = prefixes(config, &[scope]);
    let is_listed = purge_list::list(config, bucket, &doomed).await;
    let (memory, bucket) = delete(bucket, &doomed).await;
    let report = Report { memory, bucket, is_listed };
    let status = if is_listed { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
    let head = ReplyHead::unstored(status, "application/json");
    call.reply_text(head, &report.to_json(&call.config))
}

/// What begins with these is to go.
pub(crate) fn prefixes(config: &Config, scopes: &[Scope]) -> Vec<KeyPrefix> {
    scopes.iter().flat_map(|scope| scope.prefixes(config)).collect()
}

/// Deletes what can be reached of it. Says how much that was in memory and in the bucket, and
/// whether it was all in there.
pub(crate) async fn delete(
    bucket: Option<&R2Bucket>,
    prefixes: &[KeyPrefix],
) -> (usize, Option<(usize, bool)>) {
    let in_memory = memory::remove_where(|key| prefixes.iter().any(|prefix| prefix.is_of(key)));
    let Some(bucket) = bucket else { return (in_memory, None) };
    let (mut removed, mut is_all) = (0, true);
    for prefix in prefixes {
        let (count, was_all) = bucket::remove_all(bucket, prefix).await;
        removed += count;
        is_all &= was_all;
    }
    (in_memory, Some((removed, is_all)))
}
