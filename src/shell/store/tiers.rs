//! The tiers in their order: looked up from the nearest on, filled towards the reader.

use std::rc::Rc;

use futures_util::future::join;
use js_sys::Uint8Array;
use wasm_bindgen::JsCast;
use web_sys::{ReadableStream, Response};

use crate::cache::entry::{Occupant, StoredMeta};
use crate::cache::key::CacheKey;
use crate::cache::purge_list::Purges;
use crate::cache::tier::{self, Tier, is_small};
use crate::headers::range::ByteRange;
use crate::shell::body::streams;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::log;
use crate::shell::runtime::tasks::{detach, sleep, timeout_promise};
use crate::shell::runtime::{clock, heads};
use crate::shell::store::bucket::Written;
use crate::shell::store::coalescing::{self, FillPermit, FillTarget};
use crate::shell::store::{bucket, cache_fill, memory, pop, purge_list};

/// How long a small body may take, in milliseconds, before the origin is the nearer one.
const TIMEOUT_MS: u32 = 2_000;

/// How often a write to the bucket is tried that is refused because the key has been written within
/// this second: by another data centre, before a purge, or with another body.
const BUCKET_ATTEMPTS: usize = 3;

/// A stored response.
pub(crate) struct Found {
    pub(crate) meta: Rc<StoredMeta>,
    pub(crate) body: StoredBody,
    pub(crate) tier: Tier,
}

impl Found {
    fn small(entry: memory::Entry, tier: Tier) -> Self {
        Self { meta: Rc::clone(&entry.meta), body: StoredBody::Small(entry), tier }
    }
}

/// The body of a stored response.
pub(crate) enum StoredBody {
    /// A small one, read whole.
    Small(memory::Entry),
    /// One that is open at this data centre, and may yet turn out to be short.
    Pop { body: ReadableStream, may_be_short: bool },
    /// One that is open at the bucket.
    Bucket(ReadableStream),
}

/// Looks a stored response up in the isolate and at this data centre. Returns `None` if neither has
/// one that may be used, and removes one that is of no use to any key.
pub(crate) async fn look_up(context: &RequestContext, key: &CacheKey) -> Option<Found> {
    if let Some(found) = look_up_memory(context, key).await {
        return Some(found);
    }
    let (response, purges) =
        join(pop::look_up(&context.config, key), purge_list::current(context)).await;
    let Some(response) = response else {
        // The data centre may not show yet what has been stored in the meantime.
        return look_up_memory(context, key).await;
    };
    let body = response.body();
    let record = pop::record_of(&response).unwrap_or_default();
    let meta = match Occupant::of(&record, key) {
        Occupant::Wanted(meta) if is_usable(context, key, &meta, &purges) => {
            Rc::new(meta.with_grant(pop::grant_of(&response).as_deref()))
        }
        occupant => {
            streams::release(&context.runtime, body.as_ref());
            if occupant != Occupant::Neighbor {
                pop::remove(&context.runtime, &context.config, key);
            }
            return None;
        }
    };
    if is_small(meta.length_bytes()) {
        return read_small(context, key, meta, response).await;
    }
    let body = body?;
    // Of a new one that is not known yet (see `cache_fill::look_first`).
    let may_be_short = meta.is_new(clock::now_unix_secs()) && !pop::is_seen_whole(&record);
    Some(Found { meta, body: StoredBody::Pop { body, may_be_short }, tier: Tier::Pop })
}

async fn look_up_memory(context: &RequestContext, key: &CacheKey) -> Option<Found> {
    let entry = memory::look_up(key)?;
    let purges = purge_list::current(context).await;
    if is_usable(context, key, &entry.meta, &purges) {
        return Some(Found::small(entry, Tier::Memory));
    }
    memory::remove(key);
    None
}

/// What a look-up in the bucket has found.
pub(crate) enum InBucket {
    /// The stored response.
    Found(Found),
    /// Another response, which has the name of this one and is to be replaced by it.
    Neighbor,
    /// None.
    Absent,
}

