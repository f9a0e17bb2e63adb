//! Where stored responses are kept, from the nearest to the farthest.

use crate::cache_key::CacheKey;
use crate::config::Config;
use crate::purge::Purges;
use crate::stored::StoredMeta;

/// A place that keeps stored responses. One that fails or is slow is a miss, never an error.
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

/// What an entry weighs beside its body, in bytes: record, headers, names, and the bookkeeping of
/// two heaps.
const ENTRY_BYTES: u64 = 3 * 1024;

impl Tier {
    /// The word for `Server-Timing` and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pop => "pop",
            Self::Bucket => "bucket",
        }
    }
}

/// Whether what a tier holds under `key` may be used at all: it is not too old, and nobody has
/// purged it since it came.
pub fn is_usable(
    meta: &StoredMeta,
    key: &CacheKey,
    purges: &Purges,
    config: &Config,
    now_unix_secs: u64,
) -> bool {
    !meta.is_expired(config, now_unix_secs) && !purges.covers(key, meta.stored_unix_secs())
}

/// Whether a body of this length is read whole, and so may be kept in memory.
pub const fn is_small(length_bytes: u64) -> bool {
    length_bytes <= MAX_MEMORY_BODY_BYTES
}

/// What an entry in memory counts for, in bytes.
pub const fn memory_weight(length_bytes: u64) -> u64 {
    length_bytes + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_a_mebibyte_is_small_and_more_is_not() {
        assert!(is_small(0) && is_small(262_144));
        assert!(!is_small(262_145));
    }

    #[test]
    fn an_entry_in_memory_weighs_its_body_and_some_kibibytes() {
        assert!((2048..8192).contains(&memory_weight(0)));
        assert_eq!(memory_weight(1000), memory_weight(0) + 1000);
    }
}
