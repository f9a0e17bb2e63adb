//! Bodies without a length, on their way to the origin: counted by the runtime's side, chunk by chunk.

use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::{AbortSignal, ReadableStream};

#[wasm_bindgen(module = "/src/shell/body/limit.js")]
extern "C" {
    /// A body of at most `limit` bytes. If it is longer or breaks off, the request that it is for
    /// is aborted, so that the origin gets no end of it.
    pub(crate) type LimitedBody;

    #[wasm_bindgen(constructor)]
    fn limited(stream: Option<&ReadableStream>, limit: f64) -> LimitedBody;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn readable(this: &LimitedBody) -> ReadableStream;

    /// Returns the signal that aborts the request that the body is for.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn signal(this: &LimitedBody) -> AbortSignal;

    /// Aborts the request no more: its answer is to be read whatever becomes of the body.
    #[wasm_bindgen(method)]
    pub(crate) fn answered(this: &LimitedBody);

    /// Returns whether the body has been longer than the limit so far.
    #[wasm_bindgen(method, getter, js_name = isOver)]
    pub(crate) fn is_over(this: &LimitedBody) -> bool;

    #[wasm_bindgen(method, getter, js_name = wholeBytes)]
    fn whole(this: &LimitedBody) -> Option<f64>;
}

impl LimitedBody {
    /// Begins to move a stream; `None` stands for an empty one.
    #[expect(clippy::cast_precision_loss, reason = "no limit is of 2^53 bytes")]
    pub(crate) fn new(stream: Option<&ReadableStream>, limit_bytes: u64) -> Self {
        Self::limited(stream, limit_bytes as f64)
    }

    /// Returns the length of the body in bytes; `None` while its end has not come.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it counts whole bytes"
    )]
    pub(crate) fn whole_bytes(&self) -> Option<u64> {
        self.whole().map(|bytes| bytes as u64)
    }
}
