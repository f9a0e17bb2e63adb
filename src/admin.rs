//! What only the admin may ask of the edge, under `/_edge/` on the media domain.

pub mod purge;
pub mod quarantine;
pub mod selftest;
pub mod status;

use http::header::AUTHORIZATION;

use crate::config::Config;
use crate::error::Rejection;
use crate::matrix::credential::Credential;
use crate::message::RequestHead;

/// Checks that the request shows `ADMIN_TOKEN`, in a header: addresses are kept in histories.
///
/// # Errors
/// [`Rejection::NotAdmin`] where it shows another token or none; [`Rejection::Unrecognized`] where
/// `ADMIN_TOKEN` is not set.
pub fn authorize(head: &RequestHead, config: &Config) -> Result<(), Rejection> {
    let token = config.admin_token.as_ref().ok_or(Rejection::Unrecognized)?;
    match Credential::of(head) {
        Credential::Bearer(shown)
            if token.is(&shown) && head.headers.contains_key(AUTHORIZATION) =>
        {
            Ok(())
        }
        Credential::Bearer(_) | Credential::Missing | Credential::Unusual => {
            Err(Rejection::NotAdmin)
        }
    }
}

/// Who asks for what everyone may see a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// The admin.
    Admin,
    /// Anyone, without a token.
    Public,
    /// Someone who shows another token than the admin's, and so wants more than everyone may see.
    WrongToken,
}

/// Returns who sends a request, by the token in its header.
pub fn viewer(head: &RequestHead, config: &Config) -> Viewer {
    match authorize(head, config) {
        Ok(()) => Viewer::Admin,
        Err(Rejection::NotAdmin) if head.headers.contains_key(AUTHORIZATION) => Viewer::WrongToken,
        Err(_) => Viewer::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::message::target::Target;
    use http::{HeaderMap, HeaderValue, Method};

    const TOKEN: &str = "0123456789abcdef";

    fn head(shown: Option<&'static str>) -> RequestHead {
        let mut headers = HeaderMap::new();
        headers.extend(shown.map(|field| (AUTHORIZATION, HeaderValue::from_static(field))));
        RequestHead {
            method: Method::POST,
            scheme: "https".to_owned(),
            authority: "media.example.com".to_owned(),
            target: Target::new("/_edge/purge"),
            headers,
        }
    }

    fn authorized(shown: Option<&'static str>, admin_token: &str) -> Result<(), Rejection> {
        authorize(&head(shown), &config(&[("ADMIN_TOKEN", admin_token)]).unwrap())
    }

    #[test]
    fn the_admin_token_alone_is_accepted() {
        assert_eq!(authorized(Some("Bearer 0123456789abcdef"), TOKEN), Ok(()));
        for shown in [None, Some("Bearer 0123456789abcdeF"), Some("0123456789abcdef")] {
            assert_eq!(authorized(shown, TOKEN), Err(Rejection::NotAdmin), "{shown:?}");
        }
    }

    #[test]
    fn an_admin_token_in_the_query_is_refused() {
        let target = Target::new("/_edge/purge?access_token=0123456789abcdef");
        let head = RequestHead { target, ..head(None) };
        let config = config(&[("ADMIN_TOKEN", TOKEN)]).unwrap();
        assert_eq!(authorize(&head, &config), Err(Rejection::NotAdmin));
    }

    #[test]
    fn admin_endpoints_are_unrecognized_without_an_admin_token() {
        assert_eq!(authorized(Some("Bearer x"), ""), Err(Rejection::Unrecognized));
    }

    #[test]
    fn a_viewer_with_a_wrong_token_differs_from_the_public() {
        for (shown, admin_token, expected) in [
            (Some("Bearer 0123456789abcdef"), TOKEN, Viewer::Admin),
            (Some("Bearer x"), TOKEN, Viewer::WrongToken),
            (None, TOKEN, Viewer::Public),
            (Some("Bearer x"), "", Viewer::Public),
        ] {
            let config = config(&[("ADMIN_TOKEN", admin_token)]).unwrap();
            assert_eq!(viewer(&head(shown), &config), expected, "{shown:?}");
        }
    }
}
