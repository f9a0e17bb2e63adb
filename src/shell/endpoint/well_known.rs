//! `GET` and `HEAD` of `/.well-known/matrix/{client,server}`: fetches the documents, and keeps the
//! last good copy of each (see [`crate::endpoint::well_known`]).
//!
//! Before this, the entry has answered 405 to another method.
//!
//! 1. Looks the copy up at the data centre. If it is fresh, 200.
//! 2. Asks the document's host, and follows its redirects.
//! 3. Decides on the answer: a document or the last good copy, 200; a 404 that has lasted, 404; no
//!    good answer and no copy, 502; any other answer, its own status.
//! 4. If the answer is not good and there is no copy here, looks in the bucket, where another data
//!    centre may have stored one, and decides again.
//! 5. Stores or removes the copies, at the data centre and in the bucket, in the background.

use std::cell::Cell;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use ::http::{Method, StatusCode};
use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};

use crate::cache::entry::STORED_META;
use crate::cache::key::{CacheKey, Subject};
use crate::endpoint::well_known::{
    self, CopyChange, Fetched, KeptDocument, MAX_DOCUMENT_BYTES, MAX_KEPT_BYTES, TIMEOUT_MS,
    WellKnownReply,
};
use crate::headers::cache_control::public_for;
use crate::matrix::well_known::Document;
use crate::message::ReplyHead;
use crate::origin::OriginError;
use crate::origin::redirect::{Next, Redirects};
use crate::shell::body::streams;
use crate::shell::origin::fetch::{self, Answer};
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::tasks::{detach, timeout};
use crate::shell::runtime::{clock, heads};
use crate::shell::store::bucket::{self, Condition};
use crate::shell::store::pop;

