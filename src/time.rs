//! The wall clock, where a date has to be read or written. Waiting never uses it: waits are tokio's, which tests can pause.

use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Tells the time of day. Read only to turn dates into durations and to stamp what is stored.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time of day, now.
    fn now(&self) -> SystemTime;

    /// Milliseconds since 1970-01-01 UTC; 0 for a clock that stands before it.
    fn unix_millis(&self) -> u64 {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}
