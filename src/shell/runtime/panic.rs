//! A panic fails the request that it happens in, and no other.
//!
//! Nothing unwinds in this wasm, and a trap would end the instance with all that is under way in
//! it. So the panic hook throws an exception of the runtime's, and whatever may panic is called by
//! way of JavaScript, where that exception ends. The stack frames between are never dropped, and
//! stay in memory with what they had borrowed. So an instance that has panicked is replaced as soon
//! as no request is under way in it. Until then one more panic is a trap: the standard library
//! takes it for a panic within the hook, which it never saw return. After a trap the next request
//! gets a new instance, and those that were under way an error.

use std::cell::Cell;
use std::mem;
use std::panic;
use std::pin::Pin;
use std::task::{Context, Poll};

use js_sys::Promise;
use wasm_bindgen::handler::schedule_reinit;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::throw_str;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Request, Response};

use crate::error::Rejection;
use crate::shell::runtime::heads;
use crate::shell::runtime::log;

#[wasm_bindgen(module = "/src/shell/runtime/panic.js")]
extern "C" {
    #[wasm_bindgen(js_name = setFallbackResponse)]
    fn set_fallback_response(head: &Response, text: &str);

    fn completes(step: &mut dyn FnMut()) -> bool;

    /// Returns the promise of an answer, or of the fallback response if a trap ends the instance
    /// before.
    #[wasm_bindgen(js_name = orFallbackResponse)]
    pub(crate) fn or_fallback_response(answer: &Promise, request: &Request) -> Promise;
}

thread_local! {
    /// How many futures there are in a [`CatchPanic`].
    static UNDER_WAY: Cell<u32> = const { Cell::new(0) };
    static HAS_PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Installs the panic hook. It logs where a panic happens, but not its message, which may quote from
/// a request.
pub(crate) fn install() {
    let (head, text) = Rejection::Internal.reply();
    if let Ok(head) = heads::response(&head, None) {
        set_fallback_response(&head, &text);
    }
    panic::set_hook(Box::new(|panic| {
        HAS_PANICKED.set(true);
        if let Some(place) = panic.location() {
            log::error(&format!("internal error: panicked at {place}"));
        }
        throw_str("panicked");
    }));
}

/// The future has panicked.
pub(crate) struct Panicked;

/// Runs a future, and returns [`Panicked`] if that panics; its memory is then not freed.
pub(crate) struct CatchPanic<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + 'a>>>,
}

impl<'a, T> CatchPanic<'a, T> {
    pub(crate) fn new(future: Pin<Box<dyn Future<Output = T> + 'a>>) -> Self {
        UNDER_WAY.set(UNDER_WAY.get() + 1);
        Self { future: Some(future) }
    }
}

impl<T> Future for CatchPanic<'_, T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut future) = self.future.take() else { return Poll::Ready(Err(Panicked)) };
        let mut polled = Poll::Pending;
        if !completes(&mut || polled = future.as_mut().poll(context)) {
            // The poll was broken off in the middle, so the future is in no state to be dropped.
            mem::forget(future);
            return Poll::Ready(Err(Panicked));
        }
        if polled.is_pending() {
            self.future = Some(future);
        }
        polled.map(Ok)
    }
}

impl<T> Drop for CatchPanic<'_, T> {
    fn drop(&mut self) {
        UNDER_WAY.set(UNDER_WAY.get() - 1);
        if HAS_PANICKED.get() && UNDER_WAY.get() == 0 {
            // Later, since the caller has yet to return through this instance.
            spawn_local(async {
                if UNDER_WAY.get() == 0 {
                    schedule_reinit();
                }
            });
        }
    }
}
