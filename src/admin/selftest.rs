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

use crate::admin::status::{Finding, Level};
use crate::config::Config;

/// How long all of it may take, in milliseconds.
pub const MAX_MS: u32 = 15_000;

/// How long each part of it may take, in milliseconds. They run beside each other.
pub const PART_MS: u32 = 12_000;

/// For how long what it stores may be kept, in seconds, where it can't be removed.
pub const KEPT_SECS: u64 = 60;

/// Returns the answer to the admin: the findings, and whether none of them is bad.
pub fn to_json(config: &Config, findings: &[Finding], took_ms: u64) -> String {
    let is_good = findings.iter().all(|finding| finding.level != Level::Error);
    let findings: Vec<_> = findings.iter().map(Finding::to_json).collect();
    format!(
        r#"{{"ok":{is_good},"server_name":"{}","version":"{}","took_ms":{took_ms},"checks":[{}]}}"#,
        config.server_name,
        env!("CARGO_PKG_VERSION"),
        findings.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::Check;
    use crate::config::tests::config;

    #[test]
    fn the_answer_has_each_finding_and_is_ok_unless_one_is_bad() {
        let config = config(&[]).unwrap();
        let unsure = Finding::warning(Check::Schedule, "Never seen.", "Look.");
        let told = |findings: &[Finding]| {
            let text = to_json(&config, findings, 12);
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        };
        let json = told(std::slice::from_ref(&unsure));
        assert_eq!((&json["ok"], &json["took_ms"]), (&true.into(), &12.into()));
        assert_eq!(json["checks"][0]["check"], "Schedule");
        let json = told(&[unsure, Finding::error(Check::Pop, "No.", "Mend it.")]);
        assert_eq!((&json["ok"], &json["checks"][1]["level"]), (&false.into(), &"bad".into()));
    }
}
