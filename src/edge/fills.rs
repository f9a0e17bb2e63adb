//! Fills under way in this isolate, so that many who miss the same small body at once cost the
//! origin one. Only the end of a fill is shared, never a stream: each request then takes the
//! stored response with a permission of its own.

use std::cell::RefCell;

use js_sys::{Function, Object, Promise};
use wasm_bindgen::JsValue;

use super::tasks::within;
use crate::cache_key::CacheKey;

/// The largest body that others wait for, in bytes: an avatar, a thumbnail, a snapshot.
pub(super) const MAX_AWAITED_BYTES: u64 = 1024 * 1024;

/// How many fills of one body a request waits for, one after the other.
pub(super) const MAX_AWAITED: usize = 3;

/// How long others wait for each. Asking for a small body takes no longer where anyone would want
/// to wait.
const MAX_WAIT_MILLIS: u32 = 3_000;

thread_local! {
    /// Few at any time, so a list will do.
    static FILLS: RefCell<Vec<(Stage, CacheKey, Promise)>> = const { RefCell::new(Vec::new()) };
}

/// What is being filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// This isolate's memory, from the data centre's cache.
    Memory,
    /// The data centre's cache, from the bucket or the origin.
    Pop,
}

/// One fill under way. When it is dropped, those who wait go on.
pub(super) struct Fill {
    done: Promise,
    resolve: Option<Function>,
}

/// Announces a fill.
pub(super) fn begin(stage: Stage, key: &CacheKey) -> Fill {
    let mut resolve = None;
    let done = Promise::new(&mut |resolved, _| resolve = Some(resolved));
    FILLS.with_borrow_mut(|fills| {
        // One who waited in vain fills in another's place.
        fills.retain(|(other_stage, other, _)| (*other_stage, other) != (stage, key));
        fills.push((stage, key.clone(), done.clone()));
    });
    Fill { done, resolve }
}

/// Waits for another request's fill of `key`. Says whether there was one that has ended.
pub(super) async fn wait(stage: Stage, key: &CacheKey) -> bool {
    wait_for(stage, key, MAX_WAIT_MILLIS).await
}

/// The same, but for so long.
pub(super) async fn wait_for(stage: Stage, key: &CacheKey, max_millis: u32) -> bool {
    let done = FILLS.with_borrow(|fills| {
        let fill =
            fills.iter().find(|(other_stage, other, _)| (*other_stage, other) == (stage, key));
        fill.map(|(.., done)| done.clone())
    });
    let Some(done) = done else { return false };
    within(max_millis, done).await.is_some()
}

impl Drop for Fill {
    fn drop(&mut self) {
        FILLS.with_borrow_mut(|fills| fills.retain(|(.., done)| !Object::is(done, &self.done)));
        if let Some(resolve) = &self.resolve {
            // Resolving a promise of ours can't fail.
            let _ = resolve.call0(&JsValue::UNDEFINED);
        }
    }
}
