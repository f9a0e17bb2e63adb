//! The isolate's record of its cache fills, and the look-ups that check a new entry at the data
//! centre.

use std::cell::RefCell;

use crate::cache::cache_fill::{BufferId, Commit, FIRST_PAUSES_MS, Fills, LATER_PAUSES_MS, Way};
use crate::cache::key::CacheKey;
use crate::cache::tier::is_small;
use crate::config::Config;
use crate::shell::runtime::clock;
use crate::shell::runtime::context::Context;
use crate::shell::runtime::tasks::sleep;
use crate::shell::store::pop;

thread_local! {
    static FILLS: RefCell<Fills> = const { RefCell::new(Fills::new()) };
}

/// A buffer that is counted until this is dropped.
pub(crate) struct Buffer(BufferId);

impl Buffer {
    /// Counts a buffer.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(with(|fills, now| fills.begin_buffer(bytes, now)))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        with(|fills, _| fills.end_buffer(self.0));
    }
}

/// Chooses how a body of this length gets into the tiers.
pub(crate) fn way(key: &CacheKey, length: u64, has_bucket: bool) -> Way {
    with(|fills, now| fills.way(key, length, has_bucket, now))
}

/// Returns whether a fill of this body has failed not long ago.
pub(crate) fn is_fruitless(key: &CacheKey) -> bool {
    with(|fills, now| fills.is_fruitless(key, now))
}

/// Records that a fill has failed.
pub(crate) fn record_fruitless(key: &CacheKey) {
    with(|fills, now| fills.record_fruitless(key, now));
}

/// Looks for a new entry at the data centre, for as long as other requests wait for it, and records
/// the result. Removes an entry that ends short.
pub(crate) async fn look_first(
    context: &Context,
    config: &Config,
    key: &CacheKey,
    record: &str,
    length: u64,
) -> Commit {
    let commit = look(context, config, key, record, length, &FIRST_PAUSES_MS).await;
    match commit {
        Commit::Whole => with(|fills, _| fills.record_shown(key)),
        Commit::Broken => record_fruitless(key),
        Commit::Unknown => with(|fills, now| fills.record_unseen(key, now)),
    }
    commit
}

/// Removes an entry whose fill was given up, if the cache has kept the beginning of its body.
pub(crate) async fn remove_broken(
    context: &Context,
    config: &Config,
    key: &CacheKey,
    record: &str,
    length: u64,
) {
    look(context, config, key, record, length, &FIRST_PAUSES_MS).await;
}

/// Goes on looking for an entry that has not been seen yet, at longer intervals.
pub(crate) async fn look_on(
    context: &Context,
    config: &Config,
    key: &CacheKey,
    record: &str,
    length: u64,
) -> Commit {
    let commit = look(context, config, key, record, length, &LATER_PAUSES_MS).await;
    if commit == Commit::Whole {
        with(|fills, _| fills.record_shown(key));
    }
    commit
}

async fn look(
    context: &Context,
    config: &Config,
    key: &CacheKey,
    record: &str,
    length: u64,
    pauses_ms: &[u32],
) -> Commit {
    for pause_ms in pauses_ms {
        if *pause_ms > 0 {
            let _ = sleep(*pause_ms).await;
        }
        match pop::look_for_end(context, config, key, record, length).await.commit() {
            Commit::Unknown => {}
            Commit::Whole => {
                // Small ones are read whole in any case.
                if !is_small(length) {
                    pop::see_whole(record);
                }
                return Commit::Whole;
            }
            Commit::Broken => {
                pop::remove(context, config, key);
                return Commit::Broken;
            }
        }
    }
    Commit::Unknown
}

fn with<T>(act: impl FnOnce(&mut Fills, u64) -> T) -> T {
    let now = clock::now_unix_ms();
    FILLS.with_borrow_mut(|fills| act(fills, now))
}
