//! The admin's request to purge, and what it has come to.

use serde::Serialize;

use crate::cache::key::KeyPrefix;
use crate::cache::purge_list::PURGES_HEARD_SECS;
use crate::config::Config;
use crate::matrix::ids::{Mxc, ServerName};
use crate::matrix::json;

/// The most that is read of a request to purge, in bytes.
pub const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// The most media that one request names.
const MAX_MEDIA: usize = 1000;

/// What to purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One media, in all its sizes.
    Media(Mxc),
    /// All media of one server.
    Server(ServerName),
    /// All media.
    Everything,
}

impl Scope {
    /// Parses a request: a JSON object with one of `mxc` (one, or an array of at most 1000),
    /// `server_name` and `everything` (`true`); `None` if it is anything else.
    pub fn parse_all(text: &str) -> Option<Vec<Self>> {
        let members = json::members(text)?;
        let [(name, value)] = members.as_slice() else { return None };
        let value = value.get();
        let media = |uri: &str| Mxc::parse(uri).map(Self::Media);
        match name.as_ref() {
            "mxc" if value.starts_with('[') => {
                let uris: Vec<String> = json::value(value)?;
                (1..=MAX_MEDIA).contains(&uris.len()).then_some(())?;
                uris.iter().map(|uri| media(uri)).collect()
            }
            "mxc" => Some(vec![media(&json::value::<String>(value)?)?]),
            "server_name" => {
                let name = json::value::<String>(value)?;
                Some(vec![Self::Server(ServerName::parse(&name)?)])
            }
            "everything" => json::value::<bool>(value)?.then(|| vec![Self::Everything]),
            _ => None,
        }
    }

    /// Returns the beginnings of all keys that it covers: those of every spelling of a server's
    /// name, in another case or with another port.
    pub fn prefixes(&self, config: &Config) -> Vec<KeyPrefix> {
        let edge = &config.server_name;
        match self {
            Self::Media(mxc) if mxc.server_name.is_of_host(edge) => {
                vec![KeyPrefix::media(edge, mxc), KeyPrefix::federation_media(edge, &mxc.media_id)]
            }
            Self::Media(mxc) => vec![KeyPrefix::media(edge, mxc)],
            Self::Server(server_name) if server_name.is_of_host(edge) => {
                vec![KeyPrefix::server(edge, server_name), KeyPrefix::federation(edge)]
            }
            Self::Server(server_name) => vec![KeyPrefix::server(edge, server_name)],
            Self::Everything => KeyPrefix::everything(edge).into(),
        }
    }
}

/// What a purge has come to.
#[derive(Debug)]
pub struct Report {
    /// How many entries went from this isolate's memory.
    pub memory: usize,
    /// How many went from the bucket, and whether those were all; `None` without a bucket.
    pub bucket: Option<(usize, bool)>,
    /// Whether the list was written where others read it.
    pub is_listed: bool,
}

impl Report {
    /// Returns the answer to the admin: a JSON object.
    pub fn to_json(&self, config: &Config) -> String {
        let (bucket, place) = match self.bucket {
            Some((removed, complete)) => (
                Bucket { bound: true, removed: Some(removed), complete: Some(complete) },
                "everywhere",
            ),
            None => (Bucket { bound: false, removed: None, complete: None }, "this data centre"),
        };
        json::write(&Answer {
            listed: self.is_listed,
            memory: Memory { removed: self.memory },
            bucket,
            not_served: NotServed { place, within_seconds: PURGES_HEARD_SECS },
            elsewhere: Elsewhere { bytes_expire_within_seconds: config.cache_secs },
        })
    }
}

/// The answer to the admin.
#[derive(Serialize)]
struct Answer {
    listed: bool,
    memory: Memory,
    bucket: Bucket,
    not_served: NotServed,
    elsewhere: Elsewhere,
}

#[derive(Serialize)]
struct Memory {
    removed: usize,
}

