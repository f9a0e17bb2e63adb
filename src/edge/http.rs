//! Heads of the runtime to heads of the core, and back. Bodies are handed on by reference.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use js_sys::{Array, Iterator};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Headers, ReadableStream, Request, Response, ResponseInit};

use crate::headers::READ;
use crate::matrix_error::Rejection;
use crate::request::{OriginHead, ReplyHead, RequestHead};
use crate::target::split_url;

/// The head of the client's request; nothing, if its method or URL can't be read.
pub(super) fn request_head(request: &Request) -> Option<RequestHead> {
    let url = request.url();
    let url = split_url(&url)?;
    let from = request.headers();
    let mut headers = HeaderMap::new();
    for name in READ {
        if let Ok(Some(text)) = from.get(name.as_str())
            && let Some(value) = to_value(&text)
        {
            headers.insert(name, value);
        }
    }
    Some(RequestHead {
        method: Method::from_bytes(request.method().as_bytes()).ok()?,
        scheme: url.scheme.to_owned(),
        authority: url.authority.to_owned(),
        target: url.target,
        headers,
    })
}

/// The head of an origin's answer.
pub(super) fn origin_head(response: &Response) -> Result<OriginHead, JsValue> {
    let mut headers = HeaderMap::new();
    for (name, text) in entries(&response.headers())? {
        if let (Ok(name), Some(value)) = (name.parse::<HeaderName>(), to_value(&text)) {
            headers.append(name, value);
        }
    }
    let status = StatusCode::from_u16(response.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    Ok(OriginHead { status, headers })
}

/// A response with this stream for a body.
pub(super) fn response(
    head: &ReplyHead,
    body: Option<&ReadableStream>,
) -> Result<Response, JsValue> {
    Response::new_with_opt_readable_stream_and_init(body, &init(head)?)
}

/// A response with this text for a body.
pub(super) fn text_response(head: &ReplyHead, text: &str) -> Result<Response, JsValue> {
    Response::new_with_opt_str_and_init(Some(text), &init(head)?)
}

/// An error of ours.
pub(super) fn rejection(rejection: &Rejection) -> Result<Response, JsValue> {
    let (head, text) = rejection.reply();
    text_response(&head, &text)
}

/// Headers of the runtime with these values.
pub(super) fn set_headers(into: &Headers, from: &HeaderMap) -> Result<(), JsValue> {
    for (name, value) in from {
        into.set(name.as_str(), &to_text(value))?;
    }
    Ok(())
}

/// Lower-case names and values; those of one name are joined.
pub(super) fn entries(headers: &Headers) -> Result<Vec<(String, String)>, JsValue> {
    let iterator: Iterator = headers.entries().unchecked_into();
    let mut entries = Vec::new();
    for pair in &iterator {
        let pair: Array = pair?.unchecked_into();
        if let (Some(name), Some(value)) = (pair.get(0).as_string(), pair.get(1).as_string()) {
            entries.push((name, value));
        }
    }
    Ok(entries)
}

fn init(head: &ReplyHead) -> Result<ResponseInit, JsValue> {
    let headers = Headers::new()?;
    set_headers(&headers, &head.headers)?;
    let init = ResponseInit::new();
    init.set_status(head.status.as_u16());
    init.set_headers(&headers);
    Ok(init)
}

/// The runtime reads and writes header bytes as UTF-8.
fn to_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

fn to_text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
