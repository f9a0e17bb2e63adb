//! What one viewer may see of the status: the JSON is written from it, and the page shows it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Finding, Level};
use crate::matrix::json;
use crate::telemetry::counts::Counts;
use crate::telemetry::daily::Day;

/// The status as one viewer may see it. Its members are those of the JSON, in this order.
#[derive(Debug, Serialize)]
pub struct StatusView<'a> {
    pub(super) ok: bool,
    pub(super) server_name: &'a str,
    pub(super) checked_unix_secs: u64,
    #[serde(flatten)]
    pub(super) details: Option<Details<'a>>,
}

/// What the admin alone may see.
#[derive(Debug, Serialize)]
pub(super) struct Details<'a> {
    pub(super) version: &'a str,
    pub(super) checks: Vec<FindingView>,
    pub(super) isolate_days: &'a [Day],
    pub(super) isolate_counts: &'a Counts,
}

/// A finding as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::admin) struct FindingView {
    pub(super) check: Cow<'static, str>,
    pub(super) level: Level,
    pub(super) found: String,
    pub(super) cure: Option<Cow<'static, str>>,
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        Self {
            check: finding.check.title().into(),
            level: finding.level,
            found: finding.found.clone(),
            cure: finding.cure.map(Cow::from),
        }
    }
}

impl StatusView<'_> {
    /// Returns the JSON of `/_edge/status`.
    pub fn to_json(&self) -> String {
        json::write(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::Check;
    use crate::cache::storability::NoStoreReason;

    #[test]
    fn a_finding_is_json_with_each_member_whether_it_has_a_cure_or_not() {
        let written = |finding: &Finding| json::write(&FindingView::from(finding));
        assert_eq!(
            written(&Finding::ok(Check::Pop, "It stores.")),
            r#"{"check":"Data centre's cache","level":"good","found":"It stores.","cure":null}"#
        );
        assert_eq!(
            written(&Finding::error(Check::Clock, "A \"no\".", "Fix \\ it.")),
            r#"{"check":"Clock","level":"bad","found":"A \"no\".","cure":"Fix \\ it."}"#
        );
    }

    #[test]
    fn the_members_of_the_json_have_an_order() {
        let day = Day { began_unix_secs: 1, requests: 2, from_store: 3, ..Day::default() };
        let mut counts = Counts { since_unix_secs: 4, stored: 5, ..Counts::default() };
        counts.add_fetched(Err(NoStoreReason::SetCookie));
        counts.add_fetched(Err(NoStoreReason::NoStore));
        let details = Details {
            version: "0.1.0",
            checks: vec![(&Finding::warning(Check::Clock, "Who knows.", "Look.")).into()],
            isolate_days: &[day],
            isolate_counts: &counts,
        };
        let view = StatusView {
            ok: true,
            server_name: "example.com",
            checked_unix_secs: 6,
            details: Some(details),
        };
        let expected = concat!(
            r#"{"ok":true,"server_name":"example.com","checked_unix_secs":6,"version":"0.1.0","#,
            r#""checks":[{"check":"Clock","level":"unsure","found":"Who knows.","cure":"Look."}],"#,
            r#""isolate_days":[{"began_unix_secs":1,"requests":2,"from_store":3,"#,
            r#""served_bytes":0,"origin_bytes":0}],"isolate_counts":{"since_unix_secs":4,"stored":5,"#,
            r#""not_stored":{"no-store":1,"set-cookie":1},"revalidated_without_body":0,"#,
            r#""revalidated_with_body":0,"uploads_with_length":0,"uploads_without_length":0}}"#,
        );
        assert_eq!(view.to_json(), expected);
    }
}
