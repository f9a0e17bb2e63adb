//! What the stores did with a body that no reader can ask for.

use crate::admin::status::{Check, Finding, NO_CACHE};
use crate::cache::purge_list::PURGES_HEARD_SECS;
use crate::headers::range::ByteRange;

/// The length of the body, in bytes.
pub const BODY_BYTES: u64 = 1024 * 1024;

/// Which of its bytes are not zero: these eight, by which a part is known.
pub const MARK: ByteRange = ByteRange { first: BODY_BYTES - 8, last: BODY_BYTES - 1 };

/// The pauses before the looks for a new entry, in milliseconds.
pub const PUT_PAUSES_MS: [u32; 9] = [0, 30, 60, 120, 300, 300, 500, 700, 1_000];

/// The pauses before the looks whether a deleted entry is gone, in milliseconds.
pub const DELETE_PAUSES_MS: [u32; 7] = [0, 30, 120, 300, 500, 1_000, 1_000];

/// From when on a new entry of the cache is said to be late, in milliseconds: those who wait for a
/// cache fill have given up by then.
const LATE_MS: u64 = 250;

/// From when on a step of the bucket is said to be slow, in milliseconds.
const SLOW_BUCKET_MS: u64 = 1_000;

const LATE: &str = "Nothing is broken: until then what is new may come from the homeserver more than \
     once. With a bucket (MEDIA_BUCKET), or with WARM_UPLOADS, that happens less.";
const NO_PARTS: &str = "Seeking costs more than it should, since parts are cut out of the whole: see \
     that no rule of the zone or other Worker changes Content-Length of what is cached.";
const DELETES: &str = "Run this again in a minute: Cloudflare limits deletes. What you purge is not \
     served meanwhile, since the list of purges covers it.";
const BUCKET: &str = "See in the Worker's log what the bucket said, and that MEDIA_BUCKET names a \
     bucket of this account.";
const FAR: &str = "Make the bucket near your readers (a location hint when it is made); until then \
     the homeserver may be the nearer one.";

/// What the data centre's cache did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PopRun {
    /// Whether the cache took the body, as far as it reports.
    pub is_taken: bool,
    /// After how many milliseconds the cache showed the body; `None` if it never did.
    pub shown_after_ms: Option<u64>,
    /// Whether it gave the last byte by itself.
    pub has_last_byte: bool,
    /// Whether it gave a part by itself.
    pub has_part: bool,
    /// What came of deleting the body; `None` if it was never shown.
    pub removal: Option<Removal>,
}

/// What came of deleting an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It was gone after this number of milliseconds.
    GoneAfterMs(u64),
    /// The cache refused to delete it.
    Refused,
    /// It was still there after the last look.
    StillThere,
}

/// Evaluates what the data centre's cache did; `None` where it did not end in time.
pub fn evaluate_pop(run: Option<PopRun>) -> Vec<Finding> {
    let Some(run) = run else {
        return vec![Finding::error(Check::Pop, "It did not answer in time.", NO_CACHE)];
    };
    let Some(ms) = run.shown_after_ms else {
        let found = if run.is_taken {
            "It took a body of 1 MiB and never showed it."
        } else {
            "It refused a body of 1 MiB."
        };
        return vec![Finding::error(Check::Pop, found, NO_CACHE)];
    };
    let shown = format!("It showed a new body of 1 MiB after {ms} ms.");
    vec![
        if ms < LATE_MS {
            Finding::ok(Check::Pop, shown)
        } else {
            Finding::warning(Check::Pop, shown, LATE)
        },
        match (run.has_part, run.has_last_byte) {
            (true, true) => {
                Finding::ok(Check::PopParts, "It gave the last byte, and a part, by themselves.")
            }
            (true, false) => Finding::warning(
                Check::PopParts,
                "It gave a part, but not the last byte.",
                NO_PARTS,
            ),
            (false, true) => {
                Finding::warning(Check::PopParts, "It gave the last byte, but no part.", NO_PARTS)
            }
            (false, false) => Finding::warning(Check::PopParts, "It gave no parts.", NO_PARTS),
        },
        match run.removal {
            Some(Removal::GoneAfterMs(ms)) => {
                Finding::ok(Check::PopDeletes, format!("What was deleted was gone after {ms} ms."))
            }
            Some(Removal::Refused) => {
                Finding::warning(Check::PopDeletes, "It refused a delete.", DELETES)
            }
            Some(Removal::StillThere) | None => Finding::warning(
                Check::PopDeletes,
                "What was deleted was still there after 3 s.",
                DELETES,
            ),
        },
    ]
}

