//! Uploads, at once and asynchronous, through the edge into Synapse.

use std::thread;

use crate::ask::{Ask, HOMESERVER_AUTHORITY, Media};
use crate::parity::Parity;
use crate::servers::start_edge;
use crate::world::{SQUARES, world};

const UPLOAD: &str = "/_matrix/media/v3/upload";
const CREATE: &str = "/_matrix/media/v1/create";

#[test]
fn an_upload_through_the_edge_comes_back_whole() {
    let upload = Ask::post(UPLOAD, SQUARES)
        .query("filename=squares.png")
        .header("Content-Type", "image/png")
        .user("alice")
        .edge();
    assert_eq!(upload.status, 200, "{}", upload.text());
    assert_eq!(upload.posted_to_synapse(), [200]);
    let media = Media::of(&upload);
    for _ in 0..2 {
        let download = media.download().user("bob").edge();
        assert_eq!(download.body, SQUARES);
        assert_eq!(download.header("content-type"), Some("image/png"));
        assert_eq!(download.header("content-disposition"), Some("inline; filename=squares.png"));
    }
}

#[test]
fn an_empty_upload_is_accepted() {
    let upload = Ask::post(UPLOAD, b"").user("alice").edge();
    assert_eq!(upload.status, 200, "{}", upload.text());
    let download = Media::of(&upload).download().user("alice").edge();
    assert_eq!((download.status, download.body.len()), (200, 0));
}

#[test]
fn an_asynchronous_upload_reaches_a_reader_who_waits() {
    let created = Ask::post(CREATE, b"").user("alice").edge();
    assert!(created.json()["unused_expires_at"].is_u64(), "{}", created.text());
    let media = Media::of(&created);

    let early = media.download().query("timeout_ms=0").user("bob").edge();
    assert_eq!((early.status, early.errcode().as_str()), (504, "M_NOT_YET_UPLOADED"));

    let reader = {
        let waiting = media.download().query("timeout_ms=20000").user("bob");
        thread::spawn(move || waiting.edge())
    };
    let put = media.put("image/png", SQUARES).user("alice").edge();
    assert_eq!((put.status, put.text().as_str()), (200, "{}"));
    let answer = reader.join().expect("the reader panicked");
    assert_eq!((answer.status, &answer.body[..]), (200, SQUARES));

    // What was said before the upload is not remembered.
    assert_eq!(media.download().user("alice").edge().body, SQUARES);

    let again = media.put("image/png", b"other bytes").user("alice").edge();
    assert_eq!((again.status, again.errcode().as_str()), (409, "M_CANNOT_OVERWRITE_MEDIA"));
    assert_eq!(media.download().user("alice").edge().body, SQUARES);
}

#[test]
fn media_not_uploaded_yet_is_a_504_at_every_door() {
    let media = Media::of(&Ask::post(CREATE, b"{}").user("alice").direct());
    let mut parity = Parity::default();
    for ask in [
        media.download().user("alice"),
        media.thumbnail("width=32&height=32").user("alice"),
        media.legacy("v3", "download"),
        media.legacy("v3", "thumbnail").query("width=32&height=32"),
    ] {
        let told = parity.check(&ask.target(), &ask.clone().query("timeout_ms=0"));
        assert_eq!(told, (504, "M_NOT_YET_UPLOADED".to_owned()));
    }
    media.put("text/plain", b"done").user("alice").edge();
    parity.expect_none();
}

