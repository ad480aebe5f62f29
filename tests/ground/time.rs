//! The wall clock, and the one for tests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use steadfast::{
    testing::TestClock,
    time::{Clock, SystemClock},
};

#[test]
fn a_clock_before_1970_shows_zero_milliseconds() {
    let clock = TestClock::at(UNIX_EPOCH - Duration::from_secs(1));
    assert_eq!(clock.unix_millis(), 0);
    clock.advance(Duration::from_millis(2500));
    assert_eq!(clock.unix_millis(), 1500);
}

#[test]
fn clones_and_arcs_are_the_same_clock_also_when_it_is_set_back() {
    let clock = TestClock::at(UNIX_EPOCH + Duration::from_secs(10));
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    clock.set(UNIX_EPOCH + Duration::from_secs(5));
    assert_eq!((shared.now(), shared.unix_millis()), (clock.now(), 5000));
}

#[test]
fn a_clock_stays_at_the_end_of_time() {
    let clock = TestClock::at(UNIX_EPOCH);
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), UNIX_EPOCH);
}

#[test]
fn the_system_clock_is_the_system_clock() {
    #[allow(clippy::disallowed_methods, reason = "what it is compared with")]
    let (before, now, after) = (SystemTime::now(), SystemClock.now(), SystemTime::now());
    assert!(before <= now && now <= after);
}
