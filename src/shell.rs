//! The shell: reads heads, asks the core, and moves streams as the core decides.

mod runtime;

mod recorder;
mod request_context;

mod body;
mod origin;
mod store;

mod endpoint;

mod admin;

use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll};

use ::http::Method;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{Env, ScheduleContext, ScheduledEvent, event, worker_sys};

use self::admin::{purge, quarantine, selftest, status};
use self::endpoint::{download, forward, upload, well_known};
use self::recorder::Recorder;
use self::request_context::{RequestContext, reject};
use self::runtime::bindings::{self, Bindings};
use self::runtime::context::Context;
use self::runtime::panic::{self, CatchPanic, Panicked};
use self::runtime::{clock, heads, log};
use crate::admin::authorize;
use crate::error::{Rejection, preflight_reply};
use crate::route::{Route, admit};

/// Answers a request. Returns the response if it is ready at once, and otherwise a promise of it, which
/// is fulfilled even if a trap ends this instance. `#[event(fetch)]` does neither (see
/// docs/decisions.md).
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "only public functions are exported")]
pub fn fetch(request: web_sys::Request, env: Env, context: worker_sys::Context) -> JsValue {
    clock::in_turn(|| {
        let context = Context::new(worker::Context::new(context), &request);
        let mut answering: Answering = Box::pin(answer_and_report(request, env, context.clone()));
        // A hit in memory waits for nothing, and a promise would cost as much as finding it.
        let mut nobody = task::Context::from_waker(task::Waker::noop());
        match answering.as_mut().poll(&mut nobody) {
            Poll::Ready(Ok(response)) => response,
            Poll::Ready(Err(error)) => Promise::reject(&error).into(),
            Poll::Pending => {
                panic::or_fallback_response(&promise(&context, answering), context.request()).into()
            }
        }
    })
}

type Answering = Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>>;

/// Returns the promise of an answer, which never settles if the client leaves before.
fn promise(context: &Context, answering: Answering) -> Promise {
    let mut answering = Some(answering);
    Promise::new(&mut |resolve, reject| {
        let Some(answering) = answering.take() else { return };
        context.ask(async move {
            let _ = match answering.await {
                Ok(response) => resolve.call1(&JsValue::UNDEFINED, &response),
                Err(error) => reject.call1(&JsValue::UNDEFINED, &error),
            };
        });
    })
}

async fn answer_and_report(
    request: web_sys::Request,
    env: Env,
    context: Context,
) -> Result<JsValue, JsValue> {
    let recorder = Recorder::new(&request);
    let bindings = bindings::of(&env);
    let answering = Box::pin(answer(request, &bindings, context.clone(), &recorder));
    let response = match CatchPanic::new(answering).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            log::error_with("internal error", &error);
            reject(&recorder, &Rejection::Internal)?
        }
        // The log has it.
        Err(Panicked) => reject(&recorder, &Rejection::Internal)?,
    };
    context.answered();
    recorder.finish(&bindings, &response);
    Ok(response.into())
}

/// Runs what the schedule of `wrangler.toml` is for: polls the homeserver's quarantine.
#[event(scheduled)]
async fn run_schedule(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let bindings = bindings::of(&env);
    if let Ok(config) = &bindings.config {
        let _ = CatchPanic::new(Box::pin(quarantine::poll(config, bindings.bucket.as_ref()))).await;
    }
}

async fn answer(
    request: web_sys::Request,
    bindings: &Bindings,
    context: Context,
    recorder: &Recorder,
) -> Result<web_sys::Response, JsValue> {
    let config = match &bindings.config {
        Ok(config) => Rc::clone(config),
        // Or no page could read what is to be fixed.
        Err(_) if request.method() == "OPTIONS" => {
            return heads::response(&preflight_reply(), None);
        }
        Err(error) => return reject(recorder, &Rejection::Misconfigured(error.clone())),
    };
    let Some(head) = heads::request_head(&request).map(Rc::new) else {
        return reject(recorder, &Rejection::UnfaithfulTarget);
    };
    let bucket = bindings.bucket.clone();
    let (runtime, recorder) = (Rc::new(context), recorder.clone());
    let context = RequestContext { request, head, config, runtime, bucket, recorder };
    let (head, config) = (&*context.head, &*context.config);
    let route = match admit(head, config) {
        Ok(route) => route,
        Err(rejection) => return context.reject(&rejection),
    };
    context.recorder.routed(&route);
    match route {
        Route::Preflight => heads::response(&preflight_reply(), None),
        Route::Unrecognized => context.reject(&Rejection::Unrecognized),
        Route::WellKnown(_) if !head.is_read() => context.reject(&Rejection::WellKnownMethod),
        Route::WellKnown(document) => well_known::answer(&context, document).await,
        Route::Media(media) => download::answer(&context, media).await,
        Route::Status(form) => status::answer(&context, form).await,
        Route::Purge => match authorize(head, config) {
            Ok(()) if head.method != Method::POST => context.reject(&Rejection::PurgeMethod),
            Ok(()) => purge::answer(&context).await,
            Err(rejection) => context.reject(&rejection),
        },
        Route::SelfTest => match authorize(head, config) {
            Ok(()) if head.method != Method::POST => context.reject(&Rejection::SelfTestMethod),
            Ok(()) => selftest::answer(&context).await,
            Err(rejection) => context.reject(&rejection),
        },
        Route::Upload(to) => upload::answer(&context, to).await,
        Route::Limits(door) => upload::limits(&context, door).await,
        Route::Forward(endpoint) => forward::answer(&context, endpoint).await,
        Route::Passthrough(upstream) => forward::pass_through(&context, upstream).await,
    }
}
