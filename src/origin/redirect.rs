//! Redirects that the edge follows itself (RFC 9110 §15.4), one hop at a time.

use http::header::LOCATION;

use crate::config::base_url::BaseUrl;
use crate::message::target::{Fidelity, Target};
use crate::origin::OriginHead;

/// The most redirects that are followed for one question.
pub const MAX_REDIRECTS: u8 = 5;

/// A question that is followed to where its answers redirect, at most [`MAX_REDIRECTS`] times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirects {
    url: String,
    followed: u8,
}

/// Where an answer leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nowhere else: it is no redirect, or one that may not be followed (see [`target`]).
    Stay,
    /// To [`Redirects::url`], which is to be asked now.
    Follow,
    /// On, once more than is followed.
    TooMany,
}

impl Redirects {
    /// Begins at the URL that is asked first.
    pub const fn begin(url: String) -> Self {
        Self { url, followed: 0 }
    }

    /// Returns the absolute URL to ask.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads the answer of [`Self::url`], and goes where it leads.
    pub fn next(&mut self, answer: &OriginHead) -> Next {
        match target(&self.url, answer) {
            None => Next::Stay,
            Some(_) if self.followed >= MAX_REDIRECTS => Next::TooMany,
            Some(url) => {
                *self = Self { url, followed: self.followed + 1 };
                Next::Follow
            }
        }
    }
}

/// Where an answer redirects to, if it does and may be followed: to https; or, from http, to a host
/// as near as configured ones may be. A target with dot segments or backslashes, encoded or not, is
/// never followed: whoever resolves them would ask for something else than it says.
pub fn target(from: &str, answer: &OriginHead) -> Option<String> {
    if !is_redirect(answer) {
        return None;
    }
    let location = answer.header(&LOCATION)?;
    let absolute = if location.starts_with("//") {
        format!("{}:{location}", from.split_once(':')?.0)
    } else if location.starts_with('/') {
        format!("{}{location}", &from[..authority_end(from)?])
    } else {
        location.to_owned()
    };
    // A fragment never goes on the wire (RFC 9110 §7.1).
    let absolute = absolute.split('#').next().unwrap_or_default().to_owned();
    let (base, rest) = absolute.split_at(authority_end(&absolute)?);
    let path = Target::new(rest);
    if path.fidelity() == Fidelity::Changed || path.has_hidden_dot_segment() {
        return None;
    }
    let base = BaseUrl::parse(base).ok()?;
    (base.is_https() || from.starts_with("http:")).then_some(absolute)
}

