//! The reader of small JSON documents agrees with serde_json's own types, and its slices are the
//! document's.

use matrix_media_edge::matrix::json;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{Members, read_shallow};

/// An object with a member of this name.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    a: &'a RawValue,
}

/// The input is a document.
pub(crate) fn target(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    members(text);
    let elements = json::value::<Vec<&RawValue>>(text);
    let string = json::value::<String>(text);
    if let Some(elements) = &elements {
        let expected: Vec<Box<RawValue>> = serde_json::from_str(text).expect("an array");
        assert!(elements.iter().map(|raw| raw.get()).eq(expected.iter().map(|raw| raw.get())));
        is_a_value(text);
    }
    if let Some(string) = &string {
        assert_eq!(*string, serde_json::from_str::<String>(text).expect("a string"));
    }
    match read_shallow(text) {
        Some(Value::Object(_)) => assert!(json::members(text).is_some(), "an object"),
        Some(Value::Array(_)) => assert!(elements.is_some(), "an array"),
        Some(Value::String(_)) => assert!(string.is_some(), "a string"),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {}
    }
    let quoted = json::write(text);
    assert_eq!(serde_json::from_str::<String>(&quoted).expect("a string"), text);
    assert_eq!(json::value::<String>(&quoted).as_deref(), Some(text));
}

/// What is passed over is judged as if it were read, but for numbers that no float can hold.
fn is_a_value(text: &str) {
    if let Err(error) = serde_json::from_str::<Value>(text) {
        assert!(error.to_string().starts_with("number out of range"), "{error}: {text}");
    }
}

fn members(text: &str) {
    let Some(found) = json::members(text) else { return };
    let expected = Members::read(text).expect("an object");
    assert!(found.iter().map(|(name, value)| (&**name, value.get())).eq(expected.texts()));
    is_a_value(text);
    for (name, value) in &found {
        assert_eq!(&text[json::position(text, value.get())], value.get(), "where it stands");
        let last = found.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.get());
        assert_eq!(json::member(text, name).map(RawValue::get), last);
    }
    let last = found.iter().rfind(|(name, _)| name == "a").map(|(_, value)| value.get());
    assert_eq!(json::object(text).map(|Named { a }| a.get()), last);
}
