//! Redaction: no more of an error's message is logged than plain words, and those as they are.

use matrix_media_edge::telemetry::redact::redact;

/// The input is a message.
pub(crate) fn target(input: &[u8]) {
    let Ok(message) = std::str::from_utf8(input) else { return };
    let redacted = redact(message);
    for word in redacted.split(' ').filter(|word| *word != "…") {
        assert!(message.contains(word), "it is the message's");
        assert!(word.is_ascii() && word.len() <= 19, "it is short");
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
        assert!(digits + letters > 0 && digits.min(letters) == 0, "it is a word or a number");
        assert!(digits <= 5 && letters <= 16, "it is no identifier");
        assert!(!word.contains(['/', '@', '=', '_', '%', '?', '&', '"', '+']), "it is no address");
    }
    assert_eq!(redact(&redacted), redacted, "what is redacted stays so");
}
