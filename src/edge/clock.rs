//! The only reader of the clock.

/// Seconds since the Unix epoch.
pub(super) fn now_unix_secs() -> u64 {
    now_unix_millis() / 1000
}

/// Milliseconds since the Unix epoch. On the platform it stands still between two operations of input
/// or output, which is as exact as anything here needs.
#[expect(clippy::disallowed_methods, reason = "this is the one door to the clock")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the date is positive")]
pub(super) fn now_unix_millis() -> u64 {
    js_sys::Date::now() as u64
}
