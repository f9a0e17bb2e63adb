//! Whether a request's client is still there, and for how long background work goes on.

/// How long background work may take after the answer, or after its client has left, in
/// milliseconds. The platform cuts the work off at 30 s, and then no code of it runs any more: work
/// that ends before can abort its own requests, and leaves no memory behind in the isolate.
pub const MAX_BACKGROUND_MS: u64 = 25_000;

/// After how long the rest of a request can't be alive, in milliseconds: whatever is still there of
/// background work, the platform has cut off long ago.
const MAX_REMAINS_MS: u64 = 60_000;

/// How long a request may take that has neither been answered nor lost its client, in milliseconds.
/// A slow upload takes long, and none takes an hour: this one was ended without a word.
const MAX_REQUEST_MS: u64 = 3_600_000;

/// A request's client, from the request's beginning on.
#[derive(Clone, Copy, Debug)]
pub struct Presence {
    begun_unix_ms: u64,
    is_answered: bool,
    has_left: bool,
    /// How many streams are on their way to the client through pipes of the edge's own.
    readings: u32,
    /// Since when no answer has been on its way.
    gone_unix_ms: Option<u64>,
}

impl Presence {
    /// Returns that of a client who has just asked.
    pub const fn new(now_unix_ms: u64) -> Self {
        Self {
            begun_unix_ms: now_unix_ms,
            is_answered: false,
            has_left: false,
            readings: 0,
            gone_unix_ms: None,
        }
    }

    /// Records that the answer has begun. Where the runtime moves the body by itself, no later
    /// event of the client is seen.
    pub const fn answer(&mut self, now_unix_ms: u64) {
        self.is_answered = true;
        self.look(now_unix_ms);
    }

    /// Records that the client has left.
    pub const fn leave(&mut self, now_unix_ms: u64) {
        self.has_left = true;
        self.look(now_unix_ms);
    }

    /// Records that the client reads a stream through a pipe of the edge's own.
    pub const fn begin_reading(&mut self, now_unix_ms: u64) {
        self.readings += 1;
        self.look(now_unix_ms);
    }

    /// Records the end of such a stream.
    pub const fn end_reading(&mut self, now_unix_ms: u64) {
        self.readings = self.readings.saturating_sub(1);
        self.look(now_unix_ms);
    }

    /// Returns whether the client is known to have left.
    pub const fn has_left(&self) -> bool {
        self.has_left
    }

    /// Returns for how many milliseconds background work may still go on; `None` while an answer is
    /// on its way, for as long as that takes.
    pub const fn background_ms(&self, now_unix_ms: u64) -> Option<u64> {
        match self.gone_unix_ms {
            Some(gone) => Some(MAX_BACKGROUND_MS.saturating_sub(now_unix_ms.saturating_sub(gone))),
            None => None,
        }
    }

    /// Returns whether the platform must have ended the request.
    pub const fn is_over(&self, now_unix_ms: u64) -> bool {
        match self.gone_unix_ms {
            Some(gone) => now_unix_ms.saturating_sub(gone) >= MAX_REMAINS_MS,
            None if self.readings > 0 => false,
            None => now_unix_ms.saturating_sub(self.begun_unix_ms) >= MAX_REQUEST_MS,
        }
    }

    /// Keeps the moment at which the client was gone, until it turns out to be there.
    const fn look(&mut self, now_unix_ms: u64) {
        let is_gone = self.has_left || (self.is_answered && self.readings == 0);
        self.gone_unix_ms = match (is_gone, self.gone_unix_ms) {
            (false, _) => None,
            (true, None) => Some(now_unix_ms),
            (true, gone) => gone,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn background_work_has_no_deadline_before_the_answer() {
        let presence = Presence::new(NOW);
        assert_eq!(presence.background_ms(NOW + 600_000), None);
    }

    #[test]
    fn background_work_ends_in_time_after_the_answer() {
        let mut presence = Presence::new(NOW);
        presence.answer(NOW + 5_000);
        assert_eq!(presence.background_ms(NOW + 6_000), Some(24_000));
        assert_eq!(presence.background_ms(NOW + 30_000), Some(0));
        assert_eq!(presence.background_ms(NOW + 300_000), Some(0));
    }

    #[test]
    fn a_body_that_is_still_read_has_no_deadline() {
        let mut presence = Presence::new(NOW);
        presence.begin_reading(NOW);
        presence.answer(NOW);
        assert_eq!(presence.background_ms(NOW + 600_000), None);
        assert!(!presence.is_over(NOW + 2 * MAX_REQUEST_MS));
        presence.end_reading(NOW + 600_000);
        assert_eq!(presence.background_ms(NOW + 601_000), Some(24_000));
    }

    #[test]
    fn one_stream_that_ends_is_not_the_end_of_another() {
        let mut presence = Presence::new(NOW);
        presence.begin_reading(NOW);
        presence.begin_reading(NOW);
        presence.answer(NOW);
        presence.end_reading(NOW);
        assert_eq!(presence.background_ms(NOW), None);
    }

    #[test]
    fn a_client_that_has_left_no_longer_reads() {
        let mut presence = Presence::new(NOW);
        presence.begin_reading(NOW);
        presence.leave(NOW + 1_000);
        assert!(presence.has_left());
        assert_eq!(presence.background_ms(NOW + 2_000), Some(24_000));
        presence.end_reading(NOW + 9_000);
        presence.answer(NOW + 10_000);
        assert_eq!(presence.background_ms(NOW + 11_000), Some(15_000), "from the leaving on");
    }

    #[test]
    fn a_request_does_not_end_when_the_clock_is_set_back() {
        let mut presence = Presence::new(NOW);
        presence.answer(NOW);
        assert_eq!(presence.background_ms(NOW - 60_000), Some(25_000));
        assert!(!presence.is_over(NOW - 60_000));
    }

    #[test]
    fn remains_of_a_request_are_distinguished_from_a_request_under_way() {
        let mut presence = Presence::new(NOW);
        assert!(!presence.is_over(NOW + 3_599_999));
        assert!(presence.is_over(NOW + 3_600_000));
        presence.leave(NOW);
        assert!(!presence.is_over(NOW + 59_999));
        assert!(presence.is_over(NOW + 60_000));
    }
}
