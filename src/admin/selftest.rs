//! The self-test, which the admin runs after a deployment: what the network lets the edge do, and
//! what this isolate has seen so far.
//!
//! Unlike the status it writes a body of some size and takes it away again, so it is never run by
//! looking at a page. What the shell has seen is evaluated here.

mod origin;
mod stores;

pub use origin::{
    evaluate_homeserver, evaluate_reader_address, evaluate_revalidation, evaluate_schedule,
    evaluate_uploads,
};
pub use stores::{
    BODY_BYTES, BucketRun, BucketStep, DELETE_PAUSES_MS, MARK, PUT_PAUSES_MS, PopRun, Removal,
    evaluate_bucket, evaluate_no_bucket, evaluate_pop, evaluate_purge_list,
};

use serde::Serialize;

use crate::admin::status::{self, Finding, FindingView};
use crate::config::Config;
use crate::matrix::json;

/// How long all of it may take, in milliseconds.
pub const MAX_MS: u32 = 15_000;

/// How long each part of it may take, in milliseconds. They run beside each other.
pub const PART_TIMEOUT_MS: u32 = 12_000;

/// For how long what it stores may be kept, in seconds, where it can't be removed.
pub const KEPT_SECS: u64 = 60;

/// The answer to the admin. Its members are those of the JSON, in this order.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    server_name: &'a str,
    version: &'a str,
    took_ms: u64,
    checks: Vec<FindingView>,
}

/// Returns the answer to the admin: the findings, and whether none of them is a problem to fix.
pub fn to_json(config: &Config, findings: &[Finding], took_ms: u64) -> String {
    json::write(&Report {
        ok: status::is_ok(findings),
        server_name: config.server_name.as_str(),
        version: env!("CARGO_PKG_VERSION"),
        took_ms,
        checks: findings.iter().map(FindingView::from).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::Check;
    use crate::config::tests::config;

    #[test]
    fn the_answer_has_each_finding_and_is_ok_unless_one_is_bad() {
        let config = config(&[]).unwrap();
        let warning = Finding::warning(Check::Schedule, "Never seen.", "Look.");
        assert_eq!(
            to_json(&config, std::slice::from_ref(&warning), 12),
            concat!(
                r#"{"ok":true,"server_name":"example.com","version":""#,
                env!("CARGO_PKG_VERSION"),
                r#"","took_ms":12,"checks":[{"check":"Schedule","level":"unsure","#,
                r#""found":"Never seen.","cure":"Look."}]}"#,
            )
        );
        let told = |findings: &[Finding]| {
            let text = to_json(&config, findings, 12);
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        };
        let json = told(std::slice::from_ref(&warning));
        assert_eq!((&json["ok"], &json["took_ms"]), (&true.into(), &12.into()));
        assert_eq!(json["checks"][0]["check"], "Schedule");
        let json = told(&[warning, Finding::error(Check::Pop, "No.", "Fix it.")]);
        assert_eq!((&json["ok"], &json["checks"][1]["level"]), (&false.into(), &"bad".into()));
    }
}
