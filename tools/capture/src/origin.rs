//! A scripted homeserver: answers as Synapse does where a scenario has no script for a path, and
//! remembers every request that arrives.

mod homeserver;
mod reply;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use test_support::http::reset;
use test_support::wire::{Body, Framing, RequestHead, read_request_head};

use self::homeserver::Homeserver;
pub(crate) use self::homeserver::{Media, SERVER_NAME};
pub(crate) use self::reply::Reply;

/// A request as it arrived, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: RequestHead,
    pub(crate) body: Vec<u8>,
    /// The status of the answer; `None` if the connection was reset instead.
    pub(crate) answered: Option<u16>,
}

/// What the origin does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    Answer(Reply),
    /// Resets the connection once the request is read.
    HangUp,
}

impl From<Reply> for Script {
    fn from(reply: Reply) -> Self {
        Self::Answer(reply)
    }
}

pub(crate) struct Origin {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    homeserver: Mutex<Homeserver>,
    /// By raw target, with or without its query. The last step of each repeats.
    scripts: Mutex<BTreeMap<String, Vec<Script>>>,
    asked: Mutex<Vec<Asked>>,
    /// How many requests have arrived, and how many are done with.
    arrived: AtomicUsize,
    done: AtomicUsize,
    is_down: AtomicBool,
}

impl Origin {
    /// Starts an origin on a free port.
    ///
    /// It runs until the process ends.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let origin = Self { address, shared: Arc::default() };
        let shared = Arc::clone(&origin.shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // The Worker sees an error as the end of the connection.
                thread::spawn(move || serve(stream, &shared));
            }
        });
        origin
    }

    /// Returns its address as a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the homeserver that answers where there is no script.
    pub(crate) fn homeserver(&self) -> MutexGuard<'_, Homeserver> {
        lock(&self.shared.homeserver)
    }

    /// Answers at one raw target from now on; without a query, whatever the query.
    pub(crate) fn on(&self, path: &str, script: impl Into<Script>) {
        self.in_turn(path, vec![script.into()]);
    }

    /// Takes one step after the other at a raw target, and repeats the last.
    pub(crate) fn in_turn(&self, path: &str, steps: Vec<Script>) {
        lock(&self.shared.scripts).insert(path.to_owned(), steps);
    }

    /// Leaves a target to the homeserver again.
    pub(crate) fn restore(&self, path: &str) {
        lock(&self.shared.scripts).remove(path);
    }

    /// Resets every connection on its next request from now on, or no longer does.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Returns how many requests have arrived, or `None` while one is under way.
    pub(crate) fn arrived_if_idle(&self) -> Option<usize> {
        let done = self.shared.done.load(Ordering::SeqCst);
        let arrived = self.shared.arrived.load(Ordering::SeqCst);
        (arrived == done).then_some(arrived)
    }

    /// Takes the requests that have arrived since this was called last, in order.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *lock(&self.shared.asked))
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_request_head(&mut stream)? {
        shared.arrived.fetch_add(1, Ordering::SeqCst);
        let is_kept = answer(&mut stream, head, shared);
        shared.done.fetch_add(1, Ordering::SeqCst);
        if !is_kept? {
            break;
        }
    }
    stream.get_ref().shutdown(Shutdown::Both)
}

/// Answers one request. Returns whether the connection stays open.
fn answer(
    stream: &mut BufReader<TcpStream>,
    head: RequestHead,
    shared: &Shared,
) -> io::Result<bool> {
    let mut body = Vec::new();
    Body::new(&mut *stream, Framing::of_request(&head.headers)).read_to_end(&mut body)?;
    let is_down = shared.is_down.load(Ordering::SeqCst);
    let step = if is_down { Some(Script::HangUp) } else { next_step(&head.target, shared) };
    let reply = match step {
        Some(Script::HangUp) => None,
        Some(Script::Answer(reply)) => Some(reply.to_request(&head)),
        None => Some(lock(&shared.homeserver).answer(&head, &body)),
    };
    let answered = reply.as_ref().map(Reply::status);
    lock(&shared.asked).push(Asked { head: head.clone(), body, answered });
    let Some(reply) = reply else {
        reset(stream.get_ref());
        return Ok(false);
    };
    stream.get_mut().write_all(&reply.to_bytes(&head.method))?;
    Ok(reply.keeps_connection())
}

fn next_step(target: &str, shared: &Shared) -> Option<Script> {
    let mut scripts = lock(&shared.scripts);
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let name = if scripts.contains_key(target) { target } else { path };
    let steps = scripts.get_mut(name)?;
    if steps.len() > 1 { Some(steps.remove(0)) } else { steps.first().cloned() }
}

/// A thread that panicked has reported that already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
