//! Synapse's list of quarantined media: what the edge relies on when it follows that list.
//!
//! Each action is followed by a look at the list and by a conditional request at each class of
//! endpoints: 304 where Synapse still serves the media, 404 where it does not.

use std::sync::LazyLock;

use serde_json::{Value, json};
use test_support::signature::ServerKey;
use test_support::synapse::Synapse;

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY, Media};
use crate::servers::{SERVER_NAME, start_synapse};

const LIST: &str = "/_synapse/admin/v1/media/quarantine_changes";

/// Uploads all but what is quarantined by user.
const UPLOADER: &str = "alice";

/// Whose media is quarantined by user.
const QUARANTINED_USER: &str = "bob";

/// What the client, legacy and federation endpoints answer.
const SERVED: [u16; 3] = [304; 3];
const REFUSED: [u16; 3] = [404; 3];

/// A Synapse of these tests alone, whose media is at the legacy endpoint too.
struct Homeserver {
    synapse: Synapse,
    key: ServerKey,
}

fn homeserver() -> &'static Homeserver {
    static HOMESERVER: LazyLock<Homeserver> = LazyLock::new(|| {
        let users = [UPLOADER, QUARANTINED_USER];
        let synapse = start_synapse(SERVER_NAME, &users, &["--open-media"]);
        let key = ServerKey::read(&synapse.signing_key);
        Homeserver { synapse, key }
    });
    &HOMESERVER
}

fn send(ask: &Ask) -> Answer {
    ask.send(&homeserver().synapse.address, HOMESERVER_AUTHORITY)
}

fn send_as(user: &str, ask: Ask) -> Answer {
    send(&ask.token(homeserver().synapse.token(user)))
}

/// Sends what this user may do. Returns the answer.
#[track_caller]
fn act(user: &str, method: &str, path: &str, body: &Value) -> Value {
    let answer = send_as(user, Ask::post(path, body.to_string().as_bytes()).method(method));
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
    answer.json()
}

fn upload_by(user: &str, body: &str) -> Media {
    let ask = Ask::post("/_matrix/media/v3/upload", body.as_bytes());
    Media::of(&send_as(user, ask.header("Content-Type", "image/png")))
}

fn upload(body: &str) -> Media {
    upload_by(UPLOADER, body)
}

/// `action` is `quarantine` or `unquarantine`.
fn change(action: &str, media: &Media) {
    let path = format!("/_synapse/admin/v1/media/{action}/{SERVER_NAME}/{}", media.id);
    act("admin", "POST", &path, &json!({}));
}

/// Sends an event with this content to a new room. Returns the room and the event.
fn post(content: &Value) -> [String; 2] {
    let room = act(UPLOADER, "POST", "/_matrix/client/v3/createRoom", &json!({}));
    let room = text(&room, "room_id");
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let event = act(UPLOADER, "PUT", &path, content);
    [room, text(&event, "event_id")]
}

fn text(json: &Value, member: &str) -> String {
    json[member].as_str().unwrap_or_else(|| panic!("no {member}: {json}")).to_owned()
}

fn uri(media: &Media) -> String {
    format!("mxc://{SERVER_NAME}/{}", media.id)
}

/// A page of the list, and the number of its last change.
struct Page {
    changes: Vec<Value>,
    next: u64,
}

fn page(from: u64) -> Page {
    let mut json = act("admin", "GET", &format!("{LIST}?from={from}"), &json!({}));
    let next = json["next_batch"].as_u64().unwrap_or_else(|| panic!("no number: {json}"));
    let Value::Array(changes) = json["changes"].take() else { panic!("no list: {json}") };
    Page { changes, next }
}

/// The whole list.
fn changes() -> Vec<Value> {
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let page = page(from);
        if page.changes.is_empty() {
            return all;
        }
        all.extend(page.changes);
        from = page.next;
    }
}

/// What the list tells about this media: for each change, whether it was quarantined.
fn listed(media: &Media) -> Vec<bool> {
    let is_about = |change: &&Value| {
        change["origin"] == SERVER_NAME && change["media_id"] == media.id.as_str()
    };
    changes().iter().filter(is_about).map(is_quarantined).collect()
}

/// SQLite has no booleans, and Synapse passes on what it has.
fn is_quarantined(change: &Value) -> bool {
    match change["quarantined"].as_u64() {
        Some(0) => false,
        Some(1) => true,
        _ => change["quarantined"].as_bool().unwrap_or_else(|| panic!("neither: {change}")),
    }
}

/// The statuses of conditional requests for this media at the client, legacy and federation endpoints.
fn statuses(media: &Media) -> [u16; 3] {
    let federated = format!("/_matrix/federation/v1/media/download/{}", media.id);
    let signature = homeserver().key.authorization("GET", &federated, SERVER_NAME);
    [
        media.download().token(homeserver().synapse.token(UPLOADER)),
        media.legacy("v3", "download"),
        Ask::get(&federated).header("Authorization", &signature),
    ]
    .map(|ask| send(&ask.header("If-None-Match", "1")).status)
}

#[test]
fn media_that_is_not_quarantined_is_not_listed_and_is_served() {
    let media = upload("left alone");
    assert_eq!((listed(&media), statuses(&media)), (vec![], SERVED));
}

