//! The bucket tier: R2, which all data centres share. It is optional.
//!
//! The SDK's `Bucket` is not used: its futures keep memory where a client leaves (see docs/decisions.md).
//!
//! Operations, as they are billed: a look-up, a part and the read of a small state are class B each,
//! a store, a list and the write of a state class A; removals are free.

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Headers, ReadableStream};
use worker::worker_sys::{R2Bucket, R2Object, R2ObjectBody, R2Objects};

use crate::cache::entry::{Occupant, StoredMeta, is_still_of};
use crate::cache::key::{CacheKey, KeyPrefix};
use crate::headers::range::ByteRange;
use crate::shell::body::streams;
use crate::shell::runtime::clock::random_below;
use crate::shell::runtime::log;
use crate::shell::runtime::tasks::{Failed, timeout_or_log, timeout_promise};

/// The names of the edge's record, and of the stamp of a text, among an object's custom metadata.
const RECORD: &str = "record";
const STAMP: &str = "stamp";

/// The name of the door at which a body was granted (see [`StoredMeta::grant`]).
const GRANTED_AT: &str = "granted-at";

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

/// Opens the object under the name of this key. Returns what it is, by its record and length, and
/// its body; `None` if there is none or the bucket fails.
pub(crate) async fn look_up(
    bucket: &R2Bucket,
    key: &CacheKey,
) -> Option<(Occupant, ReadableStream)> {
    let object = get(bucket, key, &JsValue::UNDEFINED).await.ok()??;
    let mut occupant = match Occupant::of(&record_of(&object).unwrap_or_default(), key) {
        Occupant::Wanted(meta) => {
            Occupant::Wanted(meta.with_grant(metadata_of(&object, GRANTED_AT).as_deref()))
        }
        other => other,
    };
    if let Occupant::Wanted(meta) = &occupant
        && length_of(&object) != Some(meta.length_bytes())
    {
        occupant = Occupant::Useless;
    }
    if occupant == Occupant::Useless {
        log::warn("bucket: what is stored has no record of ours, or another length");
    }
    Some((occupant, object.body().ok()?))
}

/// Returns a part of a stored body; `None` if there is none, or another response has taken its
/// place.
pub(crate) async fn look_up_part(
    bucket: &R2Bucket,
    key: &CacheKey,
    range: ByteRange,
) -> Option<ReadableStream> {
    let wanted = object(&[("offset", number(range.first)), ("length", number(range.length()))]);
    let part = get(bucket, key, &object(&[("range", wanted)])).await.ok()??;
    let is_part = is_still_of(record_of(&part).as_deref(), key);
    is_part.then(|| part.body().ok()).flatten()
}

/// Stores a body, bytes or a stream of known length. Without `replaces` an object that is there
/// stays: of data centres that race, one writes. Returns whether the body was written.
pub(crate) async fn store(
    bucket: &R2Bucket,
    key: &CacheKey,
    meta: &StoredMeta,
    body: &JsValue,
    replaces: bool,
) -> Written {
    let mut metadata = vec![(RECORD, meta.to_text().into())];
    metadata.extend(meta.grant().map(|door| (GRANTED_AT, door.into())));
    let metadata = object(&metadata);
    let condition = if replaces { Condition::None } else { Condition::IsAbsent };
    let options = vec![("customMetadata", metadata)];
    put(bucket, key, body.clone(), LONG_TIMEOUT_MS, &condition, options).await
}

/// Removes a stored response.
pub(crate) async fn remove(bucket: &R2Bucket, key: &CacheKey) {
    // A failure is in the log, and an entry that is left is still served to nobody without the
    // homeserver's permission.
    let _ = delete(bucket, key).await;
}

/// Removes an object. Returns whether the bucket has accepted that.
pub(crate) async fn delete(bucket: &R2Bucket, key: &CacheKey) -> bool {
    let deletion = bucket.delete(key.name().into_owned());
    timeout_or_log("bucket: delete failed", LONG_TIMEOUT_MS, deletion).await.is_ok()
}

/// Creates an object of these bytes, unless there is one under this name. Returns whether it was
/// written.
pub(crate) async fn create(bucket: &R2Bucket, key: &CacheKey, bytes: &Uint8Array) -> Written {
    let condition = Condition::IsAbsent;
    put(bucket, key, bytes.into(), LONG_TIMEOUT_MS, &condition, Vec::new()).await
}

/// Opens the body of an object, whatever its record is; `None` if there is no object.
pub(crate) async fn open(bucket: &R2Bucket, key: &CacheKey) -> Option<ReadableStream> {
    get(bucket, key, &JsValue::UNDEFINED).await.ok()??.body().ok()
}

/// Removes all objects whose keys begin with `prefix`. Returns how many it removed, and whether
/// none is left.
pub(crate) async fn remove_all(bucket: &R2Bucket, prefix: &KeyPrefix) -> (usize, bool) {
    let mut removed = 0;
    for _ in 0..MAX_LISTS {
        let options = object(&[("prefix", prefix.to_string().into())]);
        let Ok(found) =
            timeout_or_log("bucket: list failed", LONG_TIMEOUT_MS, bucket.list(options)).await
        else {
            return (removed, false);
        };
        let found: R2Objects = found.unchecked_into();
        let keys: Vec<JsValue> = found
            .objects()
            .unwrap_or_default()
            .iter()
            .filter_map(|object| object.key().ok().map(JsValue::from))
            .collect();
        if keys.is_empty() {
            return (removed, true);
        }
        let count = keys.len();
        let deletion = bucket.delete_multiple(keys);
        if timeout_or_log("bucket: delete failed", LONG_TIMEOUT_MS, deletion).await.is_err() {
            return (removed, false);
        }
        removed += count;
        if !found.truncated().unwrap_or(false) {
            return (removed, true);
        }
    }
    (removed, false)
}

