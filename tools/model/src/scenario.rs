//! What happens in one run: a configuration, a homeserver, and a row of operations, all drawn
//! before any of it is played.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::ask::Ask;
use crate::draw::{ask, guise, plain_ask};
use crate::edge::{POPS, Place, pop_of};
use crate::flight::Answered;
use crate::homeserver::{
    Cdn, Habits, Health, Homeserver, Media, NO_PICTURE, Quirk, SERVER_NAME, Token, Validators,
};
use crate::oracle;
use crate::proxy::{PAGES, TRIGGERS, Wall};
use crate::purged::What as Doomed;
use crate::random::Random;
use crate::record::Record;
use crate::store::{Fault, Spoil};
use crate::world::World;

/// Too large to be kept in memory.
const LARGE_BYTES: usize = 300_000;

pub const TOKENS: usize = 4;
pub const MEDIA: usize = 4;
const REMOTE: &str = "remote.example.org";

/// Names that are spelt in another way than these.
const RESPELT: [&str; 2] = ["EXAMPLE.com", "remote.example.org:8448"];

#[derive(Clone, Debug)]
pub struct Scenario {
    vars: Vec<(&'static str, String)>,
    has_bucket: bool,
    habits: Habits,
    media: Vec<Media>,
    ahead_secs: [u64; POPS],
    has_slow_probes: bool,
    pub operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
pub enum Operation {
    /// A request comes to an isolate. With a delay it is answered, each way taking so long; without
    /// one it stays on its way.
    Ask(Ask, usize, Option<u64>),
    /// The one on its way that has this place goes on.
    Advance(usize),
    Pass(u64),
    StepClock(i64),
    LogIn(usize),
    LogOut(usize),
    Lock(usize),
    Unlock(usize),
    Upload(usize),
    Delete(usize),
    /// The file goes, and its thumbnails stay.
    Halve(usize),
    Quarantine(usize),
    Unquarantine(usize),
    /// Only this token may read the media from now on, or everyone.
    Restrict(usize, Option<usize>),
    Fall(Health),
    TurnOdd(Quirk),
    TurnCdn(Cdn),
    /// Somebody stands in front of the homeserver, or nobody any more.
    Wall(Option<Wall>),
    Upgrade(Habits),
    Fail(Place, Fault),
    Evict(Place, usize),
    Settle(Place),
    Spoil(Place, usize, Spoil),
    Restart(usize),
    /// An admin's request to purge comes to an isolate.
    Purge(usize, Doomed),
    /// The schedule runs in an isolate, and a row of the list may not be readable.
    Poll(usize, bool),
    /// The homeserver's database goes back to a copy, which has so many rows of its list.
    Restore(usize),
}

/// What is wrong, and with which operation.
pub struct Failure {
    pub at: usize,
    pub complaint: String,
}

impl Scenario {
    pub fn new(random: &mut Random) -> Self {
        let lease_secs: u64 = random.pick(&[0, 0, 1, 4, 60]);
        let stale_seconds: u64 = random.pick(&[0, 0, 3, 600]);
        let is_pair = random.once_in(3);
        let is_remembering = lease_secs + stale_seconds > 0;
        let has_bucket = random.once_in(2);
        let has_purges = random.once_in(3);
        let habits = habits(random);
        let media = (0..MEDIA).map(|index| media(random, index, is_pair || !is_remembering));
        let media = media.collect();
        let mut vars = vec![
            ("LEASE_SECONDS", lease_secs.to_string()),
            ("STALE_IF_ERROR_SECONDS", stale_seconds.to_string()),
            ("LEASE_SCOPE", if is_pair { "token+media" } else { "token" }.to_owned()),
            ("ORIGIN_REDIRECT_HOSTS", "cdn.example.com 127.0.0.1".to_owned()),
            ("ORIGIN_REDIRECTS", random.pick(&["follow", "follow", "pass"]).to_owned()),
            ("CACHE_SECONDS", random.pick(&["5", "2592000"]).to_owned()),
            ("MEMORY_CACHE_MIB", random.pick(&["0", "1", "1"]).to_owned()),
        ];
        vars.extend(has_purges.then(|| ("ADMIN_TOKEN", "a-token-of-the-admin".to_owned())));
        let bounds = [lease_secs, stale_seconds].map(|seconds| seconds * 1000);
        let plot = Plot {
            tokens: random.pick(&[1, 2, 2, TOKENS]),
            media: random.pick(&[1, 1, 2, MEDIA]),
            isolates: random.pick(&[&[0], &[0], &[0, 1], &[0, 2], &[0, 1, 2, 3]]),
            has_bucket,
            has_purges,
            has_steps: !has_purges && random.once_in(5),
            has_restrictions: is_pair || !is_remembering,
            is_plain: random.once_in(2),
            walls: walls(random),
            pauses_ms: bounds
                .iter()
                .flat_map(|ms| [*ms, ms.saturating_sub(1), ms / 4 * 3, ms / 2 + 300])
                .chain([999])
                .chain((stale_seconds > 0).then_some(5_000))
                .chain(if has_purges { &[1000, 29_999, 30_000, 60_000][..] } else { &[] }.to_vec())
                .collect(),
        };
        let ahead_secs = if has_purges { random.pick(&[[0, 0], [0, 5], [5, 0]]) } else { [0, 0] };
        let has_slow_probes = random.once_in(2);
        let length = 10 + random.below(26);
        let draw = |_| plot.operation(random);
        let operations = (0..length).map(draw).collect();
        Self { vars, has_bucket, habits, media, ahead_secs, has_slow_probes, operations }
    }

    /// One in which the homeserver's list of quarantined media is followed, and grants about media stand
    /// by it.
    pub fn watched(random: &mut Random) -> Self {
        let media_lease_secs = random.pick(&[300, 3_600, 7_200]);
        let stale_secs = random.pick(&[0, 0, 600]);
        let mut media: Vec<_> = (0..MEDIA).map(|index| media(random, index, false)).collect();
        media.iter_mut().for_each(|media| media.is_deleted = false);
        let vars = vec![
            ("LEASE_SECONDS", random.pick(&["1", "60", "600", "3600"]).to_owned()),
            ("MEDIA_LEASE_SECONDS", media_lease_secs.to_string()),
            ("STALE_IF_ERROR_SECONDS", stale_secs.to_string()),
            ("SYNAPSE_ADMIN_TOKEN", "a-token-of-an-admin".to_owned()),
            ("ORIGIN_REDIRECT_HOSTS", "cdn.example.com 127.0.0.1".to_owned()),
            ("CACHE_SECONDS", random.pick(&["300", "2592000"]).to_owned()),
            ("MEMORY_CACHE_MIB", random.pick(&["0", "1", "1"]).to_owned()),
        ];
        let plot = Plot {
            tokens: random.pick(&[1, 2]),
            media: random.pick(&[1, 1, 2]),
            isolates: random.pick(&[&[0], &[0, 1], &[0, 2], &[0, 1, 2, 3]]),
            has_bucket: true,
            has_purges: false,
            has_steps: false,
            has_restrictions: false,
            is_plain: true,
            walls: Vec::new(),
            pauses_ms: vec![1_000, 20_000, 60_000, 100_000, 175_000, 179_000, 181_000, 3_600_000],
        };
        let ahead_secs = random.pick(&[[0, 0], [0, 2], [2, 0]]);
        let length = 12 + random.below(30);
        let operations = (0..length).map(|_| plot.watched_operation(random)).collect();
        let habits = Habits { validators: Validators::One, ..habits(random) };
        let has_slow_probes = random.once_in(2);
        Self { vars, has_bucket: true, habits, media, ahead_secs, has_slow_probes, operations }
    }

    /// Plays it: a record of the answers, or the first thing that is wrong. A panic is wrong, too.
    pub fn play(&self) -> Result<Record, Failure> {
        let mut at = 0;
        let played = catch_unwind(AssertUnwindSafe(|| {
            let mut stage = Stage { world: self.world(), record: Record::default() };
            for operation in &self.operations {
                stage.apply(operation)?;
                at += 1;
            }
            while !stage.world.flights.is_empty() {
                stage.advance(0)?;
            }
            Ok(stage.record)
        }));
        played
            .unwrap_or_else(|_| Err("a panic".to_owned()))
            .map_err(|complaint| Failure { at, complaint })
    }

    fn world(&self) -> World {
        let vars: Vec<_> = self.vars.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let mut world = World::new(&vars, self.habits, self.has_bucket);
        world.homeserver.media.clone_from(&self.media);
        world.homeserver.tokens = tokens();
        world.ahead_secs = self.ahead_secs;
        world.probes.are_slow = self.has_slow_probes;
        world
    }

    /// The shortest failing part of it that is found by leaving operations out.
    pub fn shortened(mut self) -> Self {
        if let Err(failure) = self.play() {
            self.operations.truncate(failure.at + 1);
        }
        let mut at = self.operations.len();
        while at > 0 {
            at -= 1;
            let mut shorter = self.clone();
            shorter.operations.remove(at);
            if shorter.play().is_err() {
                self = shorter;
                at = at.min(self.operations.len());
            }
        }
        self
    }
}

pub fn tokens() -> Vec<Token> {
    let token = |index: usize| Token {
        text: format!("syt_{index}"),
        is_valid: index != TOKENS - 1,
        is_locked: false,
        is_service: index == 0,
    };
    (0..TOKENS).map(token).collect()
}

fn habits(random: &mut Random) -> Habits {
    Habits {
        validators: random.pick(&[
            Validators::One,
            Validators::One,
            Validators::Both,
            Validators::Date,
            Validators::Eaten,
            Validators::Eaten,
            Validators::Nothing,
            Validators::Nothing,
            Validators::Redirect,
        ]),
        knows_head: !random.once_in(3),
        serves_ranges: random.once_in(3),
        knows_whoami: !random.once_in(3),
        reads_legacy_tokens: random.once_in(2),
        refusal: random.pick(&[403, 404]),
        gone: random.pick(&[404, 404, 410, 451]),
        reads_last: random.once_in(3),
    }
}

fn media(random: &mut Random, index: usize, is_restrictable: bool) -> Media {
    Media {
        server_name: random.pick(&[
            SERVER_NAME,
            SERVER_NAME,
            SERVER_NAME,
            REMOTE,
            RESPELT[0],
            RESPELT[1],
        ]),
        id: format!("media{index}"),
        length: if random.once_in(400) { LARGE_BYTES } else { random.pick(&[0, 1, 17, 40]) },
        content_type: random.pick(&["image/png", "video/mp4", NO_PICTURE]),
        disposition: random.pick(&[
            None,
            Some("inline"),
            Some("inline; filename=upload.png"),
            Some("attachment; filename*=utf-8''%C3%A9"),
        ]),
        is_quarantined: false,
        is_deleted: index != 0 && random.once_in(4),
        is_halved: false,
        is_frozen: random.once_in(3),
        reader: (is_restrictable && random.once_in(3)).then(|| random.below(TOKENS)),
    }
}

/// What may happen in a scenario. The fewer it happens to, the deeper it goes.
struct Plot {
    tokens: usize,
    media: usize,
    isolates: &'static [usize],
    has_bucket: bool,
    has_purges: bool,
    /// Whether the edge's clock may step: then nothing is said of when a purge is heard of.
    has_steps: bool,
    has_restrictions: bool,
    /// Whether clients ask for media and nothing else.
    is_plain: bool,
    /// What may stand in front of the homeserver.
    walls: Vec<Wall>,
    /// Pauses that end where a lease or the stale window does.
    pauses_ms: Vec<u64>,
}

impl Plot {
    fn operation(&self, random: &mut Random) -> Operation {
        let token = random.below(self.tokens);
        let media = random.below(self.media);
        match random.below(36 + 2 * self.walls.len()) {
            0..16 => {
                let mut ask = if self.is_plain {
                    plain_ask(random, media, token)
                } else {
                    ask(random, media, token)
                };
                if !self.walls.is_empty() {
                    ask.guise = guise(random);
                }
                let delay_ms = random.pick(&[0, 0, 0, 400, 1000, 8000]);
                let is_awaited = !random.once_in(6);
                Operation::Ask(ask, random.pick(self.isolates), is_awaited.then_some(delay_ms))
            }
            16..18 => Operation::Advance(random.below(4)),
            21 | 22 if self.has_purges => self.purge(random, media),
            22 if self.has_steps => Operation::StepClock(random.pick(&[-100, -3, -1, 1, 3, 100])),
            18..23 => Operation::Pass(random.pick(&self.pauses_ms)),
            23..26 => to_tokens(random, token),
            26..29 => self.to_media(random, media),
            29 | 30 => Operation::Fall(random.pick(&[
                Health::Unreachable,
                Health::Silent,
                Health::Status(502),
                Health::Status(429),
            ])),
            31 | 32 => Operation::Fall(Health::Up),
            33 => Operation::TurnOdd(random.pick(&[
                Quirk::None,
                Quirk::None,
                Quirk::NoStore,
                Quirk::NoLength,
                Quirk::Cookie,
                Quirk::Vary,
                Quirk::BreaksOff,
            ])),
            34 => Operation::TurnCdn(random.pick(&[
                Cdn::Serves,
                Cdn::Serves,
                Cdn::Expired,
                Cdn::Down,
                Cdn::Loops,
                Cdn::Downgrades,
            ])),
            35 => self.to_the_edge(random),
            _ if random.once_in(3) => Operation::Wall(None),
            _ => Operation::Wall(Some(random.pick(&self.walls))),
        }
    }

    /// An operation where the list is followed: mostly it is up to date.
    fn watched_operation(&self, random: &mut Random) -> Operation {
        let media = random.below(self.media);
        match random.below(20) {
            0..6 => Operation::Poll(random.pick(self.isolates), random.once_in(12)),
            6..8 => Operation::Pass(random.pick(&[20_000, 60_000, 100_000])),
            8 => Operation::Quarantine(media),
            9 if random.once_in(2) => Operation::Unquarantine(media),
            9 if random.once_in(3) => Operation::Restore(random.below(4)),
            9 => Operation::Delete(media),
            _ => self.operation(random),
        }
    }

    fn purge(&self, random: &mut Random, media: usize) -> Operation {
        let doomed = [
            Doomed::Media(media),
            Doomed::Respelt(media),
            Doomed::Server(random.pick(&[SERVER_NAME, REMOTE, RESPELT[0]])),
            Doomed::Everything,
        ];
        Operation::Purge(random.pick(self.isolates), random.pick(&doomed))
    }

    fn to_the_edge(&self, random: &mut Random) -> Operation {
        let is_bucket = self.has_bucket && random.once_in(2);
        let pop = pop_of(random.pick(self.isolates));
        let place = if is_bucket { Place::Bucket } else { Place::Pop(pop) };
        match random.below(7) {
            0 => Operation::Upgrade(habits(random)),
            1 => Operation::Evict(place, random.below(8)),
            2 => Operation::Settle(place),
            3 => Operation::Restart(random.pick(self.isolates)),
            4 => Operation::Spoil(
                place,
                random.below(8),
                random.pick(&[
                    Spoil::Version("2"),
                    Spoil::Version("999"),
                    Spoil::Key,
                    Spoil::Record,
                    Spoil::Body,
                ]),
            ),
            _ => Operation::Fail(
                place,
                random.pick(&[
                    Fault::None,
                    Fault::None,
                    Fault::LookUp,
                    Fault::Store,
                    Fault::Late,
                    Fault::Doubt,
                    Fault::Break,
                    Fault::Remove,
                ]),
            ),
        }
    }

    fn to_media(&self, random: &mut Random, media: usize) -> Operation {
        match random.below(5) {
            _ if self.has_restrictions && !random.once_in(3) => {
                let token = random.below(self.tokens);
                Operation::Restrict(media, random.once_in(2).then_some(token))
            }
            0 => Operation::Quarantine(media),
            1 => Operation::Unquarantine(media),
            2 => Operation::Delete(media),
            3 => Operation::Halve(media),
            _ => Operation::Upload(media),
        }
    }
}

/// One or two, since more would hide each other.
fn walls(random: &mut Random) -> Vec<Wall> {
    let count = random.pick(&[0, 1, 2]);
    let wall = |_| Wall { trigger: random.pick(&TRIGGERS), page: random.pick(&PAGES) };
    (0..count).map(wall).collect()
}

fn to_tokens(random: &mut Random, token: usize) -> Operation {
    match random.below(4) {
        0 => Operation::LogIn(token),
        1 => Operation::LogOut(token),
        2 => Operation::Lock(token),
        _ => Operation::Unlock(token),
    }
}

struct Stage {
    world: World,
    record: Record,
}

impl Stage {
    fn apply(&mut self, operation: &Operation) -> Result<(), String> {
        let flights = self.world.flights.len();
        let on_their_way = flights + self.world.probes.under_way.len();
        let world = &mut self.world;
        let homeserver: &mut Homeserver = &mut world.homeserver;
        match operation {
            Operation::Ask(ask, isolate, delay_ms) => return self.ask(ask, *isolate, *delay_ms),
            Operation::Advance(place) if on_their_way > 0 => {
                let place = place % on_their_way;
                if place < flights {
                    return self.advance(place);
                }
                world.end_probe(place - flights);
            }
            Operation::Advance(_) => {}
            Operation::Pass(ms) => world.now_ms += ms,
            Operation::StepClock(secs) => world.step_secs += secs,
            Operation::LogIn(token) => homeserver.tokens[*token].is_valid = true,
            Operation::LogOut(token) => homeserver.tokens[*token].is_valid = false,
            Operation::Lock(token) => homeserver.tokens[*token].is_locked = true,
            Operation::Unlock(token) => homeserver.tokens[*token].is_locked = false,
            Operation::Upload(media) => {
                let media = &mut homeserver.media[*media];
                (media.is_deleted, media.is_halved) = (false, false);
            }
            Operation::Halve(media) => homeserver.media[*media].is_halved = true,
            Operation::Delete(media) => homeserver.media[*media].is_deleted = true,
            Operation::Quarantine(media) => homeserver.quarantine(*media, true, world.now_ms),
            Operation::Unquarantine(media) => homeserver.quarantine(*media, false, world.now_ms),
            Operation::Poll(isolate, is_odd) => world.poll(*isolate, *is_odd),
            Operation::Restore(rows) => homeserver.restore(*rows % (homeserver.changes.len() + 1)),
            Operation::Restrict(media, reader) => homeserver.media[*media].reader = *reader,
            Operation::Fall(health) => homeserver.health = *health,
            Operation::TurnOdd(quirk) => homeserver.quirk = *quirk,
            Operation::TurnCdn(cdn) => homeserver.cdn = *cdn,
            Operation::Wall(wall) => world.proxy.wall = *wall,
            Operation::Upgrade(habits) => homeserver.habits = *habits,
            Operation::Fail(place, fault) => world.fail(*place, *fault),
            Operation::Evict(place, which) => world.store(*place).evict(*which),
            Operation::Settle(place) => world.store(*place).settle(),
            Operation::Spoil(place, which, spoil) => world.store(*place).spoil(*which, *spoil),
            Operation::Restart(isolate) => world.restart(*isolate),
            Operation::Purge(isolate, doomed) => {
                world.purge(*isolate, *doomed);
            }
        }
        Ok(())
    }

    fn ask(&mut self, ask: &Ask, isolate: usize, delay_ms: Option<u64>) -> Result<(), String> {
        let mut answered = self.world.begin(ask, isolate);
        let Some(delay_ms) = delay_ms else { return self.judge(answered) };
        while answered.is_none() {
            self.world.now_ms += delay_ms;
            answered = self.world.advance(self.world.flights.len() - 1);
        }
        self.judge(answered)
    }

    fn advance(&mut self, place: usize) -> Result<(), String> {
        let answered = self.world.advance(place);
        self.judge(answered)
    }

    fn judge(&mut self, answered: Option<Answered>) -> Result<(), String> {
        let Some(answered) = answered else { return Ok(()) };
        self.record.add(&answered);
        oracle::check(&self.world, &answered)
            .map_err(|complaint| format!("{complaint}\n{}", answered.reply))
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}\n{:?}, bucket: {}", self.vars, self.habits, self.has_bucket)?;
        writeln!(f, "ahead: {:?} s, slow probes: {}", self.ahead_secs, self.has_slow_probes)?;
        for media in &self.media {
            writeln!(f, "{media:?}")?;
        }
        for (at, operation) in self.operations.iter().enumerate() {
            writeln!(f, "{at:>3} {operation:?}")?;
        }
        Ok(())
    }
}
