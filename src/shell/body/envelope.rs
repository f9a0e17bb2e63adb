//! Envelopes of federation media, whose head leaves in one piece (see [`crate::matrix::multipart`]).
//!
//! Only the head is read here; the runtime moves the rest.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ReadableStream, ReadableStreamByobReader};

use crate::matrix::multipart::{MAX_PREAMBLE_BYTES, holds_media, preamble_length};
use crate::shell::body::streams;
use crate::shell::runtime::context::Context;
use crate::shell::runtime::settling::{settled, sleep};
use crate::shell::runtime::tasks::{serve, serve_by};

/// How much is read at once, in bytes: more than the longest head, so that the head mostly comes
/// whole.
const READ_BYTES: u32 = 64 * 1024;

/// A body whose first bytes have been read.
pub(crate) struct Opened {
    /// The first bytes, with an envelope's head whole; `None` where the body is empty or broke off.
    first: Option<Uint8Array>,
    holds_media: bool,
    rest: ReadableStream,
}

/// Reads the head of an envelope, and leaves the rest in the stream.
///
/// # Errors
/// The body is locked by another reader.
pub(crate) async fn open(body: ReadableStream) -> Result<Opened, JsValue> {
    let reader = ReadableStreamByobReader::new(&body)?;
    let first = read_first(&reader).await.ok().flatten();
    reader.release_lock();
    let beginning = first.as_ref().map(beginning_of).unwrap_or_default();
    let head = preamble_length(&beginning).map(|length| &beginning[..length]);
    Ok(Opened { holds_media: head.is_some_and(holds_media), first, rest: body })
}

impl Opened {
    /// Returns whether it is an envelope of media, not of a `Location` or something else altogether.
    pub(crate) fn holds_media(&self) -> bool {
        self.holds_media
    }

    /// Returns the body of `length` bytes as a stream for a client, with the head in one piece. The
    /// stream breaks if the body is of another length.
    ///
    /// # Errors
    /// The runtime refuses a pipe.
    pub(crate) fn into_stream(
        self,
        context: &Context,
        length: u64,
    ) -> Result<ReadableStream, JsValue> {
        let pipe = streams::fixed_length(length)?;
        let (reading, rest, writable) = (context.reading(), self.rest, pipe.writable());
        if let Some(first) = self.first {
            let writer = writable.get_writer()?;
            // If it fails, the pipe breaks, which is seen below.
            drop(settled(&writer.write_with_chunk(&first)));
            writer.release_lock();
            serve_by(context, reading, rest.pipe_to(&writable));
        } else {
            serve(context, async move {
                // If the body had broken by now, the runtime would not even send the response's
                // head.
                let _ = sleep(0).await;
                let _ = settled(&rest.pipe_to(&writable)).await;
                drop(reading);
            });
        }
        Ok(pipe.readable())
    }
}

/// Reads until an envelope's head is complete, or can't be one. Returns all bytes that were read;
/// `None` for an empty body.
async fn read_first(reader: &ReadableStreamByobReader) -> Result<Option<Uint8Array>, JsValue> {
    let mut bytes = Vec::new();
    loop {
        let buffer = Uint8Array::new_with_length(READ_BYTES);
        let read = settled(&reader.read_with_array_buffer_view(&buffer)).await?;
        if Reflect::get(&read, &"done".into())?.is_truthy() {
            return Ok((!bytes.is_empty()).then(|| Uint8Array::from(bytes.as_slice())));
        }
        let chunk: Uint8Array = Reflect::get(&read, &"value".into())?.unchecked_into();
        if bytes.is_empty() && is_enough(&beginning_of(&chunk)) {
            return Ok(Some(chunk));
        }
        bytes.extend(chunk.to_vec());
        if is_enough(&bytes) {
            return Ok(Some(Uint8Array::from(bytes.as_slice())));
        }
    }
}

/// Returns whether these bytes have the end of a head, or are more than a head may take.
fn is_enough(bytes: &[u8]) -> bool {
    bytes.len() >= MAX_PREAMBLE_BYTES || preamble_length(bytes).is_some()
}

/// Returns a copy of as much of a chunk as a head may take.
fn beginning_of(chunk: &Uint8Array) -> Vec<u8> {
    chunk.subarray(0, chunk.length().min(MAX_PREAMBLE_BYTES as u32)).to_vec()
}
