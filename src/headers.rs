//! HTTP header fields: the names that the edge knows, the fields that it adds, and a file for each
//! of the larger grammars.

pub mod cache_control;
pub mod cache_status;
pub mod conditional;
pub mod content_disposition;
pub mod cookies;
pub mod freshening;
pub mod lines;
pub mod range;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

/// Marks a request to the origin with the server name of the edge, so that the edge knows it again
/// when the "origin" turns out to be ourselves.
pub const LOOP: HeaderName = HeaderName::from_static("x-matrix-media-edge");

/// The connecting address, set by the platform and never by a client.
pub const CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");

/// Set where Cloudflare answers in a site's place, to keep bots out.
pub const CF_MITIGATED: HeaderName = HeaderName::from_static("cf-mitigated");

/// Types that a browser takes for a page, and runs.
const HTML_TYPES: [&str; 2] = ["text/html", "application/xhtml+xml"];

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// RFC 9110 §7.6.1, and what only makes sense between two neighbours.
pub(crate) const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
];

/// The policy that the specification recommends for media, and `media-src`, without which a browser
/// plays no audio or video that is opened by itself.
/// <https://spec.matrix.org/v1.15/client-server-api/#content-repository>
const MEDIA_CSP: &str = "sandbox; default-src 'none'; script-src 'none'; \
     plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; \
     object-src 'self';";

const X_CSP: HeaderName = HeaderName::from_static("x-content-security-policy");

/// What a browser's script may read besides the safelisted headers.
const EXPOSED: &str = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After, Synapse-Trace-Id, Server";

const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

const ALLOWED_HEADERS: &str = "X-Requested-With, Content-Type, Authorization, Date, Range, \
     If-None-Match, If-Range, If-Modified-Since";

/// Returns whether a byte is a `tchar` (RFC 9110 §5.6.2).
pub const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Returns whether an admin may have this header added to requests: not one that the runtime writes
/// itself.
pub fn is_settable(name: &str) -> bool {
    name != "content-length" && !HOP_BY_HOP.contains(&name)
}

/// Returns whether the client's `Connection` header names `name`, which then is not forwarded (RFC
/// 9110 §7.6.1).
pub(crate) fn is_named_by_connection(connection: &str, name: &str) -> bool {
    // The runtime carries an upgrade over itself.
    name != "upgrade"
        && connection.split(',').any(|option| option.trim().eq_ignore_ascii_case(name))
}

/// Adds the CORS headers that the specification wants on every answer, errors included.
/// <https://spec.matrix.org/v1.15/client-server-api/#web-browser-clients>
pub fn add_cors(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOWED_METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// Adds what keeps an answer from acting as a page of the media's host. The edge's policy stands
/// beside the origin's own: of two policies both are enforced (CSP3 §3.1,
/// <https://www.w3.org/TR/CSP3/#csp-header>).
pub fn add_media_security(headers: &mut HeaderMap) {
    let policy = match headers.get(CONTENT_SECURITY_POLICY) {
        Some(own) if own.as_bytes() != MEDIA_CSP.as_bytes() => {
            HeaderValue::from_bytes(&[own.as_bytes(), b", ", MEDIA_CSP.as_bytes()].concat())
                .unwrap_or(HeaderValue::from_static(MEDIA_CSP))
        }
        Some(_) | None => HeaderValue::from_static(MEDIA_CSP),
    };
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CORP, HeaderValue::from_static("cross-origin"));
}

/// Removes the policies of a server that the homeserver redirected to: for the media's host, they
/// are a stranger's.
pub fn remove_policies(headers: &mut HeaderMap) {
    for name in [CONTENT_SECURITY_POLICY, X_CSP, REFERRER_POLICY, CORP] {
        headers.remove(name);
    }
}

