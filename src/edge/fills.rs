//! Fills under way in this isolate, so that many who miss the same small body at once cost the
//! origin one. Only the end of a fill is shared, never a stream: each request then takes the
//! stored response with a permission of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::select;
use js_sys::{Function, Object, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::Delay;

use crate::cache_key::CacheKey;

/// The largest body that others wait for, in bytes: an avatar, a thumbnail, a snapshot.
pub(super) const MAX_AWAITED_BYTES: u64 = 1024 * 1024;

/// How long others wait. Asking for a small body takes no longer where anyone would want to wait.
const MAX_WAIT: Duration = Duration::from_secs(3);

thread_local! {
    static FILLS: RefCell<BTreeMap<CacheKey, Promise>> = const { RefCell::new(BTreeMap::new()) };
}

/// One fill under way. When it is dropped, those who wait go on.
pub(super) struct Fill {
    key: CacheKey,
    done: Promise,
    resolve: Option<Function>,
}

/// Announces a fill.
pub(super) fn begin(key: &CacheKey) -> Fill {
    let mut resolve = None;
    let done = Promise::new(&mut |resolved, _| resolve = Some(resolved));
    FILLS.with_borrow_mut(|fills| fills.insert(key.clone(), done.clone()));
    Fill { key: key.clone(), done, resolve }
}

/// Waits for another request's fill of `key`. Says whether there was one.
pub(super) async fn wait(key: &CacheKey) -> bool {
    let Some(done) = FILLS.with_borrow(|fills| fills.get(key).cloned()) else { return false };
    select(JsFuture::from(done), Delay::from(MAX_WAIT)).await;
    true
}

impl Drop for Fill {
    fn drop(&mut self) {
        FILLS.with_borrow_mut(|fills| {
            // Another may have been announced since, by one who waited in vain.
            if fills.get(&self.key).is_some_and(|done| Object::is(done, &self.done)) {
                fills.remove(&self.key);
            }
        });
        if let Some(resolve) = &self.resolve {
            // Resolving a promise of ours can't fail.
            let _ = resolve.call0(&JsValue::UNDEFINED);
        }
    }
}
