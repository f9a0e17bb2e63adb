//! `GET` and `HEAD` of downloads and thumbnails, at the client, legacy and federation doors: drives
//! one [`Exchange`], and moves the streams as its outcome says (see [`crate::endpoint::download`]).
//!
//! 1. [`Exchange::begin`] names what to look up. Without a credential that can be asked about, the
//!    homeserver answers: [`forward::answer`].
//! 2. The stored response and the leases are looked up at once, in memory and at the data centre.
//!    If none is stored, fills under way are waited for, and then the bucket is looked in.
//! 3. [`Exchange::on_lookup`] decides: within a lease, or in a known outage, 200, 206, 304 or 416
//!    without a question.
//! 4. Else [`ask`] asks the origin, as often as the exchange wants. Its outcome is 200, 206, 304 or
//!    416 where the homeserver grants, and otherwise the homeserver's own status or an error: 502,
//!    504, or a proxy's 400, 411, 413, 414, 415 or 431.
//! 5. [`respond`] changes the leases, then serves, relays or stores the body. If the runtime
//!    refuses one of these, 500.

use std::rc::Rc;

use futures_util::future::join;
use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};

use crate::cache::key::CacheKey;
use crate::endpoint::download::{
    AfterLookup, AfterOrigin, Begin, BodySlice, Exchange, OriginExchange, Outcome, Refresh,
    ResponsePlan, Warming, Whole,
};
use crate::error::Rejection;
use crate::lease::standing::MediaWatch;
use crate::lease::{LeaseKeys, Leases};
use crate::matrix::ids::Mxc;
use crate::matrix::media::MediaRequest;
use crate::message::ReplyHead;
use crate::origin::ranges::RangeSupport;
use crate::route::Endpoint;
use crate::shell::body::pump::{Sink, pump};
use crate::shell::body::{envelope, streams};
use crate::shell::endpoint::cache_fill::{CacheFill, Source, is_worth_beginning};
use crate::shell::endpoint::forward;
use crate::shell::origin::fetch::{self, Answer};
use crate::shell::origin::{known, outage};
use crate::shell::recorder;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::tasks::{detach, serve};
use crate::shell::runtime::{clock, heads};
use crate::shell::store::cache_fill::record_fruitless;
use crate::shell::store::coalescing::{self, FillPermit, FillTarget};
use crate::shell::store::tiers::{self, Found, InBucket, StoredBody};
use crate::shell::store::{leases, purge_list};

/// The keys under which an exchange's outcome is written.
#[derive(Clone)]
struct Keys {
    entry: CacheKey,
    leases: Option<LeaseKeys>,
}

/// Answers a request for media.
pub(crate) async fn answer(
    context: &RequestContext,
    media: MediaRequest,
) -> Result<Response, JsValue> {
    match attempt(context, media.clone(), Attempt::First).await? {
        Some(response) => Ok(response),
        None => match attempt(context, media, Attempt::Last).await? {
            Some(response) => Ok(response),
            None => context.reject(&Rejection::Internal),
        },
    }
}

/// Whether a request may be answered from the beginning once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Last,
}

