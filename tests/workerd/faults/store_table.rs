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
            Self::Part => "part of a large one",
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
    row("match", "fails", "a look-up fails", [UNSTORED; 3]),
    row("match", "hangs", "a look-up hangs", [UNSTORED; 3]),
    row("put", "fails", "a store fails", [UNSTORED; 3]),
    row("put", "hangs", "a store hangs", [UNSTORED; 3]),
    row("delete", "fails", "a removal fails", [STORED; 3]),
    row("delete", "hangs", "a removal hangs", [STORED; 3]),
    row("body", "breaks", "a body breaks off", [STORED, BROKEN, BROKEN]),
    row("body", "stalls", "a body stalls", [STORED, BEGUN, BEGUN]),
    row("body", "garbled", "a record is garbage", [STORED; 3]),
];

pub(crate) const BUCKET_ROWS: &[StoreRow] = &[
    row("get", "fails", "a look-up fails", [STORED; 3]),
    row("get", "hangs", "a look-up hangs", [STORED; 3]),
    row("get", "is slow", "a look-up takes a second", [STORED; 3]),
    row("get", "is truncated", "a body is short", [STORED, BROKEN, BROKEN]),
    row("get", "breaks", "a body breaks off", [STORED, BROKEN, BROKEN]),
    row("get", "runs over", "a body is long", [STORED, BROKEN, BROKEN]),
    row("get", "lies about the size", "a size is wrong", [STORED; 3]),
    row("get", "has no record", "a record is missing", [STORED; 3]),
    row("put", "fails", "a store fails", [STORED; 3]),
    row("put", "breaks", "a store breaks off", [STORED; 3]),
    row("put", "hangs", "a store hangs", [STORED; 3]),
    row("delete", "fails", "a removal fails", [STORED; 3]),
    row("delete", "hangs", "a removal hangs", [STORED; 3]),
];
