//! The record that is stored with a body: versioned, in ASCII.

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::cache::key::CacheKey;
use crate::cache::storability::NoStoreReason;
use crate::config::Config;
use crate::headers::cache_control::public_for;
use crate::headers::content_disposition::with_short_name;
use crate::headers::{media_type, own_value};
use crate::matrix::media::Door;
use crate::message::ReplyHead;
use crate::origin::OriginHead;

/// The header of a cache entry that holds its [`StoredMeta`].
pub const STORED_META: HeaderName = HeaderName::from_static("x-edge-meta");

/// The header of a cache entry that names the door at which its body was granted. It stands beside the
/// record, since an earlier version does not use a record with a field that it does not know.
pub const GRANTED_AT: HeaderName = HeaderName::from_static("x-edge-granted-at");

/// Names an entry for the platform's purge by tag.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// Keeps the edge's tags apart from the zone's others.
const TAG_PREFIX: &str = "matrix-media-edge/";

/// The version written; entries of others are misses.
const VERSION: &str = "3";

/// The longest header that is kept, in bytes: what kept headers weigh in memory and in a bucket's
/// metadata is bounded. Synapse's policy has 160 bytes.
pub const MAX_HEADER_BYTES: usize = 1024;

/// The longest record, in bytes: R2 takes 8 KiB of metadata with an object, names included.
pub const MAX_RECORD_BYTES: usize = 7_000;

/// The field that every record begins with.
const VERSION_FIELD: &str = "version";

/// How long an entry counts as new, in seconds since the head of the answer came, beside the time
/// that its body takes at the speed below: until the store has checked that the body is whole.
const NEW_SECS: u64 = 100;

/// The slowest that bodies are expected to come, in bytes a second.
const SLOWEST_BYTES_PER_SEC: u64 = 100_000;

/// The origin's headers that a stored response is served with.
static STORED_HEADERS: [HeaderName; 10] = [
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
    LAST_MODIFIED,
    HeaderName::from_static("cross-origin-resource-policy"),
    REFERRER_POLICY,
    HeaderName::from_static("x-content-security-policy"),
    X_CONTENT_TYPE_OPTIONS,
    HeaderName::from_static("x-robots-tag"),
];

/// The record kept with each stored body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMeta {
    /// The key it was stored under: an entry that turns up under another is not used.
    key: String,
    /// When the origin was asked for it, in seconds since the Unix epoch: a purge covers what is
    /// still on its way.
    stored_unix_secs: u64,
    /// When the head of the answer that brought the body came, in seconds since the Unix epoch: by a
    /// redirect or asked again, minutes after the origin was asked first.
    answered_unix_secs: u64,
    /// Length of the body in bytes.
    length_bytes: u64,
    /// How the origin is asked about the response.
    validator: Validator,
    headers: HeaderMap,
    /// The door at which the homeserver granted this body by the answer that brought it; `None` where
    /// it did not, or no grant outlasts its record.
    granted_at: Option<Door>,
}

/// What lies under the name of a key, by the record beside it.
#[derive(Debug, PartialEq, Eq)]
pub enum Occupant {
    /// The response that the key names.
    Wanted(StoredMeta),
    /// Another response that shares the name (see [`CacheKey::name`]). It stays until a response
    /// that the homeserver has granted replaces it: a refused request removes no other thumbnail.
    Neighbor,
    /// A record of another version or of an unrelated key, or no record.
    Useless,
}

impl Occupant {
    /// Returns what was found under the name of `key`, by its record.
    pub fn of(record: &str, key: &CacheKey) -> Self {
        match StoredMeta::parse(record, key) {
            Some(meta) => Self::Wanted(meta),
            None if is_neighbor(record, key) => Self::Neighbor,
            None => Self::Useless,
        }
    }
}

/// Returns whether a part that was read under the name of `key` is of the response that was found
/// there, by the record that came with the part: where other keys share the name, another response
/// may have taken its place since.
pub fn is_still_of(record: Option<&str>, key: &CacheKey) -> bool {
    let is_of_key = |record| StoredMeta::parse(record, key).is_some();
    !key.may_share_name() || record.is_some_and(is_of_key)
}

/// Returns whether a record of this version is of a key that shares the name of `key`.
fn is_neighbor(record: &str, key: &CacheKey) -> bool {
    let mut fields = record.split('&').map(|field| field.split_once('=').unwrap_or_default());
    fields.next() == Some((VERSION_FIELD, VERSION))
        && fields.find(|(name, _)| *name == "key").is_some_and(|(_, text)| {
            let text = percent_decode_str(text).decode_utf8();
            text.is_ok_and(|text| key.shares_name_with(&text))
        })
}

