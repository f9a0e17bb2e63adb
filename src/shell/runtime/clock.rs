//! The only reader of the clock, of dates, and of chance.

use std::cell::Cell;

/// The clock within a turn.
#[derive(Clone, Copy)]
enum Turn {
    Unread,
    Read(u64),
}

thread_local! {
    static TURN: Cell<Option<Turn>> = const { Cell::new(None) };
}

/// Runs one step of a request's future and returns its result. Within the step the clock is read at most
/// once: each reading crosses into the runtime, and the platform's clock stands still until the step ends.
pub(crate) fn in_turn<T>(step: impl FnOnce() -> T) -> T {
    TURN.set(Some(Turn::Unread));
    let result = step();
    TURN.set(None);
    result
}

/// Returns the time in seconds since the Unix epoch.
pub(crate) fn now_unix_secs() -> u64 {
    now_unix_ms() / 1000
}

/// Returns the time in milliseconds since the Unix epoch, read once for each turn.
pub(crate) fn now_unix_ms() -> u64 {
    match TURN.get() {
        Some(Turn::Read(now)) => now,
        Some(Turn::Unread) => {
            let now = read();
            TURN.set(Some(Turn::Read(now)));
            now
        }
        None => read(),
    }
}

/// Reads the clock, in milliseconds since the Unix epoch. On the platform the clock stands still
/// between two operations of input or output, which is exact enough here.
#[expect(clippy::disallowed_methods, reason = "this is the one door to the clock")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the date is positive")]
fn read() -> u64 {
    js_sys::Date::now() as u64
}

/// Parses an HTTP date (RFC 9110 §5.6.7). Returns seconds since the Unix epoch; `None` if the
/// runtime can't parse it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is checked")]
pub(crate) fn parse_date(text: Option<&str>) -> Option<u64> {
    let ms = js_sys::Date::parse(text?);
    (ms >= 0.0).then_some((ms / 1000.0) as u64)
}

/// Returns a random number below `bound`, for pauses that differ.
#[expect(clippy::disallowed_methods, reason = "this is the one door to chance")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is below the bound"
)]
pub(crate) fn random_below(bound: u32) -> u32 {
    (js_sys::Math::random() * f64::from(bound)) as u32
}
