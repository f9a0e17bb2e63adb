//! The list of purges: everyone hears of it within a minute, and whatever fails or happens at once,
//! none is lost.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use serde_json::json;
use test_support::edge::{BucketKind, Layout};
use test_support::http::Request;
use test_support::profile::Profile;
use test_support::stores::Stored;
use test_support::time::{now, wait_for};

use crate::admin::purge::{ADMIN_TOKEN, LIST, assert_gone, mxc, purge, request, start};
use crate::store::bucket::{bring, get};
use crate::support::origin::Media;
use crate::support::world::{
    MEDIA_HOST, World, content_key, download_path, entry_name, media_domain, same_host, tier,
    wait_for_tier,
};

/// Within this, everyone has heard.
const HEARD: Duration = Duration::from_secs(60);

/// Both have some of it in their memory and know a list that is new.
#[test]
fn a_purge_reaches_other_isolates_and_data_centres_within_a_minute() {
    let world = start(BucketKind::R2);
    let others = [&world.edge.neighbor_address, &world.edge.pop_addresses[0]].map(|address| {
        let request = get(&world.media(), &world.token());
        wait_for_tier("memory", &request, address);
        (address, request)
    });
    purge(&world, r#"{"everything":true}"#);
    let purged = now();
    thread::scope(|scope| {
        for (other, request) in &others {
            scope.spawn(move || {
                wait_for("it is gone", HEARD + Duration::from_secs(1), || {
                    thread::sleep(Duration::from_millis(500));
                    tier(&request.send(other)).is_empty().then_some(())
                });
                println!("heard after {:?}", purged.elapsed());
            });
        }
    });
    for (other, request) in &others {
        wait_for_tier("memory", request, other);
    }
}

/// One that is started, or whose data centre has no copy of the list, reads the bucket's.
#[test]
fn a_new_data_centre_serves_no_purged_media() {
    let world = start(BucketKind::R2);
    let (id, key) = (world.media(), entry_name(&format!("pop0.{MEDIA_HOST}"), &content_key("x")));
    world.store(&id);
    let entry = entry_name(MEDIA_HOST, &content_key(&id));
    let entry = world.edge.stores.entry(&entry).expect("it is stored");
    let entry =
        Stored { record: entry.header("record").expect("a record").to_owned(), body: entry.body };
    purge(&world, &mxc(&id));
    world.edge.stores.put_entry(&key.replace("/x/", &format!("/{id}/")), &entry);
    world.edge.stores.put_object(&content_key(&id), &entry);
    assert_gone(&get(&id, &world.token()), &world.edge.pop_addresses[0]);
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.split_once(' ')).map(|(_, p)| p.to_owned()).collect()
}

fn prefixes(ids: &[String]) -> BTreeSet<String> {
    ids.iter()
        .flat_map(|id| {
            [
                format!("v2/example.com/media/example.com/{id}/"),
                format!("v2/example.com/federation/{id}/"),
            ]
        })
        .collect()
}

/// Sends all at once to isolates of these hosts and addresses; says which were listed.
fn purge_at_once(ids: &[String], isolates: &[(&str, &String)]) -> Vec<String> {
    thread::scope(|scope| {
        let asked: Vec<_> = ids
            .iter()
            .zip(isolates.iter().cycle())
            .map(|(id, (host, address))| {
                let purge = Request::new("POST", "/_edge/purge").header("Host", host);
                let purge = purge.bearer(ADMIN_TOKEN).body(mxc(id));
                scope.spawn(move || (id, purge.send(address)))
            })
            .collect();
        let answers = asked.into_iter().map(|asked| asked.join().expect("an answer"));
        answers
            .filter(|(_, answer)| {
                let is_listed = answer.json()["listed"].as_bool().expect("it says so");
                assert_eq!(answer.status, if is_listed { 200 } else { 502 });
                is_listed
            })
            .map(|(id, _)| id.clone())
            .collect()
    })
}

