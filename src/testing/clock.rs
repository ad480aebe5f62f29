use crate::time::Clock;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// A clock that stands still until it is set. Clones are the same clock.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use steadfast::{testing::TestClock, time::Clock};
///
/// let clock = TestClock::at(SystemTime::UNIX_EPOCH);
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.unix_millis(), 90_000);
/// ```
#[derive(Clone)]
pub struct TestClock {
    now: Arc<Mutex<SystemTime>>,
}

impl TestClock {
    /// A clock that shows `now`.
    pub fn at(now: SystemTime) -> Self {
        Self { now: Arc::new(Mutex::new(now)) }
    }

    /// Shows `now` from here on: also back, as a real clock may be set.
    pub fn set(&self, now: SystemTime) {
        self.update(|at| *at = now);
    }

    /// Goes forward. At the end of what a `SystemTime` holds it stays where it is.
    pub fn advance(&self, by: Duration) {
        self.update(|at| *at = at.checked_add(by).unwrap_or(*at));
    }

    fn update<T>(&self, work: impl FnOnce(&mut SystemTime) -> T) -> T {
        work(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// not derived: a mutex is locked while it is written
impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClock").field("now", &self.now()).finish()
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        self.update(|at| *at)
    }
}