/// Answers a request for media. Returns `None` where a part was asked for and the origin sent the whole,
/// while another request stores that whole: then the client is better served from its fill.
async fn attempt(
    context: &RequestContext,
    media: MediaRequest,
    attempt: Attempt,
) -> Result<Option<Response>, JsValue> {
    let door = media.door;
    let (config, head) = (Rc::clone(&context.config), Rc::clone(&context.head));
    let exchange = match Exchange::begin(config, head, media, context.config.digest_key()) {
        Begin::LookUp(exchange) => {
            exchange.knowing(known::revalidation()).with_ranges(known::ranges())
        }
        Begin::Bypass(reason) => {
            return forward::answer(context, Endpoint { door, reason }).await.map(Some);
        }
    };
    let keys = Keys { entry: exchange.key().clone(), leases: exchange.lease_keys().cloned() };
    let is_down_already = outage::is_known(context);
    let look_up = || async {
        // The list is not told of refusals in an outage, and what counts then is at the data centre.
        let watch =
            if is_down_already { MediaWatch::default() } else { purge_list::watch(&keys.entry) };
        let leases = leases::look_up(context, keys.leases.as_ref(), watch);
        let (found, held) = join(tiers::look_up(context, &keys.entry), leases).await;
        // The list of purges may have been read meanwhile.
        (found, Leases { watch: purge_list::watch(&keys.entry), ..held })
    };
    let (mut found, mut held) = look_up().await;
    // A fill that stored nothing, such as that of a refused request, leaves its place to one of the
    // requests that wait.
    for _ in 0..coalescing::MAX_COALESCED_WAITS {
        if found.is_some()
            || exchange.gets_part(clock::now_unix_secs())
            || !coalescing::wait(FillTarget::Pop, &keys.entry).await
        {
            break;
        }
        // The credential may have been granted or refused in the meantime.
        (found, held) = look_up().await;
    }
    let waits_for_whole = exchange.waits_for_whole(clock::now_unix_secs());
    if found.is_none() && waits_for_whole && coalescing::wait_for_large(&keys.entry).await {
        (found, held) = look_up().await;
    }
    let wants_part = exchange.wanted_range().is_some();
    let (mut permit, mut is_taken) = (None, false);
    if found.is_none() {
        permit = Some(coalescing::begin(&context.runtime, FillTarget::Pop, &keys.entry));
        match tiers::look_up_bucket(context, &keys.entry).await {
            InBucket::Found(stored) => found = Some(stored),
            InBucket::Neighbor => is_taken = true,
            InBucket::Absent => {}
        }
    }
    let meta = found.as_ref().map(|found| Rc::clone(&found.meta));
    let body = meta.as_ref().and_then(|meta| meta.granted_unix_secs(door));
    let held = leases::with_body(held, keys.leases.as_ref(), body);
    let is_down = outage::is_known(context);
    let asked = match exchange.on_lookup(meta, held, is_down, clock::now_unix_secs()) {
        AfterLookup::Serve(outcome, refresh) => {
            if let Some(refresh) = refresh {
                renew_old(context, &keys, refresh);
            }
            Asked { outcome, body: None, whole: None }
        }
        AfterLookup::AskOrigin(question) => ask(context, question).await?,
    };
    let Asked { outcome, body: origin, whole } = asked;
    // The origin has shown just now that it ignores ranges.
    let is_being_filled = wants_part
        && !waits_for_whole
        && matches!(outcome.plan, ResponsePlan::FillCache { .. })
        && known::range_support(context.config.homeserver.authority()) == RangeSupport::Ignores
        && coalescing::is_under_way(FillTarget::Large, &keys.entry);
    if is_being_filled && attempt == Attempt::First {
        leases::apply(context, keys.leases.as_ref(), outcome.leases);
        streams::release(&context.runtime, origin.as_ref());
        return Ok(None);
    }
    if let Some(whole) = whole {
        drop(permit.take());
        fill_beside(context, &keys, whole, is_taken);
    }
    let is_stored = found.is_some() || is_taken;
    let sources = Sources { origin, is_stored, stored: found, permit };
    respond(context, &keys, outcome, sources).await.map(Some)
}

/// What came of asking the origin.
struct Asked {
    outcome: Outcome,
    /// The origin's last body.
    body: Option<ReadableStream>,
    /// The whole of which that is a part, where it could be stored.
    whole: Option<Whole>,
}

/// Asks the origin until the exchange has an outcome. Returns it with the origin's last body, unread.
async fn ask(context: &RequestContext, mut question: OriginExchange) -> Result<Asked, JsValue> {
    loop {
        let OriginExchange { request, pending } = question;
        let (answer, body) = match fetch::ask(context, &request).await {
            Ok(Answer { head, response }) => {
                let body = response.body();
                let (answer, body) = fetch::read(head, body, |head| pending.reads_body(head)).await;
                (Ok(answer), body)
            }
            Err(error) => (Err(error), None),
        };
        outage::record_evidence(context, pending.evidence(&answer));
        if let Some(revalidated) = pending.revalidated(&answer) {
            recorder::count(|counts| counts.add_revalidated(revalidated));
        }
        if let Some(lesson) = pending.lesson(&answer) {
            known::learn(lesson);
        }
        if let Some(lesson) = pending.range_lesson(&answer) {
            known::learn_range(lesson);
        }
        if let Some(works) = pending.knows_head(&answer) {
            known::learn_head(pending.door(), works);
        }
        if let Some(host) = pending.refused_redirect_host(&answer) {
            known::refuse_redirect(host);
        }
        match pending.on_origin(answer, clock::now_unix_secs()) {
            AfterOrigin::Respond(outcome) => return Ok(Asked { outcome, body, whole: None }),
            AfterOrigin::RespondPart(outcome, whole) => return Ok(Asked { outcome, body, whole }),
            AfterOrigin::CheckOutage(suspicion) => {
                let is_down = outage::is_confirmed(context).await;
                let watch = MediaWatch::default();
                let held = leases::look_up(context, suspicion.lease_keys(), watch).await;
                let held = Leases { watch: purge_list::watch(suspicion.key()), ..held };
                let outcome = suspicion.on_probe(is_down, held, clock::now_unix_secs());
                return Ok(Asked { outcome, body, whole: None });
            }
            AfterOrigin::AskAgain(again) => {
                streams::release(&context.runtime, body.as_ref());
                question = again;
            }
        }
    }
}

