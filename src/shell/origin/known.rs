//! What this isolate has learned of the origin from its answers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::matrix::media::Door;
use crate::origin::pace::Pace;
use crate::origin::ranges::{RangeHosts, RangeLesson, RangeSupport};
use crate::origin::revalidation::{Lesson, Revalidation};
use crate::shell::runtime::{clock, log};

thread_local! {
    static REVALIDATION: Cell<Revalidation> = const { Cell::new(Revalidation::NEW) };
    static PACE: Cell<Pace> = const { Cell::new(Pace::UNKNOWN) };
    static RANGES: RefCell<Rc<RangeHosts>> = RefCell::new(Rc::default());
    static REFUSED_REDIRECT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Returns how the origin can be asked about stored media.
pub(crate) fn revalidation() -> Revalidation {
    REVALIDATION.get()
}

/// Records whether a way of revalidating worked.
pub(crate) fn learn(lesson: Lesson) {
    let mut known = REVALIDATION.get();
    known.learn(lesson, clock::now_unix_secs());
    REVALIDATION.set(known);
}

/// Returns how fast the origin sends.
pub(crate) fn pace() -> Pace {
    PACE.get()
}

/// Records that `bytes` came within `ms` milliseconds (see [`Pace::learn`]).
pub(crate) fn learn_pace(bytes: u64, ms: u64, is_unhindered: bool) {
    let mut pace = PACE.get();
    pace.learn(bytes, ms, is_unhindered);
    PACE.set(pace);
}

/// Records that fewer than `bytes` came within `ms` milliseconds (see [`Pace::learn_late`]).
pub(crate) fn learn_late(bytes: u64, ms: u64) {
    let mut pace = PACE.get();
    pace.learn_late(bytes, ms);
    PACE.set(pace);
}

/// Returns which hosts serve ranges.
pub(crate) fn ranges() -> Rc<RangeHosts> {
    RANGES.with_borrow(Rc::clone)
}

/// Returns whether a host serves ranges.
pub(crate) fn range_support(host: &str) -> RangeSupport {
    RANGES.with_borrow(|hosts| hosts.support(host, clock::now_unix_secs()))
}

/// Records whether a host serves ranges.
pub(crate) fn learn_range(lesson: RangeLesson) {
    let now = clock::now_unix_secs();
    RANGES.with_borrow_mut(|hosts| Rc::make_mut(hosts).learn(lesson, now));
}

/// Records whether a HEAD is answered with the head of a GET.
pub(crate) fn learn_head(door: Door, works: bool) {
    let mut known = REVALIDATION.get();
    known.learn_head(door, works, clock::now_unix_secs());
    REVALIDATION.set(known);
}

/// Returns the last host that the origin redirected media to and that is not followed; `None` if
/// there was none.
pub(crate) fn refused_redirect() -> Option<String> {
    REFUSED_REDIRECT.with_borrow(Clone::clone)
}

/// Logs, once for each host, that the origin redirects media to a host that is not followed.
pub(crate) fn refuse_redirect(host: String) {
    if REFUSED_REDIRECT.with_borrow(|known| known.as_deref() != Some(&*host)) {
        log::error(&format!(
            "the homeserver redirects media to {host}: name it in ORIGIN_REDIRECT_HOSTS if it should be followed"
        ));
        REFUSED_REDIRECT.set(Some(host));
    }
}
