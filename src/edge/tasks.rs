//! Things that take their time: what goes on after the answer, and what may take too long.

use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::future::{Either, select};
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{Context, Delay};

/// Lets a task go on after the answer.
pub(super) fn detach(context: &Context, task: impl Future<Output = ()> + 'static) {
    // Boxed, since the glue to the runtime is compiled once for each type of task.
    spawn(context, Box::pin(task));
}

fn spawn(context: &Context, task: Pin<Box<dyn Future<Output = ()>>>) {
    context.wait_until(task);
}

/// Lets an operation of the runtime go on after the answer, whatever comes of it.
pub(super) fn forget(context: &Context, operation: Promise) {
    detach(context, async {
        let _ = JsFuture::from(operation).await;
    });
}

/// Waits for an operation of the runtime, but no longer than this.
pub(super) async fn within(
    patience: Duration,
    operation: Promise,
) -> Option<Result<JsValue, JsValue>> {
    match select(JsFuture::from(operation), pin!(Delay::from(patience))).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}
