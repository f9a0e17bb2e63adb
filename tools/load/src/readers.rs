//! Those who ask: each on a connection of their own, one request after another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use test_support::time::now;

use crate::Target;
use crate::ask::draw;
use crate::client::Client;
use crate::homeserver::Homeserver;
use crate::judge::{Flight, Judge};
use crate::report::Tally;
use crate::truth::Truth;
use model::random::Random;

/// The longest that a reader looks at what came before asking for more: the more, the longer.
const PAUSE_MILLIS_PER_READER: usize = 2;
const MAX_PAUSE_MILLIS: usize = 200;

pub(crate) struct Reader<'a> {
    random: Random<'a>,
    truth: &'a Truth,
    homeserver: &'a dyn Homeserver,
    judge: &'a Judge,
    client: Client,
    max_pause_millis: usize,
}

impl<'a> Reader<'a> {
    /// One of so many.
    pub(crate) fn new(
        number: usize,
        all: usize,
        truth: &'a Truth,
        homeserver: &'a dyn Homeserver,
        target: &'a Target,
    ) -> Self {
        Self {
            random: Random::new(number as u64),
            truth,
            homeserver,
            judge: &target.judge,
            client: Client::new(&target.edge.direct_address),
            max_pause_millis: (PAUSE_MILLIS_PER_READER * all).min(MAX_PAUSE_MILLIS),
        }
    }

    pub(crate) fn read_until(mut self, is_over: &AtomicBool) -> Tally {
        let mut tally = Tally::default();
        while !is_over.load(Ordering::Relaxed) {
            let ask = draw(&mut self.random, self.truth, self.homeserver.is_federated());
            let sent = now();
            let answer = self.client.send(ask.method, &ask.request, &ask.body);
            let flight = Flight { sent, answered: now() };
            let verdict = self.judge.judge(&ask, &answer, flight, self.truth, self.homeserver);
            tally.count(&ask, &answer, flight, verdict);
            let pause = u64::try_from(self.random.below(self.max_pause_millis)).unwrap_or_default();
            sleep(Duration::from_millis(pause));
        }
        tally
    }
}
