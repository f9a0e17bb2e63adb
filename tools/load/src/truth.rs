//! What is true, and what was when: tokens, media, and whether the origin can be reached.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use test_support::time::now;

use model::random::Random;

pub(crate) const SERVER_NAME: &str = "example.com";

/// How many tokens there are that can be picked, of which some are no good any more.
const PICKED_TOKENS: usize = 24;

/// Half of all readings are of so few media.
const POPULAR_MEDIA: usize = 8;

/// From how many bytes on media is large.
const LARGE_BYTES: usize = 1 << 20;

/// How many uploads there are to be picked beside these.
const PICKED_UPLOADS: usize = 40;

/// Something that is so or not, and since when.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// When it ceased to be so, and began to again, in turn.
    flips: Vec<Flip>,
}

/// A change that takes its time: until it is done, either may be so.
#[derive(Clone, Copy, Debug)]
struct Flip {
    begun: Instant,
    done: Option<Instant>,
}

impl History {
    /// It is so from the beginning on.
    pub(crate) fn new() -> Self {
        Self { flips: Vec::new() }
    }

    /// Whether it is so, once the change that is under way is done.
    pub(crate) fn is_so(&self) -> bool {
        self.flips.len().is_multiple_of(2)
    }

    pub(crate) fn begin_flip(&mut self, at: Instant) {
        self.flips.push(Flip { begun: at, done: None });
    }

    pub(crate) fn end_flip(&mut self, at: Instant) {
        if let Some(flip) = self.flips.last_mut() {
            flip.done = Some(at);
        }
    }

    /// Whether it ever may have been `so` between these two, both included.
    pub(crate) fn was_ever(&self, so: bool, from: Instant, to: Instant) -> bool {
        // Each spell begins with a flip, and lasts until the next one is done.
        (0..=self.flips.len()).filter(|spell| spell.is_multiple_of(2) == so).any(|spell| {
            let begun = spell.checked_sub(1).map(|flip| self.flips[flip].begun);
            let ended = self.flips.get(spell).and_then(|flip| flip.done);
            begun.is_none_or(|begun| begun <= to) && ended.is_none_or(|ended| from <= ended)
        })
    }

    pub(crate) fn flips(&self) -> usize {
        self.flips.len()
    }
}

/// Media as the origin has it.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    pub(crate) id: String,
    pub(crate) bytes: Arc<[u8]>,
    /// Whether it is at the open door.
    pub(crate) is_legacy: bool,
    /// Pictures that were made of it, by the query that asks for them.
    pub(crate) thumbnails: Arc<Thumbnails>,
    /// Whether it may be read by anyone.
    pub(crate) is_there: History,
}

pub(crate) type Thumbnails = BTreeMap<String, Vec<u8>>;

/// All of it.
pub(crate) struct Truth {
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) tokens: BTreeMap<String, History>,
    pub(crate) media: BTreeMap<String, Media>,
    /// Whom to pick from, the newest last.
    picked_tokens: VecDeque<String>,
    picked_media: Vec<String>,
    picked_pictures: Vec<String>,
    picked_uploads: VecDeque<String>,
    /// From when to when answers may suffer.
    troubles: Vec<(Instant, Option<Instant>)>,
}

