//! The PoP tier: the platform's Cache API. A cache that fails is a miss, never an error.
//!
//! It is a named cache, not the default one, which is shared with the zone's own cache: that could
//! serve an entry to anyone who asks for its URL, where no route of the edge covers that.

use std::cell::{OnceCell, RefCell};

use ::http::StatusCode;
use ::http::header::{CACHE_CONTROL, CONTENT_RANGE, HeaderMap};
use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Cache, ReadableStream, Response};

use crate::cache::cache_fill::Look;
use crate::cache::entry::{GRANTED_AT, STORED_META, is_still_of};
use crate::cache::key::CacheKey;
use crate::config::Config;
use crate::headers::cache_control::public_for;
use crate::headers::range::ByteRange;
use crate::message::ReplyHead;
use crate::shell::body::streams;
use crate::shell::runtime::context::Context;
use crate::shell::runtime::heads;
use crate::shell::runtime::log;
use crate::shell::runtime::settling::settled;
use crate::shell::runtime::tasks::{detach, timeout_or_log};

/// The cache's name.
const NAME: &str = "matrix-media-edge";

/// How long a look-up may take, before the origin is the nearer one.
const TIMEOUT_MS: u32 = 2_000;

/// Of how many new entries with large bodies an isolate knows that they are whole.
const MAX_SEEN_WHOLE: usize = 64;

#[wasm_bindgen(module = "/src/shell/store/pop.js")]
extern "C" {
    #[wasm_bindgen(js_name = match)]
    fn match_url(cache: &Cache, url: &str, range: Option<&str>) -> Promise;

    #[wasm_bindgen(js_name = put)]
    fn put_url(cache: &Cache, url: &str, response: &Response) -> Promise;

    #[wasm_bindgen(js_name = remove)]
    fn remove_url(cache: &Cache, url: &str) -> Promise;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = caches)]
    static CACHES: web_sys::CacheStorage;
}

thread_local! {
    /// Opened by the first look-up or [`put_entry`].
    static CACHE: OnceCell<Cache> = const { OnceCell::new() };

    /// The records of new entries whose last byte was there.
    static SEEN_WHOLE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Returns the stored response, its body open; `None` if there is none or the cache fails.
pub(crate) async fn look_up(config: &Config, key: &CacheKey) -> Option<Response> {
    let cache = open().await?;
    find(match_url(&cache, &key.url(&config.media), None)).await?.dyn_into().ok()
}

/// Returns a part of a stored body, sliced by the platform; `None` unless it is exactly this range
/// of this response.
pub(crate) async fn look_up_part(
    config: &Config,
    key: &CacheKey,
    range: ByteRange,
    length: u64,
) -> Option<ReadableStream> {
    let response = match_range(config, key, range).await?;
    let sliced = response.headers().get(CONTENT_RANGE.as_str()).ok()??;
    let is_part = response.status() == 206
        && sliced == range.content_range(length)
        && is_still_of(record_of(&response).as_deref(), key);
    is_part.then(|| response.body()).flatten()
}

/// Looks for the last byte of a new entry with this record. Cloudflare stores no body that broke
/// off; the local runtime's cache does, a moment after its `put` has ended.
pub(crate) async fn look_for_end(
    context: &Context,
    config: &Config,
    key: &CacheKey,
    record: &str,
    length: u64,
) -> Look {
    // An empty body has no end that could be missing.
    let Some(last) = length.checked_sub(1) else { return Look::Whole };
    let Some(found) = match_range(config, key, ByteRange { first: last, last }).await else {
        return Look::Absent;
    };
    if found.status() == 416 {
        // Whichever entry this is, it has fewer bytes, and no record beside that answer.
        let Some(entry) = look_up(config, key).await else { return Look::Absent };
        streams::release(context, entry.body().as_ref());
        return if record_of(&entry).as_deref() == Some(record) {
            Look::Short
        } else {
            Look::Other
        };
    }
    let is_there = has_bytes(&found).await;
    match record_of(&found).as_deref() == Some(record) {
        true if is_there => Look::Whole,
        true => Look::Short,
        false => Look::Other,
    }
}

async fn has_bytes(found: &Response) -> bool {
    let Some(body) = found.body() else { return false };
    let read = streams::read_bounded(&body, 1).await;
    read.is_ok_and(|bytes| bytes.is_none_or(|bytes| !bytes.is_empty()))
}

/// Returns the record of a stored response, as text; `None` if it has none.
pub(crate) fn record_of(response: &Response) -> Option<String> {
    response.headers().get(STORED_META.as_str()).ok().flatten()
}

/// Returns the name of the door at which a stored response was granted, if it has one.
pub(crate) fn grant_of(response: &Response) -> Option<String> {
    response.headers().get(GRANTED_AT.as_str()).ok().flatten()
}

/// Returns whether this isolate has seen the entry with this record whole.
pub(crate) fn is_seen_whole(record: &str) -> bool {
    SEEN_WHOLE.with_borrow(|seen| seen.iter().any(|whole| whole == record))
}

/// Records that the entry with this record is whole.
pub(crate) fn see_whole(record: &str) {
    SEEN_WHOLE.with_borrow_mut(|seen| {
        if seen.len() >= MAX_SEEN_WHOLE {
            seen.clear();
        }
        seen.push(record.to_owned());
    });
}

/// Returns a small text that the edge has stored; `None` if there is none or it is longer than
/// `limit` bytes.
pub(crate) async fn look_up_text(config: &Config, key: &CacheKey, limit: usize) -> Option<String> {
    let found = look_up(config, key).await?;
    let bytes = streams::read_bounded(&found.body()?, limit).await.ok()??;
    String::from_utf8(bytes).ok()
}

/// Stores a small text for `max_age_secs`, in the background.
pub(crate) fn store_text(
    context: &Context,
    config: &Config,
    key: &CacheKey,
    text: &str,
    max_age_secs: u64,
) {
    if let Ok(entry) = text_entry(text, max_age_secs) {
        store_entry(context, config, key, &entry);
    }
}

/// Stores a small text for `max_age_secs`, and waits for that. Returns `false` if the platform
/// reports a failure.
pub(crate) async fn put_text(
    config: &Config,
    key: &CacheKey,
    text: &str,
    max_age_secs: u64,
) -> bool {
    match text_entry(text, max_age_secs) {
        Ok(entry) => put_entry(config, key, &entry).await,
        Err(_) => false,
    }
}

/// Stores an entry whose body is complete, and waits for that. Returns `false` if the platform
/// reports a failure.
pub(crate) async fn put_entry(config: &Config, key: &CacheKey, entry: &Response) -> bool {
    // Perhaps no look-up has opened the cache in this isolate yet.
    open().await;
    put(config, key, entry).await
}

/// Stores an entry whose body is complete, in the background.
pub(crate) fn store_entry(context: &Context, config: &Config, key: &CacheKey, entry: &Response) {
    let put = put(config, key, entry);
    detach(context, async {
        put.await;
    });
}

fn text_entry(text: &str, max_age_secs: u64) -> Result<Response, JsValue> {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, public_for(max_age_secs));
    heads::text_response(&ReplyHead::new(StatusCode::OK, headers), text)
}