/// Looks a stored response up in the bucket, and stores a small one nearer to the reader.
pub(crate) async fn look_up_bucket(context: &RequestContext, key: &CacheKey) -> InBucket {
    let Some(bucket) = context.bucket.as_ref() else { return InBucket::Absent };
    let (found, purges) = join(bucket::look_up(bucket, key), purge_list::current(context)).await;
    let Some((occupant, body)) = found else { return InBucket::Absent };
    let meta = match occupant {
        Occupant::Wanted(meta) if is_usable(context, key, &meta, &purges) => Rc::new(meta),
        Occupant::Neighbor => {
            streams::release(&context.runtime, Some(&body));
            return InBucket::Neighbor;
        }
        Occupant::Wanted(_) | Occupant::Useless => {
            // It would keep a usable response from being stored.
            streams::release(&context.runtime, Some(&body));
            remove_from_bucket(context, key);
            return InBucket::Absent;
        }
    };
    open_in_bucket(context, key, meta, body).await.map_or(InBucket::Absent, InBucket::Found)
}

async fn open_in_bucket(
    context: &RequestContext,
    key: &CacheKey,
    meta: Rc<StoredMeta>,
    body: ReadableStream,
) -> Option<Found> {
    if !is_small(meta.length_bytes()) {
        return Some(Found { meta, body: StoredBody::Bucket(body), tier: Tier::Bucket });
    }
    let head = meta.entry_head(&context.config, clock::now_unix_secs());
    let response = heads::response(&head, Some(&body)).ok()?;
    let bytes = read_whole(&response, &meta).await.ok()?;
    let entry = heads::bytes_response(&head, &bytes).ok()?;
    pop::store_entry(&context.runtime, &context.config, key, &entry);
    let small = memory::Entry { meta, bytes };
    memory::store(&context.config, key, &small);
    Some(Found::small(small, Tier::Bucket))
}

/// Returns a part of a stored body, sliced by this tier's platform; `None` where the tier can't
/// slice.
pub(crate) async fn look_up_part(
    context: &RequestContext,
    key: &CacheKey,
    tier: Tier,
    range: ByteRange,
    length: u64,
) -> Option<ReadableStream> {
    match (tier, &context.bucket) {
        (Tier::Pop, _) => pop::look_up_part(&context.config, key, range, length).await,
        (Tier::Bucket, Some(bucket)) => {
            let part = bucket::look_up_part(bucket, key, range).await?;
            // The object may have been replaced by a shorter one.
            streams::enforce_length(&context.runtime, &part, range.length()).ok()
        }
        (Tier::Memory | Tier::Bucket, _) => None,
    }
}

/// Fills every tier with a small body, each by itself. Drops `permit` once memory has the body or,
/// where that takes none, once the data centre does.
pub(crate) async fn fill(
    context: &RequestContext,
    key: &CacheKey,
    small: memory::Entry,
    replaces: bool,
    permit: Option<FillPermit>,
) {
    let memory::Entry { meta, bytes } = &small;
    let (config, length) = (&context.config, meta.length_bytes());
    let is_in_memory = memory::store(config, key, &small);
    let permit = permit.filter(|_| !is_in_memory);
    let entry = heads::bytes_response(&meta.entry_head(config, clock::now_unix_secs()), bytes);
    let at_pop = async {
        if let Ok(entry) = entry {
            pop::put(config, key, &entry).await;
        }
        if permit.is_some() {
            cache_fill::look_first(&context.runtime, config, key, &meta.to_text(), length).await;
        }
        drop(permit);
    };
    let in_bucket = async {
        let Some(bucket) = &context.bucket else { return };
        for _ in 0..BUCKET_ATTEMPTS {
            let written = bucket::store(bucket, key, meta, bytes, replaces).await;
            if written != Written::Busy {
                return;
            }
            let _ = sleep(bucket::busy_pause_ms()).await;
        }
    };
    join(at_pop, in_bucket).await;
}

