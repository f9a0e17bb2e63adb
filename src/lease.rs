//! Leases: for how long the homeserver's yes is taken as still given.
//!
//! Two records stand for one yes at one door. The *credential's* says that the homeserver accepted
//! this token (or this token for this media), the *media's* that it confirmed this media; while
//! both are alive a stored response is served without asking. They are granted by a 200 or 304 to
//! that very credential and by nothing else, counted from when the question was sent, so that no
//! answer on its way can make a lease longer than it should be.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::cache_key::{CacheKey, Subject};
use crate::credentials::AccessToken;
use crate::ids::Mxc;
use crate::route::Door;

/// `LEASE_SECONDS`, `LEASE_SCOPE` and `STALE_IF_ERROR_SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeasePolicy {
    /// How long a yes lasts. 0: not at all, every request asks.
    pub lease_seconds: u64,
    /// What a token's yes covers.
    pub scope: LeaseScope,
    /// How long after its last yes a credential is served while the homeserver is down.
    pub stale_if_error_seconds: u64,
}

/// What a token's yes covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseScope {
    /// All media that the homeserver confirms to anyone at this door.
    Token,
    /// The media that it was given for (MSC3911).
    TokenAndMedia,
}

impl LeasePolicy {
    /// Whether anything is remembered at all.
    pub const fn is_remembering(self) -> bool {
        self.retention_seconds() > 0
    }

    /// How long a record may be of use.
    pub const fn retention_seconds(self) -> u64 {
        if self.lease_seconds > self.stale_if_error_seconds {
            self.lease_seconds
        } else {
            self.stale_if_error_seconds
        }
    }

    /// Whether a yes of `confirmed_unix_secs` still counts.
    pub const fn is_alive(self, confirmed_unix_secs: u64, now_unix_secs: u64) -> bool {
        is_within(confirmed_unix_secs, self.lease_seconds, now_unix_secs)
    }

    /// Whether a yes still counts but should be renewed: in the last quarter of its life.
    pub const fn is_old(self, confirmed_unix_secs: u64, now_unix_secs: u64) -> bool {
        !is_within(confirmed_unix_secs, self.lease_seconds - self.lease_seconds / 4, now_unix_secs)
    }

    /// Whether a yes counts while the homeserver is down.
    pub const fn is_within_stale_window(
        self,
        confirmed_unix_secs: u64,
        now_unix_secs: u64,
    ) -> bool {
        is_within(confirmed_unix_secs, self.stale_if_error_seconds, now_unix_secs)
    }
}

/// Whole seconds of two instants differ by less than `seconds` only if the instants do. A clock
/// that has stepped back makes a record of the future, which counts for nothing.
const fn is_within(since_unix_secs: u64, seconds: u64, now_unix_secs: u64) -> bool {
    match now_unix_secs.checked_sub(since_unix_secs) {
        Some(age_secs) => age_secs < seconds,
        None => false,
    }
}

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

/// A keyed digest of an access token: what stands for it in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDigest(String);

impl TokenDigest {
    /// HMAC-SHA-256 (RFC 2104) of the token, in hexadecimal.
    pub fn new(key: &[u8], token: &AccessToken) -> Self {
        #[expect(clippy::expect_used, reason = "RFC 2104 takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
        mac.update(token.as_bytes());
        Self(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digest in hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn a_lease_ends_on_its_last_second() {
        assert!(POLICY.is_alive(100, 100));
        assert!(POLICY.is_alive(100, 159));
        assert!(!POLICY.is_alive(100, 160));
    }

    #[test]
    fn no_lease_is_alive_in_strict_mode() {
        assert!(!LeasePolicy { lease_seconds: 0, ..POLICY }.is_alive(100, 100));
    }

    #[test]
    fn a_lease_of_the_future_counts_for_nothing() {
        assert!(!POLICY.is_alive(101, 100));
        assert!(!POLICY.is_within_stale_window(101, 100));
    }

    #[test]
    fn a_lease_is_old_in_its_last_quarter() {
        assert!(!POLICY.is_old(100, 144));
        assert!(POLICY.is_old(100, 145));
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
    fn the_digest_is_hmac_sha_256() {
        // RFC 4231 §4.3, test case 2, whose text has spaces that no token has; so by openssl:
        // printf token | openssl dgst -sha256 -hmac key
        assert_eq!(
            digest("token").as_str(),
            "646b8eac0c4ae4178299c9bd924e2bf073dfb07e024901a8c864f65b9462bf0d"
        );
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
