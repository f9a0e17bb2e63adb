//! `GET` and `HEAD` of `/_edge` (a page) and `/_edge/status` (JSON), and `POST` of the page's form:
//! the status (see [`crate::admin::status`]).
//!
//! 1. Finds out who asks, by the token in a header or in the form. Another method, and a form where
//!    none is offered, is 405.
//! 2. If a wrong token is shown, JSON is not sent: 403 with an error.
//! 3. Takes results of the last 30 s, of this isolate or its data centre, or runs the checks; of
//!    many who ask at once in an isolate, one does.
//! 4. Answers 200 with as much as this viewer may see; the page for a wrong token is a 403
//!    with a notice.

use std::cell::RefCell;
use std::rc::Rc;

use ::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, DATE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use ::http::{Method, StatusCode};
use futures_util::future::join5;
use wasm_bindgen::JsValue;
use web_sys::Response;

use crate::admin::status::{
    self, Finding, KEPT_SECS, MAX_ANSWER_BYTES, MAX_KEPT_BYTES, PROBE_TIMEOUT_MS, Probe,
    ProbeResponse, Status, StatusView,
};
use crate::admin::{Viewer, viewer};
use crate::cache::cache_fill::{FIRST_PAUSES_MS, LATER_PAUSES_MS};
use crate::cache::key::{CacheKey, Subject};
use crate::error::Rejection;
use crate::headers::add_cors;
use crate::matrix::access_token::AccessToken;
use crate::message::ReplyHead;
use crate::message::target::form_pairs;
use crate::origin::redirect::{Next, Redirects};
use crate::origin::{OriginError, OriginRequest};
use crate::route::StatusForm;
use crate::shell::body::streams;
use crate::shell::origin::fetch::{self, Answer};
use crate::shell::origin::known;
use crate::shell::recorder;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::clock;
use crate::shell::runtime::tasks::{detach, sleep, timeout};
use crate::shell::store::bucket::{self, Condition, Written};
use crate::shell::store::coalescing::{self, FillTarget};
use crate::shell::store::{pop, purge_list};

/// The most that is read of a form, in bytes.
const MAX_FORM_BYTES: usize = 4 * 1024;

/// How long the bucket and then the probes may take, and a little, in milliseconds.
const MAX_CHECK_MS: u32 = 2 * PROBE_TIMEOUT_MS + 1_000;

/// What the page may do: show itself, and ask for the details.
const PAGE_CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

thread_local! {
    /// What this isolate has found last: a data centre's cache may keep nothing.
    static LAST: RefCell<Option<Rc<Status>>> = const { RefCell::new(None) };
}

/// Answers a request for the status.
pub(crate) async fn answer(
    context: &RequestContext,
    form: StatusForm,
) -> Result<Response, JsValue> {
    let has_form = form == StatusForm::Page && context.config.admin_token.is_some();
    let viewer = match context.head.method {
        _ if context.head.is_read() => viewer(&context.head, &context.config),
        Method::POST if has_form => sender(context).await?,
        _ => return context.reject(&Rejection::StatusMethod),
    };
    match form {
        StatusForm::Json if viewer == Viewer::WrongToken => context.reject(&Rejection::NotAdmin),
        StatusForm::Json => answer_json(context, viewer).await,
        StatusForm::Page => answer_page(context, viewer).await,
    }
}

async fn answer_json(context: &RequestContext, viewer: Viewer) -> Result<Response, JsValue> {
    let mut head = ReplyHead::unstored(StatusCode::OK, "application/json");
    add_cors(&mut head.headers);
    let text = written(context, viewer, |view| view.to_json()).await;
    send(context, head, &text)
}

async fn answer_page(context: &RequestContext, viewer: Viewer) -> Result<Response, JsValue> {
    let mut head = ReplyHead::unstored(StatusCode::OK, "text/html; charset=utf-8");
    head.headers.extend([
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_CSP)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ]);
    if viewer == Viewer::WrongToken {
        head.status = Rejection::NotAdmin.status();
        head.rejection = Some(Rejection::NotAdmin.as_str());
    }
    let text = written(context, viewer, |view| view.to_page(viewer, &context.config)).await;
    send(context, head, &text)
}

fn send(context: &RequestContext, head: ReplyHead, text: &str) -> Result<Response, JsValue> {
    if context.head.method == Method::HEAD {
        context.reply(head, None)
    } else {
        context.reply_text(head, text)
    }
}

/// Returns who has sent the page's form, by the token in it.
async fn sender(context: &RequestContext) -> Result<Viewer, JsValue> {
    let Some(body) = context.request.body() else { return Ok(Viewer::WrongToken) };
    let bytes = streams::read_bounded(&body, MAX_FORM_BYTES).await?.unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let shown = form_pairs(&text).find(|(name, _)| name == "token");
    let shown = shown.and_then(|(_, token)| AccessToken::parse(&token));
    let is_admin = shown.zip(context.config.admin_token.as_ref()).is_some_and(|(a, b)| b.is(&a));
    Ok(if is_admin { Viewer::Admin } else { Viewer::WrongToken })
}

/// Returns as much of the status as this viewer may see, written by `write`.
async fn written(
    context: &RequestContext,
    viewer: Viewer,
    write: impl Fn(&StatusView) -> String,
) -> String {
    let status = current(context).await;
    let (counts, now) = (recorder::counts(), clock::now_unix_secs());
    recorder::with_tally(|tally| {
        write(&status.view(viewer, &context.config, tally.days(), &counts, now))
    })
}

