//! The list of purges: in the bucket for the world, at the data centre, and in each isolate.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use worker::worker_sys::R2Bucket;

use crate::cache::key::{CacheKey, KeyPrefix, Subject};
use crate::cache::purge_list::{
    Freshness, KnownPurges, MAX_LIST_BYTES, PurgeList, Purges, PurgesCopy, Stamp, Unread,
};
use crate::config::Config;
use crate::lease::standing::MediaWatch;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::clock;
use crate::shell::runtime::tasks::{Failed, detach, sleep, timeout};
use crate::shell::store::bucket::{self, Condition, Text, Written};
use crate::shell::store::coalescing::{self, FillTarget};
use crate::shell::store::pop;

/// How long a reader waits for the list at most, in milliseconds.
const TIMEOUT_MS: u32 = 2_000;

/// For how long a purge is tried to be written, in milliseconds: an admin waits for the answer.
const WRITING_MS: u64 = 6_000;

/// How long purges that come together are waited for, and how long between looks whether another has
/// written them, in milliseconds.
const GATHERING_MS: u32 = 20;
const LOOK_MS: u32 = 50;

/// For how long media that the homeserver no longer has is gathered before it is written to the list,
/// in milliseconds: an isolate writes for that once in this time.
const GONE_GATHERING_MS: u32 = 5_000;

thread_local! {
    static KNOWN: RefCell<KnownPurges> = RefCell::default();
    static WRITING: Cell<Writing> = const { Cell::new(Writing::NONE) };
    /// Until when a request waits to write media that is gone, in milliseconds since the Unix epoch.
    static GATHERING_UNTIL_UNIX_MS: Cell<u64> = const { Cell::new(0) };
}

/// The purges of this isolate by number, and how they are written: the request that writes the list
/// writes the purges of all requests that wait meanwhile.
#[derive(Clone, Copy)]
struct Writing {
    /// The last that was added to the list.
    added: u64,
    /// The last that is written, and all before it are.
    written: u64,
    /// Until when another request writes, in milliseconds since the Unix epoch.
    busy_until_unix_ms: u64,
}

impl Writing {
    const NONE: Self = Self { added: 0, written: 0, busy_until_unix_ms: 0 };
}

/// Returns the list. One that is aging is refreshed in the background; an old one is refreshed
/// first, and used as it is if that fails or takes too long.
pub(crate) async fn current(context: &RequestContext) -> Rc<Purges> {
    if context.config.can_purge() {
        match freshness() {
            Freshness::Fresh => {}
            Freshness::Aging => refresh_in_background(context),
            Freshness::Old => {
                if timeout(TIMEOUT_MS, refresh_together(context)).await.is_none() {
                    fail(&context.config);
                }
            }
        }
    }
    KNOWN.with_borrow(KnownPurges::purges)
}

/// Returns how long ago this isolate's list was read, in seconds; `None` if it never was.
pub(crate) fn age_secs() -> Option<u64> {
    KNOWN.with_borrow(|known| known.age_secs(clock::now_unix_secs()))
}

fn freshness() -> Freshness {
    KNOWN.with_borrow(|known| known.freshness(clock::now_unix_secs()))
}

/// Refreshes the list in the background, unless a refresh is under way.
fn refresh_in_background(context: &RequestContext) {
    let key = key(&context.config);
    if coalescing::is_under_way(FillTarget::Pop, &key) {
        return;
    }
    let permit = coalescing::begin(&context.runtime, FillTarget::Pop, &key);
    let context = context.clone();
    detach(&context.runtime.clone(), async move {
        refresh(&context.config, context.bucket.as_ref()).await;
        drop(permit);
    });
}

/// Refreshes the list. Of many requests that need it at once, one does; the others wait.
async fn refresh_together(context: &RequestContext) {
    let key = key(&context.config);
    if coalescing::wait(FillTarget::Pop, &key).await && freshness() != Freshness::Old {
        return;
    }
    let permit = coalescing::begin(&context.runtime, FillTarget::Pop, &key);
    refresh(&context.config, context.bucket.as_ref()).await;
    drop(permit);
}

