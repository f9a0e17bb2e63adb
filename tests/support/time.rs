//! The tests' one door to the clock.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PAUSE: Duration = Duration::from_millis(5);

/// The present.
#[expect(clippy::disallowed_methods, reason = "this is the door; the Worker's core has none")]
pub fn now() -> Instant {
    Instant::now()
}

/// The present in seconds since the Unix epoch, as the edge dates what it stores.
///
/// # Panics
/// When the clock is set to before that.
#[expect(clippy::disallowed_methods, reason = "this is the door; the Worker's core has none")]
pub fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs()
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
