//! `POST` of `/_edge/selftest`: runs the self-test (see [`crate::admin::selftest`]).
//!
//! Before this, the entry has answered 404 where `ADMIN_TOKEN` is not set, 403 to a request without
//! that token, and 405 to another method.
//!
//! 1. Begins, unless a self-test runs in this isolate: 429.
//! 2. Runs its parts beside each other, each within its time: the homeserver, the data centre's
//!    cache, the bucket, the list of purges and the schedule.
//! 3. Answers 200 with the findings, whatever they are.

use std::cell::Cell;
use std::rc::Rc;

use ::http::StatusCode;
use ::http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderMap};
use futures_util::future::join5;
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Response};
use worker::worker_sys::R2Bucket;

use crate::admin::quarantine::LastRun;
use crate::admin::selftest::{
    self, BODY_BYTES, BucketRun, BucketStep, DELETE_PAUSES_MS, KEPT_SECS, MARK, MAX_MS,
    PART_TIMEOUT_MS, PUT_PAUSES_MS, PopRun, Removal,
};
use crate::admin::status::{Finding, evaluate_counts};
use crate::cache::key::{CacheKey, Subject};
use crate::error::Rejection;
use crate::headers::add_cors;
use crate::headers::cache_control::public_for;
use crate::headers::range::ByteRange;
use crate::message::ReplyHead;
use crate::origin::outage::probe_request;
use crate::origin::{OriginError, OriginHead};
use crate::shell::admin::{quarantine, status};
use crate::shell::body::streams;
use crate::shell::origin::fetch::{self, Answer};
use crate::shell::origin::known;
use crate::shell::recorder;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::tasks::{detach, sleep, timeout};
use crate::shell::runtime::{clock, heads};
use crate::shell::store::bucket::{self, Written};
use crate::shell::store::{pop, purge_list};

/// How long after a write of a key the bucket takes another, in milliseconds, and a little.
const WRITE_PAUSE_MS: u64 = 1_100;

/// The last byte of the body, alone.
const LAST_BYTE: ByteRange = ByteRange { first: BODY_BYTES - 1, last: BODY_BYTES - 1 };

thread_local! {
    /// Until when a self-test may be running in this isolate, in milliseconds since the Unix epoch.
    static BUSY_UNTIL_UNIX_MS: Cell<u64> = const { Cell::new(0) };
}

/// A self-test that runs. It ends when this is dropped, as it is when the admin leaves.
struct Running(());

