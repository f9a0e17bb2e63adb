//! Heads of the runtime to heads of the core, and back. Bodies are handed on by reference.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Headers, ReadableStream, Request, Response};

use crate::message::target::split_url;
use crate::message::{READ, ReplyHead, RequestHead};
use crate::origin::OriginHead;
use crate::origin::response_headers::ANSWERED;

#[wasm_bindgen(module = "/src/shell/runtime/heads.js")]
extern "C" {
    #[wasm_bindgen(js_name = requestHead)]
    fn request_head_text(request: &Request, names: &JsValue) -> String;

    #[wasm_bindgen(js_name = entries)]
    fn entries_text(headers: &Headers) -> String;

    #[wasm_bindgen(catch, js_name = response)]
    fn response_of(status: u16, headers: &str, body: &JsValue) -> Result<Response, JsValue>;
}

thread_local! {
    /// The names in [`READ`], for the runtime.
    static READ_NAMES: JsValue =
        READ.iter().map(|name| JsValue::from_str(name.as_str())).collect::<js_sys::Array>().into();
}

/// The head of the client's request; nothing, if its method or URL can't be read.
pub(crate) fn request_head(request: &Request) -> Option<RequestHead> {
    let text = READ_NAMES.with(|names| request_head_text(request, names));
    let mut lines = text.split('\n');
    let method = Method::from_bytes(lines.next()?.as_bytes()).ok()?;
    let url = split_url(lines.next()?)?;
    Some(RequestHead {
        method,
        scheme: url.scheme.to_owned(),
        authority: url.authority.to_owned(),
        headers: known(lines, &READ),
        target: url.target,
    })
}

/// The head of an origin's answer.
pub(crate) fn origin_head(response: &Response) -> OriginHead {
    let headers = known(entries_text(&response.headers()).split('\n'), &ANSWERED);
    let status = StatusCode::from_u16(response.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    OriginHead { status, headers }
}

/// Those of the headers that the core knows. The runtime reads and writes their bytes as UTF-8.
fn known<'a>(mut lines: impl Iterator<Item = &'a str>, names: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if let Some(name) = names.iter().find(|known| known.as_str() == name)
            && let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
        {
            headers.append(name.clone(), value);
        }
    }
    headers
}

/// A response with this stream for a body.
pub(crate) fn response(
    head: &ReplyHead,
    body: Option<&ReadableStream>,
) -> Result<Response, JsValue> {
    let body = body.map_or(JsValue::NULL, |body| body.unchecked_ref::<JsValue>().clone());
    response_of(head.status.as_u16(), &to_text(&head.headers), &body)
}

/// A response with these bytes for a body.
pub(crate) fn bytes_response(head: &ReplyHead, bytes: &Uint8Array) -> Result<Response, JsValue> {
    response_of(head.status.as_u16(), &to_text(&head.headers), bytes)
}

/// A response with this text for a body.
pub(crate) fn text_response(head: &ReplyHead, text: &str) -> Result<Response, JsValue> {
    response_of(head.status.as_u16(), &to_text(&head.headers), &text.into())
}

/// Lower-case names and values; those of one name are joined.
pub(crate) fn entries(headers: &Headers) -> Vec<(String, String)> {
    let text = entries_text(headers);
    let mut lines = text.split('\n').map(str::to_owned);
    std::iter::from_fn(|| lines.next().zip(lines.next())).collect()
}

/// Headers as `heads.js` reads them.
pub(crate) fn to_text(headers: &HeaderMap) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        push_header(&mut text, name.as_str(), value);
    }
    text
}

/// One more of them.
pub(crate) fn push_header(text: &mut String, name: &str, value: &HeaderValue) {
    text.push_str(name);
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(value.as_bytes()));
    text.push('\n');
}
