//! Where leases live: in the isolate's memory, and in the PoP cache for the other isolates.

use std::cell::RefCell;

use futures_util::future::join;

use crate::cache::key::CacheKey;
use crate::cache::lru::Lru;
use crate::lease::{
    LeaseChange, LeaseKeys, Leases, MAX_RECORDS_BYTES, parse_record, record_weight, write_record,
};
use crate::shell::request_context::Call;
use crate::shell::runtime::clock;
use crate::shell::store::pop;

/// The most that is read of a record, in bytes: a key of the longest names, and a little.
const MAX_RECORD_BYTES: usize = 2 * 1024;

/// The homeserver's last word, and when it was given, in seconds since the Unix epoch.
#[derive(Clone, Copy)]
enum Word {
    /// A yes: when it was asked for.
    Yes(u64),
    /// A no: when it arrived. A yes that was asked for before is no news.
    No(u64),
}

thread_local! {
    static WORDS: RefCell<Lru<Word>> = RefCell::new(Lru::new(MAX_RECORDS_BYTES));
    static REFRESHING: RefCell<Vec<CacheKey>> = const { RefCell::new(Vec::new()) };
}

/// A record's renewal under way.
pub(crate) struct Refreshing(CacheKey);

/// Announces a renewal, unless one of the same record is under way in this isolate.
pub(crate) fn begin_refresh(key: CacheKey) -> Option<Refreshing> {
    REFRESHING.with_borrow_mut(|keys| {
        let is_first = !keys.contains(&key);
        is_first.then(|| {
            keys.push(key.clone());
            Refreshing(key)
        })
    })
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        REFRESHING.with_borrow_mut(|keys| keys.retain(|key| *key != self.0));
    }
}

/// The last word that this isolate has heard.
fn heard(key: &CacheKey) -> Option<Word> {
    WORDS.with_borrow_mut(|words| words.get(key).copied())
}

fn hear(key: &CacheKey, word: Word) {
    WORDS.with_borrow_mut(|words| words.insert(key.clone(), word, record_weight(key)));
}

/// Takes a yes in, unless a later no is known. Says whether it counts.
fn hear_yes(key: &CacheKey, confirmed_unix_secs: u64) -> bool {
    let counts = match heard(key) {
        Some(Word::No(refused_unix_secs)) => refused_unix_secs < confirmed_unix_secs,
        Some(Word::Yes(_)) | None => true,
    };
    if counts {
        hear(key, Word::Yes(confirmed_unix_secs));
    }
    counts
}

/// Finds the records that may count.
pub(crate) async fn look_up(call: &Call, keys: Option<&LeaseKeys>) -> Leases {
    let Some(keys) = keys else { return Leases::default() };
    let now = clock::now_unix_secs();
    let credential = async {
        match &keys.credential {
            Some(key) => look_up_one(call, key, now).await,
            None => None,
        }
    };
    let (credential, media) = join(credential, look_up_one(call, &keys.media, now)).await;
    Leases { credential, media }
}

/// Memory answers for a lease. Beyond that, for the stale window, only the PoP cache does: another
/// isolate may have heard a no since.
async fn look_up_one(call: &Call, key: &CacheKey, now: u64) -> Option<u64> {
    if let Some(Word::Yes(confirmed)) = heard(key)
        && call.config.lease.is_alive(confirmed, now)
    {
        return Some(confirmed);
    }
    let text = pop::look_up_text(&call.config, key, MAX_RECORD_BYTES).await?;
    let confirmed = parse_record(&text, key)?;
    hear_yes(key, confirmed).then_some(confirmed)
}

/// Writes or removes records.
pub(crate) fn apply(call: &Call, keys: Option<&LeaseKeys>, change: LeaseChange) {
    let Some(keys) = keys else { return };
    if let Some((granted, asked_unix_secs)) = keys.granted_by(change) {
        for key in granted {
            write(call, key, asked_unix_secs);
        }
    }
    for key in keys.revoked_by(change) {
        remove(call, &key);
    }
}

fn write(call: &Call, key: &CacheKey, confirmed_unix_secs: u64) {
    if !hear_yes(key, confirmed_unix_secs) {
        return;
    }
    let record = write_record(key, confirmed_unix_secs);
    let seconds = call.config.lease.retention_seconds();
    pop::store_text(&call.context, &call.config, key, &record, seconds);
}

fn remove(call: &Call, key: &CacheKey) {
    hear(key, Word::No(clock::now_unix_secs()));
    pop::remove(&call.context, &call.config, key);
}
