//! What the status checks: each problem is found, and told with its fix.

use std::cell::Cell;
use std::process::Command;

use serde_json::{Value, json};
use test_support::edge::{BucketKind, Layout};
use test_support::http::Request;
use test_support::profile::Profile;

use crate::admin::status::ADMIN_TOKEN;
use crate::support::origin::{Reply, SERVER_NAME};
use crate::support::world::{MEDIA_HOST, World, media_domain, start_edge};

const VERSIONS: &str = "/_matrix/client/versions";
const KEYS: &str = "/_matrix/key/v2/server";
const MEDIA: &str = "/_matrix/client/v1/media/download/example.com/edge-status";
const CLIENT: &str = "/.well-known/matrix/client";
const SERVER: &str = "/.well-known/matrix/server";

/// A homeserver of which the status is asked once at each of several data centres: what one has
/// found it keeps.
struct Examined {
    world: World,
    next_pop: Cell<usize>,
}

impl Examined {
    fn start(times: usize) -> Self {
        let layout = Layout { pops: times, ..Layout::default() };
        let world = World::start_as(layout, &[("ADMIN_TOKEN", ADMIN_TOKEN)]);
        let examined = Self { world, next_pop: Cell::new(0) };
        examined.heal();
        examined
    }

    /// The media domain where the status is asked next.
    fn host(&self) -> String {
        format!("pop{}.{MEDIA_HOST}", self.next_pop.get())
    }

    /// Makes all as it should be for that one.
    fn heal(&self) {
        self.reply(VERSIONS, versions(&["v1.1", "v1.11"], "now"));
        self.reply(KEYS, Reply::json(200, &json!({ "server_name": SERVER_NAME })));
        self.reply(CLIENT, self.client_document());
        self.reply(SERVER, announcing("m.server", &json!(format!("{}:443", self.host()))));
        self.world.origin.on(MEDIA, |call| call.reply_by_default());
    }

    fn client_document(&self) -> Reply {
        let base_url = json!({ "base_url": format!("https://{}", self.host()) });
        announcing("m.homeserver", &base_url).header("Access-Control-Allow-Origin", "*")
    }

    fn reply(&self, path: &str, reply: Reply) {
        self.world.origin.reply(path, reply);
    }

    /// The status, asked where nobody has asked before; afterwards all is as it should be.
    fn examine(&self) -> Value {
        let pop = self.next_pop.get();
        let request = Request::new("GET", "/_edge/status").header("Host", self.host());
        let answer = request.bearer(ADMIN_TOKEN).send(&self.world.edge.pop_addresses[pop]);
        self.next_pop.set(pop + 1);
        self.heal();
        answer.json()
    }

    /// Claims what is found once `path` answers so.
    #[track_caller]
    fn assert_found(&self, path: &str, reply: Reply, expected: [&str; 4]) {
        self.reply(path, reply);
        assert_finding(&self.examine(), expected);
    }
}

fn announcing(member: &str, media_server: &Value) -> Reply {
    Reply::json(
        200,
        &json!({
            (member): "theirs",
            "m.media_server": media_server,
            "com.beeper.msc3859.m.media_server": media_server,
        }),
    )
}

fn versions(versions: &[&str], date: &str) -> Reply {
    let format = "+%a, %d %b %Y %H:%M:%S GMT";
    let output = Command::new("date").env("LC_ALL", "C").args(["-u", "-d", date, format]).output();
    let date = output.expect("date can be started").stdout;
    Reply::json(200, &json!({ "versions": versions })).header("Date", date.trim_ascii())
}

/// Claims a finding: its check, level, what was found, and the beginning of its cure.
#[track_caller]
fn assert_finding(status: &Value, [check, level, found, cure]: [&str; 4]) {
    let checks = status["checks"].as_array().expect("the checks are told");
    let finding = checks.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check}: {status}"));
    assert_eq!((&finding["level"], &finding["found"]), (&json!(level), &json!(found)));
    let told = finding["cure"].as_str().unwrap_or_default();
    assert!(!cure.is_empty() && told.starts_with(cure), "{finding}");
    assert_eq!(status["ok"], json!(level != "bad"), "{status}");
}

