//! Lease records: in the isolate's memory, and in the PoP cache for the other isolates.

use std::cell::RefCell;

use futures_util::future::join;

use crate::cache::in_flight::{InFlight, Ticket};
use crate::cache::key::CacheKey;
use crate::lease::memory::LeaseMemory;
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

/// Looks both lease records up. Returns when their grants were asked for, alive or not; `None` for
/// a record that is missing or was refused since.
pub(crate) async fn look_up(context: &RequestContext, keys: Option<&LeaseKeys>) -> Leases {
    let Some(keys) = keys else { return Leases::default() };
    let now = clock::now_unix_secs();
    let credential = async {
        match &keys.credential {
            Some(key) => look_up_one(context, key, now).await,
            None => None,
        }
    };
    let (credential, media) = join(credential, look_up_one(context, &keys.media, now)).await;
    Leases { credential, media }
}

async fn look_up_one(context: &RequestContext, key: &CacheKey, now: u64) -> Option<u64> {
    let policy = context.config.lease;
    let living = MEMORY.with_borrow_mut(|memory| memory.living(key, policy, now));
    if living.is_some() {
        return living;
    }
    let text = pop::look_up_text(&context.config, key, MAX_RECORD_BYTES).await?;
    let confirmed = parse_record(&text, key)?;
    record_grant(key, confirmed).then_some(confirmed)
}

/// Writes the records that a change grants, and removes those that it revokes.
pub(crate) fn apply(context: &RequestContext, keys: Option<&LeaseKeys>, change: LeaseChange) {
    let Some(keys) = keys else { return };
    if let Some((granted, asked_unix_secs)) = keys.granted_by(change) {
        for key in granted {
            write(context, key, asked_unix_secs);
        }
    }
    for key in keys.revoked_by(change) {
        remove(context, &key);
    }
}

fn write(context: &RequestContext, key: &CacheKey, confirmed_unix_secs: u64) {
    if !record_grant(key, confirmed_unix_secs) {
        return;
    }
    let record = write_record(key, confirmed_unix_secs);
    let retention_secs = context.config.lease.retention_secs();
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
