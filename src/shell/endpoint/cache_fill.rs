//! Cache fills: a body on its way to the client and into the tiers at once.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};

use crate::cache::cache_fill::{Commit, Way};
use crate::cache::entry::StoredMeta;
use crate::cache::key::CacheKey;
use crate::endpoint::download::BodySlice;
use crate::headers::range::ByteRange;
use crate::message::ReplyHead;
use crate::message::presence::MAX_BACKGROUND_MS;
use crate::shell::body::pump::{Rest, Sink, pump};
use crate::shell::body::streams::PipeEnd;
use crate::shell::body::{envelope, streams};
use crate::shell::endpoint::fill_watch::{GivenUp, OtherwiseAt, Watch, Watched};
use crate::shell::origin::known;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::tasks::{detach, serve};
use crate::shell::runtime::{clock, heads};
use crate::shell::store::cache_fill::{self, Buffer};
use crate::shell::store::coalescing::{self, FillPermit, FillTarget, MAX_COALESCED_BYTES};
use crate::shell::store::{bucket, memory, pop, tiers};

/// Returns whether a body of this length is worth fetching in the background: it is not being
/// fetched, no fill of it has failed not long ago, and it can come in time.
pub(crate) fn is_worth_beginning(key: &CacheKey, length: u64) -> bool {
    let is_new =
        !coalescing::is_under_way(FillTarget::Large, key) && !cache_fill::is_fruitless(key);
    is_new && known::pace().is_in_time(length)
}

/// Where the body comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The origin.
    Origin {
        /// Whether another response was stored under this key.
        replaces: bool,
    },
    /// The bucket, which needs no copy of the body.
    Bucket,
}

/// How a fill may be ended early.
#[derive(Default)]
struct Ending {
    /// Whether a client reads the body meanwhile.
    is_read: bool,
    /// Ends the fill; `None` if it is never ended early, or the pump ends it.
    pipe: Option<PipeEnd>,
    given_up: GivenUp,
}

/// A body to be stored.
pub(crate) struct CacheFill<'a> {
    pub(crate) context: &'a RequestContext,
    pub(crate) key: &'a CacheKey,
    pub(crate) meta: Rc<StoredMeta>,
    pub(crate) source: Source,
    pub(crate) permit: Option<FillPermit>,
}

