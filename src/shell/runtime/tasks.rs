//! Things that take their time: what goes on after the answer, and what may take too long.

use std::pin::{Pin, pin};

use futures_util::future::{Either, select};
use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker_sys::Context;

use crate::shell::runtime::log::{complain, warn};
use crate::shell::runtime::panic::Guarded;

#[wasm_bindgen(module = "/src/shell/runtime/tasks.js")]
extern "C" {
    #[wasm_bindgen(js_name = sleep)]
    fn sleep_promise(millis: u32) -> Promise;

    #[wasm_bindgen(js_name = within)]
    fn within_promise(operation: Promise, millis: u32) -> Promise;
}

/// Lets a task go on after the answer.
pub(crate) fn detach(context: &Context, task: impl Future<Output = ()> + 'static) {
    // Boxed, since the glue to the runtime is compiled once for each type of task.
    let task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(task);
    wait_until(context, &future_to_promise(settled(Guarded::new(task))));
}

async fn settled(task: Guarded<'static, ()>) -> Result<JsValue, JsValue> {
    // The log has it if it panicked.
    let _ = task.await;
    Ok(JsValue::UNDEFINED)
}

/// Lets an operation of the runtime go on after the answer, whatever comes of it.
pub(crate) fn forget(context: &Context, operation: Promise) {
    detach(context, async {
        let _ = JsFuture::from(operation).await;
    });
}

/// Until it is dropped, a request goes on even if its client leaves.
pub(crate) struct Hold(Option<Function>);

/// Holds a request.
pub(crate) fn hold(context: &Context) -> Hold {
    let mut release = None;
    wait_until(context, &Promise::new(&mut |resolve, _| release = Some(resolve)));
    Hold(release)
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            let _ = release.call0(&JsValue::UNDEFINED);
        }
    }
}

fn wait_until(context: &Context, operation: &Promise) {
    if context.wait_until(operation).is_err() {
        complain("the runtime would not wait");
    }
}

/// Waits for something of ours, but no longer than this; then it is given up.
pub(crate) async fn in_time<T>(millis: u32, task: impl Future<Output = T>) -> Option<T> {
    match select(pin!(task), sleep(millis)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

/// Waits.
pub(crate) fn sleep(millis: u32) -> JsFuture {
    sleep_promise(millis).into()
}

/// Waits for an operation of the runtime, but no longer than this.
pub(crate) async fn within(millis: u32, operation: Promise) -> Option<Result<JsValue, JsValue>> {
    if_in_time(within_promise(operation, millis)).await
}

/// Waits for an operation that rejects with nothing if it takes too long.
pub(crate) async fn if_in_time(bounded: Promise) -> Option<Result<JsValue, JsValue>> {
    match JsFuture::from(bounded).await {
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
    patience_millis: u32,
    operation: Result<Promise, JsValue>,
) -> Result<JsValue, Failed> {
    let outcome = match operation {
        Ok(promise) => within(patience_millis, promise).await.unwrap_or_else(|| Err("slow".into())),
        Err(error) => Err(error),
    };
    outcome.map_err(|error| {
        warn(failure, &error);
        Failed
    })
}
