//! A client that keeps its connection, or leaves.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use test_support::http::{Answer, Request, reset};
use test_support::wire::{Body, Framing, read_answer_head};

/// How long the Worker may keep a reader waiting for the next byte, whatever the origin does.
const DEADLINE: Duration = Duration::from_secs(30);

/// How much of an answer is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reads {
    /// All of it, on a connection that is kept.
    All,
    /// Its head and so many bytes of its body; then the reader leaves.
    Beginning(u64),
}

pub(crate) struct Client {
    address: String,
    kept: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self { address: String::new(), kept: None }
    }

    /// Has all that follows go to this address. A connection to another is given up.
    pub(crate) fn turn_to(&mut self, address: &str) {
        if self.address != address {
            *self = Self { address: address.to_owned(), kept: None };
        }
    }

    /// Sends a request of this method, and reads the answer. A connection that was kept may have been
    /// closed meanwhile, and is then made anew.
    pub(crate) fn send(
        &mut self,
        method: &str,
        request: &Request,
        body: &[u8],
        reads: Reads,
    ) -> io::Result<Answer> {
        if let Some(kept) = self.kept.take() {
            match self.exchange(kept, method, request, body, reads) {
                Err(error) if is_closed(&error) => {}
                answer => return answer,
            }
        }
        let stream = self.connect()?;
        self.exchange(stream, method, request, body, reads)
    }

    /// Sends a request with half of its body, waits for so long, and leaves.
    pub(crate) fn leave(
        &mut self,
        request: &Request,
        body: &[u8],
        after: Duration,
    ) -> io::Result<()> {
        let mut stream = self.kept.take().map_or_else(|| self.connect(), Ok)?;
        stream.get_mut().write_all(&[&request.head(), &body[..body.len() / 2]].concat())?;
        sleep(after);
        reset(stream.get_ref());
        Ok(())
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(BufReader::new(stream))
    }

    fn exchange(
        &mut self,
        mut stream: BufReader<TcpStream>,
        method: &str,
        request: &Request,
        body: &[u8],
        reads: Reads,
    ) -> io::Result<Answer> {
        let before_answer = |error: io::Error| io::Error::new(error.kind(), BeforeAnswer(error));
        let sent = [&request.head(), body].concat();
        stream.get_mut().write_all(&sent).map_err(before_answer)?;
        let head = read_answer_head(&mut stream).map_err(before_answer)?;
        let mut answer = Body::new(stream, Framing::of_answer(method, &head));
        let mut bytes = Vec::new();
        let most = if let Reads::Beginning(most) = reads { most } else { u64::MAX };
        (&mut answer).take(most).read_to_end(&mut bytes).map_err(|error| {
            let place = format!("after {} bytes of its body: {error}", bytes.len());
            io::Error::new(error.kind(), place)
        })?;
        match reads {
            Reads::Beginning(_) => reset(answer.get_ref().get_ref()),
            Reads::All if head.headers.has_member("connection", "close") => {}
            Reads::All => self.kept = Some(answer.into_inner()),
        }
        Ok(Answer { status: head.status, headers: head.headers, body: bytes })
    }
}

/// An error that came before the answer did.
#[derive(Debug)]
struct BeforeAnswer(io::Error);

impl std::fmt::Display for BeforeAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "before the answer: {}", self.0)
    }
}

impl std::error::Error for BeforeAnswer {}

/// Whether the connection was gone before anything came of the request.
fn is_closed(error: &io::Error) -> bool {
    let is_before = error.get_ref().is_some_and(|inner| inner.is::<BeforeAnswer>());
    is_before && !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
