//! Envelopes of federation media: what stands before the media ends where it says.

use matrix_media_edge::multipart::preamble_length;

/// The input is a body as far as it has come.
pub(crate) fn target(input: &[u8]) {
    const BLANK_LINE: &[u8] = b"\r\n\r\n";
    let Some(length) = preamble_length(input) else {
        let whole = [input, BLANK_LINE, BLANK_LINE].concat();
        assert!(preamble_length(&whole).is_some(), "two blank lines end it");
        return;
    };
    let preamble = &input[..length];
    assert!(preamble.ends_with(BLANK_LINE));
    assert_eq!(preamble_length(preamble), Some(length), "what follows makes no difference");
    assert_eq!(preamble_length(&preamble[..length - 1]), None, "it is not over before");
    let first = preamble.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE);
    let first_end = first.expect("a blank line") + BLANK_LINE.len();
    let second = &preamble[first_end..length - BLANK_LINE.len()];
    assert!(!second.windows(BLANK_LINE.len()).any(|window| window == BLANK_LINE));
}
