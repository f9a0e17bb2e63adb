//! `MEDIA_LEASE_SECONDS`: a grant about a media stands for longer while Synapse's own list of
//! quarantined media is known to be up to date, and does not name the media.

use serde_json::json;
use test_support::edge::{BucketKind, Layout};
use test_support::http::Answer;
use test_support::stores::Stored;
use test_support::time::{unix_secs, wait_for};

use super::leases::assert_served;
use crate::admin::purge::LIST;
use crate::support::origin::{Call, Origin, Reply, SERVER_NAME};
use crate::support::world::{
    MEDIA_HOST, PATIENCE, World, content_key, download, download_path, entry_name, legacy_download,
    wait_for_entry, wait_until_shown,
};

const CHANGES: &str = "/_synapse/admin/v1/media/quarantine_changes";

/// A day, a lease of media that is longer, and the list's time.
const DAY: u64 = 86_400;
const WATCHED: [(&str, &str); 3] = [
    ("LEASE_SECONDS", "600"),
    ("MEDIA_LEASE_SECONDS", "259200"),
    ("SYNAPSE_ADMIN_TOKEN", "syt_admin_0123456789"),
];

/// An edge of two isolates at one data centre and one at another, with a bucket.
fn start() -> World {
    let layout = Layout { bucket: BucketKind::R2, neighbors: 1, pops: 1, ..Layout::default() };
    World::start_as(layout, &WATCHED)
}

/// Has Synapse tell that it has quarantined these media, the first at row 1.
fn tell(origin: &Origin, ids: &[&str]) {
    let rows: Vec<_> = ids
        .iter()
        .map(|id| json!({ "origin": SERVER_NAME, "media_id": id, "quarantined": true }))
        .collect();
    origin.on(CHANGES, move |call: &mut Call<'_>| {
        let from: usize =
            call.head.target.rsplit('=').next().expect("it has one").parse().expect("a number");
        let page = json!({ "next_batch": rows.len(), "changes": rows[from..] });
        call.reply(&Reply::json(200, &page))
    });
}

fn media_lease_key(id: &str) -> String {
    format!("v2/{SERVER_NAME}/lease/client/media/{SERVER_NAME}/{id}/{SERVER_NAME}/content")
}

/// Has the grant about this media be so many seconds old, as isolates see it that don't know it.
fn age_media_lease(world: &World, id: &str, secs: u64) {
    let key = media_lease_key(id);
    wait_until_shown(&world.edge);
    let record = format!("1 {} {key}", unix_secs() - secs);
    let lease = Stored { record: String::new(), body: record.into() };
    world.edge.stores.put_entry(&entry_name(MEDIA_HOST, &key), &lease);
    world.edge.cache.wait_until_settled();
}

/// What stands for the deployment in a stamp, as the edge writes it.
fn deployment(world: &World) -> String {
    tell(&world.origin, &[]);
    world.edge.run_scheduled();
    let stamp = world.edge.stores.stamp(LIST).expect("the run has stamped it");
    stamp.rsplit(' ').next().expect("it has words").to_owned()
}

/// Puts a list with a stamp into the bucket: seconds ago, but for `ask_again_until`.
struct Put<'a> {
    complete: i64,
    since: u64,
    ask_again_until: u64,
    deployment: &'a str,
    purges: &'a str,
}

impl Put<'_> {
    fn put(&self, world: &World) {
        let now = unix_secs();
        let complete = now.checked_add_signed(-self.complete).expect("a second");
        let since = now - self.since;
        let Self { ask_again_until, deployment, purges, .. } = self;
        let stamp = format!("{complete} {since} {ask_again_until} {deployment}");
        world.edge.stores.put_stamped(LIST, &stamp, &format!("1{purges}"));
        // An isolate that starts would go by the copy there.
        world.edge.stores.remove_entry(&entry_name(MEDIA_HOST, LIST));
        world.edge.cache.wait_until_settled();
    }
}

/// A world where one isolate has stored a media and granted a token, and the media's grant is as old
/// as said; and the answer of the other isolate, whose list is `put`, with whether the origin was
/// asked.
fn read_by_neighbor(grant_age_secs: u64, put: impl FnOnce(&World, &str, &str)) -> (Answer, bool) {
    let world = start();
    let deployment = deployment(&world);
    // A body that was stored at the client door would be a grant of now.
    let (id, token) = (world.legacy_media(), world.token());
    legacy_download(&id).send(&world.edge.direct_address);
    wait_for_entry(&world.edge, MEDIA_HOST, &content_key(&id));
    download(&id, &token).send(&world.edge.direct_address);
    age_media_lease(&world, &id, grant_age_secs);
    put(&world, &deployment, &id);
    world.origin.forget(&download_path(&id));
    let answer = download(&id, &token).send(&world.edge.neighbor_address);
    assert_served(&answer);
    // A renewal is asked in the background.
    wait_until_shown(&world.edge);
    (answer, !world.origin.asked(&download_path(&id)).is_empty())
}

const UP_TO_DATE: Put<'static> =
    Put { complete: 10, since: 30 * DAY, ask_again_until: 0, deployment: "", purges: "" };

