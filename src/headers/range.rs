//! Byte ranges (RFC 9110 §14), which every video player asks for and few homeservers serve.
//!
//! One range is served. Several, or anything malformed, are answered with the whole, which §14.2
//! always allows: nobody reads multipart ranges of media, and making them is work that a client
//! could ask for without end.

/// A range of a representation whose length is not known yet (RFC 9110 §14.1.1), one and in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// From this offset to the end.
    From(u64),
    /// From one offset to another, which is in the range and not less.
    Between(u64, u64),
    /// So many bytes at the end.
    Last(u64),
}

/// The largest offset that an origin is asked for: what a JavaScript number holds, of which many
/// programs on the way are written.
const MAX_ASKED_OFFSET: u64 = (1 << 53) - 1;

/// What a `Range` header asks of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// Everything: there is no header, or none that must be followed.
    Whole,
    /// One part.
    Part(ByteRange),
    /// One part, none of which exists: 416.
    Unsatisfiable,
}

/// A part of a representation: at least one byte, all of them in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, itself in the range.
    pub last: u64,
}

impl RangeSpec {
    /// Parses a `Range` header (RFC 9110 §14.2). Returns `None` unless it has exactly one range, in bytes.
    pub fn parse(header: &str) -> Option<Self> {
        let (unit, set) = header.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        // A list may have empty members (RFC 9110 §5.6.1.2).
        let mut specs = set.split(',').map(str::trim).filter(|spec| !spec.is_empty());
        let (Some(spec), None) = (specs.next(), specs.next()) else { return None };
        match spec.split_once('-')? {
            ("", count) => Some(Self::Last(position(count)?)),
            (first, "") => Some(Self::From(position(first)?)),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// Returns the range within a representation of `length` bytes; [`RangeRequest::Unsatisfiable`]
    /// where none of it exists.
    pub const fn of(self, length: u64) -> RangeRequest {
        match self {
            Self::From(first) | Self::Between(first, _) if first >= length => {
                RangeRequest::Unsatisfiable
            }
            Self::Last(0) => RangeRequest::Unsatisfiable,
            Self::Last(_) if length == 0 => RangeRequest::Unsatisfiable,
            Self::From(first) => RangeRequest::Part(ByteRange { first, last: length - 1 }),
            Self::Between(first, last) => {
                let last = if last < length { last } else { length - 1 };
                RangeRequest::Part(ByteRange { first, last })
            }
            Self::Last(count) => {
                let first = length.saturating_sub(count);
                RangeRequest::Part(ByteRange { first, last: length - 1 })
            }
        }
    }

    /// Returns the `Range` that asks an origin for it, in one spelling. Returns `None` for all of a
    /// representation, which is asked for without one, and for what no file has.
    pub fn request_header(self) -> Option<String> {
        match self {
            Self::From(0) | Self::Last(0) => None,
            Self::From(first) if first <= MAX_ASKED_OFFSET => Some(format!("bytes={first}-")),
            Self::Between(first, last) if first <= MAX_ASKED_OFFSET => {
                Some(format!("bytes={first}-{}", last.min(MAX_ASKED_OFFSET)))
            }
            Self::Last(count) if count <= MAX_ASKED_OFFSET => Some(format!("bytes=-{count}")),
            Self::From(_) | Self::Between(..) | Self::Last(_) => None,
        }
    }
}

impl RangeRequest {
    /// Reads a `Range` header against a representation of `length` bytes.
    pub fn parse(header: Option<&str>, length: u64) -> Self {
        header.and_then(RangeSpec::parse).map_or(Self::Whole, |range| range.of(length))
    }
}

impl ByteRange {
    /// Returns the length of the part in bytes.
    pub const fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// Returns the `Content-Range` of a 206 (RFC 9110 §14.4).
    pub fn content_range(self, complete_length: u64) -> String {
        format!("bytes {}-{}/{complete_length}", self.first, self.last)
    }

    /// Returns the `Range` that asks a store for just this part.
    pub fn request_header(self) -> String {
        format!("bytes={}-{}", self.first, self.last)
    }
}

/// The `Content-Range` of an origin's answer (RFC 9110 §14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// Of a 206: the part, and the length of the whole in bytes.
    Part(ByteRange, u64),
    /// Of a 416: the length of the whole in bytes.
    Unsatisfied(u64),
}

impl ContentRange {
    /// Parses the header. Returns `None` where it is of another unit or malformed, has no length of
    /// the whole, or a part that is not within that length.
    pub fn parse(header: &str) -> Option<Self> {
        let (unit, rest) = header.trim().split_once(' ')?;
        let (part, length) = rest.trim().split_once('/')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let length = exact(length)?;
        if part == "*" {
            return Some(Self::Unsatisfied(length));
        }
        let (first, last) = part.split_once('-')?;
        let (first, last) = (exact(first)?, exact(last)?);
        (first <= last && last < length).then_some(Self::Part(ByteRange { first, last }, length))
    }
}

/// Returns the `Content-Range` of a 416.
pub fn unsatisfied_content_range(complete_length: u64) -> String {
    format!("bytes */{complete_length}")
}

/// Parses a number of any size: one that is too large for 64 bits becomes the largest. Returns
/// `None` for any other text.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Parses a number. Returns `None` for any other text, and for one that is too large.
fn exact(digits: &str) -> Option<u64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(header: &str, length: u64) -> Option<(u64, u64)> {
        match RangeRequest::parse(Some(header), length) {
            RangeRequest::Part(range) => Some((range.first, range.last)),
            RangeRequest::Whole | RangeRequest::Unsatisfiable => None,
        }
    }