/// When a body was fetched, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct FetchTimes {
    /// When the origin was asked first: purges and leases count from then.
    pub asked_unix_secs: u64,
    /// When the head of the answer that brought the body came.
    pub answered_unix_secs: u64,
}

/// How the origin is asked whether a client may have what is stored.
///
/// Synapse's `ETag` is an unquoted `1` for all media: a 304 to it proves permission, and not which
/// bytes are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// With `If-None-Match` and the origin's `ETag` as it came, valid or not.
    ETag(HeaderValue),
    /// With `If-Modified-Since` and the origin's `Last-Modified`.
    LastModified(HeaderValue),
    /// With an unconditional GET: the origin redirected to these bytes, at this scheme, host and
    /// path (see [`crate::origin::redirect::place`]), and to redirect there again is its
    /// permission.
    Redirect(String),
    /// With Synapse's tag, by a guess: the origin sent no validator, or an intermediary removed the
    /// validator.
    None,
}

impl Validator {
    /// Returns the validator in the headers of a 200: the `ETag`, else `Last-Modified`.
    pub fn of(head: &OriginHead) -> Self {
        let value = |name: &HeaderName| head.headers.get(name).cloned();
        value(&ETAG)
            .map(Self::ETag)
            .or_else(|| value(&LAST_MODIFIED).map(Self::LastModified))
            .unwrap_or(Self::None)
    }

    /// Returns the field of a conditional request; `None` where the origin redirects.
    pub fn precondition(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::ETag(tag) => Some((IF_NONE_MATCH, tag.clone())),
            Self::LastModified(date) => Some((IF_MODIFIED_SINCE, date.clone())),
            Self::None => Some((IF_NONE_MATCH, HeaderValue::from_static(GUESSED_TAG))),
            Self::Redirect(_) => None,
        }
    }

    /// Returns whether the origin sent the validator with the body that is stored.
    pub const fn is_told(&self) -> bool {
        match self {
            Self::ETag(_) | Self::LastModified(_) => true,
            Self::Redirect(_) | Self::None => false,
        }
    }

    /// Returns whether an answer with `self` may replace a stored response with `stored`: if the
    /// validators are of one kind, or one side has none. Media that the homeserver sends itself may
    /// replace media that its redirect led to, and not the other way round.
    pub fn may_replace(&self, stored: &Self) -> bool {
        match (self, stored) {
            (Self::Redirect(_), Self::ETag(_) | Self::LastModified(_) | Self::None) => false,
            (_, Self::Redirect(_) | Self::None) | (Self::None, _) => true,
            (Self::ETag(_), Self::ETag(_)) | (Self::LastModified(_), Self::LastModified(_)) => true,
            (Self::ETag(_), Self::LastModified(_)) | (Self::LastModified(_), Self::ETag(_)) => {
                false
            }
        }
    }

    /// Returns what tells one version of a representation from another; `None` for Synapse's
    /// constant tag, and where the origin sent no validator.
    pub fn identity(&self) -> Option<&[u8]> {
        match self {
            Self::ETag(tag) if !CONSTANT_TAGS.contains(&tag.as_bytes()) => Some(tag.as_bytes()),
            Self::LastModified(date) => Some(date.as_bytes()),
            Self::ETag(_) | Self::Redirect(_) | Self::None => None,
        }
    }

    fn length_bytes(&self) -> usize {
        match self {
            Self::ETag(value) | Self::LastModified(value) => value.len(),
            Self::Redirect(place) => place.len(),
            Self::None => 0,
        }
    }
}

/// Synapse's `ETag` of all media, unquoted. It answers 304 to this whether or not its tag arrived.
const GUESSED_TAG: &str = "1";

/// What Synapse sends for everything, and what proxies make of it.
const CONSTANT_TAGS: [&[u8]; 3] = [b"1", b"\"1\"", b"W/\"1\""];