#[test]
fn every_check_is_good_before_a_correct_homeserver() {
    let status = Examined::start(1).examine();
    for finding in status["checks"].as_array().expect("the checks are told") {
        assert_eq!((&finding["level"], &finding["cure"]), (&json!("good"), &Value::Null));
    }
    assert_eq!(status["ok"], true);
    assert_eq!(status["checks"].as_array().map(Vec::len), Some(15), "{status}");
}

#[test]
fn a_homeserver_that_answers_nonsense_is_found() {
    let examined = Examined::start(5);
    let found = |reply, what| {
        let cure = "See that HOMESERVER_URL is right";
        examined.assert_found(VERSIONS, reply, ["Homeserver", "bad", what, cure]);
    };
    found(Reply::new(200).body("<html>"), "The answer is not a JSON object.");
    found(Reply::new(200).body([0xff, 0xfe, 0]), "The answer is not a JSON object.");
    found(Reply::new(502).body("{}"), "A proxy answered 502 in the homeserver's place.");
    found(Reply::error(502, "M_UNKNOWN", "No"), "The answer was 502.");
    let huge = format!("{{\"versions\":[],\"more\":\"{}\"}}", "x".repeat(10_000_000));
    found(Reply::new(200).body(huge).chunked(), "The answer is not a JSON object.");
}

#[test]
fn a_homeserver_that_is_gone_or_silent_is_found() {
    let examined = Examined::start(3);
    let silent = "There was no answer in time.";
    let cure = "See that HOMESERVER_URL is right";
    examined.world.origin.on(VERSIONS, |call| call.wait_for_end());
    assert_finding(&examined.examine(), ["Homeserver", "bad", silent, cure]);
    examined.world.origin.on(VERSIONS, |call| {
        call.send(Reply::new(200).head_bytes(100))?;
        call.wait_for_end()
    });
    assert_finding(&examined.examine(), ["Homeserver", "bad", silent, cure]);
    examined.world.origin.stop();
    let status = examined.examine();
    let (found, cure) = match Profile::current() {
        Profile::Plain => ("It could not be reached.", cure),
        Profile::Cloudflare => (
            "Cloudflare answered 521 in the homeserver's place: the connection was refused.",
            "See that the homeserver's web server runs",
        ),
    };
    assert_finding(&status, ["Homeserver", "bad", found, cure]);
}

#[test]
fn a_homeserver_that_is_the_edge_itself_is_found() {
    let behind = World::start();
    let url = format!("http://{}", behind.edge.address);
    let edge = start_edge(&url, &[("ADMIN_TOKEN", ADMIN_TOKEN)]);
    let request = media_domain("GET", "/_edge/status").bearer(ADMIN_TOKEN);
    let status = request.send(&edge.address).json();
    let found = "HOMESERVER_URL leads back to the edge.";
    assert_finding(&status, ["Homeserver", "bad", found, "HOMESERVER_URL must be the address"]);
}

#[test]
fn a_bot_wall_is_found() {
    let examined = Examined::start(2);
    let wall = || Reply::new(403).header("cf-mitigated", "challenge").body("<html>");
    let cure = "Let the edge bypass the protection";
    let found = "The edge's own requests are challenged.";
    examined.assert_found(VERSIONS, wall(), ["Bot protection", "bad", found, cure]);
    let found = "Requests for the server's keys are challenged.";
    examined.assert_found(KEYS, wall(), ["Federation keys", "bad", found, cure]);
}

