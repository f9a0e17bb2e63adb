//! The status page: in front of a real Synapse, and in a real browser.

use matrix_media_edge::admin::Viewer;
use matrix_media_edge::admin::status::Status;
use matrix_media_edge::config::Config;
use matrix_media_edge::telemetry::counts::Counts;
use matrix_media_edge::telemetry::daily::Day;
use serde_json::{Value, json};
use test_support::edge::{Edge, Layout};
use test_support::http::Request;
use test_support::process::free_port;
use test_support::script::tell;

use crate::ask::MEDIA_AUTHORITY;
use crate::servers::start_edge;
use crate::world::world;

const ADMIN_TOKEN: &str = "0123456789abcdef";

#[test]
fn every_check_is_good_before_synapse() {
    // The documents as the world finds them: with what another edge has added.
    let documents = format!("http://{}", world().edge.address);
    let vars = [("WELL_KNOWN_URL", documents.as_str()), ("ADMIN_TOKEN", ADMIN_TOKEN)];
    let edge = start_edge(&world().synapse, &vars);
    let request = Request::new("GET", "/_edge/status").header("Host", MEDIA_AUTHORITY);
    let status = request.bearer(ADMIN_TOKEN).send(&edge.address).json();
    assert_eq!(status["ok"], true, "{status}");
    let checks = status["checks"].as_array().expect("the checks are told");
    assert_eq!(checks.len(), 15, "{status}");
    for finding in checks {
        assert_eq!(finding["level"], "good", "{finding}");
    }
}

/// Returns a page with all that there can be: findings of each level, and days for a plot.
fn full_page() -> String {
    let finding = |number: usize| {
        let level = ["good", "unsure", "bad"][number % 3];
        let cure =
            "Do this and that at https://very-long-host-name.example.com/a/path, then look again.";
        json!({
            "check": format!("Check number {number}"),
            "level": level,
            "found": "It was found to be so, which takes a sentence of some length to say.",
            "cure": if number.is_multiple_of(3) { Value::Null } else { cure.into() },
        })
    };
    let findings = Value::Array((0..12).map(finding).collect());
    let status = Status::parse(&format!("1 1792600000 false {findings}")).expect("kept results");
    let day = |number: u64| Day {
        began_unix_secs: 1_789_948_800 + number * 86_400,
        requests: 1_000 * (number + 1),
        from_store: 800 * number,
        served_bytes: 100_000_000 + 600_000_000 * (number * 7 % 11),
        origin_bytes: 120_000_000 * (number * 5 % 11),
    };
    let days: Vec<_> = (0..30).map(day).collect();
    let config = Config::parse(|name| {
        let value = match name {
            "HOMESERVER_URL" => "https://origin.example.com",
            "SERVER_NAME" => "a-server-with-a-long-name.matrix.example.com",
            "MEDIA_URL" => "https://media.example.com",
            "ADMIN_TOKEN" => ADMIN_TOKEN,
            _ => return None,
        };
        Some(value.to_owned())
    });
    let (config, counts) = (config.expect("good variables"), Counts::default());
    let view = status.view(Viewer::Admin, &config, &days, &counts, 1_792_600_000);
    view.to_page(Viewer::Admin, &config)
}

#[test]
fn the_page_is_readable_for_everyone_and_needs_no_script() {
    let port = free_port();
    let media_url = format!("https://media.example.com:{port}");
    let homeserver = format!("http://{}", world().synapse.address);
    let vars = [
        ("HOMESERVER_URL", homeserver.as_str()),
        ("WELL_KNOWN_URL", &homeserver),
        ("SERVER_NAME", "example.com"),
        ("MEDIA_URL", &media_url),
        ("ADMIN_TOKEN", ADMIN_TOKEN),
    ];
    let _edge = Edge::start_as(Layout { tls_port: Some(port), ..Layout::default() }, &vars);
    let told = tell("status.mjs", &[&format!("{media_url}/"), ADMIN_TOKEN, &full_page()]);

    let views = told["views"].as_object().expect("the views are listed");
    assert_eq!(views.len(), 16, "four pages on four screens");
    for (name, view) in views {
        assert_eq!(view["violations"], json!([]), "{name}");
        assert!(view["passes"].as_u64() > Some(10), "axe looked at nothing: {name}: {view}");
        assert_eq!(view["isTooWide"], false, "{name}");
        let loaded = view["loaded"].as_array().expect("what was loaded is listed");
        assert!(loaded.iter().all(|path| path == "/"), "{name}: {view}");
    }
    let expected = json!({
        "refusal": "That is not the ADMIN_TOKEN of this edge.",
        "heads": ["Checks", "What the edge saved"],
        "hasForm": false,
    });
    assert_eq!(told["form"], expected);
}