impl StoredMeta {
    /// Makes the record of an answer that is storable and `length_bytes` long. A file name that is
    /// too long to be kept is cut.
    ///
    /// # Errors
    /// Another header is too long to be kept, or all of them together are.
    pub fn new(
        key: &CacheKey,
        head: &OriginHead,
        validator: Validator,
        length_bytes: u64,
        times: FetchTimes,
    ) -> Result<Self, NoStoreReason> {
        let mut headers: HeaderMap = STORED_HEADERS
            .iter()
            .filter_map(|name| Some((name.clone(), head.headers.get(name)?.clone())))
            .collect();
        if let Some(field) = headers.get_mut(CONTENT_DISPOSITION)
            && field.len() > MAX_HEADER_BYTES
        {
            *field = own_value(&with_short_name(field));
        }
        let key = key.to_string();
        let FetchTimes { asked_unix_secs: stored_unix_secs, answered_unix_secs } = times;
        let meta = Self {
            key,
            stored_unix_secs,
            answered_unix_secs,
            length_bytes,
            validator,
            headers,
            granted_at: None,
        };
        let is_long = |length: usize| length > MAX_HEADER_BYTES;
        if is_long(meta.validator.length_bytes())
            || meta.headers.values().any(|value| is_long(value.len()))
            || meta.to_text().len() > MAX_RECORD_BYTES
        {
            return Err(NoStoreReason::HeaderTooLong);
        }
        Ok(meta)
    }

    /// Parses a record. Returns `None` if it is of another version or another key, or malformed.
    pub fn parse(text: &str, key: &CacheKey) -> Option<Self> {
        let mut fields = text.split('&').map(|field| field.split_once('='));
        if fields.next()?? != (VERSION_FIELD, VERSION) {
            return None;
        }
        let mut meta = Self {
            key: key.to_string(),
            stored_unix_secs: 0,
            answered_unix_secs: 0,
            length_bytes: 0,
            validator: Validator::None,
            headers: HeaderMap::new(),
            granted_at: None,
        };
        let mut is_of_key = false;
        for field in fields {
            let (name, value) = field?;
            let bytes: Vec<u8> = percent_decode_str(value).collect();
            let number = || std::str::from_utf8(&bytes).ok()?.parse().ok();
            let header = || HeaderValue::from_bytes(&bytes).ok();
            match name {
                "key" => is_of_key = bytes == meta.key.as_bytes(),
                "stored" => meta.stored_unix_secs = number()?,
                "answered" => meta.answered_unix_secs = number()?,
                "length" => meta.length_bytes = number()?,
                "if-none-match" => meta.validator = Validator::ETag(header()?),
                "if-modified-since" => meta.validator = Validator::LastModified(header()?),
                "redirect" => {
                    meta.validator = Validator::Redirect(String::from_utf8(bytes).ok()?);
                }
                name => {
                    let name = STORED_HEADERS.iter().find(|kept| kept.as_str() == name)?;
                    meta.headers.insert(name.clone(), header()?);
                }
            }
        }
        is_of_key.then_some(meta)
    }

    /// Returns the record as text, encoded as forms are: ASCII without white space.
    pub fn to_text(&self) -> String {
        let [stored, answered, length] =
            [self.stored_unix_secs, self.answered_unix_secs, self.length_bytes]
                .map(|number| number.to_string());
        let mut text = format!("{VERSION_FIELD}={VERSION}");
        let mut field = |name: &str, value: &[u8]| {
            text.push('&');
            text.push_str(name);
            text.push('=');
            text.extend(percent_encode(value, NON_ALPHANUMERIC));
        };
        field("key", self.key.as_bytes());
        field("stored", stored.as_bytes());
        field("answered", answered.as_bytes());
        field("length", length.as_bytes());
        match &self.validator {
            Validator::ETag(tag) => field("if-none-match", tag.as_bytes()),
            Validator::LastModified(date) => field("if-modified-since", date.as_bytes()),
            Validator::Redirect(place) => field("redirect", place.as_bytes()),
            Validator::None => {}
        }
        for (name, value) in &self.headers {
            field(name.as_str(), value.as_bytes());
        }
        text
    }

    /// Returns the record of a body that was granted at this door, if at any.
    pub fn granted_at(self, door: Option<Door>) -> Self {
        Self { granted_at: door, ..self }
    }

    /// Returns the record with the door that is named beside it.
    pub fn with_grant(self, door: Option<&str>) -> Self {
        self.granted_at(door.filter(|door| *door == Door::Client.as_str()).map(|_| Door::Client))
    }

