//! The platform's console, and what is written to Analytics Engine.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{console_error, console_log, console_warn};

use crate::telemetry::redact::redact;

#[wasm_bindgen(module = "/src/shell/runtime/log.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = writeDataPoint)]
    fn write_data_point(line: &str, metrics: &JsValue) -> Result<(), JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// ECMAScript's `String(value)`. An object may refuse to become one.
    #[wasm_bindgen(catch, js_name = String)]
    fn string_of(value: &JsValue) -> Result<String, JsValue>;
}

/// Logs what is done.
pub(crate) fn info(what: &str) {
    console_log!("{what}");
}

/// Logs what is not as it should be, and is made up for.
pub(crate) fn warn(what: &str) {
    console_warn!("{what}");
}

/// Logs what somebody has to fix.
pub(crate) fn error(what: &str) {
    console_error!("{what}");
}

/// Writes an event to the log if it `is_logged`, and a data point of it where there is a dataset.
pub(crate) fn report(line: &str, is_logged: bool, metrics: &JsValue) {
    if is_logged {
        info(line);
    }
    if metrics.is_undefined() {
        return;
    }
    // No data point is worth an answer.
    if let Err(error) = write_data_point(line, metrics) {
        warn_with("metrics", &error);
    }
}

/// Logs what failed elsewhere, with as much of the runtime's error as may be told.
pub(crate) fn warn_with(what: &str, error: &JsValue) {
    console_warn!("{what}: {}", redact(&message(error)));
}

/// Logs what failed here, with as much of the runtime's error as may be told.
pub(crate) fn error_with(what: &str, error: &JsValue) {
    console_error!("{what}: {}", redact(&message(error)));
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