#[test]
fn refused_uploads_are_refused_in_synapses_words() {
    world().lock("locked");
    world().suspend("suspended");
    let guest = world().guest();
    let text = |ask: Ask| ask.header("Content-Type", "text/plain");
    let upload = || text(Ask::post(UPLOAD, b"text"));
    let alice = world().token("alice");
    let lower_case = upload().header("Authorization", &format!("bearer {alice}"));
    let done = world().upload("text/plain", b"done");
    let foreign = Media { id: "x".to_owned() };
    let pending = Media::of(&Ask::post(CREATE, b"").user("alice").direct());
    let put = |path: &str| text(Ask::put(&format!("/_matrix/media/{path}"), b"text"));
    let rows = [
        ("no token", 401, "M_MISSING_TOKEN", upload()),
        ("unknown token", 401, "M_UNKNOWN_TOKEN", upload().token("syt_nobody")),
        ("locked", 401, "M_USER_LOCKED", upload().user("locked")),
        ("suspended", 200, "", upload().user("suspended")),
        ("guest", 403, "M_GUEST_ACCESS_FORBIDDEN", upload().token(guest)),
        ("guest creates", 403, "M_GUEST_ACCESS_FORBIDDEN", Ask::post(CREATE, b"").token(guest)),
        ("lower-case scheme", 401, "M_MISSING_TOKEN", lower_case),
        ("two tokens", 401, "M_MISSING_TOKEN", upload().query("access_token=x").user("alice")),
        ("create, no token", 401, "M_MISSING_TOKEN", Ask::post(CREATE, b"{}")),
        ("PUT, no token", 401, "M_MISSING_TOKEN", pending.put("text/plain", b"x")),
        (
            "PUT by a guest",
            403,
            "M_GUEST_ACCESS_FORBIDDEN",
            pending.put("text/plain", b"x").token(guest),
        ),
        ("token in the query", 200, "", upload().query(&format!("access_token={alice}"))),
        ("name isn't UTF-8", 400, "M_UNKNOWN", upload().query("filename=%FF").user("alice")),
        ("create, a body that is none", 200, "", Ask::post(CREATE, b"[").user("alice")),
        (
            "create, r0",
            404,
            "M_UNRECOGNIZED",
            Ask::post("/_matrix/media/r0/create", b"").user("alice"),
        ),
        ("PUT, r0", 404, "M_UNRECOGNIZED", put("r0/upload/localhost/x").user("alice")),
        (
            "PUT, a segment too many",
            404,
            "M_UNRECOGNIZED",
            put("v3/upload/localhost/x/y").user("alice"),
        ),
        ("PUT, no such server", 404, "M_NOT_FOUND", put("v3/upload/bad_server/x").user("alice")),
        (
            "PUT, a malformed id",
            404,
            "M_NOT_FOUND",
            put("v3/upload/localhost/a.b%2Fc").user("alice"),
        ),
        (
            "PUT, an id that isn't UTF-8",
            404,
            "M_NOT_FOUND",
            put("v3/upload/localhost/%FF").user("alice"),
        ),
        ("GET", 405, "M_UNRECOGNIZED", Ask::get(UPLOAD).user("alice")),
        (
            "trailing slash",
            404,
            "M_UNRECOGNIZED",
            text(Ask::post("/_matrix/media/v3/upload/", b"x")),
        ),
        (
            "create, v3",
            404,
            "M_UNRECOGNIZED",
            Ask::post("/_matrix/media/v3/create", b"").user("alice"),
        ),
        ("PUT, v1", 404, "M_UNRECOGNIZED", put("v1/upload/localhost/x").user("alice")),
        ("PUT of unknown media", 404, "M_NOT_FOUND", foreign.put("text/plain", b"x").user("alice")),
        ("PUT elsewhere", 404, "M_NOT_FOUND", put("v3/upload/example.org/x").user("alice")),
        ("PUT twice", 409, "M_CANNOT_OVERWRITE_MEDIA", done.put("text/plain", b"x").user("alice")),
        ("PUT by another", 403, "M_FORBIDDEN", pending.put("text/plain", b"x").user("bob")),
        ("POST to an id", 405, "M_UNRECOGNIZED", done.put("text/plain", b"x").method("POST")),
        (
            "unstable create",
            404,
            "M_UNRECOGNIZED",
            Ask::post("/_matrix/media/unstable/fi.mau.msc2246/create", b"").user("alice"),
        ),
    ];
    let mut parity = Parity::default();
    for (name, status, errcode, ask) in rows {
        let told = parity.check(name, &ask);
        assert_eq!(told, (status, errcode.to_owned()), "Synapse itself on: {name}");
    }
    pending.put("text/plain", b"x").user("alice").direct();
    parity.expect_none();
}

/// Synapse then closes the connection without saying so, and workerd may take it for the next
/// request: this edge is for no other test.
#[test]
fn a_form_is_refused_with_415() {
    let edge = start_edge(&world().synapse, &[]);
    let form = Ask::post(UPLOAD, b"--x--")
        .header("Content-Type", "multipart/form-data; boundary=x")
        .user("alice");
    let (direct, edge) = (form.direct(), form.send(&edge.address, HOMESERVER_AUTHORITY));
    // Synapse says no more than that, and the edge says it as clients understand it.
    assert_eq!((direct.status, edge.status), (415, 415));
    assert_eq!((direct.body.len(), edge.errcode().as_str()), (0, "M_UNKNOWN"));
}

#[test]
fn two_lengths_that_differ_never_reach_synapse() {
    let upload = Ask::post(UPLOAD, b"text").user("alice").header("Content-Length", "5");
    assert_eq!(upload.direct().status, 400);
    let answer = upload.edge();
    assert!(answer.status >= 400, "{}", answer.status);
    assert!(answer.is_unknown_to_synapse());
}

/// A recipient may take them for one (RFC 9110 §8.6), or refuse them, as Synapse does.
#[test]
fn a_repeated_length_counts_once_or_is_refused() {
    let upload = Ask::post(UPLOAD, b"text").user("alice").header("Content-Length", "4");
    assert_eq!(upload.direct().status, 400);
    let answer = upload.edge();
    if answer.status == 200 {
        let media = Media::of(&answer);
        assert_eq!(media.download().user("alice").direct().body, b"text");
    } else {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
}

#[test]
fn too_many_pending_uploads_are_a_429_with_retry_after() {
    let create = Ask::post(CREATE, b"").user("hasty");
    while create.direct().status == 200 {}
    let answer = create.edge();
    assert_eq!((answer.status, answer.errcode().as_str()), (429, "M_LIMIT_EXCEEDED"));
    assert!(answer.header("retry-after").is_some_and(|secs| secs.parse::<u32>().is_ok()));
    assert!(answer.json()["retry_after_ms"].is_u64());
}
