//! Moves a stream into sinks that want different parts of it, chunk by chunk at the pace of the
//! slowest. The chunks stay the runtime's: only references pass through here.
//!
//! Where every sink wants all of a stream the runtime's own `tee` is better. Here a client wants a
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

    /// The next bytes; they are overwritten by the next call.
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

/// One taker of a part of a stream.
pub(crate) struct Sink {
    writer: WritableStreamDefaultWriter,
    first: u64,
    /// Offset behind the last byte wanted.
    end: u64,
    is_open: bool,
    /// Whoever takes it is there until it is closed.
    reading: Option<Reading>,
}

impl Sink {
    /// A taker of `range`, and the stream that it comes out of.
    pub(crate) fn part(range: ByteRange) -> Result<(Self, ReadableStream), JsValue> {
        Self::new(range.first, range.length())
    }

    /// A taker of a whole body.
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

    /// Counts a request's client as its taker, who is there for as long as it takes something.
    pub(crate) fn read_by(mut self, context: &Context) -> Self {
        self.reading = Some(context.reading());
        self
    }

    /// Gives it what it wants of a chunk. A sink whose taker has left is closed.
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
                // Whoever takes the other end hears that it is not whole; nobody waits for that.
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

/// What becomes of a body when its client, the first sink, has had what they want.
pub(crate) struct Rest {
    /// How long the whole body is.
    pub(crate) length: u64,
    /// Whether so many bytes are worth fetching for the others.
    pub(crate) is_worth: Box<dyn Fn(u64) -> bool>,
    /// Announces that no client slows it down, until what is returned is dropped.
    pub(crate) announce: Box<dyn Fn() -> Box<dyn Any>>,
    /// Hears how many bytes came in how many milliseconds when no client was there to slow them down.
    pub(crate) came: fn(u64, u64),
}

/// Pumps until every sink has what it wants, is broken, or the source ends. A source that breaks
/// breaks the sinks, so that nobody takes a part for the whole.
pub(crate) async fn pump(stream: ReadableStream, mut sinks: Vec<Sink>, rest: Option<Rest>) {
    let mut source = match Source::new(&stream) {
        Ok(source) => source,
        Err(error) => return abort(&mut sinks, &error).await,
    };
    let outcome = pump_into(&mut source, &mut sinks, rest).await;
    abort(&mut sinks, &outcome.err().unwrap_or(JsValue::UNDEFINED)).await;
    let _ = settled(&source.reader.cancel()).await;
}

/// Breaks those that have not had all.
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

/// An offset within a chunk, which is never of 4 GiB.
fn relative(offset: u64, base: u64) -> u32 {
    u32::try_from(offset - base).unwrap_or(u32::MAX)
}
