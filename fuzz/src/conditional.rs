//! Entity tags and preconditions: a client is told "you have it" only when it has.

use http::HeaderMap;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED};
use matrix_media_edge::cache::entity_tag::entity_tag;
use matrix_media_edge::cache::entry::Validator;
use matrix_media_edge::headers::conditional::{EntityTag, is_current, is_range_wanted};
use matrix_media_edge::matrix::ids::Mxc;
use matrix_media_edge::matrix::media::{Door, MediaRequest, QueryClass, Representation};
use matrix_media_edge::message::RequestHead;

use crate::input::{get, headers, is_plain, lines};

/// The input's lines: length of the representation, the conditions, and the date that is served.
pub(crate) fn target(input: &[u8]) {
    let [length, if_none_match, if_modified_since, if_range, last_modified] = lines(input);
    let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let tag = entity_tag(&request(), length, &Validator::None);
    let text = tag.to_string();
    assert!(is_plain(&text) && is_opaque_tag(&text), "{text}");

    let served = headers(&[(LAST_MODIFIED, last_modified)]);
    let client = get(
        "/",
        headers(&[
            (IF_NONE_MATCH, if_none_match),
            (IF_MODIFIED_SINCE, if_modified_since),
            (IF_RANGE, if_range),
        ]),
    );
    let is_date = |name| client.headers.get(name).is_some_and(|asked| is_served(&served, asked));
    if let Some(field) = client.headers.get(IF_NONE_MATCH) {
        // RFC 9110 §13.1.3: the date is ignored then.
        let listed = field.to_str().ok().and_then(tags);
        match listed {
            Some(tags) => {
                let names_ours = tags == ["*"] || tags.iter().any(|tag| weak(tag) == text);
                assert_eq!(is_current(&client.headers, &tag, &served), names_ours);
            }
            None => is_never_current_without_the_tag(&client, &tag, &served),
        }
    } else {
        assert_eq!(is_current(&client.headers, &tag, &served), is_date(IF_MODIFIED_SINCE));
    }
    let is_wanted = match client.headers.get(IF_RANGE) {
        None => true,
        Some(field) => *field == *text || is_date(IF_RANGE),
    };
    assert_eq!(is_range_wanted(&client.headers, &tag, &served), is_wanted);
}

fn request() -> MediaRequest {
    MediaRequest {
        door: Door::Client,
        mxc: Mxc::parse("mxc://example.com/abc").expect("an mxc URI"),
        representation: Representation::Content,
        file_name: None,
        origin_path: String::new(),
        query_class: QueryClass::Canonical,
    }
}

fn is_served(served: &HeaderMap, date: &http::HeaderValue) -> bool {
    served.get(LAST_MODIFIED) == Some(date)
}

/// A list that can't be read matches at most what has the tag's letters in it.
fn is_never_current_without_the_tag(client: &RequestHead, tag: &EntityTag, served: &HeaderMap) {
    let field = client.headers[IF_NONE_MATCH].to_str().unwrap_or_default();
    let may_match = field.contains(&tag.to_string()) || field.trim() == "*";
    assert!(may_match || !is_current(&client.headers, tag, served), "{field}");
}

/// The members of `If-None-Match` (RFC 9110 §13.1.2), as they are written; nothing, if it follows
/// no grammar.
fn tags(field: &str) -> Option<Vec<&str>> {
    let field = field.trim_matches([' ', '\t']);
    if field == "*" {
        return Some(vec![field]);
    }
    let (mut tags, mut rest) = (Vec::new(), field);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(tags);
        }
        let opaque = rest.strip_prefix("W/").unwrap_or(rest);
        let close = opaque.strip_prefix('"')?.find('"')? + 2;
        let end = rest.len() - opaque.len() + close;
        tags.push(&rest[..end]);
        rest = rest[end..].trim_start_matches([' ', '\t']);
        if !(rest.is_empty() || rest.starts_with(',')) || !is_opaque_tag(&opaque[..close]) {
            return None;
        }
    }
}

fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// RFC 9110 §8.8.3: quotes around letters that can be seen.
fn is_opaque_tag(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| inner.bytes().all(|b| b == b'!' || (b'#'..=b'~').contains(&b)))
}
