//! What tests claim again and again.

use crate::http::Answer;

/// The name that the edge has in `Cache-Status`.
const CACHE_NAME: &str = "matrix-media-edge";

/// Claims an error as the specification and browsers need it, which nobody may store.
///
/// # Panics
/// When it isn't one.
#[track_caller]
pub fn assert_matrix_error(answer: &Answer, status: u16, errcode: &str) {
    let text = answer.text();
    assert_eq!((answer.status, answer.errcode().as_str()), (status, errcode), "{text}");
    assert!(answer.json()["error"].as_str().is_some_and(|e| !e.is_empty()), "no reason: {text}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "CORS");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.headers.has_member("cache-control", "no-store"), "{:?}", answer.headers);
}

/// Claims our member of `Cache-Status` (RFC 9211): all parameters, in order.
///
/// # Panics
/// When there is another or none.
#[track_caller]
pub fn assert_cache_status(answer: &Answer, parameters: &str) {
    let expected = format!("{CACHE_NAME}; {parameters}");
    assert_eq!(answer.header("cache-status"), Some(expected.as_str()), "{}", answer.status);
}
