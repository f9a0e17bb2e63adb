//! How this homeserver can be asked whether a client may have what is stored, as learned from its
//! answers.
//!
//! The validator of a homeserver may not reach the edge: Cloudflare removes an `ETag` without
//! quotes, as Synapse's is, and proxies drop conditions. Some homeservers send none at all. So
//! where no validator came, Synapse's is *guessed* (a 304 to the edge's own condition is the
//! homeserver's permission, whatever the condition was); and where a condition is answered with the
//! body all the same, the edge sends a HEAD instead.

use crate::matrix::media::Door;
use crate::origin::is_spared;

/// How often in a row a way fails that has worked, before it counts as failed: one media may have been
/// replaced, or be served by another part of the homeserver.
const MAX_FAILURES: u8 = 3;

/// What is known of one door, per way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AtDoor {
    /// A condition that the homeserver told.
    told: Experience,
    /// A condition that is guessed.
    guess: Experience,
    /// A HEAD.
    head: Experience,
    /// The method HEAD, whatever it is asked about: whether it is answered with the head of a GET.
    method: Experience,
}

/// What came of a way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Experience {
    has_worked: bool,
    /// How often the way has failed since it worked last.
    failures: u8,
    /// When the way failed last, in seconds since the Unix epoch.
    failed_unix_secs: u64,
}

/// What is known of a homeserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revalidation {
    client: AtDoor,
    legacy: AtDoor,
    federation: AtDoor,
}

/// A way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevalidateBy {
    /// A conditional request with a validator that the homeserver told.
    ToldValidator,
    /// A conditional request with a guessed one.
    GuessedValidator,
    /// A HEAD, whose answer must fit what is stored.
    Head,
}

/// What is known of how stored media can be asked about at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// No way was tried yet.
    Untried,
    /// This way works.
    Works(RevalidateBy),
    /// Each way that was tried brought the body, or no answer about what is stored.
    Fails,
}

/// How the homeserver answered a question about a stored response that may still be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revalidated {
    /// Without a body: by a 304, or to a HEAD.
    WithoutBody,
    /// By the whole body, which was stored already.
    WithBody,
}

/// The outcome of one revalidation, for the choice of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// Where it was asked.
    pub door: Door,
    /// How it was asked.
    pub by: RevalidateBy,
    /// Whether the question was answered without a body.
    pub works: bool,
}

impl Experience {
    const UNTRIED: Self = Self { has_worked: false, failures: 0, failed_unix_secs: 0 };

    const fn may_work(self, now_unix_secs: u64) -> bool {
        let allowed = if self.has_worked { MAX_FAILURES } else { 1 };
        self.failures < allowed || !is_spared(self.failed_unix_secs, now_unix_secs)
    }

    const fn is_known_to_work(self) -> bool {
        self.has_worked && self.failures < MAX_FAILURES
    }

    const fn after(self, works: bool, now_unix_secs: u64) -> Self {
        if works {
            return Self { has_worked: true, ..Self::UNTRIED };
        }
        let failures = self.failures.saturating_add(1);
        Self { failures, failed_unix_secs: now_unix_secs, ..self }
    }
}

impl Revalidation {
    /// Nothing is known.
    pub const NEW: Self =
        Self { client: AtDoor::NEW, legacy: AtDoor::NEW, federation: AtDoor::NEW };

    /// Returns how to ask about a stored response at this door: by the condition that was told with
    /// it (`is_told`) or a guessed one; by HEAD where that has brought the body; `None` where both
    /// have, so that asking again means fetching again. Servers sign their method, so there is no
    /// HEAD at the federation door.
    pub const fn way(&self, door: Door, is_told: bool, now_unix_secs: u64) -> Option<RevalidateBy> {
        let known = self.at(door);
        let (condition, experience) = if is_told {
            (RevalidateBy::ToldValidator, known.told)
        } else {
            (RevalidateBy::GuessedValidator, known.guess)
        };
        if experience.may_work(now_unix_secs) {
            return Some(condition);
        }
        let may_head_work = known.head.may_work(now_unix_secs);
        match door {
            Door::Client | Door::Legacy
                if may_head_work && self.may_ask_by_head(door, now_unix_secs) =>
            {
                Some(RevalidateBy::Head)
            }
            Door::Client | Door::Legacy | Door::Federation | Door::Other => None,
        }
    }

