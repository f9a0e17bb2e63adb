//! The PoP tier: the platform's Cache API. A cache that fails is a miss, never an error.
//!
//! It is a named cache, apart from the default one: that is shared with the zone's own, which might
//! serve an entry to anyone who asks for its URL where no route of ours covers it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use ::http::StatusCode;
use ::http::header::{CACHE_CONTROL, CONTENT_RANGE, HeaderMap};
use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Cache, ReadableStream, Response};

use crate::cache::entry::STORED_META;
use crate::cache::key::CacheKey;
use crate::cache::tier::is_small;
use crate::config::Config;
use crate::headers::cache_control::public_for;
use crate::headers::range::ByteRange;
use crate::message::ReplyHead;
use crate::shell::body::streams;
use crate::shell::runtime::context::Context;
use crate::shell::runtime::heads;
use crate::shell::runtime::log::warn;
use crate::shell::runtime::settling::settled;
use crate::shell::runtime::tasks::{detach, settle, sleep};

/// The cache's name.
const NAME: &str = "matrix-media-edge";

/// How long a look-up may take, before the origin is the nearer one.
const PATIENCE_MILLIS: u32 = 2_000;

/// How often a new entry is looked for, and how long apart: each pause is twice the one before.
const COMMIT_LOOKS: u32 = 4;
const FIRST_PAUSE_MILLIS: u32 = 30;

/// Of how many new entries with large bodies an isolate knows that they are whole.
const MAX_SEEN_WHOLE: usize = 64;

#[wasm_bindgen(module = "/src/shell/store/pop.js")]
extern "C" {
    #[wasm_bindgen(js_name = matchPart)]
    fn match_part(cache: &Cache, url: &str, range: &str) -> Promise;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = caches)]
    static CACHES: web_sys::CacheStorage;
}

thread_local! {
    /// Opened by the first look-up; whoever stores or removes without one opens it before.
    static CACHE: OnceCell<Cache> = const { OnceCell::new() };

    /// The records of those whose last byte was there.
    static SEEN_WHOLE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The stored response, its body open.
pub(crate) async fn look_up(config: &Config, key: &CacheKey) -> Option<Response> {
    let cache = open().await?;
    find(cache.match_with_str(&key.url(&config.media))).await?.dyn_into().ok()
}

/// A part of a stored body, sliced by the platform; nothing, unless it is exactly the part.
pub(crate) async fn look_up_part(
    config: &Config,
    key: &CacheKey,
    range: ByteRange,
    length: u64,
) -> Option<ReadableStream> {
    let response = match_range(config, key, range).await?;
    let sliced = response.headers().get(CONTENT_RANGE.as_str()).ok()??;
    (response.status() == 206 && sliced == range.content_range(length))
        .then(|| response.body())
        .flatten()
}

/// Stores a response whose body is `length` bytes long. The body starts to be read now, so that a
/// branch of the same stream that is returned on this turn shares one buffer with it; the client
/// need not stay for the end.
///
/// Cloudflare commits no body that broke off. The local cache does, a moment after it says that it
/// is done: so the last byte of this very entry is looked for, and the entry goes if it is not
/// there.
///
/// Says whether it is there, as far as the platform tells.
pub(crate) fn store(
    context: &Rc<Context>,
    config: &Rc<Config>,
    key: &CacheKey,
    response: &Response,
    length: u64,
) -> impl Future<Output = bool> + 'static {
    let record = record_of(response);
    let put = put(config, key, response);
    let (context, config, key) = (Rc::clone(context), Rc::clone(config), key.clone());
    async move {
        // The local cache commits what came of a put that failed, too.
        let is_put = put.await;
        let Some(last) = length.checked_sub(1) else { return is_put };
        let mut pause_millis = FIRST_PAUSE_MILLIS;
        for look in 0..COMMIT_LOOKS {
            match match_range(&config, &key, ByteRange { first: last, last }).await {
                Some(found) => {
                    let is_there = has_bytes(&found).await;
                    // Otherwise the one before it is still there, or another has come since.
                    if record_of(&found) == record {
                        if is_there {
                            // Small ones are read whole in any case.
                            record.filter(|_| !is_small(length)).into_iter().for_each(see_whole);
                            return true;
                        }
                        remove(&context, &config, &key);
                    }
                }
                None if look > 0 => remove(&context, &config, &key),
                None => {}
            }
            let _ = sleep(pause_millis).await;
            pause_millis *= 2;
        }
        false
    }
}

