//! Entity tags and the preconditions of clients (RFC 9110 §8.8.3 and §13.1).

use std::fmt;

use http::header::{
    HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED,
};

/// An entity tag that is compared with what clients send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(String);

impl EntityTag {
    /// Returns the strong tag with this opaque text, which has no quotes and no commas in it.
    pub fn strong(opaque: &str) -> Self {
        Self(format!("\"{opaque}\""))
    }

    /// Returns whether `If-None-Match` names this tag, by the weak comparison that the header asks
    /// for (RFC 9110 §13.1.2). Tags that are not quoted never match.
    pub fn is_named_by(&self, if_none_match: &str) -> bool {
        if if_none_match.trim() == "*" {
            return true;
        }
        // Our tags have no comma, so one within another's quotes can't produce a false match.
        if_none_match.split(',').any(|tag| {
            let tag = tag.trim();
            tag.strip_prefix("W/").unwrap_or(tag) == self.0
        })
    }
}

/// Returns whether the client has these bytes already, so that a 304 is enough (RFC 9110 §13.2.2).
///
/// A date is compared as text: it can only have come from the `Last-Modified` that the edge sent,
/// and an exact comparison never takes an older copy for a newer one (§13.1.3 allows any "not
/// later").
pub fn is_current(client: &HeaderMap, tag: &EntityTag, served: &HeaderMap) -> bool {
    if let Some(field) = client.get(IF_NONE_MATCH) {
        return field.to_str().is_ok_and(|field| tag.is_named_by(field));
    }
    is_same_date(client, &IF_MODIFIED_SINCE, served)
}

/// Returns whether a `Range` may be followed: there is no `If-Range`, or it names exactly these
/// bytes, by the strong comparison (RFC 9110 §13.1.5).
pub fn is_range_wanted(client: &HeaderMap, tag: &EntityTag, served: &HeaderMap) -> bool {
    match client.get(IF_RANGE) {
        None => true,
        Some(field) => {
            field.as_bytes() == tag.0.as_bytes() || is_same_date(client, &IF_RANGE, served)
        }
    }
}

fn is_same_date(client: &HeaderMap, name: &HeaderName, served: &HeaderMap) -> bool {
    match (client.get(name), served.get(LAST_MODIFIED)) {
        (Some(asked), Some(sent)) => asked == sent,
        _ => false,
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag() -> EntityTag {
        EntityTag("\"abc-5\"".to_owned())
    }

    #[test]
    fn weak_strong_and_listed_tags_match() {
        for field in
            ["\"abc-5\"", "W/\"abc-5\"", "*", " * ", "\"x\", \"abc-5\"", "\"x\",W/\"abc-5\" ,"]
        {
            assert!(tag().is_named_by(field), "{field}");
        }
    }

    #[test]
    fn other_and_malformed_tags_do_not() {
        for field in ["", "abc-5", "\"abc-6\"", "\"abc-5", "w/\"abc-5\"", "1", "\"*\""] {
            assert!(!tag().is_named_by(field), "{field}");
        }
    }
}
