//! Any method and path that the cache has no part in (see [`crate::endpoint::forward`]).
//!
//! A media endpoint ([`answer`]):
//!
//! 1. Sends the request to the homeserver, with its body.
//! 2. Sends a HEAD of a download that may not be known there again as a GET ([`answer_by_get`]).
//! 3. [`relay`]s the homeserver's answer, with its own status. If there is none, or an
//!    intermediary's, 502 or 504; for a proxy that refuses the request's form, 400, 411, 413, 414,
//!    415 or 431.
//!
//! What passes through ([`pass_through`]):
//!
//! 1. Sends the request to the homeserver or the host of the well-known documents, with its body.
//! 2. Returns the runtime's own response, with its own status. If there is none, 502.

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

/// Answers a request to a media endpoint that the origin answers each time.
pub(crate) async fn answer(
    context: &RequestContext,
    endpoint: Endpoint,
) -> Result<Response, JsValue> {
    let request = forward::endpoint_request(&context.head, endpoint, &context.config);
    let answer = fetch::ask_with_body(context, &request).await;
    if let Ok(Answer { head, .. }) = &answer
        && forward::asks_again_by_get(endpoint, &request.method, head)
    {
        return answer_by_get(context, endpoint, request).await;
    }
    match relay(context, endpoint, &request.method, answer).await {
        Ok(Relayed { head, body, .. }) => context.reply(head, body.as_ref()),
        Err(error) => context.fail(endpoint, error),
    }
}

/// Answers a HEAD with the head that a GET brings.
async fn answer_by_get(
    context: &RequestContext,
    endpoint: Endpoint,
    head: OriginRequest,
) -> Result<Response, JsValue> {
    let request = OriginRequest { method: Method::GET, ..head };
    let answer = fetch::ask(context, &request).await;
    match relay(context, endpoint, &request.method, answer).await {
        Ok(Relayed { head, body, .. }) => {
            streams::release(&context.runtime, body.as_ref());
            context.reply(head, None)
        }
        Err(error) => context.fail(endpoint, error),
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

/// Reads as much of an answer to a request of this method as shows who gave it. Returns the heads, and
/// the body unread.
///
/// # Errors
/// There was no answer, or an intermediary gave it in the origin's place.
pub(crate) async fn relay(
    context: &RequestContext,
    endpoint: Endpoint,
    method: &Method,
    answer: Result<Answer, OriginError>,
) -> Result<Relayed, OriginError> {
    let Answer { head, response } = answer?;
    let (answer, body) = fetch::read(head, response.body(), OriginHead::may_be_matrix_error).await;
    match forward::media_reply(endpoint, &context.head, method, &answer, &context.config) {
        Ok(head) => Ok(Relayed { head, origin: answer.head, body }),
        Err(error) => {
            streams::release(&context.runtime, body.as_ref());
            Err(error)
        }
    }
}

/// Sends on a request that is not for media, and returns the answer as it comes.
pub(crate) async fn pass_through(
    context: &RequestContext,
    upstream: Upstream,
) -> Result<Response, JsValue> {
    let request = forward::passthrough_request(&context.head, upstream, &context.config);
    // The runtime's own object, since it may be a WebSocket. Only the origin's name in a redirect is
    // replaced.
    match fetch::ask_with_body(context, &request).await {
        Ok(Answer { head, response }) => {
            match forward::passthrough_location(&head, &context.config) {
                Some(location) => heads::with_header(&response, LOCATION.as_str(), &location),
                None => Ok(response),
            }
        }
        Err(error) => context.reject(&Rejection::Origin(error)),
    }
}