/// Returns kept results, or new ones. Of many who ask at once in an isolate, one runs the checks.
async fn current(context: &RequestContext) -> Rc<Status> {
    let key = CacheKey::new(&context.config.server_name, Subject::Status);
    if let Some(status) = look_up(context, &key).await {
        return status;
    }
    if !coalescing::wait_for(FillTarget::Pop, &key, MAX_CHECK_MS).await {
        let permit = coalescing::begin(&context.runtime, FillTarget::Pop, &key);
        let (looking, looked_for) = (context.clone(), key.clone());
        // Others may wait for it when the one who asked first has left.
        detach(&context.runtime, async move {
            find_out(&looking, &looked_for).await;
            drop(permit);
        });
        coalescing::wait_for(FillTarget::Pop, &key, MAX_CHECK_MS).await;
    }
    match look_up(context, &key).await {
        Some(status) => status,
        None => find_out(context, &key).await,
    }
}

async fn find_out(context: &RequestContext, key: &CacheKey) -> Rc<Status> {
    let status = Rc::new(Status::new(&check(context).await, clock::now_unix_secs()));
    LAST.set(Some(Rc::clone(&status)));
    pop::put_text(&context.config, key, &status.to_text(), KEPT_SECS).await;
    status
}

async fn look_up(context: &RequestContext, key: &CacheKey) -> Option<Rc<Status>> {
    let is_new = |status: &Rc<Status>| !status.is_old(clock::now_unix_secs());
    if let Some(status) = LAST.with_borrow(Clone::clone).filter(is_new) {
        return Some(status);
    }
    let text = pop::look_up_text(&context.config, key, MAX_KEPT_BYTES).await?;
    Status::parse(&text).map(Rc::new).filter(is_new)
}

async fn check(context: &RequestContext) -> Vec<Finding> {
    let mut findings = check_tiers(context).await;
    findings.push(status::evaluate_redirects(known::refused_redirect().as_deref()));
    findings.extend(quarantine_list(context).await);
    let [a, b, c, d, e] = status::probes(&context.config);
    let (a, b, c, d, e) =
        join5(ask(context, a), ask(context, b), ask(context, c), ask(context, d), ask(context, e))
            .await;
    for found in [a, b, c, d, e] {
        findings.extend(found);
    }
    findings
}

/// Evaluates the homeserver's list of quarantined media, as far as this isolate knows it.
pub(crate) async fn quarantine_list(context: &RequestContext) -> Option<Finding> {
    purge_list::current(context).await;
    let (stamp, now) = (purge_list::stamp(), clock::now_unix_secs());
    status::evaluate_quarantine_list(&context.config, stamp, now)
}

async fn ask(context: &RequestContext, (probe, request): (Probe, OriginRequest)) -> Vec<Finding> {
    let answer = timeout(PROBE_TIMEOUT_MS, probe_answer(context, probe, request)).await;
    let answer = answer.unwrap_or(Err(OriginError::TimedOut));
    status::evaluate_probe(probe, &answer, &context.config, clock::now_unix_secs())
}

/// Sends a probe, and follows the redirects that clients would follow. Returns what it was answered.
async fn probe_answer(
    context: &RequestContext,
    probe: Probe,
    mut request: OriginRequest,
) -> status::Answer {
    let began_ms = clock::now_unix_ms();
    let mut is_for_browsers = true;
    let mut redirects = Redirects::begin(request.url.clone());
    let (head, response) = loop {
        let Answer { head, response } = fetch::ask_alone(&context.config, &request).await?;
        is_for_browsers &= head.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN);
        if !probe.follows() || redirects.next(&head) != Next::Follow {
            break (head, response);
        }
        redirects.url().clone_into(&mut request.url);
        streams::release(&context.runtime, response.body().as_ref());
    };
    let waited_ms = clock::now_unix_ms().saturating_sub(began_ms);
    let body = match response.body() {
        Some(body) => streams::read_bounded(&body, MAX_ANSWER_BYTES).await.ok().flatten(),
        None => None,
    };
    let body = body.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let date_unix_secs = clock::parse_date(head.header(&DATE));
    Ok(ProbeResponse { head, is_for_browsers, body, waited_ms, date_unix_secs })
}

/// Puts something into the data centre's cache, and looks for it. Returns after how many milliseconds
/// it is there; `None` if it never was.
async fn check_pop(context: &RequestContext, key: &CacheKey) -> Option<u64> {
    let began_ms = clock::now_unix_ms();
    pop::put_text(&context.config, key, &began_ms.to_string(), KEPT_SECS).await;
    let put_ms = clock::now_unix_ms();
    for pause_ms in FIRST_PAUSES_MS.into_iter().chain(LATER_PAUSES_MS) {
        let _ = sleep(pause_ms).await;
        let found = pop::look_up_text(&context.config, key, MAX_KEPT_BYTES).await;
        // What another has put since shows it as well.
        if found.and_then(|text| text.parse::<u64>().ok()).is_some_and(|at| at >= began_ms) {
            return Some(clock::now_unix_ms().saturating_sub(put_ms));
        }
    }
    None
}

/// Checks whether the tiers give back what is written to them.
async fn check_tiers(context: &RequestContext) -> Vec<Finding> {
    let key = CacheKey::new(&context.config.server_name, Subject::StatusProbe);
    let pop = timeout(PROBE_TIMEOUT_MS, check_pop(context, &key)).await.flatten();
    let bucket = match &context.bucket {
        Some(bucket) => {
            let written = bucket::write_text(bucket, &key, "probe", &Condition::None);
            // A write that comes within a second of another shows that writing works.
            let written = timeout(PROBE_TIMEOUT_MS, written).await;
            Some(matches!(written, Some(Written::Yes | Written::Busy)))
        }
        None => None,
    };
    status::evaluate_tiers(&context.config, pop, bucket)
}
