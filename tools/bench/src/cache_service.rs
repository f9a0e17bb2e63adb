//! A small stand-in for the platform's cache, which workerd asks by HTTP (`cacheApiOutbound`).
//!
//! It keeps all in memory until it ends: nothing expires, nothing is evicted. An entry is there as
//! soon as it is whole. `PUT` brings a whole answer as its body, `GET` asks for one, perhaps for a
//! range of it, and `PURGE` removes one.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{sleep, spawn};
use std::time::Duration;

use test_support::wire::{
    AnswerHead, Body, Framing, RequestHead, read_answer_head, read_request_head,
};

/// Smaller bodies leave in one piece with their head.
const SMALL_BYTES: usize = 64 << 10;

/// What other homeservers get comes in pieces, as a network brings it. All else comes as fast as the
/// machine can move it.
const IN_PIECES: &str = "/federation/";
const PIECE_BYTES: usize = 16 << 10;
const PIECE_PAUSE: Duration = Duration::from_micros(40);

const MISS: &str = "504 Gateway Timeout\r\nCF-Cache-Status: MISS";

#[derive(Debug)]
pub(crate) struct CacheService {
    pub(crate) address: String,
}

type Entries = Mutex<BTreeMap<String, Arc<Entry>>>;

#[derive(Debug)]
struct Entry {
    status: u16,
    /// Its fields as they are sent, without the length.
    fields: String,
    body: Vec<u8>,
}

impl CacheService {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("no port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let entries = Arc::<Entries>::default();
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let entries = Arc::clone(&entries);
                // workerd sees it when a connection breaks.
                spawn(move || drop(serve(stream, &entries)));
            }
        });
        Self { address }
    }
}

fn serve(stream: TcpStream, entries: &Entries) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(SMALL_BYTES, stream);
    while let Some(head) = read_request_head(&mut stream)? {
        let mut body = Vec::new();
        Body::new(&mut stream, Framing::of_request(&head.headers)).read_to_end(&mut body)?;
        let key = key(&head);
        let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match head.method.as_str() {
            "PUT" => entries.insert(key, Arc::new(Entry::parse(&body)?)),
            "PURGE" => entries.remove(&key),
            _ => entries.get(&key).cloned(),
        };
        drop(entries);
        let to = stream.get_mut();
        match (head.method.as_str(), found) {
            ("PUT", _) => send(to, "204 No Content", 0, &[])?,
            ("PURGE", Some(_)) => send(to, "200 OK", 0, &[])?,
            ("PURGE", None) => send(to, "404 Not Found", 0, &[])?,
            (_, None) => send(to, MISS, 0, &[])?,
            (_, Some(entry)) if head.target.contains(IN_PIECES) => entry.send_in_pieces(to)?,
            (_, Some(entry)) => entry.send(to, head.headers.get("range"))?,
        }
    }
    Ok(())
}

fn key(head: &RequestHead) -> String {
    let field = |name| head.headers.get(name).unwrap_or_default();
    format!("{} {} {}", field("cf-cache-namespace"), field("host"), head.target)
}

impl Entry {
    /// The body is all that follows the head, unframed, whatever that says.
    fn parse(mut body: &[u8]) -> io::Result<Self> {
        let head = read_answer_head(&mut body)?;
        let length = body.len().to_string();
        if head.headers.get("content-length").is_some_and(|declared| declared != length) {
            return Err(io::Error::other("the body broke off"));
        }
        Ok(Self { status: head.status, fields: fields(&head), body: body.to_owned() })
    }

    fn send_in_pieces(&self, to: &mut TcpStream) -> io::Result<()> {
        send(to, &self.head(), self.body.len(), &[])?;
        self.body.chunks(PIECE_BYTES).try_for_each(|piece| {
            sleep(PIECE_PAUSE);
            to.write_all(piece)
        })
    }

    fn send(&self, to: &mut TcpStream, range: Option<&str>) -> io::Result<()> {
        let length = self.body.len();
        match range.and_then(|range| parse_range(range, length)) {
            None => send(to, &self.head(), length, &self.body),
            Some((first, last)) => {
                let range = format!("Content-Range: bytes {first}-{last}/{length}");
                let head = format!("206 Partial{}\r\n{range}", self.fields());
                let part = &self.body[first..=last];
                send(to, &head, part.len(), part)
            }
        }
    }

    /// The status line and the fields of the whole.
    fn head(&self) -> String {
        format!("{} OK{}", self.status, self.fields())
    }

    fn fields(&self) -> String {
        format!("\r\nCF-Cache-Status: HIT{}", self.fields)
    }
}

fn fields(head: &AnswerHead) -> String {
    let kept = |name: &str| {
        !["content-length", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str())
    };
    let fields = head.headers.0.iter().filter(|(name, _)| kept(name));
    fields.map(|(name, value)| format!("\r\n{name}: {value}")).collect()
}

/// The first and last byte of `bytes=a-b`, the only form that is asked for here.
fn parse_range(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse::<usize>().ok()?);
    let last = last.min(length.checked_sub(1)?);
    (first <= last).then_some((first, last))
}

fn send(to: &mut TcpStream, head: &str, length: usize, body: &[u8]) -> io::Result<()> {
    let mut bytes = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    if body.len() <= SMALL_BYTES {
        bytes.extend(body);
        return to.write_all(&bytes);
    }
    to.write_all(&bytes)?;
    to.write_all(body)
}

#[cfg(test)]
mod tests {
    use test_support::http::Request;

    use super::*;

    #[test]
    fn what_is_put_is_found_whole_and_in_parts_until_it_is_purged() {
        let cache = CacheService::start();
        let ask = |method: &str| Request::new(method, "/a").header("Host", "x");
        let found = ask("GET").send(&cache.address);
        assert_eq!((found.status, found.header("cf-cache-status")), (504, Some("MISS")));

        let stored = "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(ask("PUT").body(stored).send(&cache.address).status, 204);
        let found = ask("GET").send(&cache.address);
        assert_eq!(
            (found.status, found.header("x"), found.body.as_slice()),
            (200, Some("y"), &b"body"[..])
        );
        let part = ask("GET").header("Range", "bytes=1-2").send(&cache.address);
        assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 1-2/4")));
        assert_eq!(part.body, b"od");
        let other = Request::new("GET", "/a").header("Host", "y").send(&cache.address);
        assert_eq!(other.status, 504);

        let broken = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody";
        assert!(ask("PUT").body(broken).try_send(&cache.address).is_err());
        assert_eq!(ask("GET").send(&cache.address).body, b"body");

        assert_eq!(ask("PURGE").send(&cache.address).status, 200);
        assert_eq!(ask("GET").send(&cache.address).status, 504);
    }
}
