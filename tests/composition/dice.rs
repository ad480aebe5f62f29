//! Chance with a seed.

use std::time::Duration;

/// Draws the same sequence for the same seed.
pub(crate) struct Dice(fastrand::Rng);

impl Dice {
    /// Sequences of one seed with different `salt` differ.
    pub(crate) fn new(seed: u64, salt: u64) -> Self {
        let mut mixed = seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // splitmix64: neighbouring seeds give sequences that have nothing in common
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(fastrand::Rng::with_seed(mixed ^ (mixed >> 31)))
    }

    /// `part` of `whole` times.
    pub(crate) fn chance(&mut self, part: u64, whole: u64) -> bool {
        self.0.u64(..whole) < part
    }

    pub(crate) fn within(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.0.u64(range)
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.0.usize(..len)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    pub(crate) fn millis(&mut self, range: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }
}
