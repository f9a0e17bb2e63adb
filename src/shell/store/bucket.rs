//! The bucket tier: R2, which all data centres share. It is optional.
//!
//! Operations, as they are billed: a look-up, a part and the read of a small state are class B each,
//! a store, a list and the write of a state class A; removals are free.

use js_sys::Uint8Array;
use web_sys::{ReadableStream, Response};
use worker::{Bucket, Conditional, Object, PutOptionsBuilder, Range, ResponseBody};

use crate::cache::entry::{Occupant, StoredMeta, is_still_of};
use crate::cache::key::{CacheKey, KeyPrefix};
use crate::headers::range::ByteRange;
use crate::shell::body::streams;
use crate::shell::runtime::clock::random_below;
use crate::shell::runtime::log;
use crate::shell::runtime::tasks::{Failed, timeout};

/// The name of our record among an object's own metadata.
const RECORD: &str = "record";

/// How long the bucket may take for a head or a small text, in milliseconds: then the origin is the
/// nearer one.
const TIMEOUT_MS: u32 = 2_000;

/// How long it may take for all else: as long as the platform lets a Worker go on after its answer.
const LONG_TIMEOUT_MS: u32 = 30_000;

/// The code with which R2 refuses a second write of a key within a second, at the end of its message:
/// <https://developers.cloudflare.com/r2/api/error-codes/>.
const BUSY_CODE: &str = "(10058)";

/// The pause after that, in milliseconds, and by how much it differs.
const MIN_BUSY_PAUSE_MS: u32 = 1_000;
const BUSY_JITTER_MS: u32 = 1_000;

/// The most lists of a thousand that one request makes: 50 subrequests are all that it has on the
/// Free plan.
const MAX_LISTS: usize = 10;

/// Returns the body of the object under the name of this key, and what it is by its record and length.
pub(crate) async fn look_up(bucket: &Bucket, key: &CacheKey) -> Option<(Occupant, ReadableStream)> {
    let object = get(bucket, key, None).await.ok()??;
    let mut occupant = Occupant::of(&record_of(&object).unwrap_or_default(), key);
    if let Occupant::Wanted(meta) = &occupant
        && object.size() != meta.length_bytes()
    {
        occupant = Occupant::Useless;
    }
    if occupant == Occupant::Useless {
        log::warn("bucket: what is stored has no record of ours, or another length");
    }
    Some((occupant, body_of(&object)?))
}

/// A part of a stored body.
pub(crate) async fn look_up_part(
    bucket: &Bucket,
    key: &CacheKey,
    range: ByteRange,
) -> Option<ReadableStream> {
    let wanted = Range::OffsetWithLength { offset: range.first, length: range.length() };
    let part = get(bucket, key, Some(wanted)).await.ok()??;
    let is_part = is_still_of(record_of(&part).as_deref(), key);
    is_part.then(|| body_of(&part)).flatten()
}

/// Stores a body, a stream of known length, unless there is one: of data centres that race,
/// one writes. Returns what has come of it.
pub(crate) async fn store(
    bucket: &Bucket,
    key: &CacheKey,
    meta: &StoredMeta,
    body: ReadableStream,
    replaces: bool,
) -> Written {
    let condition = if replaces { Condition::None } else { Condition::IsAbsent };
    let put = bucket.put(key.name(), body).custom_metadata([(RECORD.to_owned(), meta.to_text())]);
    write(put, LONG_TIMEOUT_MS, condition).await
}

/// Returns bytes as a stream of known length, which the runtime reads from where they are.
pub(crate) fn stream_of(bytes: &Uint8Array) -> Option<ReadableStream> {
    Response::new_with_opt_js_u8_array(Some(bytes)).ok()?.body()
}

/// Removes a stored response.
pub(crate) async fn remove(bucket: &Bucket, key: &CacheKey) {
    // A failure is in the log, and what is left is still nobody's without the homeserver's yes.
    let _ = delete(bucket, key).await;
}

/// Removes an object. Returns whether that went well.
pub(crate) async fn delete(bucket: &Bucket, key: &CacheKey) -> bool {
    let deletion = bucket.delete(key.name());
    timeout_or_log("bucket: delete failed", LONG_TIMEOUT_MS, deletion).await.is_ok()
}

/// Creates an object of these bytes, unless there is one. Returns what has come of it.
pub(crate) async fn create(bucket: &Bucket, key: &CacheKey, bytes: &Uint8Array) -> Written {
    let Some(stream) = stream_of(bytes) else { return Written::Failed };
    write(bucket.put(key.name(), stream), LONG_TIMEOUT_MS, Condition::IsAbsent).await
}

/// Opens the body of an object, whatever it is.
pub(crate) async fn open(bucket: &Bucket, key: &CacheKey) -> Option<ReadableStream> {
    body_of(&get(bucket, key, None).await.ok()??)
}

