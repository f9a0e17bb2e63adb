//! `MEDIA_LEASE_SECONDS` in front of a real Synapse: grants about media that stand while Synapse's
//! list of quarantined media is up to date.

use std::thread;
use std::time::Duration;

use serde_json::json;
use test_support::edge::{BucketKind, Edge, Layout};
use test_support::stores::Stored;
use test_support::synapse::Synapse;
use test_support::time::{unix_secs, wait_for};

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY, MEDIA_AUTHORITY, Media};
use crate::servers::{SERVER_NAME, start_edge_as, start_synapse};
use crate::world::world;

const PATIENCE: Duration = Duration::from_secs(20);

/// In what time every isolate has read what is new in the list of purges, with time to answer.
const HEARD_PATIENCE: Duration = Duration::from_secs(80);

/// Where the edge keeps its list of purges.
const PURGES: &str = "v2/localhost/purges";

const DAY_SECS: u64 = 86_400;

/// Starts an edge of two isolates that has begun to follow this Synapse's list.
fn start_following(synapse: &Synapse) -> Edge {
    let layout = Layout { bucket: BucketKind::R2, neighbors: 1, ..Layout::default() };
    let vars = [
        ("LEASE_SECONDS", "600"),
        ("MEDIA_LEASE_SECONDS", "259200"),
        ("SYNAPSE_ADMIN_TOKEN", synapse.token("admin")),
    ];
    let edge = start_edge_as(synapse, layout, &vars);
    edge.run_scheduled();
    edge
}

/// Through the edge's first isolate, which is also the one that runs on schedule.
fn send(edge: &Edge, ask: &Ask) -> Answer {
    ask.send(&edge.direct_address, HOMESERVER_AUTHORITY)
}

/// Through its other isolate.
fn send_to_neighbor(edge: &Edge, ask: &Ask) -> Answer {
    ask.send(&edge.neighbor_address, HOMESERVER_AUTHORITY)
}

fn is_hit(answer: &Answer) -> bool {
    answer.header("cache-status").is_some_and(|status| status.contains("; hit"))
}

/// Uploads media that the first isolate then has stored and leased, and the bucket has.
fn leased(edge: &Edge, body: &str) -> (Media, Ask) {
    let media = world().upload("image/png", body.as_bytes());
    let ask = media.download().user("alice");
    wait_for("it is leased", PATIENCE, || Some(send(edge, &ask)).filter(is_hit));
    let key = format!("v2/localhost/media/localhost/{}/localhost/content", media.id);
    wait_for("it is in the bucket", PATIENCE, || edge.stores.object(&key));
    (media, ask)
}

/// The name of what the cache has under this key.
fn entry_name(key: &str) -> String {
    format!("{MEDIA_AUTHORITY}/_edge/cache/{key}")
}

/// Waits until the cache shows what has been put last: the Worker begins its writes within this time of
/// its answer.
fn wait_until_shown(edge: &Edge) {
    thread::sleep(Duration::from_millis(300));
    edge.cache.wait_until_settled();
}

/// Has the grant about this media be so many seconds old for the other isolate, which doesn't know it.
fn age_grant(edge: &Edge, media: &Media, secs: u64) {
    let key = format!(
        "v2/{SERVER_NAME}/lease/client/media/{SERVER_NAME}/{}/{SERVER_NAME}/content",
        media.id
    );
    wait_until_shown(edge);
    assert!(edge.stores.entry(&entry_name(&key)).is_some(), "there is no {key}");
    let record = format!("1 {} {key}", unix_secs() - secs);
    edge.stores
        .put_entry(&entry_name(&key), &Stored { record: String::new(), body: record.into() });
    edge.cache.wait_until_settled();
}

/// Since when the edge has followed Synapse's list.
fn followed_since(edge: &Edge) -> u64 {
    stamp(edge)[1].parse().expect("it is a second")
}

fn stamp(edge: &Edge) -> Vec<String> {
    let stamp = edge.stores.stamp(PURGES).expect("a run has written it");
    stamp.split(' ').map(str::to_owned).collect()
}

