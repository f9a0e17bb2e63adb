//! Leases: for how long the homeserver's yes is taken as still given.
//!
//! Two records stand for one yes at one door. The *credential's* says that the homeserver accepted
//! this token (or this token for this media), the *media's* that it confirmed this media; while
//! both are alive a stored response is served without asking. They are granted by a 200 or 304 to
//! that very credential and by nothing else, counted from when the question was sent, so that no
//! answer on its way can make a lease longer than it should be.

use crate::access_token::TokenDigest;
use crate::cache_key::{CacheKey, Subject};
use crate::ids::Mxc;
use crate::lease_policy::{LeasePolicy, LeaseScope};
use crate::route::Door;

/// The records that stand for one yes, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseKeys {
    /// The credential's; none at a door that asks for none.
    pub credential: Option<CacheKey>,
    /// The media's.
    pub media: CacheKey,
}

impl LeaseKeys {
    /// The names for `token` and `mxc` at `door`.
    pub fn new(policy: LeasePolicy, door: Door, token: Option<&TokenDigest>, mxc: &Mxc) -> Self {
        let media_if_in_scope = match policy.scope {
            LeaseScope::Token => None,
            LeaseScope::TokenAndMedia => Some(mxc),
        };
        Self {
            credential: token
                .map(|token| CacheKey::new(Subject::TokenLease(door, token, media_if_in_scope))),
            media: CacheKey::new(Subject::MediaLease(door, mxc)),
        }
    }
}

/// When the homeserver last said yes, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// To this credential.
    pub credential: Option<u64>,
    /// About this media.
    pub media: Option<u64>,
}

/// What becomes of the two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseChange {
    /// Nothing.
    Keep,
    /// The homeserver said yes when it was asked at this time: write both.
    Grant {
        /// When the question was sent.
        asked_unix_secs: u64,
    },
    /// It accepted the credential, and was not asked about the media: write the credential's.
    GrantCredential {
        /// When the question was sent.
        asked_unix_secs: u64,
    },
    /// It refused the credential: remove the credential's.
    EndCredential,
    /// It has no such media: remove the media's.
    EndMedia,
    /// It has no such media for this credential: remove both.
    End,
}

/// One record as it is stored in the PoP cache: version, second and key, a space apart.
pub fn write_record(key: &CacheKey, confirmed_unix_secs: u64) -> String {
    format!("{RECORD_VERSION} {confirmed_unix_secs} {key}")
}

/// When the yes was given, if the text is a record of this key.
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
    use crate::access_token::AccessToken;
    use crate::ids::{MediaId, ServerName};

    const POLICY: LeasePolicy =
        LeasePolicy { lease_seconds: 60, scope: LeaseScope::Token, stale_if_error_seconds: 600 };

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
        LeaseKeys::new(LeasePolicy { scope, ..POLICY }, door, Some(&digest(token)), &mxc(media_id))
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
    fn a_key_does_not_tell_the_token() {
        let key = keys(LeaseScope::Token, Door::Client, "syt_secret", "m").credential.unwrap();
        assert!(!key.to_string().contains("secret"));
        assert_ne!(digest("syt_a"), digest("syt_b"));
    }

    #[test]
    fn a_record_is_read_back_under_its_own_key_only() {
        let (a, b) = (
            CacheKey::new(Subject::MediaLease(Door::Client, &mxc("a"))),
            CacheKey::new(Subject::MediaLease(Door::Client, &mxc("b"))),
        );
        let text = write_record(&a, 1_700_000_000);
        assert_eq!(parse_record(&text, &a), Some(1_700_000_000));
        assert_eq!(parse_record(&text, &b), None);
        assert_eq!(parse_record(&text.replacen('1', "2", 1), &a), None);
    }
}
