//! What came of it all.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use test_support::http::Answer;

use crate::ask::Ask;
use crate::judge::{Flight, Verdict};
use crate::{Plan, Target};

const WATCH: Duration = Duration::from_secs(1);

/// How many wrong answers are told in full.
const TOLD: usize = 20;

/// By how much a Worker may be larger in the last third than in the middle one; and for each upload
/// in between, since the simulated cache is in the same process and keeps what it stores.
const ALLOWED_GROWTH_BYTES: u64 = 32 << 20;
const ALLOWED_BYTES_PER_UPLOAD: u64 = 32 << 10;

/// What one reader has had.
#[derive(Default)]
pub(crate) struct Tally {
    kinds: BTreeMap<&'static str, u64>,
    statuses: BTreeMap<u16, u64>,
    sources: BTreeMap<&'static str, u64>,
    excused: u64,
    wrong: Vec<String>,
    wrong_count: u64,
    micros: Vec<u32>,
}

impl Tally {
    pub(crate) fn count(
        &mut self,
        ask: &Ask,
        answer: &io::Result<Answer>,
        flight: Flight,
        verdict: Result<Verdict, String>,
    ) {
        *self.kinds.entry(ask.kind).or_default() += 1;
        let took = (flight.answered - flight.sent).as_micros();
        self.micros.push(u32::try_from(took).unwrap_or(u32::MAX));
        if let Ok(answer) = answer {
            *self.statuses.entry(answer.status).or_default() += 1;
            *self.sources.entry(source(answer)).or_default() += 1;
        }
        match verdict {
            Ok(Verdict::Right) => {}
            Ok(Verdict::Excused) => self.excused += 1,
            Err(problem) => {
                self.wrong_count += 1;
                if self.wrong.len() < TOLD {
                    let status = answer.as_ref().map(|answer| answer.status).unwrap_or_default();
                    self.wrong.push(format!("{} {}: {status}, {problem}", ask.kind, ask.request));
                }
            }
        }
    }

    fn add(&mut self, other: Self) {
        for (into, from) in [(&mut self.kinds, other.kinds), (&mut self.sources, other.sources)] {
            for (name, count) in from {
                *into.entry(name).or_default() += count;
            }
        }
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.excused += other.excused;
        self.wrong_count += other.wrong_count;
        self.wrong.extend(other.wrong);
        self.micros.extend(other.micros);
    }

    /// The time that so many of a hundred answers came within, in milliseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let last = self.micros.len().saturating_sub(1);
        self.micros.get(last * percent / 100).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

/// By the Worker's own word.
fn source(answer: &Answer) -> &'static str {
    match answer.header("cache-status") {
        Some(field) if field.contains("; hit") => "leased",
        Some(field) if field.contains("fwd-status=304") => "confirmed",
        Some(field) if field.contains("fwd=bypass") => "forwarded",
        Some(_) => "asked for",
        // Refusals and errors don't tell, nor do the status and well-known.
        None => "refused, or no media",
    }
}

/// The memory of each Worker's process, once in a while, in bytes.
pub(crate) fn watch(targets: &[Target], is_over: &AtomicBool) -> Vec<Vec<u64>> {
    let mut memory = vec![Vec::new(); targets.len()];
    while !is_over.load(Ordering::Relaxed) {
        for (memory, target) in memory.iter_mut().zip(targets) {
            memory.push(target.edge.workerd_resident_bytes());
        }
        sleep(WATCH);
    }
    memory
}

/// All of it.
pub struct Report {
    plan: Plan,
    total: Tally,
    memory: Vec<Vec<u64>>,
    asked: u64,
    changes: (usize, usize),
    is_well: bool,
}

impl Report {
    pub(crate) fn new(
        plan: Plan,
        tallies: Vec<Tally>,
        memory: Vec<Vec<u64>>,
        asked: u64,
        changes: (usize, usize),
        is_well: bool,
    ) -> Self {
        let mut total = Tally::default();
        for tally in tallies {
            total.add(tally);
        }
        total.micros.sort_unstable();
        Self { plan, total, memory, asked, changes, is_well }
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.total.kinds.values().sum()
    }

    /// How many answers failed while the origin was in trouble.
    pub fn excused(&self) -> u64 {
        self.total.excused
    }

    /// The answers that were wrong: some of them, if there are many.
    pub fn wrong(&self) -> &[String] {
        &self.total.wrong
    }

    /// Whether no answer was wrong, no Worker fell over, and none has grown.
    pub fn is_good(&self) -> bool {
        let allowed = self.allowed_growth_bytes();
        let is_flat = |memory: &Vec<u64>| growth_bytes(memory) <= allowed;
        self.total.wrong_count == 0 && self.is_well && self.memory.iter().all(is_flat)
    }

    fn allowed_growth_bytes(&self) -> u64 {
        let uploads = self.total.kinds.get("upload").copied().unwrap_or_default();
        // From the middle of one third to the middle of the next, and each Worker has its share.
        let uploads = uploads / 3 / self.memory.len().max(1) as u64;
        ALLOWED_GROWTH_BYTES + uploads * ALLOWED_BYTES_PER_UPLOAD
    }
}

/// By how much a process was larger in the last third than in the middle one.
fn growth_bytes(memory: &[u64]) -> u64 {
    let third = memory.len() / 3;
    let mean = |part: &[u64]| part.iter().sum::<u64>() / part.len().max(1) as u64;
    mean(&memory[2 * third..]).saturating_sub(mean(&memory[third..2 * third]))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, total, .. } = self;
        let seconds = plan.duration.as_secs();
        writeln!(f, "{} requests by {} in {seconds} s", self.requests(), plan.connections)?;
        writeln!(f, "asked: {:?}", total.kinds)?;
        writeln!(f, "statuses: {:?}", total.statuses)?;
        writeln!(f, "media: {:?}, and {} questions to the origin", total.sources, self.asked)?;
        let (revoked, flipped) = self.changes;
        writeln!(f, "revoked {revoked} tokens, hid or showed media {flipped} times")?;
        writeln!(f, "failed while the origin was in trouble: {}", total.excused)?;
        let [p50, p99, p100] = [50, 99, 100].map(|percent| total.percentile(percent));
        writeln!(f, "p50 {p50:.1} ms, p99 {p99:.1} ms, slowest {p100:.1} ms")?;
        let mib = |bytes: u64| bytes >> 20;
        for (name, memory) in ["strict", "leased"].iter().zip(&self.memory) {
            let curve: Vec<_> =
                memory.iter().step_by((memory.len() / 20).max(1)).map(|m| mib(*m)).collect();
            let (growth, allowed) = (mib(growth_bytes(memory)), mib(self.allowed_growth_bytes()));
            writeln!(f, "{name} Worker in MiB: {curve:?}, grew by {growth} of at most {allowed}")?;
        }
        writeln!(f, "wrong: {}", total.wrong_count)?;
        for wrong in total.wrong.iter().take(TOLD) {
            writeln!(f, "  {wrong}")?;
        }
        write!(f, "{}", if self.is_good() { "good" } else { "NOT good" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_a_warm_up() {
        let flat = vec![100 << 20; 90];
        let warm: Vec<u64> = (0..90).map(|s| if s < 25 { 1 << 20 } else { 200 << 20 }).collect();
        let grows: Vec<u64> = (0..90).map(|s| (100 + 2 * s) << 20).collect();
        assert_eq!((growth_bytes(&flat), growth_bytes(&warm)), (0, 0));
        assert_eq!(growth_bytes(&grows), 60 << 20);
    }
}
