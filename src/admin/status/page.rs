//! The status as a page. No script runs in it.

use askama::Template;

use super::Level;
use super::numbers::{Date, date_and_time, share, size};
use super::plot::Plot;
use super::view::{Details, FindingView, StatusView};
use crate::admin::Viewer;
use crate::config::Config;
use crate::telemetry::daily::Day;

/// What fills in `status.html`, which escapes all that is text.
#[derive(Template)]
#[template(path = "admin/status/status.html")]
struct Page<'a> {
    status: &'a StatusView<'a>,
    verdict: Level,
    checked_at: String,
    total: Saved,
    days: Vec<DayRow>,
    plot: Option<Plot>,
    form: Option<Form>,
}

/// What the edge saved, in words for people.
struct Saved {
    share_cached: String,
    to_readers: String,
    from_homeserver: String,
}

/// A row of the table of days.
struct DayRow {
    date: Date,
    requests: u64,
    saved: Saved,
}

/// The form that asks for the admin's token.
struct Form {
    /// Whether a token was shown that is not the admin's.
    is_refused: bool,
}

impl StatusView<'_> {
    /// Returns the page for this viewer.
    pub fn to_page(&self, viewer: Viewer, config: &Config) -> String {
        let has_form = config.admin_token.is_some() && self.details.is_none();
        let form = has_form.then_some(Form { is_refused: viewer == Viewer::WrongToken });
        Page::new(self, form).render().unwrap_or_default()
    }
}

impl<'a> Page<'a> {
    fn new(status: &'a StatusView<'a>, form: Option<Form>) -> Self {
        let days = status.details.as_ref().map_or(&[][..], |details| details.isolate_days);
        Self {
            status,
            verdict: if status.ok { Level::Ok } else { Level::Error },
            checked_at: date_and_time(status.checked_unix_secs),
            total: Saved::on(&total(days)),
            days: days.iter().map(DayRow::of).collect(),
            plot: Plot::of(days),
            form,
        }
    }
}

/// Returns the sums of all days.
fn total(days: &[Day]) -> Day {
    let sum = |number: fn(&Day) -> u64| days.iter().map(number).fold(0, u64::saturating_add);
    Day {
        began_unix_secs: 0,
        requests: sum(|day| day.requests),
        from_store: sum(|day| day.from_store),
        served_bytes: sum(|day| day.served_bytes),
        origin_bytes: sum(|day| day.origin_bytes),
    }
}

impl Saved {
    fn on(day: &Day) -> Self {
        Self {
            share_cached: share(day.from_store, day.requests),
            to_readers: size(day.served_bytes),
            from_homeserver: size(day.origin_bytes),
        }
    }
}

impl DayRow {
    fn of(day: &Day) -> Self {
        Self { date: Date::of(day.began_unix_secs), requests: day.requests, saved: Saved::on(day) }
    }
}

impl Details<'_> {
    /// Returns the findings, the worst first.
    fn worst_first(&self) -> impl Iterator<Item = &FindingView> {
        let of_level = |level| self.checks.iter().filter(move |finding| finding.level == level);
        [Level::Error, Level::Warning, Level::Ok].into_iter().flat_map(of_level)
    }
}

impl Level {
    /// Returns the class by which `status.css` colours it.
    const fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Returns the sign beside the word: a colour alone is not for everyone.
    const fn sign(self) -> &'static str {
        match self {
            Self::Ok => "✓",
            Self::Warning => "?",
            Self::Error => "!",
        }
    }

    /// Returns the word that stands beside the check.
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "All right",
            Self::Warning => "Check this",
            Self::Error => "Problem",
        }
    }
}

#[cfg(test)]
mod tests;
