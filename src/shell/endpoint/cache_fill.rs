//! A body on its way to the client and into the stores at once.

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};

use crate::cache::entry::StoredMeta;
use crate::cache::filling::{Commit, Way};
use crate::cache::key::CacheKey;
use crate::endpoint::download::Cut;
use crate::message::ReplyHead;
use crate::origin::pace::Pace;
use crate::shell::body::pump::{Beginning, Rest, Sink, pump};
use crate::shell::body::streams;
use crate::shell::request_context::Call;
use crate::shell::runtime::tasks::{detach, serve};
use crate::shell::runtime::{clock, heads};
use crate::shell::store::coalescing::{self, Fill, MAX_AWAITED_BYTES, Stage};
use crate::shell::store::fills::{self, Buffer};
use crate::shell::store::{bucket, memory, pop, tiers};

thread_local! {
    /// How fast the origin sends, as far as this isolate has seen.
    static PACE: Cell<Pace> = const { Cell::new(Pace::UNKNOWN) };
}

fn learn(bytes: u64, millis: u64, is_unhindered: bool) {
    let mut pace = PACE.get();
    pace.learn(bytes, millis, is_unhindered);
    PACE.set(pace);
}

/// Whether the client is about to read a whole body, be it as a part.
fn is_whole(cut: Cut) -> bool {
    match cut {
        Cut::Whole | Cut::Multipart(_) => true,
        Cut::Part(range, length) => range.length() == length,
    }
}

/// Where the body comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The origin.
    Origin {
        /// Something else was stored under this key.
        replaces: bool,
    },
    /// The bucket, which needs no copy of it.
    Bucket,
}

/// A body to be stored.
pub(crate) struct Filling<'a> {
    pub(crate) call: &'a Call,
    pub(crate) key: &'a CacheKey,
    pub(crate) meta: Rc<StoredMeta>,
    pub(crate) source: Source,
    pub(crate) fill: Option<Fill>,
}

