//! How much may be uploaded: what clients are told, and what becomes of more.

use std::thread::sleep;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::edge::Edge;
use test_support::http::{Answer, Incoming};
use test_support::time::now;

use crate::ask::{Ask, HOMESERVER_AUTHORITY, Media};
use crate::large::{assert_is_file_of, blocks, upload_blocks};
use crate::servers::start_edge;
use crate::world::{MAX_UPLOAD_BYTES, NO_LIMIT_OF_ITS_OWN, world};

const UPLOAD: &str = "/_matrix/media/v3/upload";

/// What an edge takes whose admin said nothing.
const DEFAULT_MAX_UPLOAD_BYTES: u64 = 100_000_000;

const CONFIGS: [&str; 4] = [
    "/_matrix/client/v1/media/config",
    "/_matrix/media/r0/config",
    "/_matrix/media/v1/config",
    "/_matrix/media/v3/config",
];

fn told_bytes(answer: &Answer) -> Option<u64> {
    answer.json()["m.upload.size"].as_u64()
}

/// The answer to an upload of this length, of which nothing follows.
fn answer_to_head(edge: &Edge, token: &str, length: u64) -> Answer {
    let head = Ask::post(UPLOAD, b"").token(token).head(HOMESERVER_AUTHORITY);
    let head = head.header("User-Agent", "head alone");
    let head = head.header("Content-Length", length.to_string());
    let connection = head.open(&edge.address).expect("the upload can't be sent");
    connection.answer().and_then(Incoming::read).expect("no answer")
}

#[test]
fn clients_get_the_lower_of_synapses_limit_and_the_edges() {
    let lower = start_edge(&world().synapse, &[]);
    for path in CONFIGS {
        let ask = Ask::get(path).user("alice");
        let direct = ask.direct();
        assert_eq!(told_bytes(&direct), Some(MAX_UPLOAD_BYTES));
        assert_eq!(ask.edge().body, direct.body, "{path}");
        let lowered = ask.send(&lower.address, HOMESERVER_AUTHORITY);
        assert_eq!(told_bytes(&lowered), Some(DEFAULT_MAX_UPLOAD_BYTES), "{path}");
        let expected = direct
            .text()
            .replace(&MAX_UPLOAD_BYTES.to_string(), &DEFAULT_MAX_UPLOAD_BYTES.to_string());
        assert_eq!((lowered.status, lowered.text()), (200, expected));
    }
}

#[test]
fn an_upload_over_synapses_advertised_limit_is_refused_at_once() {
    let edge = start_edge(&world().synapse, &[NO_LIMIT_OF_ITS_OWN]);
    let token = world().log_in("alice");
    let config = Ask::get(CONFIGS[0]).token(&token).send(&edge.address, HOMESERVER_AUTHORITY);
    assert_eq!(told_bytes(&config), Some(MAX_UPLOAD_BYTES));
    // What the edge has heard it writes down a moment later.
    sleep(Duration::from_millis(500));
    let asked = now();
    let answer = answer_to_head(&edge, &token, MAX_UPLOAD_BYTES + 1);
    println!("the refusal took {:?}", asked.elapsed());
    assert_matrix_error(&answer, 413, "M_TOO_LARGE");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(world().synapse.answers_with("head alone").is_empty());

    let media = upload_blocks(&edge.address, blocks(MAX_UPLOAD_BYTES), Duration::ZERO);
    assert_is_file_of(&world().synapse.media_file(&media.id), blocks(MAX_UPLOAD_BYTES));
}

/// Synapse breaks the connection, at the first byte too many and without a word.
#[test]
fn an_upload_over_an_unadvertised_limit_is_a_matrix_error() {
    let token = world().log_in("alice");
    let head = Ask::post(UPLOAD, b"").token(&token).head(HOMESERVER_AUTHORITY);
    let head = head.header("Content-Length", (MAX_UPLOAD_BYTES + 1).to_string());
    let mut connection = head.open(&world().edge.address).expect("the upload can't be sent");
    let block = vec![0; 1 << 20];
    // Whoever refuses early may also hang up early.
    let sent = (0..MAX_UPLOAD_BYTES >> 20).try_for_each(|_| connection.write(&block));
    let _ = sent.and_then(|()| connection.write(b"0"));
    let answer = connection.answer().and_then(Incoming::read).expect("no answer");
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
}

#[test]
fn an_upload_without_a_length_is_refused_in_synapses_words() {
    let created = Media::of(&Ask::post("/_matrix/media/v1/create", b"{}").user("alice").direct());
    for upload in [Ask::post(UPLOAD, b"text"), created.put("text/plain", b"text")] {
        let chunked = upload.user("alice").chunked();
        let (direct, edge) = (chunked.direct(), chunked.edge());
        assert_eq!((direct.status, direct.errcode().as_str()), (400, "M_UNKNOWN"));
        assert_matrix_error(&edge, 400, "M_UNKNOWN");
        assert_eq!(edge.text(), direct.text());
        assert_eq!(edge.asked_synapse(), [400]);
    }
}
