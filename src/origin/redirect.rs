//! Redirects that the edge follows itself (RFC 9110 §15.4), one hop at a time.

use std::ops::Range;

use http::header::LOCATION;
use iri_string::types::{UriAbsoluteStr, UriReferenceStr, UriStr};
use percent_encoding::percent_encode_byte;

use crate::config::base_url::BaseUrl;
use crate::message::target::Target;
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
    /// To another URL, after [`MAX_REDIRECTS`] were followed.
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

    /// Reads the answer of [`Self::url`]. On [`Next::Follow`] that is the next URL.
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

/// Returns where an answer redirects to; `None` if it doesn't, or may not be followed. Followed is
/// a redirect to https; or, from http, to a host as near as configured ones may be. `Location` is a
/// reference, resolved against the URL that was asked (RFC 9110 §10.2.2, RFC 3986 §5.2); scheme and
/// host are in lower case, and the port is left out where it is the scheme's own (RFC 3986
/// §6.2.2.1, §6.2.3).
///
/// A target with dot segments or backslashes, encoded or not, is never followed: resolved, it would
/// be another target. The dots that a relative path begins with don't count.
pub fn target(from: &str, answer: &OriginHead) -> Option<String> {
    if !is_redirect(answer) {
        return None;
    }
    let location = escaped(answer.headers.get(LOCATION)?.as_bytes())?;
    let reference = UriReferenceStr::new(&location).ok()?;
    let is_relative = reference.scheme_str().is_none() && reference.authority_str().is_none();
    let path = reference.path_str();
    let path = if is_relative { without_leading_dots(path) } else { path };
    if Target::new(path).has_hidden_dot_segment() {
        return None;
    }
    let from = escaped(from.as_bytes())?;
    let resolved = reference.resolve_against(UriAbsoluteStr::new(&from).ok()?).to_string();
    let resolved = UriStr::new(&resolved).ok()?;
    let scheme = resolved.scheme_str().to_ascii_lowercase();
    let base = BaseUrl::parse(&format!("{scheme}://{}", resolved.authority_str()?)).ok()?;
    let path = resolved.path_str();
    if Target::new(path).has_hidden_dot_segment() {
        return None;
    }
    let query = resolved.query_str().map(|query| format!("?{query}")).unwrap_or_default();
    (base.is_https() || from.starts_with("http:")).then(|| format!("{base}{path}{query}"))
}

/// Returns a reference without its fragment, which is never sent (RFC 9110 §7.1), and with all
/// characters that no URI has (RFC 3986 §2) percent-encoded, as browsers do. `None` for an empty
/// reference, and for one that parsers read differently: with backslashes outside the query,
/// controls, or characters that were lost.
fn escaped(reference: &[u8]) -> Option<String> {
    const LOST: &[u8] = "\u{fffd}".as_bytes();
    let reference = reference.split(|byte| *byte == b'#').next()?;
    let is_lost = reference.windows(LOST.len()).any(|bytes| bytes == LOST);
    let before_query = reference.split(|byte| *byte == b'?').next()?;
    if reference.is_empty()
        || is_lost
        || before_query.contains(&b'\\')
        || reference.iter().any(u8::is_ascii_control)
    {
        return None;
    }
    let authority = authority(reference);
    let mut text = String::with_capacity(reference.len());
    for (at, &byte) in reference.iter().enumerate() {
        let stays = match byte {
            b'%' => reference
                .get(at + 1..at + 3)
                .is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit)),
            // Around an address of IPv6 (§3.2.2).
            b'[' | b']' => authority.contains(&at),
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => false,
            byte => byte.is_ascii_graphic(),
        };
        if stays {
            text.push(char::from(byte));
        } else {
            text.push_str(percent_encode_byte(byte));
        }
    }
    Some(text)
}

/// Returns where in a reference its authority stands (RFC 3986 §3.2).
fn authority(reference: &[u8]) -> Range<usize> {
    let before_slashes = reference.windows(2).position(|pair| pair == b"//");
    let start = match before_slashes.map(|end| &reference[..end]) {
        Some([]) => 2,
        Some([scheme @ .., b':']) if !scheme.iter().any(|byte| b"/?".contains(byte)) => {
            scheme.len() + "://".len()
        }
        Some(_) | None => return 0..0,
    };
    let length = reference[start..].iter().position(|byte| b"/?".contains(byte));
    start..length.map_or(reference.len(), |length| start + length)
}

/// Returns a relative path without the `.` and `..` that it begins with, which are relative to the
/// URL that was asked (RFC 3986 §5.2.4).
fn without_leading_dots(mut path: &str) -> &str {
    while let Some(("." | "..", rest)) = path.split_once('/') {
        path = rest;
    }
    if matches!(path, "." | "..") { "" } else { path }
}