#[test]
fn concurrent_purges_are_not_lost() {
    let world = start(BucketKind::R2);
    let ids: Vec<String> = (0..9).map(|number| format!("purged{number}")).collect();
    let elsewhere = format!("pop0.{MEDIA_HOST}");
    let isolates = [
        (MEDIA_HOST, &world.edge.direct_address),
        (MEDIA_HOST, &world.edge.neighbor_address),
        (&elsewhere, &world.edge.pop_addresses[0]),
    ];
    let listed = purge_at_once(&ids, &isolates);
    println!("{} of {} were listed", listed.len(), ids.len());
    let list = world.edge.stores.object(LIST).expect("there is a list");
    let list = lines(&String::from_utf8(list.body).expect("it is text"));
    assert!(list.is_superset(&prefixes(&listed)), "{listed:?} {list:?}");
    assert_eq!(listed, ids, "those who were not listed have to be told to try again");
}

#[test]
fn concurrent_purges_in_one_isolate_are_not_lost_without_a_bucket() {
    let world = start(BucketKind::None);
    let ids: Vec<String> = (0..9).map(|number| format!("purged{number}")).collect();
    let listed = purge_at_once(&ids, &[(MEDIA_HOST, &world.edge.direct_address)]);
    assert_eq!(listed, ids);
    wait_for("all are on the list", HEARD, || {
        let entry = world.edge.stores.entry(&entry_name(MEDIA_HOST, LIST))?;
        (lines(&entry.text()) == prefixes(&ids)).then_some(())
    });
}

/// R2 takes one write of a key in a second: in as many writes as purges, the last would take nine.
#[test]
fn concurrent_purges_are_written_together() {
    let world = start_on_cloudflare(BucketKind::R2);
    let ids: Vec<String> = (0..9).map(|number| format!("purged{number}")).collect();
    world.edge.bucket.set(&json!({}));
    let listed = purge_at_once(&ids, &[(MEDIA_HOST, &world.edge.direct_address)]);
    assert_eq!(listed, ids);
    let counts = world.edge.bucket.counts();
    assert!(counts["put"] <= 3, "{counts:?}");
}

fn start_on_cloudflare(bucket: BucketKind) -> World {
    let layout = Layout {
        neighbors: 1,
        pops: 1,
        bucket,
        profile: Some(Profile::Cloudflare),
        ..Layout::default()
    };
    World::start_as(layout, &[("ADMIN_TOKEN", ADMIN_TOKEN)])
}

/// How long a far bucket takes here: longer than anything else.
const FAR_MS: u32 = 4_000;
const SOON: Duration = Duration::from_millis(2_500);

#[test]
fn a_hit_does_not_wait_for_a_list_that_is_not_yet_old() {
    let world = start_on_cloudflare(BucketKind::R2);
    let (id, token) = (world.stored_media(), world.token());
    let large = world.origin.homeserver().add(Media::new("image/png", vec![5; 3 << 20]));
    world.store(&large);
    let asked = [(&id, "memory"), (&large, "pop")];
    for (id, from) in asked {
        wait_for_tier(from, &get(id, &token), &world.edge.direct_address);
    }
    thread::sleep(Duration::from_secs(32));
    world.edge.bucket.set(&json!({ "callMs": [FAR_MS, FAR_MS] }));
    for (id, from) in asked {
        let began = now();
        let answer = get(id, &token).send(&world.edge.direct_address);
        assert_eq!(tier(&answer), from);
        assert!(began.elapsed() < SOON, "{from}: {:?}", began.elapsed());
    }
    let counts = world.edge.bucket.counts();
    assert_eq!(counts.get("get"), Some(&1), "it is refreshed behind them, once: {counts:?}");
}

#[test]
fn an_old_list_is_read_beside_the_look_ups_up_to_a_timeout_and_then_used() {
    let world = start_on_cloudflare(BucketKind::Faulty);
    let id = world.stored_media();
    let request = get(&id, &world.token());
    thread::sleep(Duration::from_secs(61));
    world.edge.stores.set_faults(&[("get", "hangs")]);
    let began = now();
    assert_eq!(tier(&request.send(&world.edge.direct_address)), "memory");
    let took = began.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(&took), "{took:?}");
    // And the next ones don't wait for it as well.
    for _ in 0..3 {
        let began = now();
        assert_eq!(tier(&request.send(&world.edge.direct_address)), "memory");
        assert!(began.elapsed() < Duration::from_millis(1_800), "{:?}", began.elapsed());
    }
}