async fn refresh(config: &Config, bucket: Option<&R2Bucket>) {
    let now = clock::now_unix_secs();
    let copy = look_up(config).await;
    if update(|known| known.on_copy(copy, bucket.is_some(), now, config))
        && let Some(bucket) = bucket
        && read(config, bucket).await.is_ok()
    {
        write_here(config).await;
    }
}

/// Reads the list where it lives. Returns its stamp, if it has one.
///
/// # Errors
/// The list can't be read.
pub(crate) async fn read(config: &Config, bucket: &R2Bucket) -> Result<Option<Stamp>, Failed> {
    let now = clock::now_unix_secs();
    let found = bucket::read_text(bucket, &key(config), MAX_LIST_BYTES).await;
    let read = found.map(|found| parse(found.as_ref(), config)).map_err(|Failed| Unread);
    let stamp = read.as_ref().map(|list| list.as_ref()?.stamp).map_err(|Unread| Failed);
    update(|known| known.on_bucket(read, now, config));
    stamp
}

fn fail(config: &Config) {
    update(|known| known.on_bucket(Err(Unread), clock::now_unix_secs(), config));
}

/// Returns what this isolate's list tells about the media that `key` is a response of.
pub(crate) fn watch(key: &CacheKey) -> MediaWatch {
    KNOWN.with_borrow(|known| MediaWatch::of(known, key))
}

/// Returns how far this isolate's list holds what the homeserver has quarantined.
pub(crate) fn stamp() -> Option<Stamp> {
    KNOWN.with_borrow(KnownPurges::stamp)
}

/// What came of a purge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// The list was written where others read it.
    Yes,
    /// It was not.
    Failed,
    /// The list has no room for so many more.
    Full,
}

/// Adds an admin's purge to the list: from then on this isolate serves nothing that it covers.
pub(crate) async fn list(
    config: &Config,
    bucket: Option<&R2Bucket>,
    prefixes: &[KeyPrefix],
) -> Listed {
    let now = clock::now_unix_secs();
    if !update(|known| known.add(prefixes, now, config)) {
        return Listed::Full;
    }
    if publish(config, bucket).await { Listed::Yes } else { Listed::Failed }
}

/// What a run of the schedule has found.
pub(crate) struct Run<'a> {
    /// The prefixes of what was quarantined.
    pub(crate) quarantined: &'a [KeyPrefix],
    /// The stamp that the list had when the run began, if the list is followed since then, and when
    /// the homeserver was asked for the last page; `None` where the list was not read to its end.
    pub(crate) complete: Option<(Option<Stamp>, u64)>,
}

/// Adds what a run has found to the list. Returns whether the list was written where others read it.
pub(crate) async fn record_run(config: &Config, bucket: &R2Bucket, run: Run<'_>) -> bool {
    let now = clock::now_unix_secs();
    update(|known| {
        if !run.quarantined.is_empty() {
            known.add_refused(run.quarantined, now, config);
        }
        if let Some((before, asked_unix_secs)) = run.complete {
            known.complete(before, asked_unix_secs);
        }
    });
    publish(config, Some(bucket)).await
}

/// Adds media that the homeserver no longer has to the list, of which `key` is a response: no grant
/// about it counts any more, in any isolate. The list is written in the background.
pub(crate) fn report_gone(context: &RequestContext, key: &CacheKey) {
    let Some(prefix) = KeyPrefix::of_media(key) else { return };
    let now_unix_ms = clock::now_unix_ms();
    update(|known| known.add_gone(prefix, now_unix_ms / 1000, &context.config));
    if now_unix_ms < GATHERING_UNTIL_UNIX_MS.get() {
        return;
    }
    GATHERING_UNTIL_UNIX_MS.set(now_unix_ms + u64::from(GONE_GATHERING_MS));
    let context = context.clone();
    detach(&context.runtime.clone(), async move {
        let _ = sleep(GONE_GATHERING_MS).await;
        publish(&context.config, context.bucket.as_ref()).await;
    });
}

