//! Lease records: in the isolate's memory, and in the PoP cache for the other isolates.

use std::cell::RefCell;

use futures_util::future::join;

use crate::cache::in_flight::{InFlight, Ticket};
use crate::cache::key::CacheKey;
use crate::config::lease_policy::RecordOf;
use crate::lease::memory::LeaseMemory;
use crate::lease::standing::MediaWatch;
use crate::lease::{LeaseChange, LeaseKeys, Leases, parse_record, write_record};
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::clock;
use crate::shell::runtime::context::Context;
use crate::shell::store::coalescing::SignsOfLife;
use crate::shell::store::pop;

/// The most that is read of a record, in bytes: a key of the longest names, and a little.
const MAX_RECORD_BYTES: usize = 2 * 1024;

thread_local! {
    static MEMORY: RefCell<LeaseMemory> = RefCell::new(LeaseMemory::new());
    static RENEWALS: RefCell<InFlight<CacheKey>> = const { RefCell::new(InFlight::new()) };
}

/// A record's renewal under way.
pub(crate) struct Renewal {
    ticket: Ticket,
    _signs: SignsOfLife,
}

/// Begins a renewal of a record. Returns `None` if one is under way in this isolate.
pub(crate) fn begin_renewal(runtime: &Context, key: CacheKey) -> Option<Renewal> {
    let now = clock::now_unix_ms();
    let ticket = RENEWALS.with_borrow_mut(|renewals| renewals.begin_alone(key, now))?;
    let signs = SignsOfLife::begin(runtime, move || {
        RENEWALS.with_borrow_mut(|renewals| renewals.touch(ticket, clock::now_unix_ms()));
    });
    Some(Renewal { ticket, _signs: signs })
}

impl Drop for Renewal {
    fn drop(&mut self) {
        RENEWALS.with_borrow_mut(|renewals| renewals.end(self.ticket));
    }
}

/// Looks both lease records up. Returns when their grants were asked for, alive or not; `None` for a
/// record that is missing or was refused since. `watch` is what the list of purges tells of the media.
pub(crate) async fn look_up(
    context: &RequestContext,
    keys: Option<&LeaseKeys>,
    watch: MediaWatch,
) -> Leases {
    let Some(keys) = keys else { return Leases::default() };
    let now = clock::now_unix_secs();
    let policy = context.config.lease;
    let recalled = MEMORY.with_borrow_mut(|memory| memory.recall(keys, policy, watch, now));
    let credential = async {
        match (recalled.credential, &keys.credential) {
            (None, Some(key)) => look_up_at_pop(context, key).await,
            (living, _) => living,
        }
    };
    let media = async {
        if recalled.needs_media() {
            look_up_at_pop(context, &keys.media).await
        } else {
            recalled.media
        }
    };
    let (credential, media) = join(credential, media).await;
    Leases { credential, media, by_list: recalled.by_list, watch }
}

async fn look_up_at_pop(context: &RequestContext, key: &CacheKey) -> Option<u64> {
    let text = pop::look_up_text(&context.config, key, MAX_RECORD_BYTES).await?;
    let confirmed = parse_record(&text, key)?;
    record_grant(key, confirmed).then_some(confirmed)
}

/// Returns the leases with the grant that brought the stored body, unless a refusal has arrived since.
pub(crate) fn with_body(leases: Leases, keys: Option<&LeaseKeys>, body: Option<u64>) -> Leases {
    MEMORY.with_borrow_mut(|memory| memory.with_body(leases, keys, body))
}

/// Writes the records that a change grants, and removes those that it revokes.
pub(crate) fn apply(context: &RequestContext, keys: Option<&LeaseKeys>, change: LeaseChange) {
    let Some(keys) = keys else { return };
    if let Some((granted, asked_unix_secs)) = keys.granted_by(change) {
        for (record, key) in granted {
            write(context, record, key, asked_unix_secs);
        }
    }
    for key in keys.revoked_by(change) {
        remove(context, &key);
    }
}

fn write(context: &RequestContext, of: RecordOf, key: &CacheKey, confirmed_unix_secs: u64) {
    if !record_grant(key, confirmed_unix_secs) {
        return;
    }
    let record = write_record(key, confirmed_unix_secs);
    let retention_secs = context.config.lease.retention_secs(of);
    pop::store_text(&context.runtime, &context.config, key, &record, retention_secs);
}

fn remove(context: &RequestContext, key: &CacheKey) {
    let now = clock::now_unix_secs();
    MEMORY.with_borrow_mut(|memory| memory.record_refusal(key, now));
    pop::remove(&context.runtime, &context.config, key);
}

fn record_grant(key: &CacheKey, asked_unix_secs: u64) -> bool {
    MEMORY.with_borrow_mut(|memory| memory.record_grant(key, asked_unix_secs))
}
