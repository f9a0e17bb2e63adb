//! The quarantine feed: what Synapse says it has quarantined is purged without anyone asking, each
//! page once, and whatever fails is made up for the next time.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use test_support::edge::{BucketKind, Layout};
use test_support::time::wait_for;

use crate::admin::purge::LIST;
use crate::store::bucket::get;
use crate::support::origin::Reply;
use crate::support::world::{PATIENCE, World, content_key, tier, wait_for_tier};

const TOKEN: &str = "syt_admin_0123456789";
const CHANGES: &str = "/_synapse/admin/v1/media/quarantine_changes";
const POSITION: &str = "v2/example.com/quarantine-position";

/// Synapse's log of changes: media IDs, and whether they were quarantined or released.
type Log = Arc<Mutex<Vec<(String, bool)>>>;

struct Feed {
    world: World,
    log: Log,
    /// The status of its answers.
    status: Arc<AtomicU16>,
    /// Whether a row of each page has another form.
    is_odd: Arc<AtomicBool>,
}

impl Feed {
    /// An edge before a Synapse that tells so many changes at a time.
    fn start(bucket: BucketKind, page: usize) -> Self {
        let layout = Layout { bucket, ..Layout::default() };
        let world = World::start_as(layout, &[("SYNAPSE_ADMIN_TOKEN", TOKEN)]);
        let (log, status) = (Log::default(), Arc::new(AtomicU16::new(200)));
        let is_odd = Arc::new(AtomicBool::new(false));
        world.origin.on(CHANGES, {
            let (log, status) = (Arc::clone(&log), Arc::clone(&status));
            let is_odd = Arc::clone(&is_odd);
            move |call| {
                if is_odd.load(Ordering::Relaxed) {
                    let odd = json!([{ "origin": "example.com", "quarantined": true }]);
                    return call
                        .reply(&Reply::json(200, &json!({ "next_batch": 1, "changes": odd })));
                }
                let status = status.load(Ordering::Relaxed);
                call.reply(&answer(&log.lock().expect("unbroken"), page, status, &call.head.target))
            }
        });
        Self { world, log, status, is_odd }
    }

    fn tell(&self, id: &str, is_quarantined: bool) {
        self.log.lock().expect("unbroken").push((id.to_owned(), is_quarantined));
    }

