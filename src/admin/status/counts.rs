//! What the counts of an isolate mean.

use super::{Check, Finding};
use crate::cache::storability::NoStoreReason;
use crate::telemetry::counts::Counts;

/// Up to how many revalidations may bring the body before anything is said: the edge finds out by
/// them how this homeserver can be asked.
const MAX_BODIES_TO_LEARN: u64 = 3;

/// Evaluates what an isolate has stored and how what is stored was revalidated.
pub fn evaluate_counts(counts: &Counts, now_unix_secs: u64) -> Vec<Finding> {
    let mut findings = evaluate_not_stored(counts, now_unix_secs);
    findings.push(evaluate_revalidated(counts, now_unix_secs));
    findings
}

/// Returns a finding for each reason that can be fixed; one for all, if there is none.
fn evaluate_not_stored(counts: &Counts, now_unix_secs: u64) -> Vec<Finding> {
    let check = Check::NotStored;
    let age = age(counts, now_unix_secs);
    let found: Vec<_> = counts
        .not_stored
        .iter()
        .filter_map(|(reason, count)| {
            let of = counts.stored + counts.not_stored_in_all();
            let word = reason.as_str();
            let found =
                format!("{count} of {of} answers with media were not cached ({word}){age}.");
            Some(Finding::warning(check, found, cure(*reason)?))
        })
        .collect();
    if !found.is_empty() {
        return found;
    }
    let (stored, others) = (counts.stored, counts.not_stored_in_all());
    let found = match (stored, others) {
        (0, 0) => format!("No media came from the homeserver{age}."),
        (_, 0) => format!("Each of {stored} answers with media was cached{age}."),
        _ => {
            let reasons = counts.not_stored.iter();
            let reasons: Vec<_> =
                reasons.map(|(reason, count)| format!("{} {count}", reason.as_str())).collect();
            let reasons = reasons.join(", ");
            format!("{stored} answers with media were cached, {others} can't be ({reasons}){age}.")
        }
    };
    vec![Finding::ok(check, found)]
}

fn evaluate_revalidated(counts: &Counts, now_unix_secs: u64) -> Finding {
    let check = Check::Revalidations;
    let (without, with) = (counts.revalidated_without_body, counts.revalidated_with_body);
    let age = age(counts, now_unix_secs);
    let found = match (without, with) {
        (0, 0) => format!("The homeserver was not asked about cached media{age}."),
        (_, 0) => format!("Each of {without} revalidations came without the body{age}."),
        _ => format!("{with} of {} revalidations brought the body{age}.", without + with),
    };
    if with > MAX_BODIES_TO_LEARN && with > without {
        Finding::warning(check, found, LET_CONDITIONS_THROUGH)
    } else {
        Finding::ok(check, found)
    }
}

fn age(counts: &Counts, now_unix_secs: u64) -> String {
    let secs = now_unix_secs.saturating_sub(counts.since_unix_secs);
    format!(" in this isolate, which began {secs} s ago")
}

/// What lets the homeserver confirm what is stored by its word alone.
pub const LET_CONDITIONS_THROUGH: &str = "Let If-None-Match and HEAD through whatever stands before \
     the homeserver, or set LEASE_SECONDS, so that cached media is not fetched again for each reader.";

