//! A reader who is far slower than the origin, of a part in the middle of a large body: workerd's
//! memory stays flat, whether the body is stored already or is being stored meanwhile.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use test_support::edge::Edge;
use test_support::http::Request;
use test_support::time::{now, wait_for};

use crate::support::origin::{Call, Reply, Then};
use crate::support::world::{
    MEDIA_HOST, PATIENCE, World, content_key, download, download_path, entry_name,
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

fn send(call: &mut Call<'_>, length: usize) -> std::io::Result<Then> {
    call.receive()?;
    if call.head.headers.get("if-none-match") == Some("1") {
        return call.reply(&Reply::new(304).header("ETag", "1"));
    }
    let head = Reply::new(200)
        .header("Content-Type", "video/mp4")
        .header("Content-Disposition", "inline")
        .header("ETag", "1");
    call.send(head.head_bytes(length))?;
    for number in 0..length / BLOCK_BYTES {
        call.send(block(number))?;
    }
    Ok(Then::KeepOpen)
}

/// A world whose workerd has grown as much as the first requests make it, with a large media. The
/// runtime compiles what runs often once more, and what it takes for that is no growth.
fn large_world() -> (World, &'static str) {
    let world = World::start();
    let (small, token) = (world.stored_media(), world.token());
    for _ in 0..20 {
        let request = download(&small, &token).header("Range", "bytes=1-2");
        assert_eq!(request.send(&world.edge.address).status, 206);
    }
    for (id, length) in [("first", FIRST_BYTES), ("large", LARGE_BYTES)] {
        world.origin.on(&download_path(id), move |call| send(call, length));
    }
    // A part alone would not have all of it fetched.
    assert_eq!(download("first", &token).send(&world.edge.address).body.len(), FIRST_BYTES);
    let part = download("first", &token).header("Range", "bytes=1000-2000");
    assert_eq!(part.send(&world.edge.address).status, 206);
    wait_for("all of it is stored", PATIENCE, || {
        let stores = &world.edge.stores;
        stores.try_entry(&entry_name(MEDIA_HOST, &content_key("first"))).ok().flatten()
    });
    (world, "large")
}

/// Reads the half in the middle, and tells by how much workerd grew meanwhile.
fn growth_bytes_while_reading(edge: &Edge, request: &Request) -> u64 {
    let before = edge.workerd_resident_bytes();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let most = scope.spawn(|| {
            let mut most = before;
            while !is_done.load(Ordering::Relaxed) {
                most = most.max(edge.workerd_resident_bytes());
                thread::sleep(Duration::from_millis(100));
            }
            most
        });
        read_middle(edge, request);
        is_done.store(true, Ordering::Relaxed);
        most.join().expect("it only looks") - before
    })
}

fn read_middle(edge: &Edge, request: &Request) {
    let (first, end) = (LARGE_BYTES / 4, LARGE_BYTES * 3 / 4);
    let request = request.clone().header("Range", format!("bytes={first}-{}", end - 1));
    let connection = request.open(&edge.address).expect("the request can't be sent");
    let mut answer = connection.answer().expect("there is no answer");
    assert_eq!(answer.head.status, 206);
    let started = now();
    let mut received = vec![0; BLOCK_BYTES];
    for (read, number) in (first / BLOCK_BYTES..end / BLOCK_BYTES).enumerate() {
        answer.body.read_exact(&mut received).expect("the body breaks off");
        assert!(received == block(number), "block {number} differs");
        let due = SLOW_BLOCK * u32::try_from(read).expect("there are few blocks");
        thread::sleep(due.min(SLOW).saturating_sub(started.elapsed()));
    }
    assert_eq!(answer.body.read(&mut received).expect("the end can't be read"), 0);
}

fn assert_flat(growth: u64) {
    println!("workerd grew by {} KiB", growth >> 10);
    assert!(growth < ALLOWED_GROWTH_BYTES, "workerd grew by {growth} bytes");
}

#[test]
fn a_part_of_a_large_miss_is_read_slowly_in_flat_memory() {
    let (world, id) = large_world();
    let request = download(id, &world.token());
    assert_flat(growth_bytes_while_reading(&world.edge, &request));
    assert_eq!(world.origin.asked_once(&download_path(id)).header("if-none-match"), None);
}

#[test]
fn a_part_of_a_large_hit_is_read_slowly_in_flat_memory() {
    let (world, id) = large_world();
    let request = download(id, &world.token());
    assert_eq!(request.send(&world.edge.address).body.len(), LARGE_BYTES);
    let first_byte = request.clone().header("Range", "bytes=0-0");
    world.store_by(&download_path(id), || {
        thread::sleep(Duration::from_millis(500));
        first_byte.send(&world.edge.address)
    });
    assert_flat(growth_bytes_while_reading(&world.edge, &request));
    assert_eq!(world.origin.asked_once(&download_path(id)).header("if-none-match"), Some("1"));
}
