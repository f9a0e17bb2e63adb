//! `Range`: a part is within the representation, and is the one that was asked for.

use matrix_media_edge::headers::range::{ByteRange, RangeRequest, unsatisfied_content_range};

use crate::input::{is_plain, texts};

/// The input's lines: the length of the representation, and the header.
pub(crate) fn target(input: &[u8]) {
    let Some([length, header]) = texts(input) else { return };
    let length = length.parse().unwrap_or(1000);
    let read = RangeRequest::parse(Some(header), length);
    if let Some(expected) = plainly(header, length) {
        assert_eq!(read, expected);
    }
    match read {
        RangeRequest::Whole => {}
        RangeRequest::Unsatisfiable => {
            assert!(is_plain(&unsatisfied_content_range(length)));
        }
        RangeRequest::Part(range) => {
            assert!(range.first <= range.last && range.last < length, "within {length}");
            assert!((1..=length).contains(&range.length()));
            assert_eq!(RangeRequest::parse(Some(&range.request_header()), length), read);
            let told = range.content_range(length);
            assert_eq!(told, format!("bytes {}-{}/{length}", range.first, range.last));
        }
    }
}

/// RFC 9110 §14.1.2 for one range without white space, in numbers that can't overflow.
fn plainly(header: &str, length: u64) -> Option<RangeRequest> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let is_number = (1..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        // What no file reaches is all the same.
        is_number.then(|| text.parse::<u128>().expect("thirty digits").min(u64::MAX.into()))
    };
    let length_wide = u128::from(length);
    let (first, end) = match (first, last) {
        ("", count) => (length_wide.saturating_sub(number(count)?), length_wide),
        (first, "") => (number(first)?, length_wide),
        (first, last) if number(first)? > number(last)? => return Some(RangeRequest::Whole),
        (first, last) => (number(first)?, length_wide.min(number(last)? + 1)),
    };
    if first >= end {
        return Some(RangeRequest::Unsatisfiable);
    }
    let offset = |at: u128| u64::try_from(at).expect("within the length");
    Some(RangeRequest::Part(ByteRange { first: offset(first), last: offset(end - 1) }))
}
