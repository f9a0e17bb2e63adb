//! What is to come of each fault of a tier.

use super::table::{Cell, Gets, Kept};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A body that is read whole, and kept in memory.
    Small,
    Large,
    /// A part of a large one.
    Part,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Large, Self::Part];

    /// The words for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
            Self::Part => "range of a large one",
        }
    }
}

/// One fault, and what comes of it for each kind.
pub(crate) struct StoreRow {
    /// What is to be done.
    pub(crate) operation: &'static str,
    /// What comes of that, by the name that what enacts it has for it.
    pub(crate) fault: &'static str,
    /// The words for both.
    pub(crate) words: &'static str,
    pub(crate) cells: [Cell; 3],
}

const STORED: Cell = Cell { gets: Gets::Right, kept: Kept::Right };
const UNSTORED: Cell = Cell { gets: Gets::Right, kept: Kept::Nothing };
const BROKEN: Cell = Cell { gets: Gets::Broken, kept: Kept::Right };

const BEGUN: Cell = Cell { gets: Gets::Beginning, kept: Kept::Right };

const fn row(
    operation: &'static str,
    fault: &'static str,
    words: &'static str,
    cells: [Cell; 3],
) -> StoreRow {
    StoreRow { operation, fault, words, cells }
}

pub(crate) const CACHE_ROWS: &[StoreRow] = &[
    row("match", "fails", "a look-up fails", [STORED, UNSTORED, UNSTORED]),
    row("match", "hangs", "a look-up hangs", [STORED, UNSTORED, UNSTORED]),
    row("put", "fails", "a write fails", [STORED, UNSTORED, UNSTORED]),
    row("put", "hangs", "a write hangs", [STORED, UNSTORED, UNSTORED]),
    row("delete", "fails", "a removal fails", [STORED; 3]),
    row("delete", "hangs", "a removal hangs", [STORED; 3]),
    row("body", "breaks", "a body breaks off", [STORED, BROKEN, BROKEN]),
    row("body", "stalls", "a body stalls", [STORED, BEGUN, BEGUN]),
    row("body", "garbled", "a record is garbage", [STORED; 3]),
];

/// What Cloudflare's cache may do at any time, as the settings of its stand-in.
pub(crate) const CLOUDFLARE_CACHE_ROWS: &[StoreRow] = &[
    row("cache", r#"{"visibleAfterMs":50}"#, "it shows new entries 50 ms late", [STORED; 3]),
    row("cache", r#"{"visibleAfterMs":500}"#, "it shows new entries 500 ms late", [STORED; 3]),
    row("cache", r#"{"visibleAfterMs":null}"#, "it never shows new entries", [STORED; 3]),
    row("cache", r#"{"callMs":[200,300]}"#, "each call takes 200 to 300 ms", [STORED; 3]),
    row("cache", r#"{"offBy":"access"}"#, "Access is in front of the Worker", [STORED; 3]),
    row("cache", r#"{"offBy":"development"}"#, "Development Mode is on", [STORED; 3]),
    row("cache", r#"{"offBy":"rule"}"#, "a Cache Rule bypasses it", [STORED; 3]),
    row("cache", r#"{"maxBytes":1000}"#, "it silently refuses every body", [STORED; 3]),
    row("cache", r#"{"evictsOf":2}"#, "every other entry is evicted", [STORED; 3]),
    row("cache", r#"{"refusesDeleteOf":1}"#, "deletes are refused (429)", [STORED; 3]),
    row("cache", r#"{"deletesAfterMs":500}"#, "deletes take effect 500 ms late", [STORED; 3]),
    row("bucket", r#"{"callMs":[300,300]}"#, "each call of the bucket takes 300 ms", [STORED; 3]),
    row("bucket", r#"{"maxMetadataBytes":0}"#, "the bucket refuses every write", [STORED; 3]),
];

pub(crate) const BUCKET_ROWS: &[StoreRow] = &[
    row("get", "fails", "a look-up fails", [STORED; 3]),
    row("get", "hangs", "a look-up hangs", [STORED; 3]),
    row("get", "is slow", "a look-up takes a second", [STORED; 3]),
    row("get", "is truncated", "a body is too short", [STORED, BROKEN, BROKEN]),
    row("get", "breaks", "a body breaks off", [STORED, BROKEN, BROKEN]),
    row("get", "runs over", "a body is too long", [STORED, BROKEN, BROKEN]),
    row("get", "lies about the size", "a size is wrong", [STORED; 3]),
    row("get", "has no record", "a record is missing", [STORED; 3]),
    row("put", "fails", "a write fails", [STORED; 3]),
    row("put", "breaks", "a write breaks off", [STORED; 3]),
    row("put", "hangs", "a write hangs", [STORED; 3]),
    row("delete", "fails", "a removal fails", [STORED; 3]),
    row("delete", "hangs", "a removal hangs", [STORED; 3]),
];
