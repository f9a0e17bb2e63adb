//! What a client shows at the client door.
//!
//! <https://spec.matrix.org/v1.15/client-server-api/#using-access-tokens>. Judging a credential is
//! the homeserver's; this module only finds out whether there is exactly one to ask about.

use crate::matrix::access_token::AccessToken;
use crate::message::RequestHead;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::target::Target;
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
        let bearer = Credential::Bearer(AccessToken::parse("syt_x").unwrap());
        assert_eq!(credential(Some(b"Bearer syt_x"), "/"), bearer);
        assert_eq!(credential(None, "/?a=b&access_token=syt_x"), bearer);
    }

    #[test]
    fn a_request_without_a_credential_is_missing_one() {
        assert_eq!(credential(None, "/?width=1"), Credential::Missing);
    }

    #[test]
    fn an_ambiguous_credential_is_unusual() {
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
}
