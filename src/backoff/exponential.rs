use super::Jitter;
use crate::setting::Invalid;
use std::{fmt::Debug, time::Duration};

/// From the number of the retry to a delay. Pure: it holds no timer and no state.
///
/// ```
/// use std::time::Duration;
/// use steadfast::backoff::Backoff;
///
/// #[derive(Debug)]
/// struct Constant(Duration);
/// impl Backoff for Constant {
///     fn delay(&self, _retry: u32, _previous: Duration, _random: &mut fastrand::Rng) -> Duration {
///         self.0
///     }
/// }
/// let boxed: Box<dyn Backoff> = Box::new(Constant(Duration::from_secs(1)));
/// assert_eq!(boxed.delay(3, Duration::ZERO, &mut fastrand::Rng::with_seed(1)), Duration::from_secs(1));
/// ```
pub trait Backoff: Debug + Send + Sync + 'static {
    /// How long to wait before retry `retry` (1 is the first), when the wait before it was `previous` (zero before the first).
    fn delay(&self, retry: u32, previous: Duration, random: &mut fastrand::Rng) -> Duration;
}

const _: Option<&dyn Backoff> = None;

/// Doubling from `min` up to `max`, with [`Jitter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exponential {
    min: Duration,
    max: Duration,
    floor: Duration,
    jitter: Jitter,
}

impl Exponential {
    /// First step of the default.
    pub const MIN: Duration = Duration::from_millis(100);
    /// Cap of the default.
    pub const MAX: Duration = Duration::from_secs(20);
    /// Floor of the default: under full jitter a first retry could otherwise fall on the wave that failed.
    pub const FLOOR: Duration = Duration::from_millis(25);

    /// Full jitter, and no floor; `min` is the first step, `max` caps every delay.
    ///
    /// # Errors
    /// When `min` is above `max`.
    pub fn new(min: Duration, max: Duration) -> Result<Self, Invalid> {
        if min > max {
            return Err(Invalid::new("a backoff's min is at most its max"));
        }
        Ok(Self { min, max, floor: Duration::ZERO, jitter: Jitter::Full })
    }

    /// No delay is shorter: chance draws from here on. A floor above the cap is the cap.
    #[must_use]
    pub fn with_floor(mut self, floor: Duration) -> Self {
        self.floor = floor.min(self.max);
        self
    }

    /// Another spread.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The first step, before jitter.
    pub const fn min(&self) -> Duration {
        self.min
    }

    /// The cap, after jitter.
    pub const fn max(&self) -> Duration {
        self.max
    }
}

/// 100 ms doubling to 20 s, full jitter, floor 25 ms.
impl Default for Exponential {
    fn default() -> Self {
        Self { min: Self::MIN, max: Self::MAX, floor: Self::FLOOR, jitter: Jitter::Full }
    }
}

impl Backoff for Exponential {
    fn delay(&self, retry: u32, previous: Duration, random: &mut fastrand::Rng) -> Duration {
        let (min, max, floor) = (self.min.as_nanos(), self.max.as_nanos(), self.floor.as_nanos());
        // a shift beyond the width, or one that pushes bits out, is more than any cap
        let doublings = retry.saturating_sub(1);
        let step = match min {
            0 => 0,
            _ if doublings < min.leading_zeros() => (min << doublings).min(max),
            _ => max,
        };
        let (low, high) = match self.jitter {
            Jitter::None => (step, step),
            Jitter::Full => (0, step),
            Jitter::Equal => (step / 2, step),
            Jitter::Decorrelated => (min, previous.max(self.min).as_nanos().saturating_mul(3).min(max)),
        };
        // drawn from the floor up and not lifted to it: else all that fell below it would come at the same moment
        let low = low.max(floor);
        from_nanos(random.u128(low..=high.max(low)))
    }
}

/// Nanoseconds that came out of a `Duration`, or are less.
fn from_nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(nanos % SECOND).unwrap_or_default())
}
