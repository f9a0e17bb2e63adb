//! A small day, on which what is promised can be seen.

use crate::model::{DAY, DAY_SECS, Model};
use crate::play;
use crate::setting::Setting;
use crate::tally::{SOURCES, Tally};
use crate::workload::Workload;

const SMALL: Model = Model {
    pops: 2,
    pop_cache_bytes: 8 << 20,
    media: 20,
    readers: 1000,
    quarantines: 10,
    revocations: 50,
    ..DAY
};

fn played(lease_seconds: u64, has_bucket: bool) -> (Workload, Tally) {
    played_with(Setting { lease_seconds, media_lease_seconds: 0, has_bucket })
}

/// The day with grants about media that stand by the followed list.
fn played_by_list(media_lease_seconds: u64) -> (Workload, Tally) {
    played_with(Setting { lease_seconds: 60, media_lease_seconds, has_bucket: true })
}

fn played_with(setting: Setting) -> (Workload, Tally) {
    let workload = Workload::new(&SMALL, 1);
    let tally = play(&workload, setting);
    (workload, tally)
}

#[test]
fn the_same_seed_is_the_same_day() {
    let (_, first) = played(60, true);
    let (_, second) = played(60, true);
    assert_eq!(first.effort, second.effort);
    assert_eq!(SOURCES.map(|of| first.served(of)), SOURCES.map(|of| second.served(of)));
    let other = play(&Workload::new(&SMALL, 2), first.setting());
    assert_ne!(first.effort, other.effort);
}

#[test]
fn every_request_is_answered() {
    for has_bucket in [false, true] {
        let (workload, tally) = played(300, has_bucket);
        let answers = tally.served_in_all().answers + tally.refused;
        assert_eq!(answers, workload.requests.len() as u64);
    }
}

#[test]
fn strictly_nothing_is_served_that_is_refused() {
    for has_bucket in [false, true] {
        let (workload, tally) = played(0, has_bucket);
        assert_eq!(tally.quarantined(&workload).answers + tally.revoked(&workload).answers, 0);
        assert_eq!(tally.questioned, workload.requests.len() as u64);
    }
}

#[test]
fn what_is_refused_is_served_for_less_than_a_lease() {
    for lease_seconds in [60, 300] {
        let (workload, tally) = played(lease_seconds, true);
        for lateness in [tally.quarantined(&workload), tally.revoked(&workload)] {
            assert!(lateness.answers > 0, "something is read in the midst of which it is refused");
            assert!(lateness.longest_ms() < lease_seconds * 1000, "{lateness:?}");
        }
    }
}

#[test]
fn with_a_bucket_each_body_is_sent_once_unless_it_was_gone() {
    let (workload, tally) = played(0, true);
    let most = 3 * (SMALL.media + SMALL.quarantines) as u64;
    assert!(tally.effort.bodies <= most, "{} bodies", tally.effort.bodies);
    assert_eq!(tally.effort.bodies, tally.bucket_writes);
    let (_, without) = played(0, false);
    assert!(without.effort.bodies > 2 * tally.effort.bodies);
    assert!(workload.alone().bodies > without.effort.bodies);
}

#[test]
fn a_lease_spares_questions_and_no_bytes() {
    let (_, strict) = played(0, true);
    let (_, leased) = played(300, true);
    assert!(leased.questioned < strict.questioned);
    assert_eq!(leased.effort.bodies, strict.effort.bodies);
}

#[test]
fn a_grant_that_stands_by_the_list_spares_waiting_and_no_bytes() {
    let (_, leased) = played(60, true);
    let (_, listed) = played_by_list(DAY_SECS);
    assert!(2 * listed.questioned < leased.questioned, "{} waited", listed.questioned);
    assert!(listed.effort.bodies <= leased.effort.bodies + 3 * SMALL.quarantines as u64);
}

#[test]
fn what_is_quarantined_is_served_for_less_than_180_seconds_and_a_revoked_token_for_less_than_its_lease()
 {
    let (workload, tally) = played_by_list(3 * DAY_SECS);
    let [media, tokens] = [tally.quarantined(&workload), tally.revoked(&workload)];
    assert!(media.answers > 0 && tokens.answers > 0, "some are read in the midst of it");
    assert!(media.longest_ms() < 180_000, "{media:?}");
    assert!(tokens.longest_ms() < 60_000, "{tokens:?}");
}
