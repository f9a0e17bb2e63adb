//! What a client shows at the client door.
//!
//! <https://spec.matrix.org/v1.15/client-server-api/#using-access-tokens>. Judging a credential is
//! the homeserver's; this module only finds out whether there is exactly one to ask about.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::request::RequestHead;

/// An access token. It has no `Display` and its `Debug` tells nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Takes a text that can be a token: RFC 6750 `b64token`, loosely, so visible ASCII. A comma
    /// shows that the platform joined two headers.
    pub fn parse(text: &str) -> Option<Self> {
        let is_token = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        is_token.then(|| Self(text.to_owned()))
    }

    /// The `Authorization` header that shows it.
    pub fn to_header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// The token's bytes, for a digest.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// What was found in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Neither header nor query parameter.
    Missing,
    /// One token in one place.
    Bearer(AccessToken),
    /// Another scheme, several headers, or a token in two places: the origin's to refuse.
    Unusual,
}

impl Credential {
    /// Reads the `Authorization` header and the `access_token` parameter, which the specification
    /// dropped in v1.20 and homeservers still take.
    pub fn of(head: &RequestHead) -> Self {
        let mut tokens = head.target.query().pairs().filter(|(name, _)| name == "access_token");
        let in_query = (tokens.next(), tokens.next());
        let header = head.headers.get(http::header::AUTHORIZATION);
        let token = match (header, in_query) {
            (None, (None, _)) => return Self::Missing,
            (None, (Some((_, token)), None)) => AccessToken::parse(&token),
            (Some(value), (None, _)) => value
                .to_str()
                .ok()
                .and_then(|value| value.strip_prefix("Bearer "))
                .and_then(AccessToken::parse),
            _ => None,
        };
        token.map_or(Self::Unusual, Self::Bearer)
    }
}

/// A keyed digest of an access token: what stands for it in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDigest(String);

impl TokenDigest {
    /// HMAC-SHA-256 (RFC 2104) of the token, in hexadecimal.
    pub fn new(key: &[u8], token: &AccessToken) -> Self {
        #[expect(clippy::expect_used, reason = "RFC 2104 takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
        mac.update(token.as_bytes());
        Self(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digest in hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;
    use http::{HeaderMap, HeaderValue, Method};

    fn credential(authorization: Option<&'static [u8]>, target: &str) -> Credential {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(http::header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        Credential::of(&RequestHead {
            method: Method::GET,
            scheme: "https".to_owned(),
            authority: "a".to_owned(),
            target: Target::new(target),
            headers,
        })
    }

    #[test]
    fn a_token_is_found_in_the_header_or_the_query() {
        let bearer = Credential::Bearer(AccessToken("syt_x".to_owned()));
        assert_eq!(credential(Some(b"Bearer syt_x"), "/"), bearer);
        assert_eq!(credential(None, "/?a=b&access_token=syt_x"), bearer);
    }

    #[test]
    fn nothing_is_missing() {
        assert_eq!(credential(None, "/?width=1"), Credential::Missing);
    }

    #[test]
    fn what_a_homeserver_may_read_otherwise_is_left_to_it() {
        for value in [
            &b"Basic abc"[..],
            b"bearer x",
            b"Bearer ",
            b"Bearer  x",
            b"Bearer a b",
            b"Bearer a, Bearer b",
            b"Bearer \xff",
        ] {
            assert_eq!(credential(Some(value), "/"), Credential::Unusual, "{value:?}");
        }
        assert_eq!(credential(Some(b"Bearer x"), "/?access_token=x"), Credential::Unusual);
        assert_eq!(credential(None, "/?access_token=x&access_token=y"), Credential::Unusual);
        assert_eq!(credential(None, "/?access_token="), Credential::Unusual);
    }

    #[test]
    fn debug_output_tells_no_token() {
        assert!(!format!("{:?}", credential(Some(b"Bearer syt_x"), "/")).contains("syt"));
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
