//! Where the list of purges lives: in the bucket for the world, at the data centre, and in each
//! isolate.

use std::cell::RefCell;
use std::rc::Rc;

use worker_sys::R2Bucket;

use crate::cache::key::{CacheKey, KeyPrefix, Subject};
use crate::cache::purge_list::{KnownPurges, MAX_LIST_BYTES, Purges, PurgesCopy, Unread};
use crate::config::Config;
use crate::shell::runtime::clock;
use crate::shell::runtime::tasks::Failed;
use crate::shell::store::bucket::{self, Condition};
use crate::shell::store::pop;

/// How often a list that another has written meanwhile is read again.
const ATTEMPTS: usize = 10;

/// How long that may go on, in seconds: an admin waits for the answer.
const ATTEMPTS_SECS: u64 = 5;

thread_local! {
    static KNOWN: RefCell<KnownPurges> = RefCell::default();
}

/// Returns the list, as old as it may be; or older, while the bucket can't be read.
pub(crate) async fn current(config: &Config, bucket: Option<&R2Bucket>) -> Rc<Purges> {
    let now = clock::now_unix_secs();
    let (known, is_fresh) = KNOWN.with_borrow(|known| (known.purges(), known.is_fresh(now)));
    if !config.can_purge() || is_fresh {
        return known;
    }
    let copy = look_up(config).await;
    if update(|known| known.on_copy(copy, bucket.is_some(), now, config))
        && let Some(bucket) = bucket
    {
        let read = bucket::read_text(bucket, &key(config), MAX_LIST_BYTES).await;
        let read = read.map(|found| parse(found.as_ref())).map_err(|Failed| Unread);
        update(|known| known.on_bucket(read, now, config));
        write_here(config).await;
    }
    KNOWN.with_borrow(KnownPurges::purges)
}

/// Puts what is to go on the list: from then on nobody is served it. Returns whether the list is
/// where others read it.
pub(crate) async fn list(
    config: &Config,
    bucket: Option<&R2Bucket>,
    prefixes: &[KeyPrefix],
) -> bool {
    let now = clock::now_unix_secs();
    let copy = look_up(config).await;
    update(|known| {
        known.on_copy(copy, bucket.is_some(), now, config);
        known.add(prefixes, now, config);
    });
    let is_in_bucket = match bucket {
        Some(bucket) => Some(write_to_bucket(config, bucket, prefixes, now).await),
        None => None,
    };
    let is_here = write_here(config).await;
    is_in_bucket.unwrap_or(is_here)
}

/// Writes the list for the world, with what others have put on it. Returns whether that went well.
async fn write_to_bucket(
    config: &Config,
    bucket: &R2Bucket,
    prefixes: &[KeyPrefix],
    now_unix_secs: u64,
) -> bool {
    for _ in 0..ATTEMPTS {
        let Ok(found) = bucket::read_text(bucket, &key(config), MAX_LIST_BYTES).await else {
            return false;
        };
        let list = update(|known| {
            known.on_bucket(Ok(parse(found.as_ref())), now_unix_secs, config);
            // Once more, so that of a full list others' purges are made one before these.
            known.add(prefixes, now_unix_secs, config);
            known.purges()
        });
        let condition =
            found.map_or(Condition::IsAbsent, |(_, version)| Condition::IsVersion(version));
        let is_written =
            bucket::write_text(bucket, &key(config), &list.to_text(), &condition).await;
        if is_written || clock::now_unix_secs() > now_unix_secs + ATTEMPTS_SECS {
            return is_written;
        }
    }
    false
}

/// Keeps what is known for the other isolates here, and for when the bucket can't be read. Returns
/// whether that went well, as far as the platform tells.
async fn write_here(config: &Config) -> bool {
    let copy = KNOWN.with_borrow(KnownPurges::copy).to_text();
    pop::put_text(config, &key(config), &copy, config.cache_seconds).await
}

/// Returns the copy at this data centre; `None` if there is none that can be read.
async fn look_up(config: &Config) -> Option<PurgesCopy> {
    PurgesCopy::parse(&pop::look_up_text(config, &key(config), MAX_LIST_BYTES).await?)
}

/// Returns the list in a text of the bucket's; `None` for one of another version.
fn parse(found: Option<&(String, String)>) -> Option<Purges> {
    found.and_then(|(text, _)| Purges::parse(text))
}

/// Changes what this isolate knows, on one turn: another purge may be under way.
fn update<T>(change: impl FnOnce(&mut KnownPurges) -> T) -> T {
    KNOWN.with_borrow_mut(change)
}

fn key(config: &Config) -> CacheKey {
    CacheKey::new(&config.server_name, Subject::Purges)
}
