//! Where the list of purges lives: in the bucket for the world, at the data centre, and in each
//! isolate.

use std::cell::RefCell;
use std::rc::Rc;

use worker_sys::R2Bucket;

use crate::cache::key::{CacheKey, KeyPrefix, Subject};
use crate::cache::purge_list::{MAX_LIST_BYTES, PURGES_FRESH_SECS, Purges};
use crate::config::Config;
use crate::shell::runtime::clock;
use crate::shell::store::bucket::{self, Condition};
use crate::shell::store::pop;

/// How often a list that another has written meanwhile is read again.
const ATTEMPTS: usize = 10;

/// How long that may go on, in seconds: an admin waits for the answer.
const ATTEMPTS_SECS: u64 = 5;

thread_local! {
    /// The list, and when it was read, in seconds since the Unix epoch.
    static KNOWN: RefCell<(Rc<Purges>, u64)> = RefCell::default();
}

/// The list, as old as it may be; or older, while the bucket can't be read: what has been heard once
/// stays heard.
pub(crate) async fn current(config: &Config, bucket: Option<&R2Bucket>) -> Rc<Purges> {
    let now = clock::now_unix_secs();
    let (known, read_unix_secs) = KNOWN.with_borrow(Clone::clone);
    if !config.can_purge() || is_fresh(read_unix_secs, now) {
        return known;
    }
    let (here, read_here_unix_secs) = look_up(config).await;
    learn(here, &[], now, config);
    if let Some(bucket) = bucket.filter(|_| !is_fresh(read_here_unix_secs, now)) {
        if let Ok(found) = bucket::read_text(bucket, &key(config), MAX_LIST_BYTES).await {
            learn(parse(found.as_ref()), &[], now, config);
        }
        write_here(config, now).await;
    }
    KNOWN.with_borrow_mut(|(known, read_unix_secs)| {
        *read_unix_secs = now;
        Rc::clone(known)
    })
}

fn is_fresh(read_unix_secs: u64, now_unix_secs: u64) -> bool {
    now_unix_secs.saturating_sub(read_unix_secs) < PURGES_FRESH_SECS
}

/// Puts what is to go on the list: from then on nobody is served it. Says whether that went well.
pub(crate) async fn list(
    config: &Config,
    bucket: Option<&R2Bucket>,
    prefixes: &[KeyPrefix],
) -> bool {
    let now = clock::now_unix_secs();
    let (here, _) = look_up(config).await;
    learn(here, prefixes, now, config);
    let is_in_bucket = match bucket {
        Some(bucket) => Some(write_to_bucket(config, bucket, prefixes, now).await),
        None => None,
    };
    let is_here = write_here(config, now).await;
    is_in_bucket.unwrap_or(is_here)
}

/// Writes the list for the world, with what others have put on it. Says whether that went well.
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
        let list = learn(parse(found.as_ref()), prefixes, now_unix_secs, config);
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

/// Keeps what is known for the other isolates here, and for when the bucket can't be read. Says
/// whether that went well, as far as the platform tells.
async fn write_here(config: &Config, now_unix_secs: u64) -> bool {
    let list = KNOWN.with_borrow(|(known, _)| known.to_text());
    let copy = format!("{now_unix_secs}\n{list}");
    pop::put_text(config, &key(config), &copy, config.cache_seconds).await
}

/// The copy at this data centre, and when it was read: never, if there is none.
async fn look_up(config: &Config) -> (Purges, u64) {
    let found = async {
        let copy = pop::look_up_text(config, &key(config), MAX_LIST_BYTES).await?;
        let (read_at, list) = copy.split_once('\n')?;
        Some((Purges::parse(list)?, read_at.parse().ok()?))
    };
    found.await.unwrap_or_default()
}

fn parse(found: Option<&(String, String)>) -> Purges {
    found.and_then(|(text, _)| Purges::parse(text)).unwrap_or_default()
}

/// Adds to what this isolate knows, on one turn: another purge may be under way.
fn learn(other: Purges, prefixes: &[KeyPrefix], now_unix_secs: u64, config: &Config) -> Rc<Purges> {
    KNOWN.with_borrow_mut(|(known, _)| {
        let mut list = (**known).clone();
        list.merge(other);
        list.add(prefixes.to_vec(), now_unix_secs, config);
        *known = Rc::new(list);
        Rc::clone(known)
    })
}

fn key(config: &Config) -> CacheKey {
    CacheKey::new(&config.server_name, Subject::Purges)
}
