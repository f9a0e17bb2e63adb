//! Uploads that end otherwise than their head promised, and uploads over a quota.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use test_support::http::{Connection, Incoming};

use crate::ask::{Ask, HOMESERVER_AUTHORITY, Media};
use crate::parity::Parity;
use crate::servers::{SERVER_NAME, start_edge, start_synapse};
use crate::world::{SQUARES, world};

const UPLOAD: &str = "/_matrix/media/v3/upload";

/// Longer than the edge takes to pass on that an upload broke off.
const WHILE: Duration = Duration::from_secs(1);

/// Who does nothing but what is here.
const USER: &str = "clumsy";

/// Sends the head of an upload of a megabyte, and half of it.
fn half_sent() -> Connection {
    let head = Ask::post(UPLOAD, b"").user(USER).head(HOMESERVER_AUTHORITY);
    let head = head.header("Content-Length", "1000000");
    let mut connection = head.open(&world().edge.address).expect("the upload can't be sent");
    connection.write(&[0; 500_000]).expect("the edge listens");
    connection
}

/// How much media Synapse has of the user.
fn media_count() -> Value {
    let path = format!("/_synapse/admin/v1/users/@{USER}:{SERVER_NAME}/media");
    Ask::get(&path).user("admin").direct().json()["total"].clone()
}

#[test]
fn an_upload_that_ends_half_way_makes_no_media() {
    half_sent().reset();
    let mut connection = half_sent();
    connection.finish().expect("a connection");
    if let Ok(answer) = connection.answer().and_then(Incoming::read) {
        assert!(answer.status >= 400, "{}", answer.text());
    }
    sleep(WHILE);
    assert_eq!(media_count(), 0);
    Media::of(&Ask::post(UPLOAD, b"whole").user(USER).edge());
    assert_eq!(media_count(), 1);
}

#[test]
fn bytes_beyond_the_length_are_no_part_of_the_media() {
    let head = Ask::post(UPLOAD, b"").user("alice").head(HOMESERVER_AUTHORITY);
    let head = head.header("Content-Length", "1000");
    let mut connection = head.open(&world().edge.address).expect("the upload can't be sent");
    connection.write(SQUARES).expect("the edge listens");
    let answer = connection.answer().and_then(Incoming::read).expect("no answer");
    let media = Media::of(&answer);
    assert_eq!(media.download().user("alice").direct().body, &SQUARES[..1000]);
}

#[test]
fn a_quota_error_of_synapses_is_relayed() {
    let quota = ["--upload-quota", "1000"];
    let synapse = start_synapse(SERVER_NAME, &["alice"], &quota);
    let edge = start_edge(&synapse, &[]);
    let upload = Ask::post(UPLOAD, &[0; 1001]).token(synapse.token("alice"));
    let direct = upload.send(&synapse.address, HOMESERVER_AUTHORITY);
    let told = upload.send(&edge.address, HOMESERVER_AUTHORITY);
    let mut parity = Parity::default();
    let refusal = parity.compare("over quota", &direct, &told);
    assert_eq!(refusal, (403, "M_USER_LIMIT_EXCEEDED".to_owned()));
    assert!(told.json()["info_uri"].is_string(), "{}", told.text());
    parity.expect_none();
}
