//! The name of a stored response.
//!
//! It is built from identifiers that were parsed by their grammar, never from a raw path and never
//! from a credential, so that no two things share a name and nothing secret is in one. The server
//! name stands in every key: two deployments that share a bucket or a zone share nothing in it.
//!
//! A key names one response. The stores beyond an isolate keep it under the key's *name*, which
//! some keys share: whoever asks may choose the size of a thumbnail, so sizes that are not usual
//! ones share [`SLOTS`] names for each media, and what a media takes in a store is bounded. The
//! record that is stored with a response tells which key it is of (see [`crate::cache::entry`]).

use std::borrow::{Borrow, Cow};
use std::fmt;

use sha2::{Digest, Sha256};

use crate::config::base_url::BaseUrl;
use crate::matrix::access_token::TokenDigest;
use crate::matrix::ids::{MediaId, Mxc, ServerName};
use crate::matrix::media::{Door, MediaKind, Representation};
use crate::matrix::well_known::Document;

/// The first segment of every key. It changes with what is stored under a key, and with who may
/// store it.
const VERSION: &str = "v2";

/// The parts of keys under which responses are stored.
const MEDIA: &str = "media";
const FEDERATION: &str = "federation";

/// How many names the thumbnails of one media share that are not of a usual size.
pub const SLOTS: u8 = 64;

/// A cache key: URL-safe path segments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey {
    path: String,
    /// Where the last segment begins, if a slot takes its place in the name.
    slotted_at: Option<usize>,
}

/// What a key names.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// Media in the form that clients get, by whichever client path and file name.
    Media(&'a Mxc, Representation),
    /// Media of the edge's own server in the form that servers get: an envelope with a boundary.
    Federation(&'a MediaId, Representation),
    /// A grant about this kind of a media at a door.
    MediaLease(Door, &'a Mxc, MediaKind),
    /// A grant to a token at a door, about all media or about this kind of one.
    TokenLease(Door, &'a TokenDigest, Option<(&'a Mxc, MediaKind)>),
    /// The upload limit that the origin told a token.
    UploadLimit(&'a TokenDigest),
    /// The last results of the status checks.
    Status,
    /// What the status checks write, and read again.
    StatusProbe,
    /// What a self-test writes and removes, by the number of its run.
    SelfTest(u64),
    /// The list of purges.
    Purges,
    /// When the scheduled run was seen last.
    LastRun,
    /// How far the list of quarantined media has been read.
    QuarantinePosition,
    /// The last good copy of a well-known document.
    WellKnown(Document),
}

impl CacheKey {
    /// Returns the key of `subject` at the edge of `server_name`.
    pub fn new(server_name: &ServerName, subject: Subject<'_>) -> Self {
        let slotted = match subject {
            Subject::Media(_, Representation::Thumbnail(spec))
            | Subject::Federation(_, Representation::Thumbnail(spec)) => !spec.is_usual(),
            _ => false,
        };
        let rest = match subject {
            Subject::Media(mxc, representation) => {
                format!("{MEDIA}/{}/{}", path_of(mxc), name_of(representation))
            }
            Subject::Federation(media_id, representation) => {
                format!("{FEDERATION}/{}/{}", media_id.as_str(), name_of(representation))
            }
            Subject::MediaLease(door, mxc, kind) => {
                format!("lease/{}/media/{}/{}", door.as_str(), path_of(mxc), kind.as_str())
            }
            Subject::TokenLease(door, token, None) => {
                format!("lease/{}/token/{}", door.as_str(), token.as_str())
            }
            Subject::TokenLease(door, token, Some((mxc, kind))) => {
                let (door, token) = (door.as_str(), token.as_str());
                format!("lease/{door}/token/{token}/{}/{}", path_of(mxc), kind.as_str())
            }
            Subject::UploadLimit(token) => format!("upload-limit/{}", token.as_str()),
            Subject::QuarantinePosition => "quarantine-position".to_owned(),
            Subject::LastRun => "last-run".to_owned(),
            Subject::SelfTest(run) => format!("self-test/{run}"),
            Subject::Status => "status".to_owned(),
            Subject::StatusProbe => "status-probe".to_owned(),
            Subject::Purges => "purges".to_owned(),
            Subject::WellKnown(Document::Client) => "well-known/client".to_owned(),
            Subject::WellKnown(Document::Server) => "well-known/server".to_owned(),
        };
        let path = format!("{VERSION}/{server_name}/{rest}");
        let slotted_at = slotted.then(|| path.rfind('/').map_or(0, |slash| slash + 1));
        Self { path, slotted_at }
    }

    /// Returns the name under which stores keep the response. It depends on the key alone, not on
    /// the build, so that a later build finds what an earlier one has stored.
    pub fn name(&self) -> Cow<'_, str> {
        match self.slotted_at {
            None => Cow::Borrowed(&self.path),
            Some(start) => Cow::Owned(slotted_name(&self.path, start)),
        }
    }

    /// Returns whether other responses may be kept under this one's name.
    pub const fn may_share_name(&self) -> bool {
        self.slotted_at.is_some()
    }

    /// Returns whether the response of another key, told by its text, is kept under this one's name.
    pub fn shares_name_with(&self, other: &str) -> bool {
        self.slotted_at.is_some_and(|start| {
            let is_sibling = other.get(..start) == self.path.get(..start);
            is_sibling && other != self.path && slotted_name(other, start) == self.name()
        })
    }

    /// Returns the name as the Cache API wants it: a URL on the media domain, under a path that is
    /// never served.
    pub fn url(&self, media: &BaseUrl) -> String {
        format!("{media}/_edge/cache/{}", self.name())
    }

    /// Returns the length of the key in bytes.
    pub fn length_bytes(&self) -> u64 {
        self.path.len() as u64
    }

    /// Returns all that may be a [`KeyPrefix`] of the key, the shortest first.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.path.match_indices('/').filter_map(|(slash, _)| self.path.get(..=slash))
    }

    /// Returns the key of the lease about the other kind of this media: of its thumbnails for its
    /// content, and the other way round. `None` for a lease that is not about one kind.
    pub fn of_other_kind(&self) -> Option<Self> {
        let (path, kind) = self.path.rsplit_once('/')?;
        let kind = MediaKind::parse(kind)?.other();
        Some(Self { path: format!("{path}/{}", kind.as_str()), slotted_at: None })
    }
}