/// Returns the media type without parameters in lower case (RFC 9110 §8.3.1), whatever bytes these
/// have. `None` where there is no type, or more than one.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let field = fields.next().filter(|_| fields.next().is_none())?;
    let essence = field.as_bytes().split(|byte| *byte == b';').next()?.trim_ascii();
    let essence = std::str::from_utf8(essence).ok().filter(|essence| essence.is_ascii())?;
    let is_one = !essence.is_empty() && !essence.contains(',');
    is_one.then(|| essence.to_ascii_lowercase())
}

/// Returns whether the type is that of a page that a browser would show and run. Of several types in
/// one field, browsers take one.
pub fn is_html(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(CONTENT_TYPE).iter();
    let mut types = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    types.any(|type_| {
        let essence = type_.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        HTML_TYPES.iter().any(|html| html.as_bytes().eq_ignore_ascii_case(essence))
    })
}

/// Returns a header value of text that the edge has written itself: ASCII without control
/// characters.
///
/// Text that came from outside must be checked before; invalid text becomes an empty value rather
/// than a panic.
pub(crate) fn own_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_named_by_connection_are_recognized_except_upgrade() {
        assert!(is_named_by_connection("keep-alive, X-Hop", "x-hop"));
        assert!(!is_named_by_connection("keep-alive", "x-hop"));
        assert!(!is_named_by_connection("Upgrade", "upgrade"));
    }

    #[test]
    fn an_admin_sets_no_header_that_is_the_runtimes() {
        assert!(is_settable("cf-access-client-id"));
        for name in ["host", "connection", "content-length", "transfer-encoding"] {
            assert!(!is_settable(name), "{name}");
        }
    }

    #[test]
    fn the_edges_policy_is_added_to_the_origins() {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static("img-src 'self'")),
            (CORP, HeaderValue::from_static("same-origin")),
        ]);
        add_media_security(&mut headers);
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert_eq!(policy, format!("img-src 'self', {MEDIA_CSP}"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
    }

    #[test]
    fn one_policy_is_not_sent_twice() {
        let mut headers = HeaderMap::new();
        add_media_security(&mut headers);
        let policy = headers["content-security-policy"].clone();
        add_media_security(&mut headers);
        assert_eq!(headers["content-security-policy"], policy);
        assert!(policy.to_str().unwrap().contains("media-src 'self'"));
    }

    #[test]
    fn every_policy_header_is_removed() {
        let mut headers: HeaderMap = [CONTENT_SECURITY_POLICY, X_CSP, REFERRER_POLICY, CORP]
            .map(|name| (name, HeaderValue::from_static("a")))
            .into_iter()
            .collect();
        remove_policies(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn html_is_recognized_in_any_of_several_types() {
        let is_page = |value| {
            is_html(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        assert!(is_page("Text/HTML; charset=utf-8") && is_page("image/png, application/xhtml+xml"));
        assert!(!is_page("image/png") && !is_page("text/plain"));
    }

    #[test]
    fn a_type_is_read_whatever_bytes_its_parameters_have() {
        for parameter in ["text/html; a=\u{e9}".as_bytes(), b"text/html; a=\xe9"] {
            let value = HeaderValue::from_bytes(parameter).unwrap();
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            assert!(is_html(&headers), "{parameter:?}");
            assert_eq!(media_type(&headers).as_deref(), Some("text/html"), "{parameter:?}");
        }
        let value = HeaderValue::from_bytes(b"im\xe9ge/png").unwrap();
        assert_eq!(media_type(&HeaderMap::from_iter([(CONTENT_TYPE, value)])), None);
    }

    #[test]
    fn a_media_type_is_one_type_without_its_parameters() {
        let found = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            media_type(&headers)
        };
        assert_eq!(found(&["Text/HTML; charset=utf-8"]).as_deref(), Some("text/html"));
        assert_eq!(found(&["image/png"]).as_deref(), Some("image/png"));
        for fields in [&[][..], &[""], &["image/png, text/html"], &["a/b", "c/d"], &[";a"]] {
            assert_eq!(found(fields), None, "{fields:?}");
        }
    }
}
