//! Leases: for how long a grant of the homeserver counts.
//!
//! Two records stand for one grant at one door. The *credential's* says that the homeserver accepted
//! this token (or this token for this media), the *media's* that it confirmed this media; while
//! both are alive a stored response is served without asking. They are granted by an answer to that
//! very credential that [`crate::permission`] accepts and by nothing else, counted from when the
//! question was sent, so that no answer on its way can make a lease longer than it should be.
//!
//! A grant is of what was granted: the content of a media and its thumbnails have records of their
//! own. A refusal revokes both.

pub mod memory;
pub mod standing;

use crate::cache::key::{CacheKey, Subject};
use crate::config::lease_policy::{LeasePolicy, LeaseScope, RecordOf};
use crate::lease::standing::MediaWatch;
use crate::matrix::access_token::TokenDigest;
use crate::matrix::ids::{Mxc, ServerName};
use crate::matrix::media::{Door, MediaKind};

/// The names of the records that stand for one grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseKeys {
    /// The credential's; `None` at a door that asks for no credential.
    pub credential: Option<CacheKey>,
    /// The media's.
    pub media: CacheKey,
    /// Whether the media's grant may stand by the homeserver's list of quarantined media: its list
    /// is about what clients may read with a token.
    pub is_watched: bool,
}

impl LeaseKeys {
    /// Returns the names for `token` and this kind of `mxc` at `door` of the edge of `server_name`.
    pub fn new(
        server_name: &ServerName,
        policy: LeasePolicy,
        door: Door,
        token: Option<&TokenDigest>,
        mxc: &Mxc,
        kind: MediaKind,
    ) -> Self {
        let media_if_in_scope = match policy.scope {
            LeaseScope::Token => None,
            LeaseScope::TokenAndMedia => Some((mxc, kind)),
        };
        let key = |subject| CacheKey::new(server_name, subject);
        Self {
            credential: token.map(|token| key(Subject::TokenLease(door, token, media_if_in_scope))),
            media: key(Subject::MediaLease(door, mxc, kind)),
            is_watched: door == Door::Client && policy.media_lease_secs > 0,
        }
    }

    /// Returns the name of one of the records; `None` for the credential's at a door that asks for
    /// no credential.
    pub const fn of(&self, record: RecordOf) -> Option<&CacheKey> {
        match record {
            RecordOf::Credential => self.credential.as_ref(),
            RecordOf::Media => Some(&self.media),
        }
    }

    /// Returns the records that a change writes, the media's first, and when their grant was asked
    /// for; `None` if it writes none.
    pub fn granted_by(&self, change: LeaseChange) -> Option<(Vec<(RecordOf, &CacheKey)>, u64)> {
        let (records, asked_unix_secs): (&[RecordOf], u64) = match change {
            LeaseChange::Grant { asked_unix_secs } => {
                (&[RecordOf::Media, RecordOf::Credential], asked_unix_secs)
            }
            LeaseChange::GrantCredential { asked_unix_secs } => {
                (&[RecordOf::Credential], asked_unix_secs)
            }
            LeaseChange::Unchanged | LeaseChange::RevokeCredential | LeaseChange::RevokeMedia => {
                return None;
            }
        };
        let named = records.iter().filter_map(|record| Some((*record, self.of(*record)?)));
        Some((named.collect(), asked_unix_secs))
    }

    /// Returns the records that a change removes: those about the other kind of the media as well.
    pub fn revoked_by(&self, change: LeaseChange) -> Vec<CacheKey> {
        let revoked = match change {
            LeaseChange::RevokeCredential => self.credential.as_ref(),
            LeaseChange::RevokeMedia => Some(&self.media),
            LeaseChange::Unchanged
            | LeaseChange::Grant { .. }
            | LeaseChange::GrantCredential { .. } => None,
        };
        revoked
            .into_iter()
            .flat_map(|key| [Some(key.clone()), key.of_other_kind()])
            .flatten()
            .collect()
    }
}

