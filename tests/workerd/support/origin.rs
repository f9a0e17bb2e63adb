//! A homeserver stand-in: answers like Synapse unless a test says otherwise, remembers every
//! request, and can fail in every way that a peer can.

mod homeserver;
mod reply;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use test_support::http::{reserve, reset};
use test_support::profile::Profile;
use test_support::proxy::WORKER_ADDRESS;
use test_support::time::wait_for;
use test_support::wire::{self, Framing, RequestHead, read_request_head};

pub(crate) use self::homeserver::{Homeserver, Media, SERVER_NAME, UPLOAD_LIMIT_BYTES};
pub(crate) use self::reply::{MEDIA_HEADERS, Reply};

const PATIENCE: Duration = Duration::from_secs(10);

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) head: RequestHead,
    pub(crate) body: Received,
    /// How many bytes of media or errors it got, if a [`Reply`] answered it.
    pub(crate) answered_bytes: usize,
}

impl Record {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)
    }

    /// The address that the request came from, by the edge's word: proxies add theirs behind it.
    pub(crate) fn connecting_address(&self) -> Option<&str> {
        self.header("x-forwarded-for")
            .map(|addresses| addresses.split_once(", ").map_or(addresses, |(first, _)| first))
    }

    /// Claims that it tells no reader's address. Cloudflare's proxy tells its own then.
    #[track_caller]
    pub(crate) fn assert_without_address(&self) {
        let expected = match Profile::current() {
            Profile::Cloudflare => Some(WORKER_ADDRESS),
            Profile::Plain => None,
        };
        assert_eq!(self.header("x-forwarded-for"), expected, "{:?}", self.head);
    }
}

/// What has come of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Unread,
    Broken,
    Whole { length: u64, sha256: String },
}

impl Received {
    pub(crate) fn whole(bytes: &[u8]) -> Self {
        Self::Whole { length: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
    }
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    KeepOpen,
    Close,
    Reset,
}

type Handler = dyn Fn(&mut Call<'_>) -> io::Result<Then> + Send + Sync;

pub(crate) struct Origin {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By number, from the first to arrive.
    records: Mutex<BTreeMap<usize, Record>>,
    /// By raw target, with or without its query.
    handlers: Mutex<BTreeMap<String, Arc<Handler>>>,
    homeserver: Mutex<Homeserver>,
    /// Those that are open, by number.
    connections: Mutex<BTreeMap<usize, TcpStream>>,
    accepted: AtomicUsize,
    arrived: AtomicUsize,
    is_stopped: AtomicBool,
    /// Its port while it is stopped, so that no other server of a test gets it.
    reserved: Mutex<Option<OwnedFd>>,
}

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let origin = Self { address, shared: Arc::default() };
        origin.listen(listener);
        origin
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || accept(&listener, &shared));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it does by default.
    pub(crate) fn homeserver(&self) -> MutexGuard<'_, Homeserver> {
        lock(&self.shared.homeserver)
    }

    /// Replaces the default at one raw target; without a query, whatever the query.
    pub(crate) fn on(
        &self,
        path: &str,
        handler: impl Fn(&mut Call<'_>) -> io::Result<Then> + Send + Sync + 'static,
    ) {
        lock(&self.shared.handlers).insert(path.to_owned(), Arc::new(handler));
    }

    /// Answers always the same at one raw target.
    pub(crate) fn reply(&self, path: &str, reply: Reply) {
        self.on(path, move |call| call.reply(&reply));
    }

    /// All requests for this raw target, in order; without a query, whatever the query.
    pub(crate) fn asked(&self, path: &str) -> Vec<Record> {
        let records = lock(&self.shared.records);
        records.values().filter(|r| is_at(&r.head.target, path)).cloned().collect()
    }

    /// The only request for this raw target.
    #[track_caller]
    pub(crate) fn asked_once(&self, path: &str) -> Record {
        let records = self.asked(path);
        assert_eq!(records.len(), 1, "{records:?}");
        records[0].clone()
    }

    /// Every request of all, in order.
    pub(crate) fn records(&self) -> Vec<Record> {
        lock(&self.shared.records).values().cloned().collect()
    }

    /// Forgets the requests for this raw target: what led up to a test is none of its claims.
    pub(crate) fn forget(&self, path: &str) {
        lock(&self.shared.records).retain(|_, r| !is_at(&r.head.target, path));
    }

    /// Waits until the body of the last request for this raw target has been read or has broken.
    pub(crate) fn received(&self, path: &str) -> Received {
        wait_for("the origin has the body", PATIENCE, || {
            let body = self.asked(path).pop()?.body;
            (body != Received::Unread).then_some(body)
        })
    }

    /// Ends it: from now on, connections are refused.
    pub(crate) fn stop(&self) {
        self.close();
        let address = self.address.parse().expect("an address");
        *lock(&self.shared.reserved) = Some(reserve(address));
    }

    fn close(&self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, which then closes.
        drop(TcpStream::connect(&self.address));
        for connection in lock(&self.shared.connections).values() {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        wait_for("the origin is gone", PATIENCE, || TcpStream::connect(&self.address).err());
    }

    /// Ends the end: it is there again, and knows what it knew.
    pub(crate) fn come_back(&self) {
        self.shared.is_stopped.store(false, Ordering::SeqCst);
        *lock(&self.shared.reserved) = None;
        self.listen(TcpListener::bind(&self.address).expect("the port is still free"));
    }

    /// How many connections to it are open.
    pub(crate) fn open_connections(&self) -> usize {
        lock(&self.shared.connections).len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if !self.shared.is_stopped.load(Ordering::SeqCst) {
            self.close();
        }
    }
}

/// One request that is being answered.
pub(crate) struct Call<'a> {
    pub(crate) head: RequestHead,
    stream: &'a mut BufReader<TcpStream>,
    shared: &'a Shared,
    number: usize,
    is_received: bool,
}

