use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// A seedable source of chance that clones of a layer share by reference, without a lock: every call of
/// [`stream`](Self::stream) gives another generator.
///
/// It is for spreading load, not for secrets.
pub struct Random {
    seed: u64,
    drawn: AtomicU64,
}

/// Two to the 64th over the golden ratio: consecutive multiples lie far apart.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// Seeded by the process: another sequence every time.
    pub fn new() -> Self {
        Self::with_seed(fastrand::u64(..))
    }

    /// The same sequence every time.
    pub const fn with_seed(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }

    /// A generator of its own: the n-th one for a seed is always the same, and no other's.
    pub fn stream(&self) -> fastrand::Rng {
        let n = self.drawn.fetch_add(1, Ordering::Relaxed);
        fastrand::Rng::with_seed(self.seed.wrapping_add(n.wrapping_add(1).wrapping_mul(STRIDE)))
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}