/// An empty body has a last byte too, to hear the local cache.
async fn has_bytes(found: &Response) -> bool {
    let Some(body) = found.body() else { return false };
    let read = streams::read_bounded(&body, 1).await;
    read.is_ok_and(|bytes| bytes.is_none_or(|bytes| !bytes.is_empty()))
}

/// The record that lies beside a stored body, as text.
pub(crate) fn record_of(response: &Response) -> Option<String> {
    response.headers().get(STORED_META.as_str()).ok().flatten()
}

/// Whether the entry with this record was seen whole by this isolate, not long ago.
pub(crate) fn is_seen_whole(record: &str) -> bool {
    SEEN_WHOLE.with_borrow(|seen| seen.iter().any(|whole| whole == record))
}

fn see_whole(record: String) {
    SEEN_WHOLE.with_borrow_mut(|seen| {
        if seen.len() >= MAX_SEEN_WHOLE {
            seen.clear();
        }
        seen.push(record);
    });
}

/// A small text of our own; nothing, if it is longer than `limit` bytes.
pub(crate) async fn look_up_text(config: &Config, key: &CacheKey, limit: usize) -> Option<String> {
    let found = look_up(config, key).await?;
    let bytes = streams::read_bounded(&found.body()?, limit).await.ok()??;
    String::from_utf8(bytes).ok()
}

/// Stores a small text for so many seconds.
pub(crate) fn store_text(
    context: &Context,
    config: &Config,
    key: &CacheKey,
    text: &str,
    seconds: u64,
) {
    if let Ok(entry) = text_entry(text, seconds) {
        store_entry(context, config, key, &entry);
    }
}

/// The same, at once. Says whether that went well, as far as the platform tells.
pub(crate) async fn put_text(config: &Config, key: &CacheKey, text: &str, seconds: u64) -> bool {
    // In this isolate nobody may have looked anything up before.
    open().await;
    match text_entry(text, seconds) {
        Ok(entry) => put(config, key, &entry).await,
        Err(_) => false,
    }
}

/// Stores an entry that is whole already.
pub(crate) fn store_entry(context: &Context, config: &Config, key: &CacheKey, entry: &Response) {
    let put = put(config, key, entry);
    detach(context, async {
        put.await;
    });
}

fn text_entry(text: &str, seconds: u64) -> Result<Response, JsValue> {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, public_for(seconds));
    heads::text_response(&ReplyHead::new(StatusCode::OK, headers), text)
}

/// Starts to put at once. Says whether that went well, as far as the platform tells.
fn put(
    config: &Config,
    key: &CacheKey,
    response: &Response,
) -> impl Future<Output = bool> + 'static {
    let put = opened().map(|cache| cache.put_with_str(&key.url(&config.media), response));
    async {
        let Some(put) = put else { return false };
        match settled(&put).await {
            Ok(_) => true,
            Err(error) => {
                warn("cache: put failed", &error);
                false
            }
        }
    }
}

async fn match_range(config: &Config, key: &CacheKey, range: ByteRange) -> Option<Response> {
    let found = match_part(&opened()?, &key.url(&config.media), &range.request_header());
    let found = find(found).await?;
    let response: Response = found.dyn_into().ok()?;
    (response.status() != 416).then_some(response)
}

/// Removes a stored response from this PoP.
pub(crate) fn remove(context: &Context, config: &Config, key: &CacheKey) {
    let Some(cache) = opened() else { return };
    let delete = cache.delete_with_str(&key.url(&config.media));
    detach(context, async move {
        if let Err(error) = settled(&delete).await {
            warn("cache: delete failed", &error);
        }
    });
}

/// The cache, opened if it wasn't yet.
async fn open() -> Option<Cache> {
    if let Some(cache) = opened() {
        return Some(cache);
    }
    let opening = CACHES.with(|caches| caches.open(NAME));
    let cache = settle("cache: open failed", PATIENCE_MILLIS, Ok(opening)).await.ok()?;
    let cache = cache.unchecked_into();
    Some(CACHE.with(|cell| cell.get_or_init(|| cache).clone()))
}

/// What is found, if it is in time.
async fn find(found: Promise) -> Option<JsValue> {
    settle("cache: match failed", PATIENCE_MILLIS, Ok(found)).await.ok()
}

fn opened() -> Option<Cache> {
    CACHE.with(|cell| cell.get().cloned())
}
