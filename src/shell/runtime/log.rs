//! The platform's console, and what is written to Analytics Engine.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::telemetry::redact::redact;

#[wasm_bindgen(module = "/src/shell/runtime/log.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = writeDataPoint)]
    fn write_data_point(line: &str, metrics: &JsValue) -> Result<(), JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// Tells the log what is done.
    #[wasm_bindgen(js_namespace = console, js_name = log)]
    pub(crate) fn note(what: &str);

    /// Tells the log what is not as it should be, and is made up for.
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    pub(crate) fn tell(what: &str);

    /// Tells the log what somebody has to mend.
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub(crate) fn complain(what: &str);

    /// ECMAScript's `String(value)`. An object may refuse to become one.
    #[wasm_bindgen(catch, js_name = String)]
    fn string_of(value: &JsValue) -> Result<String, JsValue>;
}

/// Writes an event to the log if it `is_logged`, and a data point of it where there is a dataset.
pub(crate) fn report(line: &str, is_logged: bool, metrics: &JsValue) {
    if is_logged {
        note(line);
    }
    if metrics.is_undefined() {
        return;
    }
    // No data point is worth an answer.
    if let Err(error) = write_data_point(line, metrics) {
        warn("metrics", &error);
    }
}

/// Writes to the log what failed elsewhere, and what may be told of the runtime's error.
pub(crate) fn warn(what: &str, error: &JsValue) {
    tell(&format!("{what}: {}", redact(&message(error))));
}

/// Writes to the log, as an error, what failed here.
pub(crate) fn fail(what: &str, error: &JsValue) {
    complain(&format!("{what}: {}", redact(&message(error))));
}

/// Returns the message of an error, or as text what was thrown in an error's place. Empty for
/// undefined and null.
fn message(error: &JsValue) -> String {
    let is_there = |value: &JsValue| !value.is_undefined() && !value.is_null();
    if !is_there(error) {
        return String::new();
    }
    // Only objects have members to `Reflect`.
    let message = Reflect::get(error, &"message".into()).ok().filter(is_there);
    string_of(message.as_ref().unwrap_or(error)).unwrap_or_default()
}
