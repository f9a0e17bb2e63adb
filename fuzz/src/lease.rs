//! Leases: a record counts under its own name, and for no longer than it may.

use std::collections::BTreeSet;

use matrix_media_edge::config::lease_policy::{LeasePolicy, LeaseScope, RecordOf};
use matrix_media_edge::lease::{LeaseChange, LeaseKeys, parse_record, write_record};
use matrix_media_edge::matrix::access_token::{AccessToken, TokenDigest};
use matrix_media_edge::matrix::ids::Mxc;
use matrix_media_edge::matrix::media::{Door, MediaKind};

use crate::input::texts;

/// The input's lines: now, the seconds of a lease and of the stale window, two tokens, and a
/// record.
pub(crate) fn target(input: &[u8]) {
    let Some([now, seconds, stale, token, other, record]) = texts(input) else { return };
    let number = |text: &str| text.parse().unwrap_or(60);
    let scope = if token.len() % 2 == 0 { LeaseScope::Token } else { LeaseScope::TokenAndMedia };
    let policy = LeasePolicy {
        lease_secs: number(seconds),
        media_lease_secs: 0,
        scope,
        stale_if_error_secs: number(stale),
    };
    let media = Mxc::parse("mxc://example.com/abc").expect("an mxc URI");
    let digest =
        |text: &str| AccessToken::parse(text).map(|token| TokenDigest::new(b"key", &token));
    let named = |door, token: &str, kind| {
        let digest = digest(token);
        LeaseKeys::new(&media.server_name, policy, door, digest.as_ref(), &media, kind)
    };
    let keys = named(Door::Client, token, MediaKind::Content);
    let others = named(Door::Client, other, MediaKind::Content);
    assert_eq!(keys.credential == others.credential, digest(token) == digest(other));
    let legacy = named(Door::Legacy, token, MediaKind::Content);
    assert!(legacy.media != keys.media, "doors share nothing");
    assert!(legacy.credential.is_none() || legacy.credential != keys.credential);
    of_their_own_kinds(&keys, &named(Door::Client, token, MediaKind::Thumbnail), scope);

    let Some(confirmed) = parse_record(record, &keys.media) else { return };
    let written = write_record(&keys.media, confirmed);
    assert_eq!(parse_record(&written, &keys.media), Some(confirmed));
    assert_eq!(parse_record(&written, &legacy.media), None, "another door's");
    lasts_as_long_as_it_may(policy, confirmed, number(now));
}

/// Content and thumbnails are granted apart, and refused together.
fn of_their_own_kinds(content: &LeaseKeys, thumbnails: &LeaseKeys, scope: LeaseScope) {
    assert!(content.media != thumbnails.media);
    let is_one = content.credential == thumbnails.credential;
    assert_eq!(is_one, content.credential.is_none() || scope == LeaseScope::Token);
    for change in [LeaseChange::RevokeMedia, LeaseChange::RevokeCredential] {
        let revoked = |keys: &LeaseKeys| BTreeSet::from_iter(keys.revoked_by(change));
        assert_eq!(revoked(content), revoked(thumbnails));
    }
}

fn lasts_as_long_as_it_may(policy: LeasePolicy, confirmed: u64, now: u64) {
    let age = i128::from(now) - i128::from(confirmed);
    let is_within = |seconds: u64| (0..i128::from(seconds)).contains(&age);
    assert_eq!(policy.is_alive(confirmed, now), is_within(policy.lease_secs));
    let is_in_window = policy.is_within_stale_window(confirmed, now);
    assert_eq!(is_in_window, is_within(policy.stale_if_error_secs));
    let counts = policy.is_alive(confirmed, now) || is_in_window;
    assert!(
        !counts || is_within(policy.retention_secs(RecordOf::Credential)),
        "it is kept as long as it counts"
    );
    assert!(!counts || policy.is_remembering());
}
