//! Runs the checks, keeps their results for a while, and tells them.

use ::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use ::http::{Method, StatusCode};
use futures_util::future::join5;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::Response;

use super::bucket::Condition;
use super::fills::{self, Stage};
use super::origin::Answer;
use super::{Call, bucket, cache, clock, origin, report, streams};
use crate::access_token::AccessToken;
use crate::admin::authorize;
use crate::cache_key::{CacheKey, Subject};
use crate::headers::add_cors;
use crate::matrix_error::Rejection;
use crate::request::{OriginRequest, ReplyHead};
use crate::route::StatusForm;
use crate::status::{
    self, Finding, Heard, KEPT_SECS, MAX_ANSWER_BYTES, MAX_KEPT_BYTES, Probe, Status,
};
use crate::target::form_pairs;

/// The most that is read of a form, in bytes.
const MAX_FORM_BYTES: usize = 4 * 1024;

/// What the page may do: show itself, and ask for the details.
const PAGE_CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

#[wasm_bindgen(module = "/src/edge/page.js")]
extern "C" {
    fn page(json: &str, has_admin: bool, notice: &str) -> String;
}

/// Answers a request for the status.
pub(super) async fn answer(call: &Call, form: StatusForm) -> Result<Response, JsValue> {
    match form {
        StatusForm::Json if call.head.is_read() => json(call).await,
        StatusForm::Page if call.head.is_read() => {
            let is_admin = authorize(&call.head, &call.config).is_ok();
            answer_page(call, is_admin, "").await
        }
        StatusForm::Page if call.head.method == Method::POST => {
            let admin_token = call.config.admin_token.as_ref();
            let is_admin = shown_token(call)
                .await?
                .is_some_and(|shown| admin_token.is_some_and(|token| token.is(&shown)));
            let notice = if is_admin { "" } else { "That is not the ADMIN_TOKEN of this edge." };
            answer_page(call, is_admin, notice).await
        }
        StatusForm::Json | StatusForm::Page => call.reject(&Rejection::StatusMethod),
    }
}

async fn json(call: &Call) -> Result<Response, JsValue> {
    let is_admin = match authorize(&call.head, &call.config) {
        Ok(()) => true,
        // Whoever shows a token wants more than all may see.
        Err(Rejection::NotAdmin) if call.head.headers.contains_key(AUTHORIZATION) => {
            return call.reject(&Rejection::NotAdmin);
        }
        Err(_) => false,
    };
    let mut headers = HeaderMap::from_iter([
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ]);
    add_cors(&mut headers);
    let text = told(call, is_admin).await;
    send(call, ReplyHead::new(StatusCode::OK, headers), &text)
}

async fn answer_page(call: &Call, is_admin: bool, notice: &str) -> Result<Response, JsValue> {
    let headers = HeaderMap::from_iter([
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_CSP)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ]);
    let status = if notice.is_empty() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let text = page(&told(call, is_admin).await, call.config.admin_token.is_some(), notice);
    send(call, ReplyHead::new(status, headers), &text)
}

fn send(call: &Call, head: ReplyHead, text: &str) -> Result<Response, JsValue> {
    if call.head.method == Method::HEAD {
        call.reply(head, None)
    } else {
        call.reply_text(head, text)
    }
}

/// The token in the page's form.
async fn shown_token(call: &Call) -> Result<Option<AccessToken>, JsValue> {
    let Some(body) = call.request.body() else { return Ok(None) };
    let bytes = streams::read_bounded(&body, MAX_FORM_BYTES).await?.unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let token = form_pairs(&text).find(|(name, _)| name == "token");
    Ok(token.and_then(|(_, token)| AccessToken::parse(&token)))
}

/// The status as JSON, with or without details.
async fn told(call: &Call, is_admin: bool) -> String {
    let status = current(call).await;
    if is_admin {
        report::with_tally(|tally| status.detailed_json(&call.config, tally.days()))
    } else {
        status.public_json(&call.config)
    }
}

/// Kept results, or new ones; of many who ask at once in an isolate, one looks.
async fn current(call: &Call) -> Status {
    let key = CacheKey::new(Subject::Status);
    let mut kept = look_up(call, &key).await;
    if kept.is_none() && fills::wait(Stage::Pop, &key).await {
        kept = look_up(call, &key).await;
    }
    if let Some(status) = kept {
        return status;
    }
    let fill = fills::begin(Stage::Pop, &key);
    let status = Status::new(&check(call).await, clock::now_unix_secs());
    cache::put_text(&call.config, &key, &status.to_text(), KEPT_SECS).await;
    drop(fill);
    status
}

async fn look_up(call: &Call, key: &CacheKey) -> Option<Status> {
    let text = cache::look_up_text(&call.config, key, MAX_KEPT_BYTES).await?;
    let status = Status::parse(&text)?;
    (!status.is_old(clock::now_unix_secs())).then_some(status)
}

async fn check(call: &Call) -> Vec<Finding> {
    let mut findings = check_tiers(call).await;
    let [a, b, c, d, e] = status::probes(&call.config);
    let (a, b, c, d, e) =
        join5(ask(call, a), ask(call, b), ask(call, c), ask(call, d), ask(call, e)).await;
    for found in [a, b, c, d, e] {
        findings.extend(found);
    }
    findings
}

async fn ask(call: &Call, (probe, request): (Probe, OriginRequest)) -> Vec<Finding> {
    let began_ms = clock::now_unix_millis();
    let answer = match origin::ask_alone(&call.config, &request).await {
        Ok(Answer { head, response }) => {
            let waited_ms = clock::now_unix_millis().saturating_sub(began_ms);
            let body = match response.body() {
                Some(body) => streams::read_bounded(&body, MAX_ANSWER_BYTES).await.ok().flatten(),
                None => None,
            };
            let body = body.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
            let date_unix_secs = clock::parse_date(head.header(&::http::header::DATE));
            Ok(Heard { head, body, waited_ms, date_unix_secs })
        }
        Err(error) => Err(error),
    };
    status::judge_probe(probe, &answer, &call.config, clock::now_unix_secs())
}

/// Whether the tiers give back what they are given.
async fn check_tiers(call: &Call) -> Vec<Finding> {
    let key = CacheKey::new(Subject::StatusProbe);
    cache::put_text(&call.config, &key, "probe", KEPT_SECS).await;
    let pop = cache::look_up_text(&call.config, &key, MAX_KEPT_BYTES).await;
    let bucket = match &call.bucket {
        Some(bucket) => Some(bucket::write_text(bucket, &key, "probe", &Condition::None).await),
        None => None,
    };
    status::judge_tiers(&call.config, pop.is_some(), bucket)
}
