//! Entity tags and the preconditions of clients (RFC 9110 §8.8.3 and §13.1).

use std::fmt;

use http::HeaderMap;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED};

use sha2::{Digest, Sha256};

use crate::cache::entry::Validator;
use crate::message::RequestHead;
use crate::route::{MediaRequest, Representation};

/// The entity tag that clients get: strong, and valid where the origin's own may not be (Synapse
/// sends an unquoted `1` for everything).
///
/// Media hardly ever changes under its mxc URI, so the URI's last part and the length name the
/// bytes; and a digest of the origin's validator tells versions apart, where that is no constant.
/// The same for everyone, at every PoP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(String);

impl EntityTag {
    /// The tag of what is asked for, `length_bytes` long.
    pub fn new(request: &MediaRequest, length_bytes: u64, validator: &Validator) -> Self {
        let media_id = request.mxc.media_id.as_str();
        let version = validator.identity().map(version).unwrap_or_default();
        Self(match request.representation {
            Representation::Content => format!("\"{media_id}-{length_bytes}{version}\""),
            Representation::Thumbnail(spec) => {
                format!("\"{media_id}-{spec}-{length_bytes}{version}\"")
            }
        })
    }

    /// Whether `If-None-Match` names this tag, by the weak comparison that the header asks for
    /// (RFC 9110 §13.1.2). Tags that are not quoted match nothing.
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

/// Eight digits that tell a validator from others, after a dash.
fn version(identity: &[u8]) -> String {
    let digest = Sha256::digest(identity);
    digest[..4].iter().fold("-".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Whether the client has these bytes already, so that a 304 is enough (RFC 9110 §13.2.2).
///
/// A date is compared as text: it can only have come from the `Last-Modified` that we sent, and an
/// exact comparison never takes an older copy for a newer one (§13.1.3 allows any "not later").
pub fn is_current(client: &RequestHead, tag: &EntityTag, served: &HeaderMap) -> bool {
    if let Some(field) = client.headers.get(IF_NONE_MATCH) {
        return field.to_str().is_ok_and(|field| tag.is_named_by(field));
    }
    is_same_date(client, &IF_MODIFIED_SINCE, served)
}

/// Whether a `Range` may be followed: there is no `If-Range`, or it names exactly these bytes, by
/// the strong comparison (RFC 9110 §13.1.5).
pub fn is_range_wanted(client: &RequestHead, tag: &EntityTag, served: &HeaderMap) -> bool {
    match client.headers.get(IF_RANGE) {
        None => true,
        Some(field) => {
            field.as_bytes() == tag.0.as_bytes() || is_same_date(client, &IF_RANGE, served)
        }
    }
}

fn is_same_date(client: &RequestHead, name: &http::HeaderName, served: &HeaderMap) -> bool {
    match (client.headers.get(name), served.get(LAST_MODIFIED)) {
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
    use crate::matrix::ids::Mxc;
    use crate::route::{Door, Terms};
    use http::HeaderValue;

    fn tag() -> EntityTag {
        EntityTag("\"abc-5\"".to_owned())
    }

    #[test]
    fn two_versions_of_one_length_have_two_tags() {
        let request = MediaRequest {
            door: Door::Client,
            mxc: Mxc::parse("mxc://example.com/abc").unwrap(),
            representation: Representation::Content,
            file_name: None,
            origin_path: String::new(),
            terms: Terms::Plain,
        };
        let tag = |validator| EntityTag::new(&request, 5, &validator).to_string();
        let of = |value| Validator::ETag(HeaderValue::from_static(value));
        assert_ne!(tag(of("\"a\"")), tag(of("\"b\"")));
        assert_eq!(tag(of("\"a\"")), tag(of("\"a\"")));
        assert_eq!(tag(of("1")), "\"abc-5\"");
        assert_eq!(tag(Validator::None), "\"abc-5\"");
        assert_eq!(
            tag(Validator::LastModified(HeaderValue::from_static("x"))),
            "\"abc-5-2d711642\""
        );
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
