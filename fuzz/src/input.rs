//! Inputs taken apart, and what several targets need.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use matrix_media_edge::cache::key::{CacheKey, Subject};
use matrix_media_edge::config::Config;
use matrix_media_edge::message::RequestHead;
use matrix_media_edge::message::target::Target;

/// A deployment like most.
pub(crate) static CONFIG: LazyLock<Config> = LazyLock::new(|| config(&[]));

pub(crate) const MEDIA_DOMAIN: &str = "media.example.com";

/// The homeserver's host, as clients know it.
pub(crate) const PUBLIC_HOST: &str = "origin.example.com";

/// The same with these variables.
pub(crate) fn config(extra: &[(&str, &str)]) -> Config {
    let required = [
        ("HOMESERVER_URL", "https://origin.example.com"),
        ("SERVER_NAME", "example.com"),
        ("MEDIA_URL", "https://media.example.com"),
    ];
    let read = |name: &str| {
        let mut vars = extra.iter().chain(&required);
        vars.find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    Config::parse(read).expect("good variables")
}

/// The name of what is stored in the deployment.
pub(crate) fn key(subject: Subject<'_>) -> CacheKey {
    CacheKey::new(&CONFIG.server_name, subject)
}

/// The first lines of an input, the rest with the last of them; empty, where there are no more.
pub(crate) fn lines<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut lines = input.splitn(N, |byte| *byte == b'\n');
    std::array::from_fn(|_| lines.next().unwrap_or_default())
}

/// The same as text; nothing, if it is none.
pub(crate) fn texts<const N: usize>(input: &[u8]) -> Option<[&str; N]> {
    let text = std::str::from_utf8(input).ok()?;
    let mut lines = text.splitn(N, '\n');
    Some(std::array::from_fn(|_| lines.next().unwrap_or_default()))
}

/// The headers that there is something to say in, and that can be.
pub(crate) fn headers(fields: &[(HeaderName, &[u8])]) -> HeaderMap {
    let said = fields.iter().filter(|(_, value)| !value.is_empty());
    said.filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_bytes(value).ok()?)))
        .collect()
}

/// A GET of the media domain.
pub(crate) fn get(target: &str, headers: HeaderMap) -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: MEDIA_DOMAIN.to_owned(),
        target: Target::new(target),
        headers,
    }
}

/// Whether a text may stand in a header as it is: letters that can be seen, and spaces between.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text
}
