//! Types and names: what was uploaded through the edge comes back exactly as if it had been uploaded
//! directly, and what Synapse refuses is refused in its words.

use crate::ask::{Ask, Media};
use crate::parity::Parity;
use crate::world::SQUARES;

const UPLOAD: &str = "/_matrix/media/v3/upload";

/// For the last, none is sent.
const TYPES: [&str; 18] = [
    "text/plain",
    "TEXT/PLAIN",
    "Text/Plain; charset=utf-8",
    "text/plain; charset=\"utf\\\"8\"",
    "text/html",
    "image/svg+xml",
    "image/png",
    "image/png; foo=bar",
    "img/png",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "application/json",
    "video/mp4; codecs=\"avc1.42E01E, mp4a.40.2\"",
    "garbage",
    "a/b/c; d",
    "text/plain,text/html",
    "text/plain;\tx=y",
    "",
];

const NAMES: [&str; 14] = [
    "squares.png",
    "",
    "a%20b.txt",
    "%E2%98%83.txt",
    "a%2Fb.txt",
    "..%2F..%2Fetc%2Fpasswd",
    "%22quoted%22.txt",
    "a;b=c.txt",
    "a%0D%0AX-Injected:%20yes.txt",
    "a%00b.txt",
    "a+b%2Bc.txt",
    "%E2%80%AEgnp.exe",
    "a%25b.txt",
    "a.txt&filename=b.txt",
];

fn upload(body: &[u8], type_: &str, name: &str) -> Ask {
    let ask = Ask::post(UPLOAD, body).query(&format!("filename={name}")).user("alice");
    if type_.is_empty() { ask } else { ask.header("Content-Type", type_) }
}

/// Uploads both ways, and compares what becomes of it both ways, stored at the edge or not.
fn check(parity: &mut Parity, name: &str, upload: &Ask) {
    let (direct, edge) = (upload.direct(), upload.edge());
    let told = parity.compare(name, &direct, &edge);
    assert_eq!(told, (200, String::new()), "Synapse itself on: {name}");
    let (direct, edge) = (Media::of(&direct), Media::of(&edge));
    let expected = direct.download().user("bob").direct();
    for _ in 0..2 {
        let answers = [
            ("uploaded directly", direct.download().user("bob").edge()),
            ("uploaded by the edge", edge.download().user("bob").edge()),
            ("downloaded directly", edge.download().user("bob").direct()),
        ];
        for (way, answer) in answers {
            parity.compare(&format!("{name}, {way}"), &expected, &answer);
            assert_eq!(answer.header("x-injected"), None);
        }
    }
}

#[test]
fn every_type_comes_back_as_if_uploaded_directly() {
    let mut parity = Parity::default();
    for type_ in TYPES {
        check(&mut parity, type_, &upload(b"some bytes", type_, "a.txt"));
    }
    parity.expect_none();
}

#[test]
fn every_name_comes_back_as_if_uploaded_directly() {
    let mut parity = Parity::default();
    for name in NAMES {
        check(&mut parity, name, &upload(SQUARES, "image/png", name));
    }
    parity.expect_none();
}

#[test]
fn every_body_comes_back_as_if_uploaded_directly() {
    let mut parity = Parity::default();
    let encoded = upload(b"not gzip", "text/plain", "a.txt").header("Content-Encoding", "gzip");
    check(&mut parity, "encoded", &encoded);
    check(&mut parity, "empty", &upload(b"", "text/plain", "empty.txt"));
    check(&mut parity, "every byte", &upload(&(0..=255).collect::<Vec<u8>>(), "", ""));
    let expecting = upload(SQUARES, "image/png", "a.png").header("Expect", "100-continue");
    check(&mut parity, "expecting", &expecting);
    for version in ["r0", "v1"] {
        let path = format!("/_matrix/media/{version}/upload");
        let ask = Ask::post(&path, SQUARES).header("Content-Type", "image/png").user("alice");
        check(&mut parity, version, &ask);
    }
    parity.expect_none();
}

#[test]
fn malformed_types_are_judged_by_synapse() {
    let mut parity = Parity::default();
    for (type_, status, errcode) in
        [("text/plain; a=\"caf\u{e9}\"", 500, "M_UNKNOWN"), ("text/\u{1}plain", 200, "")]
    {
        let told = parity.check(type_, &upload(b"text", type_, "a.txt"));
        assert_eq!(told, (status, errcode.to_owned()), "Synapse itself on: {type_}");
    }
    parity.expect_none();
}

#[test]
fn names_that_synapse_cannot_take_are_refused_in_its_words() {
    let mut parity = Parity::default();
    for name in ["%FF", "%C3", "%ED%A0%80", "a%FFb.txt"] {
        let told = parity.check(name, &upload(b"text", "text/plain", name));
        assert_eq!(told, (400, "M_UNKNOWN".to_owned()), "Synapse itself on: {name}");
    }
    parity.expect_none();
}

#[test]
fn an_asynchronous_upload_keeps_its_type_and_name() {
    let mut parity = Parity::default();
    for name in NAMES {
        let create =
            || Media::of(&Ask::post("/_matrix/media/v1/create", b"").user("alice").direct());
        let (direct, edge) = (create(), create());
        let put = |media: &Media| {
            media.put("text/html", b"<p>").query(&format!("filename={name}")).user("alice")
        };
        parity.compare(name, &put(&direct).direct(), &put(&edge).edge());
        let expected = direct.download().user("bob").direct();
        for _ in 0..2 {
            parity.compare(name, &expected, &edge.download().user("bob").edge());
        }
    }
    parity.expect_none();
}
