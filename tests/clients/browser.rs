//! What holds for matrix-js-sdk in a browser besides.

use serde_json::Value;

use crate::told::{Told, told};

const PICTURE_PIXELS: (u64, u64) = (1000, 500);

fn told_by_browser() -> impl Iterator<Item = Told> {
    told().filter(|told| told.client == "js-sdk")
}

#[test]
fn the_name_of_a_server_leads_to_homeserver_and_media_domain() {
    for told in told_by_browser() {
        assert_eq!(told.text("/discovered/state"), "SUCCESS", "{}", told.name);
        assert_eq!(told.text("/discovered/homeserver"), "https://matrix.strict.example");
        let domain = if told.is_leased { "leased" } else { "strict" };
        let media = format!("https://media.{domain}.example");
        assert_eq!(told.text("/discovered/mediaUrl"), media, "{}", told.name);
    }
}

#[test]
fn an_upload_reports_its_progress() {
    for told in told_by_browser() {
        let progress = told.at("/file/progress").as_array().expect("progress is listed");
        let last = progress.last().unwrap_or_else(|| panic!("{}: no progress", told.name));
        let bytes = told.at("/file/bytes");
        assert_eq!((&last["loaded"], &last["total"]), (bytes, bytes), "{}", told.name);
    }
}

/// Or every page could find out what others near its visitor have read.
#[test]
fn applications_cannot_read_the_cache_status() {
    for told in told_by_browser() {
        let reads = told.at("/file/reads").as_array().expect("reads are listed");
        assert!(!reads.is_empty(), "{}", told.name);
        for read in reads {
            assert_eq!(read.get("cache"), Some(&Value::Null), "{}: {read}", told.name);
        }
    }
}

#[test]
fn types_reach_the_reader() {
    for told in told_by_browser() {
        assert_eq!(told.text("/file/reads/0/type"), "video/mp4", "{}", told.name);
        assert_eq!(told.text("/asynchronous/read/type"), "image/webp", "{}", told.name);
    }
}

#[test]
fn a_guest_reads_too() {
    for told in told_by_browser() {
        let (sent, read) = (told.at("/file/sha256"), told.at("/file/readByGuest/sha256"));
        assert_eq!(read, sent, "{}", told.name);
    }
}

#[test]
fn a_picture_shows_by_its_url_alone_where_a_service_worker_adds_the_token() {
    for told in told_by_browser() {
        assert_eq!(told.at("/squares/alone/isShown"), false, "{}", told.name);
        let shown = told.at("/squares/withWorker");
        let pixels = (shown["width"].as_u64(), shown["height"].as_u64());
        assert_eq!(shown["isShown"], true, "{}", told.name);
        assert_eq!(pixels, (Some(PICTURE_PIXELS.0), Some(PICTURE_PIXELS.1)), "{}", told.name);
    }
}

#[test]
fn a_refusal_is_read_in_the_homeservers_words() {
    for told in told_by_browser().filter(|told| !told.is_leased) {
        assert_eq!(told.text("/afterLogout/errcode"), "M_UNKNOWN_TOKEN", "{}", told.name);
    }
}
