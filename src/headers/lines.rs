//! The text in which header fields cross between Rust and the runtime: a name and a value on a line
//! each. No name or value contains a line end (RFC 9110 §5.5).
//!
//! The runtime side is `shell/runtime/heads.js`. Text of the runtime is Unicode, and a value's bytes
//! are taken to be its UTF-8.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Returns all fields as text, repeated ones one by one. Bytes that are not UTF-8 become U+FFFD.
pub fn to_text(headers: &HeaderMap) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        push(&mut text, name.as_str(), value);
    }
    text
}

/// Adds one field to a text of them.
pub fn push(text: &mut String, name: &str, value: &HeaderValue) {
    text.push_str(name);
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(value.as_bytes()));
    text.push('\n');
}

/// Returns the names and values in the order of the text. A last name without a value is left out.
pub fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut lines = text.split('\n');
    std::iter::from_fn(move || lines.next().zip(lines.next()))
}

/// Parses those fields whose name (lower case) is one of `names`, without the values that no header
/// can have.
pub fn parse(text: &str, names: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields(text) {
        if let Some(name) = names.iter().find(|known| known.as_str() == name)
            && let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
        {
            headers.append(name.clone(), value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_DISPOSITION, ETAG, RANGE, SET_COOKIE};

    use super::*;

    const NAMES: [HeaderName; 4] = [CONTENT_DISPOSITION, ETAG, RANGE, SET_COOKIE];

    fn headers(fields: &[(HeaderName, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.clone(), HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn fields_stand_on_two_lines_each() {
        let headers = headers(&[(ETAG, b"\"a\""), (RANGE, b"bytes=0-")]);
        assert_eq!(to_text(&headers), "etag\n\"a\"\nrange\nbytes=0-\n");
        assert_eq!(to_text(&HeaderMap::new()), "");
    }

    #[test]
    fn a_field_is_added_at_the_end() {
        let mut text = to_text(&headers(&[(ETAG, b"\"a\"")]));
        push(&mut text, "X-Admin", &HeaderValue::from_static("b"));
        assert_eq!(text, "etag\n\"a\"\nX-Admin\nb\n");
    }

    #[test]
    fn headers_are_parsed_as_they_were_written() {
        let headers = headers(&[
            (SET_COOKIE, b"a=1"),
            (SET_COOKIE, b"b=2"),
            (ETAG, b""),
            (CONTENT_DISPOSITION, "inline; filename=\"\u{e9}\u{4f60}\"".as_bytes()),
            (RANGE, b"bytes=0-\t"),
        ]);
        assert_eq!(parse(&to_text(&headers), &NAMES), headers);
    }

    #[test]
    fn repeated_names_keep_all_values_in_order() {
        let parsed = parse("set-cookie\na=1\netag\n\"a\"\nset-cookie\nb=2\n", &NAMES);
        let cookies: Vec<_> = parsed.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }

    #[test]
    fn unknown_names_are_left_out() {
        let parsed = parse("cookie\na=1\netag\n\"a\"\nETag\n\"b\"\nno name\nc\n\nd\n", &NAMES);
        assert_eq!(parsed, headers(&[(ETAG, b"\"a\"")]));
        assert!(parse("etag\n\"a\"\n", &[]).is_empty());
    }

    #[test]
    fn a_value_that_no_header_can_have_is_left_out() {
        for value in ["\0", "a\rb", "\u{7f}", "a\u{1}"] {
            let parsed = parse(&format!("etag\n{value}\nrange\nbytes=0-\n"), &NAMES);
            assert_eq!(parsed, headers(&[(RANGE, b"bytes=0-")]), "{value:?}");
        }
    }

    #[test]
    fn non_ascii_values_are_their_utf_8() {
        let parsed = parse("content-disposition\n\u{e9}\n", &NAMES);
        assert_eq!(parsed[CONTENT_DISPOSITION].as_bytes(), [0xC3, 0xA9]);
        let latin1 = headers(&[(CONTENT_DISPOSITION, b"a\xE9b")]);
        assert_eq!(to_text(&latin1), "content-disposition\na\u{fffd}b\n");
    }

    #[test]
    fn a_header_value_contains_no_line_end() {
        assert!(HeaderValue::from_bytes(b"a\nx-forged: b").is_err());
    }

    #[test]
    fn an_empty_value_is_a_value() {
        // With and without a line end after the last value.
        for text in ["range\n\netag\n\n", "range\n\netag\n"] {
            assert_eq!(parse(text, &NAMES), headers(&[(RANGE, b""), (ETAG, b"")]), "{text:?}");
        }
    }

    #[test]
    fn a_name_without_a_value_is_left_out() {
        let of = |text| fields(text).collect::<Vec<_>>();
        assert_eq!(of("etag\n\"a\"\nrange"), [("etag", "\"a\"")]);
        assert_eq!(of("etag\n\"a\"\n"), [("etag", "\"a\"")]);
        assert_eq!(of("etag\n\"a\""), [("etag", "\"a\"")]);
        assert_eq!(of("etag"), []);
    }

    #[test]
    fn empty_text_has_no_fields() {
        assert_eq!(fields("").next(), None);
        assert!(parse("", &NAMES).is_empty());
    }
}
