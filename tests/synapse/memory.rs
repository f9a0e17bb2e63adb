//! Promise 4: bodies never enter wasm. However large a body and however slow its reader, workerd
//! grows by less than a sixth of it. Each test has an edge, and so a workerd, of its own.

use std::time::Duration;

use test_support::edge::Edge;

use crate::ask::{Ask, HOMESERVER_AUTHORITY, Media};
use crate::large::{assert_is_large_file, download_large, upload_large};
use crate::servers::growth_bytes_while;
use crate::world::{SQUARES, world};

const ALLOWED_GROWTH_BYTES: u64 = 32 << 20;

/// The slow client takes 2 MB/s for so long, then the rest at once.
const SLOW: Duration = Duration::from_secs(10);

#[test]
fn a_large_upload_arrives_whole_in_flat_memory() {
    let edge = warmed_up_edge();
    let (growth, media) = growth_bytes_while(&edge, || upload_large(&edge.address));
    assert_is_large_file(&world().synapse.media_file(&media.id));
    assert_flat(growth);
}

#[test]
fn a_large_miss_read_slowly_arrives_whole_in_flat_memory() {
    let edge = warmed_up_edge();
    let ask = upload_large(&world().synapse.address).download().user("alice");
    let (growth, status) = growth_bytes_while(&edge, || download_large(&edge.address, &ask, SLOW));
    assert!(status.contains("fwd=uri-miss"), "{status}");
    assert_flat(growth);
}

#[test]
fn a_large_hit_read_slowly_arrives_whole_in_flat_memory() {
    let edge = warmed_up_edge();
    let ask = upload_large(&world().synapse.address).download().user("alice");
    while !download_large(&edge.address, &ask, Duration::ZERO).contains("fwd-status=304") {}
    let (growth, status) = growth_bytes_while(&edge, || download_large(&edge.address, &ask, SLOW));
    assert!(status.contains("fwd-status=304"), "{status}");
    assert_flat(growth);
}

/// The first requests make workerd grow, whatever they are.
fn warmed_up_edge() -> Edge {
    let edge = world().synapse.edge(&[]);
    let upload = Ask::post("/_matrix/media/v3/upload", SQUARES).user("alice");
    let media = Media::of(&upload.send(&edge.address, HOMESERVER_AUTHORITY));
    for _ in 0..20 {
        media.download().user("alice").send(&edge.address, HOMESERVER_AUTHORITY);
    }
    edge
}

fn assert_flat(growth: u64) {
    println!("workerd grew by {} KiB", growth >> 10);
    assert!(growth < ALLOWED_GROWTH_BYTES, "workerd grew by {growth} bytes");
}
