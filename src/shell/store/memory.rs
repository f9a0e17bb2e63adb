//! The memory tier: small bodies in the isolate, outside wasm's own memory.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Uint8Array;

use crate::cache_key::CacheKey;
use crate::config::Config;
use crate::lru::Lru;
use crate::stored::StoredMeta;
use crate::tier::memory_weight;

/// A stored response, whole.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) meta: Rc<StoredMeta>,
    pub(super) bytes: Uint8Array,
}

thread_local! {
    /// Made by the first that is stored, since its bound is the config's.
    static ENTRIES: RefCell<Option<Lru<Entry>>> = const { RefCell::new(None) };
}

/// The stored response.
pub(super) fn look_up(key: &CacheKey) -> Option<Entry> {
    ENTRIES.with_borrow_mut(|entries| entries.as_mut()?.get(key).cloned())
}

/// Stores a response.
pub(super) fn store(config: &Config, key: &CacheKey, entry: &Entry) {
    let weight = memory_weight(&entry.meta);
    ENTRIES.with_borrow_mut(|entries| {
        entries.get_or_insert_with(|| Lru::new(config.memory_cache_bytes)).insert(
            key.clone(),
            entry.clone(),
            weight,
        );
    });
}

/// Removes a stored response.
pub(super) fn remove(key: &CacheKey) {
    ENTRIES.with_borrow_mut(|entries| entries.as_mut().and_then(|entries| entries.remove(key)));
}

/// Removes all that is named, and says how many those were.
pub(super) fn remove_where(is_doomed: impl Fn(&CacheKey) -> bool) -> usize {
    ENTRIES.with_borrow_mut(|entries| {
        entries.as_mut().map_or(0, |entries| entries.remove_where(is_doomed))
    })
}
