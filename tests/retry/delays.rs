//! How long it waits: chance, caps, seeds.

use crate::script::{Script, get, status};
use std::{collections::HashSet, time::Duration};
use steadfast::{
    backoff::{Backoff, Exponential, Jitter, Random},
    retry::{RetryLayer, StandardPolicy},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

const JITTERS: [Jitter; 4] = [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated];
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn no_delay_is_above_the_cap_and_the_spread_stays_at_the_cap() {
    let cap = 10 * SECOND;
    for jitter in JITTERS {
        let backoff = Exponential::new(SECOND, cap).unwrap().with_jitter(jitter);
        let random = Random::with_seed(1);
        let (mut rng, mut previous, mut at_cap) = (random.stream(), Duration::ZERO, HashSet::new());
        for retry in 1..10_000 {
            let delay = backoff.delay(retry, previous, &mut rng);
            assert!(delay <= cap, "{jitter:?}: {delay:?} before retry {retry}");
            previous = delay;
            if retry > 10 {
                at_cap.insert(delay);
            }
        }
        assert_eq!(at_cap.len() > 1000, jitter != Jitter::None, "{jitter:?} has {} delays at the cap", at_cap.len());
    }
}

#[test]
fn no_number_of_a_retry_and_no_duration_overflows() {
    let mut rng = fastrand::Rng::with_seed(1);
    for jitter in JITTERS {
        for (min, max) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, Duration::MAX),
            (Duration::from_nanos(1), Duration::MAX),
            (Duration::MAX, Duration::MAX),
        ] {
            let backoff = Exponential::new(min, max).unwrap().with_jitter(jitter);
            for retry in [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, u32::MAX] {
                let delay = backoff.delay(retry, max, &mut rng);
                assert!(delay <= max);
                assert!(jitter == Jitter::Decorrelated || min != Duration::ZERO || delay == Duration::ZERO);
            }
        }
    }
    let saturated = Exponential::new(Duration::from_nanos(1), SECOND).unwrap().with_jitter(Jitter::None);
    assert_eq!(saturated.delay(u32::MAX, Duration::ZERO, &mut rng), SECOND);
}

#[test]
fn a_floor_holds_whatever_chance_says_and_even_for_a_base_of_nothing() {
    let mut rng = fastrand::Rng::with_seed(3);
    let floor = Duration::from_millis(25);
    for jitter in JITTERS {
        for base in [Duration::ZERO, Duration::from_millis(100)] {
            let backoff = Exponential::new(base, SECOND).unwrap().with_jitter(jitter).with_floor(floor);
            assert!((1..1000).all(|retry| backoff.delay(retry, Duration::ZERO, &mut rng) >= floor));
        }
    }
}

#[test]
fn a_base_of_a_whole_second_has_a_spread_below_a_second() {
    for jitter in [Jitter::Full, Jitter::Equal] {
        let backoff = Exponential::new(SECOND, 60 * SECOND).unwrap().with_jitter(jitter);
        let random = Random::with_seed(1);
        let delays: HashSet<_> =
            (0..1000).map(|_| backoff.delay(1, Duration::ZERO, &mut random.stream()).subsec_nanos()).collect();
        assert!(delays.len() >= 990, "{jitter:?}: {}", delays.len());
    }
}

/// The first waits of a thousand calls, each through another clone of the layer and of the service.
async fn first_delays(seed: u64) -> Vec<Duration> {
    let backoff = Exponential::new(SECOND, 20 * SECOND).unwrap();
    let policy = StandardPolicy::new().with_max_retries(1).with_backoff(Recording::new(backoff));
    let layer = RetryLayer::new(policy).without_budget().with_seed(seed);
    let start = DELAYS.with(|delays| delays.borrow().len());
    for _ in 0..1000 {
        let service = layer.clone().layer(Script::new([status(503), status(200)]));
        service.clone().oneshot(get()).await.unwrap();
    }
    DELAYS.with(|delays| delays.borrow()[start..].to_vec())
}

thread_local! { static DELAYS: std::cell::RefCell<Vec<Duration>> = const { std::cell::RefCell::new(Vec::new()) }; }

/// Timers tick in milliseconds: the drawn delay is seen here.
#[derive(Debug)]
struct Recording(Exponential);
impl Recording {
    fn new(backoff: Exponential) -> Self {
        Self(backoff)
    }
}
impl Backoff for Recording {
    fn delay(&self, retry: u32, previous: Duration, random: &mut fastrand::Rng) -> Duration {
        let delay = self.0.delay(retry, previous, random);
        DELAYS.with(|delays| delays.borrow_mut().push(delay));
        delay
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_through_clones_of_one_layer_wait_differently() {
    let delays = first_delays(42).await;
    let distinct: HashSet<_> = delays.iter().collect();
    assert_eq!(delays.len(), 1000);
    assert!(distinct.len() >= 990, "{} distinct", distinct.len());
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_sequence_and_another_seed_another() {
    let first = first_delays(42).await;
    assert_eq!(first, first_delays(42).await);
    assert_ne!(first, first_delays(43).await);
}

#[tokio::test(start_paused = true)]
async fn every_wait_follows_the_number_of_the_retry() {
    let backoff = Exponential::new(SECOND, 20 * SECOND).unwrap().with_jitter(Jitter::None);
    let script = Script::always(503);
    let watch = script.watch();
    let policy = StandardPolicy::new().with_max_retries(3).with_backoff(backoff);
    let start = Instant::now();
    let response = RetryLayer::new(policy).layer(script).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 503);
    let seconds: Vec<_> = watch.times(start).iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [0, 1, 3, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_decorrelated_wait_is_told_the_wait_before() {
    let backoff = Exponential::new(SECOND, 1000 * SECOND).unwrap().with_jitter(Jitter::Decorrelated);
    let script = Script::always(503);
    let watch = script.watch();
    let policy = StandardPolicy::new().with_max_retries(9).with_backoff(backoff);
    let start = Instant::now();
    let layer = RetryLayer::new(policy).with_seed(5);
    layer.layer(script).oneshot(get()).await.unwrap();
    let times = watch.times(start);
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    let tick = Duration::from_millis(1);
    assert!(waits.windows(2).all(|pair| pair[1] >= SECOND && pair[1] <= 3 * pair[0] + tick), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > 3 * SECOND + tick), "{waits:?} never used the wait before");
}