/// Returns whether an answer redirects to another place.
pub fn is_redirect(answer: &OriginHead) -> bool {
    matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Returns scheme, host and path of a URL, without query and fragment: signed links differ in these
/// each time.
pub fn place(url: &str) -> &str {
    &url[..url.find(['?', '#']).unwrap_or(url.len())]
}

/// Returns whether two URLs have one host and path, whatever their schemes and queries.
pub fn is_same_path(url: &str, other: &str) -> bool {
    let rest = |url| place(url).split_once("://").map(|(_, rest)| rest);
    rest(url) == rest(other)
}

/// Returns whether a URL asks for media as clients do, on any host and behind any prefix. Proxies
/// redirect everyone to such URLs, to another host or another version of the path: that is no
/// permission, which only the server there can give.
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

    fn redirected_to(location: &[u8]) -> Option<String> {
        let location = HeaderValue::from_bytes(location).unwrap();
        let headers = HeaderMap::from_iter([(LOCATION, location)]);
        target("https://example.com/a/b?c", &OriginHead { status: StatusCode::FOUND, headers })
    }

    #[test]
    fn a_location_is_resolved_against_the_url_that_was_asked() {
        for (location, expected) in [
            ("/x", "https://example.com/x"),
            ("//www.example.com/x", "https://www.example.com/x"),
            ("https://www.example.com", "https://www.example.com"),
            ("/x?y#z", "https://example.com/x?y"),
            ("https://cdn.example.com/x?sig=a/b", "https://cdn.example.com/x?sig=a/b"),
            ("x", "https://example.com/a/x"),
            ("x/y:z", "https://example.com/a/x/y:z"),
            ("./x", "https://example.com/a/x"),
            ("../x?y", "https://example.com/x?y"),
            ("../../../x", "https://example.com/x"),
            ("..", "https://example.com/"),
            ("?x=y", "https://example.com/a/b?x=y"),
            ("?x#y", "https://example.com/a/b?x"),
            ("//www.example.com?x", "https://www.example.com?x"),
        ] {
            assert_eq!(redirected(307, location).as_deref(), Some(expected), "{location}");
        }
    }

    #[test]
    fn scheme_and_host_are_normalized_and_the_rest_is_kept() {
        for location in [
            "HTTPS://WWW.example.COM/x",
            "hTTps://www.example.com:443/x",
            "https://www.example.com:0443/x",
            "//WWW.EXAMPLE.COM/x",
        ] {
            let expected = Some("https://www.example.com/x");
            assert_eq!(redirected(307, location).as_deref(), expected, "{location}");
        }
        let kept = "https://www.example.com/X%7e%2F?Y=%7E";
        assert_eq!(redirected(307, kept).as_deref(), Some(kept), "a signature may be over this");
    }

    #[test]
    fn characters_that_no_uri_has_are_escaped() {
        for (location, expected) in [
            ("/a b", "/a%20b"),
            ("/é?é", "/%C3%A9?%C3%A9"),
            (
                "/a//b[1]/[2]?b[]=\"{|}\"^`<>",
                "/a//b%5B1%5D/%5B2%5D?b%5B%5D=%22%7B%7C%7D%22%5E%60%3C%3E",
            ),
            ("/100%?a=%2x", "/100%25?a=%252x"),
            ("/a?b\\c", "/a?b%5Cc"),
            ("?a//b[c]", "/a/b?a//b%5Bc%5D"),
        ] {
            let expected = format!("https://example.com{expected}");
            assert_eq!(redirected_to(location.as_bytes()), Some(expected), "{location}");
        }
        assert_eq!(redirected_to(b"/caf\xe9").as_deref(), Some("https://example.com/caf%E9"));
        assert_eq!(redirected_to("/a\u{fffd}".as_bytes()), None, "bytes were lost");
    }

    #[test]
    fn ipv6_addresses_keep_their_brackets() {
        let from = "http://[::1]:8008/a[b]";
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("//[::1]:80/c"))]);
        let answer = OriginHead { status: StatusCode::FOUND, headers };
        assert_eq!(target(from, &answer).as_deref(), Some("http://[::1]/c"));
    }

    #[test]
    fn unsafe_and_malformed_locations_are_not_followed() {
        for location in [
            "http://example.com/x",
            "ftp://example.com",
            "https://",
            "https:///x",
            "https:x",
            "javascript:alert(1)",
            "https://u:p@example.com",
            "https://example.com:99999/x",
            "//",
            "",
            "#x",
        ] {
            assert_eq!(redirected(307, location), None, "{location}");
        }
    }

    #[test]
    fn a_redirect_from_https_to_http_is_not_followed() {
        for location in ["http://localhost/x", "http://10.0.0.1/x", "http://[::1]:8008/x"] {
            assert_eq!(redirected(307, location), None, "{location}");
        }
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("/x"))]);
        let answer = OriginHead { status: StatusCode::FOUND, headers };
        assert_eq!(target("http://localhost/a", &answer).as_deref(), Some("http://localhost/x"));
    }

    #[test]
    fn a_location_with_hidden_dot_segments_or_backslashes_is_not_followed() {
        for location in [
            "https://example.com/.well-known/../_synapse/metrics",
            "/a/%2e%2e/b",
            "/a\\b",
            "/a/..%2fb",
            "/a/..%5cb",
            "/../b",
            "/a/..",
            "x/../b",
            "../x/../b",
            "../%2e%2e/b",
            "..\\b",
            "%2e%2e/b",
            "..%2fb",
            "/a/%252e%252e%252fb",
            "//www.example.com/../b",
            "\\\\www.example.com/b",
            "https://www.example.com\\@example.com/b",
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
    fn a_media_url_is_recognized_by_its_path() {
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
    fn other_statuses_do_not_redirect() {
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
    fn a_redirect_that_may_not_be_followed_keeps_the_url() {
        let mut redirects = Redirects::begin("https://example.com/a".to_owned());
        assert_eq!(redirects.next(&answer(302, "http://example.com/b")), Next::Stay);
        assert_eq!(redirects.url(), "https://example.com/a");
    }
}
