//! A reader who is far slower than the origin, of a large body or a part of it: workerd's memory stays
//! flat, whether the body is stored already or is being stored meanwhile.

use std::io::Read;
use std::ops::Range;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use test_support::edge::Edge;
use test_support::http::Request;
use test_support::time::{now, wait_for};

use crate::download::federation::signed;
use crate::support::origin::{Call, Reply, SERVER_NAME, Then};
use crate::support::world::{
    MEDIA_HOST, PATIENCE, World, content_key, download, download_path, entry_name, federation_path,
};

const LARGE_BYTES: usize = 200 << 20;
const FIRST_BYTES: usize = 32 << 20;
const BLOCK_BYTES: usize = 64 << 10;
const ALLOWED_GROWTH_BYTES: u64 = 32 << 20;

/// The reader takes 2 MB/s for so long, then the rest at once.
const SLOW: Duration = Duration::from_secs(5);
const SLOW_BLOCK: Duration = Duration::from_millis(BLOCK_BYTES as u64 / 2000);

/// Every block is its number, again and again.
fn block(number: usize) -> Vec<u8> {
    let number = u32::try_from(number).expect("there are few blocks");
    number.to_le_bytes().repeat(BLOCK_BYTES / 4)
}

/// What servers get before and behind the blocks.
const ENVELOPE: (&[u8], &[u8]) = (
    b"\r\n--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: video/mp4\r\n\r\n",
    b"\r\n--b--\r\n",
);

fn send(call: &mut Call<'_>, length: usize) -> std::io::Result<Then> {
    let head =
        Reply::new(200).header("Content-Type", "video/mp4").header("Content-Disposition", "inline");
    send_blocks(call, &head, (b"", b""), length)
}

fn send_envelope(call: &mut Call<'_>, length: usize) -> std::io::Result<Then> {
    let head = Reply::new(200).header("Content-Type", "multipart/mixed; boundary=b");
    send_blocks(call, &head, ENVELOPE, length)
}

fn send_blocks(
    call: &mut Call<'_>,
    head: &Reply,
    (before, after): (&[u8], &[u8]),
    length: usize,
) -> std::io::Result<Then> {
    call.receive()?;
    if call.head.headers.get("if-none-match") == Some("1") {
        return call.reply(&Reply::new(304).header("ETag", "1"));
    }
    let head = head.clone().header("ETag", "1");
    call.send(head.head_bytes(before.len() + length + after.len()))?;
    call.send(before)?;
    for number in 0..length / BLOCK_BYTES {
        call.send(block(number))?;
    }
    call.send(after)?;
    Ok(Then::KeepOpen)
}

/// A world whose workerd has grown as much as the first requests make it, with a large media, and that
/// knows that its origin has no ranges. The runtime compiles what runs often once more, and what it takes
/// for that is no growth.
fn large_world() -> (World, &'static str) {
    let world = World::start();
    let (small, token) = (world.stored_media(), world.token());
    for _ in 0..20 {
        let request = download(&small, &token).header("Range", "bytes=1-2");
        assert_eq!(request.send(&world.edge.address).status, 206);
    }
    for (id, length) in [("cold", BLOCK_BYTES), ("first", FIRST_BYTES), ("large", LARGE_BYTES)] {
        world.origin.on(&download_path(id), move |call| send(call, length));
    }
    let part = |id| {
        let request = download(id, &token).header("Range", "bytes=1000-2000");
        assert_eq!(request.send(&world.edge.address).status, 206);
    };
    part("cold");
    // A part alone would not have all of it fetched.
    assert_eq!(download("first", &token).send(&world.edge.address).body.len(), FIRST_BYTES);
    assert_stored(&world, &content_key("first"));
    part("first");
    (world, "large")
}

/// What a reader asks for, and gets.
struct Part {
    request: Request,
    status: u16,
    around: (&'static [u8], &'static [u8]),
    blocks: Range<usize>,
}

/// The half in the middle.
fn middle_of(request: &Request) -> Part {
    let (first, end) = (LARGE_BYTES / 4, LARGE_BYTES * 3 / 4);
    Part {
        request: request.clone().header("Range", format!("bytes={first}-{}", end - 1)),
        status: 206,
        around: (b"", b""),
        blocks: first / BLOCK_BYTES..end / BLOCK_BYTES,
    }
}

fn whole(request: Request, status: u16) -> Part {
    Part { request, status, around: (b"", b""), blocks: 0..LARGE_BYTES / BLOCK_BYTES }
}

