//! The bucket: what one data centre has stored is found by the others, and purges reach it.

use std::cell::RefCell;

use serde_json::json;
use test_support::edge::{BucketKind, Layout};
use test_support::http::Request;
use test_support::noise::noise;

use super::{ADMIN_TOKEN, BODY, content_key, download, download_path, media_domain, same_host};
use crate::origin::{Media, Origin, Reply};
use crate::record::Record;
use crate::worlds::{Ask, MEDIA_HOST, World};

const CHANGES: &str = "/_synapse/admin/v1/media/quarantine_changes";

pub(super) fn play(record: &RefCell<Record>) {
    let layout = Layout { neighbors: 1, pops: 1, bucket: BucketKind::R2, ..Layout::default() };
    let vars = |_: &Origin, _: &Origin| {
        vec![
            ("ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
            ("SYNAPSE_ADMIN_TOKEN", "syt_admin_0123456789".to_owned()),
        ]
    };
    let mut world = World::start_as(record, layout, vars);
    world.turn_to("bucket");
    {
        let mut homeserver = world.origin.homeserver();
        for id in ["small", "gone", "bad"] {
            homeserver.add(id, Media::new(BODY));
        }
        homeserver.add("large", Media::new(noise(300_000)));
    }
    tiers(&mut world);
    lost_entries(&mut world);
    removals(&mut world);
}

/// A request that the further data centre takes for its own.
fn elsewhere(id: &str) -> Request {
    same_host("GET", &download_path(id)).bearer("syt_alice")
}

fn fill(world: &mut World<'_>, title: &str, id: &str) {
    let ask = Ask::new(title, download(id, "syt_alice")).filling(&content_key(id));
    world.play(ask.filling_bucket(&content_key(id)));
}

fn tiers(world: &mut World<'_>) {
    fill(world, "a miss fills the PoP and the bucket", "small");
    fill(world, "a large miss does too", "large");
    let pop = world.edge.pop_addresses[0].clone();
    let neighbor = world.edge.neighbor_address.clone();
    world.play(Ask::new("another PoP finds it in the bucket", elsewhere("small")).at(&pop));
    world.play(Ask::new("that PoP has it then", elsewhere("small")).at(&pop));
    let part = elsewhere("large").header("Range", "bytes=100-199");
    world.play(Ask::new("a part of what is in the bucket", part).at(&pop));
    let stranger = same_host("GET", &download_path("large")).bearer("syt_nobody");
    world.play(Ask::new("an unknown token at another PoP", stranger).at(&pop));
    world.play(Ask::new("another isolate finds it in the PoP", elsewhere("small")).at(&neighbor));
}

fn lost_entries(world: &mut World<'_>) {
    for id in ["large", "small"] {
        let name = format!("{MEDIA_HOST}/_edge/cache/{}", content_key(id));
        world.edge.stores.remove_entry(&name);
    }
    let large = "large after the PoP has lost it";
    world.fill(large, download("large", "syt_alice"), &content_key("large"));
    world.ask("small, which memory still has", download("small", "syt_alice"));
}

fn removals(world: &mut World<'_>) {
    fill(world, "media that will be gone", "gone");
    world.origin.homeserver().remove("gone");
    world.ask("media that is gone leaves the bucket", download("gone", "syt_alice"));
    fill(world, "media that will be quarantined", "bad");
    world.origin.in_turn(CHANGES, vec![changes(&["bad"], 1).into(), changes(&[], 1).into()]);
    world.run_scheduled("what Synapse has quarantined is purged");
    world.ask("media after its quarantine", download("bad", "syt_alice"));
    let purge = |what: &serde_json::Value| {
        media_domain("POST", "/_edge/purge").bearer(ADMIN_TOKEN).body(what.to_string())
    };
    world.ask("purge one", purge(&json!({ "mxc": "mxc://example.com/small" })));
    world.ask("purge everything", purge(&json!({ "everything": true })));
    world.ask("media after the purge", download("large", "syt_alice"));
    let mut keys = world.edge.stores.keys();
    keys.sort();
    world.note("what is left in the bucket", &keys);
}

/// One page of what Synapse tells of quarantined media.
fn changes(ids: &[&str], next: u32) -> Reply {
    let change =
        |id: &&str| json!({ "origin": "example.com", "media_id": id, "quarantined": true });
    let changes: Vec<_> = ids.iter().map(change).collect();
    Reply::json(200, &json!({ "next_batch": next, "changes": changes }))
}
