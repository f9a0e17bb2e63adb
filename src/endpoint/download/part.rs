//! A range of media that is not stored: asked of the origin where that may serve ranges, and passed on.
//!
//! A part is for one client: it is not stored, and grants no lease. The whole is asked for by a
//! question of its own, if that is worth it.

use std::rc::Rc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{Method, StatusCode};

use super::origin_query::{AfterOrigin, OriginExchange, OriginQuery, PendingAnswer};
use super::{Exchange, response};
use crate::cache::entry::{FetchTimes, Validator};
use crate::cache::storability::is_encoded;
use crate::headers::range::{ByteRange, ContentRange, RangeRequest, RangeSpec};
use crate::matrix::media::{Door, Representation};
use crate::message::target::split_url;
use crate::origin::intermediary::Intermediary;
use crate::origin::ranges::{RangeHosts, RangeLesson, RangeSupport, serves_ranges};
use crate::origin::{OriginAnswer, OriginError, OriginHead};
use crate::permission::has_mark;

/// The whole of which a client was served a part.
#[derive(Debug)]
pub struct Whole {
    /// Its length in bytes.
    pub length_bytes: u64,
    /// The question for the whole, which no client waits for.
    pub question: OriginExchange,
}

impl Exchange {
    /// Returns the range of a file that the client wants; `None` for all of it. Servers get envelopes, which
    /// have no ranges, and thumbnails are small.
    pub fn wanted_range(&self) -> Option<RangeSpec> {
        let may_be_part = self.request.door != Door::Federation
            && self.request.representation == Representation::Content
            && self.head.method == Method::GET;
        RangeSpec::parse(self.head.header(&RANGE).filter(|_| may_be_part)?)
    }

    /// Returns whether the client wants a part of what the homeserver sends only whole, so that a fill that
    /// is under way is worth waiting for.
    pub fn waits_for_whole(&self, now_unix_secs: u64) -> bool {
        self.is_wanted_part_of(RangeSupport::Ignores, now_unix_secs)
    }

    /// Returns whether the client wants a part and the homeserver sends parts, so that no fill is waited for.
    pub fn gets_part(&self, now_unix_secs: u64) -> bool {
        self.is_wanted_part_of(RangeSupport::Serves, now_unix_secs)
    }

    fn is_wanted_part_of(&self, support: RangeSupport, now_unix_secs: u64) -> bool {
        let host = self.config.homeserver.authority();
        let is_so = |hosts: &Rc<RangeHosts>| hosts.support(host, now_unix_secs) == support;
        self.wanted_range().is_some() && self.ranges.as_ref().is_some_and(is_so)
    }

    /// Returns the range to ask the origin for; `None` where the client wants none, or where the host is
    /// known to ignore it.
    pub(super) fn range_for(&self, query: &OriginQuery, now_unix_secs: u64) -> Option<RangeSpec> {
        let url = match query {
            OriginQuery::Fetch(Method::GET) => self.config.homeserver.to_string(),
            OriginQuery::FollowRedirect(redirected) => {
                self.config.origin_url(redirected.url()).into_owned()
            }
            _ => return None,
        };
        let range = self.wanted_range()?;
        let support = self.ranges.as_ref()?.support(host_of(&url)?, now_unix_secs);
        (support != RangeSupport::Ignores && range.request_header().is_some()).then_some(range)
    }
}

impl PendingAnswer {
    /// Takes the part that the origin sent, or asks for the whole where it does not fit.
    pub(super) fn on_part(
        self,
        range: RangeSpec,
        origin: &OriginHead,
        now_unix_secs: u64,
    ) -> AfterOrigin {
        let times =
            FetchTimes { asked_unix_secs: self.asked_unix_secs, answered_unix_secs: now_unix_secs };
        let validator = match &self.query {
            OriginQuery::FollowRedirect(redirected) => redirected.validator(),
            _ => Validator::of(origin),
        };
        let Some((part, length_bytes)) = part_of(origin, range) else {
            return AfterOrigin::AskAgain(self.for_whole());
        };
        let whole = whole_of(origin, length_bytes);
        let forward = self.query.forward_reason();
        let answer = response::part(&self.exchange, whole, part, &validator, forward, times);
        let Some((outcome, is_storable)) = answer else {
            return AfterOrigin::AskAgain(self.for_whole());
        };
        let whole = is_storable.then(|| Whole { length_bytes, question: self.for_whole() });
        AfterOrigin::RespondPart(outcome, whole)
    }

    /// Returns whether an answer leaves the whole to be asked for: a 416, an intermediary's
    /// refusal, which may be of the range alone, or a 200. What is stored for all depends on no
    /// reader's range.
    pub(super) fn leaves_whole(&self, answer: &OriginAnswer) -> bool {
        matches!(answer.head.status, StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE)
            || Intermediary::of(answer, &Method::GET).is_some()
    }

    /// Asks the homeserver for the whole.
    pub(super) fn for_whole(self) -> OriginExchange {
        let Self { exchange, leases, asked_unix_secs, .. } = self;
        Exchange { ranges: None, ..exchange }.fetch(leases, asked_unix_secs)
    }

    /// Returns whether the host that gave an answer serves ranges, as far as the answer shows that.
    pub fn range_lesson(&self, answer: &Result<OriginAnswer, OriginError>) -> Option<RangeLesson> {
        let head = &answer.as_ref().ok()?.head;
        if !matches!(self.query, OriginQuery::Fetch(Method::GET) | OriginQuery::FollowRedirect(_)) {
            return None;
        }
        let is_proven = self.range.is_some();
        let serves = serves_ranges(head.status, &head.headers, is_proven)?;
        let is_fitting = head.status != StatusCode::PARTIAL_CONTENT
            || self.range.is_some_and(|range| part_of(head, range).is_some());
        // A page is no answer to the range, and an empty file has no part.
        let is_redirected = matches!(self.query, OriginQuery::FollowRedirect(_));
        let is_media = is_redirected || has_mark(head, self.exchange.request.door);
        if head.status == StatusCode::OK && !(is_media && head.content_length() != Some(0)) {
            return None;
        }
        let host = host_of(&self.request().url)?.to_owned();
        Some(RangeLesson { host, serves: serves && is_fitting, is_proven })
    }
}

/// Returns the part that a 206 brings, and the length of the whole in bytes. Returns `None` unless that
/// is the part that was asked for, as it is.
fn part_of(origin: &OriginHead, asked: RangeSpec) -> Option<(ByteRange, u64)> {
    let mut told = origin.headers.get_all(CONTENT_RANGE).iter();
    let field = told.next().filter(|_| told.next().is_none())?.to_str().ok()?;
    let ContentRange::Part(part, length) = ContentRange::parse(field)? else { return None };
    let is_asked = asked.of(length) == RangeRequest::Part(part);
    let is_of_length = origin.content_length() == Some(part.length());
    (is_asked && is_of_length && !is_encoded(origin)).then_some((part, length))
}

/// Returns the head that the whole would have.
fn whole_of(part: &OriginHead, length_bytes: u64) -> OriginHead {
    let mut headers = part.headers.clone();
    headers.remove(CONTENT_RANGE);
    headers.insert(CONTENT_LENGTH, length_bytes.into());
    OriginHead { status: StatusCode::OK, headers }
}

fn host_of(url: &str) -> Option<&str> {
    split_url(url).map(|url| url.authority)
}
