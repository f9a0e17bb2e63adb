//! What this isolate has learned of the origin from its answers.

use std::cell::{Cell, RefCell};

use crate::matrix::media::Door;
use crate::origin::revalidation::{Lesson, Revalidation};
use crate::shell::runtime::{clock, log};

thread_local! {
    static REVALIDATION: Cell<Revalidation> = const { Cell::new(Revalidation::NEW) };
    static REFUSED_REDIRECT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Returns how the origin can be asked about stored media.
pub(crate) fn revalidation() -> Revalidation {
    REVALIDATION.get()
}

/// Takes a lesson in.
pub(crate) fn learn(lesson: Lesson) {
    let mut known = REVALIDATION.get();
    known.learn(lesson, clock::now_unix_secs());
    REVALIDATION.set(known);
}

/// Takes in whether a HEAD brings what a GET does.
pub(crate) fn learn_head(door: Door, works: bool) {
    let mut known = REVALIDATION.get();
    known.learn_head(door, works, clock::now_unix_secs());
    REVALIDATION.set(known);
}

/// Returns the host that the origin redirected media to last and that is not followed.
pub(crate) fn refused_redirect() -> Option<String> {
    REFUSED_REDIRECT.with_borrow(Clone::clone)
}

/// Tells the log, once for each host, that the origin redirects media to where it is not followed.
pub(crate) fn refuse_redirect(host: String) {
    if REFUSED_REDIRECT.with_borrow(|known| known.as_deref() != Some(&*host)) {
        log::complain(&format!(
            "the homeserver redirects media to {host}: name it in ORIGIN_REDIRECT_HOSTS if it should be followed"
        ));
        REFUSED_REDIRECT.set(Some(host));
    }
}
