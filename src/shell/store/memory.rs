//! The memory tier: small bodies in the isolate, outside wasm's own memory, and the replies of the
//! well-known documents within it.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Uint8Array;

use crate::cache::entry::StoredMeta;
use crate::cache::key::CacheKey;
use crate::cache::lru::Lru;
use crate::cache::tier::{is_small, memory_weight};
use crate::config::Config;
use crate::endpoint::well_known::{ReadyChange, ReadyReply};
use crate::matrix::well_known::Document;

/// A stored response, whole.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) meta: Rc<StoredMeta>,
    pub(crate) bytes: Uint8Array,
}

thread_local! {
    /// Created by the first [`store`], since its bound is the config's.
    static ENTRIES: RefCell<Option<Lru<Entry>>> = const { RefCell::new(None) };

    /// The documents' replies: two, each with a text of bounded length.
    static CLIENT_DOCUMENT: RefCell<Option<Rc<ReadyReply>>> = const { RefCell::new(None) };
    static SERVER_DOCUMENT: RefCell<Option<Rc<ReadyReply>>> = const { RefCell::new(None) };
}

/// Returns the stored response; `None` if there is none.
pub(crate) fn look_up(key: &CacheKey) -> Option<Entry> {
    ENTRIES.with_borrow_mut(|entries| entries.as_mut()?.get(key).cloned())
}

/// Stores a response. Returns whether it is kept.
pub(crate) fn store(config: &Config, key: &CacheKey, entry: &Entry) -> bool {
    if !is_small(entry.meta.length_bytes()) {
        return false;
    }
    let weight = memory_weight(&entry.meta);
    ENTRIES.with_borrow_mut(|entries| {
        let entries = entries.get_or_insert_with(|| Lru::new(config.memory_cache_bytes));
        entries.insert(key.clone(), entry.clone(), weight);
        entries.get(key).is_some()
    })
}

/// Removes a stored response.
pub(crate) fn remove(key: &CacheKey) {
    ENTRIES.with_borrow_mut(|entries| entries.as_mut().and_then(|entries| entries.remove(key)));
}

/// Removes all entries for whose key `should_remove` returns `true`. Returns how many it removed.
pub(crate) fn remove_where(should_remove: impl Fn(&CacheKey) -> bool) -> usize {
    ENTRIES.with_borrow_mut(|entries| {
        entries.as_mut().map_or(0, |entries| entries.remove_where(should_remove))
    })
}

/// Returns the reply of a document; `None` if there is none.
pub(crate) fn document(document: Document) -> Option<Rc<ReadyReply>> {
    with_document(document, |kept| kept.clone())
}

/// Changes the reply of a document.
pub(crate) fn change_document(document: Document, change: ReadyChange, now_unix_secs: u64) {
    with_document(document, |kept| match change {
        ReadyChange::Unchanged => {}
        ReadyChange::Forget => *kept = None,
        ReadyChange::Keep(new) => {
            if kept.as_ref().is_none_or(|old| new.replaces(old, now_unix_secs)) {
                *kept = Some(Rc::new(new));
            }
        }
    });
}

fn with_document<T>(document: Document, does: impl FnOnce(&mut Option<Rc<ReadyReply>>) -> T) -> T {
    let kept = match document {
        Document::Client => &CLIENT_DOCUMENT,
        Document::Server => &SERVER_DOCUMENT,
    };
    kept.with_borrow_mut(does)
}
