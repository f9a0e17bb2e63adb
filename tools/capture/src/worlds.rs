//! A Worker with variables of its own before a scripted origin, and what is asked there: one
//! exchange after the other, each recorded once everything that it set going has ended.

use std::cell::RefCell;
use std::io::Read;
use std::thread::sleep;
use std::time::Duration;

use test_support::edge::{Edge, Layout};
use test_support::http::Request;
use test_support::time::{now, wait_for};

use crate::origin::{Asked, Origin, SERVER_NAME};
use crate::record::{Addresses, Exchange, Received, Record};

/// The host of media and nothing else.
pub(crate) const MEDIA_HOST: &str = "media.example.com";

/// The homeserver's own host.
pub(crate) const HOMESERVER_HOST: &str = "matrix.example.com";

/// Everything has ended once the origin and the log have been quiet for so long.
const QUIET: Duration = Duration::from_millis(50);

/// How much longer after what goes on for some time without a trace in either.
const LONG_QUIET: Duration = Duration::from_millis(1_000);

/// How long that may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What every line of the log about a request has in it.
const REQUEST_EVENT: &str = r#"{"event":"request","#;

/// A Worker, its homeserver, and another server beside that.
pub(crate) struct World<'a> {
    /// What is being asked about, for the titles.
    subject: &'static str,
    pub(crate) origin: Origin,
    /// A server that isn't the homeserver: a store of blobs, or a website.
    pub(crate) other: Origin,
    pub(crate) edge: Edge,
    addresses: Addresses,
    record: &'a RefCell<Record>,
    /// How much of the log has been recorded, in bytes.
    recorded_log: usize,
}

/// A request, and how it is sent and recorded.
pub(crate) struct Ask {
    title: String,
    request: Request,
    address: Option<String>,
    is_logged: bool,
    is_asked_at_once: bool,
    quiet: Duration,
    entry: Option<String>,
    object: Option<String>,
}

impl Ask {
    pub(crate) fn new(title: &str, request: Request) -> Self {
        Self {
            title: title.to_owned(),
            request,
            address: None,
            is_logged: true,
            is_asked_at_once: false,
            quiet: QUIET,
            entry: None,
            object: None,
        }
    }

    /// Sends it elsewhere than to the Worker's first isolate.
    #[must_use]
    pub(crate) fn at(mut self, address: &str) -> Self {
        self.address = Some(address.to_owned());
        self
    }

    /// Waits for no line of the log.
    #[must_use]
    pub(crate) fn unlogged(mut self) -> Self {
        self.is_logged = false;
        self
    }

    /// The origin may be asked several things at the same time.
    #[must_use]
    pub(crate) fn asking_at_once(mut self) -> Self {
        self.is_asked_at_once = true;
        self
    }

    /// Waits longer for what it sets going.
    #[must_use]
    pub(crate) fn slowly(mut self) -> Self {
        self.quiet = LONG_QUIET;
        self
    }

    /// Waits for this entry of the cache, and records it.
    #[must_use]
    pub(crate) fn filling(mut self, key: &str) -> Self {
        self.entry = Some(key.to_owned());
        self
    }

    /// Waits for this object of the bucket, and records its key and bytes.
    #[must_use]
    pub(crate) fn filling_bucket(mut self, key: &str) -> Self {
        self.object = Some(key.to_owned());
        self
    }
}

impl<'a> World<'a> {
    /// Starts a Worker with these variables on top of the required ones.
    pub(crate) fn start(record: &'a RefCell<Record>, vars: &[(&str, &str)]) -> Self {
        Self::start_as(record, Layout::default(), |_, _| {
            vars.iter().map(|&(name, value)| (name, value.to_owned())).collect()
        })
    }

    /// Starts a Worker in a layout, with variables that may name the homeserver and the other server.
    pub(crate) fn start_as<'v>(
        record: &'a RefCell<Record>,
        layout: Layout,
        vars: impl FnOnce(&Origin, &Origin) -> Vec<(&'v str, String)>,
    ) -> Self {
        let (origin, other) = (Origin::start(), Origin::start());
        let required = [
            ("HOMESERVER_URL", origin.url()),
            ("SERVER_NAME", SERVER_NAME.to_owned()),
            ("MEDIA_URL", format!("https://{MEDIA_HOST}")),
            ("WELL_KNOWN_URL", origin.url()),
            ("ORIGIN_REDIRECT_HOSTS", "127.0.0.1".to_owned()),
            // An age differs from run to run.
            ("WELL_KNOWN_SECONDS", "0".to_owned()),
        ];
        let mut vars = vars(&origin, &other);
        for (name, value) in required {
            if !vars.iter().any(|(set, _)| *set == name) {
                vars.push((name, value));
            }
        }
        let texts: Vec<_> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let edge = Edge::start_as(layout, &texts);
        let addresses = Addresses::new([
            ("homeserver", origin.address.as_str()),
            ("other", other.address.as_str()),
            ("front", edge.address.as_str()),
            ("worker", edge.direct_address.as_str()),
        ]);
        for token in ["syt_alice", "syt_bob", "syt_carol"] {
            origin.homeserver().log_in(token);
        }
        let mut world =
            Self { subject: "", origin, other, edge, addresses, record, recorded_log: 0 };
        // What the runtime itself says at the start may come before or after the first request.
        world.settle(false, QUIET);
        world
    }

