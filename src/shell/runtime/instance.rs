//! What the entry that `worker-build` writes has to know of this instance of the wasm.
//!
//! The `worker` crate would tell it the same. Its bindings are used (`worker-sys`), but not itself:
//! what it exports, used or not, is a twelfth of the wasm.

use wasm_bindgen::JsValue;
use wasm_bindgen::handler::{schedule_reinit, set_on_abort};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(module = "/src/shell/runtime/instance.js")]
extern "C" {
    fn state() -> JsValue;

    fn count();
}

/// A trap ends the instance, and the next request gets a new one.
#[wasm_bindgen(start, private)]
fn start() {
    count();
    set_on_abort(schedule_reinit);
}

/// Which instance this is, and whether it has to be replaced.
#[wasm_bindgen(js_name = "__worker_init_state")]
#[expect(unreachable_pub, reason = "only public functions are exported")]
pub fn instance_state() -> JsValue {
    state()
}