/// What the bucket did, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketRun {
    /// A write under the condition that there is no such object.
    pub create: BucketStep,
    /// A second such write, which must change nothing; `None` where the bucket could not say, since
    /// it takes one write of a key in a second.
    pub is_second_refused: Option<bool>,
    /// A read of all of it.
    pub read: BucketStep,
    /// A read of a part.
    pub part: BucketStep,
    /// The deletion.
    pub delete: BucketStep,
}

/// What came of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketStep {
    /// Whether it did what it is for.
    pub is_done: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Evaluates what the bucket did; `None` where it did not end in time.
pub fn evaluate_bucket(run: Option<BucketRun>) -> Finding {
    let check = Check::Bucket;
    let Some(run) = run else {
        return Finding::error(check, "It did not answer in time.", BUCKET);
    };
    let steps = [
        ("written", run.create),
        ("read", run.read),
        ("read in part", run.part),
        ("deleted from", run.delete),
    ];
    if let Some((name, _)) = steps.iter().find(|(_, step)| !step.is_done) {
        return Finding::error(check, format!("It could not be {name}."), BUCKET);
    }
    if run.is_second_refused == Some(false) {
        let found = "A write that was to create an object replaced one.";
        return Finding::error(check, found, BUCKET);
    }
    let [write_ms, read_ms, part_ms, delete_ms] = steps.map(|(_, step)| step.took_ms);
    let found = format!(
        "A write took {write_ms} ms, a read {read_ms} ms, a part {part_ms} ms, a delete {delete_ms} ms."
    );
    if steps.iter().any(|(_, step)| step.took_ms > SLOW_BUCKET_MS) {
        Finding::warning(check, found, FAR)
    } else {
        Finding::ok(check, found)
    }
}

/// Returns the finding where no bucket is bound.
pub fn evaluate_no_bucket() -> Finding {
    Finding::ok(Check::Bucket, "None is bound, which is all right.")
}

