//! What the edge has saved, counted by day.

use serde::Serialize;

use crate::telemetry::event::Event;

const SECS_PER_DAY: u64 = 86_400;

/// How many days are kept.
const MAX_DAYS: usize = 30;

/// Counts of one isolate, the oldest day first.
#[derive(Debug, Default)]
pub struct Tally(Vec<Day>);

/// One day, in UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Day {
    /// When it began, in seconds since the Unix epoch.
    pub began_unix_secs: u64,
    /// Requests.
    pub requests: u64,
    /// Those that were served from what is stored.
    pub from_store: u64,
    /// Bytes of bodies sent to clients.
    pub served_bytes: u64,
    /// Bytes of bodies that the origin sent.
    pub origin_bytes: u64,
}

impl Tally {
    /// Counts a request.
    pub fn add(&mut self, event: &Event, now_unix_secs: u64) {
        let began_unix_secs = now_unix_secs - now_unix_secs % SECS_PER_DAY;
        if self.0.last().is_none_or(|day| day.began_unix_secs != began_unix_secs) {
            if self.0.len() == MAX_DAYS {
                self.0.remove(0);
            }
            self.0.push(Day { began_unix_secs, ..Day::default() });
        }
        let Some(day) = self.0.last_mut() else { return };
        day.requests += 1;
        day.from_store += u64::from(event.outcome().is_from_store());
        day.served_bytes = day.served_bytes.saturating_add(event.body_bytes());
        day.origin_bytes = day.origin_bytes.saturating_add(event.origin().body_bytes);
    }

    /// Returns the days, the oldest first.
    pub fn days(&self) -> &[Day] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::cache_status::{CacheStatus, Source};
    use crate::message::ReplyHead;

    const NOON: u64 = 1_700_049_600;

    fn hit(body_bytes: u64) -> Event {
        let mut event = Event::default();
        let source = Source::Hit { ttl_secs: 1 };
        let mut head = ReplyHead::new(http::StatusCode::OK, http::HeaderMap::new());
        head.set_cache_status(CacheStatus { source, is_stored: false, detail: None });
        event.replied(&head, true);
        event.answered(200, body_bytes);
        event
    }

    #[test]
    fn requests_are_counted_by_day() {
        let mut tally = Tally::default();
        tally.add(&hit(5), NOON);
        tally.add(&Event::default(), NOON);
        tally.add(&hit(7), NOON + SECS_PER_DAY);
        let [first, second] = tally.days() else { panic!("{tally:?}") };
        assert_eq!((first.requests, first.from_store, first.served_bytes), (2, 1, 5));
        assert_eq!(second.began_unix_secs, first.began_unix_secs + SECS_PER_DAY);
        assert_eq!(first.began_unix_secs, 1_700_006_400, "midnight");
    }

    #[test]
    fn bytes_from_the_origin_are_counted() {
        let mut event = Event::default();
        let headers = http::HeaderMap::from_iter([(http::header::CONTENT_LENGTH, 7.into())]);
        let answer = crate::origin::OriginHead { status: http::StatusCode::OK, headers };
        event.asked_origin(&http::Method::GET, Some(&answer), 1);
        let mut tally = Tally::default();
        tally.add(&event, NOON);
        tally.add(&event, NOON);
        assert_eq!((tally.days()[0].requests, tally.days()[0].origin_bytes), (2, 14));
    }

    #[test]
    fn a_huge_length_does_not_overflow_the_sum() {
        let mut tally = Tally::default();
        tally.add(&hit(u64::MAX), NOON);
        tally.add(&hit(5), NOON);
        assert_eq!(tally.days()[0].served_bytes, u64::MAX);
    }

    #[test]
    fn old_days_are_forgotten() {
        let mut tally = Tally::default();
        for day in 0..40 {
            tally.add(&Event::default(), NOON + day * SECS_PER_DAY);
        }
        assert_eq!(tally.days().len(), MAX_DAYS);
        let midnight = NOON - NOON % SECS_PER_DAY;
        assert_eq!(tally.days()[0].began_unix_secs, midnight + 10 * SECS_PER_DAY);
    }
}