    /// Returns the name of the door at which the body was granted, to be kept beside the record.
    pub fn grant(&self) -> Option<&'static str> {
        self.granted_at.map(Door::as_str)
    }

    /// Returns when the homeserver was asked for the answer that granted the body at this door, in
    /// seconds since the Unix epoch; `None` if none did.
    pub fn granted_unix_secs(&self, door: Door) -> Option<u64> {
        (self.granted_at == Some(door)).then_some(self.stored_unix_secs)
    }

    /// Returns what the record weighs in memory beside the body, in bytes.
    pub fn weight_bytes(&self) -> u64 {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        (self.key.len() + self.validator.length_bytes() + headers.sum::<usize>()) as u64
    }

    /// Returns the media type without parameters in lower case, if there is one.
    pub fn media_type(&self) -> Option<String> {
        media_type(&self.headers)
    }

    /// Returns the stored `Content-Disposition`, if there is one.
    pub fn disposition(&self) -> Option<&HeaderValue> {
        self.headers.get(CONTENT_DISPOSITION)
    }

    /// Returns the length of the body in bytes.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Returns whether the entry is so new that its body may yet turn out to be short.
    pub fn is_new(&self, now_unix_secs: u64) -> bool {
        let body_secs = self.length_bytes / SLOWEST_BYTES_PER_SEC;
        now_unix_secs.saturating_sub(self.answered_unix_secs) < NEW_SECS + body_secs
    }

    /// Returns whether the response has been stored for longer than `CACHE_SECONDS`.
    pub fn is_expired(&self, config: &Config, now_unix_secs: u64) -> bool {
        self.secs_left(config, now_unix_secs) == 0
    }

    fn secs_left(&self, config: &Config, now_unix_secs: u64) -> u64 {
        self.stored_unix_secs.saturating_add(config.cache_secs).saturating_sub(now_unix_secs)
    }

    /// Returns the head of a cache entry: standard headers for the platform, and the record for the
    /// edge.
    pub fn entry_head(&self, config: &Config, now_unix_secs: u64) -> ReplyHead {
        let headers = [
            (CACHE_CONTROL, public_for(self.secs_left(config, now_unix_secs))),
            (CONTENT_LENGTH, self.length_bytes.into()),
            (CACHE_TAG, own_value(&tags(&self.key))),
            (STORED_META, own_value(&self.to_text())),
        ];
        let mut headers: HeaderMap = headers.into_iter().collect();
        if let Some(door) = self.grant() {
            headers.insert(GRANTED_AT, HeaderValue::from_static(door));
        }
        ReplyHead::new(StatusCode::OK, headers)
    }

    /// Returns how the origin is asked about the stored response.
    pub fn validator(&self) -> &Validator {
        &self.validator
    }

    /// Returns when the origin was asked for the response, in seconds since the Unix epoch.
    pub fn stored_unix_secs(&self) -> u64 {
        self.stored_unix_secs
    }

    /// Returns the headers that the stored response is served with.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_LENGTH, self.length_bytes.into());
        headers
    }
}

