//! A short load, as part of all tests; `make load` is the long one.

use std::time::Duration;

use load::{Plan, run};

#[test]
fn no_answer_is_wrong_under_load_while_tokens_media_and_the_origin_come_and_go() {
    let plan = Plan {
        is_real: false,
        is_limited: false,
        connections: 21,
        duration: Duration::from_secs(12),
        troubles: 2,
        outage: Duration::from_secs(1),
        background: Duration::from_secs(1),
        replacement: Duration::from_secs(2),
        look: Duration::from_millis(500),
    };
    let report = run(plan).expect("no limit was asked for");
    println!("{report}");
    assert!(report.wrong().is_empty(), "{:#?}", report.wrong());
    assert!(report.requests() > 200, "hardly any: {}", report.requests());
    assert!(report.excused() > 0, "the origin was never missed");
    let (before_answer, in_body) = report.left();
    assert!(before_answer > 20 && in_body > 20, "hardly any left: {before_answer}, {in_body}");
    assert!(report.replaced() > 0, "no isolate was replaced");
    assert!(report.looks().iter().all(|looks| *looks >= 3), "{:?}", report.looks());
    assert!(report.is_bounded(), "{report}");
}
