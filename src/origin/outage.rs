//! Outages of the origin: while one is known, readers who may be served stale don't each wait for
//! the origin to fail, and don't all ask when it comes back.
//!
//! One question that fails says little: it may be about that media alone, and a reader may have
//! provoked it. It is a suspicion, upon which the origin is *probed* with a request that carries
//! nothing of any reader's; only a probe that fails too makes an outage. While probes fail, one
//! follows the other, with pauses between them, and no reader waits for any. An outage is known for
//! hardly longer than the pause to the next probe, since an origin that is up is asked about every
//! request. Only a probe, or the homeserver's own answer to an ordinary question, ends it before.

use http::{HeaderMap, Method};

use crate::config::Config;
use crate::headers::CF_MITIGATED;
use crate::origin::client_headers::ClientHeaders;
use crate::origin::forwarding::{add_own_agent, ask_for_identity, loop_header};
use crate::origin::{OriginAnswer, OriginError, OriginHead, OriginRequest, Timeout, whoami_url};

/// How long a probe counts as under way, and is waited for, in milliseconds.
pub const PROBE_MS: u32 = 5_000;

/// How long its answer may take, in milliseconds: those who wait look only now and then, and are to
/// see what came of it before they give up or probe again.
pub const PROBE_ANSWER_TIMEOUT_MS: u32 = 4_500;

/// The longest pauses after the first, second and every further probe that failed.
const PAUSES_MS: [u32; 3] = [1_000, 2_000, 4_000];

/// How long what is known lasts beyond the pause: who comes then is served, and probes.
const LINGER_MS: u32 = 4_000;

/// What an isolate knows of an outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    phase: Phase,
    /// When a probe began, or ended, last.
    since_unix_ms: u64,
    /// How long the next probe is to wait from then on.
    pause_ms: u32,
    /// Until when the origin is taken to be down, by the last probe that failed.
    known_until_unix_ms: u64,
    /// Probes that failed in a row.
    failures: usize,
    /// When the homeserver itself answered last.
    answered_unix_ms: u64,
}

/// What became of the last probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Probing,
    Failed,
    Unclear,
}

/// A probe under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    began_unix_ms: u64,
}

/// What an answer shows of whether the homeserver is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The homeserver itself answered.
    Up,
    /// It didn't answer, or an intermediary answered that it can't be reached.
    Down,
    /// Neither: a page, a rate limit, an error of its own.
    Unclear,
}

/// What a reader who may be served stale is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Serve: the origin is down.
    ServeStale,
    /// Relay the failure: the origin is up, or that is unclear.
    Relay,
    /// Probe, then ask again.
    Probe(Probe),
    /// Wait for the probe that is under way, then ask again.
    Wait,
}

/// Returns the probe: it asks who the caller is, without a token. Every homeserver refuses that
/// with a Matrix error, and no cache answers it.
/// <https://spec.matrix.org/v1.15/client-server-api/#get_matrixclientv3accountwhoami>
pub fn probe_request(config: &Config) -> OriginRequest {
    let mut set: HeaderMap = loop_header(config);
    add_own_agent(&mut set);
    ask_for_identity(&mut set);
    OriginRequest {
        method: Method::GET,
        url: whoami_url(config),
        client_headers: ClientHeaders::None,
        set,
        is_for_homeserver: true,
        timeout: Timeout::Ms(PROBE_ANSWER_TIMEOUT_MS),
    }
}

/// Returns whether an answer is a failure: a reason to probe, and no proof of an outage.
pub fn is_failure(head: &OriginHead) -> bool {
    head.status.is_server_error() || head.headers.contains_key(CF_MITIGATED)
}

/// Returns what an answer shows by itself: a Matrix error below 500 is the homeserver's own, and
/// 502, 504, 520 to 527 and 530 mean that the homeserver can't be reached. What a rate limit may
/// answer is unclear: a 429, a 503 (nginx's `limit_req`), the platform's challenge. Otherwise
/// anyone who uses up such a limit for all readers could have the homeserver taken for down.
pub fn evidence(answer: &Result<OriginAnswer, OriginError>) -> Evidence {
    let Ok(answer) = answer else { return Evidence::Down };
    let OriginHead { status, headers } = &answer.head;
    match status.as_u16() {
        _ if headers.contains_key(CF_MITIGATED) => Evidence::Unclear,
        502 | 504 | 520..=527 | 530 => Evidence::Down,
        429 => Evidence::Unclear,
        400..500 if answer.errcode().is_some() => Evidence::Up,
        _ => Evidence::Unclear,
    }
}

