//! The status: whatever the homeserver answers, what is told is JSON, and no stranger learns of it.
//! Whatever is kept, the page has no script.

use http::StatusCode;
use http::header::HeaderName;
use matrix_media_edge::admin::Viewer;
use matrix_media_edge::admin::status::{
    Level, Probe, ProbeResponse, Status, evaluate_counts, evaluate_probe,
};
use matrix_media_edge::matrix::well_known::Document;
use matrix_media_edge::origin::{OriginError, OriginHead};
use matrix_media_edge::telemetry::counts::Counts;
use serde_json::Value;

use crate::input::{CONFIG, headers, is_plain, texts};

const NOW: u64 = 1_700_000_000;

const PROBES: [Probe; 5] = [
    Probe::Versions,
    Probe::Keys,
    Probe::Media,
    Probe::WellKnown(Document::Client),
    Probe::WellKnown(Document::Server),
];

/// The input's lines: the status, the homeserver's time in seconds, what stands in `cf-mitigated`,
/// and the body.
pub(crate) fn target(input: &[u8]) {
    let Some([status, date, mitigated, body]) = texts(input) else { return };
    let challenge = HeaderName::from_static("cf-mitigated");
    let answer = StatusCode::from_bytes(status.as_bytes()).map_err(|_| OriginError::TimedOut).map(
        |status| ProbeResponse {
            head: OriginHead { status, headers: headers(&[(challenge, mitigated.as_bytes())]) },
            is_for_browsers: date.is_empty(),
            body: body.to_owned(),
            waited_ms: 12,
            date_unix_secs: date.parse().ok(),
        },
    );
    let evaluate = |probe: &Probe| evaluate_probe(*probe, &answer, &CONFIG, NOW);
    let findings: Vec<_> = PROBES.iter().flat_map(evaluate).collect();
    for finding in &findings {
        assert_eq!(finding.level == Level::Ok, finding.cure.is_none(), "{finding:?}");
        let is_sentence = is_plain(&finding.found) && finding.found.len() < 80;
        assert!(is_sentence && !finding.found.contains(['"', '<', '{', '=']), "{finding:?}");
    }
    let status = Status::new(&findings, NOW);
    assert_eq!(Status::parse(&status.to_text()).as_ref(), Some(&status));
    let counts = Counts::default();
    let view = |status: &Status, viewer| status.view(viewer, &CONFIG, &[], &counts, NOW).to_json();
    let detailed: Value =
        serde_json::from_str(&view(&status, Viewer::Admin)).expect("JSON for the admin");
    let told = detailed["checks"].as_array().expect("checks");
    let counted = evaluate_counts(&counts, NOW);
    let findings_told = findings.iter().chain(&counted).map(|finding| &finding.found);
    assert!(told.iter().map(|check| &check["found"]).eq(findings_told));
    let public: Value = serde_json::from_str(&view(&status, Viewer::Public)).expect("JSON for all");
    let is_bad = findings.iter().any(|finding| finding.level == Level::Error);
    assert_eq!(
        (&public["ok"], public.as_object().map(|all| all.len())),
        (&(!is_bad).into(), Some(3))
    );

    if let Some(kept) = Status::parse(body) {
        let page =
            kept.view(Viewer::Admin, &CONFIG, &[], &counts, NOW).to_page(Viewer::Admin, &CONFIG);
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(Status::parse(&kept.to_text()), Some(kept), "it is read back");
    }
}