impl CacheFill<'_> {
    /// Stores the body, and makes a response of `slice` of it; with `None`, of the head alone.
    pub(crate) async fn respond(
        self,
        head: &ReplyHead,
        slice: Option<BodySlice>,
        body: Option<ReadableStream>,
    ) -> Result<Response, JsValue> {
        // The runtime would buffer all of a branch that nobody reads.
        let slice = slice.filter(|_| !self.context.runtime.has_left());
        let length = self.meta.length_bytes();
        match (slice, body) {
            (None, body) | (_, body @ None) => {
                if self.source == Source::Bucket || known::pace().is_in_time(length) {
                    self.store(body.as_ref())?;
                } else {
                    streams::release(&self.context.runtime, body.as_ref());
                }
                heads::response(head, None)
            }
            (Some(BodySlice::Range(range, length)), Some(body)) if range.length() < length => {
                self.respond_part(head, range, body)
            }
            (Some(BodySlice::MultipartEnvelope(_)), Some(body)) => {
                let opened = envelope::open(body).await?;
                let is_media = opened.holds_media();
                let whole = opened.into_stream(&self.context.runtime, length)?;
                if is_media {
                    return self.respond_whole(head, &whole, None);
                }
                // It is not stored: requests that wait for this fill should not wait for another.
                cache_fill::record_fruitless(self.key);
                heads::response(head, Some(&whole))
            }
            (Some(BodySlice::Whole | BodySlice::Range(..)), Some(body)) => {
                if !self.enforces_length() {
                    return self.respond_whole(head, &body, None);
                }
                let (body, end) =
                    streams::enforce_length_until(&self.context.runtime, &body, length)?;
                self.respond_whole(head, &body, Some(end))
            }
        }
    }

    /// Stores a body, and makes a response of all of it. A pipe between a branch of the `tee` and
    /// its reader would make the runtime buffer what the slower branch has not read, so `pipe`
    /// stands before the split. It is ended if the reader leaves and the rest can't come in time.
    fn respond_whole(
        self,
        head: &ReplyHead,
        body: &ReadableStream,
        pipe: Option<PipeEnd>,
    ) -> Result<Response, JsValue> {
        if self.is_vain() || !self.is_alone() {
            return heads::response(head, Some(body));
        }
        // Both branches are taken up on one turn, or the runtime buffers the whole body.
        let (for_client, for_store) = streams::tee(body);
        self.fill(Some(&for_store), Ending { is_read: true, pipe, ..Ending::default() })?;
        heads::response(head, Some(&for_client))
    }

    /// Makes a response of a part of a body, and stores the whole if that is worth it.
    fn respond_part(
        self,
        head: &ReplyHead,
        range: ByteRange,
        body: ReadableStream,
    ) -> Result<Response, JsValue> {
        let runtime = Rc::clone(&self.context.runtime);
        let length = self.meta.length_bytes();
        let (sink, for_client) = Sink::part(range)?;
        let sink = sink.read_by(&runtime);
        let is_from_origin = self.source != Source::Bucket;
        let otherwise = OtherwiseAt::new(&self.context.config, self.meta.validator());
        let is_worth =
            move |bytes, left_ms| known::pace().ends_in_time(bytes, left_ms, otherwise.now());
        let is_begun = self.is_alone() && (!is_from_origin || is_worth(length, MAX_BACKGROUND_MS));
        if self.is_vain() || !is_begun {
            serve(&runtime, pump(body, vec![sink], None));
            return heads::response(head, Some(&for_client));
        }
        let (waiting, announcing, key) =
            (Rc::clone(&runtime), Rc::clone(&runtime), self.key.clone());
        let ending = Ending { is_read: true, ..Ending::default() };
        let given_up = ending.given_up.clone();
        let rest = Rest {
            length,
            is_worth: Box::new(move |bytes| {
                let left_ms = waiting.background_ms().unwrap_or(MAX_BACKGROUND_MS);
                let is_worth = is_worth(bytes, left_ms);
                if !is_worth {
                    given_up.set();
                }
                is_worth
            }),
            announce: Box::new(move || {
                Box::new(coalescing::begin(&announcing, FillTarget::Unhindered, &key))
            }),
            came: |bytes, ms| known::learn_pace(bytes, ms, true),
        };
        let (store_sink, for_store) = Sink::whole(length)?;
        self.fill(Some(&for_store), ending)?;
        let rest = is_from_origin.then_some(rest);
        detach(&runtime, pump(body, vec![sink, store_sink], rest));
        heads::response(head, Some(&for_client))
    }

    /// Returns whether a fill would be in vain: the body comes from the bucket, and the data
    /// centre's cache has failed to show new entries.
    fn is_vain(&self) -> bool {
        self.source == Source::Bucket && self.way() == Way::BucketAlone
    }

    fn way(&self) -> Way {
        cache_fill::way(self.key, self.meta.length_bytes(), self.context.bucket.is_some())
    }

    /// Returns whether no other fill of this body is under way in this isolate.
    fn is_alone(&self) -> bool {
        !coalescing::is_under_way(FillTarget::Large, self.key)
    }

    /// Returns whether a body goes through a pipe of its length. The platform would cut off a fill in the
    /// middle of a body that takes its time, an object of the bucket's may have been replaced by a
    /// shorter one, and the bucket takes no body of unknown length.
    fn enforces_length(&self) -> bool {
        let is_awaited = self.meta.length_bytes() <= MAX_COALESCED_BYTES;
        !is_awaited || self.source == Source::Bucket || self.way() == Way::BucketAlone
    }

    /// Stores the body, which no client reads.
    pub(crate) fn store(self, body: Option<&ReadableStream>) -> Result<(), JsValue> {
        let (runtime, length) = (&self.context.runtime, self.meta.length_bytes());
        match body {
            Some(body) if self.enforces_length() && !self.is_vain() => {
                let (whole, end) = streams::enforce_copy_length_until(runtime, body, length)?;
                self.fill(Some(&whole), Ending { pipe: Some(end), ..Ending::default() })
            }
            body => self.fill(body, Ending::default()),
        }
    }

    /// Fills the tiers with a body that breaks if it is shorter than its length.
    fn fill(self, body: Option<&ReadableStream>, ending: Ending) -> Result<(), JsValue> {
        if let Source::Origin { replaces: true } = self.source {
            memory::remove(self.key);
        }
        match (self.source, self.way()) {
            (Source::Origin { replaces }, Way::Buffer) => self.fill_all(body, replaces),
            (Source::Origin { replaces }, Way::BucketAlone) => {
                self.fill_bucket(body, replaces, ending);
                Ok(())
            }
            (Source::Bucket, Way::BucketAlone) => {
                streams::release(&self.context.runtime, body);
                Ok(())
            }
            (source, _) => self.fill_pop(body, source, ending),
        }
    }

    /// Reads a small body into a buffer, and fills every tier from that.
    fn fill_all(self, body: Option<&ReadableStream>, replaces: bool) -> Result<(), JsValue> {
        let Self { context, key, meta, permit, .. } = self;
        let (context, key) = (context.clone(), key.clone());
        let buffer = Buffer::new(meta.length_bytes());
        // It is at most 1 MiB.
        let length = u32::try_from(meta.length_bytes()).unwrap_or(u32::MAX);
        let reading = streams::read_whole(body, length);
        detach(&context.runtime.clone(), async move {
            if let Some(bytes) = reading.await {
                tiers::fill(&context, &key, memory::Entry { meta, bytes }, replaces, permit).await;
            }
            drop(buffer);
        });
        Ok(())
    }

    /// Stores a large body in the bucket alone.
    fn fill_bucket(self, body: Option<&ReadableStream>, replaces: bool, ending: Ending) {
        let watch = self.watch(ending);
        let Self { context, key, meta, .. } = self;
        let (Some(bucket), Some(body)) = (context.bucket.clone(), body) else { return };
        let (key, body) = (key.clone(), body.clone());
        detach(&context.runtime, async move {
            bucket::store(&bucket, &key, &meta, &body, replaces).await;
            drop(watch);
        });
    }

    /// Begins to watch the fill of a large body.
    fn watch(&self, Ending { is_read, pipe, given_up }: Ending) -> Watch {
        let watched = Watched {
            key: self.key.clone(),
            length: self.meta.length_bytes(),
            is_read,
            otherwise: OtherwiseAt::new(&self.context.config, self.meta.validator()),
            // What comes from the bucket costs the origin nothing.
            end: pipe.filter(|_| self.source != Source::Bucket),
            given_up,
        };
        Watch::begin(self.context, watched)
    }

    /// Stores a body at the data centre. A body from the origin is then copied to the bucket from
    /// there.
    fn fill_pop(
        self,
        body: Option<&ReadableStream>,
        source: Source,
        ending: Ending,
    ) -> Result<(), JsValue> {
        let watch = self.watch(ending);
        let Self { context, key, meta, permit, .. } = self;
        let length = meta.length_bytes();
        let head = meta.entry_head(&context.config, clock::now_unix_secs());
        let entry = heads::response(&head, body)?;
        let began_ms = clock::now_unix_ms();
        let put = pop::put(&context.config, key, &entry);
        // Requests that wait for a small body go on when it is stored, others at once.
        let permit = permit.filter(|_| length <= MAX_COALESCED_BYTES);
        let (context, key) = (context.clone(), key.clone());
        detach(&context.runtime.clone(), async move {
            put.await;
            let (runtime, config, record) = (&context.runtime, &context.config, meta.to_text());
            if watch.has_given_up() {
                cache_fill::remove_broken(runtime, config, &key, &record, length).await;
                return;
            }
            let mut commit = cache_fill::look_first(runtime, config, &key, &record, length).await;
            drop((permit, watch));
            let Source::Origin { replaces } = source else { return };
            if commit == Commit::Whole {
                known::learn_pace(length, clock::now_unix_ms().saturating_sub(began_ms), false);
            }
            if context.bucket.is_none() {
                return;
            }
            if commit == Commit::Unknown {
                commit = cache_fill::look_on(runtime, config, &key, &record, length).await;
            }
            if commit == Commit::Whole {
                tiers::copy_to_bucket(&context, &key, replaces).await;
            }
        });
        Ok(())
    }
}
