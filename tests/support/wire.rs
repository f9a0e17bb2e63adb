//! HTTP/1.1 as it is on the wire, for both ends of a connection: heads, and bodies whose end is
//! checked (RFC 9112 §6 to §8).

use std::fmt;
use std::io::{self, BufRead, Read};

const MAX_HEAD_BYTES: usize = 256 * 1024;
const MAX_FIELDS: usize = 128;

/// Header fields in the order of the wire. Values are read as Latin-1, so that no byte is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The value of the first field of this name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated field has this member.
    pub fn has_member(&self, name: &str, member: &str) -> bool {
        let mut members = self.all(name).flat_map(|value| value.split(','));
        members.any(|m| m.trim().eq_ignore_ascii_case(member))
    }

    fn of(fields: &[httparse::Header<'_>]) -> Self {
        Self(fields.iter().map(|f| (f.name.to_owned(), from_latin1(f.value))).collect())
    }
}

/// Bytes as text, one character each.
pub fn from_latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method.
    pub method: String,
    /// The request target, raw.
    pub target: String,
    /// The fields.
    pub headers: Headers,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct AnswerHead {
    /// The status code.
    pub status: u16,
    /// The fields.
    pub headers: Headers,
}

/// Where a body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After this many bytes.
    Length(u64),
    /// At the last chunk.
    Chunked,
    /// With the connection: nobody can tell whether it is whole.
    UntilClose,
}

impl Framing {
    /// How a request's body ends.
    pub fn of_request(headers: &Headers) -> Self {
        Self::declared(headers).unwrap_or(Self::Empty)
    }

    /// How an answer's body ends.
    pub fn of_answer(method: &str, head: &AnswerHead) -> Self {
        if method == "HEAD" || matches!(head.status, 100..=199 | 204 | 304) {
            return Self::Empty;
        }
        Self::declared(&head.headers).unwrap_or(Self::UntilClose)
    }

    fn declared(headers: &Headers) -> Option<Self> {
        if headers.has_member("transfer-encoding", "chunked") {
            return Some(Self::Chunked);
        }
        headers.get("content-length")?.parse().ok().map(Self::Length)
    }
}

/// Reads the head of a request, or nothing where the connection ends before one.
///
/// # Errors
/// What can't be read or is no head.
pub fn read_request_head(from: &mut impl BufRead) -> io::Result<Option<RequestHead>> {
    let bytes = read_head(from)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    // httparse takes targets of ASCII and UTF-8 only: the target is cut out by hand.
    let line_end =
        bytes.iter().position(|&b| b == b'\r').ok_or_else(|| malformed("request line"))?;
    let (line, fields) = bytes.split_at(line_end);
    let [method, target, _version] = line
        .split(|&b| b == b' ')
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| malformed("request line"))?;
    Ok(Some(RequestHead {
        method: from_latin1(method),
        target: from_latin1(target),
        headers: parse_fields(&fields[2..])?,
    }))
}

/// Reads the head of an answer.
///
/// # Errors
/// What can't be read or is no head; [`io::ErrorKind::UnexpectedEof`] where the connection ends
/// before one.
pub fn read_answer_head(from: &mut impl BufRead) -> io::Result<AnswerHead> {
    let bytes = read_head(from)?;
    if bytes.is_empty() {
        return Err(ends("before an answer"));
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    answer.parse(&bytes).map_err(malformed)?;
    let status = answer.code.ok_or_else(|| malformed("no status"))?;
    Ok(AnswerHead { status, headers: Headers::of(answer.headers) })
}

fn parse_fields(bytes: &[u8]) -> io::Result<Headers> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(bytes, &mut fields).map_err(malformed)? {
        httparse::Status::Complete((_, fields)) => Ok(Headers::of(fields)),
        httparse::Status::Partial => Err(malformed("the fields have no end")),
    }
}

/// Everything up to and with the empty line; nothing at all at the end of the connection.
fn read_head(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.take(MAX_HEAD_BYTES as u64).read_until(b'\n', &mut head)? == 0 {
            return if head.is_empty() { Ok(head) } else { Err(ends("within a head")) };
        }
        if head.len() > MAX_HEAD_BYTES {
            return Err(malformed("the head has no end"));
        }
    }
    Ok(head)
}

/// A body. Reads like a file, but fails with [`io::ErrorKind::UnexpectedEof`] where the
/// connection ends before the body does.
#[derive(Debug)]
pub struct Body<R> {
    from: R,
    framing: Framing,
    /// Bytes left of the body or of the current chunk.
    left: u64,
    is_done: bool,
    is_first_chunk: bool,
}

impl<R: BufRead> Body<R> {
    /// The body that comes next.
    pub fn new(from: R, framing: Framing) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        let is_done = matches!(framing, Framing::Empty | Framing::Length(0));
        Self { from, framing, left, is_done, is_first_chunk: true }
    }

    /// The connection.
    pub const fn get_ref(&self) -> &R {
        &self.from
    }

    /// The same, for what comes after.
    pub fn into_inner(self) -> R {
        self.from
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        if !self.is_first_chunk {
            self.line()?;
        }
        self.is_first_chunk = false;
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(size, 16).map_err(malformed)?;
        if self.left == 0 {
            while !self.line()?.is_empty() {}
            self.is_done = true;
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.from.read_until(b'\n', &mut line)?;
        let line = line.strip_suffix(b"\r\n").ok_or_else(|| ends("within a chunked body"))?;
        Ok(from_latin1(line))
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::Chunked && self.left == 0 && !self.is_done {
            self.next_chunk()?;
        }
        if self.is_done || into.is_empty() {
            return Ok(0);
        }
        if self.framing == Framing::UntilClose {
            return self.from.read(into);
        }
        let wanted = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.from.read(&mut into[..wanted])?;
        if got == 0 {
            return Err(ends("within a body"));
        }
        self.left -= got as u64;
        self.is_done = self.framing != Framing::Chunked && self.left == 0;
        Ok(got)
    }
}

fn malformed(problem: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {problem}"))
}

fn ends(place: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("the connection ends {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(framing: Framing, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        Body::new(bytes, framing).read_to_end(&mut read).map(|_| read)
    }

    #[test]
    fn whole_bodies_end_where_they_say() {
        assert_eq!(body(Framing::Length(3), b"abcd").unwrap(), b"abc");
        let chunked = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\nmore";
        assert_eq!(body(Framing::Chunked, chunked).unwrap(), b"abcde");
        assert_eq!(body(Framing::Empty, b"more").unwrap(), b"");
    }

    #[test]
    fn bodies_that_break_off_are_errors() {
        let broken: [(Framing, &[u8]); 5] = [
            (Framing::Length(3), b"ab"),
            (Framing::Chunked, b"3\r\nab"),
            (Framing::Chunked, b"3\r\nabc\r\n"),
            (Framing::Chunked, b"3\r\nabc\r\n0\r\n"),
            (Framing::Chunked, b""),
        ];
        for (framing, bytes) in broken {
            let error = body(framing, bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{framing:?} {bytes:?}");
        }
    }

    #[test]
    fn heads_keep_every_byte() {
        let mut wire: &[u8] = b"GET /a/../\xff?'\" HTTP/1.1\r\nX: caf\xe9\r\nx: 2\r\n\r\nbody";
        let head = read_request_head(&mut wire).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/a/../\u{ff}?'\""));
        assert_eq!(head.headers.all("X").collect::<Vec<_>>(), ["caf\u{e9}", "2"]);
        assert_eq!(wire, b"body");
    }
}
