//! Moves a stream into sinks that want different parts of it, chunk by chunk at the pace of the
//! slowest. The chunks stay the runtime's: only references pass through here.
//!
//! Where every sink wants all of a stream, the runtime's own `tee` is better. Here a client wants a
//! part, while the cache may want the whole.

use std::any::Any;

use js_sys::{ArrayBuffer, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ReadableStream, ReadableStreamByobReader, WritableStreamDefaultWriter};

use crate::headers::range::ByteRange;
use crate::origin::pace::MIN_TELLING_BYTES;
use crate::shell::body::streams;
use crate::shell::runtime::clock;
use crate::shell::runtime::context::{Context, Reading};
use crate::shell::runtime::settling::settled;
use crate::shell::runtime::tasks::timeout;

/// How much is moved at once, in bytes.
const CHUNK_BYTES: u32 = 64 * 1024;

/// How long a store may take for one chunk, in milliseconds, before the client goes on without it.
const STORE_TIMEOUT_MS: u32 = 5_000;

/// A stream that is read into one buffer, again and again: buffers of their own would be garbage
/// that the runtime lets grow to tens of megabytes.
struct Source {
    reader: ReadableStreamByobReader,
    buffer: ArrayBuffer,
}

impl Source {
    fn new(stream: &ReadableStream) -> Result<Self, JsValue> {
        let reader = ReadableStreamByobReader::new(stream)?;
        Ok(Self { reader, buffer: ArrayBuffer::new(CHUNK_BYTES) })
    }

    /// Reads the next bytes, which the next call overwrites. Returns `None` at the end.
    async fn read(&mut self) -> Result<Option<Uint8Array>, JsValue> {
        let whole = Uint8Array::new(&self.buffer);
        let read = settled(&self.reader.read_with_array_buffer_view(&whole)).await?;
        if Reflect::get(&read, &"done".into())?.is_truthy() {
            return Ok(None);
        }
        let chunk: Uint8Array = Reflect::get(&read, &"value".into())?.unchecked_into();
        self.buffer = chunk.buffer();
        Ok(Some(chunk))
    }
}

/// A sink that takes a part of a stream.
pub(crate) struct Sink {
    writer: WritableStreamDefaultWriter,
    first: u64,
    /// Offset behind the last byte wanted.
    end: u64,
    is_open: bool,
    /// Counts the client as reading until the sink is closed; `None` for a store.
    reading: Option<Reading>,
}

impl Sink {
    /// Returns a sink that takes `range`, and the stream that its bytes come out of.
    pub(crate) fn part(range: ByteRange) -> Result<(Self, ReadableStream), JsValue> {
        Self::new(range.first, range.length())
    }

    /// Returns a sink that takes a whole body, and the stream that its bytes come out of.
    pub(crate) fn whole(length: u64) -> Result<(Self, ReadableStream), JsValue> {
        Self::new(0, length)
    }

    fn new(first: u64, length: u64) -> Result<(Self, ReadableStream), JsValue> {
        let pipe = streams::fixed_length(length)?;
        let writer = pipe.writable().get_writer()?;
        Ok((
            Self { writer, first, end: first + length, is_open: true, reading: None },
            pipe.readable(),
        ))
    }

    /// Names the client that the sink is for, who counts as reading until the sink is closed.
    pub(crate) fn read_by(mut self, context: &Context) -> Self {
        self.reading = Some(context.reading());
        self
    }

    /// Writes the bytes of a chunk that the sink takes. A sink whose reader has left, or whose
    /// store is too slow, is closed.
    async fn take(&mut self, offset: u64, chunk: &Uint8Array) {
        let chunk_end = offset + u64::from(chunk.length());
        let (first, end) = (self.first.max(offset), self.end.min(chunk_end));
        if self.is_open && first < end {
            let part = match (relative(first, offset), relative(end, offset)) {
                (0, len) if len == chunk.length() => chunk.clone(),
                (start, end) => chunk.subarray(start, end),
            };
            let written = settled(&self.writer.write_with_chunk(&part));
            self.is_open = if self.reading.is_some() {
                written.await.is_ok()
            } else {
                timeout(STORE_TIMEOUT_MS, written).await.is_some_and(|written| written.is_ok())
            };
            if !self.is_open {
                self.reading = None;
                // The other end breaks, so that its reader knows that the body is not whole.
                drop(settled(&self.writer.abort_with_reason(&"it takes nothing".into())));
            }
        }
        if self.is_open && chunk_end >= self.end {
            self.close().await;
        }
    }

