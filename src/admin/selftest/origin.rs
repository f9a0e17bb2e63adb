//! What stands between the edge and the homeserver, and between readers and the edge.

use http::{Method, StatusCode};

use crate::admin::quarantine::LastRun;
use crate::admin::status::{
    Cause, Check, Finding, LET_CONDITIONS_THROUGH, LOOPS, REACH, cause, unanswered,
};
use crate::error::Rejection;
use crate::headers::CONNECTING_IP;
use crate::matrix::media::Door;
use crate::message::RequestHead;
use crate::origin::intermediary::Intermediary;
use crate::origin::revalidation::{Learned, RevalidateBy, Revalidation};
use crate::origin::{OriginAnswer, OriginError};
use crate::telemetry::counts::Counts;

/// After how long the scheduled run is said to be late, in seconds: a day, since the schedule itself
/// is not told to a Worker.
const LATE_SCHEDULE_SECS: u64 = 24 * 60 * 60;

/// Evaluates who answered the question whose token a request without one shows (see
/// [`crate::origin::outage::probe_request`]): a homeserver refuses that with a Matrix error, and no
/// cache answers it.
pub fn evaluate_homeserver(answer: &Result<OriginAnswer, OriginError>, waited_ms: u64) -> Finding {
    let check = Check::Homeserver;
    let coded = |Cause { found, cure }, code: &str| {
        Finding::error(check, format!("{found} ({code})"), cure)
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return coded(unanswered(*error), Rejection::Origin(*error).as_str()),
    };
    if let Some(intermediary) = Intermediary::of(answer, &Method::GET) {
        return coded(cause(intermediary), intermediary.as_str());
    }
    match (answer.head.status, answer.errcode()) {
        (StatusCode::LOOP_DETECTED, _) => {
            Finding::error(check, "HOMESERVER_URL leads back to the edge.", LOOPS)
        }
        (status, Some(_)) if status.is_server_error() => {
            let found = format!("It answers with an error of its own, {}.", status.as_u16());
            Finding::error(check, found, "See the homeserver's log.")
        }
        (_, Some(_)) => {
            Finding::ok(check, format!("It answers by its own word, in {waited_ms} ms."))
        }
        (status, None) => {
            let status = status.as_u16();
            let found =
                format!("Something in its place accepts a request without a token ({status}).");
            Finding::error(check, found, REACH)
        }
    }
}

/// Evaluates how stored media can be revalidated at each door, as this isolate has learned so far.
pub fn evaluate_revalidation(known: &Revalidation) -> Vec<Finding> {
    [Door::Client, Door::Legacy, Door::Federation]
        .map(|door| {
            let check = Check::Revalidation(door);
            match known.learned(door) {
                Learned::Untried => Finding::ok(check, "Nothing was asked yet in this isolate."),
                Learned::Works(RevalidateBy::ToldValidator) => {
                    Finding::ok(check, "By the tag that the homeserver tells: a 304 was seen.")
                }
                Learned::Works(RevalidateBy::GuessedValidator) => Finding::ok(
                    check,
                    "By a guessed tag, since none arrives with the media: a 304 was seen.",
                ),
                Learned::Works(RevalidateBy::Head) => Finding::warning(
                    check,
                    "By HEAD: no condition was answered by a 304.",
                    LET_CONDITIONS_THROUGH,
                ),
                Learned::Fails => Finding::warning(
                    check,
                    "No way was found: what is cached was sent again.",
                    LET_CONDITIONS_THROUGH,
                ),
            }
        })
        .into()
}

/// Evaluates whether the platform sends the reader's address.
pub fn evaluate_reader_address(head: &RequestHead) -> Finding {
    let check = Check::ReaderAddress;
    if head.headers.contains_key(CONNECTING_IP) {
        Finding::ok(check, "They come with each request, and go on to the homeserver.")
    } else {
        Finding::warning(
            check,
            "This request came without CF-Connecting-IP.",
            "Switch off the managed transform that removes visitors' addresses, or the homeserver's \
             rate limits count all readers as one.",
        )
    }
}

