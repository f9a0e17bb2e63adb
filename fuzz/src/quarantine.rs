//! The feed of quarantined media: what is named there is purged, and nothing that was released.

use http::StatusCode;
use matrix_media_edge::admin::purge::Scope;
use matrix_media_edge::admin::quarantine::{MAX_POSITION_BYTES, Position, Step};
use matrix_media_edge::matrix::ids::Mxc;
use serde_json::Value;

use crate::input::CONFIG;
use crate::json::read_shallow;

/// The input is a page, and the position from which it was asked for.
pub(crate) fn target(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    of_a_kept_position(text);
    let step = Position::parse(Some("0"), None, &CONFIG).on_answer(StatusCode::OK, Some(text));
    let changes = read_shallow(text).and_then(|value| value.get("changes")?.as_array().cloned());
    match step {
        Step::Failed => {}
        Step::Complete { is_begun_anew, .. } => {
            assert!(!is_begun_anew && changes.is_some_and(|changes| changes.is_empty()));
        }
        Step::Next(scopes, next) => {
            let changes = changes.expect("it was read");
            let named: Vec<_> = changes.iter().filter_map(quarantined).map(Scope::Media).collect();
            assert_eq!(scopes, named);
            let again = next.on_answer(StatusCode::OK, Some(text));
            let is_last = changes.len() == 1;
            assert!(!is_last || matches!(again, Step::Complete { .. }), "{again:?}");
        }
    }
}

fn of_a_kept_position(text: &str) {
    let (number, stamp) = text.split_once('\n').unwrap_or((text, ""));
    let position = Position::parse(Some(number), Some(stamp), &CONFIG);
    let (kept, stamp) = (position.to_text(), position.stamp(&CONFIG));
    assert_eq!(Position::parse(Some(&kept), Some(&stamp), &CONFIG), position);
    assert!(kept.len() <= MAX_POSITION_BYTES);
}

fn quarantined(change: &Value) -> Option<Mxc> {
    let is_quarantined = change["quarantined"] == true || change["quarantined"] == 1;
    let (origin, id) = (change["origin"].as_str()?, change["media_id"].as_str()?);
    // Nothing within a name may pass for its end.
    let mxc = Mxc::parse(&format!("mxc://{origin}/{id}")).filter(|_| !origin.contains('/'));
    mxc.filter(|_| is_quarantined)
}
