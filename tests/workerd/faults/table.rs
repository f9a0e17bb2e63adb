//! What is to come of each fault in each situation.

use super::origin::Fault;

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gets {
    /// What it asked for, whole.
    Right,
    /// An error with CORS: of Matrix, if it is the edge's own.
    Error(u16),
    /// A transfer that breaks off, as everyone can see.
    Broken,
    /// A part that looks whole, or something else than it asked for.
    Shortened,
    /// As much as there is, for as long as it stays.
    Beginning,
}

/// What is stored afterwards. What is wrong never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Nothing,
    Right,
    /// One or the other. What breaks off while it replaces something leaves that alone on Cloudflare;
    /// the local cache may lose it.
    Either,
}

impl Kept {
    pub(crate) const fn admits(self, is_stored: bool) -> bool {
        match self {
            Self::Nothing => !is_stored,
            Self::Right => is_stored,
            Self::Either => true,
        }
    }
}

/// What comes of one fault in one situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) gets: Gets,
    pub(crate) kept: Kept,
}

/// What comes in all situations, in their order; nothing where it makes no sense.
pub(crate) type Cells = [Option<Cell>; 10];

/// One fault in all situations.
pub(crate) struct Row {
    pub(crate) fault: Fault,
    /// What is to come, behind Cloudflare's proxy and without anything between edge and origin.
    pub(crate) cells: Cells,
}

/// Rows that one test shows.
pub(crate) struct Group {
    pub(crate) test: &'static str,
    pub(crate) title: &'static str,
    pub(crate) rows: &'static [Row],
}

const fn cell(gets: Gets, is_stored: bool) -> Option<Cell> {
    Some(Cell { gets, kept: if is_stored { Kept::Right } else { Kept::Nothing } })
}

/// As if nothing were wrong.
const FINE: Option<Cell> = cell(Gets::Right, true);
/// The same, of what is never stored.
const PASSED: Option<Cell> = cell(Gets::Right, false);
/// No answer of the origin that is of use.
const BAD: Option<Cell> = cell(Gets::Error(502), false);
/// The same, with something stored that stays.
const KEPT: Option<Cell> = cell(Gets::Error(502), true);
const BROKEN: Option<Cell> = cell(Gets::Broken, false);
/// The same of what was to replace something.
const REPLACED: Option<Cell> = Some(Cell { gets: Gets::Broken, kept: Kept::Either });
/// The same where another one has had it stored.
const SPARED: Option<Cell> = cell(Gets::Broken, true);
/// One that has been told that another waits, who then asks for himself.
const AWAITED: Option<Cell> = cell(Gets::Error(502), true);
/// No answer in time.
const LATE: Option<Cell> = cell(Gets::Error(504), false);
const LATE_KEPT: Option<Cell> = cell(Gets::Error(504), true);
const BEGUN: Option<Cell> = cell(Gets::Beginning, false);
const BEGUN_KEPT: Option<Cell> = cell(Gets::Beginning, true);
const NONE: Option<Cell> = None;

