//! Drives one [`Exchange`]: looks up, asks, and moves the streams as the outcome says.

use std::rc::Rc;

use ::http::header::AUTHORIZATION;
use futures_util::future::join;
use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};

use super::fills::{self, Fill, MAX_AWAITED_BYTES};
use super::pump::{Beginning, Sink, pump};
use super::{Call, cache, clock, forward_media, http, leases, origin, streams};
use crate::cache_key::CacheKey;
use crate::exchange::{
    Begin, Body, Cut, Decision, EntryChange, Exchange, Outcome, Question, Refresh, Verdict,
};
use crate::ids::Mxc;
use crate::lease::{LeaseKeys, Leases};
use crate::request::{Keep, ReplyHead};
use crate::route::{Endpoint, MediaRequest};
use crate::stored::{STORED_META, StoredMeta};
use crate::upload;

/// The names that an exchange's outcome is written under.
#[derive(Clone)]
struct Keys {
    entry: CacheKey,
    leases: Option<LeaseKeys>,
}

/// Answers a request for media.
pub(super) async fn answer(call: &Call, media: MediaRequest) -> Result<Response, JsValue> {
    let door = media.door;
    let (config, head) = (Rc::clone(&call.config), Rc::clone(&call.head));
    let exchange = match Exchange::begin(config, head, media, &call.config.digest_key()) {
        Begin::LookUp(exchange) => exchange,
        Begin::Bypass(reason) => return forward_media(call, Endpoint { door, reason }).await,
    };
    let keys = Keys { entry: exchange.key().clone(), leases: exchange.lease_keys().cloned() };
    let (mut found, mut held) =
        join(look_up(call, &keys.entry), leases::look_up(call, keys.leases.as_ref())).await;
    // A fill that came to nothing, as a stranger's does, leaves the place to one of those who wait.
    for _ in 0..fills::MAX_AWAITED {
        if found.is_some() || !fills::wait(&keys.entry).await {
            break;
        }
        // Much may have been said in the meantime, about the credential too.
        (found, held) =
            join(look_up(call, &keys.entry), leases::look_up(call, keys.leases.as_ref())).await;
    }
    let fill = found.is_none().then(|| fills::begin(&keys.entry));
    let (stored_body, stored) = found.unzip();
    match exchange.on_lookup(stored, held, clock::now_unix_secs()) {
        Decision::Serve(outcome, refresh) => {
            if let Some(Refresh { key, question }) = refresh
                && let Some(refreshing) = leases::begin_refresh(key)
            {
                let (call, keys) = (call.clone(), keys.clone());
                call.context.clone().wait_until(async move {
                    renew(&call, &keys, question, None).await;
                    drop(refreshing);
                });
            }
            respond(call, &keys, outcome, None, stored_body.flatten(), fill).await
        }
        Decision::Ask(question) => {
            let (outcome, body) = ask(call, question).await?;
            respond(call, &keys, outcome, body, stored_body.flatten(), fill).await
        }
    }
}

/// The stored response. An entry without a record of ours, or with one that belongs elsewhere, is
/// none. A new one may yet turn out to be short (see [`cache::store`]).
async fn look_up(call: &Call, key: &CacheKey) -> Option<(Option<ReadableStream>, StoredMeta)> {
    let response = cache::look_up(&call.config, key).await?;
    let stored = response
        .headers()
        .get(STORED_META.as_str())
        .ok()
        .flatten()
        .and_then(|text| StoredMeta::parse(&text, key));
    let body = response.body();
    let now = clock::now_unix_secs();
    if let (Some(meta), Some(body)) = (&stored, &body)
        && meta.is_new(now)
    {
        let guarded = streams::guard(&call.context, body, meta.length_bytes());
        return stored.map(|meta| (Some(guarded), meta));
    }
    if stored.is_none() {
        streams::release(&call.context, body.as_ref());
        cache::remove(&call.context, &call.config, key);
    }
    stored.map(|meta| (body, meta))
}

/// Asks until there is an answer, and gives the origin's last body with it.
async fn ask(
    call: &Call,
    mut question: Question,
) -> Result<(Outcome, Option<ReadableStream>), JsValue> {
    loop {
        let Question { request, pending } = question;
        let answer = origin::ask(call, &request).await;
        let head = match &answer {
            Ok(response) => Ok(http::origin_head(response)),
            Err(error) => Err(*error),
        };
        let body = answer.ok().and_then(|response| response.body());
        match pending.on_origin(head, clock::now_unix_secs()) {
            Verdict::Answer(outcome) => return Ok((outcome, body)),
            Verdict::AskAgain(again) => {
                streams::release(&call.context, body.as_ref());
                question = again;
            }
        }
    }
}

/// Stores new media behind the back of its uploader, as if they had downloaded it.
pub(super) fn warm(call: &Call, mxc: Mxc) {
    let Some((head, media)) = upload::first_download(&call.head, mxc) else { return };
    let authorization = head.headers.get(AUTHORIZATION).cloned();
    let config = Rc::clone(&call.config);
    let begun = Exchange::begin(config, Rc::new(head), media, &call.config.digest_key());
    let Begin::LookUp(exchange) = begun else { return };
    let keys = Keys { entry: exchange.key().clone(), leases: exchange.lease_keys().cloned() };
    let fill = fills::begin(&keys.entry);
    let Decision::Ask(mut question) =
        exchange.on_lookup(None, Leases::default(), clock::now_unix_secs())
    else {
        return;
    };
    // The headers at hand are the upload's.
    question.request.keep = Keep::Nothing;
    question.request.set.extend(authorization.map(|value| (AUTHORIZATION, value)));
    let call = call.clone();
    call.context.clone().wait_until(async move {
        renew(&call, &keys, question, Some(fill)).await;
    });
}

