//! Sends on what the origin answers each time.

use wasm_bindgen::JsValue;
use web_sys::Response;

use crate::endpoint::forward;
use crate::error::Rejection;
use crate::route::{Endpoint, Upstream};
use crate::shell::origin::fetch;
use crate::shell::request_context::Call;

/// A media endpoint that the origin answers each time.
pub(crate) async fn answer(call: &Call, endpoint: Endpoint) -> Result<Response, JsValue> {
    let request = forward::media_request(&call.head, &call.config);
    match fetch::ask_with_body(call, request).await {
        Ok(answer) => {
            let head = forward::media_reply(endpoint, &answer.head);
            call.reply(head, answer.response.body().as_ref())
        }
        Err(error) => call.fail(endpoint, error),
    }
}

/// Streams through what is no media.
pub(crate) async fn pass_through(call: &Call, upstream: Upstream) -> Result<Response, JsValue> {
    let request = forward::passthrough_request(&call.head, upstream, &call.config);
    // The runtime's own object: it may be a WebSocket, and nothing in it is ours to touch.
    match fetch::ask_with_body(call, request).await {
        Ok(answer) => Ok(answer.response),
        Err(error) => call.reject(&Rejection::Origin(error)),
    }
}
