//! Small JSON documents, read without giving up their text: what is spliced or measured later is a
//! slice of the document itself (RFC 8259).

use std::borrow::Cow;

use hifijson::token::Lex as _;
use hifijson::value::parse_bounded;
use hifijson::{Error, Expect, SliceLexer, str::LexAlloc as _};

/// How deep a document may be: the stack of a Worker is small.
const MAX_DEPTH: usize = 64;

/// The members of an object in order: decoded names, and values as they are written.
///
/// Nothing, if the text is not exactly one object.
pub fn members(text: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut members = Vec::new();
    sequence(text, b'{', b'}', |next, lexer| {
        lexer.expect(|_| Some(next), b'"').ok_or(Expect::String)?;
        let name = lexer.str_string().map_err(Error::Str)?;
        lexer.expect(SliceLexer::ws_peek, b':').ok_or(Expect::Colon)?;
        let next = lexer.ws_peek().ok_or(Expect::Value)?;
        members.push((name, value(text, next, lexer)?));
        Ok(())
    })?;
    Some(members)
}

/// The value of the last member of this name, which is the one that parsers keep.
pub fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    members(text)?.into_iter().rev().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// The elements of an array, as they are written. Nothing, if the text is not exactly one array.
pub fn elements(text: &str) -> Option<Vec<&str>> {
    let mut elements = Vec::new();
    sequence(text, b'[', b']', |next, lexer| {
        elements.push(value(text, next, lexer)?);
        Ok(())
    })?;
    Some(elements)
}

/// A string, decoded. Nothing, if the text is not exactly one string.
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    SliceLexer::new(text.as_bytes())
        .exactly_one(SliceLexer::ws_peek, |next, lexer| {
            lexer.expect(|_| Some(next), b'"').ok_or(Expect::String)?;
            lexer.str_string().map_err(Error::Str)
        })
        .ok()
}

/// A string as JSON writes it (RFC 8259 §7).
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Where in `text` a slice of it stands.
pub fn position(text: &str, slice: &str) -> std::ops::Range<usize> {
    let start = slice.as_ptr().addr() - text.as_ptr().addr();
    start..start + slice.len()
}

fn sequence<'a>(
    text: &'a str,
    start: u8,
    end: u8,
    mut item: impl FnMut(u8, &mut SliceLexer<'a>) -> Result<(), Error>,
) -> Option<()> {
    SliceLexer::new(text.as_bytes())
        .exactly_one(SliceLexer::ws_peek, |next, lexer| {
            lexer.expect(|_| Some(next), start).ok_or(Expect::Value)?;
            lexer.seq(end, SliceLexer::ws_peek, &mut item)
        })
        .ok()
}

/// Checks a value and gives its text.
fn value<'a>(text: &'a str, next: u8, lexer: &mut SliceLexer<'a>) -> Result<&'a str, Error> {
    let start = text.len() - lexer.as_slice().len();
    parse_bounded(MAX_DEPTH, next, lexer)?;
    // Values begin and end with ASCII, so both are boundaries of letters.
    Ok(&text[start..text.len() - lexer.as_slice().len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_and_their_values_untouched() {
        let text = " { \"a\\u0062\" : 1e400 , \"é\":[ 1, {} ],\"n\":null} ";
        let expected = [("ab", "1e400"), ("é", "[ 1, {} ]"), ("n", "null")];
        let found = members(text).unwrap();
        assert_eq!(found.len(), expected.len());
        for ((name, value), expected) in found.iter().zip(expected) {
            assert_eq!((&**name, *value), expected);
            assert_eq!(&text[position(text, value)], *value);
        }
        assert_eq!(members("{}"), Some(Vec::new()));
    }

    #[test]
    fn of_members_with_one_name_the_last_counts() {
        assert_eq!(member(r#"{"a":1,"a":2}"#, "a"), Some("2"));
        assert_eq!(member(r#"{"a":1}"#, "b"), None);
    }

    #[test]
    fn elements_are_their_texts() {
        assert_eq!(elements(r#"[ "a" , 2]"#), Some(vec!["\"a\"", "2"]));
        assert_eq!(elements("{}"), None);
    }

    #[test]
    fn a_string_is_decoded() {
        assert_eq!(string(r#" "a\"\u00e9" "#).as_deref(), Some("a\"é"));
        assert_eq!(string("1"), None);
    }

    #[test]
    fn nothing_is_escaped_that_need_not_be() {
        assert_eq!(quote("a \"\\\n\u{7f}é"), "\"a \\\"\\\\\\u000a\u{7f}é\"");
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        let text: String =
            (0..0x300).filter_map(char::from_u32).chain("\u{1f600}".chars()).collect();
        assert_eq!(string(&quote(&text)).as_deref(), Some(text.as_str()));
        assert_eq!(serde_json::from_str::<String>(&quote(&text)).unwrap(), text);
    }

    #[test]
    fn what_is_not_json_is_nothing() {
        for text in [
            "",
            "[]",
            "null",
            "{",
            "{}x",
            "{} {}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":nul}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\n\":1}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "\u{feff}{}",
        ] {
            assert_eq!(members(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_too_deep_is_nothing() {
        let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(members(&nested(MAX_DEPTH)).is_some());
        assert!(members(&nested(MAX_DEPTH + 1)).is_none());
        assert!(members(&nested(100_000)).is_none());
    }
}
