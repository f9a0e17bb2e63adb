//! Whatever happens in whatever order, the promises hold.
//!
//! Finds, each planted in `src` by itself, within as many of its 100 000 sequences:
//!
//! | Fault | Sequences |
//! |---|---|
//! | a media's lease is keyed without its door | 7 |
//! | a redirect grants a lease | 51 |
//! | a 404 doesn't end the media's lease | 56 |
//! | a 401, a 403 doesn't end the credential's | 440, 3592 |
//! | a lease is alive on its last second; in the future | 86, 501 |
//! | a lease counts from the answer, not from the question | 56 |
//! | `token+media` shares a token's lease between media | 973 |
//! | `token+media`: a 404 ends the media's lease alone | 38 580 |
//! | leased, stale without a look at the media's record | 7, 1301 |
//! | stale without a look at the credential's | 53 |
//! | a refusal of 403 counts as a failure | 3592 |
//! | `whoami` counts when the media's lease has ended meanwhile | 7 |
//! | `Terms::Special` is leased | 43 |
//! | a credential at the legacy door is leased | 174 |
//! | a missing token is looked up | 62 |
//! | a tag in `If-None-Match` is answered without asking | 14 |
//! | any tag in `If-None-Match` is a match | 6 |
//! | `If-Range` is ignored | 6 |
//! | `Content-Range`, the range itself is off by one | 23, 23 |
//! | thumbnails share their media's tag; two share a key | 7, 98 |
//! | two media share a key; servers and clients do | 4, 25 |
//! | the path's file name doesn't replace the upload's | 6 |
//! | `Content-Type` is not kept | 2 |
//! | an answer to HEAD is stored | 4 |
//! | a server's HEAD is asked as GET | 496 |
//! | the homeserver's tag is sent back quoted | 5 |
//! | the target of a redirect sees the credential | 12 |
//! | a redirect away from https is followed; sixty are | 343, 124 |
//! | a lease that is old is not used | 2 |

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
