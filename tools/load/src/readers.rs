//! Those who ask: one request after another, each of any isolate. Many leave before the end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use test_support::edge::Edge;
use test_support::time::now;

use crate::ask::{Ask, Right, draw, draw_large};
use crate::client::{Client, Reads};
use crate::homeserver::Homeserver;
use crate::isolates::{ISOLATES, Target};
use crate::judge::{Flight, Verdict};
use crate::report::Tally;
use crate::truth::Truth;
use model::random::Random;

/// The longest that a reader looks at what came before asking for more: the more, the longer.
const PAUSE_MILLIS_PER_READER: usize = 2;
const MAX_PAUSE_MILLIS: usize = 200;

/// One of so many requests is left.
const LEFT_ONE_IN: usize = 3;

/// How long who leaves before an answer waits for one, at most.
const MAX_WAIT_MILLIS: usize = 40;

/// How much who leaves in the middle of a body reads of it, at most.
const MAX_READ_BYTES: usize = 16 << 10;

/// Who leaves in the middle of a body often reads a small one, which is there at once: one of so many
/// reads one that is still on its way.
const LARGE_ONE_IN: usize = 8;

/// Where a reader leaves.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// So long after having asked.
    BeforeAnswer(Duration),
    /// When it has so many bytes of the body.
    InBody(usize),
}

impl Leaves {
    fn draw(random: &mut Random) -> Option<Self> {
        if !random.once_in(LEFT_ONE_IN) {
            return None;
        }
        Some(if random.once_in(2) {
            let millis = random.below(MAX_WAIT_MILLIS);
            Self::BeforeAnswer(Duration::from_millis(u64::try_from(millis).unwrap_or_default()))
        } else {
            Self::InBody(random.below(MAX_READ_BYTES))
        })
    }
}

/// Whom a reader asks.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// A Worker whose answers are judged.
    Target(&'a Target),
    /// The plain JavaScript Worker, which asks nobody whether a reader may have what it cached.
    Control(&'a Edge),
}

pub(crate) struct Reader<'a> {
    random: Random<'a>,
    truth: &'a Truth,
    homeserver: &'a dyn Homeserver,
    asked: Asked<'a>,
    /// One for each isolate.
    clients: [Client; ISOLATES],
    max_pause_millis: usize,
    tally: Tally,
    began: Instant,
}

impl<'a> Reader<'a> {
    /// One of so many.
    pub(crate) fn new(
        number: usize,
        all: usize,
        truth: &'a Truth,
        homeserver: &'a dyn Homeserver,
        asked: Asked<'a>,
    ) -> Self {
        Self {
            random: Random::new(number as u64),
            truth,
            homeserver,
            asked,
            clients: std::array::from_fn(|_| Client::new()),
            max_pause_millis: (PAUSE_MILLIS_PER_READER * all).min(MAX_PAUSE_MILLIS),
            tally: Tally::default(),
            began: now(),
        }
    }

    pub(crate) fn read_until(mut self, is_over: &AtomicBool) -> Tally {
        while !is_over.load(Ordering::Relaxed) {
            match self.asked {
                Asked::Target(target) => self.read(target),
                Asked::Control(edge) => self.read_control(edge),
            }
            let pause = u64::try_from(self.random.below(self.max_pause_millis)).unwrap_or_default();
            sleep(Duration::from_millis(pause));
        }
        self.tally
    }

    /// Asks for something, and judges as much of the answer as is read.
    fn read(&mut self, target: &Target) {
        let (place, isolate) = target.pick(&mut self.random);
        let leaves = Leaves::draw(&mut self.random);
        let mut ask = self.draw(leaves);
        let client = &mut self.clients[place];
        client.turn_to(&isolate.address);
        let sent = now();
        let reads = match leaves {
            Some(Leaves::BeforeAnswer(after)) => {
                // There is no answer to judge, not even that there is none.
                let _ = client.leave(&ask.request, &ask.body, after);
                return self.tally.count_left(&ask);
            }
            Some(Leaves::InBody(bytes)) => {
                ask.shorten(bytes);
                Reads::Beginning(bytes as u64)
            }
            None => Reads::All,
        };
        let answer = client.send(ask.method, &ask.request, &ask.body, reads);
        let flight = Flight { sent, answered: now() };
        let verdict = match &answer {
            Err(error) if isolate.has_broken(error) => Ok(Verdict::Replaced),
            _ => isolate.judge.judge(&ask, &answer, flight, self.truth, self.homeserver),
        };
        let verdict = verdict.map_err(|problem| {
            let (seconds, name) = ((sent - self.began).as_secs_f64(), target.name);
            format!(
                "{problem} (asked of isolate {place} of the {name} Worker after {seconds:.1} s)"
            )
        });
        self.tally.count(&ask, &answer, flight, verdict, leaves.is_some());
    }

    /// Asks for media, and reads the answer or leaves it.
    fn read_control(&mut self, edge: &Edge) {
        let leaves = Leaves::draw(&mut self.random);
        let ask = loop {
            let ask = self.draw(leaves);
            if matches!(ask.right, Right::Media(_)) {
                break ask;
            }
        };
        let [client, ..] = &mut self.clients;
        client.turn_to(&edge.direct_address);
        let done: io::Result<()> = match leaves {
            Some(Leaves::BeforeAnswer(after)) => client.leave(&ask.request, &ask.body, after),
            Some(Leaves::InBody(bytes)) => {
                let reads = Reads::Beginning(bytes as u64);
                client.send(ask.method, &ask.request, &ask.body, reads).map(drop)
            }
            None => client.send(ask.method, &ask.request, &ask.body, Reads::All).map(drop),
        };
        self.tally.count_control(done.is_ok());
    }

    /// Draws what to ask: media where the reader is to leave in the middle of a body.
    fn draw(&mut self, leaves: Option<Leaves>) -> Ask {
        let is_in_body = matches!(leaves, Some(Leaves::InBody(_)));
        if is_in_body && self.random.once_in(LARGE_ONE_IN) {
            return draw_large(&mut self.random, self.truth);
        }
        loop {
            let ask = draw(&mut self.random, self.truth, self.homeserver.is_federated());
            if !is_in_body || matches!(ask.right, Right::Media(_)) {
                return ask;
            }
        }
    }
}
