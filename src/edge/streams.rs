//! What is done to streams other than handing them on.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, ReadableStreamDefaultReader};
use worker::Context;

/// Splits a stream in two that the runtime feeds from one buffer.
pub(super) fn tee(stream: &ReadableStream) -> (ReadableStream, ReadableStream) {
    let branches = stream.tee();
    (branches.get(0).unchecked_into(), branches.get(1).unchecked_into())
}

/// Lets go of a stream that nobody will read.
pub(super) fn release(context: &Context, stream: Option<&ReadableStream>) {
    if let Some(stream) = stream {
        let cancelled = stream.cancel();
        // A stream that is broken already can't be cancelled, which is just as well.
        context.wait_until(async {
            let _ = JsFuture::from(cancelled).await;
        });
    }
}

/// Reads a small document; nothing, if it is longer than `limit` bytes.
///
/// # Errors
/// The stream broke.
pub(super) async fn read_bounded(
    stream: &ReadableStream,
    limit: usize,
) -> Result<Option<Vec<u8>>, JsValue> {
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let chunk = JsFuture::from(reader.read()).await?;
        if Reflect::get(&chunk, &"done".into())?.is_truthy() {
            return Ok(Some(bytes));
        }
        let chunk: Uint8Array = Reflect::get(&chunk, &"value".into())?.unchecked_into();
        if bytes.len() + chunk.length() as usize > limit {
            let _ = JsFuture::from(reader.cancel()).await;
            return Ok(None);
        }
        bytes.extend(chunk.to_vec());
    }
}
