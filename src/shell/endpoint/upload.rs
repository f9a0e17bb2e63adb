//! `POST` of `/_matrix/media/*/upload`, `PUT` of `/_matrix/media/*/upload/{serverName}/{mediaId}`,
//! and `GET` of `config`: streams uploads on, and remembers limits (see
//! [`crate::endpoint::upload`]).
//!
//! An upload ([`answer`]):
//!
//! 1. Checks its length against `MAX_UPLOAD_BYTES`, then against the limit that is remembered for
//!    this token: 413.
//! 2. [`send`]s it to the homeserver, counted if it has no length: 413 where it is too long.
//! 3. [`relay`]s the homeserver's answer, with its own status. If there is none, or an
//!    intermediary's, 502 or 504; for a proxy that refuses the request's form, 400, 411, 413, 414,
//!    415 or 431.
//! 4. [`warm`]s the cache with the new media, in the background.
//!
//! A request for the limits ([`limits`]):
//!
//! 1. Asks the homeserver, and relays what can't be read with its own status; without an answer, as
//!    in step 3 above.
//! 2. Remembers the limit for this token, and answers 200 with one that is not above the edge's.

use ::http::header::CONTENT_LENGTH;
use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};

use crate::cache::key::CacheKey;
use crate::endpoint::forward;
use crate::endpoint::upload::{self, Admission, LIMIT_SECS, MAX_ANSWER_BYTES};
use crate::error::Rejection;
use crate::matrix::media::Door;
use crate::origin::{OriginError, OriginHead};
use crate::route::{BypassReason, Endpoint, UploadTo};
use crate::shell::body::limit::LimitedBody;
use crate::shell::body::streams;
use crate::shell::endpoint::download;
use crate::shell::endpoint::forward::{Relayed, relay};
use crate::shell::origin::fetch::{self, Answer};
use crate::shell::recorder;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::tasks::detach;
use crate::shell::store::pop;

/// Answers an upload.
pub(crate) async fn answer(context: &RequestContext, to: UploadTo) -> Result<Response, JsValue> {
    // What is too much for anyone needs no look-up.
    let checked = upload::check(&context.head, None, &context.config);
    let has_length = context.head.headers.contains_key(CONTENT_LENGTH);
    recorder::count(|counts| counts.add_upload(has_length));
    if let Err(rejection) = checked {
        return context.reject(&rejection);
    }
    let told_bytes = look_up(context).await;
    let admission = match upload::check(&context.head, told_bytes, &context.config) {
        Ok(admission) => admission,
        Err(rejection) => return context.reject(&rejection),
    };
    let endpoint = Endpoint { door: Door::Other, reason: BypassReason::Upload };
    let (answer, sent_bytes) = match send(context, admission).await {
        Ok(sent) => sent,
        Err(rejection) => return context.reject(&rejection),
    };
    let Relayed { head, origin, mut body } =
        match relay(context, endpoint, &context.head.method, answer).await {
            Ok(relayed) => relayed,
            Err(error) => return context.fail(endpoint, error),
        };
    if upload::should_prefetch(sent_bytes, &origin, &context.config) {
        body = warm(context, to, &origin, body);
    }
    context.reply(head, body.as_ref())
}

/// Sends the upload on. Returns the origin's answer, and how many bytes were sent; `None` where the
/// answer came before their end.
///
/// # Errors
/// [`Rejection::TooLarge`] if there were too many bytes. The origin has not got their end, so that no
/// answer of its counts.
async fn send(
    context: &RequestContext,
    admission: Admission,
) -> Result<(Result<Answer, OriginError>, Option<u64>), Rejection> {
    let request = forward::media_request(&context.head, &context.config);
    let limit_bytes = match admission {
        Admission::Measured { length_bytes } => {
            return Ok((fetch::ask_with_body(context, &request).await, Some(length_bytes)));
        }
        Admission::Counted { limit_bytes } => limit_bytes,
    };
    let body = LimitedBody::new(context.request.body().as_ref(), limit_bytes);
    let answer = fetch::ask_with_limited(context, request, &body).await;
    if body.is_over() {
        let response = answer.ok().map(|answer| answer.response);
        streams::release(&context.runtime, response.and_then(|response| response.body()).as_ref());
        return Err(Rejection::TooLarge { limit_bytes });
    }
    Ok((answer, body.whole_bytes()))
}

/// Has the new media stored in the background. Returns the body of the origin's answer, which may have
/// been split to read the media's ID in it.
fn warm(
    context: &RequestContext,
    to: UploadTo,
    origin: &OriginHead,
    body: Option<ReadableStream>,
) -> Option<ReadableStream> {
    match (to, body) {
        (UploadTo::Id(mxc), body) => {
            if let Some(mxc) = mxc {
                download::warm(context, mxc);
            }
            body
        }
        (UploadTo::New, Some(body)) if upload::is_readable(origin) => {
            let (for_client, to_read) = streams::tee(&body);
            let context = context.clone();
            detach(&context.runtime.clone(), async move {
                if let Some(mxc) = read(&to_read).await.as_deref().and_then(upload::content_uri) {
                    download::warm(&context, mxc);
                }
            });
            Some(for_client)
        }
        (UploadTo::New, body) => body,
    }
}

/// Answers a request for the limits of uploads, with none above the edge's own.
pub(crate) async fn limits(context: &RequestContext, door: Door) -> Result<Response, JsValue> {
    let endpoint = Endpoint { door, reason: BypassReason::Endpoint };
    let request = forward::media_request(&context.head, &context.config);
    let answer = fetch::ask(context, &request).await;
    let Relayed { mut head, origin, body } =
        match relay(context, endpoint, &request.method, answer).await {
            Ok(relayed) => relayed,
            Err(error) => return context.fail(endpoint, error),
        };
    let body = match body {
        Some(body) if upload::is_readable(&origin) => body,
        body => return context.reply(head, body.as_ref()),
    };
    let (untouched, to_read) = streams::tee(&body);
    let text = read(&to_read).await;
    if let Some(text) = &text {
        remember(context, upload::advertised_limit(text)).await;
    }
    match text.and_then(|text| upload::lowered(&text, context.config.max_upload_bytes)) {
        Some(lowered) => {
            streams::release(&context.runtime, Some(&untouched));
            head.headers.remove(CONTENT_LENGTH);
            context.reply_text(head, &lowered)
        }
        None => context.reply(head, Some(&untouched)),
    }
}

async fn read(body: &ReadableStream) -> Option<String> {
    String::from_utf8(streams::read_bounded(body, MAX_ANSWER_BYTES).await.ok()??).ok()
}

/// Returns the limit in bytes that the origin told this user not long ago; `None` if none is remembered.
async fn look_up(context: &RequestContext) -> Option<u64> {
    pop::look_up_text(&context.config, &key(context)?, MAX_ANSWER_BYTES).await?.parse().ok()
}

/// Remembers the limit that the origin told this user; with `None`, forgets the one before.
async fn remember(context: &RequestContext, told_bytes: Option<u64>) {
    let Some(key) = key(context) else { return };
    match told_bytes {
        Some(bytes) => {
            let text = bytes.to_string();
            pop::put_text(&context.config, &key, &text, LIMIT_SECS).await;
        }
        None => pop::remove(&context.runtime, &context.config, &key),
    }
}

fn key(context: &RequestContext) -> Option<CacheKey> {
    upload::limit_key(&context.head, &context.config)
}
