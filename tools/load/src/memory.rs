//! What isolates hold under load, looked at when their garbage has just been collected.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use test_support::edge::{Edge, Held};

/// What the platform gives an isolate, in bytes.
const MAX_BYTES: u64 = 128_000_000;

/// The same for V8, which counts in MiB: it ends an isolate whose heap alone is larger.
pub(crate) const MAX_HEAP_MIB: u32 = (MAX_BYTES >> 20) as u32;

/// By how much an isolate may hold more in the last third of the looks than in the one before.
const MAX_GROWTH_BYTES: u64 = 5_000_000;

/// All looks at one isolate.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    held: Vec<Held>,
    /// Why it could not be looked at, if ever.
    failure: Option<String>,
}

impl Looks {
    pub(crate) fn add(&mut self, look: Result<Held, String>) {
        match look {
            Ok(held) => self.held.push(held),
            Err(problem) => self.failure = Some(problem),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.held.len()
    }

    /// The most that it held at any look, in bytes.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.held.iter().map(Held::total).max().unwrap_or_default()
    }

    /// Whether it was there at each look, and never held more than the platform gives it.
    pub(crate) fn is_bounded(&self) -> bool {
        self.failure.is_none() && !self.held.is_empty() && self.max_bytes() <= MAX_BYTES
    }

    /// Whether it held no more in the last third of the looks than in the one before, or hardly more.
    pub(crate) fn is_flat(&self) -> bool {
        let [_, second, last] = self.thirds();
        last <= second + MAX_GROWTH_BYTES
    }

    /// What it held in each third of the looks, on the average, in bytes.
    fn thirds(&self) -> [u64; 3] {
        let third = self.held.len() / 3;
        let (first, later) = self.held.split_at(third);
        let (second, last) = later.split_at(third);
        let mean =
            |held: &[Held]| held.iter().map(Held::total).sum::<u64>() / held.len().max(1) as u64;
        [first, second, last].map(mean)
    }
}

/// In MB, as the platform counts.
impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let most = self.held.iter().max_by_key(|held| held.total());
        if let Some(Held { heap, external, wasm }) = most {
            let (all, max) = (mb(self.max_bytes()), mb(MAX_BYTES));
            write!(f, "at most {all:.1} MB of {max:.0} in {} looks", self.count())?;
            let [heap, external, wasm] = [*heap, *external, *wasm].map(mb);
            write!(f, " (heap {heap:.1}, external {external:.1}, wasm {wasm:.1})")?;
            let [first, second, last] = self.thirds().map(mb);
            write!(f, ", by thirds {first:.1}, {second:.1}, {last:.1}")?;
        }
        match &self.failure {
            Some(problem) => write!(f, "; it could not be looked at: {problem}"),
            None => Ok(()),
        }
    }
}

/// Looks at each of these isolates once in a while until it is over, and once more then.
pub(crate) fn watch(edges: &[&Edge], every: Duration, is_over: &AtomicBool) -> Vec<Looks> {
    let mut all: Vec<Looks> = edges.iter().map(|_| Looks::default()).collect();
    loop {
        let is_last = is_over.load(Ordering::Relaxed);
        thread::scope(|scope| {
            for (looks, edge) in all.iter_mut().zip(edges) {
                scope.spawn(|| looks.add(edge.try_held()));
            }
        });
        if is_last {
            return all;
        }
        sleep(every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(megabytes: impl IntoIterator<Item = u64>) -> Looks {
        let mut looks = Looks::default();
        for mb in megabytes {
            let wasm = 1_000_000;
            looks.add(Ok(Held { heap: mb * 1_000_000 - 2 * wasm, external: wasm, wasm }));
        }
        looks
    }

    #[test]
    fn growth_is_told_from_a_warm_up() {
        assert!(looks([40; 90]).is_flat());
        assert!(looks((0..90).map(|look| if look < 25 { 10 } else { 100 })).is_flat());
        assert!(looks((0..90).map(|look| if look < 60 { 40 } else { 45 })).is_flat());
        assert!(!looks((0..90).map(|look| if look < 60 { 40 } else { 46 })).is_flat());
        assert!(!looks((0..90).map(|look| 30 + look / 5)).is_flat());
    }

    #[test]
    fn the_largest_look_alone_is_bounded() {
        assert!(looks([40, 128, 40]).is_bounded());
        assert!(!looks([40, 129, 40]).is_bounded());
        assert!(!looks([]).is_bounded());
    }

    #[test]
    fn an_isolate_that_is_gone_is_not_bounded() {
        let mut looks = looks([40, 40]);
        looks.add(Err("it is gone".to_owned()));
        assert!(!looks.is_bounded());
        assert!(looks.to_string().ends_with("it could not be looked at: it is gone"), "{looks}");
    }
}
