//! Drives one [`Exchange`]: looks up, asks, and moves the streams as the outcome says.

use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};

use super::{Call, cache, clock, forward_media, http, origin, streams};
use crate::exchange::{Begin, Body, EntryChange, Exchange, Outcome};
use crate::request::ReplyHead;
use crate::route::{Endpoint, MediaRequest};
use crate::stored::{STORED_META, StoredMeta};

/// Answers a request for media.
pub(super) async fn answer(call: &Call<'_>, media: MediaRequest) -> Result<Response, JsValue> {
    let door = media.door;
    let exchange = match Exchange::begin(call.config, call.head, media) {
        Begin::LookUp(exchange) => exchange,
        Begin::Bypass(reason) => return forward_media(call, Endpoint { door, reason }).await,
    };
    let key = exchange.key().clone();
    let found = cache::look_up(call.config, &key).await;
    let stored = found.as_ref().and_then(|response| {
        let text = response.headers().get(STORED_META.as_str()).ok()??;
        StoredMeta::parse(&text, &key)
    });
    let (request, pending) = exchange.on_lookup(stored);
    let answer = origin::ask(call, request).await;
    let origin_head = match &answer {
        Ok(response) => Ok(http::origin_head(response)?),
        Err(error) => Err(*error),
    };
    let outcome = pending.on_origin(origin_head, clock::now_unix_secs());
    if matches!(outcome.entry, EntryChange::Remove) {
        cache::remove(call.context, call.config, &key);
    }
    let origin_body = answer.ok().and_then(|response| response.body());
    let stored_body = found.and_then(|response| response.body());
    respond(call, outcome, origin_body, stored_body)
}

/// Takes no step that waits: both branches of a stream that is stored and served must be taken up
/// on the same turn, or the runtime buffers the whole of it.
fn respond(
    call: &Call<'_>,
    outcome: Outcome,
    origin_body: Option<ReadableStream>,
    stored_body: Option<ReadableStream>,
) -> Result<Response, JsValue> {
    let release = |stream: Option<ReadableStream>| streams::release(call.context, stream.as_ref());
    if outcome.body != Body::Stored {
        release(stored_body.clone());
    }
    let origin_body = match (outcome.entry, origin_body) {
        (EntryChange::Store(key, head), Some(body)) => {
            let store = |body: &ReadableStream, head: &ReplyHead| -> Result<(), JsValue> {
                let entry = http::response(head, Some(body))?;
                cache::store(call.context, call.config, &key, &entry);
                Ok(())
            };
            if outcome.body == Body::Origin {
                let (for_client, for_cache) = streams::tee(&body);
                store(&for_cache, &head)?;
                Some(for_client)
            } else {
                store(&body, &head)?;
                None
            }
        }
        (_, body) => body,
    };
    match outcome.body {
        Body::Origin => http::response(&outcome.head, origin_body.as_ref()),
        Body::Stored => {
            release(origin_body);
            http::response(&outcome.head, stored_body.as_ref())
        }
        Body::Empty => {
            release(origin_body);
            http::response(&outcome.head, None)
        }
        Body::Text(text) => {
            release(origin_body);
            http::text_response(&outcome.head, &text)
        }
    }
}
