//! Uploads: limits are lowered and nothing else is changed; a new ID leads to its download.

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue};
use matrix_media_edge::endpoint::upload::{
    Admission, advertised_limit, check, content_uri, lowered, prefetch_request,
};
use matrix_media_edge::error::Rejection;
use matrix_media_edge::matrix::ids::Mxc;
use matrix_media_edge::route::{Route, admit};

use crate::input::{CONFIG, get, texts};
use crate::json::{Members, read_shallow};

const LIMIT: &str = "m.upload.size";

/// The input's lines: our limit in bytes, `Content-Length`, and an answer of the origin.
pub(crate) fn target(input: &[u8]) {
    let Some([limit, length, answer]) = texts(input) else { return };
    let max_bytes = limit.parse().unwrap_or(1000);
    match lowered(answer, max_bytes) {
        Some(lower) => only_limits_are_lowered(answer, &lower, max_bytes),
        None => {
            let told = read_shallow(answer).and_then(|value| value.get(LIMIT)?.as_u64());
            assert!(told.is_none_or(|told| told <= max_bytes), "{told:?} is left");
        }
    }
    if let Some(told) = advertised_limit(answer) {
        assert_eq!(last(answer, LIMIT).parse(), Ok(told));
    }
    if let Some(mxc) = content_uri(answer) {
        leads_to_its_download(answer, mxc);
    }
    judged_by_its_length(length, advertised_limit(answer));
}

fn only_limits_are_lowered(answer: &str, lower: &str, max_bytes: u64) {
    assert_eq!(lowered(lower, max_bytes), None, "it is low now");
    let (before, after) = (Members::read(answer), Members::read(lower));
    let (before, after) = (before.expect("an object"), after.expect("an object"));
    let (before, mut after) = (before.texts(), after.texts());
    let ours = max_bytes.to_string();
    if after.len() > before.len() {
        assert_eq!(after.remove(0), (LIMIT, &*ours));
        assert!(before.iter().all(|(name, _)| *name != LIMIT));
    }
    assert_eq!(after.len(), before.len());
    for ((name, old), (new_name, new)) in before.iter().zip(&after) {
        assert_eq!(name, new_name);
        let is_raised = old.parse().is_ok_and(|old: u64| old < max_bytes);
        assert!(new == old || *name == LIMIT && *new == ours && !is_raised, "{old} became {new}");
    }
}

fn leads_to_its_download(answer: &str, mxc: Mxc) {
    let uri: String = serde_json::from_str(&last(answer, "content_uri")).expect("a string");
    assert_eq!(uri, format!("mxc://{}/{}", mxc.server_name, mxc.media_id.as_str()));
    let token = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer t"))]);
    let (head, request) = prefetch_request(&get("/", token), mxc).expect("who uploads may read");
    assert_eq!(admit(&head, &CONFIG), Ok(Route::Media(request)));
}

/// What stands behind the last of this name.
fn last(answer: &str, name: &str) -> String {
    let members = Members::read(answer).expect("an object");
    let found = members.texts().into_iter().rfind(|(found, _)| *found == name);
    found.expect("a member of this name").1.to_owned()
}

fn judged_by_its_length(length: &str, told: Option<u64>) {
    let Ok(value) = HeaderValue::from_str(length) else { return };
    let head = get("/", HeaderMap::from_iter([(CONTENT_LENGTH, value)]));
    let limit_bytes =
        told.map_or(CONFIG.max_upload_bytes, |told| told.min(CONFIG.max_upload_bytes));
    let number = length.trim_start_matches('+').parse::<u128>();
    match check(&head, told, &CONFIG) {
        Ok(Admission::Measured { length_bytes }) => {
            assert_eq!(number, Ok(u128::from(length_bytes)));
            assert!(length_bytes <= limit_bytes);
        }
        Err(Rejection::TooLarge { limit_bytes: said }) => {
            assert_eq!(said, limit_bytes);
            assert!(
                number.is_ok_and(|number| number > u128::from(limit_bytes))
                    || length.parse::<u64>().is_err()
            );
        }
        other => panic!("{other:?}"),
    }
    let counted = check(&get("/", HeaderMap::new()), told, &CONFIG);
    assert_eq!(counted, Ok(Admission::Counted { limit_bytes }), "the homeserver may take it");
}
