//! Byte ranges (RFC 9110 §14), which no homeserver serves and every video player asks for.
//!
//! One range is served. Several, or anything malformed, are answered with the whole, which §14.2
//! always allows: nobody reads multipart ranges of media, and making them is work that a client
//! could ask for without end.

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

impl RangeRequest {
    /// Reads a `Range` header against a representation of `length` bytes.
    pub fn parse(header: Option<&str>, length: u64) -> Self {
        let Some(range) = header.and_then(single_range) else { return Self::Whole };
        match range {
            RangeSpec::From(first) | RangeSpec::Between(first, _) if first >= length => {
                Self::Unsatisfiable
            }
            RangeSpec::Last(0) => Self::Unsatisfiable,
            RangeSpec::Last(_) if length == 0 => Self::Unsatisfiable,
            RangeSpec::From(first) => Self::Part(ByteRange { first, last: length - 1 }),
            RangeSpec::Between(first, last) => {
                Self::Part(ByteRange { first, last: last.min(length - 1) })
            }
            RangeSpec::Last(count) => {
                Self::Part(ByteRange { first: length.saturating_sub(count), last: length - 1 })
            }
        }
    }
}

impl ByteRange {
    /// How many bytes it has.
    pub const fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// The `Content-Range` of a 206 (RFC 9110 §14.4).
    pub fn content_range(self, complete_length: u64) -> String {
        format!("bytes {}-{}/{complete_length}", self.first, self.last)
    }

    /// The `Range` that asks a store for just this.
    pub fn request_header(self) -> String {
        format!("bytes={}-{}", self.first, self.last)
    }
}

/// The `Content-Range` of a 416.
pub fn unsatisfied_content_range(complete_length: u64) -> String {
    format!("bytes */{complete_length}")
}

#[derive(Clone, Copy)]
enum RangeSpec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

/// RFC 9110 §14.1.1 with exactly one range-spec in bytes.
fn single_range(header: &str) -> Option<RangeSpec> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // A list may have empty members (RFC 9110 §5.6.1.2).
    let mut specs = set.split(',').map(str::trim).filter(|spec| !spec.is_empty());
    let (Some(spec), None) = (specs.next(), specs.next()) else { return None };
    match spec.split_once('-')? {
        ("", count) => Some(RangeSpec::Last(position(count)?)),
        (first, "") => Some(RangeSpec::From(position(first)?)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(RangeSpec::Between(first, last))
        }
    }
}

/// A number of any size; what no file reaches is as good as the largest.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
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
    fn a_part_is_asked_of_a_store_as_it_was_asked_for() {
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
    fn a_range_tells_its_length_and_place() {
        let range = ByteRange { first: 2, last: 5 };
        assert_eq!(range.length(), 4);
        assert_eq!(range.content_range(10), "bytes 2-5/10");
        assert_eq!(unsatisfied_content_range(10), "bytes */10");
    }
}