#[test]
fn routes_that_use_no_store_do_not_look_at_the_list() {
    let world = start_on_cloudflare(BucketKind::Faulty);
    world.edge.stores.set_faults(&[]);
    let token = world.token();
    let preflight = media_domain("OPTIONS", download_path("a"));
    let preflight = preflight.header("Origin", "https://client.example");
    let upload = same_host("POST", "/_matrix/media/v3/upload").bearer(&token).body("abc");
    let requests = [
        preflight,
        upload,
        same_host("GET", "/_matrix/media/v3/config").bearer(&token),
        same_host("GET", "/_matrix/client/versions"),
        media_domain("GET", "/nothing"),
    ];
    for request in requests {
        request.send(&world.edge.direct_address);
    }
    assert_eq!(world.edge.stores.counts().get("get"), None);
    get("a", &token).send(&world.edge.direct_address);
    assert!(world.edge.stores.counts().contains_key("get"), "it is looked at for media");
}

#[test]
fn expired_purges_leave_the_list() {
    let world = start(BucketKind::R2);
    let old: String =
        (0..600).map(|n| format!("\n1000 v2/example.com/media/example.com/old{n}/")).collect();
    let list = Stored { record: String::new(), body: format!("1{old}").into_bytes() };
    world.edge.stores.put_object(LIST, &list);
    purge(&world, r#"{"everything":true}"#);
    let list = world.edge.stores.object(LIST).expect("there is a list");
    assert_eq!(lines(&String::from_utf8_lossy(&list.body)).len(), 2);
}

#[test]
fn a_list_that_can_not_be_read_purges_no_less() {
    let world = start(BucketKind::Faulty);
    let id = world.stored_media();
    let request = get(&id, &world.token());
    purge(&world, &mxc(&id));
    // The other isolate has heard nothing yet, and what is here of the list is old.
    let list = entry_name(MEDIA_HOST, LIST);
    thread::sleep(Duration::from_secs(31));
    assert!(world.edge.stores.entry(&list).is_some(), "it is kept for this");
    world.edge.stores.set_faults(&[("get", "fails")]);
    assert_gone(&request, &world.edge.neighbor_address);
}

#[test]
fn a_purge_that_can_not_be_listed_is_reported() {
    let world = start(BucketKind::Faulty);
    let id = world.stored_media();
    world.edge.stores.set_faults(&[("put", "fails")]);
    let answer = request(&mxc(&id)).send(&world.edge.direct_address);
    assert_eq!((answer.status, answer.json()["listed"].as_bool()), (502, Some(false)));
    assert_gone(&get(&id, &world.token()), &world.edge.direct_address);
}

#[test]
fn an_admin_does_not_wait_long_for_a_bucket_that_hangs() {
    let world = start(BucketKind::Faulty);
    world.edge.stores.set_faults(&[("put", "hangs")]);
    let asked = now();
    let answer = request(&mxc("gone")).send(&world.edge.direct_address);
    assert_eq!((answer.status, &answer.json()["listed"]), (502, &json!(false)));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[test]
fn media_that_can_not_be_deleted_is_not_served() {
    let world = start(BucketKind::Faulty);
    for operation in ["list", "delete"] {
        world.edge.stores.set_faults(&[]);
        let id = world.media();
        bring(&world, &id);
        world.edge.stores.set_faults(&[(operation, "fails")]);
        let report = purge(&world, &mxc(&id)).json();
        assert_eq!(report["bucket"], json!({ "bound": true, "removed": 0, "complete": false }));
        assert!(world.edge.stores.object(&content_key(&id)).is_some());
        assert_gone(&get(&id, &world.token()), &world.edge.direct_address);
        world.edge.wait_for_log(&format!("bucket: {operation} failed: it failed"));
    }
}
