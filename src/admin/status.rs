//! The status of the edge: live checks, each with what was found and how to fix it.
//!
//! Anyone may see whether a problem was found. What exactly was found is for the admin alone.

mod addresses;
mod causes;
mod checks;
mod counts;
mod numbers;
mod page;
mod plot;
mod probes;
mod view;

pub use causes::{Cause, REACH, cause, unanswered};
pub use checks::{
    LOOPS, NO_CACHE, evaluate_probe, evaluate_quarantine_list, evaluate_redirects, evaluate_tiers,
};
pub use counts::{LET_CONDITIONS_THROUGH, evaluate_counts};
pub use probes::{Answer, MAX_ANSWER_BYTES, PROBE_TIMEOUT_MS, Probe, ProbeResponse, probes};
pub(super) use view::FindingView;
pub use view::StatusView;

use serde::{Deserialize, Serialize};

use self::view::Details;
use super::Viewer;
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
    /// How old the list is that the homeserver has of what it quarantined.
    QuarantineList,
    /// Whether the edge gets the readers' addresses.
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
            Self::QuarantineList => "List of quarantined media",
            Self::ReaderAddress => "Readers' addresses",
            Self::UploadLength => "Length of uploads",
        }
    }
}

/// How a check has come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// As it should be.
    #[serde(rename = "good")]
    Ok,
    /// Maybe not as it should be: the admin knows.
    #[serde(rename = "unsure")]
    Warning,
    /// A problem that the admin must fix.
    #[serde(rename = "bad")]
    Error,
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
}

/// The results of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    is_ok: bool,
    checked_unix_secs: u64,
    checks: Vec<FindingView>,
}

impl Status {
    /// Creates the results of these findings.
    pub fn new(findings: &[Finding], checked_unix_secs: u64) -> Self {
        Self {
            is_ok: is_ok(findings),
            checked_unix_secs,
            checks: findings.iter().map(FindingView::from).collect(),
        }
    }

    /// Returns whether they are too old to be shown again.
    pub fn is_old(&self, now_unix_secs: u64) -> bool {
        now_unix_secs.saturating_sub(self.checked_unix_secs) >= KEPT_SECS
    }

    /// Returns the results as text: version, second, `true` or `false`, and the findings as JSON.
    pub fn to_text(&self) -> String {
        let Self { is_ok, checked_unix_secs, checks } = self;
        format!("{KEPT_VERSION} {checked_unix_secs} {is_ok} {}", json::write(checks))
    }

    /// Parses results that were kept as text; `None` if they are of another version.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.splitn(4, ' ');
        if fields.next() != Some(KEPT_VERSION) {
            return None;
        }
        Some(Self {
            checked_unix_secs: fields.next()?.parse().ok()?,
            is_ok: fields.next()? == "true",
            checks: json::value::<Vec<json::Object<_>>>(fields.next()?)?
                .into_iter()
                .map(|json::Object(finding)| finding)
                .collect(),
        })
    }

    /// Returns what `viewer` may see: everyone whether a problem was found; the admin also what was
    /// found, what this isolate has counted, and what that means.
    pub fn view<'a>(
        &self,
        viewer: Viewer,
        config: &'a Config,
        isolate_days: &'a [Day],
        isolate_counts: &'a Counts,
        now_unix_secs: u64,
    ) -> StatusView<'a> {
        let details = || {
            let counted = evaluate_counts(isolate_counts, now_unix_secs);
            let counted = counted.iter().map(FindingView::from);
            Details {
                version: env!("CARGO_PKG_VERSION"),
                checks: self.checks.iter().cloned().chain(counted).collect(),
                isolate_days,
                isolate_counts,
            }
        };
        StatusView {
            ok: self.is_ok,
            server_name: config.server_name.as_str(),
            checked_unix_secs: self.checked_unix_secs,
            details: (viewer == Viewer::Admin).then(details),
        }
    }
}

/// Returns whether no finding is a problem that the admin must fix.
pub(super) fn is_ok(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn status(findings: &[Finding]) -> Status {
        Status::new(findings, 1_700_000_000)
    }

    #[test]
    fn an_error_makes_the_status_not_ok_and_a_warning_does_not() {
        let ok = Finding::ok(Check::Pop, "It stores.");
        let warning = Finding::warning(Check::Clock, "Who knows.", "Look.");
        let error = Finding::error(Check::Bucket, "It fails.", "Fix it.");
        assert!(status(&[ok.clone(), warning.clone()]).is_ok);
        assert!(!status(&[ok, warning, error]).is_ok);
    }

    #[test]
    fn the_public_sees_no_findings() {
        let status =
            status(&[Finding::error(Check::Homeserver, "It refused 10.0.0.1.", "Fix it.")]);
        let (config, counts) = (config(&[]).unwrap(), Counts::default());
        for viewer in [Viewer::Public, Viewer::WrongToken] {
            assert_eq!(
                status.view(viewer, &config, &[Day::default()], &counts, 60).to_json(),
                r#"{"ok":false,"server_name":"example.com","checked_unix_secs":1700000000}"#
            );
        }
    }

    #[test]
    fn the_admin_sees_all_as_json() {
        let finding = Finding::error(Check::Pop, "It said \"no\".", "Fix it.");
        let day = Day { requests: 3, ..Day::default() };
        let counts = Counts { stored: 7, ..Counts::default() };
        let (status, config) = (status(&[finding]), config(&[]).unwrap());
        let text = status.view(Viewer::Admin, &config, &[day], &counts, 60).to_json();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let check = &json["checks"][0];
        assert_eq!(
            (&check["check"], &check["level"]),
            (&"Data centre's cache".into(), &"bad".into())
        );
        assert_eq!(
            (&check["found"], &check["cure"]),
            (&"It said \"no\".".into(), &"Fix it.".into())
        );
        assert_eq!(json["isolate_days"][0]["requests"], 3);
        assert_eq!(json["isolate_counts"]["stored"], 7);
        assert_eq!(json["checks"][1]["check"], "Answers not stored");
        assert_eq!(json["checks"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn results_expire_after_thirty_seconds_and_survive_the_round_trip() {
        let status = status(&[Finding::ok(Check::Pop, "It stores.")]);
        assert_eq!(Status::parse(&status.to_text()), Some(status.clone()));
        assert_eq!(Status::parse(&status.to_text().replacen('1', "2", 1)), None);
        assert!(!status.is_old(1_700_000_029));
        assert!(status.is_old(1_700_000_030));
    }
}
