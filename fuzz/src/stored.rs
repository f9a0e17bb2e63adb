//! Records of stored responses: what is written is read back to the byte, and under no other key.

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED,
    SET_COOKIE,
};
use matrix_media_edge::cache::entry::{
    FetchTimes, MAX_HEADER_BYTES, MAX_RECORD_BYTES, STORED_META, StoredMeta, Validator,
};
use matrix_media_edge::cache::key::{CacheKey, Subject};
use matrix_media_edge::cache::storability::storable_length;
use matrix_media_edge::matrix::ids::Mxc;
use matrix_media_edge::matrix::media::Representation;
use matrix_media_edge::origin::OriginHead;

use crate::input::{self, CONFIG, headers, is_plain, lines};

const NOW: u64 = 1_700_000_000;

/// The input's lines: a record that was found, and headers of an answer.
pub(crate) fn target(input: &[u8]) {
    let [record, etag, date, content_type, disposition, cache_control, length] = lines(input);
    let key = key("abc");
    if let Some(meta) = std::str::from_utf8(record).ok().and_then(|r| StoredMeta::parse(r, &key)) {
        is_read_back(&meta, &key);
    }
    let origin = OriginHead {
        status: StatusCode::OK,
        headers: headers(&[
            (ETAG, etag),
            (LAST_MODIFIED, date),
            (CONTENT_TYPE, content_type),
            (CONTENT_DISPOSITION, disposition),
            (CACHE_CONTROL, cache_control),
            (CONTENT_LENGTH, length),
            (SET_COOKIE, if length.len() > 12 { b"a=b" } else { b"" }),
        ]),
    };
    let Ok(length_bytes) = storable_length(&origin) else { return };
    assert!(length_bytes <= 512_000_000 && !origin.headers.contains_key(SET_COOKIE));
    let validator = Validator::of(&origin);
    let times = FetchTimes { asked_unix_secs: NOW, answered_unix_secs: NOW };
    let Ok(meta) = StoredMeta::new(&key, &origin, validator.clone(), length_bytes, times) else {
        // A byte may become three.
        let lengths: Vec<_> = origin.headers.values().map(|value| value.len()).collect();
        let is_long = lengths.iter().any(|length| *length > MAX_HEADER_BYTES);
        return assert!(is_long || 3 * lengths.iter().sum::<usize>() > MAX_RECORD_BYTES - 500);
    };
    is_read_back(&meta, &key);
    if validator.is_told() {
        let (_, sent) = validator.precondition().expect("what was told is sent back");
        assert!([ETAG, LAST_MODIFIED].iter().any(|name| origin.headers.get(name) == Some(&sent)));
    }
    let served = meta.headers();
    for name in [CONTENT_TYPE, CONTENT_DISPOSITION, CACHE_CONTROL] {
        assert_eq!(served.get(&name), origin.headers.get(&name), "{name}");
    }
    assert!(!served.contains_key(ETAG) && served[CONTENT_LENGTH] == *length_bytes.to_string());
}

fn is_read_back(meta: &StoredMeta, key: &CacheKey) {
    let text = meta.to_text();
    assert!(is_plain(&text) && !text.contains(' '), "{text}");
    assert_eq!(StoredMeta::parse(&text, key).as_ref(), Some(meta));
    assert_eq!(StoredMeta::parse(&text, &self::key("abd")), None, "another media's");
    let head = meta.entry_head(&CONFIG, NOW);
    assert_eq!(head.headers[STORED_META], *text);
    assert!(head.headers.values().all(|value| !value.is_empty()));
    let since = meta.stored_unix_secs();
    assert!(!meta.is_expired(&CONFIG, since) || since == u64::MAX);
    let end = since.saturating_add(CONFIG.cache_secs);
    assert!(meta.is_expired(&CONFIG, end));
}

fn key(media_id: &str) -> CacheKey {
    let mxc = Mxc::parse(&format!("mxc://example.com/{media_id}")).expect("an mxc URI");
    input::key(Subject::Media(&mxc, Representation::Content))
}
