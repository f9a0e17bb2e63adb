//! Small JSON documents (RFC 8259), read and written by serde_json. What is not decoded is a
//! [`RawValue`]: a slice of the document, with every byte that it has there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Serialize, Serializer as _};
use serde_json::value::RawValue;

/// How deep the values of a document may be nested (RFC 8259 §9 allows a limit): clients that get the
/// document may parse it by recursion.
const MAX_DEPTH: usize = 64;

/// Parses a text that is exactly one JSON value of type `T`; `None` if it is anything else.
///
/// `T` must not be a struct that derives `Deserialize`, which takes arrays as well: see [`Object`].
pub fn value<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok().filter(|_| is_sound(text))
}

/// Parses a text that is exactly one object into the struct that has its members; `None` if it is
/// anything else, or if a member is missing or of another type.
pub fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    value(text).map(|Object(object)| object)
}

/// Returns the members of an object in order, those of one name included: decoded names, and values
/// as they are written. `None` if the text is not exactly one object.
pub fn members(text: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    value(text).map(|Members(members)| members)
}

/// Returns the value of the last member of this name, which is the one that parsers keep.
pub fn member<'a>(text: &'a str, name: &str) -> Option<&'a RawValue> {
    members(text)?.into_iter().rfind(|(found, _)| found == name).map(|(_, value)| value)
}

/// Returns a value as JSON. Types that derive `Serialize`, with texts for the keys of maps, can always
/// be written.
pub fn write<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Returns members as they stand between the braces of an object, to be spliced into a document.
pub fn write_members<V: Serialize>(members: impl IntoIterator<Item = (&'static str, V)>) -> String {
    let mut object = Vec::new();
    let is_written = serde_json::Serializer::new(&mut object).collect_map(members).is_ok();
    let object = String::from_utf8(object).ok().filter(|_| is_written).unwrap_or_default();
    let members = object.strip_prefix('{').and_then(|object| object.strip_suffix('}'));
    members.unwrap_or_default().to_owned()
}

/// Returns where in `text` a slice of it stands.
pub fn position(text: &str, slice: &str) -> std::ops::Range<usize> {
    let start = slice.as_ptr().addr() - text.as_ptr().addr();
    start..start + slice.len()
}

/// An object that is read as the struct `T`. Of members with one name the last counts, which a
/// derived `Deserialize` alone would refuse; members that `T` does not have are passed over.
#[derive(Debug, Serialize)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = BTreeMap::<Text<'de>, &'de RawValue>::deserialize(deserializer)?;
        let members = members.into_iter().map(|(Text(name), value)| (name, value));
        T::deserialize(MapDeserializer::new(members)).map(Self).map_err(D::Error::custom)
    }
}

