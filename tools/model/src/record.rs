//! What was answered, in two numbers: a change of the code that should change no answer is run before
//! and after it, with one seed.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::flight::Answered;

/// How many answers there were, and a digest of them and of what they changed. The digest of several
/// sequences doesn't depend on the order in which they were played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    answers: u64,
    digest: u64,
}

impl Record {
    /// Adds the next answer of a sequence.
    pub fn add(&mut self, answered: &Answered) {
        let mut hasher = DefaultHasher::new();
        let Answered { reply, change, .. } = answered;
        (self.digest, reply.to_string(), format!("{change:?}")).hash(&mut hasher);
        (reply.is_broken, reply.is_stored).hash(&mut hasher);
        *self = Self { answers: self.answers + 1, digest: hasher.finish() };
    }

    /// Adds the record of one sequence to that of others.
    pub fn merge(&mut self, seed: u64, sequence: Self) {
        let mut hasher = DefaultHasher::new();
        (seed, sequence.digest).hash(&mut hasher);
        self.add_all(Self { digest: hasher.finish(), ..sequence });
    }

    /// Adds the record of other sequences.
    pub fn add_all(&mut self, other: Self) {
        self.answers += other.answers;
        self.digest = self.digest.wrapping_add(other.digest);
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers were right, digest {:016x}", self.answers, self.digest)
    }
}
