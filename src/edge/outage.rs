//! What this isolate knows of an outage of the origin, and its probes.

use std::cell::Cell;

use super::origin::Answer;
use super::tasks::detach;
use super::{Call, clock, origin, streams};
use crate::outage::Outage;
use crate::request::{OriginError, OriginHead};
use crate::status::Probe;

thread_local! {
    static OUTAGE: Cell<Outage> = const { Cell::new(Outage::NONE) };
}

/// Whether the origin is known to be down; then it is seen to that this is still so.
pub(super) fn is_known(call: &Call) -> bool {
    let outage = OUTAGE.get();
    let is_known = outage != Outage::NONE && outage.is_known(clock::now_unix_millis());
    if is_known {
        probe(call);
    }
    is_known
}

/// Takes in what came of a reader's question.
pub(super) fn hear(call: &Call, answer: &Result<OriginHead, OriginError>) {
    if !is_failure(answer) {
        OUTAGE.set(Outage::NONE);
    } else if call.config.lease.stale_if_error_seconds > 0 {
        probe(call);
    }
}

/// Asks what every homeserver answers, if it is time to, behind the back of the reader.
fn probe(call: &Call) {
    let mut outage = OUTAGE.get();
    let Some(probe) = outage.begin_probe(clock::now_unix_millis()) else { return };
    OUTAGE.set(outage);
    let call = call.clone();
    detach(&call.context.clone(), async move {
        let request = Probe::Versions.request(&call.config);
        let answer = origin::ask_alone(&call.config, &request).await;
        let answer = answer.map(|Answer { head, response }| {
            streams::release(&call.context, response.body().as_ref());
            head
        });
        let mut outage = Outage::NONE;
        if is_failure(&answer) {
            outage = OUTAGE.get();
            outage.fail_probe(probe, clock::now_unix_millis(), random());
        }
        OUTAGE.set(outage);
    });
}

fn is_failure(answer: &Result<OriginHead, OriginError>) -> bool {
    answer.as_ref().map_or(true, |head| head.status.is_server_error())
}

#[expect(clippy::disallowed_methods, reason = "this is the one door to chance")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is below 2^32")]
fn random() -> u32 {
    (js_sys::Math::random() * f64::from(u32::MAX)) as u32
}
