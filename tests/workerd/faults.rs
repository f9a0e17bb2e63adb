//! Every fault of an origin and of a store, in every situation: what the client gets, what is
//! stored, that the next request works, and that no connection or memory is left behind. The tables
//! state what is expected, and `docs/reliability.md` is written from them.

mod document;
pub(crate) mod gzip;
mod origin;
mod silent_origin;
mod situation;
mod slow_origin;
mod store_table;
mod stores;
mod table;

use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, sleep};
use std::time::Duration;

use test_support::edge::{Edge, Layout};
use test_support::http::{Answer, Request};
use test_support::noise::noise;
use test_support::profile::Profile;
use test_support::time::{now, wait_for};

use self::origin::Fault;
use self::situation::{Scene, Situation};
use self::table::{Cell, GROUPS, Gets, Group, Kept, PAGES, Row};
use crate::support::origin::{Media, Origin, Reply};
use crate::support::world::{
    MEDIA_HOST, PATIENCE, download, download_path, entry_name, with_required,
};

/// Too large to be kept in memory, so that faults find a body on its way.
const BODY_BYTES: usize = 300_000;

/// Long enough for a store that must not happen.
const A_MOMENT: Duration = Duration::from_millis(150);

/// How long it takes at most until what broke off is gone from the local cache.
const CLEANING: Duration = Duration::from_secs(5);

/// When the edge gives up: not before Synapse, which may hold a request for 60 s.
const TIMED_OUT: Range<Duration> = Duration::from_secs(61)..Duration::from_secs(100);

/// How much of a body without an end is read, and how long one that has fallen silent is listened to.
const ENOUGH_BYTES: usize = 4 << 20;
const SILENCE: Duration = Duration::from_secs(2);

const MAX_CONNECTIONS: usize = 30;

/// How many media each edge serves before its memory is measured.
const WARMING_MEDIA: usize = 40;

const MAX_GROWTH_BYTES: u64 = 48 << 20;

/// What an edge probes the homeserver with, to find out whether it is down.
const PROBED: &str = "/_matrix/client/v3/account/whoami";

/// One origin, before which are an edge that asks each time, one for which the origin is down as soon
/// as a question fails, and one with leases.
pub(crate) struct Place {
    origin: Origin,
    strict: Edge,
    stale: Edge,
    leased: Edge,
    body: Vec<u8>,
}

impl Place {
    fn start() -> Self {
        Self::start_in(Profile::current())
    }

