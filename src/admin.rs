//! What only the admin may ask of the edge, under `/_edge/` on the media domain.

use crate::config::Config;
use crate::credentials::Credential;
use crate::matrix_error::Rejection;
use crate::request::RequestHead;

/// Checks that the request shows `ADMIN_TOKEN`.
///
/// # Errors
/// It doesn't; or there is none, and so nothing here.
pub fn authorize(head: &RequestHead, config: &Config) -> Result<(), Rejection> {
    let token = config.admin_token.as_ref().ok_or(Rejection::Unrecognized)?;
    match Credential::of(head) {
        Credential::Bearer(shown) if token.is(&shown) => Ok(()),
        Credential::Bearer(_) | Credential::Missing | Credential::Unusual => {
            Err(Rejection::NotAdmin)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::target::Target;
    use http::header::AUTHORIZATION;
    use http::{HeaderMap, HeaderValue, Method};

    fn authorized(shown: Option<&'static str>, admin_token: &str) -> Result<(), Rejection> {
        let mut headers = HeaderMap::new();
        headers.extend(shown.map(|field| (AUTHORIZATION, HeaderValue::from_static(field))));
        let head = RequestHead {
            method: Method::POST,
            scheme: "https".to_owned(),
            authority: "media.example.com".to_owned(),
            target: Target::new("/_edge/purge"),
            headers,
        };
        authorize(&head, &config(&[("ADMIN_TOKEN", admin_token)]).unwrap())
    }

    #[test]
    fn the_admins_token_opens_and_no_other_does() {
        const TOKEN: &str = "0123456789abcdef";
        assert_eq!(authorized(Some("Bearer 0123456789abcdef"), TOKEN), Ok(()));
        for shown in [None, Some("Bearer 0123456789abcdeF"), Some("0123456789abcdef")] {
            assert_eq!(authorized(shown, TOKEN), Err(Rejection::NotAdmin), "{shown:?}");
        }
    }

    #[test]
    fn without_a_token_there_is_nothing_to_open() {
        assert_eq!(authorized(Some("Bearer x"), ""), Err(Rejection::Unrecognized));
    }
}
