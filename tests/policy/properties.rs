//! Whatever happens in whatever order, the promises hold.
//!
//! Finds, each planted in `src` by itself, at this one of its 100 000 sequences, counted from 0:
//!
//! | Fault | Sequence |
//! |---|---|
//! | a media's lease is keyed without its door | 22 |
//! | a lease of thumbnails is one of the content | 124 |
//! | a refusal ends what was granted of one kind only | 126 |
//! | a redirect grants a lease | 14 |
//! | a 404 doesn't end the media's lease; a 410 and a 451 don't | 126, 126 |
//! | a 401, a 403 doesn't end the credential's | 2095, 6212 |
//! | a lease is alive on its last second; in the future | 33, 1993 |
//! | a lease counts from the answer, not from the question | 41 |
//! | a grant asked for before a refusal, in the second of one, revives the lease | 2506, 2506 |
//! | a refusal is not remembered | 126 |
//! | memory answers in the stale window | 8498 |
//! | `token+media` shares a token's lease between media | 212 |
//! | one reader's 404 removes the entry with `token+media`; at the legacy door | 220, 79 |
//! | what is refused on terms of its own counts for all | 781 |
//! | stale without a look at the credential's record; at the media's | 351, 4212 |
//! | stale without a probe | 335 |
//! | a probe fails by 429; by 503; by a challenge; by any page | 357, 8352, 20 929, 1025 |
//! | any answer ends a known outage | 27 940 |
//! | a refusal of 403 counts as a failure | 2669 |
//! | any 200 is the homeserver's; on a miss; in place of what is stored | 13, 13, 3508 |
//! | a page with a validator bears the homeserver's mark | 13 |
//! | a redirect to anywhere confirms what is stored | 80 |
//! | a redirect to the path that was asked is followed | 868 |
//! | any 200 to `whoami` knows the token | 6148 |
//! | a 404, a 403 without a Matrix error takes something back | 3, 118 |
//! | a question carries the reader's headers; their scheme | 0, 1 |
//! | whoever is refused learns what is stored | 2 |
//! | `whoami` counts when the media's lease has ended meanwhile | 1111 |
//! | `QueryClass::PerRequest` is leased | 17 |
//! | a credential at the legacy door is leased | 178 |
//! | a missing token is looked up | 848 |
//! | a lease that is old is not used | 432 |
//! | a tag in `If-None-Match` is answered without asking | 81 |
//! | any tag in `If-None-Match` is a match | 2 |
//! | `If-Range` is ignored | 60 |
//! | `Content-Range`, the range itself is off by one | 12, 127 |
//! | a query that can be read in two ways is looked up | 160 |
//! | two thumbnails share a key; no method is `scale` | 212, 3135 |
//! | two media share a key; servers and clients do | 22, 37 |
//! | the path's file name doesn't replace the upload's | 2 |
//! | `Content-Type` is not kept | 1 |
//! | an answer to HEAD is stored | 4 |
//! | a server's HEAD is asked as GET | 2044 |
//! | the homeserver's tag is sent back quoted | 8 |
//! | the target of a redirect sees the credential | 2 |
//! | a redirect away from https is followed; sixty are | 146, 74 |
//! | a response is stored as of its arrival | 41 |
//! | purges, age don't count for what is found | 154, 41 |
//! | a purge has no margin for clocks | 12 844 |
//! | a purge knows one spelling of a server's name | 47 |
//! | a purge of a media, of everything leaves what servers get | 43, 222 |
//! | of two times of one purge the earlier counts | 406 |
//! | a list of purges that is read teaches nothing new | 154 |
//! | a list that can't be read makes what is known be forgotten | 154 |
//! | a data centre's copy of the list, a known list counts as fresh for ever | 1142, 1142 |
//! | a purge is forgotten after a second | 104 |
//! | a list is read up to its first purge | 3750 |
//! | a purge again keeps the old time | 406 |
//!
//! And while the homeserver's list of quarantined media is followed, of 30 000:
//!
//! | Fault | Sequence |
//! |---|---|
//! | a list counts as up to date for ever | 1708 |
//! | a grant of before the list was followed counts | 1285 |
//! | a body's date counts at another door; that of a body behind a redirect | 1194, 20 496 |
//! | a grant at the legacy door stands by the list | 92 |
//! | a grant about a media counts for ever | 4386 |
//! | what an isolate remembers beyond a lease counts in an outage | 6036 |
//! | a refusal does not end the grant that brought the body | 617 |
//!
//! What needs a rare order is found by example (`watched`): a name that ends no grant, a restored
//! database that is not noticed, a history that is no gap, a row that is skipped.

use std::env;
use std::num::NonZero;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use model::random::Random;
use model::record::Record;
use model::scenario::Scenario;

/// How many random sequences a run plays, unless `POLICY_SEQUENCES` says otherwise.
const SEQUENCES: u64 = 100_000;

/// How many of those in which the homeserver's list of quarantined media is followed.
const WATCHED_SEQUENCES: u64 = 30_000;

/// The seed of the first, unless `POLICY_SEED` says otherwise.
const SEED: u64 = 3_000_000;

#[test]
fn no_sequence_of_events_breaks_a_promise() {
    play_all(SEQUENCES, |seed| Scenario::new(&mut Random::new(seed)));
}

#[test]
fn no_sequence_of_events_breaks_a_promise_while_the_list_is_followed() {
    play_all(WATCHED_SEQUENCES, |seed| Scenario::watched(&mut Random::new(seed)));
}

/// Plays `count` sequences as `drawn`, or as many as `POLICY_SEQUENCES` says.
fn play_all(count: u64, drawn: impl Fn(u64) -> Scenario + Sync) {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("POLICY_SEED").unwrap_or(SEED);
    let count = number("POLICY_SEQUENCES").unwrap_or(count);
    println!("{count} sequences from seed {first}");
    match play(first, first + count, &drawn) {
        Ok(record) => println!("{record}"),
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

/// Plays all seeds up to `end`: a record of the answers, or the first seed that fails.
fn play(first: u64, end: u64, drawn: &(impl Fn(u64) -> Scenario + Sync)) -> Result<Record, u64> {
    let (next, failed) = (AtomicU64::new(first), AtomicU64::new(end));
    let work = || {
        let mut record = Record::default();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= failed.load(Relaxed) {
                break record;
            }
            match drawn(seed).play() {
                Ok(played) => record.merge(seed, played),
                Err(_) => drop(failed.fetch_min(seed, Relaxed)),
            }
        }
    };
    let record = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut record = Record::default();
        for worker in workers {
            record.add_all(worker.join().expect("a scenario's panics are caught"));
        }
        record
    });
    match failed.into_inner() {
        seed if seed < end => Err(seed),
        _ => Ok(record),
    }
}