/// Evaluates how the uploads came that this isolate has seen.
pub fn evaluate_uploads(counts: &Counts) -> Finding {
    let check = Check::UploadLength;
    let (with, without) = (counts.uploads_with_length, counts.uploads_without_length);
    match (with, without) {
        (0, 0) => Finding::ok(check, "No upload came to this isolate yet."),
        (_, 0) => Finding::ok(check, format!("All of {with} in this isolate came with one.")),
        _ => Finding::warning(
            check,
            format!("{without} of {} in this isolate came without one.", with + without),
            "Run the check from outside, whose upload has a length: if that comes without one too, \
             something before the Worker takes the length away, and Synapse refuses all uploads; if \
             not, a client sent none.",
        ),
    }
}

/// Evaluates when the scheduled run was seen last. `last` is `None` where it was never seen.
pub fn evaluate_schedule(is_wanted: bool, last: Option<LastRun>, now_unix_secs: u64) -> Finding {
    let check = Check::Schedule;
    if !is_wanted {
        return Finding::ok(check, "None is needed: SYNAPSE_ADMIN_TOKEN is not set.");
    }
    let Some(LastRun { at_unix_secs, is_done }) = last else {
        return Finding::warning(
            check,
            "It was never seen to run.",
            "See that wrangler.toml has crons under [triggers] and that MEDIA_BUCKET is bound, deploy, \
             and look again after the next run.",
        );
    };
    let secs = now_unix_secs.saturating_sub(at_unix_secs);
    if !is_done {
        return Finding::error(
            check,
            format!("It ran {secs} s ago, and failed."),
            "See in the Worker's log what it said: SYNAPSE_ADMIN_TOKEN must be an admin's, and \
             /_synapse/admin reachable at HOMESERVER_URL.",
        );
    }
    let found = format!("It ran {secs} s ago.");
    if secs > LATE_SCHEDULE_SECS {
        let cure = "See that wrangler.toml still has crons under [triggers], and deploy.";
        Finding::warning(check, found, cure)
    } else {
        Finding::ok(check, found)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::admin::status::Level;
    use crate::message::target::Target;
    use crate::origin::OriginHead;
    use crate::origin::revalidation::Lesson;

    const NOW: u64 = 1_700_000_000;
    const REFUSAL: &str = r#"{"errcode":"M_MISSING_TOKEN","error":"Missing access token"}"#;

    fn answer(
        status: u16,
        fields: &[(&'static str, &'static str)],
        text: Option<&str>,
    ) -> Result<OriginAnswer, OriginError> {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let head =
            OriginHead { status: StatusCode::from_u16(status).unwrap(), headers: fields.collect() };
        Ok(OriginAnswer { head, text: text.map(str::to_owned) })
    }

    #[test]
    fn a_matrix_refusal_shows_that_the_homeserver_answers() {
        let finding = evaluate_homeserver(&answer(401, &[], Some(REFUSAL)), 12);
        assert_eq!(
            finding,
            Finding::ok(Check::Homeserver, "It answers by its own word, in 12 ms.")
        );
    }

    #[test]
    fn a_failed_check_of_the_homeserver_is_an_error_with_its_code() {
        for (answer, code) in [
            (answer(403, &[], None), "blocked"),
            (answer(403, &[("cf-mitigated", "challenge")], None), "challenged"),
            (answer(429, &[], None), "rate-limited"),
            (answer(522, &[], None), "origin-522"),
            (answer(200, &[("content-type", "text/html")], None), "page"),
            (Err(OriginError::TimedOut), "origin-timed-out"),
            (Err(OriginError::Unreachable), "origin-unreachable"),
        ] {
            let finding = evaluate_homeserver(&answer, 1);
            assert_eq!(finding.level, Level::Error, "{code}");
            assert!(finding.found.ends_with(&format!("({code})")), "{finding:?}");
        }
    }

    #[test]
    fn an_implausible_answer_is_not_the_homeservers() {
        assert_eq!(evaluate_homeserver(&answer(200, &[], Some("{}")), 1).level, Level::Error);
        assert_eq!(evaluate_homeserver(&answer(500, &[], Some(REFUSAL)), 1).level, Level::Error);
        let looped = evaluate_homeserver(&answer(508, &[], Some(REFUSAL)), 1);
        assert_eq!(looped.cure, Some(LOOPS));
    }

    fn revalidation(lessons: &[(RevalidateBy, bool)]) -> Finding {
        let mut known = Revalidation::NEW;
        for &(by, works) in lessons {
            known.learn(Lesson { door: Door::Client, by, works }, NOW);
        }
        evaluate_revalidation(&known).remove(0)
    }

    #[test]
    fn revalidation_is_reported_by_door() {
        let untried = evaluate_revalidation(&Revalidation::NEW);
        assert_eq!(untried.len(), 3);
        assert!(untried.iter().all(|finding| finding.level == Level::Ok), "{untried:?}");
        for (lessons, level, found) in [
            (&[(RevalidateBy::ToldValidator, true)][..], Level::Ok, "By the tag that"),
            (&[(RevalidateBy::GuessedValidator, true)], Level::Ok, "By a guessed tag"),
            (
                &[(RevalidateBy::GuessedValidator, false), (RevalidateBy::Head, true)],
                Level::Warning,
                "By HEAD",
            ),
            (&[(RevalidateBy::GuessedValidator, false)], Level::Warning, "No way was found"),
        ] {
            let finding = revalidation(lessons);
            assert_eq!(finding.check, Check::Revalidation(Door::Client));
            assert!(finding.level == level && finding.found.starts_with(found), "{finding:?}");
        }
    }

    #[test]
    fn a_missing_reader_address_is_a_warning() {
        let head = |headers| RequestHead {
            method: Method::POST,
            scheme: "https".to_owned(),
            authority: "media.example.com".to_owned(),
            target: Target::new("/_edge/selftest"),
            headers,
        };
        assert_eq!(evaluate_reader_address(&head(HeaderMap::new())).level, Level::Warning);
        let told = HeaderMap::from_iter([(CONNECTING_IP, HeaderValue::from_static("192.0.2.1"))]);
        let finding = evaluate_reader_address(&head(told));
        assert_eq!(finding.level, Level::Ok);
        assert!(!finding.found.contains("192.0.2.1"));
    }

    #[test]
    fn uploads_without_a_length_are_a_warning() {
        let evaluated = |uploads_with_length, uploads_without_length| {
            let counts =
                Counts { uploads_with_length, uploads_without_length, ..Counts::default() };
            evaluate_uploads(&counts)
        };
        assert_eq!(evaluated(0, 0).found, "No upload came to this isolate yet.");
        assert_eq!(evaluated(2, 0).level, Level::Ok);
        let finding = evaluated(2, 1);
        assert_eq!(
            (finding.level, &*finding.found),
            (Level::Warning, "1 of 3 in this isolate came without one.")
        );
    }

    #[test]
    fn a_schedule_that_never_ran_failed_or_is_late_is_reported() {
        let ran = |secs, is_done| Some(LastRun { at_unix_secs: NOW - secs, is_done });
        for (is_wanted, last, level) in [
            (false, None, Level::Ok),
            (true, None, Level::Warning),
            (true, ran(60, true), Level::Ok),
            (true, ran(60, false), Level::Error),
            (true, ran(LATE_SCHEDULE_SECS, true), Level::Ok),
            (true, ran(LATE_SCHEDULE_SECS + 1, true), Level::Warning),
        ] {
            assert_eq!(evaluate_schedule(is_wanted, last, NOW).level, level, "{last:?}");
        }
        assert_eq!(evaluate_schedule(true, None, NOW).found, "It was never seen to run.");
    }
}
