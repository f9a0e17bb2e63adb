//! The few `Cache-Control` directives that the edge acts on (RFC 9111 §5.2.2).
//!
//! Reading never fails: what can't be read is left out, and every use is safe without it.

use http::header::{AGE, CACHE_CONTROL, ETAG, EXPIRES, HeaderMap, HeaderValue, LAST_MODIFIED};

use crate::headers::own_value;

const NO_TRANSFORM: &str = "no-transform";
const NO_STORE: &str = "no-store";

/// Returns the `Cache-Control` of a response that any cache may store for `max_age_secs`.
pub fn public_for(max_age_secs: u64) -> HeaderValue {
    own_value(&format!("public, max-age={max_age_secs}"))
}

/// Returns whether a directive stands in the field, with or without an argument.
pub fn has_directive(field: &str, name: &str) -> bool {
    directives(field).any(|(directive, _)| directive.eq_ignore_ascii_case(name))
}

/// Returns `max-age` in seconds, of several the smallest (RFC 9111 §4.2.1 permits any of them);
/// `None` if there is none.
pub fn max_age_secs(field: &str) -> Option<u64> {
    directives(field)
        .filter(|(directive, _)| directive.eq_ignore_ascii_case("max-age"))
        .filter_map(|(_, argument)| argument.trim_matches('"').parse().ok())
        .min()
}

/// Forbids intermediaries to change an answer's coding (RFC 9111 §5.2.2.6). Cloudflare compresses
/// text and `multipart/mixed` for clients that accept that, and the length is lost.
pub fn add_no_transform(headers: &mut HeaderMap) {
    let fields = headers.get_all(CACHE_CONTROL).iter().map(HeaderValue::as_bytes);
    let mut directives =
        fields.filter(|field| !field.is_empty()).collect::<Vec<_>>().join(&b", "[..]);
    if std::str::from_utf8(&directives).is_ok_and(|field| has_directive(field, NO_TRANSFORM)) {
        return;
    }
    if !directives.is_empty() {
        directives.extend(b", ");
    }
    directives.extend(NO_TRANSFORM.as_bytes());
    let value = HeaderValue::from_bytes(&directives);
    headers.insert(CACHE_CONTROL, value.unwrap_or(HeaderValue::from_static(NO_TRANSFORM)));
}

/// Makes a head forbid storing (RFC 9111 §5.2.2.5).
pub fn forbid_storing(headers: &mut HeaderMap) {
    headers.remove(EXPIRES);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
}

/// Makes the head of an error that the edge relays forbid storing and revalidation: media that is
/// refused now may be granted in a moment, and a browser that has stored a 404 doesn't ask again. A
/// `Cache-Control` that forbids storing already stays as it came.
pub fn forbid_reuse(headers: &mut HeaderMap) {
    for name in [AGE, ETAG, EXPIRES, LAST_MODIFIED] {
        headers.remove(name);
    }
    let mut fields = headers.get_all(CACHE_CONTROL).iter();
    if !fields.any(|field| field.to_str().is_ok_and(|field| has_directive(field, NO_STORE))) {
        forbid_storing(headers);
    }
}

/// Keeps an answer that was made for a cookie out of the caches that many share (RFC 9111 §5.2.2.7). They
/// tell clients apart by `Authorization` (§3.5), and by no cookie.
pub fn make_private(headers: &mut HeaderMap) {
    const OF_SHARED: [&str; 4] = ["private", "proxy-revalidate", "public", "s-maxage"];
    let fields = headers.get_all(CACHE_CONTROL).iter().filter_map(|field| field.to_str().ok());
    let parts = fields.flat_map(|field| field.split(',')).map(str::trim);
    let kept = parts
        .filter(|part| !part.is_empty() && !OF_SHARED.iter().any(|name| has_directive(part, name)));
    let field = std::iter::once("private").chain(kept).collect::<Vec<_>>().join(", ");
    headers.insert(CACHE_CONTROL, own_value(&field));
}

/// Directives and arguments. A comma within quotes splits too, which can only add directives that
/// make us more careful.
fn directives(field: &str) -> impl Iterator<Item = (&str, &str)> {
    field.split(',').map(|part| {
        let (name, argument) = part.split_once('=').unwrap_or((part, ""));
        (name.trim(), argument.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_found_in_any_case_and_place() {
        assert!(has_directive("public, No-Store", "no-store"));
        assert!(has_directive("no-cache, no-store, must-revalidate", "no-store"));
        assert!(!has_directive("public,max-age=86400,s-maxage=0,proxy-revalidate", "no-store"));
        assert!(!has_directive("x-no-store", "no-store"));
    }

    #[test]
    fn the_smallest_readable_max_age_counts() {
        assert_eq!(max_age_secs("public, max-age=60"), Some(60));
        assert_eq!(max_age_secs("max-age=\"60\", max-age=30"), Some(30));
        assert_eq!(max_age_secs("s-maxage=5"), None);
        assert_eq!(max_age_secs("max-age=-1, max-age=x"), None);
    }

    #[test]
    fn an_answer_for_a_cookie_is_for_no_shared_cache() {
        for (before, after) in [
            (&[][..], "private"),
            (
                &["public,max-age=86400,s-maxage=0,proxy-revalidate", "no-transform"],
                "private, max-age=86400, no-transform",
            ),
            (&["no-store"], "private, no-store"),
            (&["Private, immutable"], "private, immutable"),
        ] {
            let mut headers = HeaderMap::new();
            for field in before {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(field));
            }
            make_private(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], after);
            assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 1);
        }
    }

    #[test]
    fn no_transform_is_added_once_to_one_field() {
        let found = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
            }
            add_no_transform(&mut headers);
            assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 1);
            headers["cache-control"].to_str().unwrap().to_owned()
        };
        assert_eq!(found(&[]), "no-transform");
        assert_eq!(found(&["private", "max-age=5"]), "private, max-age=5, no-transform");
        assert_eq!(found(&["private, No-Transform"]), "private, No-Transform");
    }

    #[test]
    fn an_error_becomes_no_store() {
        let mut headers: HeaderMap = [AGE, CACHE_CONTROL, ETAG, EXPIRES, LAST_MODIFIED]
            .map(|name| (name, HeaderValue::from_static("max-age=259200")))
            .into_iter()
            .collect();
        headers.append(CACHE_CONTROL, HeaderValue::from_static("public"));
        forbid_reuse(&mut headers);
        let expected = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
        assert_eq!(headers, HeaderMap::from_iter([expected]));
    }

    #[test]
    fn an_error_that_is_no_store_keeps_its_field() {
        let synapses = HeaderValue::from_static("no-cache, no-store, must-revalidate");
        let mut headers = HeaderMap::from_iter([(CACHE_CONTROL, synapses.clone())]);
        headers.insert(EXPIRES, HeaderValue::from_static("0"));
        forbid_reuse(&mut headers);
        assert_eq!(headers, HeaderMap::from_iter([(CACHE_CONTROL, synapses)]));
    }
}
