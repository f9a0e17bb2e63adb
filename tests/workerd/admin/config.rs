//! A bad variable stops every request, and the answer names the variable.

use test_support::assertions::assert_matrix_error;
use test_support::edge::Edge;
use test_support::time::wait_for;

use crate::support::world::{BODY, PATIENCE, World, download, media_domain, same_host, start_edge};

const ORIGIN: &str = "http://127.0.0.1:9";

#[track_caller]
fn assert_refuses_everything(edge: &Edge, variable: &str) {
    for request in [
        media_domain("GET", "/_matrix/client/v1/media/download/example.com/a").bearer("t"),
        media_domain("POST", "/_matrix/media/v3/upload").bearer("t").body("body"),
        same_host("GET", "/.well-known/matrix/client"),
        same_host("GET", "/_matrix/client/versions"),
        same_host("GET", "/"),
    ] {
        let answer = request.send(&edge.address);
        assert!(answer.text().contains(variable), "{variable}: {}", answer.text());
        assert_matrix_error(&answer, 500, "M_UNKNOWN");
    }
}

#[test]
fn a_missing_variable_stops_every_request() {
    assert_refuses_everything(&Edge::start(&[]), "HOMESERVER_URL");
    for variable in ["SERVER_NAME", "MEDIA_URL"] {
        assert_refuses_everything(&start_edge(ORIGIN, &[(variable, "")]), variable);
    }
}

#[test]
fn a_bad_variable_stops_every_request() {
    for (variable, value) in [
        ("HOMESERVER_URL", "http://matrix.example.com"),
        ("SERVER_NAME", "https://example.com"),
        ("MEDIA_URL", "http://media.example.com"),
        ("WELL_KNOWN_URL", "nonsense"),
        ("WELL_KNOWN_FIELDS", "all"),
        ("WELL_KNOWN_GENERATE", "yes"),
        ("CACHE_SECONDS", "30d"),
        ("ORIGIN_HEADERS", r#"{"X-Secret":"a\r\nb"}"#),
    ] {
        println!("{variable} = {value}");
        let edge = start_edge(ORIGIN, &[(variable, value)]);
        assert_refuses_everything(&edge, variable);
    }
}

#[test]
fn the_log_says_what_to_write() {
    let edge = start_edge(ORIGIN, &[("WELL_KNOWN_FIELDS", "all")]);
    assert_refuses_everything(&edge, "WELL_KNOWN_FIELDS");
    wait_for("the log names the variable and its values", PATIENCE, || {
        let log = edge.log();
        (log.contains("WELL_KNOWN_FIELDS") && log.contains("unstable")).then_some(())
    });
}

#[test]
fn a_bad_secret_is_in_no_answer_and_no_log() {
    let edge = start_edge(ORIGIN, &[("ORIGIN_HEADERS", r#"{"X-Secret": s3cret}"#)]);
    let answer = same_host("GET", "/_matrix/client/versions").send(&edge.address);
    assert_matrix_error(&answer, 500, "M_UNKNOWN");
    assert!(!answer.text().contains("s3cret"), "{}", answer.text());
    wait_for("it is logged", PATIENCE, || edge.log().contains("ORIGIN_HEADERS").then_some(()));
    assert!(!edge.log().contains("s3cret"), "{}", edge.log());
}

#[test]
fn trailing_slashes_and_blanks_are_accepted() {
    let world = World::start();
    let homeserver = format!(" {}/ ", world.origin.url());
    let edge = start_edge(&homeserver, &[("MEDIA_URL", "https://media.example.com/ ")]);
    let (id, token) = (world.media(), world.token());
    let answer = download(&id, &token).send(&edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_binding_that_is_no_bucket_is_logged_and_not_used() {
    let world = World::start_with(&[("MEDIA_BUCKET", "media")]);
    let (id, token) = (world.stored_media(), world.token());
    assert_eq!(download(&id, &token).send(&world.edge.address).body, BODY);
    wait_for("the log names the binding", PATIENCE, || {
        world.edge.log().contains("MEDIA_BUCKET is not an R2 bucket").then_some(())
    });
}