    /// Returns whether a client's HEAD may be asked as one at this door: not for a while after it
    /// brought an error where GET brought media.
    pub const fn may_ask_by_head(&self, door: Door, now_unix_secs: u64) -> bool {
        self.at(door).method.may_work(now_unix_secs)
    }

    /// Records whether media that a GET brings is answered to a HEAD as well.
    pub const fn learn_head(&mut self, door: Door, works: bool, now_unix_secs: u64) {
        if let Some(known) = self.at_mut(door) {
            known.method = known.method.after(works, now_unix_secs);
        }
    }

    /// Returns whether this way of asking is known to work at this door.
    pub fn is_known_to_work(&self, door: Door, by: RevalidateBy) -> bool {
        let known = self.at(door);
        let experience = match by {
            RevalidateBy::ToldValidator => known.told,
            RevalidateBy::GuessedValidator => known.guess,
            RevalidateBy::Head => known.head,
        };
        experience.is_known_to_work()
    }

    /// Returns what is known of this door: of the ways that work, the one that costs least.
    pub const fn learned(&self, door: Door) -> Learned {
        let AtDoor { told, guess, head, .. } = self.at(door);
        if told.is_known_to_work() {
            Learned::Works(RevalidateBy::ToldValidator)
        } else if guess.is_known_to_work() {
            Learned::Works(RevalidateBy::GuessedValidator)
        } else if head.is_known_to_work() {
            Learned::Works(RevalidateBy::Head)
        } else if told.failures > 0 || guess.failures > 0 || head.failures > 0 {
            Learned::Fails
        } else {
            Learned::Untried
        }
    }

    /// Records a lesson.
    pub const fn learn(&mut self, lesson: Lesson, now_unix_secs: u64) {
        let Some(known) = self.at_mut(lesson.door) else { return };
        let experience = match lesson.by {
            RevalidateBy::ToldValidator => &mut known.told,
            RevalidateBy::GuessedValidator => &mut known.guess,
            RevalidateBy::Head => &mut known.head,
        };
        *experience = experience.after(lesson.works, now_unix_secs);
    }

    const fn at_mut(&mut self, door: Door) -> Option<&mut AtDoor> {
        match door {
            Door::Client => Some(&mut self.client),
            Door::Legacy => Some(&mut self.legacy),
            Door::Federation => Some(&mut self.federation),
            Door::Other => None,
        }
    }

    const fn at(&self, door: Door) -> AtDoor {
        match door {
            Door::Client => self.client,
            Door::Legacy => self.legacy,
            Door::Federation => self.federation,
            Door::Other => AtDoor::NEW,
        }
    }
}

