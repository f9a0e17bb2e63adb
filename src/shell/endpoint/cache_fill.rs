//! A body on its way to the client and into the stores at once.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};

use crate::cache::entry::StoredMeta;
use crate::cache::filling::{Commit, Way};
use crate::cache::key::CacheKey;
use crate::endpoint::download::Cut;
use crate::message::ReplyHead;
use crate::shell::body::pump::{Beginning, Sink, pump};
use crate::shell::body::streams;
use crate::shell::request_context::Call;
use crate::shell::runtime::tasks::detach;
use crate::shell::runtime::{clock, heads};
use crate::shell::store::coalescing::{Fill, MAX_AWAITED_BYTES};
use crate::shell::store::fills::{self, Buffer};
use crate::shell::store::{bucket, memory, pop, tiers};

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
        let (Some(cut), Some(body)) = (cut, &body) else {
            self.store(body.as_ref())?;
            return heads::response(head, None);
        };
        let ((sink, for_client), beginning) = match cut {
            Cut::Whole => {
                let (for_client, for_store) = streams::tee(body);
                self.store(Some(&for_store))?;
                return heads::response(head, Some(&for_client));
            }
            Cut::Part(range, _) => (Sink::part(range)?, Beginning::Free),
            Cut::Multipart(length) => (Sink::whole(length)?, Beginning::Multipart),
        };
        let context = Rc::clone(&self.call.context);
        let (store_sink, for_store) = Sink::whole(self.meta.length_bytes())?;
        self.store(Some(&for_store))?;
        detach(&context, pump(body.clone(), vec![sink, store_sink], beginning));
        heads::response(head, Some(&for_client))
    }

    /// Stores the body.
    pub(crate) fn store(self, body: Option<&ReadableStream>) -> Result<(), JsValue> {
        let length = self.meta.length_bytes();
        if let Source::Origin { replaces: true } = self.source {
            memory::remove(self.key);
        }
        match (self.source, fills::way(self.key, length, self.call.bucket.is_some())) {
            (Source::Origin { replaces }, Way::Buffer) => self.fill_all(body, replaces),
            (Source::Origin { replaces }, Way::BucketAlone) => self.fill_bucket(body, replaces),
            // The cache shows nothing: it would be read for nobody.
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
        let whole = streams::guard(&call.context, &body, meta.length_bytes());
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
        let put = pop::put(&call.config, key, &entry);
        // Those who wait for a small body go on when it is stored, others at once.
        let fill = fill.filter(|_| length <= MAX_AWAITED_BYTES);
        let (call, key) = (call.clone(), key.clone());
        detach(&call.context.clone(), async move {
            put.await;
            let (context, config, record) = (&call.context, &call.config, meta.to_text());
            let mut commit = fills::look_first(context, config, &key, &record, length).await;
            drop(fill);
            let Source::Origin { replaces } = source else { return };
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
