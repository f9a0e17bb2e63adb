//! What each isolate knows of an outage, the probes by which it knows, and what they really found.

use matrix_media_edge::origin::outage::{Outage, Probe};

use crate::edge::ISOLATES;
use crate::flight::Moment;
use crate::homeserver::{Answer, By};

/// A pause is at least so long, and what is known outlasts it.
const SURELY_KNOWN_MS: u64 = 4_500;

#[derive(Debug, Default)]
pub struct Probes {
    pub outages: [Outage; ISOLATES],
    pub under_way: Vec<UnderWay>,
    /// Whether they stay on their way; or are answered before anything else happens.
    pub are_slow: bool,
    seen: [Seen; ISOLATES],
    /// All that were sent.
    pub sent: usize,
    ticks: u64,
}

/// A probe that is not answered yet.
#[derive(Clone, Copy, Debug)]
pub struct UnderWay {
    pub isolate: usize,
    pub probe: Probe,
    pub began: Moment,
    tick: u64,
}

/// What an isolate has really found out. Ticks tell what came first within one millisecond.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The last probe that found the homeserver down: when it began, and when that was known.
    down: Option<(u64, Moment)>,
    /// Whether that must have been taken in as such: no other was under way.
    is_down_plain: bool,
    /// When the homeserver itself was last heard for sure, and when it may have been.
    heard: Option<(u64, Moment)>,
    maybe_heard_tick: u64,
}

impl Probes {
    pub fn begin(&mut self, isolate: usize, probe: Probe, began: Moment) {
        self.sent += 1;
        self.ticks += 1;
        self.under_way.push(UnderWay { isolate, probe, began, tick: self.ticks });
    }

    /// Notes an answer of the homeserver's own to a reader's question.
    pub fn note_word(&mut self, isolate: usize, answer: &Answer, is_sure: bool, now: Moment) {
        if answer.by != By::Homeserver || answer.head.is_err() {
            return;
        }
        self.ticks += 1;
        let seen = &mut self.seen[isolate];
        seen.maybe_heard_tick = self.ticks;
        if is_sure {
            seen.heard = Some((self.ticks, now));
        }
    }

    /// Notes what a probe was answered.
    pub fn note_probe(&mut self, under_way: UnderWay, answer: &Answer, now: Moment) {
        self.ticks += 1;
        let seen = &mut self.seen[under_way.isolate];
        // One that began before another has found nothing newer.
        if is_down(answer) && seen.down.is_none_or(|(tick, _)| tick < under_way.tick) {
            seen.down = Some((under_way.tick, now));
            seen.is_down_plain =
                self.under_way.iter().all(|other| other.isolate != under_way.isolate);
        }
        if answer.by == By::Homeserver && matches!(answer.status(), Some(401 | 404)) {
            seen.heard = Some((self.ticks, now));
            seen.maybe_heard_tick = self.ticks;
            seen.down = None;
        }
    }

    /// How long ago, by the edge's clock, a probe found the homeserver down that has not been heard
    /// since that probe began.
    pub fn down_for_ms(&self, isolate: usize, now: Moment) -> Option<u64> {
        let Seen { down, heard, .. } = self.seen[isolate];
        let (tick, at) = down?;
        let is_heard_since = heard.is_some_and(|(heard_tick, _)| heard_tick > tick);
        now.edge_ms.checked_sub(at.edge_ms).filter(|_| !is_heard_since)
    }

    /// Whether an isolate must know that the homeserver is down.
    pub fn is_surely_known(&self, isolate: usize, now: Moment) -> bool {
        let Seen { down, maybe_heard_tick, is_down_plain, .. } = self.seen[isolate];
        down.filter(|_| is_down_plain).is_some_and(|(tick, at)| {
            let age_ms = now.now_ms - at.now_ms;
            let has_even_clock = now.edge_ms.checked_sub(at.edge_ms) == Some(age_ms);
            maybe_heard_tick < tick && has_even_clock && age_ms < SURELY_KNOWN_MS
        })
    }

    pub fn forget(&mut self, isolate: usize) {
        self.outages[isolate] = Outage::NONE;
        self.seen[isolate] = Seen::default();
        self.under_way.retain(|under_way| under_way.isolate != isolate);
    }
}

/// Whether the homeserver can't be reached: there is no answer, or whoever stands before it says so.
/// A rate limiter says something like it, 429 or 503, and lets others through.
fn is_down(answer: &Answer) -> bool {
    let status = answer.status();
    status.is_none_or(|status| matches!(status, 502 | 504 | 520..=527 | 530))
}
