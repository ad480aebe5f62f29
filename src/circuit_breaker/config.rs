use super::Window;
use crate::{backoff::Jitter, setting::Ratio};
use std::{num::NonZeroU32, time::Duration};

/// When a circuit opens, for how long, and how it closes again. The defaults and their reasons stand in a table in the
/// [module docs](crate::circuit_breaker).
///
/// No value of it can be wrong: what could be is checked by [`Ratio`] and [`Window`] when they are made.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{circuit_breaker::{Config, Window}, setting::Ratio};
///
/// let config = Config::default()
///     .with_window(Window::time(Duration::from_secs(10), 20)?)
///     .with_failure_rate(Ratio::new(0.25)?)
///     .with_open_for(Duration::from_secs(2));
/// # Ok::<(), steadfast::setting::Invalid>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Config {
    pub(super) consecutive_failures: Option<NonZeroU32>,
    pub(super) failure_rate: Option<Ratio>,
    pub(super) slow_rate: Option<Ratio>,
    pub(super) window: Window,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    pub(super) slow: Duration,
    pub(super) count_in_flight_slow: bool,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    pub(super) open_for: Duration,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    pub(super) max_open_for: Duration,
    pub(super) jitter: Jitter,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::duration"))]
    pub(super) max_retry_after: Duration,
    pub(super) attempts: Attempts,
    pub(super) half_open_permits: NonZeroU32,
    pub(super) half_open_decision: Decision,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::optional_duration"))]
    pub(super) lease: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(with = "crate::setting::optional_duration"))]
    pub(super) ramp_up: Option<Duration>,
}

/// What becomes of the number of times that a circuit opened in a row, from which the next open period is reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Attempts {
    /// One is forgotten for each `max_open_for` that the circuit stayed closed: one that flaps stays open longer each time.
    #[default]
    Decay,
    /// All are forgotten when it closes.
    Reset,
}

/// When a half-open circuit decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Decision {
    /// As soon as the probes that are still missing can no longer change it.
    #[default]
    Early,
    /// When all of its probes have ended.
    All,
}

impl Config {
    /// A run of this many failures opens.
    pub const CONSECUTIVE_FAILURES: NonZeroU32 = nonzero(5);
    /// This share of failures in the window opens.
    pub const FAILURE_RATE: Ratio = Ratio::HALF;
    /// From this long on a call is slow.
    pub const SLOW: Duration = Duration::from_secs(5);
    /// The first open period, before jitter.
    pub const OPEN_FOR: Duration = Duration::from_secs(5);
    /// The longest open period that backoff makes.
    pub const MAX_OPEN_FOR: Duration = Duration::from_secs(60);
    /// The longest open period that a hint of the other side makes.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);
    /// Probes of a half-open circuit.
    pub const HALF_OPEN_PERMITS: NonZeroU32 = nonzero(3);

    /// Opens after a run of `n` failures; a success in between starts a new run, an overload neither adds nor ends it.
    #[must_use]
    pub const fn with_consecutive_failures(mut self, n: NonZeroU32) -> Self {
        self.consecutive_failures = Some(n);
        self
    }

    /// No run opens, however long.
    #[must_use]
    pub const fn without_consecutive_failures(mut self) -> Self {
        self.consecutive_failures = None;
        self
    }

    /// Opens when this share of the window, or more, failed.
    #[must_use]
    pub const fn with_failure_rate(mut self, rate: Ratio) -> Self {
        self.failure_rate = Some(rate);
        self
    }

    /// No failure rate opens. A half-open circuit then asks that every probe succeeds.
    #[must_use]
    pub const fn without_failure_rate(mut self) -> Self {
        self.failure_rate = None;
        self
    }

    /// Opens when this share of the window, or more, was slow. Off by default: what is slow differs too much.
    #[must_use]
    pub const fn with_slow_rate(mut self, rate: Ratio) -> Self {
        self.slow_rate = Some(rate);
        self
    }

    /// No slow rate opens.
    #[must_use]
    pub const fn without_slow_rate(mut self) -> Self {
        self.slow_rate = None;
        self
    }

    /// What the rates are taken of, and from how many calls on.
    #[must_use]
    pub const fn with_window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// From this long on a call is slow, and one that its caller drops has failed. Also without a slow rate.
    #[must_use]
    pub const fn with_slow(mut self, slow: Duration) -> Self {
        self.slow = slow;
        self
    }

    /// Whether, with a slow rate, a call counts as slow when it crosses `slow` (`true`, the default) or when it ends.
    #[must_use]
    pub const fn with_count_in_flight_slow(mut self, counts: bool) -> Self {
        self.count_in_flight_slow = counts;
        self
    }

    /// The first open period; it doubles with each time that the circuit opens again, up to [`with_max_open_for`].
    ///
    /// [`with_max_open_for`]: Self::with_max_open_for
    #[must_use]
    pub const fn with_open_for(mut self, open_for: Duration) -> Self {
        self.open_for = open_for;
        self
    }

    /// The longest open period; one below `open_for` counts as `open_for`, so that every period is the same.
    #[must_use]
    pub const fn with_max_open_for(mut self, max: Duration) -> Self {
        self.max_open_for = max;
        self
    }

    /// How chance spreads the open periods of many processes.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long a hint of the other side (`Retry-After`, gRPC pushback) may hold the circuit open at most.
    #[must_use]
    pub const fn with_max_retry_after(mut self, max: Duration) -> Self {
        self.max_retry_after = max;
        self
    }

    /// How the number of open periods in a row is forgotten.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: Attempts) -> Self {
        self.attempts = attempts;
        self
    }

    /// How many probes a half-open circuit lets through, in all and at once.
    #[must_use]
    pub const fn with_half_open_permits(mut self, permits: NonZeroU32) -> Self {
        self.half_open_permits = permits;
        self
    }

    /// When a half-open circuit decides.
    #[must_use]
    pub const fn with_half_open_decision(mut self, decision: Decision) -> Self {
        self.half_open_decision = decision;
        self
    }

    /// How long a probe may take before the circuit opens again. Without it: the longer of `open_for` and twice `slow`.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Once probes have closed it, the share of calls that go through grows from a tenth to all of them over this period, and
    /// the rest is refused. Off by default; zero is off. Nothing ramps up that is closed by hand.
    #[must_use]
    pub const fn with_ramp_up(mut self, period: Duration) -> Self {
        self.ramp_up = Some(period);
        self
    }

    /// All calls go through as soon as it is closed.
    #[must_use]
    pub const fn without_ramp_up(mut self) -> Self {
        self.ramp_up = None;
        self
    }

    /// Calls in flight are kept track of: each is looked at when it crosses `slow`.
    pub(super) const fn tracks_in_flight(&self) -> bool {
        self.count_in_flight_slow && self.slow_rate.is_some()
    }

    pub(super) fn probe_lease(&self) -> Duration {
        self.lease.unwrap_or_else(|| self.open_for.max(self.slow.saturating_mul(2)))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            consecutive_failures: Some(Self::CONSECUTIVE_FAILURES),
            failure_rate: Some(Self::FAILURE_RATE),
            slow_rate: None,
            window: Window::default(),
            slow: Self::SLOW,
            count_in_flight_slow: true,
            open_for: Self::OPEN_FOR,
            max_open_for: Self::MAX_OPEN_FOR,
            jitter: Jitter::Equal,
            max_retry_after: Self::MAX_RETRY_AFTER,
            attempts: Attempts::Decay,
            half_open_permits: Self::HALF_OPEN_PERMITS,
            half_open_decision: Decision::Early,
            lease: None,
            ramp_up: None,
        }
    }
}

const fn nonzero(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}