    fn start_in(profile: Profile) -> Self {
        let layout = Layout { profile: Some(profile), ..Layout::default() };
        let origin = Origin::start();
        let url = origin.url();
        let start = |vars: &[_]| with_required(&url, vars, |vars| Edge::start_as(layout, vars));
        origin.on(PROBED, |call| match call.head.headers.get("x-edge") {
            Some("stale") => call.reply(&Reply::new(502).body("Bad Gateway")),
            _ => call.reply_by_default(),
        });
        let window = ("STALE_IF_ERROR_SECONDS", "600");
        // A young document would meet no fault.
        let strict = start(&[window, ("WELL_KNOWN_SECONDS", "0")]);
        let by_name = ("ORIGIN_HEADERS", r#"{"X-Edge":"stale"}"#);
        let stale = start(&[window, by_name]);
        let leased = start(&[("LEASE_SECONDS", "600")]);
        Self { origin, strict, stale, leased, body: noise(BODY_BYTES) }
    }

    /// Has the edges find out that this homeserver heeds conditions: where that is known, one that
    /// brings a body does not change how they ask.
    fn teach(&self) {
        for edge in self.edges() {
            let id = self.add(Media::new("image/png", &self.body));
            wait_for("a condition is heeded", PATIENCE, || {
                let answer = download(&id, &self.token()).send(&edge.direct_address);
                assert_eq!(answer.status, 200, "{}", answer.text());
                let asked = self.origin.asked(&download_path(&id)).pop()?;
                asked.header("if-none-match").is_some().then_some(())
            });
        }
    }

    /// Has every edge serve misses and hits: in a row, some edges are asked only once.
    fn warm(&self) {
        for edge in self.edges() {
            let token = self.token();
            for _ in 0..WARMING_MEDIA {
                let id = self.add(Media::new("image/png", &self.body));
                for _ in 0..2 {
                    let answer = download(&id, &token).send(&edge.direct_address);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            }
        }
    }

    fn edges(&self) -> [&Edge; 3] {
        [&self.strict, &self.stale, &self.leased]
    }

    fn resident_bytes(&self) -> [u64; 3] {
        self.edges().map(Edge::workerd_resident_bytes)
    }

    fn token(&self) -> String {
        self.origin.homeserver().log_in()
    }

    fn add(&self, media: Media) -> String {
        self.origin.homeserver().add(media)
    }

    fn edge(&self, situation: Situation) -> &Edge {
        match situation {
            Situation::Stale => &self.stale,
            Situation::Leased => &self.leased,
            _ => &self.strict,
        }
    }

    fn send(&self, situation: Situation, request: &Request) -> io::Result<Answer> {
        request.try_send(&self.edge(situation).direct_address)
    }

    /// Has what is asked for stored.
    fn store(&self, situation: Situation, key: &str, request: &Request) {
        self.send(situation, request).expect("an answer");
        let stores = &self.edge(situation).stores;
        wait_for("it is stored", PATIENCE, || {
            stores.try_entry(&entry_name(MEDIA_HOST, key)).ok().flatten()
        });
        // The edge looks at it once more, a moment later, and the leases are written beside it.
        sleep(A_MOMENT);
        self.edge(situation).cache.wait_until_settled();
    }

    /// Has the origin tell a well-known document.
    fn announce(&self, path: &str) {
        self.origin.reply(path, document_reply());
    }

    /// Plays one cell of the table, and gives what is not as it says.
    fn play(&self, fault: Fault, situation: Situation, expected: Cell) -> Option<String> {
        let scene = situation.set(self);
        let before = self.origin.asked(&scene.path).len();
        self.begin(fault, &scene);
        let (got, found) = thread::scope(|scope| {
            let other = scene.other.as_ref().map(|other| {
                scope.spawn(|| {
                    self.let_the_first_begin(&scene.path, before);
                    self.send(situation, other)
                })
            });
            let got = self.watch(fault, &scene);
            let other = other.map(|other| other.join().expect("it only asks"));
            let found = match other {
                Some(Ok(answer)) if !scene.is_right(&answer) => Some(format!("{answer:?}")),
                Some(Err(error)) => Some(error.to_string()),
                _ => None,
            };
            (got, found)
        });
        // Neither asks: nobody is there, or a lease is enough.
        let is_unasked =
            matches!(fault, Fault::Refused | Fault::Page(_)) || situation == Situation::Leased;
        let is_hit = is_unasked || self.origin.asked(&scene.path).len() > before;
        self.end(fault, &scene);
        let is_stored = self.is_stored(&scene, expected.kept);
        let next = self.ask_again(&scene);
        let complaint = match (found, is_stored, next) {
            _ if !is_hit => "it has hit nobody".to_owned(),
            (Some(other), ..) => format!("the one who waited got {other}"),
            (_, Err(wrong), _) => format!("something wrong is stored: {wrong}"),
            (.., Err(next)) => format!("the next one got {next}"),
            (None, Ok(is_stored), Ok(())) => {
                if got == expected.gets && expected.kept.admits(is_stored) {
                    return None;
                }
                format!("stored: {is_stored}, {got:?}")
            }
        };
        Some(format!("{fault:?} {situation:?}: {complaint}"))
    }

    /// Waits until the request that the fault hits has come to the origin, or won't.
    fn let_the_first_begin(&self, path: &str, asked_before: usize) {
        let deadline = now() + 4 * A_MOMENT;
        sleep(A_MOMENT / 3);
        while self.origin.asked(path).len() == asked_before && now() < deadline {
            sleep(A_MOMENT / 30);
        }
    }

    fn begin(&self, fault: Fault, scene: &Scene) {
        match fault {
            Fault::Refused => return self.origin.stop(),
            Fault::Page(page) => return self.edge(scene.situation).proxy.on(&scene.path, page),
            _ => {}
        }
        // Of two who ask, only one is hit.
        let spared =
            scene.other.as_ref().map(|other| String::from_utf8_lossy(&other.head()).into_owned());
        let asked = AtomicUsize::new(0);
        let document = (scene.situation == Situation::WellKnown).then(document_reply);
        self.origin.on(&scene.path, move |call| {
            let token = call.head.headers.get("authorization").unwrap_or("none").to_owned();
            if spared.as_ref().is_some_and(|head| head.contains(&token)) {
                return call.reply_by_default();
            }
            let right =
                document.as_ref().map_or_else(|| fault.right_reply(call), |d| Ok(d.clone()));
            fault.commit(call, &right?, &asked)
        });
    }

    fn end(&self, fault: Fault, scene: &Scene) {
        match (fault, scene.situation) {
            (Fault::Refused, _) => self.origin.come_back(),
            (Fault::Page(_), situation) => self.edge(situation).proxy.on(&scene.path, "passes"),
            (_, Situation::WellKnown) => self.announce(&scene.path),
            _ => self.origin.on(&scene.path, |call| call.reply_by_default()),
        }
    }

    /// Sends the request, and says what the client gets.
    fn watch(&self, fault: Fault, scene: &Scene) -> Gets {
        let is_at_once = matches!(fault, Fault::Page(_));
        let edge = self.edge(scene.situation);
        let asked = now();
        match listen(&scene.request, &edge.direct_address) {
            Ok((_, false)) => Gets::Beginning,
            Ok((answer, true)) if scene.is_right(&answer) => Gets::Right,
            Ok((answer, _)) if answer.status < 300 => Gets::Shortened,
            Ok((answer, _)) => {
                let is_for_browsers =
                    answer.headers.get("access-control-allow-origin") == Some("*");
                let is_for_servers = scene.situation == Situation::Federation;
                assert!(is_for_browsers || is_for_servers, "no CORS: {answer:?}");
                let is_in_time = is_at_once || TIMED_OUT.contains(&asked.elapsed());
                assert!(answer.status != 504 || is_in_time, "{:?}", asked.elapsed());
                Gets::Error(answer.status)
            }
            Err(_) => Gets::Broken,
        }
    }

    /// Whether what is right is stored afterwards; an error, if something wrong is.
    ///
    /// The local cache commits what has broken off, which Cloudflare doesn't, and the edge drops it
    /// when it finds out. On a busy machine it may not: nobody is served it, but it is in the way.
    fn is_stored(&self, scene: &Scene, expected: Kept) -> Result<bool, String> {
        let Some(key) = &scene.key else { return Ok(false) };
        let stores = &self.edge(scene.situation).stores;
        let name = entry_name(MEDIA_HOST, key);
        if expected != Kept::Right {
            sleep(A_MOMENT);
        }
        let deadline = now() + CLEANING;
        loop {
            let found = match stores.try_entry(&name) {
                Ok(None) => Some(false),
                Ok(Some(entry)) if scene.is_of_media(&entry.body) => Some(true),
                Ok(Some(entry)) if entry.body.len() >= BODY_BYTES => {
                    return Err(format!("{} bytes", entry.body.len()));
                }
                Ok(Some(_)) | Err(_) => None,
            };
            match found {
                Some(is_stored) if expected.admits(is_stored) => return Ok(is_stored),
                _ if now() < deadline => sleep(Duration::from_millis(20)),
                Some(is_stored) => return Ok(is_stored),
                None => {
                    stores.remove_entry(&name);
                    return Ok(false);
                }
            }
        }
    }

    /// The next request gets what is right. A transfer that breaks off is honest, but not for long.
    fn ask_again(&self, scene: &Scene) -> Result<(), String> {
        let deadline = now() + CLEANING;
        let next = scene.again();
        loop {
            match self.send(scene.situation, &next.request) {
                Ok(answer) if next.is_right(&answer) => return Ok(()),
                Err(_) if now() < deadline => sleep(Duration::from_millis(20)),
                outcome => return Err(format!("{outcome:?}").chars().take(500).collect()),
            }
        }
    }

    fn play_row(&self, row: &Row) -> Vec<String> {
        self.teach();
        let cells = Situation::ALL.into_iter().zip(row.cells);
        let cells = cells.filter_map(|(situation, cell)| Some((situation, cell?)));
        // These may hit more than one request.
        if matches!(row.fault, Fault::Refused | Fault::LongBody) {
            return cells.filter_map(|(s, cell)| self.play(row.fault, s, cell)).collect();
        }
        thread::scope(|scope| {
            let played: Vec<_> =
                cells.map(|(s, cell)| scope.spawn(move || self.play(row.fault, s, cell))).collect();
            played.into_iter().filter_map(|cell| cell.join().expect("it only asks")).collect()
        })
    }

    /// Claims that the edges are as they were before.
    fn assert_nothing_left(&self, before: [u64; 3]) {
        wait_for("the connections end", PATIENCE, || {
            (self.origin.open_connections() <= MAX_CONNECTIONS).then_some(())
        });
        for (edge, before) in self.edges().into_iter().zip(before) {
            let growth = edge.workerd_resident_bytes().saturating_sub(before);
            println!("workerd grew by {} KiB", growth >> 10);
            assert!(growth < MAX_GROWTH_BYTES, "workerd grew by {growth} bytes");
            let log = edge.log();
            for word in ["panicked", "hung", "RuntimeError", "internal error: ", "Uncaught"] {
                assert!(!log.contains(word), "{word}:\n{log}");
            }
        }
    }
}

fn document_reply() -> Reply {
    let document = r#"{"m.homeserver":{"base_url":"https://matrix.example.com"}}"#;
    let reply = Reply::new(200).header("Content-Type", "application/json").body(document);
    reply.header("Cache-Control", "max-age=0")
}

/// What comes, and whether it came to an end.
fn listen(request: &Request, address: &str) -> io::Result<(Answer, bool)> {
    let mut connection = request.open(address)?;
    connection.write(request.content())?;
    let mut incoming = connection.answer()?;
    let (mut body, mut block) = (Vec::new(), vec![0; 1 << 16]);
    let head = incoming.head.clone();
    incoming.set_patience(SILENCE)?;
    let is_whole = loop {
        match incoming.body.read(&mut block) {
            Ok(0) => break true,
            Ok(read) => body.extend(&block[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break false;
            }
            Err(error) => return Err(error),
        }
        if body.len() > ENOUGH_BYTES {
            break false;
        }
    };
    if !is_whole {
        incoming.reset();
    }
    Ok((Answer { status: head.status, headers: head.headers, body }, is_whole))
}

/// The rows that a test shows, in turn: the first of them twice, since what is left behind counts
/// from when the edges are warm.
fn play(test: &str) {
    play_in(&Place::start(), group(test));
}

fn play_in(place: &Place, group: &Group) {
    let (first, rest) = group.rows.split_first().expect("there are rows");
    let mut wrong = place.play_row(first);
    place.warm();
    let before = place.resident_bytes();
    for row in rest.iter().chain([first]) {
        wrong.extend(place.play_row(row));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    place.assert_nothing_left(before);
}

/// The rows of a test at once, since each takes its time; what makes the edges warm is another test's.
pub(crate) fn play_at_once(test: &str) {
    let place = Place::start();
    let _ = place.play_row(&GROUPS[0].rows[0]);
    place.warm();
    let before = place.resident_bytes();
    let wrong: Vec<String> = thread::scope(|scope| {
        let rows = group(test).rows.iter().map(|row| scope.spawn(|| place.play_row(row)));
        let rows: Vec<_> = rows.collect();
        rows.into_iter().flat_map(|row| row.join().expect("it only asks")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    place.assert_nothing_left(before);
}

fn group(test: &str) -> &'static Group {
    GROUPS.iter().find(|group| group.test.ends_with(test)).expect("the table has it")
}

#[test]
fn no_answer() {
    play("no_answer");
}

#[test]
fn an_odd_answer() {
    play("an_odd_answer");
}

#[test]
fn a_body_that_breaks() {
    play("a_body_that_breaks");
}

#[test]
fn cloudflares_own_answers() {
    play_in(&Place::start_in(Profile::Cloudflare), &PAGES);
}
