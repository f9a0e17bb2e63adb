//! Synapse's list of quarantined media, by which such media is purged on a schedule.
//!
//! `GET /_synapse/admin/v1/media/quarantine_changes` lists what was quarantined and released, in
//! order, a hundred at a time, from the position that the page before ended at.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HeaderMap};
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::admin::purge::Scope;
use crate::config::Config;
use crate::matrix::access_token::AccessToken;
use crate::matrix::ids::{MediaId, Mxc, ServerName};
use crate::matrix::json;
use crate::origin::client_headers::ClientHeaders;
use crate::origin::{OriginRequest, Timeout};

/// The most pages that are read at once.
pub const MAX_PAGES: usize = 10;

/// The most that is read of a page, in bytes: a hundred entries with names of the longest.
pub const MAX_PAGE_BYTES: usize = 128 * 1024;

const TIMEOUT: Timeout = Timeout::Ms(10_000);

/// One page of changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Where the next page begins.
    pub next: u64,
    /// What has been quarantined.
    pub quarantined: Vec<Scope>,
    /// Whether there was any change at all, so that there may be more.
    pub has_changes: bool,
}

/// The last scheduled run, as it is kept beside the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When it ended, in seconds since the Unix epoch.
    pub at_unix_secs: u64,
    /// Whether it did all that there was to do.
    pub is_done: bool,
}

impl LastRun {
    /// Returns the run as text: a second, and `done` or `failed`.
    pub fn to_text(self) -> String {
        format!("{} {}", self.at_unix_secs, if self.is_done { "done" } else { "failed" })
    }

    /// Parses a kept run; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, word) = text.split_once(' ')?;
        let is_done = match word {
            "done" => true,
            "failed" => false,
            _ => return None,
        };
        Some(Self { at_unix_secs: at.parse().ok()?, is_done })
    }
}

/// Asks for the page that begins at `position`.
pub fn request(config: &Config, token: &AccessToken, position: u64) -> OriginRequest {
    let base = &config.homeserver;
    let mut set = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&token.to_header()) {
        set.insert(AUTHORIZATION, value);
    }
    OriginRequest {
        method: Method::GET,
        url: format!("{base}/_synapse/admin/v1/media/quarantine_changes?from={position}"),
        client_headers: ClientHeaders::None,
        set,
        is_for_homeserver: true,
        timeout: TIMEOUT,
    }
}

/// Returns the page in place of one from a position that Synapse has never reached: its database is
/// an older copy, so the list is read from the start.
pub fn refused() -> Page {
    Page { next: 0, quarantined: Vec::new(), has_changes: true }
}

/// Parses one page, skipping entries with invalid identifiers. Returns `None` if the text isn't a
/// page.
pub fn parse(text: &str) -> Option<Page> {
    let Changes { next_batch, changes } = json::object(text)?;
    Some(Page {
        next: next_batch,
        quarantined: changes.iter().filter_map(|change| quarantined(change.get())).collect(),
        has_changes: !changes.is_empty(),
    })
}

/// The answer of Synapse.
/// <https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html>
#[derive(Deserialize)]
struct Changes<'a> {
    next_batch: u64,
    #[serde(borrow)]
    changes: Vec<&'a RawValue>,
}

/// One of its changes.
#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    origin: Cow<'a, str>,
    #[serde(borrow)]
    media_id: Cow<'a, str>,
    #[serde(borrow)]
    quarantined: &'a RawValue,
}

fn quarantined(change: &str) -> Option<Scope> {
    let Change { origin, media_id, quarantined } = json::object(change)?;
    // SQLite has no booleans, and Synapse passes on what it has.
    if !matches!(quarantined.get(), "true" | "1") {
        return None;
    }
    let (server_name, media_id) = (ServerName::parse(&origin)?, MediaId::parse(&media_id)?);
    Some(Scope::Media(Mxc { server_name, media_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarantined_media_is_purged_and_released_media_is_not() {
        let page = parse(
            r#"{"next_batch":7,"changes":[
                {"origin":"example.com","media_id":"a","quarantined":true},
                {"origin":"example.com","media_id":"of-sqlite","quarantined":1},
                {"origin":"example.org","media_id":"b","quarantined":false},
                {"origin":"example.org","media_id":"b-of-sqlite","quarantined":0},
                {"origin":"example.org","media_id":"bad id","quarantined":true}]}"#,
        );
        let quarantined = ["mxc://example.com/a", "mxc://example.com/of-sqlite"]
            .map(|uri| Scope::Media(Mxc::parse(uri).unwrap()))
            .to_vec();
        assert_eq!(page, Some(Page { next: 7, quarantined, has_changes: true }));
    }

    #[test]
    fn synapse_is_asked_with_its_admin_token_from_the_last_position() {
        let config = crate::config::tests::config(&[]).unwrap();
        let request = request(&config, &AccessToken::parse("syt_admin").unwrap(), 7);
        let path = "/_synapse/admin/v1/media/quarantine_changes?from=7";
        assert_eq!(request.url, format!("https://origin.example.com{path}"));
        assert_eq!(request.set[AUTHORIZATION], "Bearer syt_admin");
        assert!(request.is_for_homeserver);
    }

    #[test]
    fn a_refused_position_is_replaced_by_the_first() {
        assert_eq!((refused().next, refused().has_changes), (0, true));
    }

    #[test]
    fn the_last_page_is_empty_and_has_a_position() {
        let page = parse(r#"{"next_batch":7,"changes":[]}"#).unwrap();
        assert_eq!((page.next, page.has_changes), (7, false));
    }

    #[test]
    fn a_run_is_recorded_with_its_result() {
        for is_done in [true, false] {
            let run = LastRun { at_unix_secs: 1_700_000_000, is_done };
            assert_eq!(LastRun::parse(&run.to_text()), Some(run));
        }
        for text in ["", "1700000000", "1700000000 ", "x done", "1700000000 else"] {
            assert_eq!(LastRun::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_malformed_page_is_not_parsed() {
        for text in [
            "",
            "{}",
            r#"{"changes":[]}"#,
            r#"{"next_batch":-1,"changes":[]}"#,
            r#"{"next_batch":1,"changes":{}}"#,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
