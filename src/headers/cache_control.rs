//! The few `Cache-Control` directives that we act on (RFC 9111 §5.2.2).
//!
//! Reading never fails: what can't be read is left out, and every use is safe without it.

use http::HeaderValue;

use crate::headers::own_value;

/// The field of what any cache may keep for so many seconds.
pub fn public_for(seconds: u64) -> HeaderValue {
    own_value(&format!("public, max-age={seconds}"))
}

/// Whether a directive stands in the field, with or without an argument.
pub fn has_directive(field: &str, name: &str) -> bool {
    directives(field).any(|(directive, _)| directive.eq_ignore_ascii_case(name))
}

/// `max-age` in seconds; of several the smallest (RFC 9111 §4.2.1 lets us pick, or call it stale).
pub fn max_age_seconds(field: &str) -> Option<u64> {
    directives(field)
        .filter(|(directive, _)| directive.eq_ignore_ascii_case("max-age"))
        .filter_map(|(_, argument)| argument.trim_matches('"').parse().ok())
        .min()
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
        assert_eq!(max_age_seconds("public, max-age=60"), Some(60));
        assert_eq!(max_age_seconds("max-age=\"60\", max-age=30"), Some(30));
        assert_eq!(max_age_seconds("s-maxage=5"), None);
        assert_eq!(max_age_seconds("max-age=-1, max-age=x"), None);
    }
}