/// Starts to store an entry at once: its body may be one branch of a `tee`, which shares a buffer
/// with the other branch only if both are taken up on one turn. Returns `false` if the platform
/// reports a failure.
pub(crate) fn put(
    config: &Config,
    key: &CacheKey,
    response: &Response,
) -> impl Future<Output = bool> + 'static {
    let put = opened().map(|cache| put_url(&cache, &key.url(&config.media), response));
    async {
        let Some(put) = put else { return false };
        match settled(&put).await {
            Ok(_) => true,
            Err(error) => {
                log::warn_with("cache: put failed", &error);
                false
            }
        }
    }
}

async fn match_range(config: &Config, key: &CacheKey, range: ByteRange) -> Option<Response> {
    let range = range.request_header();
    let found = match_url(&opened()?, &key.url(&config.media), Some(&range));
    find(found).await?.dyn_into().ok()
}

/// Removes a stored response from this PoP, in the background.
pub(crate) fn remove(context: &Context, config: &Config, key: &CacheKey) {
    let delete = delete(config, key);
    detach(context, async move {
        delete.await;
    });
}

/// Starts to remove a stored response from this PoP. Returns `false` if the platform reports a
/// failure, such as too many deletes.
pub(crate) fn delete(
    config: &Config,
    key: &CacheKey,
) -> impl Future<Output = bool> + 'static + use<> {
    let delete = opened().map(|cache| remove_url(&cache, &key.url(&config.media)));
    async {
        let Some(delete) = delete else { return false };
        match settled(&delete).await {
            Ok(_) => true,
            Err(error) => {
                log::warn_with("cache: delete failed", &error);
                false
            }
        }
    }
}

/// Returns the cache, opened if it isn't yet; `None` if that fails.
async fn open() -> Option<Cache> {
    if let Some(cache) = opened() {
        return Some(cache);
    }
    let opening = CACHES.with(|caches| caches.open(NAME));
    let cache = timeout_or_log("cache: open failed", TIMEOUT_MS, Ok(opening)).await.ok()?;
    let cache = cache.unchecked_into();
    Some(CACHE.with(|cell| cell.get_or_init(|| cache).clone()))
}

/// Awaits a look-up. Returns `None` if it fails or takes too long.
async fn find(found: Promise) -> Option<JsValue> {
    timeout_or_log("cache: match failed", TIMEOUT_MS, Ok(found)).await.ok()
}

fn opened() -> Option<Cache> {
    CACHE.with(|cell| cell.get().cloned())
}
