//! What is done to streams other than handing them on.

use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, WritableStream};
use worker_sys::Context;

use crate::headers::range::ByteRange;
use crate::shell::runtime::tasks::forget;

#[wasm_bindgen(module = "/src/shell/body/streams.js")]
extern "C" {
    #[wasm_bindgen(js_name = readBounded)]
    fn read_bounded_promise(stream: &ReadableStream, limit: usize) -> Promise;

    #[wasm_bindgen(js_name = readObject)]
    fn read_object_promise(stream: &ReadableStream, limit: usize, length: Option<f64>) -> Promise;
}

/// Splits a stream in two that the runtime feeds from one buffer.
pub(crate) fn tee(stream: &ReadableStream) -> (ReadableStream, ReadableStream) {
    let branches = stream.tee();
    (branches.get(0).unchecked_into(), branches.get(1).unchecked_into())
}

/// A pipe of the runtime's whose length is known beforehand, and which breaks if it ends short.
#[wasm_bindgen]
extern "C" {
    pub(crate) type FixedLengthStream;

    #[wasm_bindgen(constructor)]
    fn new(length: f64) -> FixedLengthStream;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn readable(this: &FixedLengthStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn writable(this: &FixedLengthStream) -> WritableStream;
}

/// A pipe for `length` bytes.
#[expect(clippy::cast_precision_loss, reason = "no body is of 2^53 bytes")]
pub(crate) fn fixed_length(length: u64) -> FixedLengthStream {
    FixedLengthStream::new(length as f64)
}

/// The same stream, but a short body breaks it instead of looking whole.
pub(crate) fn guard(context: &Context, stream: &ReadableStream, length: u64) -> ReadableStream {
    let pipe = fixed_length(length);
    forget(context, stream.pipe_to(&pipe.writable()));
    pipe.readable()
}

/// A part of bytes, by reference.
pub(crate) fn part_of(bytes: &Uint8Array, range: ByteRange) -> Uint8Array {
    let offset = |offset: u64| u32::try_from(offset).unwrap_or(u32::MAX);
    bytes.subarray(offset(range.first), offset(range.first + range.length()))
}

/// Lets go of a stream that nobody will read.
pub(crate) fn release(context: &Context, stream: Option<&ReadableStream>) {
    if let Some(stream) = stream {
        // A stream that is broken already can't be cancelled, which is just as well.
        forget(context, stream.cancel());
    }
}

/// Reads a small document; nothing, if it is longer than `limit` bytes.
///
/// # Errors
/// The stream broke.
pub(crate) async fn read_bounded(
    stream: &ReadableStream,
    limit: usize,
) -> Result<Option<Vec<u8>>, JsValue> {
    bytes_of(read_bounded_promise(stream, limit)).await
}

/// Reads a JSON object, and does not wait for the end of the stream behind it: the runtime may hold
/// that back while the client is still sending. `length` is what was told of it.
///
/// # Errors
/// The stream broke.
pub(crate) async fn read_object(
    stream: &ReadableStream,
    limit: usize,
    length: Option<u64>,
) -> Result<Option<Vec<u8>>, JsValue> {
    #[expect(clippy::cast_precision_loss, reason = "no body is of 2^53 bytes")]
    let length = length.map(|length| length as f64);
    bytes_of(read_object_promise(stream, limit, length)).await
}

async fn bytes_of(promise: Promise) -> Result<Option<Vec<u8>>, JsValue> {
    let bytes = JsFuture::from(promise).await?;
    Ok((!bytes.is_undefined()).then(|| bytes.unchecked_into::<Uint8Array>().to_vec()))
}
