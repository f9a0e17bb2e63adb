//! What is true, and what was when: tokens, media, and whether the origin can be reached.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use test_support::time::now;

use crate::random::Random;

pub(crate) const SERVER_NAME: &str = "example.com";

/// How long after trouble a connection that it broke may still come to light.
const AFTERMATH: Duration = Duration::from_secs(1);

/// How many tokens there are that can be picked, of which some are no good any more.
const PICKED_TOKENS: usize = 24;
const FIRST_TOKENS: usize = 16;

/// Half of all readings are of so few media.
const POPULAR_MEDIA: usize = 8;

/// Lengths of media in bytes, some around the bounds of what is kept in memory and of what others
/// wait for; and how many there are of each.
const LENGTHS: [(usize, usize); 10] = [
    (1, 2),
    (200, 8),
    (3_000, 10),
    (12_000, 10),
    (40_000, 6),
    (64 * 1024, 4),
    (262_144, 2),
    (262_145, 2),
    (1_048_577, 1),
    (2_500_000, 1),
];

/// How many uploads there are to be picked beside these.
const PICKED_UPLOADS: usize = 40;

/// Something that is so or not, and since when.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// When it began to be so, and ceased to, in turn.
    flips: Vec<Instant>,
}

impl History {
    /// It is so from the beginning on.
    fn new() -> Self {
        Self { flips: Vec::new() }
    }

    pub(crate) fn is_so(&self) -> bool {
        self.flips.len().is_multiple_of(2)
    }

    pub(crate) fn flip(&mut self, at: Instant) {
        self.flips.push(at);
    }

    /// Whether it ever was `so` between these two, both included.
    pub(crate) fn was_ever(&self, so: bool, from: Instant, to: Instant) -> bool {
        let before = self.flips.iter().filter(|at| **at < from).count();
        let flipped_between = self.flips.get(before).is_some_and(|at| *at <= to);
        before.is_multiple_of(2) == so || flipped_between
    }
}

/// Media as the origin has it.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    pub(crate) id: String,
    pub(crate) bytes: Arc<[u8]>,
    /// Whether it is at the open door.
    pub(crate) is_legacy: bool,
    /// Whether it may be read by anyone.
    pub(crate) is_there: History,
}

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
    picked_uploads: VecDeque<String>,
    troubles: Vec<(Instant, Option<Instant>)>,
    created: usize,
}

impl Truth {
    pub(crate) fn new() -> Self {
        let mut state = State {
            tokens: BTreeMap::new(),
            media: BTreeMap::new(),
            picked_tokens: VecDeque::new(),
            picked_media: Vec::new(),
            picked_uploads: VecDeque::new(),
            troubles: Vec::new(),
            created: 0,
        };
        for _ in 0..FIRST_TOKENS {
            state.log_in();
        }
        for (length, count) in LENGTHS {
            for number in 0..count {
                let bytes = bytes_of(&format!("{length} {number}"), length);
                let id = state.add(bytes, number % 2 == 0);
                state.picked_media.push(id);
            }
        }
        Self { state: Mutex::new(state) }
    }

    /// A reader that fell over has said so already.
    pub(crate) fn now(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn log_in(&mut self) {
        self.created += 1;
        let token = format!("syt_{}", self.created);
        self.tokens.insert(token.clone(), History::new());
        push(&mut self.picked_tokens, token, PICKED_TOKENS);
    }

    /// Takes up media, and tells its ID.
    pub(crate) fn add(&mut self, bytes: Vec<u8>, is_legacy: bool) -> String {
        self.created += 1;
        let id = format!("media{}", self.created);
        let media =
            Media { id: id.clone(), bytes: bytes.into(), is_legacy, is_there: History::new() };
        self.media.insert(id.clone(), media);
        id
    }

    /// Lets what was uploaded be picked.
    pub(crate) fn offer(&mut self, id: String) {
        push(&mut self.picked_uploads, id, PICKED_UPLOADS);
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

    /// The origin is about to be in trouble.
    pub(crate) fn begin_trouble(&mut self) {
        self.troubles.push((now(), None));
    }

    pub(crate) fn end_trouble(&mut self) {
        if let Some((_, end @ None)) = self.troubles.last_mut() {
            *end = Some(now());
        }
    }

    /// Whether anything asked and answered between these two may have suffered.
    pub(crate) fn was_in_trouble(&self, from: Instant, to: Instant) -> bool {
        let is_over = |end: Option<Instant>| end.is_some_and(|end| end + AFTERMATH < from);
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
    let words = std::iter::repeat_with(|| random.next().to_le_bytes());
    words.flatten().take(length).collect()
}

/// The picture that the origin makes of media, given its path's query.
pub(crate) fn thumbnail_of(media: &Media, query: &str) -> Vec<u8> {
    bytes_of(&format!("{} {query}", media.id), 2_000 + media.bytes.len() % 20_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_is_told_from_what_was_not() {
        let start = now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut history = History::new();
        history.flip(at(10));
        history.flip(at(20));
        assert!(history.is_so());
        for (so, from, to, expected) in [
            (true, 0, 5, true),
            (false, 0, 5, false),
            (false, 0, 10, true),
            (true, 11, 19, false),
            (false, 11, 19, true),
            (true, 11, 20, true),
            (false, 21, 30, false),
            (true, 21, 30, true),
        ] {
            assert_eq!(history.was_ever(so, at(from), at(to)), expected, "{so} {from} {to}");
        }
    }

    #[test]
    fn bytes_differ_by_name() {
        assert_ne!(bytes_of("a", 100), bytes_of("b", 100));
        assert_eq!(bytes_of("a", 100), bytes_of("a", 100));
    }
}
