//! The bucket tier: each file leaves the origin once for all data centres, and no byte leaves the
//! bucket without the homeserver's yes.

use std::sync::{LazyLock, Mutex, mpsc};
use std::time::Duration;

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::edge::{BucketKind, Layout};
use test_support::http::Request;
use test_support::stores::Stored;
use test_support::time::wait_for;

use crate::support::origin::{Media, Reply, Then};
use crate::support::world::{
    BODY, MEDIA_HOST, PATIENCE, World, content_key, download_path, entry_name, same_host, tier,
    wait_for_entry, wait_until_stored,
};

/// Small enough for memory, and larger.
const SIZES: [usize; 2] = [BODY.len(), 1 << 20];

/// Three data centres: the first has two isolates.
pub(crate) fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| start(&[]));
    &WORLD
}

pub(crate) fn start(vars: &[(&str, &str)]) -> World {
    let layout = Layout { neighbors: 1, pops: 2, bucket: BucketKind::R2, ..Layout::default() };
    World::start_as(layout, vars)
}

/// Bytes that tell where they stood.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length / 4).flat_map(|i| u32::try_from(i).expect("it is small").to_le_bytes()).collect()
}

pub(crate) fn get(id: &str, token: &str) -> Request {
    same_host("GET", download_path(id)).bearer(token)
}

/// Media that the first of the further data centres has brought into the bucket.
pub(crate) fn in_bucket(world: &World, length: usize) -> String {
    let id = world.origin.homeserver().add(Media::new("image/png", bytes(length)));
    bring(world, &id);
    id
}

pub(crate) fn bring(world: &World, id: &str) -> Stored {
    get(id, &world.token()).send(&world.edge.pop_addresses[0]);
    let object = wait_for_object(world, &content_key(id), |_| true);
    world.origin.forget(&download_path(id));
    object
}

/// The object under `key`, once it is as it should be.
pub(crate) fn wait_for_object(world: &World, key: &str, is_it: impl Fn(&Stored) -> bool) -> Stored {
    wait_for(&format!("{key} is in the bucket"), PATIENCE, || {
        world.edge.stores.object(key).filter(&is_it)
    })
}

#[test]
fn the_origin_sends_each_of_a_hundred_files_once_for_the_world() {
    let world = world();
    let token = world.token();
    let ids: Vec<String> = (0..100).map(|_| world.media()).collect();
    for pop in [&world.edge.pop_addresses[0], &world.edge.pop_addresses[1], &world.edge.address] {
        for id in &ids {
            let answer = get(id, &token).send(pop);
            assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        }
        for id in &ids {
            wait_for_object(world, &content_key(id), |object| object.body == BODY);
        }
    }
    for id in &ids {
        let asked = world.origin.asked(&download_path(id));
        let got: Vec<_> =
            asked.iter().map(|a| (a.header("if-none-match"), a.answered_bytes)).collect();
        assert_eq!(got, [(None, 256), (Some("1"), 0), (Some("1"), 0)]);
    }
}

#[test]
fn a_data_centre_that_lost_its_entry_finds_it_in_the_bucket() {
    let world = world();
    for length in SIZES {
        let id = in_bucket(world, length);
        let token = world.token();
        let host = format!("pop0.{MEDIA_HOST}");
        let entry = entry_name(&host, &content_key(&id));
        let stores = &world.edge.stores;
        wait_for("it shows up", PATIENCE, || stores.try_entry(&entry).ok().flatten());
        stores.remove_entry(&entry);
        let answer = get(&id, &token).send(&world.edge.pop_addresses[0]);
        assert!(answer.body == bytes(length));
        // What is small is still in its isolate's memory.
        assert_eq!(tier(&answer), if length == BODY.len() { "memory" } else { "bucket" });
        assert_eq!(world.origin.asked_once(&download_path(&id)).answered_bytes, 0);
    }
}

