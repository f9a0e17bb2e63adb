//! What may be logged of the runtime's errors. Their messages may quote a request or an answer, such
//! as an address with a token in it: only what looks like plain words stays.

use std::iter;

/// The most letters of a plain word, and digits of a plain number: no identifier of Matrix or of the
/// platform is as short.
const MAX_LETTERS: usize = 16;
const MAX_DIGITS: usize = 5;

/// Returns the message with every word that is not plain as `…`, one space between two.
///
/// A word is empty, and so not plain, in an empty message and where white space begins or ends it.
pub fn redact(message: &str) -> String {
    let words = words(message).map(|word| if is_plain(word) { word } else { "…" });
    words.collect::<Vec<_>>().join(" ")
}

/// Returns what stands before, between and after the white space.
fn words(message: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(message);
    iter::from_fn(move || {
        let text = rest.take()?;
        let Some((word, after)) = text.split_once(is_white_space) else { return Some(text) };
        rest = Some(after.trim_start_matches(is_white_space));
        Some(word)
    })
}

/// Returns whether a character is ECMAScript's `\s`, at which the runtime's messages are split.
/// <https://tc39.es/ecma262/#sec-white-space>
fn is_white_space(c: char) -> bool {
    (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}'
}

/// Returns whether a word of a message is a word or a number of everyday language, in parentheses
/// or not, with a punctuation mark after it or not.
fn is_plain(word: &str) -> bool {
    let word = word.strip_suffix(['.', ',', ':', ';']).unwrap_or(word);
    let word = word.strip_prefix('(').unwrap_or(word);
    let word = word.strip_suffix(')').unwrap_or(word).as_bytes();
    let is_word = word.first().is_some_and(u8::is_ascii_alphabetic)
        && word.len() <= MAX_LETTERS
        && word.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'\'' | b'-'));
    let is_number = (1..=MAX_DIGITS).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    is_word || is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay() {
        for message in [
            "Network connection lost.",
            "The script will never generate a response",
            "internal error; reference",
            "can't read from well-known (closed), status: 502",
            "A (b) (c). d) (e",
        ] {
            assert_eq!(redact(message), message);
        }
    }

    #[test]
    fn addresses_tokens_and_identifiers_are_masked() {
        for word in [
            "https://matrix.example.com/_matrix/client/v1/media/download/a/b?access_token=c",
            "matrix.example.com",
            "203.0.113.7",
            "[2001:db8::1]:443",
            "mxc://example.com/abc",
            "@user:example.com",
            "user@example.com",
            "syt_dXNlcg_abcdefgh_0a1b2c",
            "access_token=abc",
            "abc123",
            "\"quoted\"",
            "a/b",
            "a_b",
            "c:\\d",
        ] {
            assert_eq!(redact(&format!("failed for {word} here")), "failed for … here", "{word}");
            assert_eq!(redact(&format!("({word}).")), "…", "{word}");
        }
    }

    #[test]
    fn a_long_word_is_masked() {
        assert_eq!(
            redact("abcdefghijklmnop (abcdefghijklmnop),"),
            "abcdefghijklmnop (abcdefghijklmnop),"
        );
        assert_eq!(redact("abcdefghijklmnopq a---------------- a-b'c"), "… … a-b'c");
    }

    #[test]
    fn a_long_number_is_masked() {
        assert_eq!(redact("after 12345 (54321); 0"), "after 12345 (54321); 0");
        assert_eq!(redact("after 123456 ms, -1 1.5 1,000 0x1f 5th"), "after … ms, … … … … …");
    }

    #[test]
    fn punctuation_stays_only_around_a_plain_word() {
        assert_eq!(redact("a. b, c: d; (e) (f. g), (h):"), "a. b, c: d; (e) (f. g), (h):");
        for word in [
            "", "(", ")", ".", "()", "(.", "...", "a..", "a.)", "a))", "((a", "a!", "a?", "-a",
            "'a", "a(b", "-", "…",
        ] {
            assert_eq!(redact(word), "…", "{word:?}");
        }
    }

    #[test]
    fn non_ascii_words_are_masked() {
        // The last two are equal to `k` and `s` where letters are compared by Unicode's rules.
        for word in
            ["caf\u{e9}", "\u{4f60}\u{597d}", "\u{661}\u{662}", "a\u{fffd}", "\u{212a}", "\u{17f}"]
        {
            assert_eq!(redact(word), "…", "{word}");
        }
    }

    #[test]
    fn an_empty_message_is_one_empty_word() {
        assert_eq!(redact(""), "…");
    }

    #[test]
    fn white_space_between_words_becomes_one_space() {
        assert_eq!(redact("a  b\t\r\n c\u{a0}d\u{2028}e\u{feff}f"), "a b c d e f");
        // No white space to ECMAScript.
        assert_eq!(redact("a\u{85}b a\u{200b}b"), "… …");
    }

    #[test]
    fn white_space_at_an_end_has_an_empty_word_before_or_after_it() {
        assert_eq!(redact(" \n a"), "… a");
        assert_eq!(redact("a \t "), "a …");
        assert_eq!(redact("  "), "… …");
    }
}
