//! Delays: capped after jitter, spread everywhere, without overflow, from one seed always the same.

use proptest::prelude::*;
use std::{collections::BTreeSet, time::Duration};
use steadfast::backoff::{Backoff, Exponential, Jitter, Random};

const JITTERS: [Jitter; 4] = [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated];
const SPREADING: [Jitter; 3] = [Jitter::Full, Jitter::Equal, Jitter::Decorrelated];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn exponential(min: Duration, max: Duration, jitter: Jitter) -> Exponential {
    Exponential::new(min, max).unwrap().with_jitter(jitter)
}

/// A thousand delays before retry `retry`, one from each stream.
fn delays(backoff: Exponential, retry: u32, previous: Duration) -> Vec<Duration> {
    let random = Random::with_seed(1);
    (0..1000).map(|_| backoff.delay(retry, previous, &mut random.stream())).collect()
}

#[test]
fn no_delay_is_above_the_cap_after_jitter() {
    for jitter in JITTERS {
        let backoff = exponential(secs(1), secs(10), jitter);
        let mut random = fastrand::Rng::with_seed(1);
        let mut previous = Duration::ZERO;
        for retry in 0..=10_000 {
            previous = backoff.delay(retry, previous, &mut random);
            assert!(previous <= secs(10), "{jitter:?} {retry}: {previous:?}");
        }
    }
}

#[test]
fn delays_stay_spread_at_the_cap() {
    for jitter in SPREADING {
        let at_the_cap = delays(exponential(secs(1), secs(10), jitter), 1000, secs(10));
        let distinct: BTreeSet<_> = at_the_cap.iter().collect();
        assert!(distinct.len() >= 990, "{jitter:?}: {}", distinct.len());
        let wide = at_the_cap.iter().max().unwrap().saturating_sub(*at_the_cap.iter().min().unwrap());
        assert!(wide > secs(4), "{jitter:?}: {wide:?}");
    }
}

#[test]
fn whole_seconds_have_jitter_below_the_second() {
    for jitter in SPREADING {
        let delays = delays(exponential(secs(1), secs(60), jitter), 1, Duration::ZERO);
        let fractions: BTreeSet<_> = delays.iter().map(Duration::subsec_nanos).collect();
        assert!(fractions.len() >= 990, "{jitter:?}: {}", fractions.len());
    }
}

#[test]
fn nothing_overflows_at_the_ends_of_the_numbers() {
    let nano = Duration::from_nanos(1);
    for jitter in JITTERS {
        for (min, max) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, Duration::MAX),
            (nano, nano),
            (nano, secs(20)),
            (nano, Duration::MAX),
            (secs(1), Duration::MAX),
            (Duration::MAX, Duration::MAX),
        ] {
            for retry in [0, 1, 2, 30, 31, 32, 33, 63, 64, 65, 95, 96, 97, 127, 128, 129, u32::MAX] {
                for previous in [Duration::ZERO, secs(1), Duration::MAX] {
                    let delay = exponential(min, max, jitter).delay(retry, previous, &mut fastrand::Rng::with_seed(7));
                    assert!(delay <= max, "{jitter:?} {min:?} {max:?} {retry} {previous:?}: {delay:?}");
                }
            }
        }
    }
}

#[test]
fn without_jitter_it_doubles_up_to_the_cap_and_stays_there() {
    let backoff = exponential(Duration::from_millis(100), secs(20), Jitter::None);
    let mut random = fastrand::Rng::with_seed(1);
    let millis: Vec<u128> = (1..=10).map(|n| backoff.delay(n, Duration::ZERO, &mut random).as_millis()).collect();
    assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 20_000]);
    for retry in [31, 32, 63, 64, 128, u32::MAX] {
        assert_eq!(backoff.delay(retry, Duration::ZERO, &mut random), secs(20), "{retry}");
    }
}

#[test]
fn a_base_of_zero_does_not_wait() {
    for jitter in [Jitter::None, Jitter::Full, Jitter::Equal] {
        assert_eq!(
            delays(exponential(Duration::ZERO, secs(20), jitter), 5, Duration::ZERO),
            vec![Duration::ZERO; 1000]
        );
    }
}

#[test]
fn a_thousand_requests_through_one_source_draw_a_thousand_delays() {
    for jitter in SPREADING {
        // with the floor of the default: what would lie below it is spread too
        let backoff = Exponential::default().with_jitter(jitter);
        let distinct: BTreeSet<_> = delays(backoff, 1, Duration::ZERO).into_iter().collect();
        assert!(distinct.len() >= 990, "{jitter:?}: {}", distinct.len());
    }
}

#[test]
fn one_seed_is_one_sequence_and_another_seed_another() {
    let draw = |seed| {
        let random = Random::with_seed(seed);
        (0..100).map(|_| random.stream().u64(..)).collect::<Vec<_>>()
    };
    assert_eq!(draw(42), draw(42));
    assert_ne!(draw(42), draw(43));
    assert_eq!(draw(42).iter().collect::<BTreeSet<_>>().len(), 100);
}

#[test]
fn two_sources_of_a_process_are_not_the_same() {
    assert_ne!(Random::new().stream().u128(..), Random::new().stream().u128(..));
}

#[test]
fn a_min_above_the_max_cannot_be_written() {
    assert!(Exponential::new(secs(2), secs(1)).is_err());
    assert!(Exponential::new(secs(1), secs(1)).is_ok());
}

proptest! {
    #[test]
    fn a_delay_lies_between_floor_and_cap(
        min: u64, more: u64, floor: u64, retry: u32, previous: u64, seed: u64, jitter in proptest::sample::select(&JITTERS[..]),
    ) {
        let (min, max) = (Duration::from_nanos(min), Duration::from_nanos(min).saturating_add(Duration::from_nanos(more)));
        let backoff = exponential(min, max, jitter).with_floor(Duration::from_nanos(floor));
        let delay = backoff.delay(retry, Duration::from_nanos(previous), &mut fastrand::Rng::with_seed(seed));
        prop_assert!(delay <= max && delay >= Duration::from_nanos(floor).min(max), "{delay:?}");
    }

    #[test]
    fn equal_jitter_keeps_half_of_the_step_and_full_may_keep_nothing(retry in 1u32..12, seed: u64) {
        let (min, max) = (Duration::from_millis(10), secs(5));
        let mut random = fastrand::Rng::with_seed(seed);
        let step = exponential(min, max, Jitter::None).delay(retry, Duration::ZERO, &mut random);
        let equal = exponential(min, max, Jitter::Equal).delay(retry, Duration::ZERO, &mut random);
        let full = exponential(min, max, Jitter::Full).delay(retry, Duration::ZERO, &mut random);
        prop_assert!(equal >= step / 2 && equal <= step);
        prop_assert!(full <= step);
    }

    #[test]
    fn decorrelated_jitter_is_at_most_three_times_the_delay_before(previous in 0u64..10_000, seed: u64) {
        let (min, max, previous) = (Duration::from_millis(10), secs(5), Duration::from_millis(previous));
        let delay = exponential(min, max, Jitter::Decorrelated).delay(3, previous, &mut fastrand::Rng::with_seed(seed));
        prop_assert!(delay >= min && delay <= (previous.max(min) * 3).min(max), "{delay:?}");
    }
}
