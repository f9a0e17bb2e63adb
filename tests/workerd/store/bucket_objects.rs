//! What may be in the bucket, by name and by size, and what is in there and of no use.

use std::sync::Arc;
use std::time::Duration;

use test_support::edge::{BucketKind, Layout};
use test_support::stores::Stored;
use test_support::time::wait_for;

use crate::download::federation::{assert_envelope, signed};
use crate::store::bucket::{bring, bytes, get, in_bucket, start, wait_for_object, world};
use crate::store::memory::growth_bytes_during;
use crate::support::origin::{MEDIA_HEADERS, Reply, Then};
use crate::support::world::{
    BODY, PATIENCE, World, content_key, download_path, federation_path, media_domain, same_host,
    tier,
};

#[test]
fn an_object_that_is_not_what_its_record_says_is_a_miss_and_replaced() {
    let world = world();
    let other = bring(world, &world.media()).record;
    let (id, token) = (in_bucket(world, BODY.len()), world.token());
    let key = content_key(&id);
    let good = world.edge.stores.object(&key).expect("it is there");
    let record = |record: &str| Stored { record: record.to_owned(), ..good.clone() };
    let body = |body: &[u8]| Stored { body: body.to_owned(), ..good.clone() };
    let stored = good.record.split('&').find(|f| f.starts_with("stored=")).expect("its second");
    for (what, bad) in [
        ("of another", record(&other)),
        ("of an old version", record(&good.record.replace("version=3", "version=2"))),
        ("of a later version", record(&good.record.replace("version=3", "version=4"))),
        ("without a record", record("")),
        ("with another's record", record("{}")),
        ("too old", record(&good.record.replace(stored, "stored=1000000000"))),
        ("too short", body(&BODY[1..])),
        ("too long", body(&[BODY, b"x"].concat())),
        ("empty", body(b"")),
    ] {
        let id = world.media();
        let bad = Stored { record: bad.record.replace(&key, &content_key(&id)), ..bad };
        world.edge.stores.put_object(&content_key(&id), &bad);
        let (answer, asked) = world.assert_asked(&download_path(&id), &get(&id, &token));
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{what}");
        assert_eq!(asked.header("if-none-match"), None, "{what}");
        wait_for(&format!("one {what} is replaced"), PATIENCE, || {
            let object = world.edge.stores.object(&content_key(&id))?;
            (object.body == BODY && object.record != bad.record).then_some(())
        });
        assert_eq!(tier(&get(&id, &token).send(&world.edge.pop_addresses[0])), "bucket", "{what}");
    }
}

#[test]
fn an_expired_object_in_the_bucket_is_fetched_again() {
    let world = start(&[("CACHE_SECONDS", "2")]);
    let id = in_bucket(&world, BODY.len());
    std::thread::sleep(Duration::from_secs(3));
    let (answer, asked) = world.assert_asked(&download_path(&id), &get(&id, &world.token()));
    assert_eq!((tier(&answer), asked.header("if-none-match")), ("", None));
}

#[test]
fn servers_get_the_envelope_that_is_in_the_bucket() {
    let world = world();
    let id = world.media();
    let request = signed("GET", &federation_path(&id));
    let first = request.send(&world.edge.pop_addresses[0]);
    wait_for_object(world, &format!("v2/example.com/federation/{id}/content"), |_| true);
    let answer = request.send(&world.edge.address);
    assert_eq!(tier(&answer), "bucket");
    assert_envelope(&answer);
    assert!(answer.body == first.body, "it has another boundary");
    let asked = world.origin.asked(&federation_path(&id));
    assert_eq!((asked[1].header("if-none-match"), asked[1].answered_bytes), (Some("1"), 0));
}

#[test]
fn empty_media_is_media() {
    let world = world();
    let id = in_bucket(world, 0);
    let (answer, asked) = world.assert_asked(&download_path(&id), &get(&id, &world.token()));
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")));
    assert_eq!((tier(&answer), asked.header("if-none-match")), ("bucket", Some("1")));
}

#[test]
fn thumbnails_of_one_media_have_separate_objects() {
    let world = world();
    let (id, token) = (world.media(), world.token());
    let path = format!("/_matrix/client/v1/media/thumbnail/example.com/{id}");
    // Sizes that homeservers make by default, each of which has a name of its own.
    let queries = [
        "width=32&height=32&method=crop",
        "width=96&height=96&method=crop",
        "width=320&height=240&method=scale",
    ];
    let thumbnail = |query| same_host("GET", format!("{path}?{query}")).bearer(&token);
    for query in queries {
        thumbnail(query).send(&world.edge.pop_addresses[0]);
    }
    let prefix = format!("v2/example.com/media/example.com/{id}/example.com/thumbnail/");
    wait_for("all are in the bucket", PATIENCE, || {
        let keys = world.edge.stores.keys();
        (keys.iter().filter(|key| key.starts_with(&prefix)).count() == 3).then_some(())
    });
    for query in queries {
        let answer = thumbnail(query).send(&world.edge.address);
        assert_eq!((answer.text().as_str(), tier(&answer)), (query, "bucket"));
    }
}

