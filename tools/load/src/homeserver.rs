//! What stands behind the Workers, as far as the load has to do with it.

use std::time::Duration;

use crate::truth::{Media, Truth, bytes_of};

const FIRST_TOKENS: usize = 16;

/// Lengths of media in bytes, some around the bounds of what is kept in memory and of what others
/// wait for; and how many there are of each. The largest that are kept in memory are more than fit
/// there, so that an isolate soon holds as much as it ever will.
const LENGTHS: [(usize, usize); 10] = [
    (1, 2),
    (200, 8),
    (3_000, 10),
    (12_000, 10),
    (40_000, 6),
    (64 * 1024, 4),
    (262_144, 110),
    (262_145, 2),
    (1_048_577, 1),
    (2_500_000, 1),
];

/// A homeserver. What it is told to do is done when the call returns.
pub(crate) trait Homeserver: Sync {
    fn url(&self) -> String;

    /// How often the Workers asked it.
    fn asked(&self) -> u64;

    /// Logs someone in, and tells the token.
    fn log_in(&self) -> String;

    fn log_out(&self, token: &str);

    /// Takes media up, at the open door too where it has one for it.
    fn add(&self, bytes: Vec<u8>, is_open: bool) -> Media;

    /// Takes up pictures, and tells their thumbnails; none where it makes them of anything.
    fn add_pictures(&self) -> Vec<Media>;

    /// Lets media be read by anyone, or by nobody.
    fn show(&self, id: &str, is_there: bool);

    /// Media as it has it now, whoever brought it.
    fn stored(&self, id: &str) -> Option<Media>;

    /// Whether it takes the signature that the load signs with.
    fn is_federated(&self) -> bool;

    /// Breaks all that is under way, without a word.
    fn crash(&self);

    /// Is gone for a while.
    fn be_gone(&self);

    /// How long after trouble what came of it may still come to light.
    fn aftermath(&self) -> Duration;
}

/// Fills a homeserver that nobody has used yet.
pub(crate) fn fill(truth: &Truth, homeserver: &dyn Homeserver) {
    for _ in 0..FIRST_TOKENS {
        let token = homeserver.log_in();
        truth.now().add_token(token);
    }
    for (length, count) in LENGTHS {
        for number in 0..count {
            let bytes = bytes_of(&format!("{length} {number}"), length);
            let media = homeserver.add(bytes, number % 2 == 0);
            truth.now().add_media(media);
        }
    }
    for picture in homeserver.add_pictures() {
        truth.now().add_media(picture);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Synapse quarantines by the hash of the bytes.
    #[test]
    fn no_two_media_have_the_same_bytes() {
        let all = LENGTHS.iter().flat_map(|(length, count)| (0..*count).map(|n| (*length, n)));
        let all: Vec<_> =
            all.map(|(length, number)| bytes_of(&format!("{length} {number}"), length)).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