#[derive(Serialize)]
struct Bucket {
    bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
}

#[derive(Serialize)]
struct NotServed {
    #[serde(rename = "where")]
    place: &'static str,
    within_seconds: u64,
}

#[derive(Serialize)]
struct Elsewhere {
    bytes_expire_within_seconds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::{CacheKey, Subject};
    use crate::cache::purge_list::Purges;
    use crate::config::tests::config;
    use crate::matrix::ids::MediaId;
    use crate::matrix::media::{Door, MediaKind, Representation};
    use crate::matrix::thumbnail::ThumbnailSpec;

    const NOW: u64 = 1_700_000_000;

    fn key(subject: Subject<'_>) -> CacheKey {
        CacheKey::new(&config(&[]).unwrap().server_name, subject)
    }

    fn content(uri: &str) -> CacheKey {
        key(Subject::Media(&Mxc::parse(uri).unwrap(), Representation::Content))
    }

    fn federated(media_id: &str) -> CacheKey {
        let media_id = MediaId::parse(media_id).unwrap();
        key(Subject::Federation(&media_id, Representation::Content))
    }

    fn purged(request: &str) -> Purges {
        let config = config(&[]).unwrap();
        let mut purges = Purges::default();
        for scope in Scope::parse_all(request).unwrap() {
            purges = purges.with(&scope.prefixes(&config), NOW, &config).unwrap();
        }
        purges
    }