impl Filling<'_> {
    /// Stores the body, and sends as much of it as the cut says; nothing, if there is none.
    ///
    /// Takes no step that waits: both branches of a stream that is stored and served must be taken
    /// up on the same turn, or the runtime buffers the whole of it.
    pub(crate) fn respond(
        self,
        head: &ReplyHead,
        cut: Option<Cut>,
        body: Option<ReadableStream>,
    ) -> Result<Response, JsValue> {
        // Of a body that is split, a branch that nobody reads would be kept whole.
        let cut = cut.filter(|_| !self.call.context.has_left());
        let length = self.meta.length_bytes();
        let (Some(cut), Some(body)) = (cut, &body) else {
            if self.source == Source::Bucket || PACE.get().is_in_time(length) {
                self.store(body.as_ref())?;
            } else {
                streams::release(&self.call.context, body.as_ref());
            }
            return heads::response(head, None);
        };
        let context = Rc::clone(&self.call.context);
        let ((sink, for_client), beginning) = match cut {
            Cut::Whole if self.is_vain() => {
                return heads::response(head, Some(&streams::guard(&context, body, length)));
            }
            Cut::Whole => {
                let (for_client, for_store) = streams::tee(body);
                // The platform would cut the fill off in the middle of a body that takes its time; and
                // an object of the bucket's may have been replaced by a shorter one.
                let is_guarded = length > MAX_AWAITED_BYTES || self.source == Source::Bucket;
                self.store(Some(&for_store))?;
                let for_client = if is_guarded {
                    streams::guard(&context, &for_client, length)
                } else {
                    for_client
                };
                return heads::response(head, Some(&for_client));
            }
            Cut::Part(range, _) => (Sink::part(range)?, Beginning::Free),
            Cut::Multipart(length) => (Sink::whole(length)?, Beginning::Multipart),
        };
        let sink = sink.read_by(&context);
        let (is_from_origin, is_whole) = (self.source != Source::Bucket, is_whole(cut));
        let is_worth = self.is_alone() && (!is_from_origin || PACE.get().is_in_time(length));
        if self.is_vain() || (!is_whole && !is_worth) {
            serve(&context, pump(body.clone(), vec![sink], beginning, None));
            return heads::response(head, Some(&for_client));
        }
        let rest = Rest {
            length,
            is_worth: |bytes| PACE.get().is_in_time(bytes),
            came: |bytes, millis| learn(bytes, millis, true),
        };
        let (store_sink, for_store) = Sink::whole(length)?;
        self.fill(Some(&for_store))?;
        let rest = is_from_origin.then_some(rest);
        detach(&context, pump(body.clone(), vec![sink, store_sink], beginning, rest));
        heads::response(head, Some(&for_client))
    }

    /// Whether the body is in the bucket already, and nowhere else to be stored: the data centre's cache
    /// has shown nothing lately.
    fn is_vain(&self) -> bool {
        self.source == Source::Bucket && self.way() == Way::BucketAlone
    }

    fn way(&self) -> Way {
        fills::way(self.key, self.meta.length_bytes(), self.call.bucket.is_some())
    }

    /// Whether no other fill of this body is under way in this isolate.
    fn is_alone(&self) -> bool {
        !coalescing::is_under_way(Stage::Unawaited, self.key)
    }

    /// Stores the body. One of the bucket's breaks if it is short.
    pub(crate) fn store(self, body: Option<&ReadableStream>) -> Result<(), JsValue> {
        let (context, length) = (&self.call.context, self.meta.length_bytes());
        match body {
            Some(body) if self.source == Source::Bucket && !self.is_vain() => {
                let whole = streams::guard_copy(context, body, length);
                self.fill(Some(&whole))
            }
            body => self.fill(body),
        }
    }

    /// Fills the tiers with a body that breaks if it is short.
    fn fill(self, body: Option<&ReadableStream>) -> Result<(), JsValue> {
        if let Source::Origin { replaces: true } = self.source {
            memory::remove(self.key);
        }
        match (self.source, self.way()) {
            (Source::Origin { replaces }, Way::Buffer) => self.fill_all(body, replaces),
            (Source::Origin { replaces }, Way::BucketAlone) => self.fill_bucket(body, replaces),
            (Source::Bucket, Way::BucketAlone) => {
                streams::release(&self.call.context, body);
                Ok(())
            }
            (source, _) => self.fill_pop(body, source),
        }
    }

    /// Reads a small body into a buffer, and fills every tier from that.
    fn fill_all(self, body: Option<&ReadableStream>, replaces: bool) -> Result<(), JsValue> {
        let Self { call, key, meta, fill, .. } = self;
        let (call, key) = (call.clone(), key.clone());
        let buffer = Buffer::new(meta.length_bytes());
        // It is at most 1 MiB.
        let length = u32::try_from(meta.length_bytes()).unwrap_or(u32::MAX);
        let reading = streams::read_whole(body, length);
        detach(&call.context.clone(), async move {
            if let Some(bytes) = reading.await {
                tiers::fill(&call, &key, memory::Entry { meta, bytes }, replaces, fill).await;
            }
            drop(buffer);
        });
        Ok(())
    }

    /// Stores a large body in the bucket, where the data centre's cache shows nothing.
    fn fill_bucket(self, body: Option<&ReadableStream>, replaces: bool) -> Result<(), JsValue> {
        let Self { call, key, meta, .. } = self;
        let (Some(bucket), Some(body)) = (call.bucket.clone(), body) else { return Ok(()) };
        let (key, body) = (key.clone(), body.clone());
        let whole = streams::guard_copy(&call.context, &body, meta.length_bytes());
        detach(&call.context, async move {
            bucket::store(&bucket, &key, &meta, &whole, replaces).await;
        });
        Ok(())
    }

    /// Stores a body at the data centre. What the origin has sent is copied to the bucket from there.
    fn fill_pop(self, body: Option<&ReadableStream>, source: Source) -> Result<(), JsValue> {
        let Self { call, key, meta, fill, .. } = self;
        let length = meta.length_bytes();
        let head = meta.entry_head(&call.config, clock::now_unix_secs());
        let entry = heads::response(&head, body)?;
        let began_millis = clock::now_unix_millis();
        let put = pop::put(&call.config, key, &entry);
        // Those who wait for a small body go on when it is stored, others at once.
        let fill = fill.filter(|_| length <= MAX_AWAITED_BYTES);
        let unawaited = coalescing::begin(&call.context, Stage::Unawaited, key);
        let (call, key) = (call.clone(), key.clone());
        detach(&call.context.clone(), async move {
            put.await;
            let (context, config, record) = (&call.context, &call.config, meta.to_text());
            let mut commit = fills::look_first(context, config, &key, &record, length).await;
            drop((fill, unawaited));
            let Source::Origin { replaces } = source else { return };
            if commit == Commit::Whole {
                learn(length, clock::now_unix_millis().saturating_sub(began_millis), false);
            }
            if call.bucket.is_none() {
                return;
            }
            if commit == Commit::Unknown {
                commit = fills::look_on(context, config, &key, &record, length).await;
            }
            if commit == Commit::Whole {
                tiers::copy_to_bucket(&call, &key, replaces).await;
            }
        });
        Ok(())
    }
}
