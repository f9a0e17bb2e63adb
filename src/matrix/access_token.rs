//! Access tokens, and what stands for them where they must not be told.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// An access token. It has no `Display`, and its `Debug` doesn't show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Takes a text that can be a token: RFC 6750 `b64token`, loosely, so visible ASCII. A comma
    /// shows that the platform joined two headers.
    pub fn parse(text: &str) -> Option<Self> {
        let is_token = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        is_token.then(|| Self(text.to_owned()))
    }

    /// Returns the `Authorization` header that shows the token.
    pub fn to_header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Returns whether `shown` is this token, in a time that doesn't depend on how much of `shown`
    /// is right.
    pub fn is(&self, shown: &Self) -> bool {
        const KEY: &[u8] = b"compare";
        mac(KEY, shown).verify(&mac(KEY, self).finalize().into_bytes()).is_ok()
    }

    /// Returns the token's bytes, for a digest.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// A keyed digest of an access token: what stands for it in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDigest(String);

impl TokenDigest {
    /// Returns the HMAC-SHA-256 (RFC 2104) of the token.
    pub fn new(key: &[u8], token: &AccessToken) -> Self {
        let digest = mac(key, token).finalize().into_bytes();
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        Self(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
    }

    /// Returns the digest in hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn mac(key: &[u8], token: &AccessToken) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "RFC 2104 takes keys of any length")]
    let mut mac = Hmac::new_from_slice(key).expect("a key of any length");
    mac.update(token.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> AccessToken {
        AccessToken::parse(text).unwrap()
    }

    #[test]
    fn debug_output_contains_no_token() {
        assert!(!format!("{:?}", token("syt_x")).contains("syt"));
    }

    #[test]
    fn a_token_equals_itself_alone() {
        assert!(token("syt_x").is(&token("syt_x")));
        for other in ["syt_y", "syt_", "syt_xx", "x"] {
            assert!(!token("syt_x").is(&token(other)), "{other}");
        }
    }

    #[test]
    fn a_digest_is_hmac_sha_256() {
        // printf token | openssl dgst -sha256 -hmac key
        let digest = TokenDigest::new(b"key", &AccessToken::parse("token").unwrap());
        assert_eq!(
            digest.as_str(),
            "646b8eac0c4ae4178299c9bd924e2bf073dfb07e024901a8c864f65b9462bf0d"
        );
    }
}