    async fn close(&mut self) {
        self.is_open = false;
        let _ = settled(&self.writer.close()).await;
        self.reading = None;
    }

    async fn abort(&mut self, reason: &JsValue) {
        if self.is_open {
            self.is_open = false;
            self.reading = None;
            let _ = settled(&self.writer.abort_with_reason(reason)).await;
        }
    }
}

/// What becomes of a body once the first sink, its client's, has taken its part.
pub(crate) struct Rest {
    /// How long the whole body is.
    pub(crate) length: u64,
    /// Returns whether that number of bytes is worth fetching for the other sinks.
    pub(crate) is_worth: Box<dyn Fn(u64) -> bool>,
    /// Announces, until the returned value is dropped, that no client slows the fill down.
    pub(crate) announce: Box<dyn Fn() -> Box<dyn Any>>,
    /// Records how many bytes came within how many milliseconds while no client slowed them down.
    pub(crate) came: fn(u64, u64),
}

/// Moves a stream until every sink has its part or is broken, or the source ends. A source that
/// breaks also breaks the sinks, so that no reader takes a part for the whole.
pub(crate) async fn pump(stream: ReadableStream, mut sinks: Vec<Sink>, rest: Option<Rest>) {
    let mut source = match Source::new(&stream) {
        Ok(source) => source,
        Err(error) => return abort(&mut sinks, &error).await,
    };
    let outcome = pump_into(&mut source, &mut sinks, rest).await;
    abort(&mut sinks, &outcome.err().unwrap_or(JsValue::UNDEFINED)).await;
    let _ = settled(&source.reader.cancel()).await;
}

/// Breaks the sinks that have not taken all of their part.
async fn abort(sinks: &mut [Sink], reason: &JsValue) {
    for sink in sinks {
        sink.abort(reason).await;
    }
}

async fn pump_into(
    source: &mut Source,
    sinks: &mut [Sink],
    rest: Option<Rest>,
) -> Result<(), JsValue> {
    let mut offset = 0;
    let (mut alone_since, mut announced) = (None, None);
    for sink in sinks.iter_mut().filter(|sink| sink.first == sink.end) {
        sink.close().await;
    }
    while let Some(chunk) = source.read().await? {
        for sink in sinks.iter_mut() {
            sink.take(offset, &chunk).await;
        }
        offset += u64::from(chunk.length());
        let is_over = sinks.iter().all(|sink| !sink.is_open);
        if let Some(rest) =
            rest.as_ref().filter(|_| sinks.first().is_some_and(|sink| !sink.is_open))
        {
            let now = clock::now_unix_ms();
            let (first, began) = *alone_since.get_or_insert((offset, now));
            let is_telling = offset - first >= MIN_TELLING_BYTES;
            if is_over || is_telling {
                (rest.came)(offset - first, now.saturating_sub(began));
                alone_since = None;
            }
            let is_new = announced.is_none();
            if !is_over
                && (is_new || is_telling)
                && !(rest.is_worth)(rest.length.saturating_sub(offset))
            {
                return Err("the rest would not come in time".into());
            }
            announced.get_or_insert_with(|| (rest.announce)());
        }
        if is_over {
            return Ok(());
        }
    }
    Ok(())
}

/// Returns an offset within a chunk, which is never of 4 GiB.
fn relative(offset: u64, base: u64) -> u32 {
    u32::try_from(offset - base).unwrap_or(u32::MAX)
}
