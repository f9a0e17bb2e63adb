//! The admin's variables: a config that is read can't be wrong, and no message tells a secret.

use std::borrow::Cow;
use std::collections::BTreeMap;

use matrix_media_edge::config::base_url::BaseUrl;
use matrix_media_edge::config::{Config, ConfigError};
use matrix_media_edge::matrix::json;
use serde_json::value::RawValue;

use crate::input::is_plain;

/// The input's lines: a variable and its value each. Those that must be there are, if not named.
pub(crate) fn target(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut vars = BTreeMap::from([
        ("HOMESERVER_URL", "https://origin.example.com"),
        ("SERVER_NAME", "example.com"),
        ("MEDIA_URL", "https://media.example.com"),
    ]);
    vars.extend(text.lines().filter_map(|line| line.split_once('=')));
    let config = Config::parse(|name| vars.get(name).map(|value| (*value).to_owned()));
    match &config {
        Ok(config) => can_be_used(config),
        Err(error) => assert!(error.to_string().starts_with(error.variable)),
    }
    let disguised = Config::parse(|name| vars.get(name).map(|value| disguised(name, value)));
    let told = |config: &Result<Config, ConfigError>| match config {
        Ok(config) => format!("{config:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert_eq!(told(&config), told(&disguised), "other secrets make no difference");
}

/// Another value of the same form, if the variable is a secret.
fn disguised(name: &str, value: &str) -> String {
    match (name, json::members(value)) {
        ("ADMIN_TOKEN" | "SYNAPSE_ADMIN_TOKEN", _) => rotated(value),
        ("ORIGIN_HEADERS", Some(members)) => {
            let member = |(name, value): &(Cow<'_, str>, &RawValue)| {
                let value: String = json::value(value.get())?;
                Some(format!("{}:{}", json::write(name), json::write(&rotated(&value))))
            };
            let members: Option<Vec<_>> = members.iter().map(member).collect();
            members.map_or_else(|| value.to_owned(), |all| format!("{{{}}}", all.join(",")))
        }
        _ => value.to_owned(),
    }
}

fn rotated(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            'a'..='y' | 'A'..='Y' | '0'..='8' => char::from(c as u8 + 1),
            c => c,
        })
        .collect()
}

fn can_be_used(config: &Config) {
    for url in [&config.homeserver, &config.public, &config.media, &config.well_known] {
        assert_eq!(BaseUrl::parse(&url.to_string()).as_ref(), Ok(url));
    }
    assert!((1..=365 * 86_400).contains(&config.cache_secs));
    assert!(config.lease.lease_secs <= 3600 && config.well_known_secs <= 3600);
    assert!(config.lease.stale_if_error_secs <= 7 * 86_400);
    assert!((1..=5_000_000_000).contains(&config.max_upload_bytes));
    assert!(config.memory_cache_bytes <= 64 << 20);
    for token in config.admin_token.iter().chain(&config.synapse_admin_token) {
        assert!(token.as_bytes().len() >= 16 && is_plain(&token.to_header()));
    }
    for header in &config.origin_headers {
        assert!(header.name == header.name.to_ascii_lowercase() && is_plain(&header.name));
        assert!(!["host", "content-length", "connection"].contains(&&*header.name));
        assert!(header.value.is_sensitive());
    }
    assert_eq!(
        config.is_media_domain(config.media.authority()),
        ![&config.homeserver, &config.public]
            .iter()
            .any(|base| base.authority() == config.media.authority())
    );
}
