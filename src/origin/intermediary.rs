//! Answers that something between the edge and the homeserver gave in the homeserver's place: the
//! platform, a tunnel, a reverse proxy, a bot wall, a login page.
//!
//! Only the homeserver's own answer grants, refuses, removes or is relayed as it is. An
//! intermediary's answer means that the homeserver could not be asked.

use http::header::{CONTENT_DISPOSITION, CONTENT_RANGE, LOCATION};
use http::{Method, StatusCode};

use crate::headers::{CF_MITIGATED, is_html, media_type};
use crate::origin::redirect::is_redirect;
use crate::origin::{OriginAnswer, OriginHead};

/// What an intermediary did instead of asking the homeserver, as far as its answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intermediary {
    /// It blocked the request: a 403 without a Matrix error, such as Cloudflare's `error code: 1010`.
    Blocked,
    /// It challenged the request, as only a browser can answer (`cf-mitigated`).
    Challenged,
    /// It counts requests: a 429 without a Matrix error.
    RateLimited,
    /// It redirects to a login.
    Login,
    /// It sent a page: HTML in place of media, or an error that is no Matrix error.
    Page,
    /// It refused the form of the request: 400, 411, 413, 414, 415 or 431 without a Matrix error.
    /// (Synapse's own 415 to a form is one.)
    Refused(StatusCode),
    /// It could not reach the homeserver, or failed itself: a 5xx without a Matrix error.
    Failed(StatusCode),
}

/// Statuses by which a proxy refuses what it won't read: the client has to send something else.
const REFUSED: [u16; 6] = [400, 411, 413, 414, 415, 431];

/// The hosts and the path where Cloudflare Access has visitors log in.
/// <https://developers.cloudflare.com/cloudflare-one/access-controls/>
const ACCESS_DOMAIN: &str = ".cloudflareaccess.com";
const ACCESS_PATH: &str = "/cdn-cgi/access/";

impl Intermediary {
    /// Returns who answered a request of this method, where that was not the homeserver: `None` for
    /// a Matrix error, and for whatever success or redirect may be the homeserver's. The body of an
    /// answer to HEAD can't be read: JSON by its type is taken for a Matrix error.
    pub fn of(answer: &OriginAnswer, method: &Method) -> Option<Self> {
        let OriginHead { status, headers } = &answer.head;
        if headers.contains_key(CF_MITIGATED) {
            return Some(Self::Challenged);
        }
        if is_redirect(&answer.head) {
            return leads_to_login(&answer.head).then_some(Self::Login);
        }
        if status.is_success() {
            let is_page = is_html(headers) && !headers.contains_key(CONTENT_DISPOSITION);
            return is_page.then_some(Self::Page);
        }
        // It answers a condition or a range of the request's (RFC 9110 §15.5.13, §15.5.17).
        if *status == StatusCode::PRECONDITION_FAILED
            || *status == StatusCode::RANGE_NOT_SATISFIABLE && headers.contains_key(CONTENT_RANGE)
        {
            return None;
        }
        let is_unread_json =
            *method == Method::HEAD && media_type(headers).as_deref() == Some("application/json");
        if !answer.head.is_error() || is_unread_json || answer.errcode().is_some() {
            return None;
        }
        Some(match status.as_u16() {
            403 => Self::Blocked,
            429 => Self::RateLimited,
            500.. => Self::Failed(*status),
            code if REFUSED.contains(&code) => Self::Refused(*status),
            _ => Self::Page,
        })
    }