impl Call<'_> {
    /// Reads the request's body, if that has not been done.
    pub(crate) fn receive(&mut self) -> io::Result<()> {
        self.receive_into(&mut io::sink())
    }

    pub(crate) fn receive_into(&mut self, into: &mut impl Write) -> io::Result<()> {
        if self.is_received {
            return Ok(());
        }
        self.is_received = true;
        let framing = Framing::of_request(&self.head.headers);
        let mut body = wire::Body::new(&mut *self.stream, framing);
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut length = 0;
        let received = loop {
            match body.read(&mut buffer) {
                Ok(0) => break Received::Whole { length, sha256: hex(&digest.finalize()) },
                Ok(read) => {
                    digest.update(&buffer[..read]);
                    into.write_all(&buffer[..read])?;
                    length += read as u64;
                }
                Err(_) => break Received::Broken,
            }
        };
        let is_broken = received == Received::Broken;
        if let Some(record) = lock(&self.shared.records).get_mut(&self.number) {
            record.body = received;
        }
        if is_broken { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Sends bytes, as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Reads the request to its end and answers.
    pub(crate) fn reply(&mut self, reply: &Reply) -> io::Result<Then> {
        self.receive()?;
        if let Some(record) = lock(&self.shared.records).get_mut(&self.number) {
            record.answered_bytes = reply.body_bytes(&self.head.method);
        }
        self.send(reply.to_bytes(&self.head.method))?;
        Ok(Then::KeepOpen)
    }

    /// Answers as if no handler were there.
    pub(crate) fn reply_by_default(&mut self) -> io::Result<Then> {
        let reply = self.default_reply()?;
        self.reply(&reply)
    }

    /// What it would answer.
    pub(crate) fn default_reply(&mut self) -> io::Result<Reply> {
        let mut body = Vec::new();
        self.receive_into(&mut body)?;
        Ok(lock(&self.shared.homeserver).answer(&self.head, body))
    }

    /// The connection itself, for another protocol.
    pub(crate) fn stream(&self) -> io::Result<TcpStream> {
        self.stream.get_ref().try_clone()
    }

    /// Says nothing until the other end gives up.
    pub(crate) fn wait_for_end(&mut self) -> io::Result<Then> {
        io::copy(self.stream, &mut io::sink())?;
        Ok(Then::Close)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
        let other = stream.try_clone().expect("too many connections are open");
        lock(&shared.connections).insert(number, other);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // The edge sees an error as the end of the connection.
            let _ = serve(stream, &shared);
            lock(&shared.connections).remove(&number);
        });
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_request_head(&mut stream)? {
        let number = shared.arrived.fetch_add(1, Ordering::Relaxed);
        let record = Record { head: head.clone(), body: Received::Unread, answered_bytes: 0 };
        lock(&shared.records).insert(number, record);
        let handler = {
            let handlers = lock(&shared.handlers);
            handlers.get(&head.target).or_else(|| handlers.get(path_of(&head.target))).cloned()
        };
        let mut call = Call { head, stream: &mut stream, shared, number, is_received: false };
        let then = match handler {
            Some(handler) => handler(&mut call),
            None => call.reply_by_default(),
        };
        match then {
            Ok(Then::KeepOpen) => call.receive()?,
            Ok(Then::Reset) => {
                reset(stream.get_ref());
                break;
            }
            Ok(Then::Close) | Err(_) => break,
        }
    }
    // The clone that `stop` keeps would hold the connection open.
    stream.get_ref().shutdown(std::net::Shutdown::Both)
}

/// Whether a raw target is the one that was named, with or without its query.
fn is_at(target: &str, named: &str) -> bool {
    target == named || path_of(target) == named
}

/// A raw target without its query.
fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A test that failed while it held the lock has said so already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