/// A string, borrowed from its document where that has no escapes in it.
#[derive(serde::Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// All members of an object, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// Returns whether a JSON text is no deeper than [`MAX_DEPTH`] and all of its strings are Unicode
/// (RFC 8259 §8.2): serde_json looks at neither in values that it does not decode.
fn is_sound(text: &str) -> bool {
    let (mut rest, mut depth) = (text, 0_usize);
    while let Some(at) = rest.bytes().position(|b| matches!(b, b'"' | b'[' | b'{' | b']' | b'}')) {
        let mut end = at + 1;
        match rest.as_bytes()[at] {
            b'"' => {
                let mut strings = serde_json::Deserializer::from_str(&rest[at..]).into_iter();
                let Some(Ok(Text(_))) = strings.next() else { return false };
                end = at + strings.byte_offset();
            }
            b'[' | b'{' => depth += 1,
            _ => depth -= 1,
        }
        // The outermost brackets are the document's, not a value's.
        if depth > MAX_DEPTH + 1 {
            return false;
        }
        rest = &rest[end..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a caller may ask of an object.
    #[derive(serde::Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        name: &'a str,
        inner: Object<Inner>,
    }

    #[derive(serde::Deserialize)]
    struct Inner {
        n: u64,
    }

    fn outer(text: &str) -> Option<(&str, u64)> {
        object::<Outer<'_>>(text).map(|Outer { name, inner: Object(Inner { n }) }| (name, n))
    }

    fn string(text: &str) -> Option<String> {
        value(text)
    }

    #[test]
    fn members_are_named_and_their_values_untouched() {
        let text = " { \"a\\u0062\" : 1e400 , \"é\":[ 1, {} ],\"n\":null} ";
        let expected = [("ab", "1e400"), ("é", "[ 1, {} ]"), ("n", "null")];
        let found = members(text).unwrap();
        assert_eq!(found.len(), expected.len());
        for ((name, value), expected) in found.iter().zip(expected) {
            assert_eq!((&**name, value.get()), expected);
            assert_eq!(&text[position(text, value.get())], value.get());
        }
        assert_eq!(members("{}").map(|members| members.len()), Some(0));
    }

    #[test]
    fn the_last_of_equal_members_counts() {
        let last = |text, name| member(text, name).map(RawValue::get);
        assert_eq!(last(r#"{"a":1,"a":2}"#, "a"), Some("2"));
        assert_eq!(last(r#"{"a":1}"#, "b"), None);
        assert_eq!(outer(r#"{"name":1,"name":"a","inner":{"n":"b","n":3}}"#), Some(("a", 3)));
    }

    #[test]
    fn an_object_has_all_members_of_its_struct_and_may_have_others() {
        let text = r#"{"name":"a","else":[1e400],"inner":{"n":1}}"#;
        assert_eq!(outer(text), Some(("a", 1)));
        for text in [
            "",
            "{}",
            r#"{"name":"a"}"#,
            r#"{"name":null,"inner":{"n":1}}"#,
            r#"{"name":"a","inner":{"n":1.0}}"#,
            r#"{"name":"a","inner":{"n":-1}}"#,
            r#"{"name":"a","inner":{"n":18446744073709551616}}"#,
            r#"{"name":"a","inner":[1]}"#,
            r#"["a",{"n":1}]"#,
            r#"{"name":"a","inner":{"n":1}} {}"#,
        ] {
            assert_eq!(outer(text), None, "{text}");
        }
    }

    #[test]
    fn members_that_are_not_read_are_checked_too() {
        for value in [r#""\ud800""#, r#"["\udc00\ud800"]"#, r#"{"\ud83d":1}"#, "01", "[1,]"] {
            let text = format!(r#"{{"else":{value},"name":"a","inner":{{"n":1}}}}"#);
            assert_eq!(outer(&text), None, "{text}");
        }
    }

    #[test]
    fn elements_are_their_texts() {
        let elements = |text| value::<Vec<&RawValue>>(text);
        let texts =
            elements(r#"[ "a" , 2]"#).map(|all| all.into_iter().map(RawValue::get).collect());
        assert_eq!(texts, Some(vec!["\"a\"", "2"]));
        assert!(elements("{}").is_none());
    }

    #[test]
    fn a_string_is_decoded() {
        assert_eq!(string(r#" "a\"\u00e9" "#).as_deref(), Some("a\"é"));
        assert_eq!(string("1"), None);
        assert_eq!(string(r#""a" "b""#), None);
    }

    #[test]
    fn strings_are_escaped_only_where_json_requires_it() {
        assert_eq!(write("a \"\\\n\u{7f}é"), "\"a \\\"\\\\\\n\u{7f}é\"");
    }

    #[test]
    fn members_are_written_without_the_braces_of_their_object() {
        let values: [&[u64]; 2] = [&[1, 2], &[]];
        assert_eq!(write_members(["a\"", "b"].into_iter().zip(values)), r#""a\"":[1,2],"b":[]"#);
        let inner = || BTreeMap::from([("b", 1)]);
        assert_eq!(write_members([("a", inner())]), r#""a":{"b":1}"#);
        assert_eq!(write_members::<u64>([]), "");
    }

    #[test]
    fn a_written_string_is_read_back() {
        let text: String =
            (0..0x300).filter_map(char::from_u32).chain("\u{1f600}".chars()).collect();
        assert_eq!(string(&write(&text)).as_deref(), Some(text.as_str()));
        assert_eq!(serde_json::from_str::<String>(&write(&text)).unwrap(), text);
    }

    #[test]
    fn text_that_is_no_json_object_is_refused() {
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
            assert!(members(text).is_none(), "{text}");
        }
    }

    #[test]
    fn json_that_is_nested_too_deeply_is_refused() {
        let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(members(&nested(MAX_DEPTH)).is_some());
        assert!(members(&nested(MAX_DEPTH + 1)).is_none());
        for depth in [100_000, 1_000_000] {
            assert!(members(&nested(depth)).is_none(), "{depth}");
            assert!(object::<Outer<'_>>(&nested(depth)).is_none(), "{depth}");
            assert!(value::<Vec<&RawValue>>(&"[".repeat(depth)).is_none(), "{depth}");
        }
    }
}
