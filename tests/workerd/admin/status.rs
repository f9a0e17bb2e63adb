//! The status page and its JSON: who sees what, and how much of it costs the homeserver anything.
//! What is found, and how to fix it, is in `status_checks`.

use std::sync::LazyLock;
use std::thread::{scope, sleep};
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::edge::Layout;
use test_support::http::{Answer, Request};
use test_support::time::{now, wait_for};

use crate::support::origin::{Origin, Reply};
use crate::support::world::{PATIENCE, World, media_domain, same_host, start_edge};

pub(crate) const ADMIN_TOKEN: &str = "0123456789abcdef";
const FORMS: [&str; 3] = ["/", "/_edge/", "/_edge/status"];
const PROBED: [&str; 5] = [
    "/_matrix/client/versions",
    "/_matrix/key/v2/server",
    "/_matrix/client/v1/media/download/example.com/edge-status",
    "/.well-known/matrix/client",
    "/.well-known/matrix/server",
];

/// The words of the details, of which none is for strangers.
const DETAILS: [&str; 5] = ["Homeserver", "HOMESERVER_URL", "checks", "isolate_days", "127.0.0.1"];

fn world() -> &'static World {
    static WORLD: LazyLock<World> =
        LazyLock::new(|| World::start_with(&[("ADMIN_TOKEN", ADMIN_TOKEN)]));
    &WORLD
}

fn get(path: &str) -> Answer {
    media_domain("GET", path).send(&world().edge.address)
}

fn send_form(edge: &str, token: &str) -> Answer {
    let form = media_domain("POST", "/").body(format!("token={token}"));
    form.header("Content-Type", "application/x-www-form-urlencoded").send(edge)
}

