//! The isolate's knowledge of an outage of the origin, and the probes that confirm one.

use std::cell::Cell;

use crate::origin::outage::{
    Advice, Evidence, Outage, PROBE_ANSWER_TIMEOUT_MS, PROBE_MS, Probe, probe_request,
};
use crate::origin::{OriginError, OriginHead};
use crate::shell::body::streams;
use crate::shell::origin::fetch::{self, Answer};
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::clock;
use crate::shell::runtime::tasks::{detach, sleep, timeout};

/// The first and the longest pause between two looks for the end of a probe, in milliseconds. No
/// promise is shared between requests, so those that wait poll.
const FIRST_PAUSE_MS: u32 = 10;
const MAX_PAUSE_MS: u32 = 160;

thread_local! {
    static OUTAGE: Cell<Outage> = const { Cell::new(Outage::NONE) };
}

/// Returns whether the origin is known to be down, and if so probes it in the background.
pub(crate) fn is_known(context: &RequestContext) -> bool {
    let outage = OUTAGE.get();
    let is_known = outage.may_be_known() && outage.is_known(clock::now_unix_ms());
    if is_known {
        probe(context);
    }
    is_known
}

/// Records what an answer to a reader's question shows of an outage, and probes where it suggests
/// one.
pub(crate) fn record_evidence(context: &RequestContext, evidence: Evidence) {
    match evidence {
        Evidence::Up => update(|outage| outage.record_up(clock::now_unix_ms())),
        Evidence::Down if context.config.lease.stale_if_error_secs > 0 => probe(context),
        Evidence::Down | Evidence::Unclear => {}
    }
}

/// Waits for a probe, for a reader whose question has failed. Returns whether the origin is down.
pub(crate) async fn is_confirmed(context: &RequestContext) -> bool {
    let since = clock::now_unix_ms();
    let (mut waited_ms, mut pause_ms) = (0, FIRST_PAUSE_MS);
    while waited_ms <= PROBE_MS {
        match update(|outage| outage.advise(since, clock::now_unix_ms())) {
            Advice::ServeStale => return true,
            Advice::Relay => return false,
            Advice::Probe(begun) => send(context, begun),
            Advice::Wait => {}
        }
        let _ = sleep(pause_ms).await;
        waited_ms += pause_ms;
        pause_ms = (2 * pause_ms).min(MAX_PAUSE_MS);
    }
    false
}

/// Probes the origin in the background, if a probe is due.
fn probe(context: &RequestContext) {
    if let Some(begun) = update(|outage| outage.begin_probe(clock::now_unix_ms())) {
        send(context, begun);
    }
}

/// Sends a probe that has begun. It goes on if its reader leaves, since others may wait for it.
fn send(context: &RequestContext, begun: Probe) {
    let context = context.clone();
    detach(&context.runtime.clone(), async move {
        let request = probe_request(&context.config);
        let asked = async {
            let Answer { head, response } = fetch::ask_alone(&context.config, &request).await?;
            let body = response.body();
            let (answer, unread) = fetch::read(head, body, OriginHead::is_small_json).await;
            streams::release(&context.runtime, unread.as_ref());
            Ok(answer)
        };
        let answer =
            timeout(PROBE_ANSWER_TIMEOUT_MS, asked).await.unwrap_or(Err(OriginError::TimedOut));
        let random = clock::random_below(u32::MAX);
        update(|outage| outage.end_probe(begun, &answer, clock::now_unix_ms(), random));
    });
}

fn update<T>(change: impl FnOnce(&mut Outage) -> T) -> T {
    let mut outage = OUTAGE.get();
    let result = change(&mut outage);
    OUTAGE.set(outage);
    result
}
