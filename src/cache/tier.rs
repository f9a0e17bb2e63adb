//! Where stored responses are kept, from the nearest to the farthest.

use crate::cache::entry::StoredMeta;
use crate::cache::key::CacheKey;
use crate::cache::purge_list::Purges;
use crate::config::Config;

/// A place where responses are stored. One that fails or is slow is a miss, never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The isolate's memory: small bodies, for as long as the isolate lives.
    Memory,
    /// The data centre's cache.
    Pop,
    /// The bucket that all data centres share, if there is one.
    Bucket,
}

/// The largest body that is kept in memory, in bytes: thumbnails and avatars, not photographs.
pub const MAX_MEMORY_BODY_BYTES: u64 = 256 * 1024;

/// What an entry weighs beside its body and its record, in bytes: tables of headers, and the
/// bookkeeping of two heaps.
const ENTRY_BYTES: u64 = 3 * 1024;

impl Tier {
    /// Returns the word for `Server-Timing` and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pop => "pop",
            Self::Bucket => "bucket",
        }
    }
}

/// Returns whether a stored response under `key` may be used: it is not older than `CACHE_SECONDS`,
/// and no purge covers it.
pub fn is_usable(
    meta: &StoredMeta,
    key: &CacheKey,
    purges: &Purges,
    config: &Config,
    now_unix_secs: u64,
) -> bool {
    !meta.is_expired(config, now_unix_secs) && !purges.covers(key, meta.stored_unix_secs())
}

/// Returns whether a body of this length is read whole, and so may be kept in memory.
pub const fn is_small(length_bytes: u64) -> bool {
    length_bytes <= MAX_MEMORY_BODY_BYTES
}

/// Returns what an entry weighs in memory, in bytes: body and record.
pub fn memory_weight(meta: &StoredMeta) -> u64 {
    meta.length_bytes() + meta.weight_bytes() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::entry::FetchTimes;
    use crate::cache::entry::Validator;
    use crate::cache::key::Subject;
    use crate::matrix::ids::Mxc;
    use crate::matrix::media::Representation;
    use crate::origin::OriginHead;
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, StatusCode};

    #[test]
    fn a_quarter_of_a_mebibyte_is_small_and_more_is_not() {
        assert!(is_small(0) && is_small(262_144));
        assert!(!is_small(262_145));
    }

    fn entry(length_bytes: u64, content_type: &str) -> StoredMeta {
        let mxc = Mxc::parse("mxc://example.com/abc").unwrap();
        let subject = Subject::Media(&mxc, Representation::Content);
        let key = CacheKey::new(&mxc.server_name, subject);
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
        let head = OriginHead { status: StatusCode::OK, headers };
        let times = FetchTimes { asked_unix_secs: 0, answered_unix_secs: 0 };
        StoredMeta::new(&key, &head, Validator::None, length_bytes, times).unwrap()
    }

    #[test]
    fn an_entry_in_memory_weighs_its_body_its_record_and_some_kibibytes() {
        let weight = |length, content_type| memory_weight(&entry(length, content_type));
        assert!((2048..8192).contains(&weight(0, "a/b")));
        assert_eq!(weight(1000, "a/b"), weight(0, "a/b") + 1000);
        assert_eq!(weight(0, &format!("a/b{}", "x".repeat(1000))), weight(0, "a/b") + 1000);
    }
}