#[test]
fn a_body_in_the_bucket_needs_the_homeservers_grant() {
    let world = world();
    for length in SIZES {
        let id = in_bucket(world, length);
        let path = download_path(&id);
        let refused = get(&id, "syt_nobody").send(&world.edge.address);
        assert_matrix_error(&refused, 401, "M_UNKNOWN_TOKEN");
        assert_eq!(tier(&refused), "");
        let missing = same_host("GET", &path).send(&world.edge.address);
        assert_matrix_error(&missing, 401, "M_MISSING_TOKEN");
        world.origin.reply(&path, Reply::error(403, "M_FORBIDDEN", "No"));
        let forbidden = get(&id, &world.token()).send(&world.edge.address);
        assert_matrix_error(&forbidden, 403, "M_FORBIDDEN");
        world.origin.on(&path, |call| call.reply_by_default());
        let (answer, asked) = world.assert_asked(&path, &get(&id, &world.token()));
        assert!(answer.body == bytes(length));
        assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
    }
}

#[test]
fn a_hit_in_the_bucket_is_reported_and_fills_the_data_centre() {
    let world = world();
    for length in SIZES {
        let id = in_bucket(world, length);
        let request = get(&id, &world.token());
        let answer = request.send(&world.edge.direct_address);
        assert_cache_status(&answer, "fwd=stale; fwd-status=304");
        assert_eq!(tier(&answer), "bucket");
        assert!(answer.body == bytes(length));
        wait_for_entry(&world.edge, MEDIA_HOST, &content_key(&id));
        let answer = request.send(&world.edge.neighbor_address);
        assert_eq!(tier(&answer), "pop");
        assert!(answer.body == bytes(length));
        assert!(world.origin.asked(&download_path(&id)).iter().all(|a| a.answered_bytes == 0));
    }
}

#[test]
fn a_range_comes_from_the_bucket_and_the_whole_fills_the_data_centre() {
    let world = world();
    for length in SIZES {
        let whole = bytes(length);
        for (range, first, end) in [
            ("bytes=100-199".to_owned(), 100, 200),
            (format!("bytes={}-{}", length / 2, length - 2), length / 2, length - 1),
            ("bytes=-7".to_owned(), length - 7, length),
        ] {
            let id = in_bucket(world, length);
            let request = get(&id, &world.token());
            let part = request.clone().header("Range", &range);
            let answer = part.send(&world.edge.direct_address);
            assert_eq!((answer.status, tier(&answer)), (206, "bucket"), "{range}");
            assert!(answer.body == whole[first..end], "{range} of {length}");
            let content_range = format!("bytes {first}-{}/{length}", end - 1);
            assert_eq!(answer.header("content-range"), Some(content_range.as_str()));
            wait_for_entry(&world.edge, MEDIA_HOST, &content_key(&id));
            let answer = request.send(&world.edge.neighbor_address);
            assert_eq!(tier(&answer), "pop");
            assert!(answer.body == whole);
            let part = part.send(&world.edge.neighbor_address);
            assert!(part.body == whole[first..end], "{range} of {length}");
        }
    }
}

#[test]
fn head_and_if_none_match_are_answered_from_the_bucket() {
    let world = world();
    for length in SIZES {
        let (id, token) = (in_bucket(world, length), world.token());
        let path = download_path(&id);
        let head = same_host("HEAD", &path).bearer(&token).send(&world.edge.direct_address);
        let length_told = length.to_string();
        assert_eq!((head.status, head.header("content-length")), (200, Some(&*length_told)));
        let etag = head.header("etag").expect("an ETag");
        let id = in_bucket(world, length);
        let other = get(&id, &token).send(&world.edge.pop_addresses[1]);
        let etag_of_other = other.header("etag").expect("an ETag").to_owned();
        assert_ne!(etag, etag_of_other);
        let known = get(&id, &token).header("If-None-Match", &etag_of_other);
        assert_eq!(known.send(&world.edge.direct_address).status, 304);
        assert!(world.origin.asked(&path).iter().all(|a| a.answered_bytes == 0));
    }
}

