//! A client that keeps its connection.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use test_support::http::{Answer, Request};
use test_support::wire::{Body, Framing, read_answer_head};

/// How long the Worker may keep a reader waiting for the next byte, whatever the origin does.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    address: String,
    kept: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), kept: None }
    }

    /// Sends a request of this method, and reads the whole answer. A connection that was kept may
    /// have been closed meanwhile, and is then made anew.
    pub(crate) fn send(
        &mut self,
        method: &str,
        request: &Request,
        body: &[u8],
    ) -> io::Result<Answer> {
        if let Some(kept) = self.kept.take() {
            match self.exchange(kept, method, request, body) {
                Err(error) if is_closed(&error) => {}
                answer => return answer,
            }
        }
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        self.exchange(BufReader::new(stream), method, request, body)
    }

    fn exchange(
        &mut self,
        mut stream: BufReader<TcpStream>,
        method: &str,
        request: &Request,
        body: &[u8],
    ) -> io::Result<Answer> {
        let before_answer = |error: io::Error| io::Error::new(error.kind(), BeforeAnswer(error));
        let sent = [&request.head(), body].concat();
        stream.get_mut().write_all(&sent).map_err(before_answer)?;
        let head = read_answer_head(&mut stream).map_err(before_answer)?;
        let mut answer = Body::new(stream, Framing::of_answer(method, &head));
        let mut bytes = Vec::new();
        answer.read_to_end(&mut bytes)?;
        if !head.headers.has_member("connection", "close") {
            self.kept = Some(answer.into_inner());
        }
        Ok(Answer { status: head.status, headers: head.headers, body: bytes })
    }
}

/// An error that came before the answer did.
#[derive(Debug)]
struct BeforeAnswer(io::Error);

impl std::fmt::Display for BeforeAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for BeforeAnswer {}

/// Whether the connection was gone before anything came of the request.
fn is_closed(error: &io::Error) -> bool {
    let is_before = error.get_ref().is_some_and(|inner| inner.is::<BeforeAnswer>());
    is_before && !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
