//! The status of the edge: live checks, each with what was found and how to fix it.
//!
//! Anyone may see whether a problem was found. What exactly was found is for the admin alone.

mod addresses;
mod causes;
mod checks;
mod counts;
mod probes;

pub use causes::{Cause, REACH, cause, unanswered};
pub use checks::{LOOPS, NO_CACHE, evaluate_probe, evaluate_redirects, evaluate_tiers};
pub use counts::{LET_CONDITIONS_THROUGH, evaluate_counts};
pub use probes::{Answer, MAX_ANSWER_BYTES, PROBE_TIMEOUT_MS, Probe, ProbeResponse, probes};

use crate::config::Config;
use crate::matrix::json;
use crate::matrix::media::Door;
use crate::telemetry::counts::Counts;
use crate::telemetry::daily::Day;

/// How long results are kept, in seconds, so that the page can't be used to hammer the homeserver.
pub const KEPT_SECS: u64 = 30;

/// The most that is read of a kept result, in bytes.
pub const MAX_KEPT_BYTES: usize = 64 * 1024;

/// The version of a kept result.
const KEPT_VERSION: &str = "1";

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The variables.
    Configuration,
    /// Whether the homeserver answers, and how fast.
    Homeserver,
    /// Whether a wall against bots stands before the homeserver.
    BotWall,
    /// Whether the homeserver has authenticated media (MSC3916).
    AuthenticatedMedia,
    /// Whether it refuses media to strangers.
    AnonymousReads,
    /// Whether it redirects media to where that is not followed.
    Redirects,
    /// Whether other servers can read its keys.
    Federation,
    /// Whether clients are told of the media domain.
    WellKnownClient,
    /// Whether servers are told of it.
    WellKnownServer,
    /// Whether the clocks of edge and homeserver agree.
    Clock,
    /// Whether the isolate keeps small bodies.
    Memory,
    /// Whether the data centre's cache stores.
    Pop,
    /// Whether the bucket stores.
    Bucket,
    /// Why media was not stored.
    NotStored,
    /// Whether the homeserver confirms what is stored without sending it again.
    Revalidations,
    /// How it can be asked about stored media at this door.
    Revalidation(Door),
    /// Whether the data centre's cache gives parts of what is stored.
    PopParts,
    /// Whether it removes what is deleted.
    PopDeletes,
    /// Whether the list of purges is read.
    PurgeList,
    /// When the scheduled run was seen last.
    Schedule,
    /// Whether the edge is told where readers come from.
    ReaderAddress,
    /// Whether uploads come with a length.
    UploadLength,
}

impl Check {
    /// Its name, as the page shows it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Configuration => "Configuration",
            Self::Homeserver => "Homeserver",
            Self::BotWall => "Bot protection",
            Self::AuthenticatedMedia => "Authenticated media",
            Self::AnonymousReads => "Anonymous reads",
            Self::Redirects => "Redirects of media",
            Self::Federation => "Federation keys",
            Self::WellKnownClient => "Well-known for clients",
            Self::WellKnownServer => "Well-known for servers",
            Self::Clock => "Clock",
            Self::Memory => "Memory tier",
            Self::Pop => "Data centre's cache",
            Self::Bucket => "Bucket",
            Self::NotStored => "Answers not stored",
            Self::Revalidations => "Revalidations",
            Self::Revalidation(Door::Client) => "Revalidation for clients",
            Self::Revalidation(Door::Legacy) => "Revalidation of legacy media",
            Self::Revalidation(Door::Federation) => "Revalidation for servers",
            Self::Revalidation(Door::Other) => "Revalidation of other requests",
            Self::PopParts => "Parts from the data centre's cache",
            Self::PopDeletes => "Deletes in the data centre's cache",
            Self::PurgeList => "List of purges",
            Self::Schedule => "Schedule",
            Self::ReaderAddress => "Readers' addresses",
            Self::UploadLength => "Length of uploads",
        }
    }
}

/// How a check has come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Maybe not as it should be: the admin knows.
    Warning,
    /// A problem that the admin must fix.
    Error,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "good",
            Self::Warning => "unsure",
            Self::Error => "bad",
        }
    }
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// How it has come out.
    pub level: Level,
    /// What was found, as a sentence.
    pub found: String,
    /// How to fix it; `None` where there is nothing to fix.
    pub cure: Option<&'static str>,
}

impl Finding {
    /// Returns a finding that all is as it should be.
    pub fn ok(check: Check, found: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, found: found.into(), cure: None }
    }

    /// Returns a finding that the admin should check.
    pub fn warning(check: Check, found: impl Into<String>, cure: &'static str) -> Self {
        Self { check, level: Level::Warning, found: found.into(), cure: Some(cure) }
    }

    /// Returns a finding of a problem that the admin must fix.
    pub fn error(check: Check, found: impl Into<String>, cure: &'static str) -> Self {
        Self { check, level: Level::Error, found: found.into(), cure: Some(cure) }
    }

    /// Returns the finding as a JSON object: `check`, `level`, `found` and `cure`, which may be null.
    pub fn to_json(&self) -> String {
        format!(
            r#"{{"check":"{}","level":"{}","found":{},"cure":{}}}"#,
            self.check.title(),
            self.level.as_str(),
            json::quote(&self.found),
            self.cure.map_or_else(|| "null".to_owned(), json::quote),
        )
    }
}