/// Renews a lease for a client who is served already.
async fn renew(call: &Call, keys: &Keys, question: Question, fill: Option<Fill>) {
    let Ok((outcome, body)) = ask(call, question).await else { return };
    let silent = Outcome { body: Body::Empty, ..outcome };
    // The response goes nowhere; what is stored and granted on the way is what counts.
    let _ = respond(call, keys, silent, body, None, fill).await;
}

async fn respond(
    call: &Call,
    keys: &Keys,
    outcome: Outcome,
    origin_body: Option<ReadableStream>,
    stored_body: Option<ReadableStream>,
    fill: Option<Fill>,
) -> Result<Response, JsValue> {
    leases::apply(call, keys.leases.as_ref(), outcome.leases)?;
    let release = |body: Option<&ReadableStream>| streams::release(&call.context, body);
    if !matches!(outcome.body, Body::Stored(_)) {
        release(stored_body.as_ref());
    }
    let served = match outcome.entry {
        EntryChange::Store(head, length) => {
            let filling = Filling { call, keys, head, length, fill };
            return filling.respond(outcome.head, outcome.body, origin_body);
        }
        EntryChange::Remove => {
            cache::remove(&call.context, &call.config, &keys.entry);
            outcome.body
        }
        EntryChange::Keep => outcome.body,
    };
    if !matches!(served, Body::Origin(_)) {
        release(origin_body.as_ref());
    }
    match served {
        Body::Empty => http::response(&outcome.head, None),
        Body::Text(text) => http::text_response(&outcome.head, &text),
        Body::Origin(cut) => respond_cut(call, &outcome.head, origin_body, cut),
        Body::Stored(Cut::Part(range, length)) => {
            let part = cache::look_up_part(&call.config, &keys.entry, range, length).await;
            if part.is_some() {
                release(stored_body.as_ref());
                return http::response(&outcome.head, part.as_ref());
            }
            // The cache can't slice, or has lost the entry since.
            respond_cut(call, &outcome.head, stored_body, Cut::Part(range, length))
        }
        Body::Stored(cut) => respond_cut(call, &outcome.head, stored_body, cut),
    }
}

/// Sends as much of a body as the cut says.
fn respond_cut(
    call: &Call,
    head: &ReplyHead,
    body: Option<ReadableStream>,
    cut: Cut,
) -> Result<Response, JsValue> {
    let (sink, beginning) = match (cut, &body) {
        (Cut::Whole, _) | (_, None) => return http::response(head, body.as_ref()),
        (Cut::Part(range, _), _) => (Sink::part(range)?, Beginning::Free),
        (Cut::Multipart(length), _) => (Sink::whole(length)?, Beginning::Multipart),
    };
    let (sink, for_client) = sink;
    if let Some(body) = body {
        call.context.wait_until(pump(body, vec![sink], beginning));
    }
    http::response(head, Some(&for_client))
}

/// An answer of the origin's on its way into the cache.
struct Filling<'a> {
    call: &'a Call,
    keys: &'a Keys,
    head: ReplyHead,
    length: u64,
    fill: Option<Fill>,
}

impl Filling<'_> {
    /// Takes no step that waits: both branches of a stream that is stored and served must be taken
    /// up on the same turn, or the runtime buffers the whole of it.
    fn respond(
        self,
        head: ReplyHead,
        body: Body,
        origin_body: Option<ReadableStream>,
    ) -> Result<Response, JsValue> {
        let Some(origin_body) = origin_body else {
            self.store(None)?;
            return http::response(&head, None);
        };
        let context = Rc::clone(&self.call.context);
        let length = self.length;
        let (sink, for_client, beginning) = match body {
            Body::Origin(Cut::Whole) => {
                let (for_client, for_cache) = streams::tee(&origin_body);
                self.store(Some(&for_cache))?;
                return http::response(&head, Some(&for_client));
            }
            Body::Origin(Cut::Part(range, _)) => {
                let (sink, for_client) = Sink::part(range)?;
                (sink, for_client, Beginning::Free)
            }
            Body::Origin(Cut::Multipart(length)) => {
                let (sink, for_client) = Sink::whole(length)?;
                (sink, for_client, Beginning::Multipart)
            }
            Body::Empty | Body::Text(_) | Body::Stored(_) => {
                self.store(Some(&origin_body))?;
                return http::response(&head, None);
            }
        };
        let (cache_sink, for_cache) = Sink::whole(length)?;
        self.store(Some(&for_cache))?;
        context.wait_until(pump(origin_body, vec![sink, cache_sink], beginning));
        http::response(&head, Some(&for_client))
    }

    fn store(self, body: Option<&ReadableStream>) -> Result<(), JsValue> {
        let Self { call, keys, head, length, fill } = self;
        let entry = http::response(&head, body)?;
        let stored = cache::store(&call.context, &call.config, &keys.entry, &entry, length);
        // Those who wait for a small body go on when it is stored, others at once.
        let fill = fill.filter(|_| length <= MAX_AWAITED_BYTES);
        call.context.wait_until(async move {
            stored.await;
            drop(fill);
        });
        Ok(())
    }
}
