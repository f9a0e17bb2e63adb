//! The platform's console, and what is written to Analytics Engine.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(module = "/src/shell/runtime/log.js")]
extern "C" {
    /// Writes an event to the log, if it is to be there, and a data point where one is wanted.
    pub(crate) fn report(line: &str, is_logged: bool, metrics: &JsValue);

    /// Tells the log what failed elsewhere, and what the runtime says of it.
    pub(crate) fn warn(what: &str, error: &JsValue);

    /// The same of what failed here.
    pub(crate) fn fail(what: &str, error: &JsValue);
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
}