impl Truth {
    pub(crate) fn new() -> Self {
        let state = State {
            tokens: BTreeMap::new(),
            media: BTreeMap::new(),
            picked_tokens: VecDeque::new(),
            picked_media: Vec::new(),
            picked_pictures: Vec::new(),
            picked_uploads: VecDeque::new(),
            troubles: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// A reader that fell over has said so already.
    pub(crate) fn now(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets a new token be picked.
    pub(crate) fn add_token(&mut self, token: String) {
        self.tokens.insert(token.clone(), History::new());
        push(&mut self.picked_tokens, token, PICKED_TOKENS);
    }

    /// Lets media be picked from now on, and its thumbnails, if there are any.
    pub(crate) fn add_media(&mut self, media: Media) {
        self.picked_media.push(media.id.clone());
        if !media.thumbnails.is_empty() {
            self.picked_pictures.push(media.id.clone());
        }
        self.media.insert(media.id.clone(), media);
    }

    /// Lets what was uploaded be picked for a while.
    pub(crate) fn add_upload(&mut self, media: Media) {
        push(&mut self.picked_uploads, media.id.clone(), PICKED_UPLOADS);
        self.media.entry(media.id.clone()).or_insert(media);
    }

    /// A token, or one that was.
    pub(crate) fn pick_token(&self, random: &mut Random) -> String {
        self.picked_tokens[random.below(self.picked_tokens.len())].clone()
    }

    pub(crate) fn pick_media(&self, random: &mut Random) -> Media {
        let all = self.picked_media.len() + self.picked_uploads.len();
        let end = if random.once_in(2) { POPULAR_MEDIA } else { all };
        let number = random.below(end);
        let upload = number.checked_sub(self.picked_media.len());
        let id = upload.map_or_else(|| &self.picked_media[number], |n| &self.picked_uploads[n]);
        self.media[id].clone()
    }

    /// Media that is not sent in one go.
    pub(crate) fn pick_large(&self, random: &mut Random) -> Media {
        let is_large = |id: &&String| self.media[*id].bytes.len() >= LARGE_BYTES;
        let large: Vec<_> = self.picked_media.iter().filter(is_large).collect();
        self.media[random.pick(&large)].clone()
    }

    /// Media of which thumbnails are known, or can be made.
    pub(crate) fn pick_picture(&self, random: &mut Random) -> Media {
        if self.picked_pictures.is_empty() {
            return self.pick_media(random);
        }
        self.media[&random.pick(&self.picked_pictures)].clone()
    }

    /// Begins to revoke a token, if it is good.
    pub(crate) fn begin_revoking(&mut self, token: &str) -> bool {
        let token = self.tokens.get_mut(token).filter(|token| token.is_so());
        token.map(|token| token.begin_flip(now())).is_some()
    }

    pub(crate) fn end_revoking(&mut self, token: &str) {
        if let Some(token) = self.tokens.get_mut(token) {
            token.end_flip(now());
        }
    }

    /// Begins to hide some media, or to show it again; tells which, and whether it will be there.
    pub(crate) fn begin_flipping(&mut self, random: &mut Random) -> (String, bool) {
        // Whatever is not there comes back sooner than another goes.
        let gone = self.media.values().find(|media| !media.is_there.is_so() && random.once_in(4));
        let id = gone.map_or_else(|| self.pick_media(random).id, |media| media.id.clone());
        let media = self.media.get_mut(&id).expect("it was picked from these");
        media.is_there.begin_flip(now());
        let is_there = media.is_there.is_so();
        (id, is_there)
    }

    pub(crate) fn end_flipping(&mut self, id: &str) {
        if let Some(media) = self.media.get_mut(id) {
            media.is_there.end_flip(now());
        }
    }

    /// How often a token was revoked, and media was hidden or shown.
    pub(crate) fn changes(&self) -> (usize, usize) {
        let revoked = self.tokens.values().map(History::flips).sum();
        (revoked, self.media.values().map(|media| media.is_there.flips()).sum())
    }

    /// The origin is about to be in trouble.
    pub(crate) fn begin_trouble(&mut self) {
        self.troubles.push((now(), None));
    }

    /// It is over, but what comes of it may be seen for so long.
    pub(crate) fn end_trouble(&mut self, aftermath: Duration) {
        if let Some((_, end @ None)) = self.troubles.last_mut() {
            *end = Some(now() + aftermath);
        }
    }

    /// Whether anything asked and answered between these two may have suffered.
    pub(crate) fn was_in_trouble(&self, from: Instant, to: Instant) -> bool {
        let is_over = |end: Option<Instant>| end.is_some_and(|end| end < from);
        self.troubles.iter().any(|(begin, end)| *begin <= to && !is_over(*end))
    }
}

/// Adds the newest, and lets go of the oldest where there are too many.
fn push(picked: &mut VecDeque<String>, newest: String, most: usize) {
    picked.push_back(newest);
    if picked.len() > most {
        picked.pop_front();
    }
}

/// Bytes that are no other name's.
pub(crate) fn bytes_of(name: &str, length: usize) -> Vec<u8> {
    let fold = |seed: u64, byte: u8| (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let mut random = Random::new(name.bytes().fold(0xcbf2_9ce4_8422_2325, fold));
    let words = std::iter::repeat_with(|| random.bits().to_le_bytes());
    words.flatten().take(length).collect()
}

/// The picture that the origin makes of media, given its path's query.
pub(crate) fn thumbnail_of(media: &Media, query: &str) -> Vec<u8> {
    if let Some(thumbnail) = media.thumbnails.get(query) {
        return thumbnail.clone();
    }
    bytes_of(&format!("{} {query}", media.id), 2_000 + media.bytes.len() % 20_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history that changes from when to when, in milliseconds.
    fn history(start: Instant, flips: &[(u64, u64)]) -> History {
        let at = |millis| start + Duration::from_millis(millis);
        let mut history = History::new();
        for (begun, done) in flips {
            history.begin_flip(at(*begun));
            history.end_flip(at(*done));
        }
        history
    }

    /// Whether it was so between these two, and whether that is to be said.
    fn assert_was(history: &History, start: Instant, cases: &[(bool, u64, u64, bool)]) {
        let at = |millis| start + Duration::from_millis(millis);
        for (so, from, to, expected) in cases {
            assert_eq!(history.was_ever(*so, at(*from), at(*to)), *expected, "{so} {from} {to}");
        }
    }

    #[test]
    fn either_may_be_so_while_it_changes() {
        let start = now();
        let mut unfinished = History::new();
        unfinished.begin_flip(start + Duration::from_millis(10));
        assert_was(&unfinished, start, &[(true, 15, 15, true), (false, 15, 15, true)]);
        let cases = [
            (false, 0, 9, false),
            (false, 0, 10, true),
            (true, 20, 20, true),
            (true, 21, 29, false),
            (false, 21, 29, true),
            (true, 21, 30, true),
            (false, 40, 50, true),
            (false, 41, 50, false),
        ];
        assert_was(&history(start, &[(10, 20), (30, 40)]), start, &cases);
    }

    #[test]
    fn what_was_is_told_from_what_was_not() {
        let start = now();
        let history = history(start, &[(10, 10), (20, 20)]);
        assert!(history.is_so());
        let cases = [
            (true, 0, 5, true),
            (false, 0, 5, false),
            (false, 0, 10, true),
            (true, 11, 19, false),
            (false, 11, 19, true),
            (true, 11, 20, true),
            (false, 21, 30, false),
            (true, 21, 30, true),
        ];
        assert_was(&history, start, &cases);
    }

    #[test]
    fn bytes_differ_by_name() {
        assert_ne!(bytes_of("a", 100), bytes_of("b", 100));
        assert_eq!(bytes_of("a", 100), bytes_of("a", 100));
    }
}
