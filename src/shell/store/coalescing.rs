//! Request coalescing: concurrent misses for one small body in this isolate cause one origin fetch.
//! Only the end of a fill is shared, never a stream: each request then takes the stored response with
//! a permission of its own.
//!
//! Nor is a promise shared: code that awaits another request's promise may be resumed within that
//! other request, while each of the runtime's objects belongs to one request. So a request that
//! waits polls, by timers of its own.

use std::cell::RefCell;

use crate::cache::in_flight::{InFlight, SIGN_OF_LIFE_MS, Ticket};
use crate::cache::key::CacheKey;
use crate::shell::runtime::clock;
use crate::shell::runtime::context::{Context, Hold, Stopping};
use crate::shell::runtime::tasks::sleep;
use crate::shell::store::cache_fill;

/// The largest body whose fill others wait for, in bytes: an avatar, a thumbnail, a snapshot.
pub(crate) const MAX_COALESCED_BYTES: u64 = 1024 * 1024;

/// How many fills of one body a request waits for, one after the other.
pub(crate) const MAX_COALESCED_WAITS: usize = 3;

/// How long others wait for each, in milliseconds: no longer than the origin takes for a small
/// body.
const MAX_WAIT_MS: u32 = 3_000;

/// The first and the longest pause between two looks, in milliseconds. The longest bounds what
/// polling adds to a wait.
const FIRST_PAUSE_MS: u32 = 4;
const MAX_PAUSE_MS: u32 = 64;

/// How long others wait for a large body, in milliseconds: as long as a fill may take that no
/// client reads.
const MAX_LARGE_WAIT_MS: u32 = 30_000;

/// How long others wait for a fill whose reader is still there, in milliseconds: players end one
/// request as they send the next.
const MAX_LEAVING_MS: u32 = 1_500;

thread_local! {
    static FILLS: RefCell<InFlight<Name>> = const { RefCell::new(InFlight::new()) };
}

type Name = (FillTarget, CacheKey);

/// What a fill fills.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillTarget {
    /// This isolate's memory, from the data centre's cache.
    Memory,
    /// The data centre's cache, from the bucket or the origin.
    Pop,
    /// The data centre's cache, with a large body, of which one fill at a time is enough.
    Large,
    /// The data centre's cache, with a large body that no reader slows down any more.
    Unhindered,
}

/// A fill under way. When the permit is dropped, requests that wait for the fill go on. Until then
/// its own request goes on even if its client leaves, since others may wait.
pub(crate) struct FillPermit {
    ticket: Ticket,
    _hold: Hold,
    _signs: SignsOfLife,
}

/// Calls at short intervals, by which work shows that its request has not been ended by the
/// platform. They stop when this is dropped.
pub(crate) struct SignsOfLife(#[expect(dead_code, reason = "it is dropped")] Stopping);

impl SignsOfLife {
    pub(crate) fn begin(context: &Context, give: impl Fn() + 'static) -> Self {
        let signs = context.run_in_background(async move {
            loop {
                let _ = sleep(SIGN_OF_LIFE_MS as u32).await;
                give();
            }
        });
        Self(Stopping(signs))
    }
}

/// Begins a fill, which others can wait for until the permit is dropped.
pub(crate) fn begin(context: &Context, target: FillTarget, key: &CacheKey) -> FillPermit {
    let now = clock::now_unix_ms();
    let ticket = FILLS.with_borrow_mut(|fills| fills.begin((target, key.clone()), now));
    let signs = SignsOfLife::begin(context, move || {
        FILLS.with_borrow_mut(|fills| fills.touch(ticket, clock::now_unix_ms()));
    });
    FillPermit { ticket, _hold: context.hold(), _signs: signs }
}

/// Waits for another request's fill of `key`. Returns `true` if there was one and it has ended;
/// `false` if there is none, if it takes too long, or if a fill of `key` has failed not long ago.
pub(crate) async fn wait(target: FillTarget, key: &CacheKey) -> bool {
    wait_for(target, key, MAX_WAIT_MS).await
}

/// Waits as [`wait`] does, but for at most `max_ms`.
pub(crate) async fn wait_for(target: FillTarget, key: &CacheKey, max_ms: u32) -> bool {
    if cache_fill::is_fruitless(key) {
        return false;
    }
    let name = (target, key.clone());
    let Some(ticket) = under_way(&name) else { return false };
    let (mut left_ms, mut pause_ms) = (max_ms, FIRST_PAUSE_MS);
    while left_ms > 0 {
        let ms = pause_ms.min(left_ms);
        let _ = sleep(ms).await;
        if under_way(&name) != Some(ticket) {
            return true;
        }
        left_ms -= ms;
        pause_ms = (2 * pause_ms).min(MAX_PAUSE_MS);
    }
    false
}

/// Waits for another request's fill of a large body whose origin ignores ranges: for 30 s at most,
/// and for 1.5 s while the fill has a reader. Returns `true` if there was one and it has ended.
pub(crate) async fn wait_for_large(key: &CacheKey) -> bool {
    let (mut waited_ms, mut is_unhindered) = (0, false);
    while waited_ms < MAX_LARGE_WAIT_MS {
        if !is_under_way(FillTarget::Large, key) {
            return waited_ms > 0;
        }
        is_unhindered |= is_under_way(FillTarget::Unhindered, key);
        if waited_ms >= MAX_LEAVING_MS && !is_unhindered {
            return false;
        }
        let _ = sleep(MAX_PAUSE_MS).await;
        waited_ms += MAX_PAUSE_MS;
    }
    false
}

/// Returns whether a fill of `key` is under way in this isolate.
pub(crate) fn is_under_way(target: FillTarget, key: &CacheKey) -> bool {
    under_way(&(target, key.clone())).is_some()
}

fn under_way(name: &Name) -> Option<Ticket> {
    let now = clock::now_unix_ms();
    FILLS.with_borrow(|fills| fills.find(name, now))
}

impl Drop for FillPermit {
    fn drop(&mut self) {
        FILLS.with_borrow_mut(|fills| fills.end(self.ticket));
    }
}
