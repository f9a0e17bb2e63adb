//! The platform's console, and what is written to Analytics Engine.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{
    AnalyticsEngineDataPointBuilder, AnalyticsEngineDataset, console_error, console_log,
    console_warn,
};

use crate::telemetry::event::DataPoint;
use crate::telemetry::redact::redact;

#[wasm_bindgen]
extern "C" {
    /// Returns ECMAScript's `String(value)`; `Err` where an object refuses to become one.
    #[wasm_bindgen(catch, js_name = String)]
    fn string_of(value: &JsValue) -> Result<String, JsValue>;
}

/// Logs what the edge has done.
pub(crate) fn info(what: &str) {
    console_log!("{what}");
}

/// Logs a fault that the edge has made up for.
pub(crate) fn warn(what: &str) {
    console_warn!("{what}");
}

/// Logs a fault that somebody has to fix.
pub(crate) fn error(what: &str) {
    console_error!("{what}");
}

/// Writes a data point to a dataset of Analytics Engine. A failure is logged: no data point is worth an
/// answer.
pub(crate) fn write_data_point(point: DataPoint<'_>, dataset: &AnalyticsEngineDataset) {
    let DataPoint { indexes, blobs, doubles } = point;
    let builder = AnalyticsEngineDataPointBuilder::new().indexes(indexes);
    let blobs = blobs.iter().map(|blob| blob.as_ref());
    if let Err(error) = builder.blobs(blobs).doubles(doubles).write_to(dataset) {
        warn_with("metrics", &error.to_js_value());
    }
}

/// Logs a failure elsewhere, with as much of the runtime's error as may be logged.
pub(crate) fn warn_with(what: &str, error: &JsValue) {
    console_warn!("{what}: {}", redact(&message(error)));
}

/// Logs a failure here, with as much of the runtime's error as may be logged.
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
