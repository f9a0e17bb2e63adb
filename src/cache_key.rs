//! The name of a stored response.
//!
//! It is built from identifiers that were parsed by their grammar, never from a raw path and never
//! from a credential, so that no two things share a name and nothing secret is in one.

use std::fmt;

use crate::access_token::TokenDigest;
use crate::base_url::BaseUrl;
use crate::ids::{MediaId, Mxc, ServerName};
use crate::route::{Document, Door, Representation};

/// Begins every key; a change of what is stored under a key changes it.
const VERSION: &str = "v1";

/// A cache key: URL-safe path segments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey(String);

/// What a key names.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// Media in the form that clients get, by whichever client path and file name.
    Media(&'a Mxc, Representation),
    /// Media of ours in the form that servers get, with a boundary of its own.
    Federation(&'a MediaId, Representation),
    /// A yes about a media at a door.
    MediaLease(Door, &'a Mxc),
    /// A yes to a token at a door, about one media or about all.
    TokenLease(Door, &'a TokenDigest, Option<&'a Mxc>),
    /// The upload limit that the origin told a token.
    UploadLimit(&'a TokenDigest),
    /// The last results of the status checks.
    Status,
    /// What the status checks write, to see that it can be read.
    StatusProbe,
    /// The list of purges.
    Purges,
    /// How far the list of quarantined media has been read.
    QuarantinePosition,
    /// The last good copy of a well-known document of this server.
    WellKnown(&'a ServerName, Document),
}

impl CacheKey {
    /// The key of `subject`.
    pub fn new(subject: Subject<'_>) -> Self {
        Self(match subject {
            Subject::Media(mxc, representation) => {
                format!("{VERSION}/media/{}/{}", path_of(mxc), name_of(representation))
            }
            Subject::Federation(media_id, representation) => {
                let (media_id, representation) = (media_id.as_str(), name_of(representation));
                format!("{VERSION}/federation/{media_id}/{representation}")
            }
            Subject::MediaLease(door, mxc) => {
                format!("{VERSION}/lease/{}/media/{}", door.as_str(), path_of(mxc))
            }
            Subject::TokenLease(door, token, None) => {
                format!("{VERSION}/lease/{}/token/{}", door.as_str(), token.as_str())
            }
            Subject::TokenLease(door, token, Some(mxc)) => {
                let (door, token) = (door.as_str(), token.as_str());
                format!("{VERSION}/lease/{door}/token/{token}/{}", path_of(mxc))
            }
            Subject::UploadLimit(token) => format!("{VERSION}/upload-limit/{}", token.as_str()),
            Subject::QuarantinePosition => format!("{VERSION}/quarantine-position"),
            Subject::Status => format!("{VERSION}/status"),
            Subject::StatusProbe => format!("{VERSION}/status-probe"),
            Subject::Purges => format!("{VERSION}/purges"),
            Subject::WellKnown(server_name, document) => {
                let document = match document {
                    Document::Client => "client",
                    Document::Server => "server",
                };
                format!("{VERSION}/well-known/{server_name}/{document}")
            }
        })
    }

    /// The key as the Cache API wants it: a URL on a host of ours, under a path that is never
    /// served.
    pub fn url(&self, media: &BaseUrl) -> String {
        format!("{media}/_edge/cache/{self}")
    }
}

/// What the keys of several stored responses begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// All media that clients got.
    pub fn all_media() -> Self {
        Self(format!("{VERSION}/media/"))
    }

    /// Media of one server that clients got.
    pub fn server(server_name: &ServerName) -> Self {
        Self(format!("{VERSION}/media/{server_name}/"))
    }

    /// One media that clients got, in all its sizes.
    pub fn media(mxc: &Mxc) -> Self {
        Self(format!("{VERSION}/media/{}/", path_of(mxc)))
    }

    /// All media that servers got.
    pub fn federation() -> Self {
        Self(format!("{VERSION}/federation/"))
    }

    /// One media that servers got, in all its sizes.
    pub fn federation_media(media_id: &MediaId) -> Self {
        Self(format!("{VERSION}/federation/{}/", media_id.as_str()))
    }

    /// Reads a prefix of stored responses of this version.
    pub fn parse(text: &str) -> Option<Self> {
        let is_of_responses = [Self::all_media(), Self::federation()]
            .iter()
            .any(|prefix| text.starts_with(&prefix.0) && text.ends_with('/'));
        is_of_responses.then(|| Self(text.to_owned()))
    }

    /// Whether `key` begins so.
    pub fn is_of(&self, key: &CacheKey) -> bool {
        key.0.starts_with(&self.0)
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn path_of(mxc: &Mxc) -> String {
    format!("{}/{}", mxc.server_name, mxc.media_id.as_str())
}

fn name_of(representation: Representation) -> String {
    match representation {
        Representation::Content => "content".to_owned(),
        Representation::Thumbnail(spec) => format!("thumbnail/{spec}"),
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MediaId;

    fn mxc(server_name: &str, media_id: &str) -> Mxc {
        Mxc {
            server_name: ServerName::parse(server_name).unwrap(),
            media_id: MediaId::parse(media_id).unwrap(),
        }
    }

    fn content(server_name: &str, media_id: &str) -> CacheKey {
        CacheKey::new(Subject::Media(&mxc(server_name, media_id), Representation::Content))
    }

    #[test]
    fn a_key_is_a_url_of_ours() {
        let media = BaseUrl::parse("https://media.example.com").unwrap();
        assert_eq!(
            content("example.org:8448", "aB_-").url(&media),
            "https://media.example.com/_edge/cache/v1/media/example.org:8448/aB_-/content"
        );
    }

    #[test]
    fn case_tells_keys_apart() {
        assert_ne!(content("example.org", "abc"), content("example.org", "abC"));
        assert_ne!(content("example.org", "abc"), content("Example.org", "abc"));
    }
}