impl Outage {
    /// None is known.
    pub const NONE: Self = Self {
        phase: Phase::Idle,
        since_unix_ms: 0,
        pause_ms: 0,
        known_until_unix_ms: 0,
        failures: 0,
        answered_unix_ms: 0,
    };

    /// Returns whether a probe has failed since the homeserver last answered: `false` spares the
    /// caller a look at the clock.
    pub const fn may_be_known(&self) -> bool {
        self.known_until_unix_ms > 0
    }

    /// Returns whether the origin is known to be down. While it is probed again, that lasts until
    /// the probe has ended and a little longer.
    pub const fn is_known(&self, now_unix_ms: u64) -> bool {
        let was_known = self.since_unix_ms < self.known_until_unix_ms;
        let is_probed = matches!(self.phase, Phase::Probing)
            && self.is_within(PROBE_MS + LINGER_MS, now_unix_ms);
        was_known
            && self.since_unix_ms <= now_unix_ms
            && (now_unix_ms < self.known_until_unix_ms || is_probed)
    }

    /// Records that the homeserver itself has answered: there is no outage.
    pub const fn record_up(&mut self, now_unix_ms: u64) {
        *self = Self { answered_unix_ms: now_unix_ms, ..Self::NONE };
    }

    /// Returns what a reader is to do whose question failed, and who has been waiting since
    /// `since_unix_ms`.
    pub fn advise(&mut self, since_unix_ms: u64, now_unix_ms: u64) -> Advice {
        if self.is_known(now_unix_ms) {
            return Advice::ServeStale;
        }
        let is_within_pause = self.is_within(self.pause_ms, now_unix_ms);
        match self.phase {
            // The homeserver has answered another reader since. The clock may have stepped back.
            Phase::Idle if self.answered_unix_ms >= since_unix_ms.min(now_unix_ms) => Advice::Relay,
            Phase::Unclear if is_within_pause => Advice::Relay,
            Phase::Probing if is_within_pause => Advice::Wait,
            _ => self.begin_probe(now_unix_ms).map_or(Advice::Relay, Advice::Probe),
        }
    }

    /// Begins the next probe. Returns `None` if none is due.
    pub fn begin_probe(&mut self, now_unix_ms: u64) -> Option<Probe> {
        if self.is_within(self.pause_ms, now_unix_ms) {
            return None;
        }
        // What has ended, were it by a clock that has stepped back, is not known anew.
        let known_until_unix_ms =
            if self.is_known(now_unix_ms) { self.known_until_unix_ms } else { 0 };
        *self = Self {
            phase: Phase::Probing,
            since_unix_ms: now_unix_ms,
            pause_ms: PROBE_MS,
            known_until_unix_ms,
            ..*self
        };
        Some(Probe { began_unix_ms: now_unix_ms })
    }

    /// Records the answer to a probe. `random` chooses the pause to the next one, between half of
    /// the longest and all of it.
    pub fn end_probe(
        &mut self,
        probe: Probe,
        answer: &Result<OriginAnswer, OriginError>,
        now_unix_ms: u64,
        random: u32,
    ) {
        match evidence(answer) {
            Evidence::Up => self.record_up(now_unix_ms),
            // The homeserver has answered since, or another probe has begun.
            _ if self.phase != Phase::Probing || self.since_unix_ms != probe.began_unix_ms => {}
            Evidence::Down => self.pause(Phase::Failed, now_unix_ms, random),
            Evidence::Unclear => self.pause(Phase::Unclear, now_unix_ms, random),
        }
    }

