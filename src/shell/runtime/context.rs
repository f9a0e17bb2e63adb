//! One request's stay in the isolate: its client, and everything that runs for it.
//!
//! The platform ends a request without notice when its client leaves, or 30 s later. A future that
//! still waits then is neither polled again nor dropped: its memory is held until the isolate ends,
//! and an instance that has panicked is never replaced. So every future here can be dropped from
//! outside: when the client leaves, by a deadline, or by a later request.

use std::cell::{Cell, OnceCell, RefCell};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{self, Poll, Waker};

use wasm_bindgen_futures::spawn_local;
use web_sys::Request;

use crate::message::presence::Presence;
use crate::shell::runtime::clock;
use crate::shell::runtime::settling::{Watching, sleep};

/// How many requests that wait are known before those are looked for that can't be alive.
const MIN_KNOWN: usize = 64;

/// How many requests go on at once to fill the cache after their clients have left. Each keeps some
/// kilobytes, and an isolate that so many leave at once has better things to do.
const MAX_ORPHANS: u32 = 100;

/// How long background work goes on at most before the deadline is looked at, in milliseconds.
const LOOK_MS: u64 = 2_000;

thread_local! {
    static ORPHANS: Cell<u32> = const { Cell::new(0) };
    static KNOWN: RefCell<Known> = const { RefCell::new(Known { stays: Vec::new(), limit: MIN_KNOWN }) };
}

/// A request under way.
#[derive(Clone)]
pub(crate) struct Context(Rc<Stay>);

struct Stay {
    platform: worker::Context,
    request: Request,
    presence: Cell<Presence>,
    /// How many cache fills go on although the client leaves.
    holds: Cell<u32>,
    running: RefCell<Vec<(Whose, Weak<Running>)>>,
    listening: OnceCell<Watching>,
}

/// Whom a task runs for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The client who waits for the answer. The task becomes background work if it holds a cache
    /// fill.
    Asker,
    /// The client who gets a body.
    Reader,
    /// Other clients, too.
    Background,
}

impl Context {
    pub(crate) fn new(platform: worker::Context, request: &Request) -> Self {
        Self(Rc::new(Stay {
            platform,
            request: Clone::clone(request),
            presence: Cell::new(Presence::new(clock::now_unix_ms())),
            holds: Cell::new(0),
            running: RefCell::default(),
            listening: OnceCell::new(),
        }))
    }

    /// Returns the client's request.
    pub(crate) fn request(&self) -> &Request {
        &self.0.request
    }

    /// Runs the task that answers the client. If the client leaves before, the task is dropped; one
    /// that holds a cache fill goes on in the background.
    pub(crate) fn ask(&self, task: impl Future<Output = ()> + 'static) {
        let running = self.run(Whose::Asker, Box::pin(task));
        spawn_local(Runner(running));
    }

    /// Runs a task that sends the client a body, and drops the task when the client leaves.
    pub(crate) fn serve(&self, task: impl Future<Output = ()> + 'static) {
        self.go_on(Whose::Reader, task);
    }

    /// Runs a task that goes on after the answer and after the client has left, until its deadline.
    /// Returns what stops it.
    pub(crate) fn run_in_background(
        &self,
        task: impl Future<Output = ()> + 'static,
    ) -> Rc<Running> {
        self.go_on(Whose::Background, task)
    }

    fn go_on(&self, whose: Whose, task: impl Future<Output = ()> + 'static) -> Rc<Running> {
        let bounded = Bounded { task: Box::pin(task), deadline: Box::pin(deadline(self.clone())) };
        let running = self.run(whose, Box::pin(bounded));
        self.0.platform.wait_until(Runner(Rc::clone(&running)));
        running
    }

    fn run(&self, whose: Whose, future: Pin<Box<dyn Future<Output = ()>>>) -> Rc<Running> {
        self.listen();
        let running = Rc::new(Running {
            future: RefCell::new(Some(future)),
            is_over: Cell::new(false),
            waker: RefCell::default(),
            joiner: RefCell::default(),
        });
        let mut all = self.0.running.borrow_mut();
        all.retain(|(_, running)| running.strong_count() > 0);
        all.push((whose, Rc::downgrade(&running)));
        running
    }

    /// Begins to listen for the client's leaving, if that has not begun.
    fn listen(&self) {
        self.0.listening.get_or_init(|| {
            KNOWN.with_borrow_mut(|known| known.add(&self.0));
            let stay = Rc::downgrade(&self.0);
            Watching::client(&self.0.request, move || {
                if let Some(stay) = stay.upgrade() {
                    Self(stay).leave();
                }
            })
        });
    }

    fn leave(&self) {
        self.update(Presence::leave);
        let all: Vec<_> = self.0.running.borrow().clone();
        for (whose, running) in all {
            let Some(running) = running.upgrade() else { continue };
            match whose {
                Whose::Background => {}
                Whose::Asker if self.0.holds.get() > 0 && ORPHANS.get() < MAX_ORPHANS => {
                    self.run_in_background(Joining::new(running));
                }
                Whose::Asker | Whose::Reader => running.stop(),
            }
        }
    }

