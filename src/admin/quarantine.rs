//! Synapse's list of quarantined media, which is followed on a schedule.
//!
//! `GET /_synapse/admin/v1/media/quarantine_changes` lists what was quarantined and released, in
//! order, a hundred at a time, from the row after the one whose number it is given. It answers with
//! the number of its last row.
//!
//! The edge asks from the row before the last that it knows, so that each first page shows that row
//! again: where it shows another, Synapse's database was restored from an older copy, and changes may
//! be missing. What was quarantined before the edge began to follow the list is not purged: grants of
//! that time count for `LEASE_SECONDS` alone ([`crate::lease::standing`]).

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HeaderMap};
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::admin::purge::Scope;
use crate::cache::purge_list::deployment;
use crate::config::Config;
use crate::matrix::access_token::AccessToken;
use crate::matrix::ids::{MediaId, Mxc, ServerName};
use crate::matrix::json;
use crate::origin::client_headers::ClientHeaders;
use crate::origin::{OriginRequest, Timeout};

/// The most pages that are read in one run.
pub const MAX_PAGES: usize = 30;

/// The most that is read of a page, in bytes: a hundred entries with names of the longest.
pub const MAX_PAGE_BYTES: usize = 128 * 1024;

/// The most that a position takes as text, in bytes.
pub const MAX_POSITION_BYTES: usize = 20;

/// For how long pages are read in one run, in milliseconds: the next run begins a minute later.
pub const MAX_RUN_MS: u64 = 45_000;

const TIMEOUT: Timeout = Timeout::Ms(10_000);

/// How far Synapse's list has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the last row that was read; 0 before the first.
    row: u64,
    /// A digest of that row; `None` where it is not known.
    digest: Option<String>,
    /// Whether rows are read that are older than the following of the list.
    is_history: bool,
}

/// What to do after an answer of Synapse.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// This media is to be purged before the position is kept. Ask for the next page.
    Next(Vec<Scope>, Position),
    /// The list has been read to its end. With `is_begun_anew`, changes before that may be missing.
    Complete {
        /// The position from which the next run reads.
        position: Position,
        /// Whether the list is followed since this run alone.
        is_begun_anew: bool,
    },
    /// Synapse did not answer with a page. The next run reads from where this one began.
    Failed,
}

impl Position {
    /// The position before the first row.
    pub const START: Self = Self { row: 0, digest: None, is_history: true };

    /// Parses a position: its number, and the stamp beside that. A number alone was kept by an earlier
    /// build, which followed the list. Returns the start for any other text, and for the position in
    /// the list of another homeserver.
    pub fn parse(text: Option<&str>, stamp: Option<&str>, config: &Config) -> Self {
        let Some(row) = text.and_then(|text| text.parse().ok()) else { return Self::START };
        let Some(stamp) = stamp else { return Self { row, digest: None, is_history: false } };
        let words: Vec<_> = stamp.split(' ').collect();
        match words[..] {
            [digest, word @ ("history" | "followed"), of] if of == deployment(config) => {
                let digest = Some(digest.to_owned()).filter(|digest| digest != NO_DIGEST);
                Self { row, digest, is_history: word == "history" }
            }
            _ => Self::START,
        }
    }

    /// Returns the number of the last row as text, which is all that earlier builds read.
    pub fn to_text(&self) -> String {
        self.row.to_string()
    }

    /// Returns what is kept beside that: a digest, a word and the deployment, a space apart.
    pub fn stamp(&self, config: &Config) -> String {
        let digest = self.digest.as_deref().unwrap_or(NO_DIGEST);
        let word = if self.is_history { "history" } else { "followed" };
        format!("{digest} {word} {}", deployment(config))
    }

    /// Returns the question for what comes after this position, and for its last row again.
    pub fn request(&self, config: &Config, token: &AccessToken) -> OriginRequest {
        let base = &config.homeserver;
        let from = self.row.saturating_sub(1);
        let mut set = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&token.to_header()) {
            set.insert(AUTHORIZATION, value);
        }
        OriginRequest {
            method: Method::GET,
            url: format!("{base}/_synapse/admin/v1/media/quarantine_changes?from={from}"),
            client_headers: ClientHeaders::None,
            set,
            is_for_homeserver: true,
            timeout: TIMEOUT,
        }
    }

    /// Reads the answer to [`Self::request`]: its status, and its body where that is 200.
    pub fn on_answer(self, status: StatusCode, text: Option<&str>) -> Step {
        // Its database has never come as far as this position.
        if status == StatusCode::BAD_REQUEST && self.row > 0 {
            return Step::Next(Vec::new(), Self::START);
        }
        let page = text.filter(|_| status == StatusCode::OK).and_then(Page::parse);
        let Some(Page { next, mut rows }) = page else { return Step::Failed };
        let mut digest = self.digest;
        if self.row > 0 {
            let is_known = |row: &Row| digest.as_ref().is_none_or(|known| row.digest == *known);
            if !rows.first().is_some_and(is_known) {
                return Step::Next(Vec::new(), Self::START);
            }
            digest = Some(rows.remove(0).digest);
        }
        let Some(last) = rows.last() else {
            let position = Self { row: self.row, digest, is_history: false };
            return Step::Complete { position, is_begun_anew: self.is_history };
        };
        let digest = Some(last.digest.clone());
        let position = Self { row: next, digest, is_history: self.is_history };
        // No long list results from a long history.
        rows.retain(|_| !self.is_history);
        Step::Next(rows.into_iter().filter_map(|row| row.quarantined).collect(), position)
    }
}