/// Returns the name of a key of this text whose last segment, from `start` on, gives its place to a
/// slot. The whole text chooses that, so that sizes which share a slot for one media don't for others.
fn slotted_name(path: &str, start: usize) -> String {
    let slot = Sha256::digest(path)[0] % SLOTS;
    format!("{}slot-{slot}", &path[..start])
}

/// What the keys of several stored responses begin with: whole segments, so it ends with a slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Returns the prefixes of all media that `edge` has stored, for clients and for servers.
    pub fn everything(edge: &ServerName) -> [Self; 2] {
        [Self::all_media(edge), Self::federation(edge)]
    }

    /// Returns the prefix of all media that clients of `edge` got.
    pub fn all_media(edge: &ServerName) -> Self {
        Self(format!("{VERSION}/{edge}/{MEDIA}/"))
    }

    /// Returns the prefix of the media of one server that clients of `edge` got, under any spelling
    /// of the server's name.
    pub fn server(edge: &ServerName, server_name: &ServerName) -> Self {
        Self(format!("{VERSION}/{edge}/{MEDIA}/{}/", server_name.canonical_host()))
    }

    /// Returns the prefix of one media that clients of `edge` got, in all its sizes, under any
    /// spelling of its server's name.
    pub fn media(edge: &ServerName, mxc: &Mxc) -> Self {
        let (host, media_id) = (mxc.server_name.canonical_host(), mxc.media_id.as_str());
        Self(format!("{VERSION}/{edge}/{MEDIA}/{host}/{media_id}/"))
    }

    /// Returns the prefix of the media that `key` is a response of; `None` for a key of something
    /// else.
    pub fn of_media(key: &CacheKey) -> Option<Self> {
        let mut prefixes = key.prefixes();
        let is_media = prefixes.nth(2)?.rsplit('/').nth(1) == Some(MEDIA);
        is_media.then(|| prefixes.nth(1)).flatten().map(|prefix| Self(prefix.to_owned()))
    }

    /// Returns the prefix of all media that servers got from `edge`.
    pub fn federation(edge: &ServerName) -> Self {
        Self(format!("{VERSION}/{edge}/{FEDERATION}/"))
    }

    /// Returns the prefix of one media that servers got from `edge`, in all its sizes.
    pub fn federation_media(edge: &ServerName, media_id: &MediaId) -> Self {
        Self(format!("{VERSION}/{edge}/{FEDERATION}/{}/", media_id.as_str()))
    }

    /// Returns a prefix that no media of `edge` has, by two numbers.
    pub fn of_no_media(edge: &ServerName, a: u64, b: u64) -> Self {
        Self(format!("{VERSION}/{edge}/{MEDIA}/-/{a}-{b}/"))
    }

    /// Returns all broader prefixes that include this one, the shortest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let ends = self.0.match_indices('/').map(|(slash, _)| slash + 1);
        ends.filter(|end| *end < self.0.len()).filter_map(|end| self.0.get(..end))
    }

    /// Parses a prefix of stored responses of this version; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut segments = text.split('/');
        let is_of_responses = segments.next() == Some(VERSION)
            && segments.next().and_then(ServerName::parse).is_some()
            && matches!(segments.next(), Some(MEDIA | FEDERATION))
            && segments.next().is_some()
            && text.ends_with('/');
        is_of_responses.then(|| Self(text.to_owned()))
    }

    /// Returns the length of the prefix in bytes.
    pub fn length_bytes(&self) -> usize {
        self.0.len()
    }

    /// Returns whether all that begins with this prefix begins with the other.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Returns whether `key` begins with the prefix.
    pub fn is_of(&self, key: &CacheKey) -> bool {
        key.path.starts_with(&self.0)
    }
}

