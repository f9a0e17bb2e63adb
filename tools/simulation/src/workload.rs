//! A day's requests, and when the homeserver changes its mind: drawn once, and the same for every
//! setting.

use matrix_media_edge::message::target::Target;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp, Geometric, LogNormal, Zipf};

use crate::homeserver::Effort;
use crate::model::{DAY_SECS, Model, Representation};
use crate::setting::SERVER_NAME;

pub(crate) struct Workload {
    pub(crate) model: &'static Model,
    /// Their representations.
    media: Vec<[Item; 3]>,
    /// By media: since when it is quarantined, if ever.
    quarantined_ms: Vec<Option<u64>>,
    /// What the homeserver's list of quarantined media has by the end, in order.
    pub(crate) changes: Vec<Change>,
    /// By reader: since when the token is revoked, if ever.
    revoked_ms: Vec<Option<u64>>,
    /// In the order in which they come.
    pub(crate) requests: Vec<Request>,
}

/// A row of the homeserver's list of quarantined media.
pub(crate) struct Change {
    pub(crate) at_ms: u64,
    pub(crate) media: usize,
    /// `false` where it is released.
    pub(crate) is_quarantined: bool,
}

/// One representation of a media.
pub(crate) struct Item {
    pub(crate) target: Target,
    pub(crate) length_bytes: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) at_ms: u64,
    pub(crate) reader: usize,
    pub(crate) media: usize,
    pub(crate) representation: usize,
    pub(crate) pop: usize,
    pub(crate) isolate: usize,
}

impl Workload {
    pub(crate) fn new(model: &'static Model, seed: u64) -> Self {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let media = (0..model.media).map(|index| items(model, index, random)).collect();
        let mut workload = Self {
            model,
            media,
            quarantined_ms: vec![None; model.media],
            changes: Vec::new(),
            revoked_ms: vec![None; model.readers],
            requests: Vec::new(),
        };
        for reader in 0..model.readers {
            let home = rank(model.pops, model.pop_exponent, random);
            let mut sessions = model.sessions;
            while sessions > 0.0 {
                if random.random_bool(sessions.min(1.0)) {
                    workload.add_session(reader, home, random);
                }
                sessions -= 1.0;
            }
        }
        workload.requests.sort_by_key(|request| request.at_ms);
        let Self { requests, quarantined_ms, revoked_ms, .. } = &mut workload;
        refuse(model.quarantines, quarantined_ms, requests, |request| request.media, random);
        refuse(model.revocations, revoked_ms, requests, |request| request.reader, random);
        workload.changes = changes(&workload.quarantined_ms, model.refused_secs * 1000);
        workload
    }

    /// A client asks for each thing once in a session: it has a cache of its own.
    fn add_session(&mut self, reader: usize, home: usize, random: &mut impl Rng) {
        let model = self.model;
        let is_away = random.random_bool(model.away);
        let pop = if is_away { rank(model.pops, model.pop_exponent, random) } else { home };
        let lengths = Geometric::new(1.0 / model.session_requests).expect("a probability");
        let count = 1 + lengths.sample(random);
        let pause = Exp::new(1.0 / model.pause_secs).expect("a rate");
        let mut at_secs = start_secs(model, pop, random);
        let first = self.requests.len();
        for _ in 0..count {
            let media = rank(model.media, model.media_exponent, random);
            let representation = representation(model, random);
            at_secs += pause.sample(random);
            let is_cached = self.requests[first..]
                .iter()
                .any(|had| (had.media, had.representation) == (media, representation));
            if is_cached || at_secs >= DAY_SECS as f64 {
                continue;
            }
            self.requests.push(Request {
                at_ms: (at_secs * 1000.0) as u64,
                reader,
                media,
                representation,
                pop,
                isolate: random.random_range(0..model.isolates),
            });
        }
    }

    /// How long ago the reader's token was revoked, while it is.
    pub(crate) fn revoked_for_ms(&self, request: &Request) -> Option<u64> {
        self.refused_for_ms(self.revoked_ms[request.reader], request)
    }

    /// How long ago the media was quarantined, while it is.
    pub(crate) fn quarantined_for_ms(&self, request: &Request) -> Option<u64> {
        self.refused_for_ms(self.quarantined_ms[request.media], request)
    }