impl AtDoor {
    const NEW: Self = Self {
        told: Experience::UNTRIED,
        guess: Experience::UNTRIED,
        head: Experience::UNTRIED,
        method: Experience::UNTRIED,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::RETRY_SECS;

    const NOW: u64 = 1_700_000_000;

    fn after(lessons: &[(RevalidateBy, bool)], door: Door) -> Revalidation {
        let mut known = Revalidation::NEW;
        for &(by, works) in lessons {
            known.learn(Lesson { door, by, works }, NOW);
        }
        known
    }

    #[test]
    fn a_condition_is_tried_first() {
        let known = Revalidation::NEW;
        for door in [Door::Client, Door::Legacy, Door::Federation] {
            assert_eq!(known.way(door, true, NOW), Some(RevalidateBy::ToldValidator));
            assert_eq!(known.way(door, false, NOW), Some(RevalidateBy::GuessedValidator));
        }
    }

    #[test]
    fn a_head_follows_a_condition_that_brought_the_body() {
        let known = after(&[(RevalidateBy::GuessedValidator, false)], Door::Client);
        assert_eq!(known.way(Door::Client, false, NOW), Some(RevalidateBy::Head));
        assert_eq!(
            known.way(Door::Client, true, NOW),
            Some(RevalidateBy::ToldValidator),
            "another condition"
        );
        assert_eq!(
            known.way(Door::Legacy, false, NOW),
            Some(RevalidateBy::GuessedValidator),
            "another door"
        );
    }

    #[test]
    fn a_signed_method_is_not_changed() {
        let known = after(&[(RevalidateBy::GuessedValidator, false)], Door::Federation);
        assert_eq!(known.way(Door::Federation, false, NOW), None);
    }

    #[test]
    fn revalidation_is_impossible_if_head_fails_too() {
        let known = after(
            &[(RevalidateBy::GuessedValidator, false), (RevalidateBy::Head, false)],
            Door::Client,
        );
        assert_eq!(known.way(Door::Client, false, NOW), None);
    }

    #[test]
    fn a_failed_way_is_tried_again_later() {
        let known = after(
            &[(RevalidateBy::GuessedValidator, false), (RevalidateBy::Head, false)],
            Door::Client,
        );
        assert_eq!(known.way(Door::Client, false, NOW + RETRY_SECS - 1), None);
        assert_eq!(
            known.way(Door::Client, false, NOW + RETRY_SECS),
            Some(RevalidateBy::GuessedValidator)
        );
        assert_eq!(
            known.way(Door::Client, false, NOW - 1),
            Some(RevalidateBy::GuessedValidator),
            "its clock"
        );
    }

    #[test]
    fn a_way_that_has_worked_may_fail_twice() {
        let works = (RevalidateBy::GuessedValidator, true);
        let fails = (RevalidateBy::GuessedValidator, false);
        let way = |lessons: &[_]| after(lessons, Door::Client).way(Door::Client, false, NOW);
        assert_eq!(way(&[works, fails, fails]), Some(RevalidateBy::GuessedValidator));
        assert_eq!(way(&[works, fails, fails, fails]), Some(RevalidateBy::Head));
        assert_eq!(way(&[fails, works, fails]), Some(RevalidateBy::GuessedValidator));
    }

    #[test]
    fn the_cheapest_working_way_is_known_for_each_door() {
        let (told, guess, head) =
            (RevalidateBy::ToldValidator, RevalidateBy::GuessedValidator, RevalidateBy::Head);
        let learned = |lessons: &[_]| after(lessons, Door::Client).learned(Door::Client);
        assert_eq!(learned(&[]), Learned::Untried);
        assert_eq!(learned(&[(head, true), (guess, true)]), Learned::Works(guess));
        assert_eq!(learned(&[(guess, true), (told, true)]), Learned::Works(told));
        assert_eq!(learned(&[(guess, false), (head, true)]), Learned::Works(head));
        assert_eq!(learned(&[(guess, false)]), Learned::Fails);
        assert_eq!(after(&[(told, true)], Door::Legacy).learned(Door::Client), Learned::Untried);
    }

    #[test]
    fn the_last_lesson_counts() {
        let known = after(
            &[(RevalidateBy::GuessedValidator, false), (RevalidateBy::GuessedValidator, true)],
            Door::Legacy,
        );
        assert!(known.is_known_to_work(Door::Legacy, RevalidateBy::GuessedValidator));
        assert!(!known.is_known_to_work(Door::Client, RevalidateBy::GuessedValidator));
    }

    #[test]
    fn a_head_that_brought_an_error_is_tried_again_later() {
        let mut known = Revalidation::NEW;
        assert!(known.may_ask_by_head(Door::Client, NOW));
        known.learn_head(Door::Client, false, NOW);
        assert!(!known.may_ask_by_head(Door::Client, NOW + RETRY_SECS - 1));
        assert!(known.may_ask_by_head(Door::Client, NOW + RETRY_SECS));
        assert!(known.may_ask_by_head(Door::Legacy, NOW), "another door");
        known.learn_head(Door::Client, true, NOW);
        known.learn_head(Door::Client, false, NOW);
        assert!(known.may_ask_by_head(Door::Client, NOW), "it has worked");
    }

    #[test]
    fn stored_media_is_not_asked_about_by_a_head_that_brought_an_error() {
        let mut known = after(&[(RevalidateBy::GuessedValidator, false)], Door::Client);
        known.learn_head(Door::Client, false, NOW);
        assert_eq!(known.way(Door::Client, false, NOW), None);
        assert_eq!(known.learned(Door::Client), Learned::Fails);
    }
}
