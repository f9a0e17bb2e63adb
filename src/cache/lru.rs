//! A map of bounded weight that forgets what was used least recently.

use std::fmt;
use std::hash::RandomState;

use ::lru::LruCache;

use crate::cache::key::CacheKey;

/// The map. What is in it never weighs more than its bound.
pub struct Lru<V> {
    entries: LruCache<CacheKey, Weighted<V>, RandomState>,
    weight: u64,
    max_weight: u64,
}

struct Weighted<V> {
    value: V,
    weight: u64,
}

impl<V> Lru<V> {
    /// Returns an empty map that holds at most `max_weight`, in whatever unit its values are
    /// weighed.
    pub fn new(max_weight: u64) -> Self {
        Self { entries: LruCache::unbounded_with_hasher(RandomState::new()), weight: 0, max_weight }
    }

    /// Returns the value under `key`, which counts as used now; `None` if there is none.
    pub fn get(&mut self, key: &CacheKey) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Puts a value in place of the one before. A value that weighs more than the bound is not
    /// kept, and the one before is removed all the same.
    pub fn insert(&mut self, key: CacheKey, value: V, weight: u64) {
        self.remove(&key);
        if weight > self.max_weight {
            return;
        }
        self.weight += weight;
        self.entries.put(key, Weighted { value, weight });
        while self.weight > self.max_weight {
            let Some((_, eldest)) = self.entries.pop_lru() else { return };
            self.weight -= eldest.weight;
        }
    }

    /// Removes the value under `key`, and returns it; `None` if there was none.
    pub fn remove(&mut self, key: &CacheKey) -> Option<V> {
        let removed = self.entries.pop(key)?;
        self.weight -= removed.weight;
        Some(removed.value)
    }

    /// Removes all entries for which `should_remove` is `true`, and returns how many those were.
    pub fn remove_where(&mut self, should_remove: impl Fn(&CacheKey) -> bool) -> usize {
        let removed: Vec<_> = self
            .entries
            .iter()
            .map(|(key, _)| key)
            .filter(|key| should_remove(key))
            .cloned()
            .collect();
        for key in &removed {
            self.remove(key);
        }
        removed.len()
    }

    /// Returns what all values together weigh.
    pub fn weight(&self) -> u64 {
        self.weight
    }
}

impl<V> fmt::Debug for Lru<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lru({} of {})", self.weight, self.max_weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::Subject;
    use crate::matrix::ids::Mxc;
    use crate::matrix::media::Representation;

    fn key(number: u64) -> CacheKey {
        let mxc = Mxc::parse(&format!("mxc://example.com/{number}")).unwrap();
        CacheKey::new(&mxc.server_name, Subject::Media(&mxc, Representation::Content))
    }

    /// The same in the plainest way: a list, the least recently used first.
    #[derive(Default)]
    struct Model(Vec<(u64, u64, u64)>);

    impl Model {
        fn get(&mut self, number: u64) -> Option<u64> {
            let at = self.0.iter().position(|(key, ..)| *key == number)?;
            let entry = self.0.remove(at);
            self.0.push(entry);
            Some(entry.1)
        }

        fn insert(&mut self, number: u64, value: u64, weight: u64, bound: u64) {
            self.0.retain(|(key, ..)| *key != number);
            if weight > bound {
                return;
            }
            self.0.push((number, value, weight));
            while self.weight() > bound {
                self.0.remove(0);
            }
        }

        fn weight(&self) -> u64 {
            self.0.iter().map(|(.., weight)| weight).sum()
        }
    }

    #[test]
    fn the_cache_behaves_like_a_plain_list() {
        const BOUND: u64 = 50;
        let (mut lru, mut model) = (Lru::new(BOUND), Model::default());
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            // The constants of Knuth's MMIX generator.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for step in 0..100_000 {
            let number = random(20);
            match random(10) {
                0..4 => assert_eq!(lru.get(&key(number)).copied(), model.get(number), "{step}"),
                4..9 => {
                    let weight = random(60);
                    lru.insert(key(number), step, weight);
                    model.insert(number, step, weight, BOUND);
                }
                _ => {
                    let removed = lru.remove(&key(number)).is_some();
                    assert_eq!(removed, model.0.iter().any(|(key, ..)| *key == number));
                    model.0.retain(|(key, ..)| *key != number);
                }
            }
            assert_eq!(lru.weight(), model.weight(), "{step}");
            assert!(lru.weight() <= BOUND);
        }
    }

    #[test]
    fn entries_that_match_can_be_removed() {
        let mut lru = Lru::new(10);
        for number in 0..5 {
            lru.insert(key(number), number, 1);
        }
        let third = key(3);
        assert_eq!(lru.remove_where(|key| *key != third), 4);
        assert_eq!((lru.weight(), lru.get(&third)), (1, Some(&3)));
    }

    #[test]
    fn a_bound_of_zero_keeps_no_entry() {
        let mut lru = Lru::new(0);
        lru.insert(key(1), 1, 1);
        assert_eq!(lru.get(&key(1)), None);
    }
}