    #[test]
    fn an_open_range_is_asked_of_a_store_with_its_last_byte() {
        let RangeRequest::Part(range) = RangeRequest::parse(Some("bytes=2-"), 10) else { panic!() };
        assert_eq!(range.request_header(), "bytes=2-9");
    }

    #[test]
    fn one_range_is_cut_to_what_there_is() {
        for (header, expected) in [
            ("bytes=0-0", (0, 0)),
            ("bytes=2-5", (2, 5)),
            ("bytes=2-", (2, 9)),
            ("bytes=2-99", (2, 9)),
            ("bytes=-3", (7, 9)),
            ("bytes=-99", (0, 9)),
            ("Bytes = 2-5", (2, 5)),
            ("bytes=, 2-5 ,", (2, 5)),
            ("bytes=0-99999999999999999999999", (0, 9)),
            ("bytes=-99999999999999999999999", (0, 9)),
        ] {
            assert_eq!(part(header, 10), Some(expected), "{header}");
        }
    }

    #[test]
    fn a_range_beyond_the_end_is_unsatisfiable() {
        for header in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(
                RangeRequest::parse(Some(header), 10),
                RangeRequest::Unsatisfiable,
                "{header}"
            );
        }
        for header in ["bytes=0-", "bytes=-1"] {
            assert_eq!(
                RangeRequest::parse(Some(header), 0),
                RangeRequest::Unsatisfiable,
                "{header}"
            );
        }
    }

    #[test]
    fn several_and_malformed_ranges_are_the_whole() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=1-2,4-5",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=1-2-3",
            "lines=1-2",
            "bytes=1 - 2",
            "bytes=0x1-2",
        ] {
            assert_eq!(RangeRequest::parse(Some(header), 10), RangeRequest::Whole, "{header}");
        }
        assert_eq!(RangeRequest::parse(None, 10), RangeRequest::Whole);
    }

    #[test]
    fn an_origin_is_asked_for_a_range_in_one_spelling() {
        let asked = |header| RangeSpec::parse(header).and_then(RangeSpec::request_header);
        for (header, expected) in [
            ("Bytes = 007-", Some("bytes=7-")),
            ("bytes=, 2-5 ,", Some("bytes=2-5")),
            ("bytes=0-1", Some("bytes=0-1")),
            ("bytes=-9", Some("bytes=-9")),
            ("bytes=1-99999999999999999999", Some("bytes=1-9007199254740991")),
            ("bytes=9007199254740992-", None),
            ("bytes=-99999999999999999999", None),
            ("bytes=-0", None),
            ("bytes=0-", None),
        ] {
            assert_eq!(asked(header).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn a_content_range_needs_a_known_length() {
        let part = ByteRange { first: 2, last: 5 };
        for (header, expected) in [
            ("bytes 2-5/10", Some(ContentRange::Part(part, 10))),
            ("Bytes  2-5/10 ", Some(ContentRange::Part(part, 10))),
            ("bytes */10", Some(ContentRange::Unsatisfied(10))),
            ("bytes 2-5/*", None),
            ("bytes 2-10/10", None),
            ("bytes 5-2/10", None),
            ("bytes 2-5", None),
            ("bytes=2-5/10", None),
            ("bytes +2-5/10", None),
            ("bytes 2-/10", None),
            ("bytes -5/10", None),
            ("bytes 0-1/99999999999999999999", None),
            ("lines 2-5/10", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(header), expected, "{header}");
        }
    }

    #[test]
    fn a_range_has_a_length_and_a_content_range() {
        let range = ByteRange { first: 2, last: 5 };
        assert_eq!(range.length(), 4);
        assert_eq!(range.content_range(10), "bytes 2-5/10");
        assert_eq!(unsatisfied_content_range(10), "bytes */10");
    }
}
