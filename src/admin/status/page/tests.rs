use super::*;
use crate::admin::status::{Check, Finding, Status};
use crate::config::tests::config;
use crate::telemetry::counts::Counts;

const TOKEN: (&str, &str) = ("ADMIN_TOKEN", "0123456789abcdef");

/// 2023-11-14 22:13:20.
const NOW: u64 = 1_700_000_000;

const HOSTILE: &str = r#"</title></style></p>"><script>'x'&lt;{{ 7 * 7 }}<!--"#;
const ESCAPED: &str = "&#60;/title&#62;&#60;/style&#62;&#60;/p&#62;&#34;&#62;&#60;script&#62;\
    &#39;x&#39;&#38;lt;{{ 7 * 7 }}&#60;!--";

/// Elements without an end tag.
const VOID: [&str; 3] = ["!doctype", "meta", "input"];

fn day(number: u64) -> Day {
    Day {
        began_unix_secs: NOW - NOW % 86_400 + number * 86_400,
        requests: 1_000,
        from_store: 250,
        served_bytes: 2_000_000,
        origin_bytes: 500_000,
    }
}

/// The page of a status whose texts are all this one, and which has all that there can be.
fn page_of(text: &'static str) -> String {
    let finding = |level, cure: Option<&'static str>| FindingView {
        check: text.into(),
        level,
        found: text.to_owned(),
        cure: cure.map(Into::into),
    };
    let details = Details {
        version: text,
        checks: vec![finding(Level::Ok, None), finding(Level::Error, Some(text))],
        isolate_days: &[day(0), day(1)],
        isolate_counts: &Counts::default(),
    };
    let status =
        StatusView { ok: false, server_name: text, checked_unix_secs: NOW, details: Some(details) };
    Page::new(&status, Some(Form { is_refused: true })).render().unwrap()
}

/// The page of these findings for a viewer.
fn page(findings: &[Finding], days: &[Day], viewer: Viewer) -> String {
    let (config, counts) = (config(&[TOKEN]).unwrap(), Counts::default());
    let status = Status::new(findings, NOW);
    status.view(viewer, &config, days, &counts, NOW).to_page(viewer, &config)
}

