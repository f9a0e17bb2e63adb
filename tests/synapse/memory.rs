//! Promise 3: bodies never enter wasm. However large a body and however slow its reader or writer,
//! workerd hardly grows. Each test has an edge, and so a workerd, of its own.

use std::thread::scope;
use std::time::Duration;

use test_support::edge::Edge;
use test_support::time::wait_for;

use crate::ask::{Ask, HOMESERVER_AUTHORITY, Media};
use crate::large::{assert_is_file_of, blocks, download_large, upload_blocks, upload_large};
use crate::servers::{growth_bytes_while, start_edge};
use crate::world::{MAX_UPLOAD_BYTES, NO_LIMIT_OF_ITS_OWN, SQUARES, world};

const ALLOWED_GROWTH_BYTES: u64 = 32 << 20;

/// The same for many bodies at once.
const ALLOWED_GROWTH_AT_ONCE_BYTES: u64 = 128 << 20;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a block takes at 5 MB/s.
const SLOW_BLOCK: Duration = Duration::from_millis(13);

/// The slow client takes 2 MB/s for so long, then the rest at once.
const SLOW: Duration = Duration::from_secs(10);

#[test]
fn a_large_upload_arrives_whole_in_flat_memory() {
    assert_arrives_in_flat_memory(MAX_UPLOAD_BYTES, Duration::ZERO);
}

#[test]
fn a_slow_upload_arrives_whole_in_flat_memory() {
    assert_arrives_in_flat_memory(48 << 20, SLOW_BLOCK);
}

fn assert_arrives_in_flat_memory(bytes: u64, pace: Duration) {
    let edge = warmed_up_edge();
    let numbers = blocks(bytes);
    let (growth, media) =
        growth_bytes_while(&edge, || upload_blocks(&edge.address, numbers.clone(), pace));
    assert_is_file_of(&world().synapse.media_file(&media.id), numbers);
    assert_flat(growth, ALLOWED_GROWTH_BYTES);
}

/// Each is also fetched for its first reader meanwhile.
#[test]
fn twenty_uploads_at_once_arrive_whole_in_flat_memory() {
    const BLOCKS_EACH: u64 = 320;
    let edge = warmed_up_edge();
    let numbers = |upload: u64| upload * BLOCKS_EACH..(upload + 1) * BLOCKS_EACH;
    let (growth, uploaded) = growth_bytes_while(&edge, || {
        scope(|scope| {
            let upload = |number| upload_blocks(&edge.address, numbers(number), Duration::ZERO);
            let uploads: Vec<_> = (0..20).map(|n| scope.spawn(move || upload(n))).collect();
            let uploaded = uploads.into_iter().map(|upload| upload.join().expect("it fails"));
            uploaded.inspect(wait_until_fetched).collect::<Vec<_>>()
        })
    });
    for (number, media) in (0..).zip(&uploaded) {
        assert_is_file_of(&world().synapse.media_file(&media.id), numbers(number));
    }
    assert_flat(growth, ALLOWED_GROWTH_AT_ONCE_BYTES);
}

/// Waits until Synapse has sent the media to the edge, for its first reader.
fn wait_until_fetched(media: &Media) {
    let path = media.download().target();
    wait_for("it is fetched", PATIENCE, || {
        (!world().synapse.answers_with(&path).is_empty()).then_some(())
    });
}

#[test]
fn a_large_miss_read_slowly_arrives_whole_in_flat_memory() {
    let edge = warmed_up_edge();
    let ask = upload_large(&world().synapse.address).download().user("alice");
    let (growth, status) = growth_bytes_while(&edge, || download_large(&edge.address, &ask, SLOW));
    assert!(status.contains("fwd=uri-miss"), "{status}");
    assert_flat(growth, ALLOWED_GROWTH_BYTES);
}

#[test]
fn a_large_hit_read_slowly_arrives_whole_in_flat_memory() {
    let edge = warmed_up_edge();
    let ask = upload_large(&world().synapse.address).download().user("alice");
    while !download_large(&edge.address, &ask, Duration::ZERO).contains("fwd-status=304") {}
    let (growth, status) = growth_bytes_while(&edge, || download_large(&edge.address, &ask, SLOW));
    assert!(status.contains("fwd-status=304"), "{status}");
    assert_flat(growth, ALLOWED_GROWTH_BYTES);
}

/// The first requests make workerd grow, whatever they are.
fn warmed_up_edge() -> Edge {
    let edge = start_edge(&world().synapse, &[NO_LIMIT_OF_ITS_OWN]);
    let upload = Ask::post("/_matrix/media/v3/upload", SQUARES).user("alice");
    let media = Media::of(&upload.send(&edge.address, HOMESERVER_AUTHORITY));
    for _ in 0..20 {
        media.download().user("alice").send(&edge.address, HOMESERVER_AUTHORITY);
    }
    edge
}

fn assert_flat(growth: u64, allowed: u64) {
    println!("workerd grew by {} KiB", growth >> 10);
    assert!(growth < allowed, "workerd grew by {growth} bytes");
}
