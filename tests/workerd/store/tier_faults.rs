//! A data centre's cache that keeps nothing or has something else in it: readers get the right
//! bytes.

use test_support::edge::{BucketKind, Layout};
use test_support::stores::Stored;
use test_support::time::wait_for;

use crate::store::bucket::{bytes, get};
use crate::support::origin::Media;
use crate::support::world::{
    BODY, MEDIA_HOST, PATIENCE, World, content_key, download, download_path, entry_name, is_hit,
    shared, tier, wait_for_entry, wait_for_tier,
};

const LARGE_BYTES: usize = 1 << 20;

#[test]
fn a_cache_that_stores_nothing_is_a_miss_each_time() {
    let layout = Layout { is_without_cache: true, ..Layout::default() };
    let vars = [("LEASE_SECONDS", "600"), ("MEMORY_CACHE_MIB", "0")];
    let world = World::start_as(layout, &vars);
    for length in [BODY.len(), LARGE_BYTES] {
        let id = world.origin.homeserver().add(Media::new("image/png", bytes(length)));
        let request = get(&id, &world.token());
        for range in [None, Some("bytes=0-9")] {
            let mut request = request.clone();
            if let Some(range) = range {
                request = request.header("Range", range);
            }
            world.origin.forget(&download_path(&id));
            let answer = request.send(&world.edge.address);
            // A homeserver that is not known yet may have been asked for the part before.
            let asked = world.origin.asked(&download_path(&id)).pop().expect("it is asked");
            assert!(!is_hit(&answer), "{answer:?}");
            let wanted = if range.is_some() { 10 } else { length };
            assert!(answer.body == bytes(length)[..wanted]);
            assert_eq!(asked.answered_bytes, length);
        }
    }
}

/// What another data centre put into the bucket is read there each time.
#[test]
fn the_bucket_serves_though_the_cache_stores_nothing() {
    let layout = Layout { is_without_cache: true, bucket: BucketKind::R2, ..Layout::default() };
    let world = World::start_as(layout, &[]);
    let with_cache = World::start_as(Layout { bucket: BucketKind::R2, ..Layout::default() }, &[]);
    let lengths = [BODY.len(), LARGE_BYTES];
    let [ids, same_ids] = [&with_cache, &world].map(|world| {
        lengths.map(|length| world.origin.homeserver().add(Media::new("image/png", bytes(length))))
    });
    assert_eq!(ids, same_ids);
    for (length, id) in lengths.into_iter().zip(ids) {
        get(&id, &with_cache.token()).send(&with_cache.edge.address);
        let object = wait_for("it is in the bucket", PATIENCE, || {
            with_cache.edge.stores.object(&content_key(&id))
        });
        world.edge.stores.put_object(&content_key(&id), &object);
        let answer = get(&id, &world.token()).send(&world.edge.address);
        assert_eq!(tier(&answer), "bucket");
        assert!(answer.body == bytes(length));
        let part = get(&id, &world.token()).header("Range", "bytes=5-9").send(&world.edge.address);
        assert!(part.body == bytes(length)[5..=9]);
    }
}

#[test]
fn an_entry_that_is_not_what_its_record_says_is_a_miss_and_replaced() {
    let world = shared();
    let token = world.token();
    let record_of = |id: &str| {
        let entry = wait_for_entry(&world.edge, MEDIA_HOST, &content_key(id));
        entry.header("record").expect("it has a record").to_owned()
    };
    let (first, second) = (world.stored_media(), world.stored_media());
    let (record, of_second) = (record_of(&first), record_of(&second));
    let stored = record.split('&').find(|f| f.starts_with("stored=")).expect("its second");
    let with = |record: &str| Stored { record: record.to_owned(), body: BODY.to_owned() };
    for (what, bad) in [
        ("of another", with(&of_second)),
        ("of an old version", with(&record.replace("version=3", "version=2"))),
        ("of a later version", with(&record.replace("version=3", "version=4"))),
        ("without a record", with("")),
        ("too old", with(&record.replace(stored, "stored=1000000000"))),
        ("too short", Stored { body: BODY[1..].to_owned(), ..with(&record) }),
        ("too long", Stored { body: [BODY, b"x"].concat(), ..with(&record) }),
        ("empty", Stored { body: Vec::new(), ..with(&record) }),
    ] {
        let id = world.media();
        let bad = Stored { record: bad.record.replace(&first, &id), ..bad };
        world.edge.stores.put_entry(&entry_name(MEDIA_HOST, &content_key(&id)), &bad);
        let (answer, asked) = world.assert_asked(&download_path(&id), &download(&id, &token));
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{what}");
        assert_eq!(asked.header("if-none-match"), None, "{what}");
        let answer = wait_for_tier("memory", &download(&id, &token), &world.edge.address);
        assert_eq!(answer.body, BODY, "{what}");
    }
}

/// A name in another spelling is other media: what is stored under one is never another's.
#[test]
fn similar_keys_share_no_entry() {
    let world = shared();
    let id = world.stored_media();
    let token = world.token();
    for alike in [
        format!("{id}%2F"),
        format!("{id}%2Fcontent"),
        id.to_uppercase(),
        id.replace('m', "%EF%BD%8D"),
        id.replace('m', "ｍ"),
        format!("..%2Fexample.com%2F{id}"),
    ] {
        let path = format!("/_matrix/client/v1/media/download/example.com/{alike}");
        let request = crate::support::world::media_domain("GET", &path).bearer(&token);
        let answer = request.send(&world.edge.direct_address);
        assert_eq!(tier(&answer), "", "{alike}: {answer:?}");
    }
}