impl Borrow<str> for KeyPrefix {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the path of a media. The canonical host and the ID come first, so that one prefix covers
/// the media under all spellings of its server's name; the name as it was written comes last, and
/// keeps the spellings apart.
fn path_of(mxc: &Mxc) -> String {
    let (host, media_id) = (mxc.server_name.canonical_host(), mxc.media_id.as_str());
    format!("{host}/{media_id}/{}", mxc.server_name)
}

fn name_of(representation: Representation) -> String {
    match representation {
        Representation::Content => MediaKind::Content.as_str().to_owned(),
        Representation::Thumbnail(spec) => format!("{}/{spec}", MediaKind::Thumbnail.as_str()),
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::matrix::ids::MediaId;
    use crate::matrix::thumbnail::ThumbnailSpec;
    use crate::message::target::Target;

    fn edge() -> ServerName {
        ServerName::parse("example.com").unwrap()
    }

    fn mxc(server_name: &str, media_id: &str) -> Mxc {
        Mxc {
            server_name: ServerName::parse(server_name).unwrap(),
            media_id: MediaId::parse(media_id).unwrap(),
        }
    }

    fn content(server_name: &str, media_id: &str) -> CacheKey {
        let mxc = mxc(server_name, media_id);
        CacheKey::new(&edge(), Subject::Media(&mxc, Representation::Content))
    }

    #[test]
    fn a_key_is_a_url_on_the_media_domain() {
        let media = BaseUrl::parse("https://media.example.com").unwrap();
        assert_eq!(
            content("Example.org:8448", "aB_-").url(&media),
            "https://media.example.com/_edge/cache/\
             v2/example.com/media/example.org/aB_-/Example.org:8448/content"
        );
    }

    #[test]
    fn case_and_port_distinguish_keys() {
        assert_ne!(content("example.org", "abc"), content("example.org", "abC"));
        assert_ne!(content("example.org", "abc"), content("Example.org", "abc"));
        assert_ne!(content("example.org", "abc"), content("example.org:8448", "abc"));
    }

    #[test]
    fn edges_of_two_servers_share_no_key() {
        let mxc = mxc("example.org", "abc");
        let other = ServerName::parse("example.net").unwrap();
        for subject in [
            Subject::Media(&mxc, Representation::Content),
            Subject::Federation(&mxc.media_id, Representation::Content),
            Subject::MediaLease(Door::Client, &mxc, MediaKind::Content),
            Subject::Status,
            Subject::Purges,
            Subject::WellKnown(Document::Client),
        ] {
            assert_ne!(CacheKey::new(&edge(), subject), CacheKey::new(&other, subject));
        }
    }

    #[test]
    fn the_prefix_of_a_media_is_found_by_the_key_of_each_of_its_responses() {
        let named = mxc("Example.org:8448", "abc");
        let spec = ThumbnailSpec::parse(Target::new("/?width=32&height=32").query()).unwrap();
        for representation in [Representation::Content, Representation::Thumbnail(spec)] {
            let key = CacheKey::new(&edge(), Subject::Media(&named, representation));
            assert_eq!(KeyPrefix::of_media(&key), Some(KeyPrefix::media(&edge(), &named)));
        }
        let federated = Subject::Federation(&named.media_id, Representation::Content);
        for subject in [federated, Subject::Purges] {
            assert_eq!(KeyPrefix::of_media(&CacheKey::new(&edge(), subject)), None);
        }
    }

    #[test]
    fn a_prefix_covers_every_spelling_of_a_servers_name() {
        let named = mxc("example.org", "abc");
        for spelling in ["example.org", "EXAMPLE.org", "example.org:443", "Example.Org:8448"] {
            let key = content(spelling, "abc");
            assert!(KeyPrefix::media(&edge(), &named).is_of(&key), "{spelling}");
            assert!(KeyPrefix::server(&edge(), &named.server_name).is_of(&key), "{spelling}");
        }
        for stranger in ["example.org.evil", "sub.example.org"] {
            assert!(!KeyPrefix::media(&edge(), &named).is_of(&content(stranger, "abc")));
        }
        assert!(!KeyPrefix::media(&edge(), &named).is_of(&content("example.org", "abcd")));
    }

    #[test]
    fn self_test_entries_are_outside_every_purge() {
        let key = CacheKey::new(&edge(), Subject::SelfTest(7));
        assert_eq!(key.to_string(), "v2/example.com/self-test/7");
        for prefix in KeyPrefix::everything(&edge()) {
            assert!(!prefix.is_of(&key), "{prefix}");
        }
        assert_ne!(key, CacheKey::new(&edge(), Subject::SelfTest(8)));
    }

    #[test]
    fn a_lease_about_one_kind_has_a_sibling() {
        let mxc = mxc("example.org", "abc");
        let lease = |kind| CacheKey::new(&edge(), Subject::MediaLease(Door::Client, &mxc, kind));
        let (content, thumbnail) = (lease(MediaKind::Content), lease(MediaKind::Thumbnail));
        assert_eq!(content.of_other_kind().as_ref(), Some(&thumbnail));
        assert_eq!(thumbnail.of_other_kind().as_ref(), Some(&content));
        assert_eq!(CacheKey::new(&edge(), Subject::Status).of_other_kind(), None);
    }

    fn thumbnail(media_id: &str, query: &str) -> CacheKey {
        let spec = ThumbnailSpec::parse(Target::new(&format!("/t?{query}")).query()).unwrap();
        let mxc = mxc("example.org", media_id);
        CacheKey::new(&edge(), Subject::Media(&mxc, Representation::Thumbnail(spec)))
    }

    #[test]
    fn the_sizes_of_one_media_share_a_bounded_number_of_names() {
        let mxc = mxc("example.org", "abc");
        let spec = |width| {
            let target = Target::new(&format!("/t?width={width}&height=5"));
            Representation::Thumbnail(ThumbnailSpec::parse(target.query()).unwrap())
        };
        let for_clients = |width| CacheKey::new(&edge(), Subject::Media(&mxc, spec(width)));
        let for_servers =
            |width| CacheKey::new(&edge(), Subject::Federation(&mxc.media_id, spec(width)));
        let widths = 1..=1000;
        let keys: [BTreeSet<_>; 2] =
            [widths.clone().map(for_clients).collect(), widths.map(for_servers).collect()];
        for keys in keys {
            let names: BTreeSet<_> = keys.iter().map(CacheKey::name).collect();
            assert_eq!((keys.len(), names.len()), (1000, usize::from(SLOTS)));
        }
    }

    #[test]
    fn a_usual_size_has_a_name_of_its_own() {
        let usual = thumbnail("abc", "width=96&height=96&method=crop");
        assert_eq!(usual.name(), usual.to_string());
        assert!(usual.to_string().ends_with("/thumbnail/96x96-crop"));
        let content = content("example.org", "abc");
        assert_eq!(content.name(), content.to_string());
    }

    #[test]
    fn a_slot_is_the_same_in_every_build() {
        let key = thumbnail("abc", "width=97&height=97");
        let expected = "v2/example.com/media/example.org/abc/example.org/thumbnail/slot-15";
        assert_eq!(key.name(), expected);
    }

    #[test]
    fn keys_recognize_keys_that_share_their_name() {
        let keys: Vec<_> =
            (1..=300).map(|width| thumbnail("abc", &format!("width={width}&height=5"))).collect();
        let (first, others) = keys.split_first().unwrap();
        for other in others {
            let shares = first.name() == other.name();
            assert_eq!(first.shares_name_with(&other.to_string()), shares, "{other}");
        }
        assert!(others.iter().any(|other| first.name() == other.name()));
        assert!(!first.shares_name_with(&first.to_string()), "its own");
        for stranger in ["", "v2", "v2/example.com/media/example.org/abd/example.org/thumbnail/1x5"]
        {
            assert!(!first.shares_name_with(stranger), "{stranger}");
        }
    }

    #[test]
    fn a_purge_covers_what_has_a_slot() {
        let key = thumbnail("abc", "width=97&height=97");
        let prefix = KeyPrefix::media(&edge(), &mxc("example.org", "abc"));
        assert!(prefix.is_of(&key) && key.name().starts_with(&prefix.to_string()));
    }

    #[test]
    fn a_prefix_survives_the_round_trip_and_other_text_is_refused() {
        for prefix in [KeyPrefix::all_media(&edge()), KeyPrefix::federation(&edge())] {
            assert_eq!(KeyPrefix::parse(&prefix.to_string()), Some(prefix));
        }
        for text in [
            "",
            "v1/media/",
            "v2/example.com/",
            "v2/example.com/lease/",
            "v2/example.com/media",
            "v2/example.com/media/x",
            "v2/a b/media/",
        ] {
            assert_eq!(KeyPrefix::parse(text), None, "{text}");
        }
    }
}