    fn pause(&mut self, phase: Phase, now_unix_ms: u64, random: u32) {
        let longest = PAUSES_MS[self.failures.min(PAUSES_MS.len() - 1)];
        let pause_ms = longest / 2 + random % (longest / 2 + 1);
        // An unclear answer neither ends nor prolongs an outage.
        let known_until_unix_ms = match phase {
            Phase::Failed => now_unix_ms + u64::from(pause_ms + LINGER_MS),
            Phase::Idle | Phase::Probing | Phase::Unclear => self.known_until_unix_ms,
        };
        *self = Self {
            phase,
            since_unix_ms: now_unix_ms,
            pause_ms,
            known_until_unix_ms,
            failures: self.failures + 1,
            ..*self
        };
    }

    /// Returns whether the phase began less than `ms` ago; `false` if the clock has stepped back.
    const fn is_within(&self, ms: u32, now_unix_ms: u64) -> bool {
        match now_unix_ms.checked_sub(self.since_unix_ms) {
            Some(age_ms) => age_ms < ms as u64,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, StatusCode};

    const NOW: u64 = 1_700_000_000_000;

    const DOWN: Result<OriginAnswer, OriginError> = Err(OriginError::Unreachable);

    /// An outage that is known since now.
    fn known(random: u32) -> Outage {
        let mut outage = Outage::NONE;
        let probe = outage.begin_probe(NOW).expect("it is time");
        outage.end_probe(probe, &DOWN, NOW, random);
        outage
    }

    fn answer(
        status: u16,
        fields: &[(http::HeaderName, &'static str)],
        text: Option<&str>,
    ) -> Result<OriginAnswer, OriginError> {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = fields.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v)));
        let head = OriginHead { status, headers: headers.collect() };
        Ok(OriginAnswer { head, text: text.map(str::to_owned) })
    }

    /// What becomes of a suspicion by a probe that is answered so.
    fn advised(answer: &Result<OriginAnswer, OriginError>) -> Advice {
        let mut outage = Outage::NONE;
        let Advice::Probe(probe) = outage.advise(NOW, NOW) else { panic!("no probe") };
        assert_eq!(outage.advise(NOW, NOW + 1), Advice::Wait, "one at a time");
        outage.end_probe(probe, answer, NOW + 2, 0);
        outage.advise(NOW, NOW + 3)
    }

    const REFUSED: &str = r#"{"errcode":"M_MISSING_TOKEN","error":"Missing access token"}"#;

    #[test]
    fn a_failed_probe_makes_an_outage() {
        assert_eq!(advised(&DOWN), Advice::ServeStale);
        for status in [502, 504, 520, 527, 530] {
            assert_eq!(advised(&answer(status, &[], None)), Advice::ServeStale, "{status}");
        }
    }

    #[test]
    fn a_homeserver_that_answers_the_probe_is_up() {
        assert_eq!(advised(&answer(401, &[], Some(REFUSED))), Advice::Relay);
    }

    #[test]
    fn an_unclear_answer_makes_no_outage() {
        for (status, fields, text) in [
            (429, &[][..], Some(REFUSED)),
            (503, &[], None),
            (403, &[(CF_MITIGATED, "challenge")], None),
            (522, &[(CF_MITIGATED, "challenge")], None),
            (503, &[], Some(REFUSED)),
            (500, &[], Some(REFUSED)),
            (200, &[], None),
            (302, &[], None),
            (401, &[], None),
            (404, &[], Some("{}")),
            (528, &[], None),
        ] {
            assert_eq!(advised(&answer(status, fields, text)), Advice::Relay, "{status}");
        }
    }

    #[test]
    fn the_homeservers_own_answer_ends_an_outage() {
        let mut outage = known(0);
        outage.record_up(NOW + 1);
        assert!(!outage.is_known(NOW + 1));
        assert_eq!(outage.advise(NOW, NOW + 2), Advice::Relay, "who has waited since before");
        assert!(matches!(outage.advise(NOW + 2, NOW + 2), Advice::Probe(_)));
    }

    #[test]
    fn a_reader_probes_once_though_the_clock_steps_back_meanwhile() {
        let mut outage = Outage::NONE;
        let Advice::Probe(probe) = outage.advise(NOW, NOW) else { panic!("no probe") };
        outage.end_probe(probe, &answer(401, &[], Some(REFUSED)), NOW - 3_000, 0);
        assert_eq!(outage.advise(NOW, NOW - 3_000), Advice::Relay);
    }