    #[test]
    fn a_purge_of_one_media_covers_all_its_forms_and_no_other_media() {
        let purges = purged(r#"{"mxc":"mxc://example.com/abc"}"#);
        let query = crate::message::target::Target::new("/?width=32&height=32&method=crop");
        let thumbnail = Representation::Thumbnail(ThumbnailSpec::parse(query.query()).unwrap());
        let mxc = Mxc::parse("mxc://example.com/abc").unwrap();
        assert!(purges.covers(&key(Subject::Media(&mxc, thumbnail)), NOW));
        assert!(purges.covers(&content("mxc://example.com/abc"), NOW));
        assert!(purges.covers(&federated("abc"), NOW));
        assert!(!purges.covers(&content("mxc://example.com/abcd"), NOW));
        assert!(!purges.covers(&content("mxc://example.org/abc"), NOW));
        assert!(!purges.covers(&federated("abcd"), NOW));
    }

    #[test]
    fn a_purge_of_another_server_leaves_own_federation_entries() {
        for request in [r#"{"mxc":"mxc://example.org/abc"}"#, r#"{"server_name":"example.org"}"#] {
            assert!(!purged(request).covers(&federated("abc"), NOW), "{request}");
        }
    }

    #[test]
    fn a_purge_of_a_server_covers_no_other_server() {
        let purges = purged(r#"{"server_name":"example.com"}"#);
        assert!(purges.covers(&content("mxc://example.com/abc"), NOW));
        assert!(purges.covers(&federated("abc"), NOW));
        assert!(!purges.covers(&content("mxc://example.com.evil/abc"), NOW));
        assert!(!purges.covers(&content("mxc://sub.example.com/abc"), NOW));
    }

    #[test]
    fn a_purge_of_everything_covers_all_media_and_no_lease() {
        let purges = purged(r#"{"everything":true}"#);
        assert!(purges.covers(&content("mxc://example.org/abc"), NOW));
        assert!(purges.covers(&federated("abc"), NOW));
        let mxc = Mxc::parse("mxc://example.org/abc").unwrap();
        assert!(
            !purges.covers(&key(Subject::MediaLease(Door::Client, &mxc, MediaKind::Content)), NOW)
        );
    }

    #[test]
    fn a_purge_covers_every_spelling_of_a_servers_name() {
        for request in
            [r#"{"mxc":"mxc://EXAMPLE.com:443/abc"}"#, r#"{"server_name":"Example.COM"}"#]
        {
            let purges = purged(request);
            for spelling in ["example.com", "Example.com", "example.com:8448", "EXAMPLE.COM:443"] {
                let key = content(&format!("mxc://{spelling}/abc"));
                assert!(purges.covers(&key, NOW), "{request} {spelling}");
            }
            assert!(purges.covers(&federated("abc"), NOW), "{request}");
        }
    }

    #[test]
    fn a_request_names_one_thing() {
        for request in [
            "",
            "{}",
            "[]",
            r#"{"everything":false}"#,
            r#"{"everything":"true"}"#,
            r#"{"mxc":"abc"}"#,
            r#"{"mxc":"mxc://a/b/c"}"#,
            r#"{"server_name":"a/b"}"#,
            r#"{"mxc":"mxc://a/b","everything":true}"#,
            r#"{"all":true}"#,
            r#"{"mxc":[]}"#,
            r#"{"mxc":["mxc://a/b","a"]}"#,
            r#"{"mxc":["mxc://a/b",["mxc://a/c"]]}"#,
            r#"{"mxc":["mxc://a/b",null]}"#,
            r#"{"mxc":["mxc://a/b",]}"#,
            r#"{"server_name":["example.org"]}"#,
        ] {
            assert_eq!(Scope::parse_all(request), None, "{request}");
        }
    }

    fn list(count: usize) -> String {
        let uris: Vec<_> = (0..count).map(|number| format!(r#""mxc://a/{number}""#)).collect();
        format!(r#"{{"mxc": [{}]}}"#, uris.join(", "))
    }

    #[test]
    fn a_purge_of_up_to_a_thousand_media_covers_each() {
        let purges = purged(r#"{"mxc":["mxc://example.org/a","mxc://example.com/b"]}"#);
        assert!(purges.covers(&content("mxc://example.org/a"), NOW));
        assert!(purges.covers(&content("mxc://example.com/b"), NOW));
        assert!(purges.covers(&federated("b"), NOW));
        assert!(!purges.covers(&content("mxc://example.com/a"), NOW));
        let counts = [1, 1000, 1001].map(|count| Scope::parse_all(&list(count)).map(|s| s.len()));
        assert_eq!(counts, [Some(1), Some(1000), None]);
    }

    #[test]
    fn a_report_says_what_was_removed_and_what_will_expire() {
        let told = |bucket| {
            let report = Report { memory: 2, bucket, is_listed: true };
            let text = report.to_json(&config(&[("CACHE_SECONDS", "60")]).unwrap());
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        };
        let everywhere = told(Some((5, false)));
        assert_eq!(
            (&everywhere["listed"], &everywhere["memory"]["removed"]),
            (&true.into(), &2.into())
        );
        assert_eq!(everywhere["bucket"]["removed"], 5);
        assert_eq!(everywhere["bucket"]["complete"], false);
        assert_eq!(everywhere["not_served"]["where"], "everywhere");
        assert_eq!(everywhere["not_served"]["within_seconds"], 60);
        assert_eq!(everywhere["elsewhere"]["bytes_expire_within_seconds"], 60);
        assert_eq!(told(None)["not_served"]["where"], "this data centre");
    }

    #[test]
    fn the_members_of_a_report_have_an_order() {
        let told = |bucket| {
            let report = Report { memory: 2, bucket, is_listed: true };
            report.to_json(&config(&[("CACHE_SECONDS", "60")]).unwrap())
        };
        assert_eq!(
            told(Some((5, false))),
            concat!(
                r#"{"listed":true,"memory":{"removed":2},"#,
                r#""bucket":{"bound":true,"removed":5,"complete":false},"#,
                r#""not_served":{"where":"everywhere","within_seconds":60},"#,
                r#""elsewhere":{"bytes_expire_within_seconds":60}}"#
            )
        );
        assert!(told(None).contains(r#""bucket":{"bound":false},"#));
    }
}