thread_local! {
    /// When this isolate found no copy of a document in the bucket.
    static NO_CLIENT_COPY: Cell<Option<u64>> = const { Cell::new(None) };
    static NO_SERVER_COPY: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Answers a request for a document.
pub(crate) async fn answer(
    context: &RequestContext,
    document: Document,
) -> Result<Response, JsValue> {
    let key = CacheKey::new(&context.config.server_name, Subject::WellKnown(document));
    let mut kept = look_up(context, &key).await;
    let now = clock::now_unix_secs();
    if let Some(kept) = &kept
        && let Some(reply) = well_known::fresh_reply(document, kept, &context.config, now)
    {
        return respond(context, reply, None);
    }
    let (fetched, body) = match timeout(TIMEOUT_MS, fetch(context, document)).await {
        Some(fetched) => fetched?,
        None => (Fetched::Failed(OriginError::TimedOut), None),
    };
    let decide = |kept: Option<&KeptDocument>| {
        well_known::decide(document, &fetched, kept, &context.config, clock::now_unix_secs())
    };
    let (mut reply, mut change) = decide(kept.as_ref());
    if change == CopyChange::Unchanged && kept.is_none() {
        // Its host has answered no document: another data centre may have stored one.
        kept = look_up_in_bucket_again(context, document, &key).await;
        if kept.is_some() {
            (reply, change) = decide(kept.as_ref());
        }
    }
    match change {
        CopyChange::Unchanged => {}
        CopyChange::Remove => {
            pop::remove(&context.runtime, &context.config, &key);
            remove_from_bucket(context, &key);
        }
        CopyChange::Store(new) => {
            store(context, &key, &new)?;
            if kept.is_none_or(|kept| new.differs_from(&kept)) {
                store_in_bucket(context, &key, new);
            }
        }
    }
    respond(context, reply, body)
}

/// Asks the document's host. Returns what the core reads of the answer, and the body, unread, for a reply
/// that passes it untouched.
async fn fetch(
    context: &RequestContext,
    document: Document,
) -> Result<(Fetched, Option<ReadableStream>), JsValue> {
    let first = format!("{}{}", context.config.well_known, document.path());
    let mut redirects = Redirects::begin(first);
    loop {
        let request =
            well_known::request(redirects.url().to_owned(), &context.head, &context.config);
        let Answer { head, response } = match fetch::ask(context, &request).await {
            Ok(answer) => answer,
            Err(error) => return Ok((Fetched::Failed(error), None)),
        };
        let body = response.body();
        match redirects.next(&head) {
            Next::Stay => {}
            Next::Follow => {
                streams::release(&context.runtime, body.as_ref());
                continue;
            }
            Next::TooMany => {
                streams::release(&context.runtime, body.as_ref());
                return Ok((Fetched::Failed(OriginError::Unreachable), None));
            }
        }
        let Some(body) = body else { return Ok((Fetched::Whole(head, Vec::new()), None)) };
        if head.content_length().is_some_and(|length| length > MAX_DOCUMENT_BYTES as u64) {
            return Ok((Fetched::Oversize(head), Some(body)));
        }
        let (to_read, untouched) = streams::tee(&body);
        let fetched = match streams::read_bounded(&to_read, MAX_DOCUMENT_BYTES).await {
            Ok(Some(bytes)) => Fetched::Whole(head, bytes),
            Ok(None) => Fetched::Oversize(head),
            Err(_) => Fetched::Failed(OriginError::Unreachable),
        };
        return Ok((fetched, Some(untouched)));
    }
}

fn respond(
    context: &RequestContext,
    reply: WellKnownReply,
    body: Option<ReadableStream>,
) -> Result<Response, JsValue> {
    match reply {
        WellKnownReply::Untouched(head) if context.head.method != Method::HEAD => {
            context.reply(head, body.as_ref())
        }
        WellKnownReply::Untouched(head) => {
            streams::release(&context.runtime, body.as_ref());
            context.reply(head, None)
        }
        WellKnownReply::Document(head, text) => {
            streams::release(&context.runtime, body.as_ref());
            context.reply_text(head, &text)
        }
        WellKnownReply::Rejected(rejection) => {
            streams::release(&context.runtime, body.as_ref());
            context.reject(&rejection)
        }
    }
}

async fn look_up(context: &RequestContext, key: &CacheKey) -> Option<KeptDocument> {
    let response = pop::look_up(&context.config, key).await?;
    let meta = response.headers().get(STORED_META.as_str()).ok()??;
    let text = streams::read_bounded(&response.body()?, MAX_DOCUMENT_BYTES).await.ok()??;
    KeptDocument::parse(&meta, text)
}

/// Looks a copy up in the bucket, unless this isolate has found none there not long ago.
async fn look_up_in_bucket_again(
    context: &RequestContext,
    document: Document,
    key: &CacheKey,
) -> Option<KeptDocument> {
    let looked = match document {
        Document::Client => &NO_CLIENT_COPY,
        Document::Server => &NO_SERVER_COPY,
    };
    let now = clock::now_unix_secs();
    if !well_known::may_be_in_bucket(looked.get(), now) {
        return None;
    }
    let kept = look_up_in_bucket(context, key).await;
    looked.set(kept.is_none().then_some(now));
    kept
}

async fn look_up_in_bucket(context: &RequestContext, key: &CacheKey) -> Option<KeptDocument> {
    let found = bucket::read_text(context.bucket.as_ref()?, key, MAX_KEPT_BYTES).await.ok()?;
    KeptDocument::from_text(&found?.0)
}

/// Stores a document in the bucket, in the background, unless it is there already.
fn store_in_bucket(context: &RequestContext, key: &CacheKey, new: KeptDocument) {
    let Some(bucket) = context.bucket.clone() else { return };
    let (context, key) = (context.clone(), key.clone());
    detach(&context.runtime.clone(), async move {
        let stored = look_up_in_bucket(&context, &key).await;
        if stored.is_none_or(|stored| new.differs_from(&stored)) {
            bucket::write_text(&bucket, &key, &new.to_text(), &Condition::None).await;
        }
    });
}

fn remove_from_bucket(context: &RequestContext, key: &CacheKey) {
    let Some(bucket) = context.bucket.clone() else { return };
    let key = key.clone();
    detach(&context.runtime, async move { bucket::remove(&bucket, &key).await });
}

fn store(context: &RequestContext, key: &CacheKey, kept: &KeptDocument) -> Result<(), JsValue> {
    let headers = HeaderMap::from_iter([
        (CACHE_CONTROL, public_for(context.config.cache_secs)),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (STORED_META, kept.meta()),
    ]);
    let head = ReplyHead::new(StatusCode::OK, headers);
    let entry = heads::text_response(&head, &kept.text)?;
    pop::store_entry(&context.runtime, &context.config, key, &entry);
    Ok(())
}