#[track_caller]
fn assert_no_details(answer: &Answer) {
    let text = answer.text();
    assert!(text.contains("example.com"), "the server name is for all: {text}");
    for word in DETAILS {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

#[track_caller]
fn assert_details(answer: &Answer) {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    assert!(text.contains("Homeserver") && text.contains("HOMESERVER_URL"), "{text}");
}

#[test]
fn the_public_page_forbids_storing_framing_and_scripts() {
    for path in ["/", "/_edge", "/_edge/"] {
        let answer = get(path);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for directive in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(directive), "{policy}");
        }
        assert!(!policy.contains("script-src"), "{policy}");
        assert!(answer.text().contains(r#"<meta name="robots" content="noindex">"#));
        assert_no_details(&answer);
    }
}

#[test]
fn the_public_json_is_readable_by_any_website() {
    let answer = get("/_edge/status");
    let json = answer.json();
    let members: Vec<_> = json.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["checked_unix_secs", "ok", "server_name"]);
    assert_eq!(json["server_name"], "example.com");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn a_head_request_gets_the_head_alone() {
    for path in FORMS {
        let answer = media_domain("HEAD", path).send(&world().edge.address);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        assert_eq!(answer.header("content-type"), get(path).header("content-type"), "{path}");
    }
}

#[test]
fn the_admin_token_grants_the_details() {
    for path in FORMS {
        let answer = media_domain("GET", path).bearer(ADMIN_TOKEN).send(&world().edge.address);
        assert_details(&answer);
    }
    assert_details(&send_form(&world().edge.address, ADMIN_TOKEN));
}

#[test]
fn another_token_is_refused() {
    for token in ["0123456789abcdeF", "0123456789abcde", "", "%00", "a%2Cb"] {
        let answer = send_form(&world().edge.address, token);
        assert_eq!(answer.status, 403, "{token}");
        assert_no_details(&answer);
    }
    for path in ["/", "/_edge/"] {
        let answer = media_domain("GET", path).bearer("another").send(&world().edge.address);
        assert_eq!(answer.status, 403, "{path}");
        assert_no_details(&answer);
    }
    let json = media_domain("GET", "/_edge/status").bearer("another");
    assert_matrix_error(&json.send(&world().edge.address), 403, "M_FORBIDDEN");
}

#[test]
fn a_malformed_form_is_refused() {
    let long = format!("token={ADMIN_TOKEN}&more={}", "x".repeat(5_000));
    for body in ["", "token", "Token=0123456789abcdef", "\u{0}", &long] {
        let answer = media_domain("POST", "/").body(body).send(&world().edge.address);
        assert_eq!(answer.status, 403, "{body}");
        assert_no_details(&answer);
    }
}

#[test]
fn a_token_in_the_query_grants_no_details() {
    for path in FORMS {
        for query in ["token", "access_token"] {
            let answer = get(&format!("{path}?{query}={ADMIN_TOKEN}"));
            assert_eq!(answer.status, 200, "{path}");
            assert_no_details(&answer);
        }
    }
}

#[test]
fn the_details_are_hidden_without_an_admin_token() {
    let world = World::start();
    let page = media_domain("GET", "/").send(&world.edge.address);
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("<form"), "{}", page.text());
    assert_no_details(&page);
    for token in ["", "undefined", ADMIN_TOKEN] {
        assert_matrix_error(&send_form(&world.edge.address, token), 405, "M_UNRECOGNIZED");
        let answer = media_domain("GET", "/_edge/status").bearer(token).send(&world.edge.address);
        assert_eq!(answer.status, 200, "{token}");
        assert_no_details(&answer);
    }
}

#[test]
fn the_form_is_there_for_those_who_have_not_shown_the_token() {
    assert!(get("/").text().contains(r#"<form method="post""#));
    assert!(send_form(&world().edge.address, "wrong").text().contains("<form"));
    assert!(!send_form(&world().edge.address, ADMIN_TOKEN).text().contains("<form"));
}

#[test]
fn the_status_refuses_other_methods() {
    for method in ["PUT", "DELETE", "PATCH"] {
        for path in FORMS {
            let answer = media_domain(method, path).send(&world().edge.address);
            assert_matrix_error(&answer, 405, "M_UNRECOGNIZED");
        }
    }
    let answer = media_domain("POST", "/_edge/status").bearer(ADMIN_TOKEN).body("");
    assert_matrix_error(&answer.send(&world().edge.address), 405, "M_UNRECOGNIZED");
}

#[test]
fn other_hosts_have_no_status() {
    let world = world();
    for path in FORMS {
        world.origin.reply(path, Reply::new(418).body("theirs"));
        let answer = same_host("GET", path).bearer(ADMIN_TOKEN).send(&world.edge.address);
        assert_eq!(answer.text(), "theirs", "{path}");
    }
}

#[test]
fn a_homeserver_that_is_its_own_media_domain_keeps_its_front_page() {
    let origin = Origin::start();
    origin.reply("/", Reply::new(418).body("theirs"));
    let url = origin.url().replace("http", "https");
    let edge = start_edge(&origin.url(), &[("MEDIA_URL", &url), ("ADMIN_TOKEN", ADMIN_TOKEN)]);
    let at = |path| Request::new("GET", path).header("Host", &origin.address).send(&edge.address);
    assert_eq!(at("/").text(), "theirs");
    assert!(at("/_edge/").text().contains("<form"));
}

#[test]
fn the_details_contain_no_secret() {
    let secrets = [
        ("ADMIN_TOKEN", "admin-secret-0123456789"),
        ("SYNAPSE_ADMIN_TOKEN", "synapse-secret-0123456789"),
        ("ORIGIN_HEADERS", r#"{"X-Tunnel":"tunnel-secret"}"#),
    ];
    let world = World::start_with(&secrets);
    for path in FORMS {
        let answer = media_domain("GET", path).bearer(secrets[0].1).send(&world.edge.address);
        assert_details(&answer);
        assert!(!answer.text().contains("-secret"), "{}", answer.text());
    }
}

/// How often the homeserver was asked each of what is probed.
fn rounds(world: &World) -> [usize; 5] {
    PROBED.map(|path| world.origin.asked(path).len())
}

#[test]
fn many_views_cost_the_homeserver_one_round() {
    let world = World::start_with(&[("ADMIN_TOKEN", ADMIN_TOKEN)]);
    for view in 0..50 {
        let path = FORMS[view % FORMS.len()];
        assert_eq!(media_domain("GET", path).send(&world.edge.address).status, 200);
    }
    assert_eq!(rounds(&world), [1; 5]);
}

#[test]
fn many_views_at_once_cost_a_slow_homeserver_one_round() {
    let world = World::start();
    world.origin.on(PROBED[0], |call| call.wait_for_end());
    scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let answer = media_domain("GET", "/_edge/status").send(&world.edge.address);
                assert_eq!(answer.json()["ok"], false);
            });
        }
    });
    assert_eq!(rounds(&world), [1; 5]);
}

#[test]
fn a_viewer_who_leaves_does_not_keep_others_waiting() {
    let world = World::start();
    world.origin.on(PROBED[0], |call| {
        sleep(Duration::from_millis(1_500));
        call.reply(&Reply::new(200).body("{}"))
    });
    let request = || media_domain("GET", "/_edge/status");
    let leaving = request().open(&world.edge.direct_address).expect("it connects");
    wait_for("the homeserver is asked", PATIENCE, || {
        (!world.origin.asked(PROBED[0]).is_empty()).then_some(())
    });
    leaving.reset();
    let asked = now();
    assert_eq!(request().send(&world.edge.direct_address).status, 200);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(rounds(&world), [1; 5]);
}

#[test]
fn isolates_of_a_data_centre_share_the_results() {
    let world = World::start_two_isolates(&[]);
    for address in [&world.edge.direct_address, &world.edge.neighbor_address] {
        assert_eq!(media_domain("GET", "/").send(address).status, 200);
        world.edge.cache.wait_until_settled();
    }
    assert_eq!(rounds(&world), [1; 5]);
}

#[test]
fn an_isolate_keeps_the_results_without_a_cache() {
    let layout = Layout { is_without_cache: true, ..Layout::default() };
    let world = World::start_as(layout, &[("ADMIN_TOKEN", ADMIN_TOKEN)]);
    for _ in 0..5 {
        let answer = media_domain("GET", "/_edge/status").send(&world.edge.address);
        assert_eq!(answer.json()["ok"], false, "a cache that keeps nothing is a problem");
    }
    assert_eq!(rounds(&world), [1; 5]);
}
