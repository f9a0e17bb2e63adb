//! Sends on what the origin answers each time.

use ::http::Method;
use ::http::header::LOCATION;
use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};

use crate::endpoint::forward;
use crate::error::Rejection;
use crate::message::ReplyHead;
use crate::origin::{OriginError, OriginHead, OriginRequest};
use crate::route::{Endpoint, Upstream};
use crate::shell::body::streams;
use crate::shell::origin::fetch::{self, Answer};
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::heads;

/// A media endpoint that the origin answers each time.
pub(crate) async fn answer(call: &RequestContext, endpoint: Endpoint) -> Result<Response, JsValue> {
    let request = forward::endpoint_request(&call.head, endpoint, &call.config);
    let answer = fetch::ask_with_body(call, &request).await;
    if let Ok(Answer { head, .. }) = &answer
        && forward::asks_again_by_get(endpoint, &request.method, head)
    {
        return answer_by_get(call, endpoint, request).await;
    }
    match relay(call, endpoint, &request.method, answer).await {
        Ok(Relayed { head, body, .. }) => call.reply(head, body.as_ref()),
        Err(error) => call.fail(endpoint, error),
    }
}

/// Answers a HEAD by what a GET brings, without its body.
async fn answer_by_get(
    call: &RequestContext,
    endpoint: Endpoint,
    head: OriginRequest,
) -> Result<Response, JsValue> {
    let request = OriginRequest { method: Method::GET, ..head };
    let answer = fetch::ask(call, &request).await;
    match relay(call, endpoint, &request.method, answer).await {
        Ok(Relayed { head, body, .. }) => {
            streams::release(&call.context, body.as_ref());
            call.reply(head, None)
        }
        Err(error) => call.fail(endpoint, error),
    }
}

/// The origin's answer, on its way to the client.
pub(crate) struct Relayed {
    /// The head for the client.
    pub(crate) head: ReplyHead,
    /// The head as the origin sent it.
    pub(crate) origin: OriginHead,
    /// The body, unread.
    pub(crate) body: Option<ReadableStream>,
}

/// Reads as much of an answer to a request of this method as shows whose it is.
///
/// # Errors
/// There was none, or something else answered in the origin's place.
pub(crate) async fn relay(
    call: &RequestContext,
    endpoint: Endpoint,
    method: &Method,
    answer: Result<Answer, OriginError>,
) -> Result<Relayed, OriginError> {
    let Answer { head, response } = answer?;
    let (answer, body) = fetch::read(head, response.body(), OriginHead::may_be_matrix_error).await;
    match forward::media_reply(endpoint, &call.head, method, &answer, &call.config) {
        Ok(head) => Ok(Relayed { head, origin: answer.head, body }),
        Err(error) => {
            streams::release(&call.context, body.as_ref());
            Err(error)
        }
    }
}

/// Streams through what is no media.
pub(crate) async fn pass_through(
    call: &RequestContext,
    upstream: Upstream,
) -> Result<Response, JsValue> {
    let request = forward::passthrough_request(&call.head, upstream, &call.config);
    // The runtime's own object: it may be a WebSocket, and nothing in it is ours to touch but the
    // origin's name in a redirect.
    match fetch::ask_with_body(call, &request).await {
        Ok(Answer { head, response }) => match forward::passthrough_location(&head, &call.config) {
            Some(location) => heads::with_header(&response, LOCATION.as_str(), &location),
            None => Ok(response),
        },
        Err(error) => call.reject(&Rejection::Origin(error)),
    }
}
