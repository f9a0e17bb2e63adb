//! A body too large to be held anywhere, sent and received piece by piece.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use test_support::http::Incoming;
use test_support::noise::noise;
use test_support::time::now;

use crate::ask::{Ask, HOMESERVER_AUTHORITY, Media};

pub(crate) const LARGE_BYTES: u64 = 200 << 20;
const BLOCK_BYTES: usize = 64 << 10;

/// What a block takes at 2 MB/s.
const SLOW_BLOCK: Duration = Duration::from_millis(BLOCK_BYTES as u64 / 2000);

/// The blocks that so many bytes begin with, by number.
pub(crate) const fn blocks(bytes: u64) -> Range<u64> {
    0..bytes / BLOCK_BYTES as u64
}

/// Noise; every block of it is stamped with its number, so that none can be
/// lost, doubled or moved.
struct Blocks {
    block: Vec<u8>,
    number: u64,
}

impl Blocks {
    fn from(number: u64) -> Self {
        Self { block: noise(BLOCK_BYTES), number }
    }

    fn next(&mut self) -> &[u8] {
        self.block[..8].copy_from_slice(&self.number.to_le_bytes());
        self.number += 1;
        &self.block
    }
}

/// Uploads the large body to the server at `address`.
pub(crate) fn upload_large(address: &str) -> Media {
    upload_blocks(address, blocks(LARGE_BYTES), Duration::ZERO)
}

/// Uploads these blocks, each in no less time than `pace`.
pub(crate) fn upload_blocks(address: &str, numbers: Range<u64>, pace: Duration) -> Media {
    let length = (numbers.end - numbers.start) * BLOCK_BYTES as u64;
    let head = Ask::post("/_matrix/media/v3/upload", b"").user("alice").head(HOMESERVER_AUTHORITY);
    let head = head.header("Content-Type", "application/octet-stream");
    let mut connection = head
        .header("Content-Length", length.to_string())
        .open(address)
        .expect("the upload can't be sent");
    let mut blocks = Blocks::from(numbers.start);
    let started = now();
    for sent in 0..numbers.end - numbers.start {
        let due = pace * u32::try_from(sent).expect("the body has few blocks");
        sleep(due.saturating_sub(started.elapsed()));
        connection.write(blocks.next()).expect("the upload breaks off");
    }
    let answer = connection.answer().and_then(Incoming::read).expect("the upload has no answer");
    Media::of(&answer)
}

/// Downloads the large body and checks it; returns what the edge says that it did. Takes no more
/// than 2 MB/s for as long as `slow`.
pub(crate) fn download_large(address: &str, ask: &Ask, slow: Duration) -> String {
    let connection =
        ask.head(HOMESERVER_AUTHORITY).open(address).expect("the download can't be asked for");
    let answer = connection.answer().expect("the download has no answer");
    assert_eq!(answer.head.status, 200);
    let cache_status = answer.head.headers.get("cache-status").unwrap_or_default().to_owned();
    assert_is_blocks(answer.body, blocks(LARGE_BYTES), slow);
    cache_status
}

/// Claims that a file consists of these blocks and nothing else.
pub(crate) fn assert_is_file_of(path: &Path, numbers: Range<u64>) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_is_blocks(file, numbers, Duration::ZERO);
}

fn assert_is_blocks(mut from: impl Read, numbers: Range<u64>, slow: Duration) {
    let mut blocks = Blocks::from(numbers.start);
    let mut received = vec![0; BLOCK_BYTES];
    let started = now();
    for number in numbers.clone() {
        let whole = from.read_exact(&mut received);
        whole.unwrap_or_else(|error| panic!("the body ends in block {number}: {error}"));
        assert!(received == blocks.next(), "block {number} differs");
        let read = u32::try_from(number - numbers.start).expect("the body has few blocks");
        sleep((SLOW_BLOCK * read).min(slow).saturating_sub(started.elapsed()));
    }
    assert_eq!(from.read(&mut received).expect("the end can't be read"), 0, "there is more");
}
