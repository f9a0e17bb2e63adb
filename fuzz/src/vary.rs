//! `Vary`: what might be answered otherwise to another reader is stored for nobody, however that is
//! written.

use http::header::{CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use matrix_media_edge::cache::storability::{NoStoreReason, storable_length};
use matrix_media_edge::origin::OriginHead;

use crate::input::lines;

/// What tells readers apart in the edge's questions, and what proxies add to them.
const READERS: [&str; 8] = [
    "*",
    "authorization",
    "user-agent",
    "x-forwarded-for",
    "cf-connecting-ip",
    "x-real-ip",
    "forwarded",
    "via",
];

/// The input's lines: two fields of one answer.
pub(crate) fn target(input: &[u8]) {
    let [first, second] = lines(input);
    let is_stored = is_storable(&[first, second]);
    assert_eq!(is_stored, is_storable(&[second, first]), "in any order");
    assert_eq!(is_stored, is_storable(&[first]) && is_storable(&[second]), "by each");
    let [loud_first, loud_second] = [first, second].map(<[u8]>::to_ascii_uppercase);
    assert_eq!(is_stored, is_storable(&[&loud_first, &loud_second]), "in any case");
    if !is_stored {
        return;
    }
    for field in [first, second].map(values).into_iter().flatten() {
        let text = field.to_str().expect("it can be read");
        for name in text.split(',') {
            let name = name.trim().to_ascii_lowercase();
            assert!(!READERS.contains(&&*name) && !name.contains([' ', ';', '=', '"']), "{name}");
            assert!(!name.starts_with("cf-") && !name.starts_with("x-forwarded-"), "{name}");
        }
    }
    for reader in READERS {
        assert!(!is_storable(&[first, second, reader.as_bytes()]), "{reader}");
    }
}

fn values(field: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(field).ok()
}

fn is_storable(fields: &[&[u8]]) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, 5.into());
    for field in fields.iter().copied().filter_map(values) {
        headers.append(VARY, field);
    }
    match storable_length(&OriginHead { status: StatusCode::OK, headers }) {
        Ok(length) => length == 5,
        Err(reason) => {
            assert_eq!(reason, NoStoreReason::Vary);
            false
        }
    }
}
