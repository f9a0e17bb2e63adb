//! Choices that are the same again for the same source.

/// Where choices come from: a seed, or the bytes that a fuzzer has made up.
#[derive(Clone, Debug)]
pub struct Random<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Seed(u64),
    Input(&'a [u8]),
}

impl<'a> Random<'a> {
    /// Numbers that look random, from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    /// What an input says byte by byte; where it ends, nothing but the first of each choice.
    pub const fn chosen_by(input: &'a [u8]) -> Self {
        Self(Source::Input(input))
    }

    /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    const fn mix(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Any number.
    pub fn bits(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => Self::mix(state),
            Source::Input(input) => u64::from_le_bytes(std::array::from_fn(|_| byte(input))),
        }
    }

    /// A number less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        match &mut self.0 {
            Source::Seed(state) => usize::try_from(Self::mix(state) >> 33).expect("31 bits") % end,
            Source::Input(input) => {
                let high = if end > 256 { usize::from(byte(input)) << 8 } else { 0 };
                (high | usize::from(byte(input))) % end
            }
        }
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        match self.0 {
            Source::Seed(_) => self.below(times) == 0,
            // Not where the input has ended.
            Source::Input(_) => self.below(times) + 1 == times,
        }
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

fn byte(input: &mut &[u8]) -> u8 {
    let Some((first, rest)) = input.split_first() else { return 0 };
    *input = rest;
    *first
}
