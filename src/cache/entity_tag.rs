//! The entity tags of stored responses (RFC 9110 §8.8.3).

use sha2::{Digest, Sha256};

use crate::cache::entry::Validator;
use crate::headers::conditional::EntityTag;
use crate::matrix::media::{MediaRequest, Representation};

/// Returns the entity tag that clients get for a stored representation of `length_bytes`. It is
/// strong, and valid where the origin's own may not be (Synapse sends an unquoted `1` for
/// everything).
///
/// Media hardly ever changes under its mxc URI, so the URI's last part and the length name the
/// bytes; and a digest of the origin's validator tells versions apart, where that is no constant.
/// The tag doesn't depend on the reader or the data centre.
pub fn entity_tag(request: &MediaRequest, length_bytes: u64, validator: &Validator) -> EntityTag {
    let media_id = request.mxc.media_id.as_str();
    let version = validator.identity().map(version).unwrap_or_default();
    EntityTag::strong(&match request.representation {
        Representation::Content => format!("{media_id}-{length_bytes}{version}"),
        Representation::Thumbnail(spec) => format!("{media_id}-{spec}-{length_bytes}{version}"),
    })
}

/// Returns a dash and eight hexadecimal digits, of a digest of a validator.
fn version(identity: &[u8]) -> String {
    let digest = Sha256::digest(identity);
    digest[..4].iter().fold("-".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::matrix::ids::Mxc;
    use crate::matrix::media::{Door, QueryClass};

    #[test]
    fn two_versions_of_one_length_have_two_tags() {
        let request = MediaRequest {
            door: Door::Client,
            mxc: Mxc::parse("mxc://example.com/abc").unwrap(),
            representation: Representation::Content,
            file_name: None,
            origin_path: String::new(),
            query_class: QueryClass::Canonical,
        };
        let tag = |validator| entity_tag(&request, 5, &validator).to_string();
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
}