/// Returns by how much workerd grew at most while `act` went on, in bytes.
pub(crate) fn growth_bytes_during(edge: &Edge, act: impl FnOnce()) -> u64 {
    let before = edge.workerd_resident_bytes();
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let most = scope.spawn(move || {
            let mut most = before;
            while is_done.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout)
            {
                most = most.max(edge.workerd_resident_bytes());
            }
            most.max(edge.workerd_resident_bytes())
        });
        // Also where it panics, this ends the looks.
        let done = done;
        act();
        drop(done);
        most.join().expect("it only looks") - before
    })
}

/// Reads slowly, and returns by how much workerd grew meanwhile.
fn growth_bytes_while_reading(edge: &Edge, part: &Part) -> u64 {
    growth_bytes_during(edge, || read(edge, part))
}

fn read(edge: &Edge, part: &Part) {
    let connection = part.request.open(&edge.address).expect("the request can't be sent");
    let mut answer = connection.answer().expect("there is no answer");
    assert_eq!(answer.head.status, part.status);
    let started = now();
    let mut next = |length: usize| {
        let mut received = vec![0; length];
        answer.body.read_exact(&mut received).expect("the body breaks off");
        received
    };
    let (before, after) = part.around;
    assert_eq!(next(before.len()), before);
    for (read, number) in part.blocks.clone().enumerate() {
        assert!(next(BLOCK_BYTES) == block(number), "block {number} differs");
        let due = SLOW_BLOCK * u32::try_from(read).expect("there are few blocks");
        thread::sleep(due.min(SLOW).saturating_sub(started.elapsed()));
    }
    assert_eq!(next(after.len()), after);
    assert_eq!(answer.body.read(&mut [0]).expect("the end can't be read"), 0);
}

/// Claims that it is stored.
fn assert_stored(world: &World, name: &str) {
    wait_for("it is stored", PATIENCE, || {
        let stores = &world.edge.stores;
        stores.try_entry(&entry_name(MEDIA_HOST, name)).ok().flatten()
    });
}

fn assert_flat(growth: u64) {
    println!("workerd grew by {} KiB", growth >> 10);
    assert!(growth < ALLOWED_GROWTH_BYTES, "workerd grew by {growth} bytes");
}

#[test]
fn a_range_of_a_large_miss_is_read_slowly_in_flat_memory() {
    let (world, id) = large_world();
    let request = download(id, &world.token());
    assert_flat(growth_bytes_while_reading(&world.edge, &middle_of(&request)));
    assert_eq!(world.origin.asked_once(&download_path(id)).header("if-none-match"), None);
}

#[test]
fn a_range_of_a_large_hit_is_read_slowly_in_flat_memory() {
    let (world, id) = large_world();
    let request = download(id, &world.token());
    assert_eq!(request.send(&world.edge.address).body.len(), LARGE_BYTES);
    let first_byte = request.clone().header("Range", "bytes=0-0");
    world.store_by(&download_path(id), || {
        thread::sleep(Duration::from_millis(500));
        first_byte.send(&world.edge.address)
    });
    assert_flat(growth_bytes_while_reading(&world.edge, &middle_of(&request)));
    assert_eq!(world.origin.asked_once(&download_path(id)).header("if-none-match"), Some("1"));
}

#[test]
fn a_large_miss_is_read_slowly_and_stored_in_flat_memory() {
    let (world, id) = large_world();
    let request = download(id, &world.token());
    assert_flat(growth_bytes_while_reading(&world.edge, &whole(request, 200)));
    assert_stored(&world, &content_key(id));
    world.origin.asked_once(&download_path(id));
}

#[test]
fn a_large_miss_that_a_player_asks_for_from_its_first_byte_is_read_slowly_in_flat_memory() {
    let (world, id) = large_world();
    let request = download(id, &world.token()).header("Range", "bytes=0-");
    assert_flat(growth_bytes_while_reading(&world.edge, &whole(request, 206)));
    assert_stored(&world, &content_key(id));
    world.origin.asked_once(&download_path(id));
}

#[test]
fn a_large_envelope_is_read_slowly_and_stored_in_flat_memory() {
    let (world, _) = large_world();
    let path = federation_path("large");
    world.origin.on(&path, |call| send_envelope(call, LARGE_BYTES));
    let part = Part { around: ENVELOPE, ..whole(signed("GET", &path), 200) };
    assert_flat(growth_bytes_while_reading(&world.edge, &part));
    assert_eq!(world.origin.asked_once(&path).header("if-none-match"), None);
    assert_stored(&world, &format!("v2/{SERVER_NAME}/federation/large/content"));
    world.origin.forget(&path);
    assert_flat(growth_bytes_while_reading(&world.edge, &part));
    assert_eq!(world.origin.asked_once(&path).header("if-none-match"), Some("1"));
}
