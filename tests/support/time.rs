//! The tests' one door to the clock.

use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);

/// The present.
#[expect(clippy::disallowed_methods, reason = "this is the door; the Worker's core has none")]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits until `look` finds something.
///
/// # Panics
/// When it has found nothing after `patience`; `what` says what was waited for.
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < deadline, "waited {patience:?} in vain: {what}");
        sleep(PAUSE);
    }
}
