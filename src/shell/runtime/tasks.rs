//! Things that take their time: what goes on after the answer, and what may take too long.

use std::pin::pin;

use futures_util::future::{Either, select};
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::shell::runtime::context::{Context, Reading};
use crate::shell::runtime::log;
use crate::shell::runtime::panic::Guarded;
use crate::shell::runtime::settling::settled;
pub(crate) use crate::shell::runtime::settling::sleep;

#[wasm_bindgen(module = "/src/shell/runtime/tasks.js")]
extern "C" {
    #[wasm_bindgen(js_name = within)]
    fn within_promise(operation: Promise, ms: u32) -> Promise;
}

/// Lets a task go on after the answer, until it ends or must (see [`Context::go_on_behind`]).
pub(crate) fn detach(context: &Context, task: impl Future<Output = ()> + 'static) {
    context.go_on_behind(guarded(task));
}

/// Lets a task bring the client a body. It ends when they leave.
pub(crate) fn serve(context: &Context, task: impl Future<Output = ()> + 'static) {
    context.serve(guarded(task));
}

fn guarded(task: impl Future<Output = ()> + 'static) -> impl Future<Output = ()> + 'static {
    // Boxed, since the guard is compiled once for each type of task.
    let guarded = Guarded::new(Box::pin(task));
    async {
        // The log has it if it panicked.
        let _ = guarded.await;
    }
}

/// Lets an operation of the runtime go on after the answer, whatever comes of it.
pub(crate) fn forget(context: &Context, operation: Promise) {
    detach(context, async move {
        let _ = settled(&operation).await;
    });
}

/// Lets an operation of the runtime bring the client a body, for as long as they read it.
pub(crate) fn serve_by(context: &Context, reading: Reading, operation: Promise) {
    serve(context, async move {
        let _ = settled(&operation).await;
        drop(reading);
    });
}
/// Waits for something of ours, but no longer than this; then it is given up.
pub(crate) async fn in_time<T>(ms: u32, task: impl Future<Output = T>) -> Option<T> {
    match select(pin!(task), sleep(ms)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

/// Waits for an operation of the runtime, but no longer than this.
pub(crate) async fn within(ms: u32, operation: Promise) -> Option<Result<JsValue, JsValue>> {
    if_in_time(within_promise(operation, ms)).await
}

/// Waits for an operation that rejects with nothing if it takes too long.
pub(crate) async fn if_in_time(bounded: Promise) -> Option<Result<JsValue, JsValue>> {
    match settled(&bounded).await {
        // The runtime's own errors are objects.
        Err(error) if error.is_undefined() => None,
        outcome => Some(outcome),
    }
}

/// An operation failed; why is in the log.
pub(crate) struct Failed;

/// What came of an operation, if that is known in time. The log is told `failure` where nothing did.
pub(crate) async fn settle(
    failure: &str,
    patience_ms: u32,
    operation: Result<Promise, JsValue>,
) -> Result<JsValue, Failed> {
    let outcome = match operation {
        Ok(promise) => within(patience_ms, promise).await.unwrap_or_else(|| Err("slow".into())),
        Err(error) => Err(error),
    };
    outcome.map_err(|error| {
        log::warn_with(failure, &error);
        Failed
    })
}
