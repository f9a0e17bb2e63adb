//! The quarantine feed as Synapse tells it: what an admin quarantines there is purged here, though
//! a lease would have served it for long.

use std::time::Duration;

use serde_json::json;
use test_support::edge::{BucketKind, Edge, Layout};
use test_support::time::wait_for;

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY};
use crate::servers::start_edge_as;
use crate::world::world;

const PATIENCE: Duration = Duration::from_secs(10);

fn send(edge: &Edge, ask: &Ask) -> Answer {
    ask.send(&edge.address, HOMESERVER_AUTHORITY)
}

fn is_hit(answer: &Answer) -> bool {
    answer.header("cache-status").is_some_and(|status| status.contains("; hit"))
}

#[test]
fn media_quarantined_by_synapse_is_purged_from_every_tier() {
    let layout = Layout { bucket: BucketKind::R2, ..Layout::default() };
    let token = world().token("admin");
    let vars = [("LEASE_SECONDS", "600"), ("SYNAPSE_ADMIN_TOKEN", token)];
    let edge = start_edge_as(&world().synapse, layout, &vars);
    // What is quarantined before the first run is not purged.
    edge.run_scheduled();
    let [gone, kept] = ["quarantined, and purged by the feed", "kept beside it"].map(|body| {
        let media = world().upload("image/png", body.as_bytes());
        let ask = media.download().user("alice");
        wait_for("it is leased", PATIENCE, || Some(send(&edge, &ask)).filter(is_hit));
        let key = format!("v2/localhost/media/localhost/{}/localhost/content", media.id);
        wait_for("it is in the bucket", PATIENCE, || edge.stores.object(&key));
        (media.id, ask, key)
    });
    let change = |action: &str| {
        let path = format!("/_synapse/admin/v1/media/{action}/localhost/{}", gone.0);
        world().admin("POST", &path, &json!({}));
    };

    change("quarantine");
    assert!(is_hit(&send(&edge, &gone.1)), "the lease serves it until somebody says otherwise");
    edge.run_scheduled();
    assert_eq!(edge.stores.object(&gone.2), None);
    assert_eq!(send(&edge, &gone.1).status, 404);
    assert!(edge.stores.object(&kept.2).is_some());
    assert!(is_hit(&send(&edge, &kept.1)));

    change("unquarantine");
    edge.run_scheduled();
    let back = wait_for("it is back", PATIENCE, || Some(send(&edge, &gone.1)).filter(is_hit));
    assert_eq!(back.text(), "quarantined, and purged by the feed");
    edge.run_scheduled();
    assert!(is_hit(&send(&edge, &gone.1)), "what was read before is not read again");
}
