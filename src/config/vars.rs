//! How each kind of variable is read, and what the admin is told of one that can't be used.

use http::HeaderValue;

use super::{ConfigError, OriginHeader};
use crate::config::base_url::BaseUrl;
use crate::headers::{is_settable, is_token_byte};
use crate::matrix::access_token::AccessToken;
use crate::matrix::ids::ServerName;
use crate::matrix::json;

/// The shortest token that is taken for a secret, in bytes.
const MIN_TOKEN_BYTES: usize = 16;

/// All of them, given how to read one by name.
pub(super) struct Vars<F> {
    read: F,
}

impl<F: Fn(&'static str) -> Option<String>> Vars<F> {
    pub(super) fn new(read: F) -> Self {
        Self { read }
    }

    /// Returns a variable; `None` for a blank one too, as an unset secret is.
    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        (self.read)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn required(&self, name: &'static str, example: &str) -> Result<String, ConfigError> {
        self.text(name)
            .ok_or_else(|| error(name, format!("is not set: write a value such as {example}")))
    }

    pub(super) fn base_url(
        &self,
        name: &'static str,
        example: &str,
    ) -> Result<BaseUrl, ConfigError> {
        BaseUrl::parse(&self.required(name, example)?)
            .map_err(|problem| error(name, format!("{problem}, such as {example}")))
    }

    pub(super) fn server_name(&self) -> Result<ServerName, ConfigError> {
        ServerName::parse(&self.required("SERVER_NAME", "example.com")?).ok_or_else(|| {
            error(
                "SERVER_NAME",
                "must be a Matrix server name such as example.com, without https://",
            )
        })
    }

    /// Parses a variable that is one of a few words; the first is the default.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(choices[0].1) };
        choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            error(name, format!("must be {}", words.join(" or ")))
        })
    }

    pub(super) fn number(
        &self,
        name: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            error(name, format!("must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    pub(super) fn token(&self, name: &'static str) -> Result<Option<AccessToken>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        AccessToken::parse(&text)
            .filter(|token| token.as_bytes().len() >= MIN_TOKEN_BYTES)
            .map_or_else(
                || {
                    let problem = format!(
                        "must be at least {MIN_TOKEN_BYTES} letters, without white space and commas"
                    );
                    Err(error(name, problem))
                },
                |token| Ok(Some(token)),
            )
    }

    pub(super) fn headers(&self, name: &'static str) -> Result<Vec<OriginHeader>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        let problem = || error(name, "must be a JSON object of header names and texts");
        let headers: Vec<OriginHeader> = json::members(&text)
            .and_then(|members| {
                members.iter().map(|(name, value)| header(name, value.get())).collect()
            })
            .ok_or_else(problem)?;
        match headers.iter().find(|header| !is_settable(&header.name)) {
            Some(header) => Err(error(name, format!("can't set {}: leave it out", header.name))),
            None => Ok(headers),
        }
    }
}

/// Returns a header of a JSON member.
fn header(name: &str, value: &str) -> Option<OriginHeader> {
    let mut value = HeaderValue::from_str(&json::value::<String>(value)?).ok()?;
    value.set_sensitive(true);
    let is_name = !name.is_empty() && name.bytes().all(is_token_byte);
    is_name.then(|| OriginHeader { name: name.to_ascii_lowercase(), value })
}

/// Returns an error of this variable.
pub(super) fn error(variable: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError { variable, problem: problem.into() }
}
