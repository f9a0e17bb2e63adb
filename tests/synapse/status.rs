//! The status page: in front of a real Synapse, and in a real browser.

use serde_json::json;
use test_support::edge::{Edge, Layout};
use test_support::http::Request;
use test_support::process::free_port;
use test_support::script::tell;

use crate::ask::MEDIA_AUTHORITY;
use crate::servers::start_edge;
use crate::world::world;

const ADMIN_TOKEN: &str = "0123456789abcdef";

#[test]
fn all_is_green_before_synapse() {
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
    let told = tell("status.mjs", &[&format!("{media_url}/"), ADMIN_TOKEN]);

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