/// Stores new media in the background, as if its uploader had downloaded it.
pub(crate) fn warm(context: &RequestContext, mxc: Mxc) {
    let config = Rc::clone(&context.config);
    let now = clock::now_unix_secs();
    let warming = Exchange::for_warming(config, &context.head, mxc, known::revalidation(), now);
    let Some(Warming { key, lease_keys, question }) = warming else { return };
    let keys = Keys { entry: key, leases: lease_keys };
    let permit = coalescing::begin(&context.runtime, FillTarget::Pop, &keys.entry);
    let context = context.in_background();
    detach(&context.runtime.clone(), async move {
        let sources = Sources { permit: Some(permit), ..Sources::default() };
        renew(&context, &keys, question, sources).await;
    });
}

/// Stores, in the background, the whole of media of which a reader gets a part, if the whole can come in
/// time. With `is_taken`, another response has its name in the bucket.
fn fill_beside(
    context: &RequestContext,
    keys: &Keys,
    Whole { length_bytes, question }: Whole,
    is_taken: bool,
) {
    if !is_worth_beginning(&keys.entry, length_bytes) {
        return;
    }
    let begun = coalescing::begin(&context.runtime, FillTarget::Large, &keys.entry);
    let (context, keys) = (context.in_background(), keys.clone());
    detach(&context.runtime.clone(), async move {
        let sources = Sources { is_stored: is_taken, ..Sources::default() };
        renew(&context, &keys, question, sources).await;
        drop(begun);
    });
}

/// Renews a lease that is about to end, unless a renewal of it is under way.
fn renew_old(context: &RequestContext, keys: &Keys, Refresh { key, question }: Refresh) {
    let Some(renewal) = leases::begin_renewal(&context.runtime, key) else { return };
    let (context, keys) = (context.in_background(), keys.clone());
    detach(&context.runtime.clone(), async move {
        let sources = Sources { is_stored: true, ..Sources::default() };
        renew(&context, &keys, question, sources).await;
        drop(renewal);
    });
}

/// Asks a question that no client waits for, and applies what its answer changes of cache and leases.
async fn renew(context: &RequestContext, keys: &Keys, question: OriginExchange, sources: Sources) {
    let Ok(Asked { outcome, body, .. }) = ask(context, question).await else { return };
    let silent = Outcome { plan: outcome.plan.without_body(), ..outcome };
    let sources = Sources { origin: body, ..sources };
    // The response goes nowhere: what is stored and granted counts.
    let _ = respond(context, keys, silent, sources).await;
}

/// What an answer may be made of.
#[derive(Default)]
struct Sources {
    origin: Option<ReadableStream>,
    stored: Option<Found>,
    /// Whether there is a stored response, at hand or not, or another one under its name.
    is_stored: bool,
    permit: Option<FillPermit>,
}

