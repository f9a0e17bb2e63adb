//! Whatever happens in whatever order, the promises hold.

use std::env;
use std::num::NonZero;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread;

use crate::scenario::Scenario;

/// How many random sequences a run plays, unless `POLICY_SEQUENCES` says otherwise.
const SEQUENCES: u64 = 100_000;

/// The seed of the first, unless `POLICY_SEED` says otherwise.
const SEED: u64 = 3_000_000;

#[test]
fn no_sequence_of_events_breaks_a_promise() {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("POLICY_SEED").unwrap_or(SEED);
    let count = number("POLICY_SEQUENCES").unwrap_or(SEQUENCES);
    println!("{count} sequences from seed {first}");
    match play(first, first + count) {
        Ok(answers) => println!("{answers} answers were right"),
        Err(seed) => {
            let scenario = Scenario::new(seed).shortened();
            let complaint = scenario.play().err().map(|failure| failure.complaint);
            panic!(
                "Sequence {} fails; POLICY_SEED={seed} POLICY_SEQUENCES=1 plays it again.\n\
                 The least of it that fails:\n{scenario}\n{}",
                seed - first,
                complaint.unwrap_or_default()
            );
        }
    }
}

/// Plays all seeds up to `end`: how many answers there were, or the first seed that fails.
fn play(first: u64, end: u64) -> Result<usize, u64> {
    let (next, failed) = (AtomicU64::new(first), AtomicU64::new(end));
    let answers = AtomicUsize::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= failed.load(Relaxed) {
                break;
            }
            match Scenario::new(seed).play() {
                Ok(given) => drop(answers.fetch_add(given, Relaxed)),
                Err(_) => drop(failed.fetch_min(seed, Relaxed)),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    match failed.into_inner() {
        seed if seed < end => Err(seed),
        _ => Ok(answers.into_inner()),
    }
}