#[test]
fn a_watched_media_is_served_without_a_question_after_its_lease() {
    let (answer, is_asked) = read_by_neighbor(3_000, |world, deployment, _| {
        Put { deployment, ..UP_TO_DATE }.put(world);
    });
    assert!(!is_asked);
    let age: u64 = answer.header("age").expect("it has one").parse().expect("a number");
    assert!((10..60).contains(&age), "it counts from the list: {age}");
}

#[test]
fn a_list_that_is_not_up_to_date_is_no_reason_to_serve() {
    type PutList<'a> = &'a dyn Fn(&World, &str, &str);
    let cases: [(&str, PutList<'_>); 6] = [
        ("181 seconds old", &|world, deployment, _| {
            Put { deployment, complete: 181, ..UP_TO_DATE }.put(world);
        }),
        ("of the future", &|world, deployment, _| {
            Put { deployment, complete: -60, ..UP_TO_DATE }.put(world);
        }),
        ("another homeserver's", &|world, _, _| {
            Put { deployment: "0123456789abcdef", ..UP_TO_DATE }.put(world);
        }),
        ("followed for less long than the grant is old", &|world, deployment, _| {
            Put { deployment, since: 2_000, ..UP_TO_DATE }.put(world);
        }),
        ("with names left out since the grant", &|world, deployment, _| {
            let ask_again_until = unix_secs() - 1_000;
            Put { deployment, ask_again_until, ..UP_TO_DATE }.put(world);
        }),
        ("without a stamp", &|world, _, _| {
            let list = Stored { record: String::new(), body: "1".into() };
            world.edge.stores.put_object(LIST, &list);
        }),
    ];
    for (name, put) in cases {
        let (_, is_asked) = read_by_neighbor(3_000, put);
        assert!(is_asked, "{name}");
    }
}

#[test]
fn a_name_on_the_list_ends_a_grant_of_before_it() {
    let (_, is_asked) = read_by_neighbor(3_000, |world, deployment, id| {
        let at = unix_secs() - 100;
        let purges = format!("\n{at} v2/{SERVER_NAME}/media/{SERVER_NAME}/{id}/");
        Put { deployment, purges: &purges, ..UP_TO_DATE }.put(world);
    });
    assert!(is_asked);
}

#[test]
fn a_grant_of_an_hour_ago_is_renewed_in_the_background() {
    let (answer, is_asked) = read_by_neighbor(4_000, |world, deployment, _| {
        Put { deployment, ..UP_TO_DATE }.put(world);
    });
    assert!(is_asked);
    let status = answer.header("cache-status").expect("it has one");
    assert!(status.contains("; hit; ttl="), "{status}");
}

#[test]
fn a_quarantine_is_honoured_everywhere_after_a_run() {
    let world = start();
    tell(&world.origin, &["before"]);
    world.edge.run_scheduled();
    let (id, token) = (world.stored_media(), world.token());
    let addresses =
        [&world.edge.direct_address, &world.edge.neighbor_address, &world.edge.pop_addresses[0]];
    world.origin.homeserver().quarantine(&id);
    tell(&world.origin, &["before", &id]);
    world.edge.run_scheduled();
    for address in addresses {
        assert_eq!(download(&id, &token).send(address).status, 404);
    }
    assert_eq!(world.edge.stores.object(&content_key(&id)), None);
}

#[test]
fn a_404_at_one_data_centre_is_told_to_all() {
    let world = start();
    let deployment = deployment(&world);
    Put { deployment: &deployment, ..UP_TO_DATE }.put(&world);
    let (id, token) = (world.stored_media(), world.token());
    world.origin.homeserver().delete(&id);
    assert_eq!(download(&id, &token).send(&world.edge.direct_address).status, 404);
    let prefix = format!(" v2/{SERVER_NAME}/media/{SERVER_NAME}/{id}/");
    wait_for("the list names it", PATIENCE, || {
        let list = world.edge.stores.object(LIST)?;
        String::from_utf8(list.body).expect("it is text").contains(&prefix).then_some(())
    });
    let stamp = world.edge.stores.stamp(LIST).expect("the stamp is kept");
    assert!(stamp.ends_with(&deployment), "{stamp}");
}

/// Reads a media of which the bucket has a body, at a data centre that has no record of it, by a token
/// with a lease there. Returns whether the origin was asked.
fn is_asked_at_another_data_centre(world: &World, id: &str) -> bool {
    let (pop, token) = (&world.edge.pop_addresses[0], world.token());
    let other = world.media();
    assert_served(&download(&other, &token).send(pop));
    wait_for("it is in the bucket", PATIENCE, || world.edge.stores.object(&content_key(id)));
    world.origin.forget(&download_path(id));
    assert_served(&download(id, &token).send(pop));
    !world.origin.asked(&download_path(id)).is_empty()
}

#[test]
fn a_stored_body_is_a_grant_at_every_data_centre() {
    let world = start();
    let deployment = deployment(&world);
    let id = world.stored_media();
    Put { deployment: &deployment, ..UP_TO_DATE }.put(&world);
    assert!(!is_asked_at_another_data_centre(&world, &id));
}

#[test]
fn a_body_that_was_stored_at_the_legacy_door_is_no_grant_at_the_client_door() {
    let world = start();
    let deployment = deployment(&world);
    let id = world.legacy_media();
    assert_served(&legacy_download(&id).send(&world.edge.direct_address));
    Put { deployment: &deployment, ..UP_TO_DATE }.put(&world);
    assert!(is_asked_at_another_data_centre(&world, &id));
}
