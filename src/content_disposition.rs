//! `Content-Disposition` for a download that the path gives a name of its own (RFC 6266, RFC 8187).
//!
//! One stored copy serves every name, so the field is written anew: the origin's disposition type
//! stays, its file name goes.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::headers::is_token_byte;

/// What `attr-char` (RFC 8187 §3.2.1) leaves to be escaped.
const EXT_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The field for `file_name`, given what the origin sent for the media.
///
/// A type that is not clearly `inline` becomes `attachment`, the safer one. The name is written as
/// a bare token where it can be and as an extended value otherwise, as Synapse does, so nothing of
/// the URL stands raw in a header.
pub fn with_file_name(of_origin: Option<&str>, file_name: &str) -> String {
    let disposition = of_origin.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let kind = if disposition.eq_ignore_ascii_case("inline") { "inline" } else { "attachment" };
    if !file_name.is_empty() && file_name.bytes().all(is_token_char) {
        format!("{kind}; filename={file_name}")
    } else {
        format!("{kind}; filename*=utf-8''{}", utf8_percent_encode(file_name, EXT_VALUE))
    }
}

/// `tchar`, less the `%`, `'` and `*` that careless readers take for an escape,
/// and with nothing else that Synapse would quote.
const fn is_token_char(byte: u8) -> bool {
    is_token_byte(byte) && !matches!(byte, b'%' | b'\'' | b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_tokens() {
        assert_eq!(with_file_name(Some("inline"), "cat.png"), "inline; filename=cat.png");
        assert_eq!(
            with_file_name(Some("Inline; filename=old.png"), "cat.png"),
            "inline; filename=cat.png"
        );
    }

    #[test]
    fn unclear_types_become_attachments() {
        for origin in [None, Some(""), Some("form-data"), Some("attachment; x"), Some("inlined")] {
            assert_eq!(with_file_name(origin, "a"), "attachment; filename=a", "{origin:?}");
        }
    }

    #[test]
    fn everything_else_is_escaped() {
        for (name, value) in [
            ("a b", "a%20b"),
            ("é", "%C3%A9"),
            ("a\"b", "a%22b"),
            ("a;b", "a%3Bb"),
            ("a/b", "a%2Fb"),
            ("a\r\nSet-Cookie: b", "a%0D%0ASet-Cookie%3A%20b"),
            ("\0", "%00"),
            ("100%", "100%25"),
            ("it's", "it%27s"),
        ] {
            assert_eq!(
                with_file_name(Some("inline"), name),
                format!("inline; filename*=utf-8''{value}")
            );
        }
    }
}