/// The results of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    is_good: bool,
    checked_unix_secs: u64,
    /// The findings, as a JSON array.
    checks: String,
}

impl Status {
    /// The results that these findings make.
    pub fn new(findings: &[Finding], checked_unix_secs: u64) -> Self {
        let checks: Vec<_> = findings.iter().map(Finding::to_json).collect();
        Self {
            is_good: findings.iter().all(|finding| finding.level != Level::Error),
            checked_unix_secs,
            checks: format!("[{}]", checks.join(",")),
        }
    }

    /// Whether they are too old to be shown again.
    pub fn is_old(&self, now_unix_secs: u64) -> bool {
        now_unix_secs.saturating_sub(self.checked_unix_secs) >= KEPT_SECS
    }

    /// The results as text: version, second, `true` or `false`, and the findings.
    pub fn to_text(&self) -> String {
        format!("{KEPT_VERSION} {} {} {}", self.checked_unix_secs, self.is_good, self.checks)
    }

    /// Reads kept results, or says nothing if they are of another version.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.splitn(4, ' ');
        if fields.next() != Some(KEPT_VERSION) {
            return None;
        }
        Some(Self {
            checked_unix_secs: fields.next()?.parse().ok()?,
            is_good: fields.next()? == "true",
            checks: fields.next()?.to_owned(),
        })
    }

    /// What anyone may see, as JSON.
    pub fn public_json(&self, config: &Config) -> String {
        format!(
            r#"{{"ok":{},"server_name":"{}","checked_unix_secs":{}}}"#,
            self.is_good, config.server_name, self.checked_unix_secs
        )
    }

    /// What the admin may see, as JSON: besides the results, what this isolate has counted and what
    /// that means.
    pub fn detailed_json(
        &self,
        config: &Config,
        days: &[Day],
        counts: &Counts,
        now_unix_secs: u64,
    ) -> String {
        let days: Vec<_> = days.iter().map(day_json).collect();
        let kept = self.checks.strip_prefix('[').and_then(|checks| checks.strip_suffix(']'));
        let counted = evaluate_counts(counts, now_unix_secs);
        let counted = counted.iter().map(Finding::to_json);
        let kept = kept.filter(|checks| !checks.is_empty()).map(str::to_owned);
        let checks: Vec<_> = kept.into_iter().chain(counted).collect();
        format!(
            concat!(
                r#"{{"ok":{},"server_name":"{}","checked_unix_secs":{},"version":"{}","#,
                r#""checks":[{}],"isolate_days":[{}],"isolate_counts":{}}}"#
            ),
            self.is_good,
            config.server_name,
            self.checked_unix_secs,
            env!("CARGO_PKG_VERSION"),
            checks.join(","),
            days.join(","),
            counts.to_json(),
        )
    }
}

fn day_json(day: &Day) -> String {
    format!(
        concat!(
            r#"{{"began_unix_secs":{},"requests":{},"from_store":{},"#,
            r#""served_bytes":{},"origin_bytes":{}}}"#
        ),
        day.began_unix_secs, day.requests, day.from_store, day.served_bytes, day.origin_bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn status(findings: &[Finding]) -> Status {
        Status::new(findings, 1_700_000_000)
    }

    #[test]
    fn one_bad_finding_makes_it_red_and_an_unsure_one_does_not() {
        let good = Finding::ok(Check::Pop, "It stores.");
        let unsure = Finding::warning(Check::Clock, "Who knows.", "Look.");
        let bad = Finding::error(Check::Bucket, "It fails.", "Mend it.");
        assert!(status(&[good.clone(), unsure.clone()]).is_good);
        assert!(!status(&[good, unsure, bad]).is_good);
    }

    #[test]
    fn strangers_see_green_or_red_and_nothing_else() {
        let bad = Finding::error(Check::Homeserver, "It refused 10.0.0.1.", "Mend it.");
        let config = config(&[]).unwrap();
        assert_eq!(
            status(&[bad]).public_json(&config),
            r#"{"ok":false,"server_name":"example.com","checked_unix_secs":1700000000}"#
        );
    }

    #[test]
    fn the_admin_sees_all_as_json() {
        let finding = Finding::error(Check::Pop, "It said \"no\".", "Mend it.");
        let day = Day { requests: 3, ..Day::default() };
        let counts = Counts { stored: 7, ..Counts::default() };
        let text = status(&[finding]).detailed_json(&config(&[]).unwrap(), &[day], &counts, 60);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let check = &json["checks"][0];
        assert_eq!(
            (&check["check"], &check["level"]),
            (&"Data centre's cache".into(), &"bad".into())
        );
        assert_eq!(
            (&check["found"], &check["cure"]),
            (&"It said \"no\".".into(), &"Mend it.".into())
        );
        assert_eq!(json["isolate_days"][0]["requests"], 3);
        assert_eq!(json["isolate_counts"]["stored"], 7);
        assert_eq!(json["checks"][1]["check"], "Answers not stored");
        assert_eq!(json["checks"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn results_are_kept_for_their_time_and_survive_the_round_trip() {
        let status = status(&[Finding::ok(Check::Pop, "It stores.")]);
        assert_eq!(Status::parse(&status.to_text()), Some(status.clone()));
        assert_eq!(Status::parse(&status.to_text().replacen('1', "2", 1)), None);
        assert!(!status.is_old(1_700_000_029));
        assert!(status.is_old(1_700_000_030));
    }
}
