//! What happens in a scenario, chosen by the input byte by byte; where it ends, nothing but the
//! first of each choice. Stands where the tests of the policy have numbers made from a seed.

pub(crate) struct Random<'a>(&'a [u8]);

impl<'a> Random<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    /// A number less than `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let high = if end > 256 { self.byte() << 8 } else { 0 };
        (high | self.byte()) % end
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        // Not where the input has ended.
        self.below(times) + 1 == times
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}
