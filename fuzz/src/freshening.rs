//! Confirmations: whatever one says, what describes the stored bytes stays as it was stored.

use http::{HeaderMap, HeaderName, HeaderValue};
use matrix_media_edge::headers::freshening::{FRESHENED, freshen};

use crate::input::lines;

/// Fields of RFC 9110 §8 and §14 that do not begin with `Content-`, and what sends readers elsewhere.
const NEVER: [&str; 7] = [
    "accept-ranges",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "set-cookie",
    "www-authenticate",
];

/// The input's lines: a name and a value that are stored, and two of each that a confirmation has.
pub(crate) fn target(input: &[u8]) {
    let [name, value, first, first_value, second, second_value] = lines(input);
    let stored = fields(&[(name, value), (b"content-type", b"image/png")]);
    let confirmation = fields(&[(first, first_value), (second, second_value)]);
    let mut freshened = stored.clone();
    freshen(&mut freshened, &confirmation);
    for name in freshened.keys().chain(stored.keys()).chain(confirmation.keys()) {
        let all = |headers: &HeaderMap| {
            headers.get_all(name).iter().cloned().collect::<Vec<HeaderValue>>()
        };
        let text = name.as_str();
        let describes = text.starts_with("content-") && text != "content-security-policy";
        let is_fresh = all(&freshened) == all(&confirmation);
        let is_stored = all(&freshened) == all(&stored);
        if describes || NEVER.contains(&text) || !FRESHENED.contains(name) {
            assert!(is_stored, "{name}");
        } else {
            assert!(if confirmation.contains_key(name) { is_fresh } else { is_stored }, "{name}");
        }
    }
    let once = freshened.clone();
    freshen(&mut freshened, &confirmation);
    assert_eq!(freshened, once, "said twice, it changes no more");
}

fn fields(fields: &[(&[u8], &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}
