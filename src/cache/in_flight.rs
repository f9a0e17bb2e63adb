//! Work under way in an isolate, by name: fills that other requests wait for, and renewals of which
//! one at a time is enough.
//!
//! The platform may end a request in the middle, and then no code of it runs that could end its
//! work. So work gives a sign of life from time to time, and counts only for a while after the last
//! one.

/// How often work gives a sign of life, in milliseconds.
pub const SIGN_OF_LIFE_MS: u64 = 1_000;

/// How long work counts after its last sign of life, in milliseconds: several would have come.
pub const MAX_SILENCE_MS: u64 = 5_000;

/// The works under way. There are few at any time.
#[derive(Debug)]
pub struct InFlight<N> {
    works: Vec<Work<N>>,
    last: u64,
}

#[derive(Debug)]
struct Work<N> {
    name: N,
    ticket: Ticket,
    alive_unix_ms: u64,
}

/// Tells a work from another of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl<N: PartialEq> InFlight<N> {
    /// Returns a list of no works.
    pub const fn new() -> Self {
        Self { works: Vec::new(), last: 0 }
    }

    /// Begins a work, in place of another of its name, for which the caller has waited in vain.
    /// Returns its ticket.
    pub fn begin(&mut self, name: N, now_unix_ms: u64) -> Ticket {
        self.works.retain(|work| work.name != name && work.counts(now_unix_ms));
        self.last += 1;
        let ticket = Ticket(self.last);
        self.works.push(Work { name, ticket, alive_unix_ms: now_unix_ms });
        ticket
    }

    /// Begins a work. Returns `None` if one of its name is under way.
    pub fn begin_alone(&mut self, name: N, now_unix_ms: u64) -> Option<Ticket> {
        match self.find(&name, now_unix_ms) {
            Some(_) => None,
            None => Some(self.begin(name, now_unix_ms)),
        }
    }

    /// Returns the ticket of the work of this name that is under way; `None` if there is none.
    pub fn find(&self, name: &N, now_unix_ms: u64) -> Option<Ticket> {
        let mut works = self.works.iter().filter(|work| work.counts(now_unix_ms));
        works.find(|work| work.name == *name).map(|work| work.ticket)
    }

    /// Records a sign of life of a work, unless another has taken its place.
    pub fn touch(&mut self, ticket: Ticket, now_unix_ms: u64) {
        if let Some(work) = self.works.iter_mut().find(|work| work.ticket == ticket) {
            work.alive_unix_ms = now_unix_ms;
        }
    }

    /// Ends a work.
    pub fn end(&mut self, ticket: Ticket) {
        self.works.retain(|work| work.ticket != ticket);
    }
}

impl<N> Work<N> {
    /// Returns whether the last sign of life is recent. One in the future, by a clock that was set
    /// back, is as good as one that is as long ago.
    const fn counts(&self, now_unix_ms: u64) -> bool {
        self.alive_unix_ms.abs_diff(now_unix_ms) < MAX_SILENCE_MS
    }
}

impl<N: PartialEq> Default for InFlight<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn work_counts_until_it_ends() {
        let mut works = InFlight::new();
        let ticket = works.begin("a", NOW);
        assert_eq!(works.find(&"a", NOW + 1), Some(ticket));
        assert_eq!(works.find(&"b", NOW + 1), None);
        works.end(ticket);
        assert_eq!(works.find(&"a", NOW + 1), None);
    }

    #[test]
    fn work_that_is_cut_off_counts_for_five_seconds() {
        let mut works = InFlight::new();
        works.begin("a", NOW);
        assert!(works.find(&"a", NOW + 4_999).is_some());
        assert_eq!(works.find(&"a", NOW + 5_000), None);
        assert!(works.begin_alone("a", NOW + 5_000).is_some());
    }

    #[test]
    fn a_sign_of_life_lengthens_the_time() {
        let mut works = InFlight::new();
        let ticket = works.begin("a", NOW);
        works.touch(ticket, NOW + 4_000);
        assert_eq!(works.find(&"a", NOW + 8_999), Some(ticket));
        assert_eq!(works.find(&"a", NOW + 9_000), None);
    }

    #[test]
    fn work_does_not_last_longer_when_the_clock_is_set_back() {
        let mut works = InFlight::new();
        works.begin("a", NOW);
        assert_eq!(works.find(&"a", NOW - 5_000), None);
    }

    #[test]
    fn one_work_of_a_name_is_under_way_at_a_time() {
        let mut works = InFlight::default();
        let first = works.begin_alone("a", NOW).unwrap();
        assert_eq!(works.begin_alone("a", NOW), None);
        assert!(works.begin_alone("b", NOW).is_some());
        let second = works.begin("a", NOW);
        assert_ne!(first, second);
        works.end(first);
        assert_eq!(works.find(&"a", NOW), Some(second), "the first is gone, not the second");
        works.touch(first, NOW + 4_000);
        assert_eq!(works.find(&"a", NOW + 6_000), None, "nor does the first speak for it");
    }

    #[test]
    fn work_goes_on_when_work_of_another_name_begins() {
        let mut works = InFlight::new();
        let first = works.begin("a", NOW);
        let second = works.begin("b", NOW);
        assert_eq!([works.find(&"a", NOW), works.find(&"b", NOW)], [Some(first), Some(second)]);
    }

    #[test]
    fn work_that_begins_again_is_found_by_its_new_ticket() {
        let mut works = InFlight::new();
        works.begin("a", NOW);
        let second = works.begin("a", NOW);
        assert_eq!(works.find(&"a", NOW), Some(second));
    }

    #[test]
    fn expired_work_takes_no_room() {
        let mut works = InFlight::new();
        for number in 0..1_000 {
            works.begin(number, NOW + 1_000 * number);
        }
        assert!(works.works.len() <= 30, "{}", works.works.len());
    }
}