#[test]
fn missing_keys_are_found() {
    let examined = Examined::start(2);
    let found = "The homeserver has no keys at HOMESERVER_URL.";
    let expected = ["Federation keys", "unsure", found, "Right if it doesn't federate"];
    examined.assert_found(KEYS, Reply::error(404, "M_UNRECOGNIZED", "No"), expected);
    let found = "A proxy answered 503 in the homeserver's place.";
    let expected = ["Federation keys", "bad", found, "See that HOMESERVER_URL"];
    examined.assert_found(KEYS, Reply::new(503), expected);
}

#[test]
fn a_homeserver_without_authenticated_media_is_found() {
    let examined = Examined::start(3);
    let found = "The homeserver doesn't announce it.";
    let expected = ["Authenticated media", "bad", found, "Upgrade the homeserver"];
    examined.assert_found(VERSIONS, versions(&["r0.6.1", "v1.10"], "now"), expected);
    let found = "Media that doesn't exist was served to a stranger.";
    let expected = ["Anonymous reads", "bad", found, "Something before the homeserver"];
    examined.assert_found(MEDIA, Reply::new(200).body("<html>"), expected);
    let found = "It says 404 and doesn't ask for a token.";
    let expected = ["Anonymous reads", "unsure", found, "Upgrade the homeserver"];
    examined.assert_found(MEDIA, Reply::error(404, "M_NOT_FOUND", "No"), expected);
}

#[test]
fn clocks_that_disagree_are_found() {
    let examined = Examined::start(2);
    for date in ["1 hour ago", "1 hour"] {
        examined.reply(VERSIONS, versions(&["v1.11"], date));
        let status = examined.examine();
        let checks = status["checks"].as_array().expect("the checks are told");
        let clock = checks.iter().find(|finding| finding["check"] == "Clock").expect("a clock");
        let found = clock["found"].as_str().unwrap_or_default();
        let skew = found.split(' ').find_map(|word| word.parse::<u64>().ok());
        assert!(skew.is_some_and(|skew| (3_590..=3_610).contains(&skew)), "{clock}");
        assert!(clock["cure"].as_str().is_some_and(|cure| cure.contains("NTP")), "{clock}");
        assert_eq!((&clock["level"], &status["ok"]), (&json!("bad"), &json!(false)));
    }
}

#[test]
fn a_document_that_breaks_clients_is_found() {
    let examined = Examined::start(3);
    let check = "Well-known for clients";
    let cure = "Clients take this for a failure of login";
    let found = "The answer is not a JSON object.";
    examined.assert_found(CLIENT, Reply::new(200).body("<html>"), [check, "bad", found, cure]);
    let found = "A proxy answered 500 in the homeserver's place.";
    let expected = [check, "bad", found, cure];
    examined.assert_found(CLIENT, Reply::new(500), expected);
    let found = "Web clients are not allowed to read it.";
    let without_cors = examined.client_document().without("Access-Control-Allow-Origin");
    let expected = [check, "bad", found, "Send Access-Control-Allow-Origin: *"];
    examined.assert_found(CLIENT, without_cors, expected);
}

#[test]
fn a_document_that_does_not_name_the_edge_is_found() {
    let examined = Examined::start(4);
    let cors = |reply: Reply| reply.header("Access-Control-Allow-Origin", "*");
    let field = "Route the host's /.well-known/matrix/* to this Worker";
    let other = "It names another media server.";
    let cases = [
        (CLIENT, Reply::new(404), "There is no document.", field),
        (CLIENT, cors(Reply::json(200, &json!({}))), "It names no media server.", field),
        (
            CLIENT,
            cors(announcing("m.homeserver", &json!({ "base_url": "https://other.example.com" }))),
            other,
            "Remove the field",
        ),
        (SERVER, announcing("m.server", &json!("other.example.com")), other, "Remove the field"),
    ];
    for (path, reply, found, cure) in cases {
        let audience = if path == CLIENT { "clients" } else { "servers" };
        let check = format!("Well-known for {audience}");
        examined.assert_found(path, reply, [&check, "unsure", found, cure]);
    }
}

