//! The federation door: what a homeserver signed reaches Synapse byte for byte.

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY, Media};
use crate::parity::Parity;
use crate::world::{SQUARES, world};

#[test]
fn a_signed_download_brings_the_media_in_its_envelope() {
    let media = world().upload("image/png", SQUARES);
    let answer = signed("GET", &download(&media, "timeout_ms=20000"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.asked_synapse(), [200]);
    assert_eq!(part(&answer, 0), b"{}");
    assert_eq!(part(&answer, 1), SQUARES);
}

#[test]
fn a_signed_thumbnail_brings_the_thumbnail() {
    let media = world().upload("image/png", SQUARES);
    let thumbnail = media.thumbnail("width=32&height=32").user("alice").direct();
    let path = format!("/_matrix/federation/v1/media/thumbnail/{}?width=32&height=32", media.id);
    assert_eq!(part(&signed("GET", &path), 1), thumbnail.body);
}

#[test]
fn escapes_and_order_of_the_query_are_signed_and_survive() {
    let media = world().upload("text/plain", b"signed");
    for query in ["timeout_ms=%32%30000", "b=2&timeout_ms=0&a=%7e%7E+%20&a", "timeout_ms=0&&="] {
        let answer = signed("GET", &download(&media, query));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(part(&answer, 1), b"signed");
    }
}

#[test]
fn a_signed_head_reaches_synapse_as_a_head() {
    let media = world().upload("text/plain", b"signed");
    assert_eq!(signed("HEAD", &download(&media, "timeout_ms=0")).status, 200);
}

#[test]
fn a_signature_for_another_target_is_refused_although_the_media_was_just_served() {
    let media = world().upload("text/plain", b"signed");
    let path = download(&media, "timeout_ms=0");
    assert_eq!(signed("GET", &path).status, 200);

    let replayed = world().authorization("GET", &download(&media, "timeout_ms=1"));
    let answer = Ask::get(&path).header("Authorization", &replayed).edge();
    assert_eq!((answer.status, answer.errcode().as_str()), (401, "M_UNAUTHORIZED"));
}

/// Synapse 1.163.2 promises an envelope, sends the end of one, and never finishes.
#[test]
fn an_empty_file_which_synapse_never_sends_whole_is_not_stored() {
    let media = world().upload("image/png", b"");
    let uri = download(&media, "timeout_ms=0");
    let ask = Ask::get(&uri).header("Authorization", &world().authorization("GET", &uri));
    for address in [&world().synapse.address, &world().edge.address, &world().edge.address] {
        let asked = ask.head(HOMESERVER_AUTHORITY).open(address).expect("it can't be asked");
        let answer = asked.answer().expect("there is no answer");
        assert_eq!(answer.head.status, 200);
        let cache_status = answer.head.headers.get("cache-status").unwrap_or_default();
        assert!(!cache_status.contains("304"), "{cache_status}");
        answer.reset();
    }
}

#[test]
fn refusals_are_synapses() {
    let media = world().upload("text/plain", b"signed");
    let pending = Media::of(&Ask::post("/_matrix/media/v1/create", b"").user("alice").direct());
    let path = download(&media, "timeout_ms=0");
    let unknown = "/_matrix/federation/v1/media/download/thereIsNoSuchMedia".to_owned();
    let two_segments = format!("/_matrix/federation/v1/media/download/localhost/{}", media.id);
    let sign = |method: &str, path: &str| world().authorization(method, path);
    let rows = [
        ("unsigned", 401, "M_UNAUTHORIZED", &path, String::new()),
        ("a token", 401, "M_UNAUTHORIZED", &path, format!("Bearer {}", world().token("alice"))),
        ("unparsable", 400, "M_UNAUTHORIZED", &path, "X-Matrix nonsense".to_owned()),
        ("scheme in lower case", 401, "M_UNAUTHORIZED", &path, sign("GET", &path).to_lowercase()),
        ("signed as HEAD", 401, "M_UNAUTHORIZED", &path, sign("HEAD", &path)),
        ("unknown media", 404, "M_NOT_FOUND", &unknown, sign("GET", &unknown)),
        ("two segments", 404, "M_UNRECOGNIZED", &two_segments, sign("GET", &two_segments)),
        (
            "not uploaded yet",
            504,
            "M_NOT_YET_UPLOADED",
            &download(&pending, "timeout_ms=0"),
            sign("GET", &download(&pending, "timeout_ms=0")),
        ),
    ];
    let mut parity = Parity::default();
    for (name, status, errcode, path, authorization) in rows {
        let told = parity.check(name, &Ask::get(path).header("Authorization", &authorization));
        assert_eq!(told, (status, errcode.to_owned()), "Synapse itself on: {name}");
    }
    pending.put("text/plain", b"done").user("alice").direct();
    parity.expect_none();
}

fn download(media: &Media, query: &str) -> String {
    format!("/_matrix/federation/v1/media/download/{}?{query}", media.id)
}

fn signed(method: &str, uri: &str) -> Answer {
    let authorization = world().authorization(method, uri);
    Ask::get(uri).method(method).header("Authorization", &authorization).edge()
}

/// The body of one part of a `multipart/mixed` answer.
fn part(answer: &Answer, number: usize) -> &[u8] {
    let content_type = answer.header("content-type").expect("no Content-Type");
    let (_, boundary) = content_type.split_once("boundary=").expect("no boundary");
    let delimiter = format!("\r\n--{boundary}");
    // The preamble counts: the first delimiter opens part 0.
    let opens = nth(&answer.body, delimiter.as_bytes(), number) + delimiter.len();
    let ends = nth(&answer.body, delimiter.as_bytes(), number + 1);
    let part = &answer.body[opens..ends];
    let head = nth(part, b"\r\n\r\n", 0) + 4;
    &part[head..]
}

fn nth(haystack: &[u8], needle: &[u8], number: usize) -> usize {
    let mut found = haystack.windows(needle.len()).enumerate().filter(|(_, w)| *w == needle);
    found.nth(number).expect("the envelope has another shape").0
}