/// Claims that each element ends, and in order. Returns the names of all.
#[track_caller]
fn elements(page: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name = tag.split([' ', '\n']).next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{page}");
        } else {
            all.push(name.to_owned());
            if !VOID.contains(&name) && !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

#[test]
fn every_text_is_on_the_page_in_escaped_form() {
    let (hostile, plain) = (page_of(HOSTILE), page_of("plain"));
    // Title, heading, two checks with what was found, one cure, and the version.
    assert_eq!(plain.matches("plain").count(), 8);
    assert_eq!(hostile.replace(ESCAPED, "plain"), plain);
}

#[test]
fn texts_add_no_elements_to_the_page() {
    let found = elements(&page_of(HOSTILE));
    assert_eq!(found, elements(&page_of("plain")));
    for name in ["script", "iframe", "img", "link", "a"] {
        assert!(!found.contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn stored_results_are_escaped() {
    let finding = serde_json::json!([
        { "check": HOSTILE, "level": "bad", "found": HOSTILE, "cure": HOSTILE }
    ]);
    let status = Status::parse(&format!("1 {NOW} false {finding}")).unwrap();
    let (config, counts) = (config(&[TOKEN]).unwrap(), Counts::default());
    let view = status.view(Viewer::Admin, &config, &[], &counts, NOW);
    let page = view.to_page(Viewer::Admin, &config);
    assert_eq!(page.matches(ESCAPED).count(), 3);
    assert!(!page.contains("<script") && !page.contains("</p>\"") && !page.contains("<!--"));
}

#[test]
fn each_viewer_gets_a_page_whose_elements_end() {
    let findings = [Finding::ok(Check::Pop, "It stores.")];
    for viewer in [Viewer::Admin, Viewer::Public, Viewer::WrongToken] {
        for days in [&[][..], &[day(0)]] {
            elements(&page(&findings, days, viewer));
        }
    }
}

#[test]
fn the_form_is_for_those_who_have_not_shown_the_token() {
    let elements = |viewer| elements(&page(&[], &[], viewer));
    let form = "form".to_owned();
    assert!(elements(Viewer::Public).contains(&form));
    assert!(elements(Viewer::WrongToken).contains(&form));
    assert!(!elements(Viewer::Admin).contains(&form));
}

#[test]
fn the_page_has_no_form_without_an_admin_token() {
    let (config, counts) = (config(&[]).unwrap(), Counts::default());
    let view = Status::new(&[], NOW);
    let view = view.view(Viewer::Public, &config, &[], &counts, NOW);
    assert!(!view.to_page(Viewer::Public, &config).contains("<form"));
}

#[test]
fn a_refused_token_is_reported_beside_its_field() {
    let refused = page(&[], &[], Viewer::WrongToken);
    assert!(
        refused
            .contains(r#"role="alert" id="notice">That is not the ADMIN_TOKEN of this edge.</p>"#)
    );
    assert!(
        refused.contains(r#" required aria-invalid="true" aria-describedby="notice"></label>"#)
    );
    let first = page(&[], &[], Viewer::Public);
    assert!(!first.contains("notice") && first.contains(r#" required></label>"#), "{first}");
}

#[test]
fn the_verdict_is_a_problem_where_one_was_found() {
    let ok = page(&[Finding::warning(Check::Clock, "Who knows.", "Look.")], &[], Viewer::Public);
    assert!(ok.contains("<title>✓ Media of example.com</title>"), "{ok}");
    assert!(ok.contains(r#"<div class="card verdict ok">"#), "{ok}");
    assert!(ok.contains("<strong>No problem found</strong>"), "{ok}");
    let error = page(&[Finding::error(Check::Pop, "No.", "Fix it.")], &[], Viewer::Public);
    assert!(error.contains("<title>! Media of example.com</title>"), "{error}");
    assert!(error.contains(r#"<div class="card verdict error">"#), "{error}");
    assert!(error.contains("<strong>Problem found</strong>"), "{error}");
    assert!(error.contains("Checked 2023-11-14 22:13:20 UTC"), "{error}");
}

#[test]
fn findings_are_sorted_by_severity_and_otherwise_keep_their_order() {
    let findings = [
        Finding::ok(Check::Memory, "First."),
        Finding::warning(Check::Clock, "Second.", "Look."),
        Finding::error(Check::Pop, "Third.", "Fix it."),
        Finding::ok(Check::Bucket, "Fourth."),
    ];
    let page = page(&findings, &[], Viewer::Admin);
    let at = |text| page.find(text).unwrap();
    assert!(at("Third.") < at("Second.") && at("Second.") < at("First."), "{page}");
    assert!(at("First.") < at("Fourth."), "{page}");
    assert!(page.contains(r#"<h3>Clock <b class="small">Check this</b></h3>"#), "{page}");
    assert!(page.contains(r#"<b class="small">Problem</b>"#), "{page}");
}

#[test]
fn savings_are_shown_in_total_and_by_day() {
    let page = page(&[], &[day(0), day(1)], Viewer::Admin);
    assert!(page.contains("from cache</dt><dd>25.0 %</dd>"), "{page}");
    assert!(page.contains("to readers</dt><dd>4.0 MB</dd>"), "{page}");
    assert!(page.contains("from the homeserver</dt><dd>1.0 MB</dd>"), "{page}");
    let row = r#"<th scope="row">2023-11-14</th><td>1000</td><td>25.0 %</td><td>2.0 MB</td><td>500.0 kB</td>"#;
    assert!(page.contains(row), "{page}");
    let bar = r#"<rect class="origin" x="209.0" y="132.5" width="28.0" height="37.5" rx="2"/>"#;
    assert!(page.contains(bar), "{page}");
    assert!(
        page.contains(r#"<text x="496.0" y="192" text-anchor="middle">11-15</text>"#),
        "{page}"
    );
}

#[test]
fn a_fresh_isolate_has_neither_plot_nor_table() {
    let page = page(&[], &[], Viewer::Admin);
    assert!(page.contains("from cache</dt><dd>–</dd>"), "{page}");
    assert!(!page.contains("<svg") && !page.contains("<table"), "{page}");
}
