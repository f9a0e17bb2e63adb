//! The feed of quarantined media: what is named there is purged, and nothing that was released.

use matrix_media_edge::admin::purge::Scope;
use matrix_media_edge::admin::quarantine::parse;
use matrix_media_edge::matrix::ids::Mxc;
use serde_json::Value;

use crate::json::read_shallow;

/// The input is a page.
pub(crate) fn target(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let page = parse(text);
    let Some(value) = read_shallow(text) else { return };
    let changes = value.get("changes").and_then(Value::as_array);
    let next = value.get("next_batch").and_then(Value::as_u64);
    let Some((changes, next)) = changes.zip(next) else { return };
    let page = page.expect("a page");
    assert_eq!((page.next, page.has_changes), (next, !changes.is_empty()));
    let quarantined: Vec<_> = changes.iter().filter_map(quarantined).map(Scope::Media).collect();
    assert_eq!(page.quarantined, quarantined);
}

fn quarantined(change: &Value) -> Option<Mxc> {
    let is_quarantined = change["quarantined"] == true || change["quarantined"] == 1;
    let (origin, id) = (change["origin"].as_str()?, change["media_id"].as_str()?);
    // Nothing within a name may pass for its end.
    let mxc = Mxc::parse(&format!("mxc://{origin}/{id}")).filter(|_| !origin.contains('/'));
    mxc.filter(|_| is_quarantined)
}