/// When the grants were asked for, in seconds since the Unix epoch; `None` for no grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// To this credential.
    pub credential: Option<u64>,
    /// About this media.
    pub media: Option<u64>,
    /// About this media, as an isolate remembers it for longer than a lease, or by the answer that
    /// brought the stored body. It counts where the list of purges would tell of a refusal since, and
    /// not otherwise.
    pub by_list: Option<u64>,
    /// What the list of purges tells about this media.
    pub watch: MediaWatch,
}

/// What an answer changes of the two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseChange {
    /// Both stay as they are.
    Unchanged,
    /// The homeserver granted what it was asked for at this time: write both.
    Grant {
        /// When the question was sent.
        asked_unix_secs: u64,
    },
    /// The homeserver accepted the credential, and was not asked about the media: write the
    /// credential's.
    GrantCredential {
        /// When the question was sent.
        asked_unix_secs: u64,
    },
    /// The homeserver refused the credential, or this media to it: remove the credential's.
    RevokeCredential,
    /// The homeserver has no such media: remove the media's.
    RevokeMedia,
}

/// The most that lease records may weigh in an isolate's memory, in bytes of 128 MB.
pub const MAX_RECORDS_BYTES: u64 = 6 * 1024 * 1024;

/// What a record in memory weighs beside its key, in bytes: the bookkeeping of a map and of a heap.
const RECORD_BYTES: u64 = 200;

/// Returns what a record weighs in an isolate's memory, in bytes: its key is there twice.
pub fn record_weight(key: &CacheKey) -> u64 {
    2 * key.length_bytes() + RECORD_BYTES
}

/// Returns a record as it is stored in the PoP cache: version, second and key, a space apart.
pub fn write_record(key: &CacheKey, confirmed_unix_secs: u64) -> String {
    format!("{RECORD_VERSION} {confirmed_unix_secs} {key}")
}

/// Parses a record. Returns when its grant was asked for, in seconds since the Unix epoch; `None`
/// if the text is no record of this key.
pub fn parse_record(text: &str, key: &CacheKey) -> Option<u64> {
    let (version, rest) = text.split_once(' ')?;
    let (confirmed_unix_secs, of_key) = rest.split_once(' ')?;
    let is_readable = version == RECORD_VERSION && of_key == key.to_string();
    is_readable.then(|| confirmed_unix_secs.parse().ok()).flatten()
}