/// Removes all whose keys begin so. Says how many those were, and whether that was all.
pub(crate) async fn remove_all(bucket: &Bucket, prefix: &KeyPrefix) -> (usize, bool) {
    let mut removed = 0;
    for _ in 0..MAX_LISTS {
        let list = bucket.list().prefix(prefix.to_string()).execute();
        let Ok(found) = timeout_or_log("bucket: list failed", LONG_TIMEOUT_MS, list).await else {
            return (removed, false);
        };
        let keys: Vec<_> = found.objects().iter().map(Object::key).collect();
        if keys.is_empty() {
            return (removed, true);
        }
        let count = keys.len();
        let deletion = bucket.delete_multiple(keys);
        if timeout_or_log("bucket: delete failed", LONG_TIMEOUT_MS, deletion).await.is_err() {
            return (removed, false);
        }
        removed += count;
        if !found.truncated() {
            return (removed, true);
        }
    }
    (removed, false)
}

/// Reads a small text of our own, if there is one, and which version of it this is.
///
/// # Errors
/// It can't be read, or is longer than `limit` bytes.
pub(crate) async fn read_text(
    bucket: &Bucket,
    key: &CacheKey,
    limit: usize,
) -> Result<Option<(String, String)>, Failed> {
    let Some(found) = get(bucket, key, None).await? else { return Ok(None) };
    let read = async {
        let bytes = streams::read_bounded(&body_of(&found)?, limit).await.ok()??;
        Some((String::from_utf8(bytes).ok()?, found.etag()))
    };
    let text = read.await;
    if text.is_none() {
        log::warn(&format!("bucket: {key} is no text of ours"));
    }
    text.map(Some).ok_or(Failed)
}

/// Writes a small text of our own. Returns what has come of it.
pub(crate) async fn write_text(
    bucket: &Bucket,
    key: &CacheKey,
    text: &str,
    condition: Condition,
) -> Written {
    write(bucket.put(key.name(), text.to_owned()), TIMEOUT_MS, condition).await
}

/// What has come of a write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The object is there now as it was to be written.
    Yes,
    /// The condition was not met.
    Unmet,
    /// The key has been written within this second, which R2 allows once.
    Busy,
    /// Nothing is known to have been written.
    Failed,
}

/// Returns how long to wait before what was refused as [`Written::Busy`] is written again, in
/// milliseconds: not as long as anyone else who was refused with it.
pub(crate) fn busy_pause_ms() -> u32 {
    MIN_BUSY_PAUSE_MS + random_below(BUSY_JITTER_MS)
}

/// What must be true of the object before, for a write to happen.
pub(crate) enum Condition {
    /// Nothing.
    None,
    /// There is none.
    IsAbsent,
    /// It is still of this version.
    IsVersion(String),
}

impl Condition {
    /// Returns the condition as R2 reads it: `*` is the tag of any object, and tags have no quotes
    /// (<https://developers.cloudflare.com/r2/api/workers/workers-api-reference/#conditional-operations>).
    fn into_conditional(self) -> Option<Conditional> {
        match self {
            Self::None => None,
            Self::IsAbsent => {
                let etag_does_not_match = Some("*".to_owned());
                Some(Conditional { etag_does_not_match, ..Conditional::default() })
            }
            Self::IsVersion(version) => {
                Some(Conditional { etag_matches: Some(version), ..Conditional::default() })
            }
        }
    }
}

async fn write(put: PutOptionsBuilder<'_>, timeout_ms: u32, condition: Condition) -> Written {
    let put = match condition.into_conditional() {
        Some(condition) => put.only_if(condition),
        None => put,
    };
    let outcome = timeout(timeout_ms, put.execute()).await;
    match outcome.unwrap_or_else(|| Err("slow".into())) {
        Ok(Some(_)) => Written::Yes,
        Ok(None) => Written::Unmet,
        Err(error) => {
            log::warn_with("bucket: put failed", &error.to_js_value());
            if error.to_string().contains(BUSY_CODE) { Written::Busy } else { Written::Failed }
        }
    }
}

/// Awaits an operation for at most `timeout_ms`. Failures and timeouts are logged as `failure`.
async fn timeout_or_log<T>(
    failure: &str,
    timeout_ms: u32,
    operation: impl Future<Output = worker::Result<T>>,
) -> Result<T, Failed> {
    let outcome = timeout(timeout_ms, operation).await.unwrap_or_else(|| Err("slow".into()));
    outcome.map_err(|error| {
        log::warn_with(failure, &error.to_js_value());
        Failed
    })
}

async fn get(
    bucket: &Bucket,
    key: &CacheKey,
    range: Option<Range>,
) -> Result<Option<Object>, Failed> {
    let get = bucket.get(key.name());
    let get = match range {
        Some(range) => get.range(range),
        None => get,
    };
    timeout_or_log("bucket: get failed", TIMEOUT_MS, get.execute()).await
}

fn record_of(object: &Object) -> Option<String> {
    object.custom_metadata().ok()?.remove(RECORD)
}

fn body_of(object: &Object) -> Option<ReadableStream> {
    match object.body()?.response_body().ok()? {
        ResponseBody::Stream(stream) => Some(stream),
        ResponseBody::Empty | ResponseBody::Body(_) => None,
    }
}
