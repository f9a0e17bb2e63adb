//! File names as long as Synapse takes them: what is kept of them is weighed, and so an isolate
//! holds no more than the admin allows.

use std::iter::from_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;
use std::time::Duration;

use test_support::edge::{Edge, Layout};
use test_support::time::wait_for;

use crate::ask::{Answer, HOMESERVER_AUTHORITY, Media};
use crate::servers::start_edge_as;
use crate::world::world;

/// What an isolate may hold beside what it keeps, and what it held when it was new.
const ALLOWED_BESIDE_BYTES: u64 = 10_000_000;

/// Synapse takes no request line that is longer than 16 KiB.
const NAME_BYTES: usize = 15_000;

/// Which Synapse writes as three bytes.
const NAME_BYTE: &str = "(";

const CONNECTIONS: usize = 4;

const PATIENCE: Duration = Duration::from_secs(10);

fn start_edge(memory_mib: u64) -> Edge {
    let layout = Layout { is_inspected: true, ..Layout::default() };
    start_edge_as(&world().synapse, layout, &[("MEMORY_CACHE_MIB", &memory_mib.to_string())])
}

fn upload(name_bytes: usize) -> Media {
    world().upload_named("text/plain", &NAME_BYTE.repeat(name_bytes), b"small")
}

fn read(edge: &Edge, media: &Media) -> Answer {
    let answer = media.download().user("alice").send(&edge.direct_address, HOMESERVER_AUTHORITY);
    assert_eq!((answer.status, &answer.body[..]), (200, &b"small"[..]));
    answer
}

/// Reads until it has come from the store.
fn read_from_store(edge: &Edge, media: &Media) -> Answer {
    wait_for("it is stored", PATIENCE, || Some(read(edge, media)).filter(Answer::is_revalidated))
}

/// Uploads so many with names of this length, and reads each twice, several at once.
fn read_twice(edge: &Edge, uploads: usize, name_bytes: usize) {
    let next = AtomicUsize::new(0);
    let some_of_them = || {
        let is_next = || next.fetch_add(1, Ordering::Relaxed) < uploads;
        let media: Vec<_> = from_fn(|| is_next().then(|| upload(name_bytes))).collect();
        media.iter().for_each(|media| drop(read(edge, media)));
        media.iter().for_each(|media| drop(read_from_store(edge, media)));
    };
    scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(some_of_them);
        }
    });
}

#[test]
fn synapse_sends_a_long_name_three_times_as_long() {
    let answer = upload(NAME_BYTES).download().user("alice").direct();
    let disposition = answer.header("content-disposition").expect("it has a name");
    assert!(disposition.len() > 3 * NAME_BYTES, "{} bytes", disposition.len());
}

#[test]
fn a_long_name_is_cut_where_it_comes_from_the_store() {
    let edge = start_edge(1);
    let media = upload(NAME_BYTES);
    let answer = read_from_store(&edge, &media);
    let disposition = answer.header("content-disposition").expect("it has a name");
    assert!(
        disposition.starts_with("inline; filename") && disposition.len() <= 1024,
        "{disposition}"
    );
}

#[test]
fn long_names_take_no_more_memory_than_the_admin_allows() {
    const MEMORY_MIB: u64 = 1;
    let edge = start_edge(MEMORY_MIB);
    read_twice(&edge, 20, 10);
    let before = edge.held();
    read_twice(&edge, 300, NAME_BYTES);
    let after = edge.held();
    println!("before {before:?}, after {after:?}");
    let allowed = before.total() + (MEMORY_MIB << 20) + ALLOWED_BESIDE_BYTES;
    assert!(after.total() <= allowed, "{} bytes, and {allowed} are allowed", after.total());
}
