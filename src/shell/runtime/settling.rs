//! Futures of the runtime's promises and timers, which can be dropped at any time with all that
//! they own.
//!
//! `JsFuture` can't: the callbacks that it gives to a promise stay in memory until that settles,
//! and the promises of a request that has ended never settle.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use web_sys::Request;

#[wasm_bindgen(module = "/src/shell/runtime/settling.js")]
extern "C" {
    type Watch;

    fn watch(promise: &Promise, settled: &Callback) -> Watch;

    #[wasm_bindgen(js_name = watchTime)]
    fn watch_time(ms: u32, settled: &Callback) -> Watch;

    #[wasm_bindgen(js_name = watchClient)]
    fn watch_client(request: &Request, settled: &Callback) -> Watch;

    fn unwatch(watch: &Watch);
}

type Callback = Closure<dyn FnMut(bool, JsValue)>;

/// The outcome of a promise, once it is known.
pub(crate) struct Settling {
    outcome: Rc<Outcome>,
    _watching: Watching,
}

#[derive(Default)]
struct Outcome {
    result: Cell<Option<Result<JsValue, JsValue>>>,
    waker: RefCell<Option<Waker>>,
}

/// A callback that the runtime calls until this is dropped.
pub(crate) struct Watching {
    watch: Watch,
    _callback: Callback,
}

impl Watching {
    /// Calls `leave` when the client of a request leaves before it has been answered whole.
    pub(crate) fn client(request: &Request, mut leave: impl FnMut() + 'static) -> Self {
        let callback: Callback = Closure::new(move |_, _| leave());
        Self { watch: watch_client(request, &callback), _callback: callback }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        unwatch(&self.watch);
    }
}

impl Settling {
    fn begin(start: impl FnOnce(&Callback) -> Watch) -> Self {
        let outcome = Rc::<Outcome>::default();
        let settled = Rc::clone(&outcome);
        let callback: Callback = Closure::new(move |is_fulfilled, value| {
            settled.result.set(Some(if is_fulfilled { Ok(value) } else { Err(value) }));
            if let Some(waker) = settled.waker.take() {
                waker.wake();
            }
        });
        Self { outcome, _watching: Watching { watch: start(&callback), _callback: callback } }
    }
}

/// Returns the future of a promise's outcome.
pub(crate) fn settled(promise: &Promise) -> Settling {
    Settling::begin(|callback| watch(promise, callback))
}

/// Returns a future that is ready after `ms`.
pub(crate) fn sleep(ms: u32) -> Settling {
    Settling::begin(|callback| watch_time(ms, callback))
}

impl Future for Settling {
    type Output = Result<JsValue, JsValue>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.outcome.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                self.outcome.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}
