//! What holds for every client in every setting.

use serde_json::Value;
use test_support::http::Request;

use crate::told::{Told, told};
use crate::world::{READS, world};

/// How many readers may come before the edge has stored what was uploaded.
const RACES: usize = 2;

#[test]
fn an_upload_is_read_byte_for_byte() {
    for told in told() {
        let reads = told.at("/file/reads").as_array().expect("reads are listed");
        assert_eq!(reads.len(), READS, "{}", told.name);
        for read in reads {
            assert_same(&told, told.at("/file"), read);
        }
    }
}

#[test]
fn a_repeated_download_is_not_sent_by_the_homeserver_again() {
    for told in told() {
        let answers = answers_about(told.text("/file/uri"));
        let count = |status| answers.iter().filter(|answer| **answer == status).count();
        assert!((1..=1 + RACES).contains(&count(200)), "{}: {answers:?}", told.name);
        if told.is_leased {
            assert!(answers.len() < READS, "{} was asked about: {answers:?}", told.name);
        } else {
            assert!(count(304) >= READS - RACES, "{}: {answers:?}", told.name);
        }
    }
}

#[test]
fn a_thumbnail_is_what_the_homeserver_makes() {
    for told in told() {
        let path = media_path("thumbnail", told.text("/squares/uri"));
        let request = Request::new("GET", format!("{path}?width=96&height=96&method=crop"));
        let token = world().synapse.token("alice");
        let direct = request.header("Host", "direct").bearer(token).send(&world().synapse.address);
        assert_eq!(direct.status, 200, "{}", direct.text());
        let thumbnail = told.at("/squares/thumbnail");
        assert_eq!(thumbnail["sha256"], sha256(&direct.body), "{}", told.name);
    }
}

#[test]
fn an_encrypted_attachment_is_decrypted() {
    for told in told() {
        assert_same(&told, told.at("/encrypted"), told.at("/encrypted/read"));
    }
}

#[test]
fn a_reader_waits_for_an_asynchronous_upload() {
    for told in told() {
        assert_same(&told, told.at("/asynchronous"), told.at("/asynchronous/read"));
    }
}

#[test]
fn a_logged_out_token_is_refused_in_strict_mode() {
    for told in told().filter(|told| !told.is_leased) {
        assert_eq!(told.at("/afterLogout/status"), 401, "{}", told.name);
    }
}

#[test]
fn a_logged_out_token_reads_on_for_its_lease() {
    for told in told().filter(|told| told.is_leased) {
        assert_same(&told, told.at("/file"), told.at("/afterLogout"));
    }
}

#[track_caller]
fn assert_same(told: &Told, sent: &Value, read: &Value) {
    let of = |side: &Value| (side["bytes"].clone(), side["sha256"].clone());
    assert_eq!(of(read), of(sent), "{}: {read}", told.name);
}

/// The statuses that Synapse gave, by its own log, to all who asked for this media.
fn answers_about(uri: &str) -> Vec<u16> {
    world().synapse.answers_with(&media_path("download", uri))
}

fn media_path(what: &str, uri: &str) -> String {
    let id = uri.strip_prefix("mxc://").expect("it is an mxc URI");
    format!("/_matrix/client/v1/media/{what}/{id}")
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