pub(crate) const GROUPS: &[Group] = &[
    Group {
        test: "faults::no_answer",
        title: "No answer",
        rows: &[
            // Miss, part, awaited, legacy, federation, strict, stale, leased, upload, well-known.
            row(Fault::Reset, [BAD, BAD, AWAITED, BAD, BAD, KEPT, FINE, FINE, BAD, PASSED]),
            row(Fault::Refused, [BAD, BAD, NONE, BAD, BAD, KEPT, FINE, FINE, BAD, PASSED]),
            row(Fault::Closed, [BAD, BAD, AWAITED, BAD, BAD, KEPT, FINE, FINE, BAD, PASSED]),
            row(Fault::HalfHead, [BAD, BAD, AWAITED, BAD, BAD, KEPT, FINE, FINE, BAD, PASSED]),
            row(Fault::NoHttp, [BAD, BAD, AWAITED, BAD, BAD, KEPT, FINE, FINE, BAD, PASSED]),
            row(Fault::EndlessHead, [BAD, BAD, AWAITED, BAD, BAD, KEPT, FINE, FINE, BAD, PASSED]),
            row(Fault::Flapping, [FINE, FINE, FINE, FINE, FINE, FINE, FINE, FINE, BAD, PASSED]),
        ],
    },
    Group {
        test: "faults::an_odd_answer",
        title: "An unusual answer",
        rows: &[
            row(
                Fault::Error,
                [
                    cell(Gets::Error(503), false),
                    cell(Gets::Error(503), false),
                    cell(Gets::Error(503), true),
                    cell(Gets::Error(503), false),
                    cell(Gets::Error(503), false),
                    cell(Gets::Error(503), true),
                    FINE,
                    FINE,
                    cell(Gets::Error(503), false),
                    PASSED,
                ],
            ),
            row(Fault::Continue, INTERIM_ENDS),
            row(Fault::EarlyHints, INTERIM_ENDS),
            row(Fault::Part, [BAD, BAD, AWAITED, BAD, BAD, KEPT, KEPT, FINE, NONE, PASSED]),
            row(Fault::NotModified, [BAD, BAD, AWAITED, BAD, BAD, NONE, NONE, FINE, NONE, PASSED]),
            row(Fault::Gzip, [PASSED, PASSED, FINE, PASSED, PASSED, FINE, FINE, FINE, NONE, NONE]),
            row(
                Fault::RedirectLoop,
                [
                    BAD,
                    BAD,
                    AWAITED,
                    BAD,
                    cell(Gets::Error(307), false),
                    KEPT,
                    KEPT,
                    FINE,
                    NONE,
                    PASSED,
                ],
            ),
            row(Fault::WrongDate, [FINE, FINE, FINE, FINE, FINE, FINE, FINE, FINE, PASSED, PASSED]),
            row(Fault::AbsurdAge, [FINE, FINE, FINE, FINE, FINE, FINE, FINE, FINE, PASSED, PASSED]),
            row(
                Fault::NonsenseExpiry,
                [FINE, FINE, FINE, FINE, FINE, FINE, FINE, FINE, PASSED, PASSED],
            ),
        ],
    },
    Group {
        test: "faults::a_body_that_breaks",
        title: "A body that breaks",
        rows: &[
            row(
                Fault::ResetAfterHead,
                [BROKEN, BROKEN, SPARED, BROKEN, BROKEN, REPLACED, REPLACED, FINE, BROKEN, PASSED],
            ),
            row(
                Fault::ShortBody,
                [BROKEN, BROKEN, SPARED, BROKEN, BROKEN, REPLACED, REPLACED, FINE, BROKEN, PASSED],
            ),
            row(
                Fault::ResetBody,
                [BROKEN, BROKEN, SPARED, BROKEN, BROKEN, REPLACED, REPLACED, FINE, BROKEN, PASSED],
            ),
            row(Fault::LongBody, [FINE, FINE, NONE, FINE, FINE, FINE, FINE, FINE, PASSED, PASSED]),
            row(
                Fault::UnendedBody,
                [BROKEN, BROKEN, SPARED, BROKEN, BROKEN, SPARED, SPARED, FINE, BROKEN, PASSED],
            ),
            row(
                Fault::EndlessBody,
                [
                    BEGUN, BEGUN, BEGUN_KEPT, BEGUN, BEGUN, BEGUN_KEPT, BEGUN_KEPT, FINE, BEGUN,
                    PASSED,
                ],
            ),
        ],
    },
    Group {
        test: "silent_origin::clients_wait_no_longer_than_stated",
        title: "An origin that stalls",
        rows: &[
            row(
                Fault::SilentHead,
                [LATE, LATE, LATE_KEPT, LATE, LATE, LATE_KEPT, FINE, FINE, NONE, PASSED],
            ),
            row(
                Fault::SilentMidHead,
                [LATE, LATE, LATE_KEPT, LATE, LATE, LATE_KEPT, FINE, FINE, NONE, NONE],
            ),
            row(
                Fault::SilentMidBody,
                [BEGUN, BEGUN, NONE, BEGUN, BEGUN, BEGUN_KEPT, BEGUN_KEPT, FINE, BEGUN, NONE],
            ),
            row(
                Fault::SilentEnd,
                [BEGUN, BEGUN, NONE, BEGUN, BEGUN, BEGUN_KEPT, BEGUN_KEPT, FINE, BEGUN, NONE],
            ),
        ],
    },
];

/// Cloudflare answers in the origin's place, and the edge says that it can't reach the homeserver.
const UNREACHED: Cells = [BAD, BAD, NONE, BAD, BAD, KEPT, FINE, FINE, BAD, PASSED];
/// The same, since that takes the origin too long.
const UNREACHED_LATE: Cells = [LATE, LATE, NONE, LATE, LATE, LATE_KEPT, FINE, FINE, LATE, PASSED];
/// Interim answers end at the proxy, or else in the runtime.
const INTERIM_ENDS: Cells = [FINE, FINE, FINE, FINE, FINE, FINE, FINE, FINE, PASSED, PASSED];

const fn row(fault: Fault, cells: Cells) -> Row {
    Row { fault, cells }
}

const fn page(name: &'static str) -> Row {
    row(Fault::Page(name), UNREACHED)
}

/// What Cloudflare answers by itself, behind its proxy.
pub(crate) const PAGES: Group = Group {
    test: "faults::cloudflares_own_answers",
    title: "Cloudflare's own answers",
    rows: &[
        page("blocked"),
        page("challenged"),
        page("limited"),
        page("login"),
        page("maintenance"),
        page("520"),
        page("521"),
        row(Fault::Page("522"), UNREACHED_LATE),
        page("523"),
        row(Fault::Page("524"), UNREACHED_LATE),
        page("525"),
        page("526"),
        page("530"),
    ],
};
