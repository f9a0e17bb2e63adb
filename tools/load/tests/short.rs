//! A short load, as part of all tests; `make load` is the long one.

use std::time::Duration;

use load::{Plan, run};

#[test]
fn no_answer_is_wrong_under_load_while_tokens_media_and_the_origin_come_and_go() {
    let plan = Plan {
        is_real: false,
        connections: 20,
        duration: Duration::from_secs(12),
        troubles: 2,
        outage: Duration::from_secs(1),
    };
    let report = run(plan);
    println!("{report}");
    assert!(report.wrong().is_empty(), "{:#?}", report.wrong());
    assert!(report.requests() > 200, "hardly any: {}", report.requests());
    assert!(report.excused() > 0, "the origin was never missed");
}