#[test]
fn media_with_odd_names_goes_through_the_bucket() {
    let world = world();
    let token = world.token();
    let long_id = "x".repeat(255);
    // A name as long as a file's can be, 255 bytes, of letters that take three.
    let long_name = "%E3%81%82".repeat(85);
    for (server_name, host, id, name) in [
        ("example.org:8448", "example.org", "-_-", long_name.as_str()),
        ("[2001:db8::1]:8448", "[2001:db8::1]", "A-b_C", "a%26b%3D%25"),
        ("Example.ORG", "example.org", "a", "%22%5C"),
        ("1.2.3.4", "1.2.3.4", &long_id, "a"),
    ] {
        let path = format!("/_matrix/client/v1/media/download/{server_name}/{id}");
        let disposition = format!("inline; filename*=utf-8''{name}");
        world.origin.on(&path, move |call| {
            let is_known = call.head.headers.get("if-none-match") == Some("1");
            let mut reply = Reply::new(if is_known { 304 } else { 200 });
            for (field, value) in MEDIA_HEADERS {
                reply = reply.header(field, value);
            }
            let reply = reply.header("Content-Disposition", &disposition);
            call.reply(&reply.header("Content-Type", "text/plain; charset=utf-8").body(BODY))
        });
        let request = same_host("GET", &path).bearer(&token);
        request.send(&world.edge.pop_addresses[0]);
        let key = format!("v2/example.com/media/{host}/{id}/{server_name}/content");
        wait_for_object(world, &key, |object| object.body == BODY);
        let answer = request.send(&world.edge.address);
        assert_eq!((&answer.body[..], tier(&answer)), (BODY, "bucket"), "{key}");
        let told = answer.header("content-disposition").unwrap_or_default();
        assert!(told.contains(name), "{told}");
    }
}

/// By how much workerd grows, in bytes, where a Worker that does nothing else hands a body on to the
/// local R2, which runs in the process, too, and takes more the longer the body is.
fn growth_bytes_of_the_local_bucket(body: &[u8]) -> u64 {
    let world = start(&[]);
    bring(&world, &world.media());
    let large = Stored { record: String::new(), body: body.to_owned() };
    growth_bytes_during(&world.edge, || world.edge.stores.put_object("large", &large))
}

#[test]
fn a_large_file_goes_through_the_bucket_in_no_more_memory_than_the_local_bucket_takes() {
    const LARGE_BYTES: usize = 64 << 20;
    const ALLOWED_MORE_BYTES: u64 = 48 << 20;
    let whole: Arc<[u8]> = bytes(LARGE_BYTES).into();
    let expected = growth_bytes_of_the_local_bucket(&whole);
    let world = start(&[]);
    let (small, token) = (world.media(), world.token());
    bring(&world, &small);
    get(&small, &token).send(&world.edge.address);
    let path = download_path("large");
    world.origin.on(&path, {
        let whole = Arc::clone(&whole);
        move |call| {
            let is_known = call.head.headers.get("if-none-match") == Some("1");
            let reply = Reply::new(if is_known { 304 } else { 200 })
                .header("ETag", "1")
                .header("Content-Disposition", "inline");
            if is_known {
                return call.reply(&reply);
            }
            call.receive()?;
            call.send(reply.header("Content-Type", "video/mp4").head_bytes(LARGE_BYTES))?;
            call.send(&whole)?;
            Ok(Then::KeepOpen)
        }
    });
    let growth = growth_bytes_during(&world.edge, || {
        assert!(get("large", &token).send(&world.edge.pop_addresses[0]).body[..] == whole[..]);
        // The local bucket writes all of it to the disk.
        wait_for("it is in the bucket", 3 * PATIENCE, || {
            world.edge.stores.keys().contains(&content_key("large")).then_some(())
        });
        let answer = get("large", &token).send(&world.edge.direct_address);
        assert_eq!(tier(&answer), "bucket");
        assert!(answer.body[..] == whole[..]);
        let part = media_domain("GET", &path).bearer(&token);
        let part = part.header("Range", "bytes=33554432-33554531");
        let part = part.send(&world.edge.neighbor_address);
        assert!(part.body[..] == whole[33_554_432..33_554_532]);
    });
    println!("workerd grew by {} KiB, of {} KiB", growth >> 10, expected >> 10);
    assert!(growth < expected + ALLOWED_MORE_BYTES, "workerd grew by {growth}, not {expected}");
    let sent = world.origin.asked(&path);
    assert_eq!(sent.iter().filter(|a| a.header("if-none-match").is_none()).count(), 1);
}

/// What R2 bills: puts and lists (class A), gets (class B).
#[test]
fn a_miss_costs_a_look_up_and_a_put_and_a_hit_here_costs_nothing() {
    let layout = Layout { pops: 1, bucket: BucketKind::Faulty, ..Layout::default() };
    let world = World::start_as(layout, &[]);
    for (length, part_gets) in [(BODY.len(), 1), (1 << 20, 2)] {
        world.edge.stores.set_faults(&[]);
        let id = in_bucket(&world, length);
        let counted = |gets: u64, puts: u64| {
            let counts = world.edge.stores.counts();
            let count = |operation: &str| counts.get(operation).copied().unwrap_or_default();
            assert_eq!((count("get"), count("put"), count("list")), (gets, puts, 0), "{length}");
        };
        counted(1, 1);
        let request = get(&id, &world.token());
        for _ in 0..3 {
            request.send(&world.edge.pop_addresses[0]);
        }
        counted(1, 1);
        let part = request.header("Range", "bytes=10-19");
        assert_eq!(tier(&part.send(&world.edge.direct_address)), "bucket");
        counted(1 + part_gets, 1);
    }
}