/// Whether an answer says that the thing is elsewhere.
pub fn is_redirect(answer: &OriginHead) -> bool {
    matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Scheme, host and path of a URL. Its query and fragment are left out: signed links differ in them
/// each time.
pub fn place(url: &str) -> &str {
    &url[..url.find(['?', '#']).unwrap_or(url.len())]
}

/// Whether two URLs have one host and path, whatever their schemes and queries.
pub fn is_same_path(url: &str, other: &str) -> bool {
    let rest = |url| place(url).split_once("://").map(|(_, rest)| rest);
    rest(url) == rest(other)
}

/// Whether a URL asks for media as clients do, on whatever host and behind whatever prefix. Proxies
/// send everyone on to such places, as to another host or from one version of a path to another:
/// whoever answers there has the last word, not who sends.
pub fn asks_for_media(url: &str) -> bool {
    let place = place(url);
    let Some(path) = authority_end(place).map(|end| &place[end..]) else { return false };
    path.contains("/_matrix/") && ["/download/", "/thumbnail/"].iter().any(|s| path.contains(s))
}

fn authority_end(url: &str) -> Option<usize> {
    let colon = url.find(':')?;
    url[colon..].strip_prefix("://")?;
    let start = colon + "://".len();
    Some(url[start..].find(['/', '?', '#']).map_or(url.len(), |end| start + end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, StatusCode};

    fn redirected(status: u16, location: &'static str) -> Option<String> {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        let status = StatusCode::from_u16(status).unwrap();
        target("https://example.com/a/b?c", &OriginHead { status, headers })
    }

    #[test]
    fn a_location_is_resolved_against_where_it_came_from() {
        for (location, expected) in [
            ("/x", "https://example.com/x"),
            ("//www.example.com/x", "https://www.example.com/x"),
            ("https://www.example.com", "https://www.example.com"),
            ("/x?y#z", "https://example.com/x?y"),
            ("https://cdn.example.com/x?sig=a/b", "https://cdn.example.com/x?sig=a/b"),
        ] {
            assert_eq!(redirected(307, location).as_deref(), Some(expected));
        }
    }

    #[test]
    fn only_safe_schemes_are_followed() {
        for location in [
            "http://example.com/x",
            "ftp://example.com",
            "https://",
            "https://u:p@example.com",
            "relative",
            "",
        ] {
            assert_eq!(redirected(307, location), None, "{location}");
        }
    }

    #[test]
    fn from_https_nothing_leads_back_to_http() {
        for location in ["http://localhost/x", "http://10.0.0.1/x", "http://[::1]:8008/x"] {
            assert_eq!(redirected(307, location), None, "{location}");
        }
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("/x"))]);
        let answer = OriginHead { status: StatusCode::FOUND, headers };
        assert_eq!(target("http://localhost/a", &answer).as_deref(), Some("http://localhost/x"));
    }

    #[test]
    fn what_would_be_resolved_to_something_else_is_not_followed() {
        for location in [
            "https://example.com/.well-known/../_synapse/metrics",
            "/a/%2e%2e/b",
            "/a\\b",
            "/a/..%2fb",
            "/a/..%5cb",
        ] {
            assert_eq!(redirected(307, location), None, "{location}");
        }
    }

    #[test]
    fn a_place_has_no_query_and_no_fragment() {
        for url in ["https://a/b", "https://a/b?sig=1", "https://a/b#c", "https://a/b?x#y?z"] {
            assert_eq!(place(url), "https://a/b", "{url}");
        }
    }

    #[test]
    fn a_redirect_to_https_is_one_to_the_same_path() {
        assert!(is_same_path("http://a/b?c", "https://a/b?d"));
        for other in ["https://b/b", "https://a/c", "https://a:8448/b"] {
            assert!(!is_same_path("http://a/b", other), "{other}");
        }
    }

    #[test]
    fn a_question_for_media_is_known_by_its_path() {
        for url in [
            "https://a/_matrix/media/v3/download/b/c?d",
            "https://a:1/b/_matrix/client/v1/media/thumbnail/b/c",
        ] {
            assert!(asks_for_media(url), "{url}");
        }
        for url in [
            "https://a/b",
            "https://a/download/b?c=/_matrix/",
            "https://_matrix/download/a",
            "https://a/_matrix/signed/a",
        ] {
            assert!(!asks_for_media(url), "{url}");
        }
    }

    #[test]
    fn only_redirects_redirect() {
        for status in [200, 300, 304, 404] {
            assert_eq!(redirected(status, "/x"), None);
        }
    }

    fn answer(status: u16, location: &'static str) -> OriginHead {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        OriginHead { status: StatusCode::from_u16(status).unwrap(), headers }
    }

    #[test]
    fn five_redirects_are_followed_and_no_sixth() {
        let mut redirects = Redirects::begin("https://example.com/a".to_owned());
        for location in ["/b", "/c", "https://www.example.com/d", "/e", "/f"] {
            assert_eq!(redirects.next(&answer(302, location)), Next::Follow, "{location}");
        }
        assert_eq!(redirects.url(), "https://www.example.com/f");
        assert_eq!(redirects.next(&answer(302, "/g")), Next::TooMany);
        assert_eq!(redirects.next(&answer(200, "/g")), Next::Stay);
        assert_eq!(redirects.url(), "https://www.example.com/f");
    }

    #[test]
    fn a_redirect_that_may_not_be_followed_leads_nowhere() {
        let mut redirects = Redirects::begin("https://example.com/a".to_owned());
        assert_eq!(redirects.next(&answer(302, "http://example.com/b")), Next::Stay);
        assert_eq!(redirects.url(), "https://example.com/a");
    }
}