    #[test]
    fn an_outage_ended_by_a_clock_step_does_not_return() {
        let mut outage = known(0);
        assert!(!outage.is_known(NOW - 1));
        assert!(outage.begin_probe(NOW - 1).is_some());
        assert!(!outage.is_known(NOW - 1));
    }

    #[test]
    fn an_unclear_probe_ends_no_outage_and_prolongs_none() {
        let mut outage = known(500);
        let end = NOW + 5_000;
        for began in [NOW + 1_000, NOW + 2_100, NOW + 4_400] {
            let probe = outage.begin_probe(began).expect("it is time");
            assert!(outage.is_known(began + 1));
            outage.end_probe(probe, &answer(429, &[], None), began + 2, 0);
            assert!(outage.is_known(end - 1) && !outage.is_known(end), "{began}");
        }
        assert_eq!(outage.advise(NOW, end + 1), Advice::Relay);
    }

    #[test]
    fn a_probe_carries_nothing_of_a_reader() {
        let request = probe_request(&crate::config::tests::config(&[]).unwrap());
        assert_eq!(request.url, "https://origin.example.com/_matrix/client/v3/account/whoami");
        assert_eq!(
            (request.client_headers, request.is_for_homeserver),
            (ClientHeaders::None, true)
        );
        let names: std::collections::BTreeSet<_> =
            request.set.keys().map(|name| name.as_str()).collect();
        let expected = ["accept-encoding", "user-agent", "x-matrix-media-edge"];
        assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_suspicion_is_no_outage() {
        let mut outage = Outage::NONE;
        assert!(outage.begin_probe(NOW).is_some());
        assert!(!outage.is_known(NOW) && !outage.may_be_known());
    }

    #[test]
    fn probes_are_sent_one_at_a_time() {
        let mut outage = Outage::NONE;
        assert!(outage.begin_probe(NOW).is_some());
        assert_eq!(outage.begin_probe(NOW + 4_999), None);
        assert!(outage.begin_probe(NOW + 5_000).is_some(), "it may have been lost");
    }

    #[test]
    fn pauses_grow_and_differ() {
        let longest = |mut outage: Outage| {
            (0..4).map(move |_| {
                let end = outage.since_unix_ms + u64::from(outage.pause_ms);
                let pause = outage.pause_ms;
                assert_eq!(outage.begin_probe(end - 1), None);
                let probe = outage.begin_probe(end).expect("it is time");
                outage.end_probe(probe, &DOWN, end, 500 << (outage.failures.min(2)));
                pause
            })
        };
        assert_eq!(longest(known(500)).collect::<Vec<_>>(), [1_000, 2_000, 4_000, 4_000]);
        assert_eq!(known(0).pause_ms, 500);
        assert_eq!(known(u32::MAX).pause_ms, 500 + u32::MAX % 501);
    }

    #[test]
    fn a_known_outage_is_forgotten_after_five_seconds() {
        let outage = known(500);
        assert!(outage.is_known(NOW + 4_999) && outage.may_be_known());
        assert!(!outage.is_known(NOW + 5_000));
    }

    #[test]
    fn an_outage_stays_known_while_it_is_probed() {
        let mut outage = known(500);
        outage.begin_probe(NOW + 1_000).expect("it is time");
        assert!(outage.is_known(NOW + 1_000 + 8_999));
        assert!(!outage.is_known(NOW + 1_000 + 9_000));
    }

    #[test]
    fn a_probe_that_fails_late_is_ignored() {
        let mut outage = Outage::NONE;
        let probe = outage.begin_probe(NOW).expect("it is time");
        outage = Outage::NONE;
        outage.end_probe(probe, &DOWN, NOW + 5_000, 0);
        assert_eq!(outage, Outage::NONE);
    }

    #[test]
    fn an_outage_ends_when_the_clock_steps_back() {
        assert!(!known(0).is_known(NOW - 1));
        assert!(known(0).begin_probe(NOW - 1).is_some());
    }
}
