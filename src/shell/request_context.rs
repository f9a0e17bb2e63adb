//! One request, and the answers that are made from what is at hand for it.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::{ReadableStream, Request, Response};
use worker::worker_sys::R2Bucket;

use crate::config::Config;
use crate::endpoint::forward;
use crate::error::Rejection;
use crate::message::{ReplyHead, RequestHead};
use crate::origin::OriginError;
use crate::route::Endpoint;
use crate::shell::recorder::Recorder;
use crate::shell::runtime::context::Context;
use crate::shell::runtime::heads;

/// One request, with what it takes to answer it.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) request: Request,
    pub(crate) head: Rc<RequestHead>,
    pub(crate) config: Rc<Config>,
    pub(crate) runtime: Rc<Context>,
    pub(crate) bucket: Option<R2Bucket>,
    pub(crate) recorder: Recorder,
}

impl RequestContext {
    /// Returns a context for background work, which is not recorded with this request.
    pub(crate) fn in_background(&self) -> Self {
        Self { recorder: self.recorder.another(), ..self.clone() }
    }

    /// Makes a response of a head and a stream, and records it.
    pub(crate) fn reply(
        &self,
        mut head: ReplyHead,
        body: Option<&ReadableStream>,
    ) -> Result<Response, JsValue> {
        self.annotate(&mut head, body.is_some());
        heads::response(&head, body)
    }

    /// Makes a response of a head and a text, and records it.
    pub(crate) fn reply_text(&self, mut head: ReplyHead, text: &str) -> Result<Response, JsValue> {
        self.annotate(&mut head, true);
        heads::text_response(&head, text)
    }

    /// Makes the error that a media endpoint answers with where the origin gave no answer.
    pub(crate) fn fail(&self, endpoint: Endpoint, error: OriginError) -> Result<Response, JsValue> {
        let (head, text) = forward::media_failure(endpoint, error);
        self.reply_text(head, &text)
    }

    /// Makes a response of one of the edge's own errors, and records it.
    pub(crate) fn reject(&self, rejection: &Rejection) -> Result<Response, JsValue> {
        reject(&self.recorder, rejection)
    }

    /// Records a reply, and adds its `Server-Timing`.
    pub(crate) fn annotate(&self, head: &mut ReplyHead, has_body: bool) {
        self.recorder.replied(head, has_body);
        self.recorder.time(head);
    }
}

pub(crate) fn reject(recorder: &Recorder, rejection: &Rejection) -> Result<Response, JsValue> {
    let (head, text) = rejection.reply();
    recorder.replied(&head, true);
    heads::text_response(&head, &text)
}
