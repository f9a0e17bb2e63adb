//! The PoP tier: the platform's Cache API. A cache that fails is a miss, never an error.

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, Response};
use worker::worker_sys::ext::CacheStorageExt;
use worker::{Context, console_warn};

use crate::cache_key::CacheKey;
use crate::config::Config;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = caches)]
    static CACHES: web_sys::CacheStorage;
}

/// The stored response, its body open.
pub(super) async fn look_up(config: &Config, key: &CacheKey) -> Option<Response> {
    match JsFuture::from(cache().match_with_str(&key.url(&config.media))).await {
        Ok(found) => found.dyn_into().ok(),
        Err(error) => {
            console_warn!("cache: match failed: {error:?}");
            None
        }
    }
}

/// Stores a response. The body starts to be read now, so that a branch of the same stream that is
/// returned on this turn shares one buffer with it; the client need not stay for the end.
pub(super) fn store(context: &Context, config: &Config, key: &CacheKey, response: &Response) {
    let put = cache().put_with_str(&key.url(&config.media), response);
    context.wait_until(async {
        if let Err(error) = JsFuture::from(put).await {
            console_warn!("cache: put failed: {error:?}");
        }
    });
}

/// Removes a stored response from this PoP.
pub(super) fn remove(context: &Context, config: &Config, key: &CacheKey) {
    let delete = cache().delete_with_str(&key.url(&config.media));
    context.wait_until(async {
        if let Err(error) = JsFuture::from(delete).await {
            console_warn!("cache: delete failed: {error:?}");
        }
    });
}

fn cache() -> Cache {
    CACHES.with(CacheStorageExt::default)
}
