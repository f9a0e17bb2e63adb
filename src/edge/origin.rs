//! `fetch` to the origin: no redirect followed, no cache of the platform's in between, a deadline
//! on the head and none on the body.

use ::http::header::CONNECTION;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStream, Request, RequestCache, RequestInit, RequestRedirect,
    Response,
};

use super::report::warn;
use super::tasks::within;
use super::{Call, clock, http};
use crate::config::Config;
use crate::headers::is_named_by_connection;
use crate::request::{Keep, OriginError, OriginHead, OriginRequest, Patience};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    fn global_fetch(request: &Request) -> js_sys::Promise;
}

/// What the origin has answered.
pub(super) struct Answer {
    pub(super) head: OriginHead,
    pub(super) response: Response,
}

/// Sends a request that no client has asked for.
pub(super) async fn ask_alone(
    config: &Config,
    request: &OriginRequest,
) -> Result<Answer, OriginError> {
    send(config, None, request, None).await
}

/// Sends a request without a body, and once more if the connection was lost: it may have been one
/// kept from before that the origin had closed meanwhile (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
pub(super) async fn ask(call: &Call, request: &OriginRequest) -> Result<Answer, OriginError> {
    match send_for(call, request, None).await {
        Err(OriginError::Unreachable) => send_for(call, request, None).await,
        answer => answer,
    }
}

/// Sends a request with the client's body, streamed by the runtime. That of a GET or HEAD means
/// nothing (RFC 9110 §9.3.1), and the runtime can't send it.
pub(super) async fn ask_with_body(
    call: &Call,
    request: OriginRequest,
) -> Result<Answer, OriginError> {
    let body = call.request.body().filter(|_| !call.head.is_read());
    send_for(call, &request, body).await
}

async fn send_for(
    call: &Call,
    request: &OriginRequest,
    body: Option<ReadableStream>,
) -> Result<Answer, OriginError> {
    let began_ms = clock::now_unix_millis();
    let answer = send(&call.config, Some(&call.request), request, body).await;
    let head = answer.as_ref().ok().map(|answer| &answer.head);
    call.recorder.asked_origin(&request.method, head, began_ms);
    answer
}

async fn send(
    config: &Config,
    client: Option<&Request>,
    request: &OriginRequest,
    body: Option<ReadableStream>,
) -> Result<Answer, OriginError> {
    let unreachable = |error: JsValue| {
        warn("origin", &error);
        OriginError::Unreachable
    };
    let controller = AbortController::new().map_err(unreachable)?;
    let init = RequestInit::new();
    init.set_method(request.method.as_str());
    init.set_headers_headers(&headers(config, client, request).map_err(unreachable)?);
    init.set_redirect(RequestRedirect::Manual);
    // The platform's own cache would answer without asking the homeserver.
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(&controller.signal()));
    if let Some(body) = &body {
        init.set_body(body);
    }
    let request_out = Request::new_with_str_and_init(&request.url, &init).map_err(unreachable)?;
    let fetch = global_fetch(&request_out);
    let answer = match request.patience {
        Patience::Client => JsFuture::from(fetch).await,
        Patience::Millis(millis) => within(millis, fetch).await.ok_or_else(|| {
            controller.abort();
            OriginError::TimedOut
        })?,
    };
    let response: Response = answer.map_err(unreachable)?.unchecked_into();
    // The local runtime takes an interim response (RFC 9110 §15.2) for the answer; a 101 is one.
    if response.status() < 200 && response.status() != 101 {
        return Err(OriginError::Unreachable);
    }
    Ok(Answer { head: http::origin_head(&response), response })
}

/// The client's headers that go along, copied by the runtime so that repeated fields stay apart,
/// and ours on top.
fn headers(
    config: &Config,
    client: Option<&Request>,
    request: &OriginRequest,
) -> Result<Headers, JsValue> {
    let headers = match client.filter(|_| request.keep != Keep::Nothing) {
        Some(client) => Headers::new_with_headers(&client.headers())?,
        None => Headers::new()?,
    };
    let connection = headers.get(CONNECTION.as_str())?.unwrap_or_default();
    for (name, _) in http::entries(&headers) {
        if !request.keep.admits(&name) || is_named_by_connection(&connection, &name) {
            headers.delete(&name)?;
        }
    }
    http::set_headers(&headers, &request.set)?;
    if request.is_for_homeserver {
        for header in &config.origin_headers {
            headers.set(&header.name, &String::from_utf8_lossy(header.value.as_bytes()))?;
        }
    }
    Ok(headers)
}
