//! `Content-Disposition`: any name goes into a header and comes out of it again.

use http::HeaderValue;
use matrix_media_edge::headers::content_disposition::{with_file_name, with_short_name};
use percent_encoding::percent_decode_str;

use crate::input::{is_plain, lines};

/// The input's lines: the origin's field, which may have any bytes, and the file name.
pub(crate) fn target(input: &[u8]) {
    let [of_origin, name] = lines(input);
    let Ok(name) = std::str::from_utf8(name) else { return };
    let field = with_file_name(Some(of_origin), name);
    assert!(is_plain(&field), "{field:?}");
    let (kind, parameter) = field.split_once("; ").expect("a type and a name");
    let origins_kind = of_origin.split(|byte| *byte == b';').next().unwrap_or_default();
    let is_inline = origins_kind.trim_ascii().eq_ignore_ascii_case(b"inline");
    assert_eq!(kind, if is_inline { "inline" } else { "attachment" });
    assert_eq!(read(parameter), name);
    shortened(of_origin, is_inline);
    let kept = shortened(field.as_bytes(), is_inline);
    let short = kept.split_once("; ").map(|(_, parameter)| read(parameter));
    if name.is_empty() {
        return assert_eq!(short, None);
    }
    let short = short.expect("a name");
    assert!(short.len() <= 255 && (name.len() > 255 || short == name), "{short:?}");
    let dot = short.rfind('.').unwrap_or(short.len());
    assert!(name.starts_with(&short[..dot.min(short.len())]), "{short:?}");
}

/// Of one type with the field, and of a length that can be kept.
fn shortened(field: &[u8], is_inline: bool) -> String {
    let Ok(value) = HeaderValue::from_bytes(field) else { return String::new() };
    let short = with_short_name(&value);
    assert!(is_plain(&short) && short.len() < 1024, "{short:?}");
    assert_eq!(short.starts_with("inline"), is_inline);
    short
}

/// RFC 6266 §4.3 and RFC 8187 §3.2: a token, or bytes of UTF-8 with escapes.
fn read(parameter: &str) -> String {
    if let Some(token) = parameter.strip_prefix("filename=") {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&b);
        assert!(!token.is_empty() && token.bytes().all(is_token), "{token:?} is no token");
        return token.to_owned();
    }
    let escaped = parameter.strip_prefix("filename*=utf-8''").expect("a name in UTF-8");
    let is_attr_char = |b: u8| b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&b);
    assert!(escaped.bytes().all(is_attr_char), "{escaped:?} has letters that must be escaped");
    percent_decode_str(escaped).decode_utf8().expect("UTF-8").into_owned()
}
