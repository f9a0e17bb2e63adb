//! Whether an answer may be, given what was true while it was asked for.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use test_support::http::Answer;

use crate::ask::{Ask, Reading, Right, Yes};
use crate::homeserver::Homeserver;
use crate::truth::{History, State, Truth};

/// A clock that stands still while a Worker computes may be so far behind.
const CLOCK_SLACK: Duration = Duration::from_millis(250);

/// From when to when an answer was under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
}

/// What is known of one isolate beside the truth.
pub(crate) struct Judge {
    /// For how long it may take a yes as still given.
    lease: Duration,
    /// When it last passed on a refusal, by what was refused.
    refusals: Mutex<BTreeMap<String, Instant>>,
}

/// What an answer was, if it was not wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Right,
    /// A failure while the origin was in trouble.
    Excused,
    /// A transfer that broke off when its isolate was replaced.
    Replaced,
}

impl Judge {
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, refusals: Mutex::default() }
    }

    /// Judges an answer, or a transfer that broke.
    ///
    /// # Errors
    /// Why it is wrong.
    pub(crate) fn judge(
        &self,
        ask: &Ask,
        answer: &io::Result<Answer>,
        flight: Flight,
        truth: &Truth,
        homeserver: &dyn Homeserver,
    ) -> Result<Verdict, String> {
        let state = truth.now();
        let is_excused = state.was_in_trouble(flight.sent, flight.answered);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if is_excused && error.kind() != io::ErrorKind::WouldBlock => {
                return Ok(Verdict::Excused);
            }
            Err(error) => return Err(format!("broken: {error}")),
        };
        if matches!(answer.status, 502 | 504) && is_excused {
            return Ok(Verdict::Excused);
        }
        match &ask.right {
            Right::Status(status) => expect(answer.status == *status, "another status"),
            Right::Document(member) => {
                let is_whole = answer.status == 200 && answer.text().contains(member);
                expect(is_whole && answer.text().contains("m.media_server"), "no whole document")
            }
            Right::Token(token, yes) => {
                judge_token(answer, flight, &state.tokens[token])?;
                if answer.status == 200 && matches!(yes, Yes::Upload) {
                    drop(state);
                    return judge_upload(answer, &ask.body, truth, homeserver);
                }
                Ok(Verdict::Right)
            }
            Right::Media(reading) => self.judge_media(reading, answer, flight, &state),
        }
    }

    fn judge_media(
        &self,
        reading: &Reading,
        answer: &Answer,
        flight: Flight,
        state: &State,
    ) -> Result<Verdict, String> {
        let is_there = &state.media[&reading.id].is_there;
        let is_token_good = reading.token.as_ref().map(|token| &state.tokens[token]);
        // Each of the two has a record that a refusal ends.
        let mut grounds = vec![(format!("{} {}", reading.door, reading.id), is_there)];
        grounds.extend(reading.token.clone().zip(is_token_good));
        let (of_media, of_token) = (&grounds[0], grounds.get(1));
        match answer.status {
            401 => {
                let Some((name, token)) = of_token else { return wrong("a 401 at an open door") };
                expect(was(token, false, flight), "a good token was refused")?;
                self.refused(reading, name, flight);
                Ok(Verdict::Right)
            }
            404 if reading.is_shut => Ok(Verdict::Right),
            404 => {
                expect(was(of_media.1, false, flight), "media that was there was not found")?;
                self.refused(reading, &of_media.0, flight);
                Ok(Verdict::Right)
            }
            _ if reading.is_shut => wrong("the door is shut to it"),
            status if status == reading.status => {
                for (name, history) in &grounds {
                    self.judge_yes(reading, name, history, flight)?;
                }
                expect(answer.body == reading.body, "other bytes")?;
                let is_as_said = reading
                    .field
                    .as_ref()
                    .is_none_or(|(name, value)| answer.header(name) == Some(value));
                expect(is_as_said, "another field")
            }
            _ => wrong("another status"),
        }
    }

    /// A yes must have been true when the origin was asked, now or within a lease; and not before
    /// this isolate heard a no.
    fn judge_yes(
        &self,
        reading: &Reading,
        name: &str,
        history: &History,
        flight: Flight,
    ) -> Result<Verdict, String> {
        let Flight { sent, answered } = flight;
        let asked_since = if reading.is_plain && !self.lease.is_zero() {
            sent.checked_sub(self.lease + CLOCK_SLACK).unwrap_or(sent)
        } else {
            sent
        };
        expect(history.was_ever(true, asked_since, answered), &format!("{name} was not good"))?;
        let refused =
            self.refusals.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        let is_heard = refused
            .is_some_and(|refused| refused < sent && !history.was_ever(true, refused, answered));
        expect(!is_heard, &format!("{name} had been refused"))
    }

    /// A request that has terms of its own says nothing of others.
    fn refused(&self, reading: &Reading, name: &str, flight: Flight) {
        if reading.is_plain {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            refusals.insert(name.to_owned(), flight.answered);
        }
    }
}

/// What goes to the origin each time is as the token is.
fn judge_token(answer: &Answer, flight: Flight, token: &History) -> Result<Verdict, String> {
    match answer.status {
        200 => expect(was(token, true, flight), "a token that was no good"),
        401 => expect(was(token, false, flight), "a good token was refused"),
        _ => wrong("another status"),
    }
}

/// The origin must have exactly what was sent, by its own word, for which it may take its time.
fn judge_upload(
    answer: &Answer,
    body: &[u8],
    truth: &Truth,
    homeserver: &dyn Homeserver,
) -> Result<Verdict, String> {
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let uri = json["content_uri"].as_str().unwrap_or_default();
    let id = uri.rsplit('/').next().unwrap_or_default();
    let Some(media) = homeserver.stored(id).filter(|media| *media.bytes == *body) else {
        return wrong("the origin has something else");
    };
    truth.now().add_upload(media);
    Ok(Verdict::Right)
}

fn was(history: &History, so: bool, flight: Flight) -> bool {
    history.was_ever(so, flight.sent, flight.answered)
}

fn expect(is_right: bool, problem: &str) -> Result<Verdict, String> {
    if is_right { Ok(Verdict::Right) } else { wrong(problem) }
}

fn wrong(problem: &str) -> Result<Verdict, String> {
    Err(problem.to_owned())
}
