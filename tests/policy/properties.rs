//! Whatever happens in whatever order, the promises hold.
//!
//! Finds, each planted in `src` by itself, at this one of its 100 000 sequences, counted from 0:
//!
//! | Fault | Sequence |
//! |---|---|
//! | a media's lease is keyed without its door | 7 |
//! | a redirect grants a lease | 59 |
//! | a 404 doesn't end the media's lease | 1057 |
//! | a 401, a 403 doesn't end the credential's | 1163, 68 566 |
//! | a lease is alive on its last second; in the future | 319, 1648 |
//! | a lease counts from the answer, not from the question | 68 |
//! | `token+media` shares a token's lease between media | 1301 |
//! | stale without a look at the credential's record; at the media's | 99, 151 |
//! | a refusal of 403 counts as a failure | 3663 |
//! | `whoami` counts when the media's lease has ended meanwhile | 4694 |
//! | `Terms::Special` is leased | 77 |
//! | a credential at the legacy door is leased | 276 |
//! | a missing token is looked up | 235 |
//! | a lease that is old is not used | 230 |
//! | a tag in `If-None-Match` is answered without asking | 13 |
//! | any tag in `If-None-Match` is a match | 0 |
//! | `If-Range` is ignored | 4 |
//! | `Content-Range`, the range itself is off by one | 0, 74 |
//! | two thumbnails share a key | 371 |
//! | two media share a key; servers and clients do | 9, 143 |
//! | the path's file name doesn't replace the upload's | 0 |
//! | `Content-Type` is not kept | 0 |
//! | an answer to HEAD is stored | 0 |
//! | a server's HEAD is asked as GET | 1537 |
//! | the homeserver's tag is sent back quoted | 0 |
//! | the target of a redirect sees the credential | 3 |
//! | a redirect away from https is followed; sixty are | 35, 386 |
//! | a response is stored as of its arrival | 124 |
//! | purges, age don't count for what is found | 102, 0 |
//! | a purge covers nothing of its own second | 329 |
//! | a purge of a media, of everything leaves what servers get | 27 958, 4907 |
//! | of two times of one purge the earlier counts | 825 |
//! | a list of purges that is read teaches nothing new | 7566 |
//! | a purge is forgotten after a second | 248 |
//! | a list is read up to its first purge | 31 131 |
//! | a purge again keeps the old time | 825 |

use std::env;
use std::num::NonZero;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread;

use crate::random::Random;
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
            let scenario = drawn(seed).shortened();
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

fn drawn(seed: u64) -> Scenario {
    Scenario::new(&mut Random::new(seed))
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
            match drawn(seed).play() {
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
