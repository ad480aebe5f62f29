use crate::setting::Invalid;
use std::{num::NonZeroU32, time::Duration};

#[cfg(feature = "serde")]
mod written;

/// How long the body of a request may take to arrive: the longest wait for more data, and the longest time in all.
///
/// A caller that sends the head of a request and one byte of its body would otherwise occupy a connection, a buffer and a
/// handler for as long as it likes. `VerifyLayer`, `accept()` and `IdempotencyLayer` answer 408 when one of
/// the limits is exceeded. Time counts from the first moment at which the body is not there: a body that arrives with its
/// head needs no timer.
///
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use steadfast::body::ReadTimeouts;
///
/// // mobile clients: 16 KiB per second, and nothing at all for 20 s at most
/// let slow = NonZeroU32::MIN.saturating_add(16 * 1024 - 1);
/// let timeouts = ReadTimeouts::new(Duration::from_secs(20), Duration::from_secs(60))?.with_rate(slow);
/// assert_eq!(timeouts.total_for(64 * 1024), Duration::from_secs(64));
/// # Ok::<(), steadfast::setting::Invalid>(())
/// ```
///
/// With the feature `serde` it is read from files as `{ idle = "10s", total = "30s", bytes_per_second = 65536 }`; what is not
/// there has its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "written::Written", into = "written::Written"))]
pub struct ReadTimeouts {
    idle: Duration,
    total: Duration,
    rate: NonZeroU32,
}

/// The shortest limit: a timer is not more exact than this.
const SHORTEST: Duration = Duration::from_millis(1);

impl ReadTimeouts {
    /// The default of the longest wait for more data.
    pub const IDLE: Duration = Duration::from_secs(10);
    /// The default of the longest time in all, before the time for what arrived is added.
    pub const TOTAL: Duration = Duration::from_secs(30);
    /// The default rate, in bytes per second: 64 KiB.
    pub const RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add((64 << 10) - 1);
    /// No limits: for requests whose time a layer or a proxy further out limits. [`Duration::MAX`] as one of the arguments of
    /// [`new`](Self::new) switches off that limit alone.
    pub const UNLIMITED: Self = Self { idle: Duration::MAX, total: Duration::MAX, rate: Self::RATE };

    /// Sets both limits.
    ///
    /// * `idle`: the longest wait for more data, from 1 ms. A frame without data is no progress. Default: 10 s.
    /// * `total`: the longest time for the whole body, from 1 ms; each received byte adds to it what it takes at the
    ///   [rate](Self::with_rate). Default: 30 s, and 1 s for each 64 KiB.
    ///
    /// # Errors
    /// If one of them is below 1 ms.
    pub const fn new(idle: Duration, total: Duration) -> Result<Self, Invalid> {
        if idle.as_nanos() < SHORTEST.as_nanos() || total.as_nanos() < SHORTEST.as_nanos() {
            return Err(Invalid::new("a limit for reading a body is at least 1 ms"));
        }
        Ok(Self { idle, total, rate: Self::RATE })
    }

    /// Sets the rate at which received bytes add to the total time, in bytes per second. A client that sends faster than this is
    /// never too slow in all. Default: 65,536.
    #[must_use]
    pub const fn with_rate(mut self, bytes_per_second: NonZeroU32) -> Self {
        self.rate = bytes_per_second;
        self
    }

    /// Returns the longest wait for more data.
    pub const fn idle(&self) -> Duration {
        self.idle
    }

    /// Returns the longest time for a body of which `received` bytes have arrived.
    pub fn total_for(&self, received: u64) -> Duration {
        let rate = u64::from(self.rate.get());
        // below a second, so below 1e9 times a rate of 32 bits
        let rest = received % rate * 1_000_000_000 / rate;
        let added = Duration::from_secs(received / rate).saturating_add(Duration::from_nanos(rest));
        self.total.saturating_add(added)
    }
}

impl Default for ReadTimeouts {
    fn default() -> Self {
        Self { idle: Self::IDLE, total: Self::TOTAL, rate: Self::RATE }
    }
}
