//! The shell: reads heads, asks the core, and moves streams as the answer says.

mod bucket;
mod cache;
mod clock;
mod feed;
mod filling;
mod fills;
mod http;
mod leases;
mod media;
mod memory;
mod origin;
mod pump;
mod purges;
mod streams;
mod tasks;
mod tiers;
mod uploads;
mod vars;
mod well_known;

use std::rc::Rc;

use ::http::Method;
use wasm_bindgen::{JsCast, JsValue};
use worker::worker_sys::R2Bucket;
use worker::{Context, Env, ScheduleContext, ScheduledEvent, console_error, event};

use crate::admin::authorize;
use crate::config::Config;
use crate::forward;
use crate::matrix_error::{Rejection, preflight_reply};
use crate::purge::Purges;
use crate::request::RequestHead;
use crate::route::{Endpoint, Route, admit};

/// One request, with what it takes to answer it.
#[derive(Clone)]
struct Call {
    request: web_sys::Request,
    head: Rc<RequestHead>,
    config: Rc<Config>,
    context: Rc<Context>,
    bucket: Option<R2Bucket>,
    purges: Rc<Purges>,
}

#[event(fetch)]
async fn fetch(
    request: web_sys::Request,
    env: Env,
    context: Context,
) -> worker::Result<web_sys::Response> {
    Ok(answer(request, &env, context).await.or_else(|error| {
        console_error!("internal error: {}", describe(&error));
        http::rejection(&Rejection::Internal)
    })?)
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    if let Ok(config) = vars::config(&env).as_ref() {
        feed::follow(config, bucket::bound(&env).as_ref()).await;
    }
}

async fn answer(
    request: web_sys::Request,
    env: &Env,
    context: Context,
) -> Result<web_sys::Response, JsValue> {
    let config = match vars::config(env).as_ref() {
        Ok(config) => Rc::clone(config),
        Err(error) => return http::rejection(&Rejection::Misconfigured(error.clone())),
    };
    let Some(head) = http::request_head(&request).map(Rc::new) else {
        return http::rejection(&Rejection::UnfaithfulTarget);
    };
    let bucket = bucket::bound(env);
    let purges = purges::current(&config, bucket.as_ref()).await;
    let call = Call { request, head, config, context: Rc::new(context), bucket, purges };
    let (head, config) = (&*call.head, &*call.config);
    match admit(head, config) {
        Err(rejection) => http::rejection(&rejection),
        Ok(Route::Preflight) => http::response(&preflight_reply(), None),
        Ok(Route::Unrecognized) => http::rejection(&Rejection::Unrecognized),
        Ok(Route::WellKnown(_)) if !head.is_read() => http::rejection(&Rejection::WellKnownMethod),
        Ok(Route::WellKnown(document)) => well_known::answer(&call, document).await,
        Ok(Route::Media(media)) => media::answer(&call, media).await,
        Ok(Route::Purge) if head.method != Method::POST => http::rejection(&Rejection::PurgeMethod),
        Ok(Route::Purge) => match authorize(head, config) {
            Ok(()) => purges::answer(&call).await,
            Err(rejection) => http::rejection(&rejection),
        },
        Ok(Route::Upload(to)) => uploads::answer(&call, to).await,
        Ok(Route::Limits(door)) => uploads::limits(&call, door).await,
        Ok(Route::Forward(endpoint)) => forward_media(&call, endpoint).await,
        Ok(Route::Passthrough(upstream)) => {
            let request = forward::passthrough_request(head, upstream, config);
            // The runtime's own object: it may be a WebSocket, and nothing in it is ours to touch.
            match origin::ask_with_body(&call, request).await {
                Ok(response) => Ok(response),
                Err(error) => http::rejection(&Rejection::Origin(error)),
            }
        }
    }
}

/// A media endpoint that the origin answers each time.
async fn forward_media(call: &Call, endpoint: Endpoint) -> Result<web_sys::Response, JsValue> {
    let request = forward::media_request(&call.head, &call.config);
    match origin::ask_with_body(call, request).await {
        Ok(response) => {
            let head = forward::media_reply(&call.head, endpoint, &http::origin_head(&response));
            http::response(&head, response.body().as_ref())
        }
        Err(error) => {
            let (head, text) = forward::media_failure(endpoint, error);
            http::text_response(&head, &text)
        }
    }
}

/// An error of the runtime, for the log.
fn describe(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => error.message().into(),
        None => error.as_string().unwrap_or_default(),
    }
}