#[test]
fn documents_are_found_over_redirects_as_browsers_follow_them() {
    const ELSEWHERE: &str = "/elsewhere";
    let examined = Examined::start(3);
    let check = "Well-known for clients";
    let redirect = || Reply::new(302).header("Location", ELSEWHERE);
    let with_cors = || redirect().header("Access-Control-Allow-Origin", "*");

    examined.reply(ELSEWHERE, examined.client_document());
    examined.reply(CLIENT, with_cors());
    assert_eq!(examined.examine()["ok"], true);

    examined.reply(ELSEWHERE, examined.client_document());
    let found = "Web clients are not allowed to read it.";
    let expected = [check, "bad", found, "Send Access-Control-Allow-Origin: *"];
    examined.assert_found(CLIENT, redirect(), expected);

    examined.reply(ELSEWHERE, with_cors());
    let cure = "Clients take this for a failure of login";
    examined.assert_found(CLIENT, with_cors(), [check, "bad", "The answer was 302.", cure]);
    assert!(examined.world.origin.asked(ELSEWHERE).len() < 10, "redirects are followed for ever");
}

#[test]
fn secrets_for_the_homeserver_do_not_follow_redirects() {
    let vars = [("ORIGIN_HEADERS", r#"{"X-Tunnel":"secret"}"#)];
    let world = World::start_with(&vars);
    for path in [VERSIONS, KEYS, MEDIA] {
        world.origin.reply(path, Reply::new(302).header("Location", "/elsewhere"));
    }
    media_domain("GET", "/").send(&world.edge.address);
    assert_eq!(world.origin.asked_once(VERSIONS).header("x-tunnel"), Some("secret"));
    assert!(world.origin.asked("/elsewhere").is_empty());
}

#[test]
fn a_bucket_that_fails_is_found() {
    for fault in ["fails", "hangs"] {
        let layout = Layout { bucket: BucketKind::Faulty, ..Layout::default() };
        let world = World::start_as(layout, &[("ADMIN_TOKEN", ADMIN_TOKEN)]);
        world.edge.stores.set_faults(&[("put", fault)]);
        let request = media_domain("GET", "/_edge/status").bearer(ADMIN_TOKEN);
        let status = request.send(&world.edge.address).json();
        let cure = "See in the Worker's log";
        assert_finding(&status, ["Bucket", "bad", "It could not be written.", cure]);
    }
}

#[test]
fn a_disabled_cache_is_found() {
    let layout = Layout { is_without_cache: true, ..Layout::default() };
    let world = World::start_as(layout, &[("ADMIN_TOKEN", ADMIN_TOKEN)]);
    let request = media_domain("GET", "/_edge/status").bearer(ADMIN_TOKEN);
    let status = request.send(&world.edge.address).json();
    let cure = "See that nothing switches the cache off: Cloudflare Access";
    assert_finding(&status, ["Data centre's cache", "bad", "It gave nothing back.", cure]);
}

#[test]
fn the_page_contains_no_text_of_a_server() {
    let world = World::start_with(&[("ADMIN_TOKEN", ADMIN_TOKEN)]);
    let script = "</p><script>evil()</script>";
    let document = json!({
        "versions": [format!("v1.{script}"), script],
        "m.media_server": { "base_url": script },
        "com.beeper.msc3859.m.media_server": script,
    });
    for path in [VERSIONS, KEYS, MEDIA, CLIENT, SERVER] {
        let reply = Reply::json(200, &document).header("Date", script).header("Server", script);
        world.origin.reply(path, reply.header("Access-Control-Allow-Origin", script));
    }
    let page = media_domain("GET", "/").bearer(ADMIN_TOKEN).send(&world.edge.address).text();
    assert!(page.contains("Checks"), "{page}");
    assert!(!page.contains("evil") && !page.contains("<script"), "{page}");
}
