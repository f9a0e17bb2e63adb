//! Numbers and dates as people read them. All of it is integers, since what prints floats is large.

use std::fmt;

const SECS_PER_DAY: u64 = 86_400;

/// Days from 0000-03-01, with which a year of this calculation begins, to 1970-01-01.
const DAYS_TO_EPOCH: u64 = 719_468;

/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;

/// A number of tenths, which is shown with one decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tenths(u64);

impl Tenths {
    /// Rounds a number of thousandths.
    pub(super) const fn of_thousandths(thousandths: u64) -> Self {
        Self(thousandths.saturating_add(50) / 100)
    }
}

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

/// Returns `of * part / whole`, rounded, halves up; 0 where `whole` is 0.
pub(super) fn proportion(of: u32, part: u64, whole: u64) -> u64 {
    let (of, part, whole) = (u128::from(of), u128::from(part), u128::from(whole));
    let rounded = (2 * of * part + whole).checked_div(2 * whole).unwrap_or_default();
    u64::try_from(rounded).unwrap_or(u64::MAX)
}

/// Returns a number of bytes in the largest decimal unit of which there is at least one.
pub(super) fn size(bytes: u64) -> String {
    let units =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{} {name}", Tenths(proportion(10, bytes, unit))),
        None => format!("{bytes} B"),
    }
}

/// Returns a part of a whole in percent; a dash where there is no whole.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    format!("{} %", Tenths(proportion(1_000, part, whole)))
}

/// A day of the Gregorian calendar, in UTC. It is shown as RFC 3339 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    year: u64,
    month: u64,
    day: u64,
}

impl Date {
    /// Returns the day of a second since the Unix epoch.
    ///
    /// The calculation is Howard Hinnant's `civil_from_days`, for days after the epoch:
    /// <https://howardhinnant.github.io/date_algorithms.html>. Its years begin in March, so that the
    /// leap day is the last of a year.
    pub(super) const fn of(unix_secs: u64) -> Self {
        let days = unix_secs / SECS_PER_DAY + DAYS_TO_EPOCH;
        let day_of_era = days % DAYS_PER_ERA;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = 400 * (days / DAYS_PER_ERA) + year_of_era;
        Self {
            year: if month <= 2 { year + 1 } else { year },
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        }
    }

    /// Returns month and day alone.
    pub(super) fn month_and_day(self) -> String {
        format!("{:02}-{:02}", self.month, self.day)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Returns the date and the time of day of a second since the Unix epoch, in UTC.
pub(super) fn date_and_time(unix_secs: u64) -> String {
    let second = unix_secs % SECS_PER_DAY;
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{} {hour:02}:{minute:02}:{:02} UTC", Date::of(unix_secs), second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_the_largest_unit_that_it_fills() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_949, "1.9 kB"),
            (1_950, "2.0 kB"),
            (999_949, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (8_300_000_000, "8.3 GB"),
            (1_234_567_890_123, "1.2 TB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn a_share_has_one_decimal_and_an_empty_whole_has_none() {
        for (part, whole, expected) in [
            (0, 0, "–"),
            (0, 7, "0.0 %"),
            (1, 3, "33.3 %"),
            (2, 3, "66.7 %"),
            (7, 7, "100.0 %"),
            (u64::MAX, u64::MAX, "100.0 %"),
        ] {
            assert_eq!(share(part, whole), expected);
        }
    }

    #[test]
    fn a_proportion_of_the_largest_numbers_does_not_overflow() {
        assert_eq!(proportion(7, u64::MAX, u64::MAX), 7);
        assert_eq!(proportion(u32::MAX, u64::MAX, 1), u64::MAX);
        assert_eq!(proportion(10, 1, 0), 0);
    }

    #[test]
    fn a_date_is_of_the_gregorian_calendar() {
        for (unix_secs, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (68_169_599, "1972-02-28 23:59:59 UTC"),
            (68_169_600, "1972-02-29 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_700_000_000, "2023-11-14 22:13:20 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date_and_time(unix_secs), expected);
        }
        assert_eq!(Date::of(951_782_400).month_and_day(), "02-29");
    }

    #[test]
    fn a_second_in_a_far_future_has_a_date() {
        assert!(date_and_time(u64::MAX).ends_with(" UTC"));
    }

    #[test]
    fn tenths_are_rounded_from_thousandths() {
        let shown = [0, 49, 50, 12_349, 12_350].map(|t| Tenths::of_thousandths(t).to_string());
        assert_eq!(shown, ["0.0", "0.0", "0.1", "12.3", "12.4"]);
    }
}