    fn refused_for_ms(&self, since_ms: Option<u64>, request: &Request) -> Option<u64> {
        let refused_for_ms = request.at_ms.checked_sub(since_ms?)?;
        (refused_for_ms < self.model.refused_secs * 1000).then_some(refused_for_ms)
    }

    /// What the homeserver would have to do by itself.
    pub(crate) fn alone(&self) -> Effort {
        let mut effort = Effort::default();
        for request in &self.requests {
            let refused_for_ms =
                self.revoked_for_ms(request).or_else(|| self.quarantined_for_ms(request));
            if refused_for_ms.is_some() {
                effort.words += 1;
            } else {
                effort.bodies += 1;
                effort.body_bytes += self.item(request).length_bytes;
            }
        }
        effort
    }

    pub(crate) fn bytes_of_all(&self) -> u64 {
        self.media.iter().flatten().map(|item| item.length_bytes).sum()
    }

    pub(crate) fn item(&self, request: &Request) -> &Item {
        &self.media[request.media][request.representation]
    }
}

/// Makes the homeserver refuse some of what is used, each time right after it was.
fn refuse(
    count: usize,
    since_ms: &mut [Option<u64>],
    requests: &[Request],
    what: impl Fn(&Request) -> usize,
    random: &mut impl Rng,
) {
    for _ in 0..count {
        loop {
            let request = &requests[random.random_range(0..requests.len())];
            let since_ms = &mut since_ms[what(request)];
            if since_ms.is_none() {
                *since_ms = Some(request.at_ms + 1);
                break;
            }
        }
    }
}

/// Returns the rows of media that is quarantined since these times, for so long.
fn changes(quarantined_ms: &[Option<u64>], for_ms: u64) -> Vec<Change> {
    let times = quarantined_ms.iter().enumerate();
    let mut changes: Vec<_> =
        times
            .filter_map(|(media, since_ms)| Some((media, (*since_ms)?)))
            .flat_map(|(media, since_ms)| {
                [(since_ms, true), (since_ms + for_ms, false)]
                    .map(|(at_ms, is_quarantined)| Change { at_ms, media, is_quarantined })
            })
            .collect();
    changes.sort_by_key(|change| (change.at_ms, change.media));
    changes
}

/// Returns the ID of a media.
pub(crate) fn media_id(media: usize) -> String {
    format!("media{media}")
}

fn items(model: &Model, media: usize, random: &mut impl Rng) -> [Item; 3] {
    let base = "/_matrix/client/v1/media";
    let id = media_id(media);
    let targets = [
        format!("{base}/download/{SERVER_NAME}/{id}"),
        format!("{base}/thumbnail/{SERVER_NAME}/{id}?width=96&height=96&method=crop"),
        format!("{base}/thumbnail/{SERVER_NAME}/{id}?width=800&height=600&method=scale"),
    ];
    std::array::from_fn(|index| {
        let of = &model.representations[index];
        let lengths = LogNormal::new(of.median_bytes.ln(), of.sigma).expect("a deviation");
        let length_bytes = lengths.sample(random).clamp(1.0, of.max_bytes) as u64;
        Item { target: Target::new(&targets[index]), length_bytes }
    })
}

/// The popular come first.
fn rank(count: usize, exponent: f64, random: &mut impl Rng) -> usize {
    let zipf = Zipf::new(count as f64, exponent).expect("an exponent");
    zipf.sample(random) as usize - 1
}

/// The busiest hour is eight in the evening, by the clock of the data centre.
fn start_secs(model: &Model, pop: usize, random: &mut impl Rng) -> f64 {
    let day = DAY_SECS as f64;
    loop {
        let start = random.random_range(0.0..day);
        let local = start / day + pop as f64 / model.pops as f64;
        let swing = (std::f64::consts::TAU * (local - 20.0 / 24.0)).cos();
        if random.random_bool((1.0 + model.evening * swing) / (1.0 + model.evening)) {
            return start;
        }
    }
}

fn representation(model: &Model, random: &mut impl Rng) -> usize {
    let mut left: f64 = random.random();
    let is_it = |of: &Representation| {
        left -= of.share;
        left < 0.0
    };
    model.representations.iter().position(is_it).unwrap_or(0)
}
