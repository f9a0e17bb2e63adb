//! `Content-Disposition` for a download that the path gives a name of its own (RFC 6266, RFC 8187).
//!
//! One stored copy serves every name, so the field is written anew: the origin's disposition type
//! stays, its file name goes.

use std::borrow::Cow;

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

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

/// Returns the field for `file_name`, given what the origin sent for the media: bytes, since names
/// come as raw UTF-8 or Latin-1 too (`obs-text`, RFC 9110 §5.5).
///
/// A type that is not clearly `inline` becomes `attachment`, the safer one. The name is written as
/// a bare token where it can be and as an extended value otherwise, as Synapse does, so nothing of
/// the URL stands raw in a header.
pub fn with_file_name(of_origin: Option<&[u8]>, file_name: &str) -> String {
    let kind = kind(of_origin);
    if !file_name.is_empty() && file_name.bytes().all(is_token_char) {
        format!("{kind}; filename={file_name}")
    } else {
        format!("{kind}; filename*=utf-8''{}", utf8_percent_encode(file_name, EXT_VALUE))
    }
}

/// Returns the disposition type of a field, or the safer one where that isn't clear.
fn kind(field: Option<&[u8]>) -> &'static str {
    let mut parts = field.unwrap_or_default().split(|byte| *byte == b';');
    let disposition = parts.next().unwrap_or_default().trim_ascii();
    if disposition.eq_ignore_ascii_case(b"inline") { "inline" } else { "attachment" }
}

/// The longest file name that is kept, in bytes of UTF-8: what file systems take for one.
const MAX_NAME_BYTES: usize = 255;

/// Returns the field with its file name cut to 255 bytes, the extension kept. A name that
/// can't be read is left out.
pub fn with_short_name(field: &HeaderValue) -> String {
    let bytes = field.as_bytes();
    match file_name(&String::from_utf8_lossy(bytes)) {
        Some(name) => with_file_name(Some(bytes), &short_name(&name)),
        None => kind(Some(bytes)).to_owned(),
    }
}

/// Reads the file name of a field: `filename*` before `filename` (RFC 6266 §4.3).
fn file_name(field: &str) -> Option<String> {
    let parameter = |wanted: &str| {
        field.split(';').skip(1).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then_some(value.trim())
        })
    };
    let extended = parameter("filename*").and_then(|value| {
        let (charset, rest) = value.split_once('\'')?;
        let (_, encoded) = rest.split_once('\'')?;
        let is_utf8 = charset.eq_ignore_ascii_case("utf-8");
        is_utf8.then(|| percent_decode_str(encoded).decode_utf8().ok()).flatten()
    });
    extended
        .map(Cow::into_owned)
        .or_else(|| parameter("filename").map(|name| name.trim_matches('"').to_owned()))
        .filter(|name| !name.is_empty())
}

fn short_name(name: &str) -> String {
    /// Longer ones are no extension.
    const MAX_EXTENSION_BYTES: usize = 16;
    let extension = name.rfind('.').map_or("", |dot| &name[dot..]);
    let extension = if extension.len() <= MAX_EXTENSION_BYTES { extension } else { "" };
    let stem = &name[..name.len() - extension.len()];
    let end = stem.floor_char_boundary(MAX_NAME_BYTES - extension.len());
    format!("{}{extension}", &stem[..end])
}

/// Returns whether a byte may stand in a bare token: a `tchar`, but not `%`, `'` and `*`, which
/// careless parsers take for an escape, and none that Synapse would quote.
const fn is_token_char(byte: u8) -> bool {
    is_token_byte(byte) && !matches!(byte, b'%' | b'\'' | b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_tokens() {
        assert_eq!(with_file_name(Some(b"inline"), "cat.png"), "inline; filename=cat.png");
        assert_eq!(
            with_file_name(Some(b"Inline; filename=old.png"), "cat.png"),
            "inline; filename=cat.png"
        );
    }

    #[test]
    fn a_type_is_read_whatever_bytes_the_name_has() {
        for name in ["caf\u{e9}.png".as_bytes(), b"caf\xe9.png", b"\xff\xfe", b"\xef\xbf\xbd"] {
            for (kind, other) in
                [("inline", "inline"), ("attachment", "attachment"), ("x", "attachment")]
            {
                let field = [kind.as_bytes(), b"; filename=\"", name, b"\""].concat();
                let expected = format!("{other}; filename=cat.png");
                assert_eq!(with_file_name(Some(&field), "cat.png"), expected, "{name:?}");
            }
        }
    }

    #[test]
    fn unclear_types_become_attachments() {
        for origin in [None, Some(""), Some("form-data"), Some("attachment; x"), Some("inlined")] {
            let field = origin.map(str::as_bytes);
            assert_eq!(with_file_name(field, "a"), "attachment; filename=a", "{origin:?}");
        }
    }

    fn short(field: &str) -> String {
        with_short_name(&HeaderValue::from_str(field).unwrap())
    }

    #[test]
    fn a_long_name_is_cut_and_keeps_its_extension() {
        let long = "a".repeat(15_000);
        let cut = format!("inline; filename={}.png", "a".repeat(251));
        assert_eq!(short(&format!("inline; filename={long}.png")), cut);
        assert_eq!(short(&format!("inline; filename*=UTF-8''{long}.png")), cut);
        assert_eq!(short(&format!("inline; filename=\"{long}.png\"")), cut);
    }

    #[test]
    fn a_long_name_is_cut_between_letters() {
        let field = format!("attachment; filename*=utf-8''{}", "%D0%9F".repeat(7_500));
        assert_eq!(short(&field), format!("attachment; filename*=utf-8''{}", "%D0%9F".repeat(127)));
    }

    #[test]
    fn a_long_field_without_a_readable_name_keeps_its_type() {
        assert_eq!(short(&format!("inline; x={}", "a".repeat(2_000))), "inline");
        assert_eq!(
            short(&format!("attachment; filename*=latin-1''{}", "%E9".repeat(999))),
            "attachment"
        );
    }

    #[test]
    fn other_names_are_escaped() {
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
                with_file_name(Some(b"inline"), name),
                format!("inline; filename*=utf-8''{value}")
            );
        }
    }
}
