//! Heads of the runtime to heads of the core, and back. Bodies are handed on by reference.

use http::{Method, StatusCode};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Headers, ReadableStream, Request, Response};

use crate::headers::lines;
use crate::message::target::split_url;
use crate::message::{REQUEST_HEADERS, ReplyHead, RequestHead};
use crate::origin::OriginHead;
use crate::origin::response_headers::RESPONSE_HEADERS;

#[wasm_bindgen(module = "/src/shell/runtime/heads.js")]
extern "C" {
    #[wasm_bindgen(js_name = requestHead)]
    fn request_head_text(request: &Request, names: &JsValue) -> String;

    /// Returns all headers as [`lines`] has them: names in lower case, values of one name joined.
    pub(crate) fn entries(headers: &Headers) -> String;

    /// Returns a copy of a response with one header replaced.
    ///
    /// # Errors
    /// The runtime refuses the header.
    #[wasm_bindgen(catch, js_name = withHeader)]
    pub(crate) fn with_header(
        response: &Response,
        name: &str,
        value: &str,
    ) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch, js_name = response)]
    fn response_of(status: u16, headers: &str, body: &JsValue) -> Result<Response, JsValue>;
}

thread_local! {
    /// The names in [`REQUEST_HEADERS`], for the runtime.
    static REQUEST_HEADER_NAMES: JsValue =
        REQUEST_HEADERS
            .iter()
            .map(|name| JsValue::from_str(name.as_str()))
            .collect::<js_sys::Array>()
            .into();
}

/// Returns the head of the client's request; `None` if its method or URL can't be read.
pub(crate) fn request_head(request: &Request) -> Option<RequestHead> {
    let text = REQUEST_HEADER_NAMES.with(|names| request_head_text(request, names));
    let (method, rest) = text.split_once('\n')?;
    let (url, fields) = rest.split_once('\n').unwrap_or((rest, ""));
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let url = split_url(url)?;
    Some(RequestHead {
        method,
        scheme: url.scheme.to_owned(),
        authority: url.authority.to_owned(),
        headers: lines::parse(fields, &REQUEST_HEADERS),
        target: url.target,
    })
}

/// Returns the head of an origin's answer.
pub(crate) fn origin_head(response: &Response) -> OriginHead {
    let headers = lines::parse(&entries(&response.headers()), &RESPONSE_HEADERS);
    let status = StatusCode::from_u16(response.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    OriginHead { status, headers }
}

/// Makes a response with this stream for a body; with `None`, without one.
pub(crate) fn response(
    head: &ReplyHead,
    body: Option<&ReadableStream>,
) -> Result<Response, JsValue> {
    let body = body.map_or(JsValue::NULL, |body| body.unchecked_ref::<JsValue>().clone());
    response_of(head.status.as_u16(), &lines::to_text(&head.headers), &body)
}

/// Makes a response with these bytes for a body.
pub(crate) fn bytes_response(head: &ReplyHead, bytes: &Uint8Array) -> Result<Response, JsValue> {
    response_of(head.status.as_u16(), &lines::to_text(&head.headers), bytes)
}

/// Makes a response with this text for a body.
pub(crate) fn text_response(head: &ReplyHead, text: &str) -> Result<Response, JsValue> {
    response_of(head.status.as_u16(), &lines::to_text(&head.headers), &text.into())
}
