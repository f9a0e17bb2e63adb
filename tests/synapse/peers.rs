//! What Complement and SyTest ask of any homeserver's media, in requests and expectations of our own,
//! through the edge in front of a Synapse whose media is at the legacy door too. Each answer is asked for
//! until the edge has stored it, and once more. `docs/compatibility.md` lists them.

use std::sync::LazyLock;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use test_support::edge::Edge;
use test_support::signature::ServerKey;
use test_support::synapse::Synapse;
use test_support::time::wait_for;

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY, Media};
use crate::servers::{SERVER_NAME, start_edge, start_synapse};
use crate::world::SQUARES;

const UPLOAD: &str = "/_matrix/media/v3/upload";
const CREATE: &str = "/_matrix/media/v1/create";
const PICTURE: &str = "width=32&height=32&method=scale";

const PATIENCE: Duration = Duration::from_secs(20);

/// The names that the suites give to files.
const NAMES: [&str; 4] = ["ascii", "name with spaces", "name;with;semicolons", "🐔"];

struct Peer {
    synapse: Synapse,
    edge: Edge,
    key: ServerKey,
}

fn peer() -> &'static Peer {
    static PEER: LazyLock<Peer> = LazyLock::new(|| {
        let synapse = start_synapse(SERVER_NAME, &["alice", "bob"], &["--open-media"]);
        let edge = start_edge(&synapse, &[]);
        let key = ServerKey::read(&synapse.signing_key);
        Peer { synapse, edge, key }
    });
    &PEER
}

/// Through the edge, on the homeserver's own host.
fn edge(ask: &Ask) -> Answer {
    ask.send(&peer().edge.address, HOMESERVER_AUTHORITY)
}

fn by(user: &str, ask: Ask) -> Ask {
    ask.token(peer().synapse.token(user))
}

fn upload(content_type: &str, name: &str, body: &[u8]) -> Media {
    let upload = by("alice", Ask::post(UPLOAD, body)).header("Content-Type", content_type);
    let upload = match name {
        "" => upload,
        name => upload.query(&format!("filename={}", escaped(name))),
    };
    Media::of(&edge(&upload))
}

