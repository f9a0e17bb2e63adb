//! What is kept beside a stored body: one header, versioned, in ASCII.

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use serde::{Deserialize, Serialize};

use crate::cache_key::CacheKey;
use crate::request::{OriginHead, own_value};

/// The header of a cache entry that holds its [`StoredMeta`].
pub const STORED_META: HeaderName = HeaderName::from_static("x-edge-meta");

/// The version written; entries of others are misses.
const VERSION: u32 = 1;

/// How long an entry counts as new, in seconds.
const NEW_SECS: u64 = 5;

/// The origin's headers that a stored response is served with.
const KEPT: [HeaderName; 9] = [
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
    HeaderName::from_static("cross-origin-resource-policy"),
    REFERRER_POLICY,
    HeaderName::from_static("x-content-security-policy"),
    X_CONTENT_TYPE_OPTIONS,
    HeaderName::from_static("x-robots-tag"),
];

/// The record kept with each stored body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMeta {
    version: u32,
    /// The key it was stored under: an entry that turns up under another is not used.
    key: String,
    /// When the origin sent it, in seconds since the Unix epoch.
    stored_unix_secs: u64,
    /// Length of the body in bytes.
    length_bytes: u64,
    /// How the origin is asked about it.
    permission: Permission,
    last_modified: Option<String>,
    headers: Vec<(String, String)>,
}

/// How the origin is asked whether a client may have what is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permission {
    /// With `If-None-Match` and its own `ETag` as it came, valid or not.
    ETag(String),
    /// With `If-Modified-Since` and its own `Last-Modified`.
    LastModified(String),
    /// It redirected to these bytes, and a redirect is its yes.
    Redirect,
    /// It gave nothing to ask with.
    None,
}

impl Permission {
    /// What the headers of a 200 allow.
    pub fn of(head: &OriginHead) -> Self {
        let text = |name: &HeaderName| head.headers.get(name).map(to_latin1);
        text(&ETAG)
            .map(Self::ETag)
            .or_else(|| text(&LAST_MODIFIED).map(Self::LastModified))
            .unwrap_or(Self::None)
    }

    /// The header of a conditional request.
    pub fn precondition(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::ETag(tag) => Some((IF_NONE_MATCH, from_latin1(tag))),
            Self::LastModified(date) => Some((IF_MODIFIED_SINCE, from_latin1(date))),
            Self::Redirect | Self::None => None,
        }
    }
}

impl StoredMeta {
    /// The record of an answer that is storable and `length_bytes` long.
    pub fn new(
        key: &CacheKey,
        head: &OriginHead,
        permission: Permission,
        length_bytes: u64,
        now_unix_secs: u64,
    ) -> Self {
        let text = |name: &HeaderName| head.headers.get(name).map(to_latin1);
        Self {
            version: VERSION,
            key: key.to_string(),
            stored_unix_secs: now_unix_secs,
            length_bytes,
            permission,
            last_modified: text(&LAST_MODIFIED),
            headers: KEPT
                .iter()
                .filter_map(|name| Some((name.as_str().to_owned(), text(name)?)))
                .collect(),
        }
    }

    /// Reads a record, or says nothing if it is of another version or of another key.
    pub fn parse(text: &str, key: &CacheKey) -> Option<Self> {
        let meta: Self = serde_json::from_str(text).ok()?;
        (meta.version == VERSION && meta.key == key.to_string()).then_some(meta)
    }

    /// The record as a header value.
    pub fn to_header(&self) -> HeaderValue {
        let json = serde_json::to_string(self).unwrap_or_default();
        // JSON allows any letter to be escaped, and headers are safe in ASCII only. What is kept
        // came out of headers as Latin-1, so one UTF-16 unit is enough for each.
        let ascii: String = json
            .chars()
            .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) })
            .collect();
        own_value(&ascii)
    }

    /// Length of the body in bytes.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Whether the store may still be finding out that the body broke off.
    pub fn is_new(&self, now_unix_secs: u64) -> bool {
        now_unix_secs.saturating_sub(self.stored_unix_secs) < NEW_SECS
    }

    /// How the origin is asked about it.
    pub fn permission(&self) -> &Permission {
        &self.permission
    }

    /// The headers that the stored response is served with.
    pub fn headers(&self) -> HeaderMap {
        let mut headers: HeaderMap = self
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.parse().ok()?, from_latin1(value))))
            .collect();
        if let Some(date) = &self.last_modified {
            headers.insert(LAST_MODIFIED, from_latin1(date));
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.length_bytes));
        headers
    }
}

/// Header bytes as letters, one each (ISO 8859-1), so that none is lost in JSON.
fn to_latin1(value: &HeaderValue) -> String {
    value.as_bytes().iter().copied().map(char::from).collect()
}

fn from_latin1(text: &str) -> HeaderValue {
    let bytes: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c).ok()).collect();
    HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache_key::Subject;
    use crate::ids::{MediaId, Mxc, ServerName};
    use crate::route::Representation;
    use http::StatusCode;

    fn key(media_id: &str) -> CacheKey {
        let mxc = Mxc {
            server_name: ServerName::parse("example.com").unwrap(),
            media_id: MediaId::parse(media_id).unwrap(),
        };
        CacheKey::new(Subject::Media(&mxc, Representation::Content))
    }

    fn meta() -> StoredMeta {
        let headers = HeaderMap::from_iter([
            (ETAG, HeaderValue::from_static("1")),
            (CONTENT_TYPE, HeaderValue::from_bytes(b"text/\xe9\"\\").unwrap()),
            (CACHE_CONTROL, HeaderValue::from_static("public")),
            (http::header::SET_COOKIE, HeaderValue::from_static("secret")),
        ]);
        let head = OriginHead { status: StatusCode::OK, headers };
        StoredMeta::new(&key("abc"), &head, Permission::of(&head), 5, 1_700_000_000)
    }

    #[test]
    fn a_record_survives_the_round_trip_byte_for_byte() {
        let header = meta().to_header();
        let read = StoredMeta::parse(header.to_str().unwrap(), &key("abc")).unwrap();
        assert_eq!(read, meta());
        assert_eq!(read.headers()["content-type"].as_bytes(), b"text/\xe9\"\\");
        assert_eq!(read.permission().precondition().unwrap().1, "1");
    }

    #[test]
    fn only_listed_headers_are_kept() {
        assert!(!meta().headers().contains_key("set-cookie"));
        assert!(!meta().headers().contains_key("etag"));
    }

    #[test]
    fn a_record_under_another_key_is_not_used() {
        let header = meta().to_header();
        assert_eq!(StoredMeta::parse(header.to_str().unwrap(), &key("abd")), None);
    }

    #[test]
    fn a_record_of_another_version_or_shape_is_not_used() {
        let text = meta().to_header().to_str().unwrap().to_owned();
        for text in
            [text.replace("\"version\":1", "\"version\":2"), text[1..].to_owned(), String::new()]
        {
            assert_eq!(StoredMeta::parse(&text, &key("abc")), None, "{text}");
        }
    }
}
