//! Tasks that go on after the answer, and timeouts.

use std::pin::pin;

use futures_util::future::{Either, select};
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::shell::runtime::context::{Context, Reading};
use crate::shell::runtime::log;
use crate::shell::runtime::panic::CatchPanic;
use crate::shell::runtime::settling::settled;
pub(crate) use crate::shell::runtime::settling::sleep;

#[wasm_bindgen(module = "/src/shell/runtime/tasks.js")]
extern "C" {
    #[wasm_bindgen(js_name = withTimeout)]
    fn with_timeout(operation: Promise, ms: u32) -> Promise;
}

/// Runs a task in the background, until it ends or its deadline comes (see
/// [`Context::run_in_background`]).
pub(crate) fn detach(context: &Context, task: impl Future<Output = ()> + 'static) {
    context.run_in_background(catching_panics(task));
}

/// Runs a task that sends the client a body. The task is dropped when they leave.
pub(crate) fn serve(context: &Context, task: impl Future<Output = ()> + 'static) {
    context.serve(catching_panics(task));
}

fn catching_panics(task: impl Future<Output = ()> + 'static) -> impl Future<Output = ()> + 'static {
    // Boxed, since `CatchPanic` is compiled once for each type of task.
    let task = CatchPanic::new(Box::pin(task));
    async {
        // A panic is logged already.
        let _ = task.await;
    }
}

/// Lets an operation of the runtime go on after the answer, and ignores its outcome.
pub(crate) fn forget(context: &Context, operation: Promise) {
    detach(context, async move {
        let _ = settled(&operation).await;
    });
}

/// Lets an operation of the runtime send the client a body. Until it ends, the client counts as
/// reading.
pub(crate) fn serve_by(context: &Context, reading: Reading, operation: Promise) {
    serve(context, async move {
        let _ = settled(&operation).await;
        drop(reading);
    });
}

/// Awaits a task for at most `ms`. Returns `None` if the task takes longer, and drops it.
pub(crate) async fn timeout<T>(ms: u32, task: impl Future<Output = T>) -> Option<T> {
    match select(pin!(task), sleep(ms)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

/// Awaits an operation of the runtime for at most `ms`. Returns `None` if it takes longer.
pub(crate) async fn timeout_promise(
    ms: u32,
    operation: Promise,
) -> Option<Result<JsValue, JsValue>> {
    unless_timed_out(with_timeout(operation, ms)).await
}

/// Awaits an operation that rejects with `undefined` when it times out. Returns `None` if it does.
pub(crate) async fn unless_timed_out(bounded: Promise) -> Option<Result<JsValue, JsValue>> {
    match settled(&bounded).await {
        // The runtime's own errors are objects.
        Err(error) if error.is_undefined() => None,
        outcome => Some(outcome),
    }
}

/// An operation that failed; the reason is in the log.
pub(crate) struct Failed;

/// Awaits an operation for at most `timeout_ms`. Failures and timeouts are logged as `failure`.
pub(crate) async fn timeout_or_log(
    failure: &str,
    timeout_ms: u32,
    operation: Result<Promise, JsValue>,
) -> Result<JsValue, Failed> {
    let outcome = match operation {
        Ok(promise) => {
            timeout_promise(timeout_ms, promise).await.unwrap_or_else(|| Err("slow".into()))
        }
        Err(error) => Err(error),
    };
    outcome.map_err(|error| {
        log::warn_with(failure, &error);
        Failed
    })
}