    /// Records that the answer has begun.
    pub(crate) fn answered(&self) {
        self.update(Presence::answer);
    }

    /// Returns whether the client is known to have left.
    pub(crate) fn has_left(&self) -> bool {
        self.0.presence.get().has_left()
    }

    /// Returns for how many milliseconds background work may still go on; `None` while an answer is
    /// on its way.
    pub(crate) fn background_ms(&self) -> Option<u64> {
        self.0.presence.get().background_ms(clock::now_unix_ms())
    }

    /// Counts the client as reading until the returned value is dropped.
    pub(crate) fn reading(&self) -> Reading {
        self.update(Presence::begin_reading);
        Reading(self.clone())
    }

    /// Keeps the task that answers the client going, even if they leave, until the returned value
    /// is dropped.
    pub(crate) fn hold(&self) -> Hold {
        self.0.holds.set(self.0.holds.get() + 1);
        Hold(self.clone())
    }

    fn update(&self, change: impl FnOnce(&mut Presence, u64)) {
        let mut presence = self.0.presence.get();
        change(&mut presence, clock::now_unix_ms());
        self.0.presence.set(presence);
    }
}

/// A stream on its way to the client.
pub(crate) struct Reading(Context);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.update(Presence::end_reading);
    }
}

/// A cache fill that outlives its client's stay.
pub(crate) struct Hold(Context);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.holds.set(self.0.0.holds.get() - 1);
    }
}

/// Waits until background work must end.
async fn deadline(context: Context) {
    loop {
        let left = context.background_ms();
        match left.map_or(LOOK_MS, |left| left.min(LOOK_MS)) {
            0 => return,
            ms => {
                let _ = sleep(u32::try_from(ms).unwrap_or(u32::MAX)).await;
            }
        }
    }
}

/// A task, or its deadline.
struct Bounded {
    task: Pin<Box<dyn Future<Output = ()>>>,
    deadline: Pin<Box<dyn Future<Output = ()>>>,
}

impl Future for Bounded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<()> {
        match self.task.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.deadline.as_mut().poll(context),
        }
    }
}

/// A future that can be dropped from outside.
pub(crate) struct Running {
    /// Taken out while it is polled.
    future: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    joiner: RefCell<Option<Waker>>,
}

impl Running {
    /// Drops the future with all that it owns, and wakes what waits for its end.
    pub(crate) fn stop(&self) {
        let waker = self.abandon();
        for waker in [waker, self.joiner.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Drops the future without waking anything: the platform may have ended its request. Returns
    /// the future's waker.
    fn abandon(&self) -> Option<Waker> {
        self.is_over.set(true);
        let (future, waker) = (self.future.take(), self.waker.take());
        drop(future);
        waker
    }
}

/// Polls a [`Running`].
struct Runner(Rc<Running>);

impl Future for Runner {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<()> {
        let running = &self.0;
        let Some(mut future) = running.future.take() else { return Poll::Ready(()) };
        running.waker.replace(Some(context.waker().clone()));
        let polled = clock::in_turn(|| future.as_mut().poll(context));
        if polled.is_pending() && !running.is_over.get() {
            running.future.replace(Some(future));
            return Poll::Pending;
        }
        running.is_over.set(true);
        running.waker.take();
        drop(future);
        if let Some(joiner) = running.joiner.take() {
            joiner.wake();
        }
        Poll::Ready(())
    }
}

/// Stops a [`Running`] when this is dropped.
pub(crate) struct Stopping(pub(crate) Rc<Running>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Waits for the end of what a client has left behind, and stops it if that takes too long.
struct Joining(Stopping);

impl Joining {
    fn new(orphan: Rc<Running>) -> Self {
        ORPHANS.set(ORPHANS.get() + 1);
        Self(Stopping(orphan))
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        ORPHANS.set(ORPHANS.get() - 1);
    }
}

impl Future for Joining {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<()> {
        let running = &self.0.0;
        if running.is_over.get() {
            return Poll::Ready(());
        }
        running.joiner.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}

/// The requests in which something runs, so that what the platform has ended can be dropped.
struct Known {
    stays: Vec<Weak<Stay>>,
    /// How many there are when they are looked through next.
    limit: usize,
}

impl Known {
    fn add(&mut self, stay: &Rc<Stay>) {
        if self.stays.len() >= self.limit {
            self.sweep();
            self.limit = MIN_KNOWN.max(2 * self.stays.len());
        }
        self.stays.push(Rc::downgrade(stay));
    }

    fn sweep(&mut self) {
        let now = clock::now_unix_ms();
        self.stays.retain(|stay| {
            let Some(stay) = stay.upgrade() else { return false };
            if !stay.presence.get().is_over(now) {
                return true;
            }
            for (_, running) in stay.running.take() {
                if let Some(running) = running.upgrade() {
                    running.abandon();
                }
            }
            false
        });
    }
}