const RECORD_VERSION: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::access_token::AccessToken;
    use crate::matrix::ids::{MediaId, ServerName};

    const POLICY: LeasePolicy = LeasePolicy {
        lease_secs: 60,
        media_lease_secs: 0,
        scope: LeaseScope::Token,
        stale_if_error_secs: 600,
    };

    fn mxc(media_id: &str) -> Mxc {
        Mxc {
            server_name: ServerName::parse("example.com").unwrap(),
            media_id: MediaId::parse(media_id).unwrap(),
        }
    }

    fn digest(token: &str) -> TokenDigest {
        TokenDigest::new(b"key", &AccessToken::parse(token).unwrap())
    }

    fn keys(scope: LeaseScope, door: Door, token: &str, media_id: &str) -> LeaseKeys {
        keys_of(scope, door, token, media_id, MediaKind::Content)
    }

    fn keys_of(
        scope: LeaseScope,
        door: Door,
        token: &str,
        media_id: &str,
        kind: MediaKind,
    ) -> LeaseKeys {
        let (policy, mxc) = (LeasePolicy { scope, ..POLICY }, mxc(media_id));
        LeaseKeys::new(&mxc.server_name, policy, door, Some(&digest(token)), &mxc, kind)
    }

    #[test]
    fn doors_share_no_lease() {
        let client = keys(LeaseScope::Token, Door::Client, "a", "m");
        let legacy = keys(LeaseScope::Token, Door::Legacy, "a", "m");
        assert_ne!(client.media, legacy.media);
        assert_ne!(client.credential, legacy.credential);
    }

    #[test]
    fn scope_decides_whether_media_share_a_tokens_lease() {
        let credential = |scope, media_id| keys(scope, Door::Client, "a", media_id).credential;
        assert_eq!(credential(LeaseScope::Token, "m"), credential(LeaseScope::Token, "n"));
        assert_ne!(
            credential(LeaseScope::TokenAndMedia, "m"),
            credential(LeaseScope::TokenAndMedia, "n")
        );
    }

    #[test]
    fn content_and_thumbnails_share_no_media_lease() {
        let of = |scope, kind| keys_of(scope, Door::Client, "a", "m", kind);
        for scope in [LeaseScope::Token, LeaseScope::TokenAndMedia] {
            let (content, thumbnail) =
                (of(scope, MediaKind::Content), of(scope, MediaKind::Thumbnail));
            assert_ne!(content.media, thumbnail.media);
            let is_shared = content.credential == thumbnail.credential;
            assert_eq!(is_shared, scope == LeaseScope::Token);
        }
    }

    #[test]
    fn a_refusal_revokes_the_grants_of_both_kinds() {
        let of = |scope, kind| keys_of(scope, Door::Client, "a", "m", kind);
        let pair = LeaseScope::TokenAndMedia;
        let (content, thumbnail) = (of(pair, MediaKind::Content), of(pair, MediaKind::Thumbnail));
        let both = |a: CacheKey, b: CacheKey| vec![a, b];
        assert_eq!(
            content.revoked_by(LeaseChange::RevokeMedia),
            both(content.media.clone(), thumbnail.media.clone())
        );
        assert_eq!(
            thumbnail.revoked_by(LeaseChange::RevokeCredential),
            both(thumbnail.credential.unwrap(), content.credential.unwrap())
        );
        let token = of(LeaseScope::Token, MediaKind::Content);
        assert_eq!(
            token.revoked_by(LeaseChange::RevokeCredential),
            vec![token.credential.clone().unwrap()]
        );
        assert!(token.revoked_by(LeaseChange::Grant { asked_unix_secs: 1 }).is_empty());
    }

    #[test]
    fn a_grant_concerns_only_the_records_that_were_granted() {
        let keys = keys(LeaseScope::Token, Door::Client, "a", "m");
        let credential = keys.credential.as_ref().unwrap();
        let granted = |change| keys.granted_by(change);
        assert_eq!(
            granted(LeaseChange::Grant { asked_unix_secs: 5 }),
            Some((vec![(RecordOf::Media, &keys.media), (RecordOf::Credential, credential)], 5))
        );
        assert_eq!(
            granted(LeaseChange::GrantCredential { asked_unix_secs: 5 }),
            Some((vec![(RecordOf::Credential, credential)], 5))
        );
        for change in
            [LeaseChange::Unchanged, LeaseChange::RevokeCredential, LeaseChange::RevokeMedia]
        {
            assert_eq!(granted(change), None);
        }
    }

    #[test]
    fn a_record_weighs_its_key_twice_and_a_little() {
        let long = CacheKey::new(
            &mxc("m").server_name,
            Subject::MediaLease(Door::Client, &mxc(&"x".repeat(255)), MediaKind::Content),
        );
        assert!(record_weight(&long) > 2 * 255 + 200);
    }

    #[test]
    fn a_key_does_not_contain_the_token() {
        let key = keys(LeaseScope::Token, Door::Client, "syt_secret", "m").credential.unwrap();
        assert!(!key.to_string().contains("secret"));
        assert_ne!(digest("syt_a"), digest("syt_b"));
    }

    #[test]
    fn a_record_is_read_back_under_its_own_key_only() {
        let (a, b) = (
            keys(LeaseScope::Token, Door::Client, "a", "a").media,
            keys(LeaseScope::Token, Door::Client, "a", "b").media,
        );
        let text = write_record(&a, 1_700_000_000);
        assert_eq!(parse_record(&text, &a), Some(1_700_000_000));
        assert_eq!(parse_record(&text, &b), None);
        assert_eq!(parse_record(&text.replacen('1', "2", 1), &a), None);
    }
}
