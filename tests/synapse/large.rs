//! A body too large to be held anywhere, sent and received piece by piece.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use test_support::http::Incoming;
use test_support::time::now;

use crate::ask::{Ask, HOMESERVER_AUTHORITY, Media};

pub(crate) const LARGE_BYTES: u64 = 200 << 20;
const BLOCK_BYTES: usize = 64 << 10;
const BLOCKS: u64 = LARGE_BYTES / BLOCK_BYTES as u64;

/// What a block takes at 2 MB/s.
const SLOW_BLOCK: Duration = Duration::from_millis(BLOCK_BYTES as u64 / 2000);

/// So many bytes that don't compress, always the same.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// Noise; every block of it is stamped with its number, so that none can be
/// lost, doubled or moved.
struct Blocks {
    block: Vec<u8>,
    number: u64,
}

impl Blocks {
    fn new() -> Self {
        Self { block: noise(BLOCK_BYTES), number: 0 }
    }

    fn next(&mut self) -> &[u8] {
        self.block[..8].copy_from_slice(&self.number.to_le_bytes());
        self.number += 1;
        &self.block
    }
}

/// Uploads the large body to the server at `address`.
pub(crate) fn upload_large(address: &str) -> Media {
    let head = Ask::post("/_matrix/media/v3/upload", b"").user("alice").head(HOMESERVER_AUTHORITY);
    let head = head.header("Content-Type", "application/octet-stream");
    let mut connection = head
        .header("Content-Length", LARGE_BYTES.to_string())
        .open(address)
        .expect("the upload can't be sent");
    let mut blocks = Blocks::new();
    for _ in 0..BLOCKS {
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
    assert_is_large(answer.body, slow);
    cache_status
}

pub(crate) fn assert_is_large_file(path: &Path) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_is_large(file, Duration::ZERO);
}

fn assert_is_large(mut from: impl Read, slow: Duration) {
    let mut blocks = Blocks::new();
    let mut received = vec![0; BLOCK_BYTES];
    let started = now();
    for number in 0..BLOCKS {
        let whole = from.read_exact(&mut received);
        whole.unwrap_or_else(|error| panic!("the body ends in block {number}: {error}"));
        assert!(received == blocks.next(), "block {number} differs");
        let due = SLOW_BLOCK * u32::try_from(number).expect("the body has few blocks");
        sleep(due.min(slow).saturating_sub(started.elapsed()));
    }
    assert_eq!(from.read(&mut received).expect("the end can't be read"), 0, "there is more");
}