    /// Runs the scheduled event. Says from which positions it read.
    fn run(&self) -> Vec<u64> {
        self.world.origin.forget(CHANGES);
        self.world.edge.run_scheduled();
        let asked = self.world.origin.asked(CHANGES);
        for asked in &asked {
            assert_eq!(asked.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
            assert_eq!(asked.head.method, "GET");
        }
        let position = |target: &str| target.rsplit('=').next()?.parse().ok();
        asked.iter().map(|a| position(&a.head.target).expect("a position")).collect()
    }

    /// The number of the last row that was read.
    fn position(&self) -> Option<u64> {
        let object = self.world.edge.stores.object(POSITION)?;
        let text = String::from_utf8(object.body).expect("it is text");
        Some(text.split(' ').next()?.parse().expect("a number"))
    }

    /// Has the edge read the list to its end for the first time: what comes later is purged.
    fn follow(&self) {
        assert!(!self.run().is_empty());
    }

    /// Media that is in every tier.
    fn stored(&self) -> String {
        let id = self.world.media();
        wait_for_tier("memory", &get(&id, &self.world.token()), &self.world.edge.address);
        wait_for("it is in the bucket", PATIENCE, || {
            self.world.edge.stores.object(&content_key(&id))
        });
        id
    }

    /// Claims that the edge has nothing of it, though the homeserver would say yes.
    #[track_caller]
    fn assert_purged(&self, id: &str) {
        assert_eq!(self.world.edge.stores.object(&content_key(id)), None);
        let answer = get(id, &self.world.token()).send(&self.world.edge.address);
        assert_eq!((answer.status, tier(&answer)), (200, ""), "{id}");
    }

    #[track_caller]
    fn assert_stored(&self, id: &str) {
        let answer = get(id, &self.world.token()).send(&self.world.edge.address);
        assert_eq!(tier(&answer), "memory", "{id}");
    }
}

/// As Synapse 1.163 answers.
fn answer(log: &[(String, bool)], page: usize, status: u16, target: &str) -> Reply {
    if status != 200 {
        return Reply::error(status, "M_UNKNOWN", "No");
    }
    let from: usize = target.rsplit('=').next().and_then(|n| n.parse().ok()).expect("a position");
    if from > log.len() {
        return Reply::error(400, "M_INVALID_PARAM", "The `from` token is considered invalid");
    }
    let next = log.len().min(from + page);
    let changes: Vec<_> = log[from..next]
        .iter()
        .map(|(id, quarantined)| {
            json!({ "origin": "example.com", "media_id": id, "quarantined": quarantined })
        })
        .collect();
    Reply::json(200, &json!({ "next_batch": next, "changes": changes }))
}

#[test]
fn quarantined_media_is_purged_and_released_media_is_not() {
    let feed = Feed::start(BucketKind::R2, 100);
    let (quarantined, released, other) = (feed.stored(), feed.stored(), feed.stored());
    feed.follow();
    feed.tell(&quarantined, true);
    feed.tell(&released, false);
    feed.tell("not an ID", true);
    assert_eq!(feed.run(), [0, 2]);
    feed.assert_purged(&quarantined);
    feed.assert_stored(&released);
    feed.assert_stored(&other);
}

#[test]
fn each_page_is_read_once_and_the_next_run_continues_there() {
    let feed = Feed::start(BucketKind::R2, 3);
    assert_eq!(feed.run(), [0]);
    for number in 0..5 {
        feed.tell(&format!("gone{number}"), true);
    }
    // Each page shows the last row of the one before again.
    assert_eq!(feed.run(), [0, 2, 4]);
    assert_eq!(feed.position(), Some(5));
    assert_eq!(feed.run(), [4]);
    let id = feed.stored();
    feed.tell(&id, true);
    assert_eq!(feed.run(), [4, 5]);
    feed.assert_purged(&id);
}

#[test]
fn a_long_list_is_read_in_several_runs() {
    let feed = Feed::start(BucketKind::R2, 2);
    for number in 0..33 {
        feed.tell(&format!("gone{number}"), true);
    }
    assert_eq!(feed.run(), (0..30).collect::<Vec<_>>());
    assert_eq!(feed.run(), [30, 31, 32]);
}

/// It may be of years, and grants of that time have long ended.
#[test]
fn media_that_was_quarantined_before_the_list_was_followed_is_not_purged() {
    let feed = Feed::start(BucketKind::R2, 100);
    let id = feed.stored();
    feed.tell(&id, true);
    assert_eq!(feed.run(), [0, 0]);
    feed.assert_stored(&id);
    assert_eq!(feed.run(), [0]);
    feed.assert_stored(&id);
}

#[test]
fn a_row_that_can_not_be_read_fails_the_page_and_no_row_is_skipped() {
    let feed = Feed::start(BucketKind::R2, 100);
    let id = feed.stored();
    feed.follow();
    feed.tell(&id, true);
    feed.is_odd.store(true, Ordering::Relaxed);
    assert_eq!(feed.run(), [0]);
    feed.world.edge.wait_for_log("quarantine: Synapse did not tell");
    feed.assert_stored(&id);
    feed.is_odd.store(false, Ordering::Relaxed);
    assert_eq!(feed.run(), [0, 0]);
    feed.assert_purged(&id);
}

#[test]
fn changes_are_not_skipped_while_synapse_fails() {
    let feed = Feed::start(BucketKind::R2, 100);
    feed.tell("before", true);
    feed.follow();
    let id = feed.stored();
    feed.tell(&id, true);
    for status in [500, 403, 404] {
        feed.status.store(status, Ordering::Relaxed);
        assert_eq!(feed.run(), [0]);
        assert_eq!(feed.position(), Some(1), "{status}");
    }
    feed.world.edge.wait_for_log("quarantine: Synapse did not tell");
    feed.assert_stored(&id);
    feed.status.store(200, Ordering::Relaxed);
    assert_eq!(feed.run(), [0, 1]);
    feed.assert_purged(&id);
}

#[test]
fn changes_that_could_not_be_listed_or_recorded_are_read_again() {
    for key in [LIST, POSITION] {
        let fault = &format!("fails at {key}");
        let feed = Feed::start(BucketKind::Faulty, 100);
        let id = feed.world.media();
        get(&id, &feed.world.token()).send(&feed.world.edge.address);
        feed.follow();
        feed.tell(&id, true);
        feed.world.edge.stores.set_faults(&[("put", fault)]);
        assert_eq!(feed.run(), [0, 0], "{fault}");
        assert_eq!(feed.position(), Some(0), "{fault}");
        feed.world.edge.stores.set_faults(&[]);
        assert_eq!(feed.run(), [0, 0], "{fault}");
        assert_eq!(feed.position(), Some(1));
        feed.assert_purged(&id);
    }
}

/// A page is of a hundred, and the Free plan grants fifty operations to an event.
#[test]
fn a_page_that_can_not_all_be_deleted_is_purged_and_read_once() {
    let feed = Feed::start(BucketKind::Faulty, 100);
    feed.follow();
    for number in 0..60 {
        feed.tell(&format!("gone{number}"), true);
    }
    let (id, token) = (feed.world.media(), feed.world.token());
    let read = || get(&id, &token).send(&feed.world.edge.address);
    read();
    wait_for("it is in the bucket", PATIENCE, || feed.world.edge.stores.object(&content_key(&id)));
    feed.tell(&id, true);
    feed.world.edge.stores.set_faults(&[("all", "50")]);
    feed.run();
    feed.world.edge.stores.set_faults(&[]);
    assert_eq!(feed.position(), Some(61));
    assert_eq!(tier(&read()), "");
}

/// Not known is not the beginning: years of changes would be purged again.
#[test]
fn a_position_that_can_not_be_read_is_not_the_beginning() {
    let feed = Feed::start(BucketKind::Faulty, 100);
    feed.tell("before", true);
    feed.tell("also before", true);
    feed.follow();
    feed.world.edge.stores.set_faults(&[("get", "fails")]);
    assert_eq!(feed.run(), [0_u64; 0]);
    feed.world.edge.stores.set_faults(&[]);
    assert_eq!(feed.run(), [1]);
}

/// Its database was restored from an older copy.
#[test]
fn a_position_that_synapse_never_reached_restarts_from_the_beginning() {
    let feed = Feed::start(BucketKind::R2, 100);
    for number in 0..5 {
        feed.tell(&format!("gone{number}"), true);
    }
    feed.follow();
    feed.log.lock().expect("unbroken").clear();
    feed.tell("again", true);
    assert_eq!(feed.run(), [4, 0, 0]);
    assert_eq!(feed.position(), Some(1));
    let id = feed.stored();
    feed.tell(&id, true);
    feed.run();
    feed.assert_purged(&id);
}

/// Its database was restored from an older copy, and has come farther since than before.
#[test]
fn another_row_in_place_of_the_last_is_begun_anew() {
    let feed = Feed::start(BucketKind::R2, 100);
    for number in 0..5 {
        feed.tell(&format!("gone{number}"), true);
    }
    feed.follow();
    feed.log.lock().expect("unbroken").truncate(3);
    for number in 0..4 {
        feed.tell(&format!("other{number}"), true);
    }
    assert_eq!(feed.run(), [4, 0, 6]);
    assert_eq!(feed.position(), Some(7));
}

#[test]
fn synapse_is_not_asked_without_a_bucket_and_the_log_says_why() {
    let feed = Feed::start(BucketKind::None, 100);
    feed.tell("gone", true);
    assert_eq!(feed.run(), [0_u64; 0]);
    feed.world.edge.wait_for_log("quarantine: bind MEDIA_BUCKET");
}

#[test]
fn synapse_is_not_asked_without_an_admin_token() {
    let layout = Layout { bucket: BucketKind::R2, ..Layout::default() };
    let world = World::start_as(layout, &[]);
    world.edge.run_scheduled();
    assert_eq!(world.origin.asked(CHANGES).len(), 0);
}