/// Evaluates how old the list of purges is that this isolate goes by; `None` where it was never read.
pub fn evaluate_purge_list(age_secs: Option<u64>) -> Finding {
    const UNREAD: &str = "See in the Worker's log what the bucket said: until the list can be read, \
         what is purged elsewhere may still be served here.";
    let check = Check::PurgeList;
    match age_secs {
        Some(secs) if secs < PURGES_HEARD_SECS => {
            Finding::ok(check, format!("It was read {secs} s ago."))
        }
        Some(secs) => {
            let found = format!("It was read {secs} s ago, and could not be since.");
            Finding::error(check, found, UNREAD)
        }
        None => Finding::error(check, "It could not be read.", UNREAD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::Level;

    const SHOWN: PopRun = PopRun {
        is_taken: true,
        shown_after_ms: Some(30),
        has_last_byte: true,
        has_part: true,
        removal: Some(Removal::GoneAfterMs(4)),
    };

    fn levels(run: PopRun) -> Vec<Level> {
        evaluate_pop(Some(run)).into_iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_cache_that_passes_every_step_is_good() {
        assert_eq!(levels(SHOWN), [Level::Ok; 3]);
        assert!(evaluate_pop(Some(SHOWN))[0].found.contains("30 ms"));
    }

    #[test]
    fn a_late_cache_is_reported_with_its_delay() {
        let late = PopRun { shown_after_ms: Some(530), ..SHOWN };
        assert_eq!(levels(late), [Level::Warning, Level::Ok, Level::Ok]);
        assert!(evaluate_pop(Some(late))[0].found.contains("530 ms"));
        assert_eq!(levels(PopRun { shown_after_ms: Some(249), ..SHOWN })[0], Level::Ok);
    }

    #[test]
    fn a_cache_that_shows_no_entry_is_an_error_with_its_causes() {
        let unseen = PopRun { is_taken: true, ..PopRun::default() };
        for (run, found) in [
            (Some(unseen), "It took a body of 1 MiB and never showed it."),
            (Some(PopRun::default()), "It refused a body of 1 MiB."),
            (None, "It did not answer in time."),
        ] {
            let [finding] = &evaluate_pop(run)[..] else { panic!("one finding") };
            assert_eq!((finding.level, &*finding.found), (Level::Error, found));
            assert!(finding.cure.unwrap().contains("Development Mode"), "{finding:?}");
        }
    }

    #[test]
    fn a_cache_without_ranges_is_a_warning() {
        for (has_part, has_last_byte) in [(false, false), (true, false), (false, true)] {
            assert_eq!(levels(PopRun { has_part, has_last_byte, ..SHOWN })[1], Level::Warning);
        }
    }

    #[test]
    fn a_delete_without_effect_is_a_warning() {
        for removal in [Some(Removal::Refused), Some(Removal::StillThere), None] {
            let run = PopRun { removal, ..SHOWN };
            assert_eq!(levels(run)[2], Level::Warning, "{removal:?}");
        }
    }

    const QUICK: BucketStep = BucketStep { is_done: true, took_ms: 20 };
    const FAILED: BucketStep = BucketStep { is_done: false, took_ms: 20 };
    const ALL: BucketRun = BucketRun {
        create: QUICK,
        is_second_refused: Some(true),
        read: QUICK,
        part: QUICK,
        delete: QUICK,
    };

    fn bucket(run: BucketRun) -> (Level, String) {
        let finding = evaluate_bucket(Some(run));
        (finding.level, finding.found)
    }

    #[test]
    fn a_bucket_that_passes_every_step_is_good_and_reported_with_its_times() {
        let (level, found) = bucket(ALL);
        assert_eq!(level, Level::Ok);
        assert_eq!(found, "A write took 20 ms, a read 20 ms, a part 20 ms, a delete 20 ms.");
        assert_eq!(bucket(BucketRun { is_second_refused: None, ..ALL }).0, Level::Ok);
    }

    #[test]
    fn a_step_that_failed_is_named() {
        for (run, found) in [
            (BucketRun { create: FAILED, ..ALL }, "It could not be written."),
            (BucketRun { read: FAILED, ..ALL }, "It could not be read."),
            (BucketRun { part: FAILED, ..ALL }, "It could not be read in part."),
            (BucketRun { delete: FAILED, ..ALL }, "It could not be deleted from."),
        ] {
            assert_eq!(bucket(run), (Level::Error, found.to_owned()));
        }
        assert_eq!(evaluate_bucket(None).level, Level::Error);
    }

    #[test]
    fn a_bucket_that_replaces_what_was_to_be_created_is_bad() {
        assert_eq!(bucket(BucketRun { is_second_refused: Some(false), ..ALL }).0, Level::Error);
    }

    #[test]
    fn a_slow_step_is_a_warning() {
        for took_ms in [1_000, 1_001] {
            let read = BucketStep { is_done: true, took_ms };
            let expected = if took_ms > 1_000 { Level::Warning } else { Level::Ok };
            assert_eq!(bucket(BucketRun { read, ..ALL }).0, expected, "{took_ms}");
        }
    }

    #[test]
    fn a_list_that_could_not_be_read_for_a_minute_is_bad() {
        for (age, expected) in [
            (Some(0), Level::Ok),
            (Some(59), Level::Ok),
            (Some(60), Level::Error),
            (None, Level::Error),
        ] {
            assert_eq!(evaluate_purge_list(age).level, expected, "{age:?}");
        }
    }

    #[test]
    fn a_run_takes_at_most_thirty_subrequests() {
        // Put, open, part, last byte, delete; and the bucket's six.
        let others = 5 + 6;
        assert!(PUT_PAUSES_MS.len() + DELETE_PAUSES_MS.len() + others <= 30);
        let ms = |pauses: &[u32]| pauses.iter().sum::<u32>();
        assert_eq!((ms(&PUT_PAUSES_MS), ms(&DELETE_PAUSES_MS)), (3_010, 2_950));
    }
}
