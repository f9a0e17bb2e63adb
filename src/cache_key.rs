//! The name of a stored response.
//!
//! It is built from identifiers that were parsed by their grammar, never from a raw path and never
//! from a credential, so that no two things share a name and nothing secret is in one.

use std::fmt;

use crate::base_url::BaseUrl;
use crate::ids::{Mxc, ServerName};
use crate::route::{Document, Representation};

/// Begins every key; a change of what is stored under a key changes it.
const VERSION: &str = "v1";

/// A cache key: URL-safe path segments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey(String);

/// What a key names.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// Media in the form that clients get, by whichever client path and file name.
    Media(&'a Mxc, Representation),
    /// The last good copy of a well-known document of this server.
    WellKnown(&'a ServerName, Document),
}

impl CacheKey {
    /// The key of `subject`.
    pub fn new(subject: Subject<'_>) -> Self {
        Self(match subject {
            Subject::Media(Mxc { server_name, media_id }, representation) => {
                let media_id = media_id.as_str();
                match representation {
                    Representation::Content => {
                        format!("{VERSION}/media/{server_name}/{media_id}/content")
                    }
                    Representation::Thumbnail(spec) => {
                        format!("{VERSION}/media/{server_name}/{media_id}/thumbnail/{spec}")
                    }
                }
            }
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