/// Applies an outcome: changes the leases, then the cache, and makes the response of the body that the
/// plan names. Other bodies are released unread.
async fn respond(
    context: &RequestContext,
    keys: &Keys,
    outcome: Outcome,
    sources: Sources,
) -> Result<Response, JsValue> {
    leases::apply(context, keys.leases.as_ref(), outcome.leases);
    let Outcome { mut head, plan, .. } = outcome;
    let Sources { origin, stored, is_stored, permit } = sources;
    if let (ResponsePlan::ServeStored(Some(_)), Some(found)) = (&plan, &stored) {
        context.recorder.served_from(found.tier);
    }
    context.annotate(&mut head, plan.has_body());
    if let Some(storing) = plan.storing() {
        recorder::count(|counts| counts.add_fetched(storing));
    }
    match plan {
        ResponsePlan::ServeStored(slice) => {
            streams::release(&context.runtime, origin.as_ref());
            match (slice, stored) {
                (Some(slice), Some(found)) => {
                    respond_stored(context, keys, head, slice, found, permit).await
                }
                (Some(_), None) => context.reject(&Rejection::Internal),
                (None, stored) => {
                    release_stored(context, stored);
                    heads::response(&head, None)
                }
            }
        }
        ResponsePlan::Relay { slice, removes_stored, .. } => {
            release_stored(context, stored);
            // It may not be stored: those who wait for this fill should not wait for another.
            if permit.is_some() && head.status.is_success() {
                record_fruitless(&keys.entry);
            }
            if removes_stored {
                tiers::remove(context, &keys.entry);
                if keys.leases.as_ref().is_some_and(|leases| leases.is_watched) {
                    purge_list::report_gone(context, &keys.entry);
                }
            }
            if let Some(slice) = slice {
                return respond_slice(context, &head, origin, slice).await;
            }
            streams::release(&context.runtime, origin.as_ref());
            heads::response(&head, None)
        }
        ResponsePlan::RelayPart => {
            release_stored(context, stored);
            heads::response(&head, origin.as_ref())
        }
        ResponsePlan::FillCache { meta, slice } => {
            release_stored(context, stored);
            let source = Source::Origin { replaces: is_stored };
            let cache_fill =
                CacheFill { context, key: &keys.entry, meta: Rc::new(meta), source, permit };
            cache_fill.respond(&head, slice, origin).await
        }
        ResponsePlan::Reply(text) => {
            release_stored(context, stored);
            streams::release(&context.runtime, origin.as_ref());
            match text {
                Some(text) => heads::text_response(&head, &text),
                None => heads::response(&head, None),
            }
        }
    }
}

/// Releases a stored response that is not served.
fn release_stored(context: &RequestContext, stored: Option<Found>) {
    if let Some(StoredBody::Pop { body: stream, .. } | StoredBody::Bucket(stream)) =
        stored.map(|found| found.body)
    {
        streams::release(&context.runtime, Some(&stream));
    }
}

/// Serves what is stored, from wherever it was found.
async fn respond_stored(
    context: &RequestContext,
    keys: &Keys,
    head: ReplyHead,
    slice: BodySlice,
    found: Found,
    permit: Option<FillPermit>,
) -> Result<Response, JsValue> {
    let Found { meta, body, tier } = found;
    let (source, length) = (Source::Bucket, meta.length_bytes());
    let cache_fill = CacheFill { context, key: &keys.entry, meta, source, permit };
    let part = match (slice, &body) {
        (BodySlice::Range(range, length), StoredBody::Pop { .. } | StoredBody::Bucket(_)) => {
            tiers::look_up_part(context, &keys.entry, tier, range, length).await
        }
        _ => None,
    };
    match (body, part, slice) {
        (StoredBody::Small(entry), _, BodySlice::Range(range, _)) => {
            heads::bytes_response(&head, &streams::part_of(&entry.bytes, range))
        }
        (StoredBody::Small(entry), ..) => heads::bytes_response(&head, &entry.bytes),
        (StoredBody::Pop { body, .. }, Some(part), _) => {
            streams::release(&context.runtime, Some(&body));
            heads::response(&head, Some(&part))
        }
        (StoredBody::Bucket(stream), Some(part), _) => {
            cache_fill.store(Some(&stream))?;
            heads::response(&head, Some(&part))
        }
        // Where a part can't be had by itself, it is cut out of the whole.
        (StoredBody::Pop { body, may_be_short }, None, _) => {
            // The pipe that breaks then costs a quarter of the throughput. A part and an envelope go through
            // one anyway, and the runtime moves nothing from a pipe into another.
            let enforces_length = may_be_short && slice == BodySlice::Whole;
            let body = if enforces_length {
                streams::enforce_length(&context.runtime, &body, length)?
            } else {
                body
            };
            respond_slice(context, &head, Some(body), slice).await
        }
        (StoredBody::Bucket(stream), None, _) => {
            cache_fill.respond(&head, Some(slice), Some(stream)).await
        }
    }
}

/// Makes a response of `slice` of a body.
async fn respond_slice(
    context: &RequestContext,
    head: &ReplyHead,
    body: Option<ReadableStream>,
    slice: BodySlice,
) -> Result<Response, JsValue> {
    match (slice, body) {
        (BodySlice::Whole, body) => heads::response(head, body.as_ref()),
        (_, None) => heads::response(head, None),
        (BodySlice::Range(range, _), Some(body)) => {
            let (sink, for_client) = Sink::part(range)?;
            serve(&context.runtime, pump(body, vec![sink.read_by(&context.runtime)], None));
            heads::response(head, Some(&for_client))
        }
        (BodySlice::MultipartEnvelope(length), Some(body)) => {
            let whole = envelope::open(body).await?.into_stream(&context.runtime, length)?;
            heads::response(head, Some(&whole))
        }
    }
}
