//! Records what becomes of each request, for the log, Analytics Engine and the status page.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ::http::Method;
use ::http::header::CONTENT_LENGTH;
use js_sys::Reflect;
use web_sys::{Request, Response};

use crate::cache::tier::Tier;
use crate::config::LogRequests;
use crate::message::ReplyHead;
use crate::origin::OriginHead;
use crate::route::Route;
use crate::shell::runtime::bindings::Bindings;
use crate::shell::runtime::{clock, log};
use crate::telemetry::counts::Counts;
use crate::telemetry::daily::Tally;
use crate::telemetry::event::{Event, Pop, SERVER_TIMING};

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::default();
    static COUNTS: RefCell<Counts> = RefCell::default();
    static POP: Cell<Option<Pop>> = const { Cell::new(None) };
}

/// Records what happens to one request.
#[derive(Clone)]
pub(crate) struct Recorder {
    event: Rc<RefCell<Event>>,
    began_ms: u64,
    pop: Pop,
}

impl Recorder {
    pub(crate) fn new(request: &Request) -> Self {
        let began_ms = clock::now_unix_ms();
        count(|counts| counts.begin(began_ms / 1000));
        Self { event: Rc::default(), began_ms, pop: pop(request) }
    }

    /// Returns a recorder whose records are never reported.
    pub(crate) fn another(&self) -> Self {
        Self { event: Rc::default(), ..self.clone() }
    }

    pub(crate) fn routed(&self, route: &Route) {
        self.event.borrow_mut().routed(route);
    }

    pub(crate) fn replied(&self, head: &ReplyHead, has_body: bool) {
        self.event.borrow_mut().replied(head, has_body);
    }

    pub(crate) fn served_from(&self, tier: Tier) {
        self.event.borrow_mut().served_from(tier);
    }

    pub(crate) fn asked_origin(&self, method: &Method, answer: Option<&OriginHead>, began_ms: u64) {
        let waited_ms = clock::now_unix_ms().saturating_sub(began_ms);
        self.event.borrow_mut().asked_origin(method, answer, waited_ms);
    }

    /// Adds `Server-Timing` to a head, from what has been recorded so far.
    pub(crate) fn time(&self, head: &mut ReplyHead) {
        let timing = self.event.borrow().server_timing();
        head.headers.extend(timing.map(|timing| (SERVER_TIMING, timing)));
    }

    /// Reports what has been recorded: to the counts, the log and Analytics Engine.
    pub(crate) fn finish(&self, bindings: &Bindings, response: &Response) {
        let Bindings { config, metrics, .. } = bindings;
        let now_ms = clock::now_unix_ms();
        let duration_ms = now_ms.saturating_sub(self.began_ms);
        let mut event = self.event.borrow_mut();
        if !event.is_answered() {
            // The origin's own response, passed on as it came.
            let length = response.headers().get(CONTENT_LENGTH.as_str()).ok().flatten();
            let length = length.filter(|_| response.body().is_some());
            let body_bytes = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            event.answered(response.status(), body_bytes);
        }
        event.ended(duration_ms, self.pop);
        TALLY.with_borrow_mut(|tally| tally.add(&event, now_ms / 1000));
        let log_requests = config.as_ref().map_or(LogRequests::All, |config| config.log_requests);
        if event.is_logged(log_requests) {
            log::info(&event.to_line());
        }
        if let Some(dataset) = metrics {
            log::write_data_point(event.data_point(), dataset);
        }
    }
}

/// Calls `look` with the tally of this isolate.
pub(crate) fn with_tally<T>(look: impl FnOnce(&Tally) -> T) -> T {
    TALLY.with_borrow(look)
}

/// Changes the counts of this isolate.
pub(crate) fn count(add: impl FnOnce(&mut Counts)) {
    COUNTS.with_borrow_mut(add);
}

/// Returns what this isolate has counted.
pub(crate) fn counts() -> Counts {
    COUNTS.with_borrow(Clone::clone)
}

/// Returns the data centre, which never changes for an isolate.
fn pop(request: &Request) -> Pop {
    POP.with(|pop| {
        pop.get().unwrap_or_else(|| {
            let cf = Reflect::get(request, &"cf".into()).unwrap_or_default();
            let colo = Reflect::get(&cf, &"colo".into()).ok().and_then(|colo| colo.as_string());
            let found = Pop::parse(&colo.unwrap_or_default());
            pop.set(Some(found));
            found
        })
    })
}
