//! An HTTP/1.1 client that adds nothing: what the test says is what goes out.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketType};
use serde_json::Value;

use crate::wire::{AnswerHead, Body, Framing, Headers, read_answer_head};

/// How long an answer may keep a test waiting: more than any deadline of the edge.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request. Header fields and bytes go out as given, in order.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    is_chunked: bool,
}

impl Request {
    /// A request without fields or body; even `Host` is for the test to say.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.as_ref().to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            is_chunked: false,
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The same without a field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// Adds an access token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Adds a body and its length.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_owned();
        let length = self.body.len().to_string();
        self.header("Content-Length", length)
    }

    /// Adds a body whose length isn't told, sent in one chunk.
    #[must_use]
    pub fn chunked(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_owned();
        self.is_chunked = true;
        self.header("Transfer-Encoding", "chunked")
    }

    /// Sends the request to `address` and reads the whole answer.
    ///
    /// # Panics
    /// When there is no answer or it breaks off.
    pub fn send(&self, address: &str) -> Answer {
        self.try_send(address).unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// The same where a broken transfer is among the things that may happen.
    ///
    /// # Errors
    /// When there is no answer or it breaks off.
    pub fn try_send(&self, address: &str) -> io::Result<Answer> {
        let mut connection = self.connect(address)?;
        // In one piece: who answers upon the head alone may hang up on what comes later.
        connection.write(&[self.head(), self.framed_body()].concat())?;
        connection.answer()?.read()
    }

    /// Sends the head alone; body and answer are the caller's to move.
    ///
    /// # Errors
    /// When the connection can't be made or breaks.
    pub fn open(&self, address: &str) -> io::Result<Connection> {
        let mut connection = self.connect(address)?;
        connection.write(&self.head())?;
        Ok(connection)
    }

    fn connect(&self, address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { stream: BufReader::new(stream), method: self.method.clone() })
    }

    fn framed_body(&self) -> Vec<u8> {
        if !self.is_chunked {
            return self.body.clone();
        }
        let chunk = match self.body.len() {
            0 => Vec::new(),
            length => [format!("{length:x}\r\n").as_bytes(), &self.body, b"\r\n"].concat(),
        };
        [&chunk[..], b"0\r\n\r\n"].concat()
    }

    /// The body that it has.
    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// What goes out before the body.
    pub fn head(&self) -> Vec<u8> {
        let mut head = self.method.clone().into_bytes();
        head.push(b' ');
        head.extend(&self.target);
        head.extend(b" HTTP/1.1\r\n");
        for (name, value) in &self.headers {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        head
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, String::from_utf8_lossy(&self.target))
    }
}

/// A connection on which one request is under way.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    method: String,
}

impl Connection {
    /// Sends bytes of the body, as they are.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads the head of the answer; its body follows.
    ///
    /// # Errors
    /// When the connection ends before, or brings something else.
    pub fn answer(mut self) -> io::Result<Incoming> {
        let head = loop {
            let head = read_answer_head(&mut self.stream)?;
            if head.status != 100 {
                break head;
            }
        };
        let framing = Framing::of_answer(&self.method, &head);
        Ok(Incoming { head, body: Body::new(self.stream, framing) })
    }

    /// From now on waits no longer than this for more.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(patience))
    }

    /// Sends no more, but still listens.
    ///
    /// # Errors
    /// When the connection is already broken.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }

    /// Waits for the other end to break the connection without having answered.
    ///
    /// # Errors
    /// When it answers, or does nothing for too long.
    pub fn wait_for_end(mut self) -> io::Result<()> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => Ok(()),
            Ok(_) => Err(io::Error::other("there is an answer")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Breaks the connection with a reset, as a crashed peer does.
    pub fn reset(self) {
        reset(self.stream.get_ref());
    }
}

/// Makes the stream's closing a reset.
pub fn reset(stream: &TcpStream) {
    // An error means that the connection is gone already.
    let _ = net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// Keeps a port of this machine from everybody else until what is returned is dropped. Connections to it
/// are refused.
///
/// # Panics
/// Somebody else has the port.
#[must_use]
pub fn reserve(address: SocketAddr) -> OwnedFd {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    // Connections of before may linger.
    net::sockopt::set_socket_reuseaddr(&socket, true).expect("a socket that may be bound again");
    net::bind(&socket, &address).expect("the port is still free");
    socket
}

/// An answer whose body is still on its way.
#[derive(Debug)]
pub struct Incoming {
    /// Its head.
    pub head: AnswerHead,
    /// Its body.
    pub body: Body<BufReader<TcpStream>>,
}

impl Incoming {
    /// Reads the whole body.
    ///
    /// # Errors
    /// When it breaks off.
    pub fn read(mut self) -> io::Result<Answer> {
        let mut body = Vec::new();
        self.body.read_to_end(&mut body)?;
        Ok(Answer { status: self.head.status, headers: self.head.headers, body })
    }

    /// From now on waits no longer than this for more.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.body.get_ref().get_ref().set_read_timeout(Some(patience))
    }

    /// Breaks the connection in mid-body.
    pub fn reset(self) {
        reset(self.body.into_inner().get_ref());
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The fields.
    pub headers: Headers,
    /// The body, its framing taken off.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body, for people.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is something else.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} isn't JSON: {}", self.status, self.text()))
    }

    /// The Matrix error code; empty if there is none.
    pub fn errcode(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["errcode"].as_str().unwrap_or_default().to_owned()
    }
}