fn escaped(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

/// The answers from Synapse, and from the edge's store.
fn answers(ask: &Ask) -> [Answer; 2] {
    let first = edge(ask);
    let stored =
        wait_for("it is stored", PATIENCE, || Some(edge(ask)).filter(Answer::is_revalidated));
    [first, stored]
}

/// A download at the client door and at the legacy door, under a name of the reader's or not.
fn downloads(media: &Media, name: &str) -> [Ask; 2] {
    let suffix = if name.is_empty() { String::new() } else { format!("/{}", escaped(name)) };
    let [client, legacy] = [by("bob", media.download()), media.legacy("v3", "download")];
    [client.path_suffix(&suffix), legacy.path_suffix(&suffix)]
}

/// Type and file name of a `Content-Disposition` (RFC 6266).
fn disposition(answer: &Answer) -> (String, Option<String>) {
    let field = answer.header("content-disposition").expect("a Content-Disposition");
    let (kind, rest) = field.split_once(';').unwrap_or((field, ""));
    let extended = rest.split_once("filename*=").map(|(_, value)| {
        let value = value.split(';').next().unwrap_or_default().trim();
        let (_, name) = value.split_once("''").expect("an extended value");
        percent_decode_str(name).decode_utf8().expect("UTF-8").into_owned()
    });
    let plain = || {
        let value = rest.split_once("filename=")?.1.trim();
        let quoted = value.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        Some(quoted.unwrap_or(value).to_owned())
    };
    (kind.trim().to_owned(), extended.or_else(plain))
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, errcode: &str) {
    assert_eq!((answer.status, answer.errcode().as_str()), (status, errcode), "{}", answer.text());
    assert!(answer.json()["error"].is_string(), "{}", answer.text());
}

#[test]
fn content_comes_back_as_it_was_uploaded() {
    for content_type in ["image/png", "img/png"] {
        let media = upload(content_type, "test.png", SQUARES);
        for ask in downloads(&media, "") {
            for answer in answers(&ask) {
                assert_eq!((answer.status, &answer.body[..]), (200, SQUARES), "{}", ask.target());
                assert_eq!(answer.header("content-type"), Some(content_type));
            }
        }
    }
}

#[test]
fn content_without_a_token_is_refused() {
    let media = upload("image/png", "test.png", SQUARES);
    for ask in [media.download(), media.thumbnail(PICTURE)] {
        assert_refused(&edge(&ask), 401, "M_MISSING_TOKEN");
    }
}

#[test]
fn content_of_another_server_comes_in_its_envelope() {
    let media = upload("image/png", "🐔", SQUARES);
    let download = format!("/_matrix/federation/v1/media/download/{}", media.id);
    for answer in answers(&signed(&download)) {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = &answer.body[..];
        assert!(body.windows(SQUARES.len()).any(|bytes| bytes == SQUARES), "it isn't in there");
        // The name is in the head of its part.
        assert!(answer.text().contains("filename*=utf-8''%F0%9F%90%94"), "the name is lost");
    }
}

fn signed(target: &str) -> Ask {
    let authorization = peer().key.authorization("GET", target, SERVER_NAME);
    Ask::get(target).header("Authorization", &authorization)
}

#[test]
fn a_file_is_downloaded_under_the_name_that_it_was_uploaded_with() {
    for name in NAMES {
        let media = upload("image/png", name, SQUARES);
        for ask in downloads(&media, "") {
            for answer in answers(&ask) {
                let (_, found) = disposition(&answer);
                assert_eq!(found.as_deref(), Some(name), "{}", ask.target());
            }
        }
    }
}

#[test]
fn a_file_is_downloaded_under_the_name_that_its_reader_gives() {
    for name in ["file.png", "☕", "name with spaces", "name;with;semicolons"] {
        let media = upload("image/png", "ascii", SQUARES);
        for ask in downloads(&media, name) {
            for answer in answers(&ask) {
                let (_, found) = disposition(&answer);
                assert_eq!(found.as_deref(), Some(name), "{}", ask.target());
            }
        }
    }
}

#[test]
fn a_file_without_a_name_has_none() {
    let media = upload("text/plain", "", b"Hello World!");
    for ask in downloads(&media, "") {
        for answer in answers(&ask) {
            assert_eq!((answer.status, answer.text().as_str()), (200, "Hello World!"));
            let type_ = answer.header("content-type").expect("a type");
            assert_eq!(type_.split(';').next(), Some("text/plain"));
            assert_eq!(disposition(&answer).1, None);
        }
    }
}

#[test]
fn safe_types_are_shown_and_others_are_saved() {
    for (content_type, kind) in [
        ("image/png", "inline"),
        ("text/plain", "inline"),
        ("text/plain; charset=utf-8", "inline"),
        ("Text/Plain; charset=utf-8", "inline"),
        ("image/svg", "attachment"),
        ("image/svg+xml", "attachment"),
        ("text/html", "attachment"),
    ] {
        let media = upload(content_type, "", b"<svg/>");
        for ask in downloads(&media, "") {
            for answer in answers(&ask) {
                assert_eq!(disposition(&answer).0, kind, "{content_type}");
            }
        }
    }
}

#[test]
fn a_picture_has_a_thumbnail_at_every_door() {
    let media = upload("image/png", "test.png", SQUARES);
    let client = by("bob", media.thumbnail(PICTURE));
    let [first, stored] = answers(&client);
    assert_eq!(first.header("content-type"), Some("image/png"));
    assert!(first.body.starts_with(b"\x89PNG\r\n\x1a\n"), "it is no picture");
    assert_eq!(stored.body, first.body);
    for answer in answers(&media.legacy("v3", "thumbnail").query(PICTURE)) {
        assert_eq!((answer.status, &answer.body), (200, &first.body));
    }
    let target = format!("/_matrix/federation/v1/media/thumbnail/{}?{PICTURE}", media.id);
    for answer in answers(&signed(&target)) {
        assert_eq!(answer.status, 200);
        assert!(answer.body.windows(first.body.len()).any(|bytes| bytes == first.body));
    }
}

#[test]
fn a_media_id_is_created_filled_once_and_read() {
    let created = edge(&by("alice", Ask::post(CREATE, b"{}")));
    assert!(created.json()["unused_expires_at"].is_u64(), "{}", created.text());
    let media = Media::of(&created);
    let [client, legacy] = downloads(&media, "");
    for ask in [client.query("timeout_ms=0"), legacy.query("timeout_ms=0")] {
        assert_refused(&edge(&ask), 504, "M_NOT_YET_UPLOADED");
    }
    let put = || by("alice", media.put("image/png", SQUARES));
    let done = edge(&put().query("filename=test.png"));
    assert_eq!((done.status, done.text().as_str()), (200, "{}"));
    assert_refused(&edge(&put()), 409, "M_CANNOT_OVERWRITE_MEDIA");
    for ask in downloads(&media, "") {
        for answer in answers(&ask) {
            assert_eq!((answer.status, &answer.body[..]), (200, SQUARES));
            assert_eq!(answer.header("content-type"), Some("image/png"));
        }
    }
}

#[test]
fn the_configuration_has_a_numeric_limit() {
    for path in ["/_matrix/media/v3/config", "/_matrix/client/v1/media/config"] {
        let in_query = format!("access_token={}", peer().synapse.token("alice"));
        for ask in [by("alice", Ask::get(path)), Ask::get(path).query(&in_query)] {
            let answer = edge(&ask);
            assert!(answer.json()["m.upload.size"].is_u64(), "{}", answer.text());
        }
    }
}

#[test]
fn quarantined_media_is_a_404_though_it_was_stored() {
    // Synapse quarantines whatever has these bytes, and others upload the picture as it is.
    let media = upload("image/png", "test.png", &[SQUARES, b"quarantined"].concat());
    let mut asks = downloads(&media, "").to_vec();
    asks.push(by("bob", media.thumbnail(PICTURE)));
    asks.push(media.legacy("v3", "thumbnail").query(PICTURE));
    for ask in &asks {
        answers(ask);
    }
    let path = format!("/_synapse/admin/v1/media/quarantine/{SERVER_NAME}/{}", media.id);
    let quarantined = edge(&by("admin", Ask::post(&path, b"{}")));
    assert_eq!(quarantined.status, 200, "{}", quarantined.text());
    for ask in &asks {
        assert_refused(&edge(ask), 404, "M_NOT_FOUND");
    }
}

/// A picture in a room, found by the filter for events with a URL.
#[test]
fn a_picture_in_a_room_is_found_and_read() {
    let uri = format!("mxc://{SERVER_NAME}/{}", upload("image/png", "test.png", SQUARES).id);
    let post = |path: &str, body: &Value| {
        edge(&by("alice", Ask::post(path, body.to_string().as_bytes()))).json()
    };
    let room = post("/_matrix/client/v3/createRoom", &json!({}));
    let room = escaped(room["room_id"].as_str().expect("a room"));
    for (number, content) in [
        json!({ "msgtype": "m.text", "body": "test" }),
        json!({ "msgtype": "m.file", "body": "test.png", "url": uri }),
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{number}");
        let sent = edge(&by("alice", Ask::put(&path, content.to_string().as_bytes())));
        assert_eq!(sent.status, 200, "{}", sent.text());
    }
    let filter = escaped(r#"{"contains_url":true}"#);
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&filter={filter}");
    let messages = edge(&by("alice", Ask::get(&path))).json();
    let chunk = messages["chunk"].as_array().expect("events");
    assert_eq!(chunk.len(), 1, "{messages}");
    assert_eq!(chunk[0]["content"]["url"], uri);
}

#[test]
fn an_avatar_is_set_and_read() {
    let uri = format!("mxc://{SERVER_NAME}/{}", upload("image/png", "", SQUARES).id);
    let path = format!("/_matrix/client/v3/profile/@alice:{SERVER_NAME}/avatar_url");
    let body = json!({ "avatar_url": uri }).to_string();
    let set = edge(&by("alice", Ask::put(&path, body.as_bytes())));
    assert_eq!(set.status, 200, "{}", set.text());
    assert_eq!(edge(&Ask::get(&path)).json()["avatar_url"], uri);
}