    /// Returns the status of the edge's own error to its client.
    pub const fn client_status(self) -> StatusCode {
        match self {
            Self::Refused(status) => status,
            Self::Failed(status) if matches!(status.as_u16(), 504 | 522 | 524) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Blocked
            | Self::Challenged
            | Self::RateLimited
            | Self::Login
            | Self::Page
            | Self::Failed(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// Returns the word for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Challenged => "challenged",
            Self::RateLimited => "rate-limited",
            Self::Login => "login",
            Self::Page => "page",
            Self::Refused(_) => "refused-by-proxy",
            Self::Failed(status) => match status.as_u16() {
                500 => "origin-500",
                502 => "origin-502",
                503 => "origin-503",
                504 => "origin-504",
                520 => "origin-520",
                521 => "origin-521",
                522 => "origin-522",
                523 => "origin-523",
                524 => "origin-524",
                525 => "origin-525",
                526 => "origin-526",
                527 => "origin-527",
                530 => "origin-530",
                _ => "origin-5xx",
            },
        }
    }
}

fn leads_to_login(head: &OriginHead) -> bool {
    let Some(location) = head.header(&LOCATION) else { return false };
    let rest = location.split_once("//").map_or(location, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    authority.to_ascii_lowercase().ends_with(ACCESS_DOMAIN) || path.starts_with(ACCESS_PATH)
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn an_answer_to_a_condition_or_a_range_is_no_intermediarys() {
        let of = |status: u16, range: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            headers.extend(range.map(|range| (CONTENT_RANGE, HeaderValue::from_static(range))));
            let head = OriginHead { status: StatusCode::from_u16(status).unwrap(), headers };
            Intermediary::of(&OriginAnswer::unread(head), &Method::GET)
        };
        assert_eq!(of(416, Some("bytes */5")), None);
        assert_eq!(of(412, None), None);
        assert_eq!(of(416, None), Some(Intermediary::Page));
    }

    const MATRIX_ERROR: &str = r#"{"errcode":"M_NOT_FOUND","error":"Not found"}"#;

    fn answer(
        status: u16,
        fields: &[(HeaderName, &'static str)],
        text: Option<&str>,
    ) -> OriginAnswer {
        let headers: HeaderMap =
            fields.iter().map(|(name, v)| (name.clone(), HeaderValue::from_static(v))).collect();
        let head = OriginHead { status: StatusCode::from_u16(status).unwrap(), headers };
        OriginAnswer { head, text: text.map(str::to_owned) }
    }

    fn of(status: u16, fields: &[(HeaderName, &'static str)]) -> Option<Intermediary> {
        Intermediary::of(&answer(status, fields, None), &Method::GET)
    }

    #[test]
    fn a_matrix_error_is_the_homeservers_whatever_its_status() {
        for status in [400, 401, 403, 404, 413, 429, 500, 502, 503, 504] {
            let answer = answer(status, &[], Some(MATRIX_ERROR));
            assert_eq!(Intermediary::of(&answer, &Method::GET), None, "{status}");
        }
    }

    #[test]
    fn an_error_without_an_errcode_is_an_intermediarys() {
        let status = |status| StatusCode::from_u16(status).unwrap();
        for (code, expected) in [
            (401, Intermediary::Page),
            (403, Intermediary::Blocked),
            (404, Intermediary::Page),
            (413, Intermediary::Refused(status(413))),
            (415, Intermediary::Refused(status(415))),
            (429, Intermediary::RateLimited),
            (503, Intermediary::Failed(status(503))),
            (522, Intermediary::Failed(status(522))),
        ] {
            assert_eq!(of(code, &[]), Some(expected), "{code}");
            let other_json = answer(code, &[], Some(r#"{"error":"no"}"#));
            assert_eq!(Intermediary::of(&other_json, &Method::GET), Some(expected), "{code}");
        }
    }

    #[test]
    fn a_mitigated_request_was_challenged_whatever_the_status() {
        for status in [200, 403, 503] {
            assert_eq!(of(status, &[(CF_MITIGATED, "challenge")]), Some(Intermediary::Challenged));
        }
    }

    #[test]
    fn html_without_a_disposition_is_a_page() {
        let html = (CONTENT_TYPE, "text/html; charset=utf-8");
        assert_eq!(of(200, std::slice::from_ref(&html)), Some(Intermediary::Page));
        assert_eq!(of(200, &[html, (CONTENT_DISPOSITION, "attachment")]), None);
        assert_eq!(of(200, &[(CONTENT_TYPE, "text/plain")]), None);
        assert_eq!(of(304, &[]), None);
    }

    #[test]
    fn a_520_in_json_is_no_lost_connection() {
        let is_lost = |status: u16, type_| {
            answer(status, &[(CONTENT_TYPE, type_)], None).head.is_of_lost_connection()
        };
        assert!(is_lost(520, "text/html; charset=UTF-8"));
        assert!(!is_lost(520, "application/json"));
        assert!(!is_lost(521, "text/html; charset=UTF-8"));
    }

    #[test]
    fn a_login_is_recognized_by_its_location() {
        for location in [
            "https://team.cloudflareaccess.com/cdn-cgi/access/login/matrix.example.com",
            "https://TEAM.CloudflareAccess.com?a",
            "/cdn-cgi/access/login/matrix.example.com",
            "https://matrix.example.com/cdn-cgi/access/authorized",
        ] {
            assert_eq!(of(302, &[(LOCATION, location)]), Some(Intermediary::Login), "{location}");
        }
        for location in [
            "https://cdn.example.com/cloudflareaccess.com",
            "https://cloudflareaccess.com.example.com/",
            "/media/cdn-cgi/access/",
        ] {
            assert_eq!(of(302, &[(LOCATION, location)]), None, "{location}");
        }
    }

    #[test]
    fn json_that_answers_a_head_is_taken_for_a_matrix_error() {
        let json = answer(404, &[(CONTENT_TYPE, "application/json")], None);
        assert_eq!(Intermediary::of(&json, &Method::HEAD), None);
        let page = answer(404, &[(CONTENT_TYPE, "text/html")], None);
        assert_eq!(Intermediary::of(&page, &Method::HEAD), Some(Intermediary::Page));
    }

    #[test]
    fn clients_get_a_gateways_error_or_what_is_wrong_with_their_request() {
        for (status, expected) in [(403, 502), (404, 502), (413, 413), (503, 502), (522, 504)] {
            let found = of(status, &[]).unwrap().client_status();
            assert_eq!(found.as_u16(), expected, "{status}");
        }
    }
}
