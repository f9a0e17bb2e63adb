//! The envelope of federation media, as far as a cache must know it.
//!
//! <https://spec.matrix.org/v1.15/server-server-api/#get_matrixfederationv1mediadownloadmediaid>:
//! two parts, a JSON object and the media. Synapse's parser takes each network read by itself; one
//! that ends within the first part or a header spoils the media *for good* at the receiving
//! server. So everything before the first byte of the media leaves in one piece.

/// The most that is looked at for the end of the envelope's head, in bytes. Synapse's has about
/// 300, most of them a file name's.
pub const MAX_PREAMBLE_BYTES: usize = 16 * 1024;

/// Returns how many bytes stand before the media: both parts' heads, and the first part.
///
/// `None` while the end of these has not come.
pub fn preamble_length(bytes: &[u8]) -> Option<usize> {
    let first_head = blank_line_end(bytes)?;
    Some(first_head + blank_line_end(&bytes[first_head..])?)
}

/// Returns whether the bytes before the media (see [`preamble_length`]) are the beginning of an
/// envelope that holds the media: two parts under one boundary, the second of which is no mere
/// `Location` of the media.
pub fn holds_media(preamble: &[u8]) -> bool {
    let text = preamble.strip_prefix(b"\r\n").unwrap_or(preamble);
    let Some(end) = text.windows(2).position(|window| window == b"\r\n") else { return false };
    let delimiter = &text[..end];
    let Some(first_head) = blank_line_end(text) else { return false };
    let rest = &text[first_head..];
    let second = [b"\r\n", delimiter, b"\r\n"].concat();
    let Some(start) = rest.windows(second.len()).position(|window| window == second) else {
        return false;
    };
    let head = &rest[start + second.len()..];
    let has_location = head
        .split(|byte| *byte == b'\n')
        .any(|line| line.len() >= 9 && line[..9].eq_ignore_ascii_case(b"location:"));
    delimiter.len() > 2 && delimiter.starts_with(b"--") && !has_location
}

fn blank_line_end(bytes: &[u8]) -> Option<usize> {
    const BLANK_LINE: &[u8] = b"\r\n\r\n";
    let start = bytes.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE)?;
    Some(start + BLANK_LINE.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREAMBLE: &[u8] = b"\r\n--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\n\
        Content-Type: text/plain\r\nContent-Disposition: inline\r\n\r\n";

    #[test]
    fn the_preamble_ends_where_the_media_begins() {
        let body = [PREAMBLE, b"a\r\n\r\nb\r\n--b--\r\n"].concat();
        assert_eq!(preamble_length(&body), Some(PREAMBLE.len()));
    }

    #[test]
    fn an_envelope_of_two_parts_holds_media() {
        assert!(holds_media(PREAMBLE));
        assert!(holds_media(&PREAMBLE[2..]), "without the line break before it");
        assert!(holds_media(b"--b\r\n\r\n{}\r\n--b\r\n\r\n"), "parts without headers");
    }

    #[test]
    fn other_preambles_hold_no_media() {
        for preamble in [
            &b""[..],
            b"<html>\r\n\r\n<body>\r\n\r\n",
            b"--b\r\n\r\n{}\r\n--b--\r\n\r\n",
            b"--b\r\n\r\n{}\r\n--c\r\n\r\n",
            b"--\r\n\r\n{}\r\n--\r\n\r\n",
            b"--b\r\n\r\n{}\r\n--b\r\nlocation: https://a\r\n\r\n",
        ] {
            assert!(!holds_media(preamble), "{:?}", String::from_utf8_lossy(preamble));
        }
    }

    #[test]
    fn an_unfinished_preamble_has_no_length() {
        for end in 0..PREAMBLE.len() {
            assert_eq!(preamble_length(&PREAMBLE[..end]), None, "{end}");
        }
    }
}
