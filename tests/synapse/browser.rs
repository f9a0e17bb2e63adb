//! What Range is for: a real browser seeks in a real video before it is loaded.

use std::process::Command;

use serde_json::Value;

use crate::world::world;

const LEAST_BYTES: u64 = 20_000_000;

#[test]
fn a_browser_seeks_through_the_edge_but_not_on_synapse_alone() {
    let (synapse, edge) = (&world().synapse.address, &world().edge.address);
    let output = Command::new("node")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tests/browser/seek.mjs", world().token("alice"), synapse])
        .args([format!("miss={edge}"), format!("hit={edge}"), format!("alone={synapse}")])
        .output()
        .expect("node can't be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    let told: Value = serde_json::from_str(&told).expect("seek.mjs prints JSON");

    let bytes = number(&told["bytes"]);
    assert!(bytes >= LEAST_BYTES, "the video has only {bytes} bytes");
    for state in ["miss", "hit"] {
        let seen = &told["seen"][state];
        assert_eq!(seen["seekableUntil"], told["seconds"], "{state}");
        for seek in seen["seeks"].as_array().expect("seeks are listed") {
            assert_eq!(seek["shown"], seek["target"], "{state}: {seek}");
            assert!(number(&seek["movedBytes"]) < bytes / 2, "{state}: {seek}");
        }
    }
    let alone = &told["seen"]["alone"];
    assert_eq!(alone["seekableUntil"], 0);
    for seek in alone["seeks"].as_array().expect("seeks are listed") {
        let (shown, target) = (number(&seek["shown"]), number(&seek["target"]));
        assert!(shown < target / 2, "Synapse alone can be sought in: {seek}");
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}
