//! `fetch` to the origin: no redirect followed, no cache of the platform's in between, a deadline
//! on the head and none on the body.

use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortSignal, ReadableStream, Request, Response};

use crate::config::Config;
use crate::headers::lines;
use crate::origin::client_headers::ClientHeaders;
use crate::origin::forwarding::homeserver_headers;
use crate::origin::{
    MAX_JSON_BYTES, OriginAnswer, OriginError, OriginHead, OriginRequest, Timeout,
};
use crate::shell::body::limit::LimitedBody;
use crate::shell::body::streams;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::log;
use crate::shell::runtime::tasks::{timeout, unless_timed_out};
use crate::shell::runtime::{clock, heads};

#[wasm_bindgen(module = "/src/shell/origin/fetch.js")]
extern "C" {
    #[derive(Clone)]
    #[wasm_bindgen(extends = Promise)]
    type Asked;

    #[wasm_bindgen(method, catch)]
    fn abort(this: &Asked) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = ask)]
    fn ask_promise(
        method: &str,
        url: &str,
        client: Option<&Request>,
        dropped: &str,
        set: &str,
        body: Option<&ReadableStream>,
        signal: Option<&AbortSignal>,
        ms: Option<u32>,
    ) -> Result<Asked, JsValue>;
}

/// How long a small JSON body may take, in milliseconds. One that takes longer is not read.
const BODY_TIMEOUT_MS: u32 = 5_000;

/// What the origin has answered.
pub(crate) struct Answer {
    pub(crate) head: OriginHead,
    pub(crate) response: Response,
}

/// What is sent with a request.
enum Body<'a> {
    None,
    /// The client's own, as the runtime has it.
    Stream(ReadableStream),
    /// The client's own, counted.
    Limited(&'a LimitedBody),
}

/// A request that is aborted if it is dropped before its answer.
struct Waiting(Option<Asked>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(asked) = self.0.take() {
            // One that can't be aborted ends with its client's request.
            let _ = asked.abort();
        }
    }
}

/// Sends a request of the edge's own, which is not recorded.
pub(crate) async fn ask_alone(
    config: &Config,
    request: &OriginRequest,
) -> Result<Answer, OriginError> {
    send(config, None, request, Body::None).await
}

/// Sends a request without a body, and once more if the connection was lost: the origin may have
/// closed a persistent connection meanwhile (RFC 9110 §9.2.2, RFC 9112 §9.3.1). Behind Cloudflare's
/// proxy that is a page of status 520.
pub(crate) async fn ask(
    context: &RequestContext,
    request: &OriginRequest,
) -> Result<Answer, OriginError> {
    match send_for(context, request, Body::None).await {
        Err(OriginError::Unreachable) => send_for(context, request, Body::None).await,
        Ok(Answer { head, response }) if head.is_of_lost_connection() => {
            streams::release(&context.runtime, response.body().as_ref());
            send_for(context, request, Body::None).await
        }
        answer => answer,
    }
}

/// Sends a request with the client's body, streamed by the runtime. The body of a GET or HEAD has
/// no meaning (RFC 9110 §9.3.1), and the runtime can't send one.
pub(crate) async fn ask_with_body(
    context: &RequestContext,
    request: &OriginRequest,
) -> Result<Answer, OriginError> {
    let body = context.request.body().filter(|_| !context.head.is_read());
    send_for(context, request, body.map_or(Body::None, Body::Stream)).await
}

/// Sends a request with a body that is counted on its way.
pub(crate) async fn ask_with_limited(
    context: &RequestContext,
    request: OriginRequest,
    body: &LimitedBody,
) -> Result<Answer, OriginError> {
    let answer = send_for(context, &request, Body::Limited(body)).await;
    body.answered();
    answer
}

async fn send_for(
    context: &RequestContext,
    request: &OriginRequest,
    body: Body<'_>,
) -> Result<Answer, OriginError> {
    let began_ms = clock::now_unix_ms();
    let answer = send(&context.config, Some(&context.request), request, body).await;
    let head = answer.as_ref().ok().map(|answer| &answer.head);
    context.recorder.asked_origin(&request.method, head, began_ms);
    answer
}

async fn send(
    config: &Config,
    client: Option<&Request>,
    request: &OriginRequest,
    body: Body<'_>,
) -> Result<Answer, OriginError> {
    let client = client.filter(|_| request.client_headers != ClientHeaders::None);
    let dropped = client.map(|client| dropped(client, request.client_headers)).unwrap_or_default();
    let mut set = lines::to_text(&request.set);
    if request.is_for_homeserver {
        set.push_str(&lines::to_text(&homeserver_headers(config)));
    }
    let ms = match request.timeout {
        Timeout::Client => None,
        Timeout::Ms(ms) => Some(ms),
    };
    let method = request.method.as_str();
    let unreachable = |error: JsValue| {
        log::warn_with("origin", &error);
        OriginError::Unreachable
    };
    let (body, signal) = match body {
        Body::None => (None, None),
        Body::Stream(stream) => (Some(stream), None),
        Body::Limited(body) => (Some(body.readable()), Some(body.signal())),
    };
    let (body, signal) = (body.as_ref(), signal.as_ref());
    let asked = ask_promise(method, &request.url, client, &dropped, &set, body, signal, ms)
        .map_err(unreachable)?;
    let mut waiting = Waiting(Some(asked.clone()));
    let answer = unless_timed_out(asked.into()).await;
    waiting.0 = None;
    let answer = answer.ok_or(OriginError::TimedOut)?;
    let response: Response = answer.map_err(unreachable)?.unchecked_into();
    match response.status() {
        101 | 200..=599 => Ok(Answer { head: heads::origin_head(&response), response }),
        // Some versions of the runtime take an interim response (RFC 9110 §15.2) for the answer.
        ..200 => Err(OriginError::Unreachable),
        600.. => Err(OriginError::Malformed),
    }
}

/// Reads the body of an answer if `is_needed` returns `true` for its head. Returns the answer, and
/// its body unread, for the client.
pub(crate) async fn read(
    head: OriginHead,
    body: Option<ReadableStream>,
    is_needed: impl FnOnce(&OriginHead) -> bool,
) -> (OriginAnswer, Option<ReadableStream>) {
    let body = match body {
        Some(body) if is_needed(&head) => body,
        body => return (OriginAnswer::unread(head), body),
    };
    let (unread, to_read) = streams::tee(&body);
    let reading = streams::read_object(&to_read, MAX_JSON_BYTES, head.content_length());
    let bytes = timeout(BODY_TIMEOUT_MS, reading).await;
    let bytes = bytes.and_then(Result::ok).flatten();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    (OriginAnswer { head, text }, Some(unread))
}

/// Returns the names of those of the client's headers that do not go along, on a line each.
fn dropped(client: &Request, client_headers: ClientHeaders) -> String {
    let entries = heads::entries(&client.headers());
    client_headers.dropped(&lines::fields(&entries).collect::<Vec<_>>()).join("\n")
}
