use crate::setting::Ratio;
use std::time::Duration;

/// What a [`Budget`](super::Budget) gives: a share of all successes, something to start with, a trickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    ratio: Option<Ratio>,
    /// Millionths of a retry per success, where there is no ratio.
    share: u32,
    pub(super) start: u32,
    pub(super) most: u32,
    pub(super) trickle: Option<Duration>,
}

impl Allowance {
    /// Retries per success, in millionths, by default: one for five successes.
    const SHARE: u32 = 200_000;
    /// Hedges per success, in millionths: one for twenty successes.
    const HEDGE_SHARE: u32 = 50_000;
    /// Retries there are before anything has succeeded, by default.
    pub const START: u32 = 10;
    /// Retries that are saved at most, by default.
    pub const MOST: u32 = 100;
    /// The fastest trickle, and the default: one retry in two seconds. In a fleet every process adds its own.
    pub const TRICKLE: Duration = Duration::from_secs(2);

    /// The defaults: 20 % of successes, 10 to start with, at most 100, one in two seconds besides.
    pub const fn new() -> Self {
        Self { ratio: None, share: Self::SHARE, start: Self::START, most: Self::MOST, trickle: Some(Self::TRICKLE) }
    }

    /// Creates the defaults of a [hedge layer](super::hedge): 5 % of successes, 10 to start with, at most 10 saved, no trickle.
    ///
    /// A p95 implies 5 %. Hedges are load on top of a server that is slow already: in `tests/storm` a budget of 20 % tips a server
    /// at 89 % of its capacity, 5 % does not. Saved hedges are sent at once when a server becomes slow, so few are saved; and a
    /// trickle, which no success pays for, would add up over the processes of a fleet.
    pub const fn for_hedges() -> Self {
        Self { ratio: None, share: Self::HEDGE_SHARE, start: Self::START, most: Self::START, trickle: None }
    }

    /// Retries per success.
    #[must_use]
    pub const fn with_ratio(mut self, ratio: Ratio) -> Self {
        self.ratio = Some(ratio);
        self
    }

    /// Retries there are before anything has succeeded, and up to which the trickle fills (but at least to 2).
    #[must_use]
    pub const fn with_start(mut self, retries: u32) -> Self {
        self.start = retries;
        self
    }

    /// Retries that successes save up at most: the size of a burst. Less than the start is as much as the start.
    #[must_use]
    pub const fn with_most(mut self, retries: u32) -> Self {
        self.most = retries;
        self
    }

    /// One retry in this time, whatever succeeds, up to the start and never above the most. Faster than [`TRICKLE`](Self::TRICKLE) is as fast as that.
    #[must_use]
    pub fn with_trickle(mut self, every: Duration) -> Self {
        self.trickle = Some(every.max(Self::TRICKLE));
        self
    }

    /// Only successes pay.
    #[must_use]
    pub const fn without_trickle(mut self) -> Self {
        self.trickle = None;
        self
    }

    /// What a success pays, in millionths of a retry.
    pub(super) fn share(&self) -> i64 {
        i64::from(self.ratio.map_or(self.share, Ratio::millionths))
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new()
    }
}