#[test]
fn media_that_is_gone_leaves_the_bucket() {
    let world = world();
    for length in SIZES {
        let id = in_bucket(world, length);
        world.origin.homeserver().quarantine(&id);
        let answer = get(&id, &world.token()).send(&world.edge.address);
        assert_matrix_error(&answer, 404, "M_NOT_FOUND");
        wait_for("it is gone from the bucket", PATIENCE, || {
            world.edge.stores.object(&content_key(&id)).is_none().then_some(())
        });
    }
}

#[test]
fn the_first_of_racing_data_centres_writes() {
    let world = world();
    let id = world.media();
    let path = download_path(&id);
    let slow = world.token();
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    world.origin.on(&path, {
        let slow = format!("Bearer {slow}");
        move |call| {
            if call.head.headers.get("authorization") != Some(&slow) {
                return call.reply_by_default();
            }
            let waited = may_go.lock().expect("unshared").recv_timeout(PATIENCE);
            assert!(waited.is_ok(), "the other has not written");
            let reply = Reply::new(200)
                .header("ETag", "1")
                .header("Content-Type", "image/png")
                .header("Content-Disposition", "inline");
            call.reply(&reply.body("later"))
        }
    });
    std::thread::scope(|scope| {
        let second = scope.spawn(|| get(&id, &slow).send(&world.edge.pop_addresses[1]));
        wait_for("it asks", PATIENCE, || world.origin.asked(&path).pop());
        let first = bring(world, &id);
        go.send(()).expect("the origin waits");
        assert_eq!(second.join().expect("an answer").text(), "later");
        world.origin.on(&path, |call| call.reply_by_default());
        let stored = wait_until_stored(&get(&id, &slow), &world.edge.pop_addresses[1]);
        assert_eq!(stored.text(), "later");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(world.edge.stores.object(&content_key(&id)), Some(first));
    });
}

#[test]
fn a_body_that_broke_off_never_gets_into_the_bucket() {
    let world = world();
    for then in [Then::Close, Then::Reset] {
        let (id, token) = (world.media(), world.token());
        world.origin.on(&download_path(&id), move |call| {
            call.receive()?;
            let reply = Reply::new(200)
                .header("ETag", "1")
                .header("Content-Type", "image/png")
                .header("Content-Disposition", "inline");
            call.send(reply.head_bytes(BODY.len()))?;
            call.send(&BODY[..100])?;
            std::thread::sleep(Duration::from_millis(100));
            Ok(then)
        });
        assert!(get(&id, &token).try_send(&world.edge.address).is_err(), "it looks complete");
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(world.edge.stores.object(&content_key(&id)), None);
        world.origin.on(&download_path(&id), |call| call.reply_by_default());
        assert_eq!(bring(world, &id).body, BODY);
    }
}

#[test]
fn another_body_under_the_same_name_replaces_the_one_in_the_bucket() {
    let world = world();
    let id = in_bucket(world, BODY.len());
    let token = world.token();
    world.origin.on(&download_path(&id), |call| {
        let is_known = call.head.headers.get("if-none-match") == Some("\"2\"");
        let reply = Reply::new(if is_known { 304 } else { 200 }).header("ETag", "\"2\"");
        let reply = reply.header("Content-Disposition", "inline");
        call.reply(&reply.header("Content-Type", "image/png").body("new"))
    });
    // It has stored nothing itself, and finds the old one in the bucket.
    assert_eq!(get(&id, &token).send(&world.edge.pop_addresses[1]).text(), "new");
    wait_for_object(world, &content_key(&id), |object| object.body == b"new");
    let answer = get(&id, &token).send(&world.edge.address);
    assert_eq!((answer.text().as_str(), tier(&answer)), ("new", "bucket"));
    // The one that stored the old finds out as well.
    assert_eq!(get(&id, &token).send(&world.edge.pop_addresses[0]).text(), "new");
}