    /// Begins to ask about something else.
    pub(crate) fn turn_to(&mut self, subject: &'static str) {
        self.subject = subject;
    }

    /// Sends a request to the Worker, and records the exchange.
    pub(crate) fn ask(&mut self, title: &str, request: Request) -> Received {
        self.play(Ask::new(title, request))
    }

    /// Does the same with a request that is to fill the cache.
    pub(crate) fn fill(&mut self, title: &str, request: Request, key: &str) -> Received {
        self.play(Ask::new(title, request).filling(key))
    }

    /// Does the same in another way.
    pub(crate) fn play(&mut self, ask: Ask) -> Received {
        let address = ask.address.as_ref().unwrap_or(&self.edge.direct_address);
        let received = send(&ask.request, address);
        let log = self.settle(ask.is_logged, ask.quiet);
        let stored = self.stored(&ask);
        let exchange = Exchange {
            title: format!("{}: {}", self.subject, ask.title),
            request: Some(&ask.request),
            received: &received,
            asked: self.take_asked(),
            is_asked_at_once: ask.is_asked_at_once,
            log,
            stored,
        };
        self.record.borrow_mut().add(&exchange, &self.addresses);
        received
    }

    /// Triggers a scheduled event, and records what the Worker does.
    pub(crate) fn run_scheduled(&mut self, title: &str) {
        self.edge.run_scheduled();
        let exchange = Exchange {
            title: format!("{}: {title}", self.subject),
            request: None,
            received: &Received::default(),
            log: self.settle(false, QUIET),
            asked: self.take_asked(),
            is_asked_at_once: false,
            stored: Vec::new(),
        };
        self.record.borrow_mut().add(&exchange, &self.addresses);
    }

    /// Records some lines that no exchange tells.
    pub(crate) fn note(&mut self, title: &str, lines: &[String]) {
        let title = format!("{}: {title}", self.subject);
        self.record.borrow_mut().add_note(&title, lines);
    }

    /// Waits until the request is logged, if that is to be, and until nothing happens any more.
    /// Returns what was logged.
    fn settle(&mut self, is_logged: bool, quiet: Duration) -> Vec<String> {
        let logged = |log: &str| log[self.recorded_log..].contains(REQUEST_EVENT);
        let state = |log: &str| {
            let arrived = [&self.origin, &self.other].map(Origin::arrived_if_idle);
            (arrived.iter().all(Option::is_some) && log.ends_with('\n') | log.is_empty())
                .then_some((arrived, log.len()))
        };
        let mut last = (None, now());
        let log = wait_for("the Worker is quiet", TIMEOUT, || {
            let log = self.edge.log();
            let seen = state(&log).filter(|_| !is_logged || logged(&log));
            if seen != last.0 {
                last = (seen, now());
            }
            (seen.is_some() && last.1.elapsed() >= quiet).then_some(log)
        });
        let new = log[self.recorded_log..].lines().map(str::to_owned).collect();
        self.recorded_log = log.len();
        new
    }

    fn take_asked(&self) -> Vec<(&'static str, Vec<Asked>)> {
        vec![("homeserver", self.origin.take_asked()), ("other", self.other.take_asked())]
    }

    /// Waits for what a request was to store.
    fn stored(&self, ask: &Ask) -> Vec<(String, Option<test_support::http::Answer>)> {
        let entry = ask.entry.iter().map(|key| {
            let name = format!("{MEDIA_HOST}/_edge/cache/{key}");
            let found = wait_for(&format!("{key} is stored"), TIMEOUT, || {
                self.edge.stores.try_entry(&name).ok().flatten()
            });
            (key.clone(), Some(found))
        });
        let object = ask.object.iter().map(|key| {
            let found = wait_for(&format!("{key} is in the bucket"), TIMEOUT, || {
                self.edge.stores.object(key)
            });
            let headers = vec![("record".to_owned(), found.record)];
            let headers = test_support::wire::Headers(headers);
            let answer = test_support::http::Answer { status: 200, headers, body: found.body };
            (format!("in the bucket {key}"), Some(answer))
        });
        entry.chain(object).collect()
    }

    /// Waits until the clock shows another second than that of anything before.
    pub(crate) fn wait_a_second(&self) {
        sleep(Duration::from_millis(1_100));
    }
}

/// Sends a request and takes whatever comes.
fn send(request: &Request, address: &str) -> Received {
    let mut connection = request.open(address).expect("the Worker listens");
    // Who answers upon the head alone may hang up on the body.
    let _ = connection.write(&body_bytes(request));
    let Ok(mut incoming) = connection.answer() else { return Received::default() };
    let mut body = Vec::new();
    let is_broken = incoming.body.read_to_end(&mut body).is_err();
    Received { head: Some(incoming.head), body, is_broken }
}

/// Returns the body as it goes over the wire.
fn body_bytes(request: &Request) -> Vec<u8> {
    let body = request.content();
    let is_chunked =
        String::from_utf8_lossy(&request.head()).contains("Transfer-Encoding: chunked");
    match (is_chunked, body.len()) {
        (false, _) => body.to_owned(),
        (true, 0) => b"0\r\n\r\n".to_vec(),
        (true, length) => [format!("{length:x}\r\n").as_bytes(), body, b"\r\n0\r\n\r\n"].concat(),
    }
}