/// Copies a stored response from this data centre to the bucket. With `replaces`, an object that is
/// there is overwritten: the origin has sent another body than that.
pub(crate) async fn copy_to_bucket(context: &RequestContext, key: &CacheKey, replaces: bool) {
    let Some(bucket) = &context.bucket else { return };
    for _ in 0..BUCKET_ATTEMPTS {
        let Some(entry) = pop::look_up(&context.config, key).await else { return };
        // The entry may be another by now: its bytes go with their own record.
        let meta = pop::record_of(&entry).and_then(|record| StoredMeta::parse(&record, key));
        let (Some(meta), Some(body)) = (meta, entry.body()) else { return };
        let meta = meta.with_grant(pop::grant_of(&entry).as_deref());
        let length = meta.length_bytes();
        let Ok(whole) = streams::enforce_copy_length(&context.runtime, &body, length) else {
            return;
        };
        let written = bucket::store(bucket, key, &meta, &whole, replaces).await;
        if written != Written::Busy {
            return;
        }
        let _ = sleep(bucket::busy_pause_ms()).await;
    }
}

/// Removes a stored response from every tier that can be reached.
pub(crate) fn remove(context: &RequestContext, key: &CacheKey) {
    memory::remove(key);
    pop::remove(&context.runtime, &context.config, key);
    remove_from_bucket(context, key);
}

fn remove_from_bucket(context: &RequestContext, key: &CacheKey) {
    if let Some(bucket) = context.bucket.clone() {
        let key = key.clone();
        detach(&context.runtime, async move { bucket::remove(&bucket, &key).await });
    }
}

fn is_usable(context: &RequestContext, key: &CacheKey, meta: &StoredMeta, purges: &Purges) -> bool {
    tier::is_usable(meta, key, purges, &context.config, clock::now_unix_secs())
}

/// Reads a small body into memory; concurrent requests for it wait for one read. Returns `None` if
/// the body is slow or broken.
async fn read_small(
    context: &RequestContext,
    key: &CacheKey,
    meta: Rc<StoredMeta>,
    response: Response,
) -> Option<Found> {
    coalescing::wait(FillTarget::Memory, key).await;
    // It was not there before: another request has read it since.
    if let Some(entry) = memory::look_up(key) {
        streams::release(&context.runtime, response.body().as_ref());
        return Some(Found::small(entry, Tier::Memory));
    }
    let permit = coalescing::begin(&context.runtime, FillTarget::Memory, key);
    let bytes = match read_whole(&response, &meta).await {
        Ok(bytes) => bytes,
        Err(unread) => {
            if unread == Unread::Broken {
                pop::remove(&context.runtime, &context.config, key);
            }
            return None;
        }
    };
    let small = memory::Entry { meta, bytes };
    memory::store(&context.config, key, &small);
    drop(permit);
    Some(Found::small(small, Tier::Pop))
}

/// Why a small body could not be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// The body has not come in time.
    Slow,
    /// The body is not complete.
    Broken,
}

/// Reads a small body.
///
/// # Errors
/// The body is not complete, or not in time.
async fn read_whole(response: &Response, meta: &StoredMeta) -> Result<Uint8Array, Unread> {
    let outcome = match response.array_buffer() {
        Ok(reading) => timeout_promise(TIMEOUT_MS, reading).await.ok_or_else(|| {
            log::warn("a stored body is slow");
            Unread::Slow
        })?,
        Err(error) => Err(error),
    };
    let bytes = outcome.map_err(|error| {
        log::warn_with("a stored body broke", &error);
        Unread::Broken
    })?;
    let bytes = Uint8Array::new(bytes.unchecked_ref());
    let [found, wanted] = [bytes.length().into(), meta.length_bytes()];
    if found != wanted {
        log::warn(&format!("a stored body has {found} bytes of {wanted}"));
        return Err(Unread::Broken);
    }
    Ok(bytes)
}