impl Running {
    /// Begins a self-test. Returns `None` while another runs.
    fn begin() -> Option<Self> {
        let now = clock::now_unix_ms();
        (BUSY_UNTIL_UNIX_MS.get() <= now).then(|| {
            BUSY_UNTIL_UNIX_MS.set(now + u64::from(MAX_MS));
            Self(())
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        BUSY_UNTIL_UNIX_MS.set(0);
    }
}

/// Answers the admin's request to run the self-test.
pub(crate) async fn answer(context: &RequestContext) -> Result<Response, JsValue> {
    let Some(running) = Running::begin() else { return context.reject(&Rejection::SelfTestRuns) };
    let began_ms = clock::now_unix_ms();
    let findings = run(context).await;
    drop(running);
    let mut head = ReplyHead::unstored(StatusCode::OK, "application/json");
    add_cors(&mut head.headers);
    context.reply_text(head, &selftest::to_json(&context.config, &findings, since(began_ms)))
}

async fn run(context: &RequestContext) -> Vec<Finding> {
    let config = &context.config;
    let number = clock::now_unix_ms();
    let key = CacheKey::new(&config.server_name, Subject::SelfTest(number));
    let body = body();
    let (homeserver, pop, bucket, purge_list_age, last_run) = join5(
        ask_homeserver(context),
        timeout(PART_TIMEOUT_MS, try_pop(context, &key, &body)),
        try_bucket(context, &key, &body),
        read_purge_list(context),
        last_run(context),
    )
    .await;
    let (counts, now) = (recorder::counts(), clock::now_unix_secs());
    let mut findings = vec![homeserver];
    findings.extend(selftest::evaluate_revalidation(&known::revalidation()));
    findings.extend(selftest::evaluate_pop(pop));
    findings.push(bucket);
    findings.push(selftest::evaluate_purge_list(purge_list_age));
    findings.extend(status::quarantine_list(context).await);
    findings.push(selftest::evaluate_schedule(config.synapse_admin_token.is_some(), last_run, now));
    findings.push(selftest::evaluate_reader_address(&context.head));
    findings.push(selftest::evaluate_uploads(&counts));
    findings.extend(evaluate_counts(&counts, now));
    findings
}

/// Returns a body that no reader can ask for. It is the runtime's, and never enters wasm.
fn body() -> Uint8Array {
    let body = Uint8Array::new_with_length(u32::try_from(BODY_BYTES).unwrap_or(u32::MAX));
    for (number, at) in (1..).zip(MARK.first..=MARK.last) {
        body.set_index(u32::try_from(at).unwrap_or(u32::MAX), number);
    }
    body
}

async fn ask_homeserver(context: &RequestContext) -> Finding {
    let began_ms = clock::now_unix_ms();
    let waited_ms = Cell::new(0);
    let asked = async {
        let request = probe_request(&context.config);
        let Answer { head, response } = fetch::ask_alone(&context.config, &request).await?;
        waited_ms.set(since(began_ms));
        let body = response.body();
        let (answer, unread) = fetch::read(head, body, OriginHead::is_small_json).await;
        streams::release(&context.runtime, unread.as_ref());
        Ok(answer)
    };
    let answer = timeout(PART_TIMEOUT_MS, asked).await.unwrap_or(Err(OriginError::TimedOut));
    selftest::evaluate_homeserver(&answer, waited_ms.get())
}

async fn read_purge_list(context: &RequestContext) -> Option<u64> {
    purge_list::current(context).await;
    purge_list::age_secs()
}

async fn last_run(context: &RequestContext) -> Option<LastRun> {
    let bucket =
        context.bucket.as_ref().filter(|_| context.config.synapse_admin_token.is_some())?;
    timeout(PART_TIMEOUT_MS, quarantine::last_run(&context.config, bucket)).await.flatten()
}

/// Has the data centre's cache store the body, show it, cut it, and remove it. Returns how that went.
async fn try_pop(context: &RequestContext, key: &CacheKey, body: &Uint8Array) -> PopRun {
    let config = &context.config;
    let headers = HeaderMap::from_iter([
        (CACHE_CONTROL, public_for(KEPT_SECS)),
        (CONTENT_LENGTH, BODY_BYTES.into()),
    ]);
    let mut run = PopRun::default();
    let Ok(entry) = heads::bytes_response(&ReplyHead::new(StatusCode::OK, headers), body) else {
        return run;
    };
    run.is_taken = pop::put_entry(config, key, &entry).await;
    let put_ms = clock::now_unix_ms();
    if looks_until(&PUT_PAUSES_MS, || is_shown(context, key)).await {
        run.shown_after_ms = Some(since(put_ms));
        run.has_part = has_part(context, key, MARK).await;
        run.has_last_byte = has_part(context, key, LAST_BYTE).await;
    }
    let delete_ms = clock::now_unix_ms();
    let is_accepted = pop::delete(config, key).await;
    if run.shown_after_ms.is_some() {
        let is_gone = async || !is_shown(context, key).await;
        run.removal = Some(if !is_accepted {
            Removal::Refused
        } else if looks_until(&DELETE_PAUSES_MS, is_gone).await {
            Removal::GoneAfterMs(since(delete_ms))
        } else {
            Removal::StillThere
        });
    }
    run
}

/// Looks after each pause, until `is_so` returns `true`. Returns whether it did.
async fn looks_until(pauses_ms: &[u32], is_so: impl AsyncFn() -> bool) -> bool {
    for pause_ms in pauses_ms {
        if *pause_ms > 0 {
            let _ = sleep(*pause_ms).await;
        }
        if is_so().await {
            return true;
        }
    }
    false
}

async fn is_shown(context: &RequestContext, key: &CacheKey) -> bool {
    let found = pop::look_up(&context.config, key).await;
    streams::release(&context.runtime, found.as_ref().and_then(Response::body).as_ref());
    found.is_some()
}

async fn has_part(context: &RequestContext, key: &CacheKey, range: ByteRange) -> bool {
    let part = pop::look_up_part(&context.config, key, range, BODY_BYTES).await;
    is_marked(part, range).await
}

/// Returns whether a part of the body has the bytes that it should have.
async fn is_marked(part: Option<ReadableStream>, range: ByteRange) -> bool {
    let Some(part) = part else { return false };
    let length = usize::try_from(range.length()).unwrap_or(usize::MAX);
    let read = streams::read_bounded(&part, length).await.ok().flatten();
    let first = range.first - MARK.first + 1;
    read.is_some_and(|bytes| bytes.iter().map(|byte| u64::from(*byte)).eq((first..).take(length)))
}

/// An object in the bucket, removed when this is dropped unless it is gone already.
struct Leftover {
    context: RequestContext,
    bucket: Rc<R2Bucket>,
    key: CacheKey,
    is_gone: bool,
}

impl Drop for Leftover {
    fn drop(&mut self) {
        if !self.is_gone {
            let (bucket, key) = (Rc::clone(&self.bucket), self.key.clone());
            detach(&self.context.runtime, async move {
                bucket::remove(&bucket, &key).await;
            });
        }
    }
}

async fn try_bucket(context: &RequestContext, key: &CacheKey, body: &Uint8Array) -> Finding {
    let Some(bucket) = context.bucket.clone().map(Rc::new) else {
        return selftest::evaluate_no_bucket();
    };
    let mut leftover = Leftover {
        context: context.clone(),
        bucket: Rc::clone(&bucket),
        key: key.clone(),
        is_gone: false,
    };
    let run = timeout(PART_TIMEOUT_MS, run_bucket(&bucket, key, body)).await;
    leftover.is_gone = run.is_some_and(|run| run.delete.is_done);
    selftest::evaluate_bucket(run)
}

async fn run_bucket(bucket: &R2Bucket, key: &CacheKey, body: &Uint8Array) -> BucketRun {
    let create = step(async || bucket::create(bucket, key, body).await == Written::Yes).await;
    let created_ms = clock::now_unix_ms();
    let read = step(async || {
        let length = body.length();
        let stream = bucket::open(bucket, key).await;
        let bytes = streams::read_whole(stream.as_ref(), length).await;
        bytes.is_some_and(|bytes| bytes.get_index(length - 1) == body.get_index(length - 1))
    })
    .await;
    let part =
        step(async || is_marked(bucket::look_up_part(bucket, key, MARK).await, MARK).await).await;
    let left_ms = WRITE_PAUSE_MS.saturating_sub(since(created_ms));
    let _ = sleep(u32::try_from(left_ms).unwrap_or(0)).await;
    let is_second_refused = match bucket::create(bucket, key, body).await {
        Written::Unmet => Some(true),
        Written::Yes => Some(false),
        Written::Busy | Written::Failed => None,
    };
    let delete = step(async || bucket::delete(bucket, key).await).await;
    BucketRun { create, is_second_refused, read, part, delete }
}

/// Does a step. Returns whether it worked, and how long it took.
async fn step(does: impl AsyncFnOnce() -> bool) -> BucketStep {
    let began_ms = clock::now_unix_ms();
    let is_done = does().await;
    BucketStep { is_done, took_ms: since(began_ms) }
}

fn since(began_unix_ms: u64) -> u64 {
    clock::now_unix_ms().saturating_sub(began_unix_ms)
}