/// Returns how to fix that answers are not stored for this reason; `None` where that is as it should
/// be.
const fn cure(reason: NoStoreReason) -> Option<&'static str> {
    Some(match reason {
        NoStoreReason::NoStore => {
            "Find the proxy before the homeserver that sets Cache-Control: no-store on media, and \
             have it leave that header as the homeserver sends it."
        }
        NoStoreReason::SetCookie => {
            "Find the proxy or load balancer before the homeserver that sets a cookie on media, and \
             exempt /_matrix/ from it."
        }
        NoStoreReason::Vary => {
            "Find the proxy before the homeserver that adds a Vary header to media, and have it leave \
             /_matrix/ alone."
        }
        NoStoreReason::Encoded => {
            "Switch off compression of media in the proxy before the homeserver: the edge asks for \
             none."
        }
        NoStoreReason::NoLength => {
            "Have the proxy before the homeserver pass Content-Length on: it compresses or rewrites \
             media."
        }
        NoStoreReason::NoValidator => LET_CONDITIONS_THROUGH,
        NoStoreReason::NoMark => {
            "See what answers at HOMESERVER_URL: media came without the Content-Disposition that a \
             homeserver sends, or the homeserver is older than v1.12 of the specification."
        }
        NoStoreReason::OtherKind => {
            "See whether a proxy before the homeserver changes the headers of some answers: what came \
             does not fit what is cached."
        }
        NoStoreReason::Page | NoStoreReason::SamePath => {
            "See where the homeserver, or what stands before it, redirects media to: it leads to a \
             page or to another place that wants to be asked for media."
        }
        NoStoreReason::Status
        | NoStoreReason::Partial
        | NoStoreReason::TooLarge
        | NoStoreReason::HeaderTooLong
        | NoStoreReason::NoBody
        | NoStoreReason::Parameter => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::Level;
    use crate::origin::revalidation::Revalidated;

    const NOW: u64 = 1_700_000_000;

    fn counts(reasons: &[NoStoreReason]) -> Counts {
        let mut counts = Counts { since_unix_secs: NOW - 60, stored: 2, ..Counts::default() };
        for reason in reasons {
            counts.add_fetched(Err(*reason));
        }
        counts
    }

    #[test]
    fn a_fixable_reason_is_reported_with_its_count_and_fix() {
        let counts = counts(&[NoStoreReason::SetCookie, NoStoreReason::SetCookie]);
        let [cookie, _] = &evaluate_counts(&counts, NOW)[..] else { panic!("two findings") };
        assert_eq!(cookie.level, Level::Warning);
        assert_eq!(
            cookie.found,
            "2 of 4 answers with media were not cached (set-cookie) in this isolate, which began 60 s \
             ago."
        );
        assert!(cookie.cure.unwrap().contains("cookie"), "{cookie:?}");
    }

    #[test]
    fn each_fixable_reason_has_a_finding() {
        let counts = counts(&[NoStoreReason::NoValidator, NoStoreReason::Encoded]);
        let findings = evaluate_counts(&counts, NOW);
        let of_reasons = findings.iter().filter(|finding| finding.check == Check::NotStored);
        assert_eq!(of_reasons.count(), 2);
    }

    #[test]
    fn an_unfixable_reason_is_no_warning() {
        let counts = counts(&[NoStoreReason::TooLarge, NoStoreReason::NoBody]);
        let [storing, _] = &evaluate_counts(&counts, NOW)[..] else { panic!("two findings") };
        assert_eq!(storing.level, Level::Ok);
        let found = "2 answers with media were cached, 2 can't be (too-large 1, no-body 1)";
        assert!(storing.found.starts_with(found), "{storing:?}");
    }

    #[test]
    fn a_fresh_isolate_reports_no_traffic() {
        let fresh = Counts { since_unix_secs: NOW, ..Counts::default() };
        let found: Vec<_> = evaluate_counts(&fresh, NOW).into_iter().map(|f| f.found).collect();
        assert!(found[0].starts_with("No media came from the homeserver"), "{found:?}");
        assert!(found[1].starts_with("The homeserver was not asked"), "{found:?}");
    }

    #[test]
    fn frequent_bodies_for_cached_media_are_a_warning() {
        let level = |without: u64, with: u64| {
            let mut counts = counts(&[]);
            for _ in 0..without {
                counts.add_revalidated(Revalidated::WithoutBody);
            }
            for _ in 0..with {
                counts.add_revalidated(Revalidated::WithBody);
            }
            evaluate_counts(&counts, NOW).pop().unwrap().level
        };
        assert_eq!(level(0, 3), Level::Ok, "that is how the edge learns");
        assert_eq!(level(0, 4), Level::Warning);
        assert_eq!(level(4, 4), Level::Ok);
        assert_eq!(level(4, 5), Level::Warning);
    }
}