const NO_DIGEST: &str = "-";

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

/// One page of changes.
struct Page {
    /// The number of its last row; for an empty page, any that the list has reached.
    next: u64,
    rows: Vec<Row>,
}

struct Row {
    digest: String,
    /// The media that was quarantined; `None` for a release, and for a name that no media has.
    quarantined: Option<Scope>,
}

impl Page {
    /// Parses a page; `None` if the text isn't one, or one of its rows can't be read: to skip that
    /// row would be to miss a quarantine.
    fn parse(text: &str) -> Option<Self> {
        let Changes { next_batch: next, changes } = json::object(text)?;
        let rows = changes.iter().map(|change| Row::parse(change.get()));
        Some(Self { next, rows: rows.collect::<Option<_>>()? })
    }
}

impl Row {
    fn parse(change: &str) -> Option<Self> {
        let Change { origin, media_id, quarantined } = json::object(change)?;
        // SQLite has no booleans, and Synapse passes on what it has.
        let is_quarantined = match quarantined.get() {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return None,
        };
        // By numbers of each length, no two rows make one text.
        let text =
            format!("{} {origin} {} {media_id} {is_quarantined}", origin.len(), media_id.len());
        let digest = Sha256::digest(text)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let scope = || {
            let server_name = ServerName::parse(&origin)?;
            Some(Scope::Media(Mxc { server_name, media_id: MediaId::parse(&media_id)? }))
        };
        Some(Self { digest, quarantined: is_quarantined.then(scope).flatten() })
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(next: u64, changes: &[(&str, &str, bool)]) -> String {
        let changes: Vec<_> = changes
            .iter()
            .map(|(origin, id, quarantined)| {
                json!({ "origin": origin, "media_id": id, "quarantined": quarantined })
            })
            .collect();
        json!({ "next_batch": next, "changes": changes }).to_string()
    }

    fn answered(position: Position, text: &str) -> Step {
        position.on_answer(StatusCode::OK, Some(text))
    }

    fn scope(uri: &str) -> Scope {
        Scope::Media(Mxc::parse(uri).unwrap())
    }

    /// A position of the followed list whose last row is of the media `last`.
    fn followed(row: u64) -> Position {
        let text = page(row, &[("example.com", "last", true)]);
        match answered(Position { is_history: false, ..Position::START }, &text) {
            Step::Next(_, position) => position,
            step => panic!("{step:?}"),
        }
    }

    const LAST: (&str, &str, bool) = ("example.com", "last", true);

    #[test]
    fn new_quarantines_are_purged_and_releases_and_impossible_names_are_not() {
        let text = r#"{"next_batch":14,"changes":[
            {"origin":"example.com","media_id":"last","quarantined":1},
            {"origin":"example.com","media_id":"a","quarantined":true},
            {"origin":"example.com","media_id":"of-sqlite","quarantined":1},
            {"origin":"example.org","media_id":"b","quarantined":false},
            {"origin":"example.org","media_id":"bad id","quarantined":true}]}"#;
        let Step::Next(scopes, position) = answered(followed(10), text) else { panic!() };
        let wanted = ["mxc://example.com/a", "mxc://example.com/of-sqlite"].map(scope);
        assert_eq!((scopes, position.row), (wanted.to_vec(), 14));
    }

    #[test]
    fn a_page_with_the_last_row_alone_completes_the_list() {
        let position = followed(10);
        let wanted = Step::Complete { position: position.clone(), is_begun_anew: false };
        assert_eq!(answered(position, &page(10, &[LAST])), wanted);
    }

    #[test]
    fn another_row_in_place_of_the_last_begins_anew() {
        for changes in
            [&[][..], &[("example.com", "other", true)], &[("example.com", "last", false)]]
        {
            let step = answered(followed(10), &page(10, changes));
            assert_eq!(step, Step::Next(Vec::new(), Position::START));
        }
    }

    #[test]
    fn a_position_that_the_database_never_reached_begins_anew() {
        let refused = |position: Position| position.on_answer(StatusCode::BAD_REQUEST, None);
        assert_eq!(refused(followed(10)), Step::Next(Vec::new(), Position::START));
        assert_eq!(refused(Position::START), Step::Failed);
    }

    #[test]
    fn history_is_read_and_not_purged_and_its_end_begins_the_following() {
        let Step::Next(scopes, position) = answered(Position::START, &page(10, &[LAST])) else {
            panic!()
        };
        assert_eq!(scopes, []);
        let Step::Complete { position, is_begun_anew } = answered(position, &page(10, &[LAST]))
        else {
            panic!()
        };
        assert!(is_begun_anew);
        let text = page(11, &[LAST, ("example.com", "new", true)]);
        let Step::Next(scopes, _) = answered(position, &text) else { panic!() };
        assert_eq!(scopes, [scope("mxc://example.com/new")]);
    }

    #[test]
    fn an_empty_list_is_followed_from_its_first_row() {
        let Step::Complete { position, .. } = answered(Position::START, &page(0, &[])) else {
            panic!()
        };
        let Step::Next(scopes, _) = answered(position, &page(1, &[LAST])) else { panic!() };
        assert_eq!(scopes, [scope("mxc://example.com/last")]);
    }

    #[test]
    fn an_entry_that_can_not_be_read_fails_the_page() {
        for entry in [
            r#"{"origin":"example.com","media_id":"a"}"#,
            r#"{"origin":"example.com","media_id":"a","quarantined":"yes"}"#,
            r#"{"origin":"example.com","media_id":7,"quarantined":true}"#,
            "7",
        ] {
            let text = format!(r#"{{"next_batch":11,"changes":[{entry}]}}"#);
            assert_eq!(answered(Position::START, &text), Step::Failed, "{entry}");
        }
    }

    #[test]
    fn a_text_that_is_no_page_fails() {
        for text in [
            "",
            "{}",
            r#"{"changes":[]}"#,
            r#"{"next_batch":-1,"changes":[]}"#,
            r#"{"next_batch":1,"changes":{}}"#,
        ] {
            assert_eq!(answered(Position::START, text), Step::Failed);
        }
        let page = page(0, &[]);
        for status in [StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR] {
            assert_eq!(Position::START.on_answer(status, Some(&page)), Step::Failed);
        }
    }

    #[test]
    fn a_position_is_kept_as_a_number_and_a_stamp() {
        let config = crate::config::tests::config(&[]).unwrap();
        let history = Position { is_history: true, ..followed(7) };
        for position in [Position::START, followed(7), history] {
            let (text, stamp) = (position.to_text(), position.stamp(&config));
            assert_eq!(Position::parse(Some(&text), Some(&stamp), &config), position);
        }
        assert!(followed(u64::MAX).to_text().len() <= MAX_POSITION_BYTES);
        for text in [None, Some(""), Some("x"), Some("7 -")] {
            assert_eq!(Position::parse(text, None, &config), Position::START, "{text:?}");
        }
        let vars = [("HOMESERVER_URL", "https://other.example.com")];
        let moved = crate::config::tests::config(&vars).unwrap();
        for stamp in ["", "- else x", &followed(7).stamp(&moved)] {
            assert_eq!(
                Position::parse(Some("7"), Some(stamp), &config),
                Position::START,
                "{stamp}"
            );
        }
    }

    #[test]
    fn a_position_of_an_earlier_build_takes_its_row_for_known() {
        let config = crate::config::tests::config(&[]).unwrap();
        let earlier = Position::parse(Some("10"), None, &config);
        let Step::Complete { position, is_begun_anew } = answered(earlier, &page(10, &[LAST]))
        else {
            panic!()
        };
        assert_eq!((position, is_begun_anew), (followed(10), false));
    }

    #[test]
    fn synapse_is_asked_with_its_admins_token_from_the_row_before_the_last() {
        let config = crate::config::tests::config(&[]).unwrap();
        let token = AccessToken::parse("syt_admin").unwrap();
        for (position, from) in [(followed(7), 6), (Position::START, 0)] {
            let request = position.request(&config, &token);
            let path = "/_synapse/admin/v1/media/quarantine_changes";
            assert_eq!(request.url, format!("https://origin.example.com{path}?from={from}"));
            assert_eq!(request.set[AUTHORIZATION], "Bearer syt_admin");
            assert!(request.is_for_homeserver);
        }
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
}
