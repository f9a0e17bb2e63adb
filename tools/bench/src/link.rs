//! The way to the homeserver: a TCP proxy that delays and counts what passes.
//!
//! Each direction takes half of the round trip, and a new connection one more round trip, as its
//! handshake would. Bandwidth is not limited.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use test_support::time::now;

const BUFFER_BYTES: usize = 256 << 10;

/// The most that is under way in one direction of a connection.
const WINDOW_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(crate) struct Link {
    /// Where to reach the homeserver by this way.
    pub(crate) address: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    one_way_ms: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// What has passed so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) requests: u64,
    /// Sent by the homeserver: heads and bodies.
    pub(crate) bytes: u64,
}

impl Link {
    pub(crate) fn to(homeserver: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("no port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let shared = Arc::<Shared>::default();
        let (homeserver, theirs) = (homeserver.to_owned(), Arc::clone(&shared));
        spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (homeserver, shared) = (homeserver.clone(), Arc::clone(&theirs));
                // A connection that can't be made or breaks is seen by both its ends.
                spawn(move || drop(connect(client, &homeserver, &shared)));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn set_round_trip_ms(&self, round_trip_ms: u64) {
        self.shared.one_way_ms.store(round_trip_ms / 2, Relaxed);
    }

    pub(crate) fn passed(&self) -> Passed {
        let Shared { requests, bytes, .. } = &*self.shared;
        Passed { requests: requests.load(Relaxed), bytes: bytes.load(Relaxed) }
    }
}

impl Shared {
    fn one_way(&self) -> Duration {
        Duration::from_millis(self.one_way_ms.load(Relaxed))
    }
}

fn connect(client: TcpStream, homeserver: &str, shared: &Arc<Shared>) -> io::Result<()> {
    sleep(shared.one_way() * 2);
    let server = TcpStream::connect(homeserver)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // Nobody pipelines: whoever speaks after the server has spoken asks something new.
    let has_server_spoken = Arc::new(AtomicBool::new(true));
    let (spoken, theirs) = (Arc::clone(&has_server_spoken), Arc::clone(shared));
    let (from, to) = (server.try_clone()?, client.try_clone()?);
    spawn(move || {
        carry(&from, &to, &theirs, |length| {
            spoken.store(true, Relaxed);
            theirs.bytes.fetch_add(length as u64, Relaxed);
        })
    });
    carry(&client, &server, shared, |_| {
        if has_server_spoken.swap(false, Relaxed) {
            shared.requests.fetch_add(1, Relaxed);
        }
    })
}

/// Carries one direction until it ends.
fn carry(
    mut from: &TcpStream,
    mut to: &TcpStream,
    shared: &Shared,
    count: impl Fn(usize),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut under_way = Queue::default();
    loop {
        under_way.deliver(now(), to)?;
        if !wait(from, under_way.wait())? {
            continue;
        }
        let length = from.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        count(length);
        let delay = shared.one_way();
        if delay.is_zero() && under_way.chunks.is_empty() {
            to.write_all(&buffer[..length])?;
        } else {
            under_way.push(now() + delay, &buffer[..length]);
        }
        if under_way.bytes > WINDOW_BYTES {
            sleep(under_way.wait().unwrap_or_default());
        }
    }
    while let Some(rest) = under_way.wait() {
        sleep(rest);
        under_way.deliver(now(), to)?;
    }
    to.shutdown(Shutdown::Write)
}

/// Waits until there is something to read, or the time is over; tells which.
fn wait(from: &TcpStream, at_most: Option<Duration>) -> io::Result<bool> {
    let timeout = at_most.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    let mut watched = [PollFd::new(from, PollFlags::IN)];
    Ok(poll(&mut watched, timeout.as_ref())? > 0)
}

/// Bytes on their way, with the time at which they arrive.
#[derive(Default)]
struct Queue {
    chunks: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, due: Instant, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.chunks.push_back((due, bytes.to_owned()));
    }

    /// How long it takes until something arrives; nothing, if nothing is under way.
    fn wait(&self) -> Option<Duration> {
        self.chunks.front().map(|(due, _)| due.saturating_duration_since(now()))
    }

    fn deliver(&mut self, now: Instant, mut to: &TcpStream) -> io::Result<()> {
        while self.chunks.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, bytes)) = self.chunks.pop_front() else { break };
            self.bytes -= bytes.len();
            to.write_all(&bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use test_support::http::Request;

    use super::*;

    #[test]
    fn a_first_answer_takes_two_round_trips_and_is_counted() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = Link::to(&server.local_addr().unwrap().to_string());
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(answer).unwrap();
        });
        link.set_round_trip_ms(40);
        let started = now();
        assert_eq!(Request::new("GET", "/").send(&link.address).status, 204);
        assert!(started.elapsed() >= Duration::from_millis(80), "{:?}", started.elapsed());
        let Passed { requests, bytes } = link.passed();
        assert_eq!((requests, bytes), (1, answer.len() as u64));
    }
}
