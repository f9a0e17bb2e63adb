//! Which hosts serve byte ranges (RFC 9110 §14), as learned from their answers.
//!
//! Synapse sends the whole for every range, matrix-media-repo and the stores that homeservers redirect
//! to send the part. So a host is asked for a part until it is known to ignore that.

use http::header::ACCEPT_RANGES;
use http::{HeaderMap, StatusCode};

use crate::origin::is_spared;

/// Of how many hosts an isolate knows. Homeservers redirect to one or two.
const MAX_HOSTS: usize = 8;

/// What a host does when it is asked for a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSupport {
    /// That is not known, or was known long ago.
    Unknown,
    /// It sends the part.
    Serves,
    /// It sends the whole, or refuses.
    Ignores,
}

/// What is known of hosts.
#[derive(Clone, Debug, Default)]
pub struct RangeHosts(Vec<Known>);

#[derive(Clone, Debug)]
struct Known {
    host: String,
    serves: bool,
    learned_unix_secs: u64,
}

/// What an answer shows of the host that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeLesson {
    /// The host, with its port if the URL has one.
    pub host: String,
    /// Whether it serves ranges.
    pub serves: bool,
    /// Whether the host was asked for a range; if not, the lesson is from `Accept-Ranges` alone.
    pub is_proven: bool,
}

impl RangeHosts {
    /// Returns the knowledge of an isolate that has asked no host.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns what is known of a host.
    pub fn support(&self, host: &str, now_unix_secs: u64) -> RangeSupport {
        match self.0.iter().find(|known| known.host == host) {
            Some(Known { serves: true, .. }) => RangeSupport::Serves,
            Some(known) if is_spared(known.learned_unix_secs, now_unix_secs) => {
                RangeSupport::Ignores
            }
            Some(_) | None => RangeSupport::Unknown,
        }
    }

    /// Records a lesson. One from `Accept-Ranges` alone counts only while no other is known.
    pub fn learn(&mut self, lesson: RangeLesson, now_unix_secs: u64) {
        let RangeLesson { host, serves, is_proven } = lesson;
        if !is_proven && self.support(&host, now_unix_secs) != RangeSupport::Unknown {
            return;
        }
        self.0.retain(|known| known.host != host);
        if self.0.len() >= MAX_HOSTS {
            self.0.remove(0);
        }
        self.0.push(Known { host, serves, learned_unix_secs: now_unix_secs });
    }
}

/// Returns whether a host serves ranges, by its answer with media: it was asked for one
/// (`is_asked`) or it sent `Accept-Ranges` (RFC 9110 §14.3). Returns `None` where the answer shows
/// neither.
pub fn serves_ranges(status: StatusCode, headers: &HeaderMap, is_asked: bool) -> Option<bool> {
    let told = headers.get(ACCEPT_RANGES).map(|units| units.as_bytes().trim_ascii());
    match status {
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => is_asked.then_some(true),
        StatusCode::OK if is_asked => Some(false),
        StatusCode::OK => match told?.to_ascii_lowercase().as_slice() {
            b"bytes" => Some(true),
            b"none" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::origin::RETRY_SECS;

    const NOW: u64 = 1_700_000_000;

    fn lesson(host: &str, serves: bool, is_proven: bool) -> RangeLesson {
        RangeLesson { host: host.to_owned(), serves, is_proven }
    }

    fn after(lessons: &[(bool, bool)]) -> RangeHosts {
        let mut hosts = RangeHosts::new();
        for &(serves, is_proven) in lessons {
            hosts.learn(lesson("a", serves, is_proven), NOW);
        }
        hosts
    }

    #[test]
    fn a_host_is_unknown_until_it_answers() {
        let hosts = after(&[(true, true)]);
        assert_eq!(hosts.support("a", NOW), RangeSupport::Serves);
        assert_eq!(hosts.support("b", NOW), RangeSupport::Unknown);
    }

    #[test]
    fn a_host_that_ignored_a_range_is_asked_again_later() {
        let hosts = after(&[(false, true)]);
        assert_eq!(hosts.support("a", NOW + RETRY_SECS - 1), RangeSupport::Ignores);
        assert_eq!(hosts.support("a", NOW + RETRY_SECS), RangeSupport::Unknown);
        assert_eq!(hosts.support("a", NOW - 1), RangeSupport::Unknown, "its clock");
    }

    #[test]
    fn a_host_that_stops_serving_ranges_is_known_to_ignore_them() {
        let hosts = after(&[(true, true), (false, true)]);
        assert_eq!(hosts.support("a", NOW), RangeSupport::Ignores);
    }

    #[test]
    fn a_hosts_answers_outweigh_its_accept_ranges() {
        assert_eq!(after(&[(true, false)]).support("a", NOW), RangeSupport::Serves);
        let hosts = after(&[(false, true), (true, false)]);
        assert_eq!(hosts.support("a", NOW), RangeSupport::Ignores);
        let hosts = after(&[(true, true), (false, false)]);
        assert_eq!(hosts.support("a", NOW), RangeSupport::Serves);
    }

    #[test]
    fn known_hosts_are_bounded_and_the_oldest_are_forgotten_first() {
        let mut hosts = RangeHosts::new();
        for number in 0..=MAX_HOSTS {
            hosts.learn(lesson(&number.to_string(), true, true), NOW);
        }
        assert_eq!(hosts.support("0", NOW), RangeSupport::Unknown);
        assert_eq!(hosts.support("1", NOW), RangeSupport::Serves);
    }

    #[test]
    fn range_support_is_read_from_status_and_accept_ranges() {
        let told = |status: u16, field: Option<&'static str>, is_asked| {
            let mut headers = HeaderMap::new();
            headers.extend(field.map(|field| (ACCEPT_RANGES, HeaderValue::from_static(field))));
            serves_ranges(StatusCode::from_u16(status).unwrap(), &headers, is_asked)
        };
        for (status, field, is_asked, expected) in [
            (206, None, true, Some(true)),
            (416, None, true, Some(true)),
            (200, Some("bytes"), true, Some(false)),
            (200, None, true, Some(false)),
            (200, Some("Bytes"), false, Some(true)),
            (200, Some("none"), false, Some(false)),
            (200, Some("lines"), false, None),
            (200, None, false, None),
            (206, None, false, None),
            (404, None, true, None),
            (502, Some("bytes"), false, None),
        ] {
            assert_eq!(told(status, field, is_asked), expected, "{status} {field:?} {is_asked}");
        }
    }
}