/// Returns the cache tags of an entry: its key's path and every path above that, so that the
/// platform can purge the entry by any of them.
fn tags(key: &str) -> String {
    let ends = key.match_indices('/').map(|(end, _)| end).chain([key.len()]);
    ends.map(|end| format!("{TAG_PREFIX}{}", &key[..end])).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::Subject;
    use crate::config::tests::config;
    use crate::matrix::ids::{MediaId, Mxc, ServerName};
    use crate::matrix::media::Representation;
    use crate::matrix::thumbnail::ThumbnailSpec;
    use crate::message::target::Target;
    use http::StatusCode;

    const TIMES: FetchTimes =
        FetchTimes { asked_unix_secs: 1_700_000_000, answered_unix_secs: 1_700_000_000 };

    fn key(media_id: &str) -> CacheKey {
        let mxc = Mxc {
            server_name: ServerName::parse("example.com").unwrap(),
            media_id: MediaId::parse(media_id).unwrap(),
        };
        CacheKey::new(&mxc.server_name, Subject::Media(&mxc, Representation::Content))
    }

    fn meta() -> StoredMeta {
        let headers = HeaderMap::from_iter([
            (ETAG, HeaderValue::from_static("1")),
            (CONTENT_TYPE, HeaderValue::from_bytes(b"text/\xe9\"\\").unwrap()),
            (CACHE_CONTROL, HeaderValue::from_static("public")),
            (http::header::SET_COOKIE, HeaderValue::from_static("secret")),
        ]);
        let head = OriginHead { status: StatusCode::OK, headers };
        StoredMeta::new(&key("abc"), &head, Validator::of(&head), 5, TIMES).unwrap()
    }

    /// The record of an answer with this header besides.
    fn with(name: HeaderName, value: &str) -> Result<StoredMeta, NoStoreReason> {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        let head = OriginHead { status: StatusCode::OK, headers };
        StoredMeta::new(&key("abc"), &head, Validator::of(&head), 5, TIMES)
    }

    #[test]
    fn a_record_survives_the_round_trip_byte_for_byte() {
        let read = StoredMeta::parse(&meta().to_text(), &key("abc")).unwrap();
        assert_eq!(read, meta());
        assert_eq!(read.headers()["content-type"].as_bytes(), b"text/\xe9\"\\");
        assert_eq!(read.validator().precondition().unwrap().1, "1");
    }

    #[test]
    fn a_redirect_validator_survives_the_round_trip() {
        let place = Validator::Redirect("https://cdn.example.com/a%20&b".to_owned());
        let meta = StoredMeta { validator: place.clone(), ..meta() };
        let read = StoredMeta::parse(&meta.to_text(), &key("abc")).unwrap();
        assert_eq!(read.validator(), &place);
        assert_eq!(read.validator().precondition(), None);
    }

    #[test]
    fn an_entry_is_new_while_its_body_may_still_be_on_its_way() {
        let stored = meta().stored_unix_secs();
        assert!(meta().is_new(stored + 99));
        assert!(!meta().is_new(stored + 100));
    }

    #[test]
    fn a_large_entry_is_new_for_as_long_as_its_body_may_take() {
        let meta = StoredMeta { length_bytes: 50_000_000, ..meta() };
        let answered = meta.answered_unix_secs;
        assert!(meta.is_new(answered + 599) && !meta.is_new(answered + 600));
    }

    #[test]
    fn an_entry_is_new_from_the_answer_that_brought_its_body() {
        let times = FetchTimes { answered_unix_secs: 1_700_000_095, ..TIMES };
        let head = OriginHead { status: StatusCode::OK, headers: HeaderMap::new() };
        let meta = StoredMeta::new(&key("abc"), &head, Validator::None, 5, times).unwrap();
        let read = StoredMeta::parse(&meta.to_text(), &key("abc")).unwrap();
        assert_eq!(read.stored_unix_secs(), 1_700_000_000);
        assert!(read.is_new(1_700_000_194) && !read.is_new(1_700_000_195));
    }

    #[test]
    fn a_header_that_is_too_long_prevents_storing() {
        let long = "x".repeat(MAX_HEADER_BYTES + 1);
        for name in [CONTENT_TYPE, CONTENT_SECURITY_POLICY, ETAG, LAST_MODIFIED] {
            assert_eq!(with(name.clone(), &long), Err(NoStoreReason::HeaderTooLong), "{name}");
            assert!(with(name, &long[1..]).is_ok());
        }
    }

    #[test]
    fn a_file_name_of_any_length_makes_a_record_that_a_bucket_takes() {
        let name = "%D0%9F".repeat(7_500);
        let meta = with(CONTENT_DISPOSITION, &format!("attachment; filename*=utf-8''{name}"));
        let meta = meta.expect("its name is cut");
        assert!(meta.to_text().len() <= MAX_RECORD_BYTES);
        assert!(meta.weight_bytes() < 2_000);
        let kept = meta.headers()[CONTENT_DISPOSITION].to_str().unwrap().to_owned();
        assert!(kept.starts_with("attachment; filename*=utf-8''%D0%9F"), "{kept}");
        assert!((700..=MAX_HEADER_BYTES).contains(&kept.len()), "{}", kept.len());
    }

    #[test]
    fn headers_that_are_too_long_together_prevent_storing() {
        let long = HeaderValue::from_str(&";".repeat(MAX_HEADER_BYTES)).unwrap();
        let headers = STORED_HEADERS.iter().map(|name| (name.clone(), long.clone())).collect();
        let head = OriginHead { status: StatusCode::OK, headers };
        let meta = StoredMeta::new(&key("abc"), &head, Validator::None, 5, TIMES);
        assert_eq!(meta, Err(NoStoreReason::HeaderTooLong));
    }

    #[test]
    fn only_validators_of_one_kind_replace_each_other() {
        let value = || HeaderValue::from_static("a");
        let (tag, date) = (Validator::ETag(value()), Validator::LastModified(value()));
        let redirect = Validator::Redirect("https://a/b".to_owned());
        for (new, stored, may) in [
            (&tag, &tag, true),
            (&tag, &date, false),
            (&date, &tag, false),
            (&Validator::None, &tag, true),
            (&tag, &Validator::None, true),
            (&tag, &redirect, true),
            (&redirect, &redirect, true),
            (&redirect, &tag, false),
            (&redirect, &date, false),
            (&redirect, &Validator::None, false),
        ] {
            assert_eq!(new.may_replace(stored), may, "{new:?} for {stored:?}");
        }
    }

    #[test]
    fn a_constant_tag_identifies_no_version() {
        let tag = |tag| Validator::ETag(HeaderValue::from_static(tag));
        for constant in ["1", "\"1\"", "W/\"1\""] {
            assert_eq!(tag(constant).identity(), None, "{constant}");
        }
        assert_eq!(tag("\"a\"").identity(), Some(&b"\"a\""[..]));
        assert_eq!(Validator::None.identity(), None);
    }

    #[test]
    fn unlisted_headers_are_not_stored() {
        assert!(!meta().headers().contains_key("set-cookie"));
        assert!(!meta().headers().contains_key("etag"));
    }

    #[test]
    fn an_entry_expires_by_the_time_it_was_stored() {
        let config = config(&[("CACHE_SECONDS", "60")]).unwrap();
        let stored = meta().stored_unix_secs();
        assert!(!meta().is_expired(&config, stored + 59));
        assert!(meta().is_expired(&config, stored + 60));
        let head = meta().entry_head(&config, stored + 45);
        assert_eq!(head.headers["cache-control"], "public, max-age=15");
    }

    #[test]
    fn an_entry_is_tagged_with_its_path_and_all_above() {
        let head = meta().entry_head(&config(&[]).unwrap(), 1_700_000_000);
        assert_eq!(
            head.headers["cache-tag"],
            "matrix-media-edge/v2,matrix-media-edge/v2/example.com,\
             matrix-media-edge/v2/example.com/media,\
             matrix-media-edge/v2/example.com/media/example.com,\
             matrix-media-edge/v2/example.com/media/example.com/abc,\
             matrix-media-edge/v2/example.com/media/example.com/abc/example.com,\
             matrix-media-edge/v2/example.com/media/example.com/abc/example.com/content"
        );
    }

    #[test]
    fn a_record_under_another_key_is_not_used() {
        assert_eq!(StoredMeta::parse(&meta().to_text(), &key("abd")), None);
    }

    #[test]
    fn a_record_of_another_size_under_a_shared_name_is_a_neighbors() {
        let mxc = Mxc::parse("mxc://example.com/abc").unwrap();
        let keys: Vec<_> = (1..=200)
            .map(|width| {
                let target = Target::new(&format!("/t?width={width}&height=1"));
                let spec = ThumbnailSpec::parse(target.query()).unwrap();
                let subject = Subject::Media(&mxc, Representation::Thumbnail(spec));
                CacheKey::new(&mxc.server_name, subject)
            })
            .collect();
        let (first, others) = keys.split_first().unwrap();
        let head = OriginHead { status: StatusCode::OK, headers: HeaderMap::new() };
        let record =
            |key| StoredMeta::new(key, &head, Validator::None, 5, TIMES).unwrap().to_text();
        assert!(matches!(Occupant::of(&record(first), first), Occupant::Wanted(_)));
        let neighbor = others.iter().find(|key| key.name() == first.name()).unwrap();
        let stranger = others.iter().find(|key| key.name() != first.name()).unwrap();
        assert_eq!(Occupant::of(&record(neighbor), first), Occupant::Neighbor);
        assert!(is_still_of(Some(&record(first)), first));
        assert!(!is_still_of(Some(&record(neighbor)), first) && !is_still_of(None, first));
        assert!(is_still_of(None, &key("abc")), "no other has its name");
        let older = record(neighbor).replace("version=3", "version=2");
        assert!(!is_still_of(Some(&older), first));
        for useless in [record(stranger), record(&key("abc")), older, String::new()] {
            assert_eq!(Occupant::of(&useless, first), Occupant::Useless, "{useless}");
        }
    }

    #[test]
    fn a_malformed_record_or_one_of_another_version_is_not_used() {
        let text = meta().to_text();
        for text in [
            text.replace("version=3", "version=2"),
            text.replace("version=3&", ""),
            text.replace("length=5", "length=x"),
            text.replace("content-type", "x-unknown"),
            text[1..].to_owned(),
            format!("{text}&"),
            String::new(),
        ] {
            assert_eq!(StoredMeta::parse(&text, &key("abc")), None, "{text}");
        }
    }
}
