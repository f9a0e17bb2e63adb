//! A client that keeps its connection, and tells when the first byte and the last one came.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use test_support::http::Request;
use test_support::time::now;
use test_support::wire::{Body, Framing, read_answer_head};

const BUFFER_BYTES: usize = 256 << 10;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    /// Until the first byte of the body was there.
    pub(crate) first_byte: Duration,
    pub(crate) total: Duration,
}

impl Client {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// GETs a target, and reads the body to its end.
    pub(crate) fn get(&mut self, request: &Request) -> io::Result<Transfer> {
        self.send(request, &[], 0)
    }

    /// Sends a request with `block` as its body, `times` times, and reads the answer.
    pub(crate) fn send(
        &mut self,
        request: &Request,
        block: &[u8],
        times: usize,
    ) -> io::Result<Transfer> {
        let started = now();
        let stream = self.stream.get_mut();
        stream.write_all(&request.head())?;
        for _ in 0..times {
            stream.write_all(block)?;
        }
        let head = read_answer_head(&mut self.stream)?;
        let mut body = Body::new(&mut self.stream, Framing::of_answer("GET", &head));
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut length = body.read(&mut buffer)?;
        let first_byte = started.elapsed();
        let mut body_bytes = length as u64;
        while length > 0 {
            length = body.read(&mut buffer)?;
            body_bytes += length as u64;
        }
        Ok(Transfer { status: head.status, body_bytes, first_byte, total: started.elapsed() })
    }
}