/// Has the edge follow Synapse's list for a month already.
fn age_following(edge: &Edge) {
    let mut words = stamp(edge);
    let complete: u64 = words[0].parse().expect("it is a second");
    // Of two stamps, the later counts.
    words[0] = (complete + 1).to_string();
    words[1] = (complete - 30 * DAY_SECS).to_string();
    edge.stores.put_stamped(PURGES, &words.join(" "), &purges(edge));
    // An isolate that starts would go by the copy there.
    edge.stores.remove_entry(&entry_name(PURGES));
    edge.cache.wait_until_settled();
}

/// The list of purges.
fn purges(edge: &Edge) -> String {
    let list = edge.stores.object(PURGES).expect("a run has written it");
    String::from_utf8(list.body).expect("it is text")
}

fn quarantine(media: &Media) {
    let path = format!("/_synapse/admin/v1/media/quarantine/{SERVER_NAME}/{}", media.id);
    world().admin("POST", &path, &json!({}));
}

#[test]
fn quarantined_media_is_refused_after_the_next_run_and_other_media_is_served_unasked() {
    let edge = start_following(&world().synapse);
    let gone = leased(&edge, "quarantined behind a lease of days");
    let kept = leased(&edge, "kept behind a lease of days");
    for (media, _) in [&gone, &kept] {
        age_grant(&edge, media, 3_000);
    }
    age_following(&edge);

    quarantine(&gone.0);
    edge.run_scheduled();
    for answer in [send(&edge, &gone.1), send_to_neighbor(&edge, &gone.1)] {
        assert_eq!((answer.status, answer.asked_synapse()), (404, vec![404]));
    }
    let answer = send_to_neighbor(&edge, &kept.1);
    assert!(is_hit(&answer) && answer.is_unknown_to_synapse());
}

#[test]
fn deleted_media_is_refused_by_another_isolate_once_one_has_met_the_404() {
    let edge = start_following(&world().synapse);
    let (media, ask) = leased(&edge, "deleted behind a lease of days");
    age_grant(&edge, &media, 4_000);
    age_following(&edge);
    let path = format!("/_synapse/admin/v1/media/{SERVER_NAME}/{}", media.id);
    world().admin("DELETE", &path, &json!({}));

    let last = send_to_neighbor(&edge, &ask);
    assert!(is_hit(&last), "a grant of an hour ago is renewed behind the reader");
    assert_eq!(last.asked_synapse(), [404]);
    let line = format!(" v2/{SERVER_NAME}/media/{SERVER_NAME}/{}/", media.id);
    wait_for("the list names it", PATIENCE, || purges(&edge).contains(&line).then_some(()));
    assert_eq!(send_to_neighbor(&edge, &ask).status, 404);
    // Its own grant is for ten minutes yet: it is by the list that it asks.
    let refused = wait_for("it is refused", HEARD_PATIENCE, || {
        Some(send(&edge, &ask)).filter(|answer| answer.status != 200)
    });
    assert_eq!(refused.status, 404);
}

#[test]
fn a_restored_database_has_the_following_begin_anew() {
    let synapse = start_synapse(SERVER_NAME, &["alice"], &["--revive", "5"]);
    let send = |ask: Ask, user: &str| {
        let answer = ask.token(synapse.token(user)).send(&synapse.address, HOMESERVER_AUTHORITY);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    };
    let [before, lost, after] = ["before", "lost", "after"].map(|body| {
        let upload = Ask::post("/_matrix/media/v3/upload", body.as_bytes());
        Media::of(&send(upload.header("Content-Type", "image/png"), "alice"))
    });
    let quarantine = |media: &Media| {
        let path = format!("/_synapse/admin/v1/media/quarantine/{SERVER_NAME}/{}", media.id);
        send(Ask::post(&path, b"{}"), "admin");
    };
    quarantine(&before);
    synapse.back_up();
    quarantine(&lost);
    let edge = start_following(&synapse);
    let first = followed_since(&edge);
    edge.run_scheduled();
    assert_eq!(followed_since(&edge), first, "no change has been lost yet");

    synapse.restore();
    // The list is as long as it was, and longer, so that Synapse refuses no position.
    quarantine(&after);
    quarantine(&after);
    edge.run_scheduled();
    assert!(followed_since(&edge) > first);
}