#[test]
fn media_quarantined_by_its_id_is_listed_and_refused() {
    let media = upload("quarantined by its ID");
    change("quarantine", &media);
    assert_eq!((listed(&media), statuses(&media)), (vec![true], REFUSED));
}

#[test]
fn media_quarantined_by_user_is_listed_and_refused() {
    let all = ["first", "second"].map(|body| upload_by(QUARANTINED_USER, body));
    let path =
        format!("/_synapse/admin/v1/user/@{QUARANTINED_USER}:{SERVER_NAME}/media/quarantine");
    act("admin", "POST", &path, &json!({}));
    for media in all {
        assert_eq!((listed(&media), statuses(&media)), (vec![true], REFUSED));
    }
}

#[test]
fn media_quarantined_by_room_is_listed_and_refused() {
    let [image, thumbnail] = ["image in a room", "thumbnail in a room"].map(upload);
    let [room, _] = post(&json!({
        "msgtype": "m.image",
        "body": "image.png",
        "url": uri(&image),
        "info": { "thumbnail_url": uri(&thumbnail) },
    }));
    let path = format!("/_synapse/admin/v1/room/{room}/media/quarantine");
    act("admin", "POST", &path, &json!({}));
    for media in [image, thumbnail] {
        assert_eq!((listed(&media), statuses(&media)), (vec![true], REFUSED));
    }
}

#[test]
fn media_with_the_bytes_of_quarantined_media_is_listed_and_refused() {
    let [named, equal] = ["equal bytes"; 2].map(upload);
    change("quarantine", &named);
    for media in [named, equal] {
        assert_eq!((listed(&media), statuses(&media)), (vec![true], REFUSED));
    }
}

#[test]
fn media_quarantined_again_is_listed_again() {
    let media = upload("quarantined twice");
    change("quarantine", &media);
    change("quarantine", &media);
    assert_eq!((listed(&media), statuses(&media)), (vec![true, true], REFUSED));
}

#[test]
fn unquarantined_media_is_listed_as_released_and_served() {
    let media = upload("quarantined and released");
    change("quarantine", &media);
    change("unquarantine", &media);
    assert_eq!((listed(&media), statuses(&media)), (vec![true, false], SERVED));
}

#[test]
fn protected_media_is_not_listed_and_is_served() {
    let media = upload("protected");
    act("admin", "POST", &format!("/_synapse/admin/v1/media/protect/{}", media.id), &json!({}));
    change("quarantine", &media);
    assert_eq!((listed(&media), statuses(&media)), (vec![], SERVED));
}

/// Where this fails, Synapse has begun to list deletions: then the edge need not find them by a
/// reader's 404.
#[test]
fn deleted_media_is_not_listed_although_it_is_refused() {
    let media = upload("deleted");
    let path = format!("/_synapse/admin/v1/media/{SERVER_NAME}/{}", media.id);
    act("admin", "DELETE", &path, &json!({}));
    assert_eq!((listed(&media), statuses(&media)), (vec![], REFUSED));
}

#[test]
fn media_of_a_redacted_event_is_not_listed_and_is_served() {
    let media = upload("redacted");
    let [room, event] =
        post(&json!({ "msgtype": "m.image", "body": "image.png", "url": uri(&media) }));
    // By the message's own transaction ID Synapse would take it for that again.
    let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event}/2");
    act(UPLOADER, "PUT", &path, &json!({}));
    let path = format!("/_matrix/client/v3/rooms/{room}/event/{event}");
    let redacted = act(UPLOADER, "GET", &path, &json!({}));
    assert_eq!(redacted["content"], json!({}), "it is redacted");
    assert_eq!((listed(&media), statuses(&media)), (vec![], SERVED));
}

#[test]
fn a_page_has_a_hundred_changes_at_most_and_the_next_goes_on_after_them() {
    const COPIES: usize = 11;
    const QUARANTINES: usize = 10;
    let copies = [(); COPIES].map(|()| upload("on two pages"));
    for _ in 0..QUARANTINES {
        change("quarantine", &copies[0]);
    }
    assert_eq!(page(0).changes.len(), 100);
    for media in copies {
        assert_eq!(listed(&media), [true; QUARANTINES]);
    }
}

#[test]
fn a_page_is_given_the_number_of_its_last_change() {
    change("quarantine", &upload("at the end of a page"));
    let Page { changes, next } = page(0);
    assert_eq!(page(next - 1).changes.first(), changes.last());
}

#[test]
fn a_page_after_the_last_change_is_empty_and_keeps_the_position() {
    change("quarantine", &upload("before an empty page"));
    let mut from = 0;
    let last = loop {
        let page = page(from);
        if page.changes.is_empty() {
            break page;
        }
        from = page.next;
    };
    assert_eq!(last.next, from);
}

#[test]
fn a_position_past_the_end_of_the_list_is_refused() {
    let answer = send_as("admin", Ask::get(&format!("{LIST}?from=1000000")));
    assert_eq!((answer.status, answer.errcode().as_str()), (400, "M_INVALID_PARAM"));
}

#[test]
fn a_user_who_is_no_admin_is_refused_the_list() {
    let answer = send_as(UPLOADER, Ask::get(LIST));
    assert_eq!((answer.status, answer.errcode().as_str()), (403, "M_FORBIDDEN"));
}
