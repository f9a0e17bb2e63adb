//! The reader of small JSON documents agrees with serde_json, and its slices are the document's.

use matrix_media_edge::matrix::json;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{Members, read_shallow};

/// The input is a document.
pub(crate) fn target(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    members(text);
    if let Some(elements) = json::elements(text) {
        let expected: Vec<Box<RawValue>> = serde_json::from_str(text).expect("an array");
        assert!(elements.iter().copied().eq(expected.iter().map(|raw| raw.get())));
    }
    if let Some(string) = json::string(text) {
        assert_eq!(string, serde_json::from_str::<String>(text).expect("a string"));
    }
    match read_shallow(text) {
        Some(Value::Object(_)) => assert!(json::members(text).is_some(), "an object"),
        Some(Value::Array(_)) => assert!(json::elements(text).is_some(), "an array"),
        Some(Value::String(_)) => assert!(json::string(text).is_some(), "a string"),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {}
    }
    let quoted = json::quote(text);
    assert_eq!(serde_json::from_str::<String>(&quoted).expect("a string"), text);
    assert_eq!(json::string(&quoted).as_deref(), Some(text));
}

fn members(text: &str) {
    let Some(found) = json::members(text) else { return };
    let expected = Members::read(text).expect("an object");
    assert!(found.iter().map(|(name, value)| (&**name, *value)).eq(expected.texts()));
    for (name, value) in &found {
        assert_eq!(&text[json::position(text, value)], *value, "where it stands");
        let last = found.iter().rev().find(|(other, _)| other == name);
        assert_eq!(json::member(text, name), last.map(|(_, value)| *value));
    }
}