/// Writes what this isolate has added to the list. Returns whether it was written where others read it.
async fn publish(config: &Config, bucket: Option<&R2Bucket>) -> bool {
    let number = change(|writing| {
        writing.added += 1;
        writing.added
    });
    let end_unix_ms = clock::now_unix_ms() + WRITING_MS;
    // Purges that come on this turn, or a moment later, are written with it.
    let mut pause_ms = GATHERING_MS;
    loop {
        let _ = sleep(pause_ms).await;
        let now_unix_ms = clock::now_unix_ms();
        let writing = WRITING.get();
        if writing.written >= number {
            return true;
        }
        if now_unix_ms >= end_unix_ms {
            return false;
        }
        if now_unix_ms < writing.busy_until_unix_ms {
            pause_ms = LOOK_MS;
            continue;
        }
        change(|writing| writing.busy_until_unix_ms = end_unix_ms);
        let written = write(config, bucket).await;
        change(|writing| writing.busy_until_unix_ms = 0);
        match written {
            Written::Yes => {}
            // Another writer has written it within this second.
            Written::Unmet | Written::Busy => pause_ms = bucket::busy_pause_ms(),
            Written::Failed => return false,
        }
        if written == Written::Yes {
            return true;
        }
    }
}

/// Writes all purges that are known where others read them. Returns the outcome.
async fn write(config: &Config, bucket: Option<&R2Bucket>) -> Written {
    let now = clock::now_unix_secs();
    let copy = look_up(config).await;
    update(|known| known.on_copy(copy, bucket.is_some(), now, config));
    let (written, last) = match bucket {
        Some(bucket) => write_to_bucket(config, bucket).await,
        None => (Written::Yes, WRITING.get().added),
    };
    let is_here = write_here(config).await;
    let written = if bucket.is_none() && !is_here { Written::Failed } else { written };
    if written == Written::Yes {
        change(|writing| writing.written = writing.written.max(last));
    }
    written
}

/// Writes the list to the bucket, merged with what others have put there. Returns the outcome, and
/// the number of the last purge in it.
async fn write_to_bucket(config: &Config, bucket: &R2Bucket) -> (Written, u64) {
    let Ok(found) = bucket::read_text(bucket, &key(config), MAX_LIST_BYTES).await else {
        return (Written::Failed, 0);
    };
    let (list, last) = update(|known| {
        known.on_bucket(Ok(parse(found.as_ref(), config)), clock::now_unix_secs(), config);
        (known.list(), WRITING.get().added)
    });
    let (text, stamp) = (list.to_text(config), list.stamp.map(|stamp| stamp.to_text(config)));
    let condition = found.map_or(Condition::IsAbsent, |found| Condition::IsVersion(found.version));
    (
        bucket::write_stamped_text(bucket, &key(config), &text, stamp.as_deref(), &condition).await,
        last,
    )
}

/// Stores a copy of the list for the other isolates here, and for when the bucket can't be read.
/// Returns `false` if the platform reports a failure.
async fn write_here(config: &Config) -> bool {
    let copy = KNOWN.with_borrow(KnownPurges::copy).to_text(config);
    pop::put_text(config, &key(config), &copy, config.cache_secs).await
}

/// Returns the copy at this data centre; `None` if there is none that can be read.
async fn look_up(config: &Config) -> Option<PurgesCopy> {
    PurgesCopy::parse(&pop::look_up_text(config, &key(config), MAX_LIST_BYTES).await?, config)
}

/// Returns the list in a text of the bucket's; `None` for one of another version.
fn parse(found: Option<&Text>, config: &Config) -> Option<PurgeList> {
    found.and_then(|found| PurgeList::parse(&found.text, found.stamp.as_deref(), config))
}

/// Changes the list of this isolate, on one turn: another purge may be under way.
fn update<T>(change: impl FnOnce(&mut KnownPurges) -> T) -> T {
    KNOWN.with_borrow_mut(change)
}

fn change<T>(change: impl FnOnce(&mut Writing) -> T) -> T {
    let mut writing = WRITING.get();
    let result = change(&mut writing);
    WRITING.set(writing);
    result
}

fn key(config: &Config) -> CacheKey {
    CacheKey::new(&config.server_name, Subject::Purges)
}