/// A small text that the edge has written.
pub(crate) struct Text {
    pub(crate) text: String,
    /// The version of the object.
    pub(crate) version: String,
    /// What was written beside the text; `None` where that was nothing.
    pub(crate) stamp: Option<String>,
}

/// Reads a small text that the edge has written; `None` if there is none.
///
/// # Errors
/// The text can't be read, or is longer than `limit` bytes.
pub(crate) async fn read_text(
    bucket: &R2Bucket,
    key: &CacheKey,
    limit: usize,
) -> Result<Option<Text>, Failed> {
    let Some(found) = get(bucket, key, &JsValue::UNDEFINED).await? else { return Ok(None) };
    let read = async {
        let (version, stamp) = (found.etag().ok()?, metadata_of(&found, STAMP));
        let bytes = streams::read_bounded(&found.body().ok()?, limit).await.ok()??;
        Some(Text { text: String::from_utf8(bytes).ok()?, version, stamp })
    };
    let text = read.await;
    if text.is_none() {
        log::warn(&format!("bucket: {key} is no text of ours"));
    }
    text.map(Some).ok_or(Failed)
}

/// Writes a small text of the edge's own. Returns whether it was written.
pub(crate) async fn write_text(
    bucket: &R2Bucket,
    key: &CacheKey,
    text: &str,
    condition: &Condition,
) -> Written {
    write_stamped_text(bucket, key, text, None, condition).await
}

/// Writes a small text of the edge's own, and a stamp beside it. Returns whether it was written.
pub(crate) async fn write_stamped_text(
    bucket: &R2Bucket,
    key: &CacheKey,
    text: &str,
    stamp: Option<&str>,
    condition: &Condition,
) -> Written {
    let metadata = stamp.map(|stamp| ("customMetadata", object(&[(STAMP, stamp.into())])));
    put(bucket, key, text.into(), TIMEOUT_MS, condition, metadata.into_iter().collect()).await
}

/// The outcome of a write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The object was written.
    Yes,
    /// The condition was not met.
    Unmet,
    /// The key has been written within this second, which R2 allows once.
    Busy,
    /// The write failed, or took too long: it may have been written all the same.
    Failed,
}

/// Returns how long to wait before a write that was refused as [`Written::Busy`] is tried again, in
/// milliseconds. A random part keeps writers that were refused together from meeting again.
pub(crate) fn busy_pause_ms() -> u32 {
    MIN_BUSY_PAUSE_MS + random_below(BUSY_JITTER_MS)
}

/// The condition of a write.
pub(crate) enum Condition {
    /// The write is unconditional.
    None,
    /// There must be no object.
    IsAbsent,
    /// The object must still be of this version.
    IsVersion(String),
}

impl Condition {
    /// Returns the condition as the platform reads it (RFC 9110 §13.1); `None` for [`Self::None`].
    fn to_headers(&self) -> Option<JsValue> {
        let headers = Headers::new().ok()?;
        match self {
            Self::None => return None,
            Self::IsAbsent => headers.set("If-None-Match", "*").ok()?,
            Self::IsVersion(version) => headers.set("If-Match", &format!("\"{version}\"")).ok()?,
        }
        Some(headers.into())
    }
}

async fn put(
    bucket: &R2Bucket,
    key: &CacheKey,
    value: JsValue,
    timeout_ms: u32,
    condition: &Condition,
    mut options: Vec<(&str, JsValue)>,
) -> Written {
    options.extend(condition.to_headers().map(|headers| ("onlyIf", headers)));
    let outcome = match bucket.put(key.name().into_owned(), value, object(&options)) {
        Ok(promise) => {
            timeout_promise(timeout_ms, promise).await.unwrap_or_else(|| Err("slow".into()))
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(written) if written.is_null() => Written::Unmet,
        Ok(_) => Written::Yes,
        Err(error) => {
            log::warn_with("bucket: put failed", &error);
            let message = error.dyn_ref::<js_sys::Error>().map(|error| error.message());
            let is_busy = message.and_then(|text| text.as_string());
            let is_busy = is_busy.is_some_and(|text| text.contains(BUSY_CODE));
            if is_busy { Written::Busy } else { Written::Failed }
        }
    }
}

async fn get(
    bucket: &R2Bucket,
    key: &CacheKey,
    options: &JsValue,
) -> Result<Option<R2ObjectBody>, Failed> {
    let operation = bucket.get(key.name().into_owned(), options.clone());
    let found = timeout_or_log("bucket: get failed", TIMEOUT_MS, operation).await?;
    Ok((!found.is_null()).then(|| found.unchecked_into()))
}

fn record_of(object: &R2Object) -> Option<String> {
    metadata_of(object, RECORD)
}

fn metadata_of(object: &R2Object, name: &str) -> Option<String> {
    let metadata: JsValue = object.custom_metadata().ok()?.into();
    Reflect::get(&metadata, &name.into()).ok()?.as_string()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size is positive")]
fn length_of(object: &R2Object) -> Option<u64> {
    object.size().ok().map(|size| size as u64)
}

fn object(members: &[(&str, JsValue)]) -> JsValue {
    let entries: Array =
        members.iter().map(|(name, value)| Array::of2(&JsValue::from_str(name), value)).collect();
    Object::from_entries(&entries).map_or(JsValue::UNDEFINED, JsValue::from)
}

#[expect(clippy::cast_precision_loss, reason = "no body is of 2^53 bytes")]
fn number(bytes: u64) -> JsValue {
    (bytes as f64).into()
}
