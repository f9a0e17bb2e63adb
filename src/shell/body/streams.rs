//! Operations on streams: splitting, enforcing a length, reading small ones, releasing.

use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortController, ReadableStream, StreamPipeOptions};
use worker::worker_sys::FixedLengthStream;

use crate::headers::range::ByteRange;
use crate::shell::runtime::context::Context;
use crate::shell::runtime::settling::settled;
use crate::shell::runtime::tasks::{forget, serve_by};

#[wasm_bindgen(module = "/src/shell/body/streams.js")]
extern "C" {
    #[wasm_bindgen(js_name = readBounded)]
    fn read_bounded_promise(stream: &ReadableStream, limit: usize) -> Promise;

    #[wasm_bindgen(js_name = readWhole)]
    fn read_whole_promise(stream: &ReadableStream, length: u32) -> Promise;

    #[wasm_bindgen(js_name = readObject)]
    fn read_object_promise(stream: &ReadableStream, limit: usize, length: Option<f64>) -> Promise;
}

/// Splits a stream in two that the runtime feeds from one buffer.
pub(crate) fn tee(stream: &ReadableStream) -> (ReadableStream, ReadableStream) {
    let branches = stream.tee();
    (branches.get(0).unchecked_into(), branches.get(1).unchecked_into())
}

/// Returns a pipe of the runtime's for `length` bytes, which breaks if it ends short.
///
/// # Errors
/// The runtime refuses a pipe.
pub(crate) fn fixed_length(length: u64) -> Result<FixedLengthStream, JsValue> {
    FixedLengthStream::new_big_int(length.into())
}

/// Ends a pipe before all has gone through: both of its ends break.
pub(crate) struct PipeEnd(AbortController);

impl PipeEnd {
    /// Ends the pipe, if it has not ended.
    pub(crate) fn abort(&self) {
        self.0.abort();
    }
}

/// Returns a stream for the client that breaks, instead of looking whole, where the body is shorter
/// than `length`. While the client reads it, background work has no deadline: the platform, too,
/// counts from the end of a body that goes through a pipe.
///
/// # Errors
/// The runtime refuses a pipe.
pub(crate) fn enforce_length(
    context: &Context,
    stream: &ReadableStream,
    length: u64,
) -> Result<ReadableStream, JsValue> {
    let pipe = fixed_length(length)?;
    serve_by(context, context.reading(), stream.pipe_to(&pipe.writable()));
    Ok(pipe.readable())
}

/// Returns a stream as [`enforce_length`] does, and a way to end it early.
///
/// # Errors
/// The runtime refuses a pipe.
pub(crate) fn enforce_length_until(
    context: &Context,
    stream: &ReadableStream,
    length: u64,
) -> Result<(ReadableStream, PipeEnd), JsValue> {
    let (piping, readable, end) = pipe(stream, length)?;
    serve_by(context, context.reading(), piping);
    Ok((readable, end))
}

/// Returns a stream for a store that breaks where the body is shorter than `length`.
///
/// # Errors
/// The runtime refuses a pipe.
pub(crate) fn enforce_copy_length(
    context: &Context,
    stream: &ReadableStream,
    length: u64,
) -> Result<ReadableStream, JsValue> {
    let pipe = fixed_length(length)?;
    forget(context, stream.pipe_to(&pipe.writable()));
    Ok(pipe.readable())
}

/// Returns a stream as [`enforce_copy_length`] does, and a way to end it early.
///
/// # Errors
/// The runtime refuses a pipe.
pub(crate) fn enforce_copy_length_until(
    context: &Context,
    stream: &ReadableStream,
    length: u64,
) -> Result<(ReadableStream, PipeEnd), JsValue> {
    let (piping, readable, end) = pipe(stream, length)?;
    forget(context, piping);
    Ok((readable, end))
}

fn pipe(
    stream: &ReadableStream,
    length: u64,
) -> Result<(Promise, ReadableStream, PipeEnd), JsValue> {
    let (pipe, controller, options) =
        (fixed_length(length)?, AbortController::new()?, StreamPipeOptions::new());
    options.set_signal(&controller.signal());
    let piping = stream.pipe_to_with_options(&pipe.writable(), &options);
    Ok((piping, pipe.readable(), PipeEnd(controller)))
}

/// Returns a part of bytes, by reference.
pub(crate) fn part_of(bytes: &Uint8Array, range: ByteRange) -> Uint8Array {
    let offset = |offset: u64| u32::try_from(offset).unwrap_or(u32::MAX);
    bytes.subarray(offset(range.first), offset(range.first + range.length()))
}

/// Releases a stream that nobody will read.
pub(crate) fn release(context: &Context, stream: Option<&ReadableStream>) {
    if let Some(stream) = stream {
        // Cancelling a stream that is broken already fails, and changes nothing.
        forget(context, stream.cancel());
    }
}

/// Starts to read a small body of known length at once, so that other branches of its stream don't
/// wait. Returns its bytes; `None` if it has another length or breaks.
pub(crate) fn read_whole(
    stream: Option<&ReadableStream>,
    length: u32,
) -> impl Future<Output = Option<Uint8Array>> + 'static {
    let reading = stream.map(|stream| read_whole_promise(stream, length));
    async move {
        let Some(reading) = reading else {
            return (length == 0).then(|| Uint8Array::new(&0.into()));
        };
        let bytes = settled(&reading).await.ok()?;
        (!bytes.is_undefined()).then(|| bytes.unchecked_into())
    }
}

/// Reads a small body. Returns `None` if it is longer than `limit` bytes.
///
/// # Errors
/// The stream broke.
pub(crate) async fn read_bounded(
    stream: &ReadableStream,
    limit: usize,
) -> Result<Option<Vec<u8>>, JsValue> {
    bytes_of(read_bounded_promise(stream, limit)).await
}

/// Reads a JSON object, without waiting for the end of the stream behind it: the runtime may hold
/// that back while the client is still sending. `length` is the `Content-Length`, if there is one.
/// Returns `None` if the object is longer than `limit` bytes.
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
    let bytes = settled(&promise).await?;
    Ok((!bytes.is_undefined()).then(|| bytes.unchecked_into::<Uint8Array>().to_vec()))
}
