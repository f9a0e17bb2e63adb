//! What is around the media: well-known documents, preflights, and everything that passes through.

use std::time::Duration;

use serde_json::json;
use test_support::time::now;

use crate::ask::{Ask, MEDIA_AUTHORITY};
use crate::world::world;

#[test]
fn the_client_document_is_synapses_with_the_media_server_added() {
    let path = "/.well-known/matrix/client";
    let theirs = Ask::get(path).direct().json();
    let mut expected = theirs.clone();
    let media_server = json!({ "base_url": format!("https://{MEDIA_AUTHORITY}") });
    expected["m.media_server"] = media_server.clone();
    expected["com.beeper.msc3859.m.media_server"] = media_server;

    let answer = Ask::get(path).edge();
    assert!(theirs["m.homeserver"]["base_url"].is_string());
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));

    let head = Ask::get(path).method("HEAD").edge();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), Some("application/json"));
}

#[test]
fn the_server_document_is_synapses_with_the_media_server_added() {
    let path = "/.well-known/matrix/server";
    let theirs = Ask::get(path).direct().json();
    let answer = Ask::get(path).edge().json();
    assert_eq!(answer["m.server"], theirs["m.server"]);
    assert_eq!(answer["m.media_server"], format!("{MEDIA_AUTHORITY}:443"));
    assert_eq!(answer["com.beeper.msc3859.m.media_server"], answer["m.media_server"]);
}

#[test]
fn the_rest_of_the_homeserver_passes_through_on_its_own_host() {
    let versions = Ask::get("/_matrix/client/versions");
    assert_eq!(versions.edge().json(), versions.direct().json());

    let whoami = Ask::get("/_matrix/client/v3/account/whoami").user("alice").edge().json();
    assert_eq!(whoami["user_id"], "@alice:localhost");

    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "carol" },
        "password": "carol-password",
    });
    let login = Ask::post("/_matrix/client/v3/login", login.to_string().as_bytes()).edge();
    assert_eq!(login.json()["user_id"], "@carol:localhost", "{}", login.text());

    let unknown = Ask::get("/_matrix/client/v3/nothing").edge();
    assert_eq!((unknown.status, unknown.errcode().as_str()), (404, "M_UNRECOGNIZED"));
}

#[test]
fn a_sync_waits_for_its_event_through_the_edge() {
    let sync =
        |query: &str| Ask::get("/_matrix/client/v3/sync").query(query).user("patient").edge();
    let since = sync("timeout=0").json()["next_batch"].as_str().expect("no next_batch").to_owned();
    let asked = now();
    let answer = sync(&format!("timeout=1500&since={since}"));
    assert_eq!(answer.status, 200);
    assert!(asked.elapsed() >= Duration::from_millis(1400), "{:?}", asked.elapsed());
}

#[test]
fn the_media_domain_is_for_media_only() {
    for path in
        ["/_matrix/client/versions", "/_matrix/client/v3/sync", "/_synapse/admin/v1/register"]
    {
        let answer = Ask::get(path).user("alice").media_domain();
        assert_eq!((answer.status, answer.errcode().as_str()), (404, "M_UNRECOGNIZED"), "{path}");
    }
}

#[test]
fn a_preflight_of_media_is_answered_without_synapse() {
    let media = world().upload("text/plain", b"text");
    let ask = media.download().method("OPTIONS");
    let (direct, edge) = (ask.direct(), ask.edge());
    assert_eq!((direct.status, edge.status), (204, 204));
    assert_eq!(edge.header("access-control-allow-origin"), Some("*"));
    assert!(edge.is_unknown_to_synapse());
}
