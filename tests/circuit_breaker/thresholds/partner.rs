//! One call a minute; an answer takes seconds.

use super::{MINUTE, S, call, is_open, lie_within, outage, settings, spread};
use std::time::Duration;
use steadfast::{
    backoff::Hint,
    circuit_breaker::{
        Config, Reason, State,
        state::{Machine, Signal},
    },
};

fn config() -> Config {
    settings("A slow partner API")
}

/// After twenty good calls, one a minute; the next is due at the time that is given too.
fn in_use(seed: u64) -> (Machine, u64) {
    let mut circuit = Machine::new(config(), seed);
    for n in 0..20 {
        assert!(call(&mut circuit, Signal::Success, n * MINUTE));
    }
    (circuit, 20 * MINUTE)
}

/// Every second call fails, the first one too: which call opened it.
fn every_second_fails(circuit: &mut Machine, start: u64) -> Option<u64> {
    (1..100).find(|n| {
        let now = start + (n - 1) * MINUTE;
        call(circuit, if n % 2 == 1 { Signal::Failure } else { Signal::Success }, now);
        is_open(circuit, now)
    })
}

#[test]
fn the_third_failing_call_opens_it_two_minutes_after_the_first() {
    let (mut circuit, start) = in_use(1);
    for minute in 0..3 {
        let now = start + minute * MINUTE;
        assert!(!is_open(&mut circuit, now));
        assert!(call(&mut circuit, Signal::Failure, now));
    }
    let view = circuit.view(start + 2 * MINUTE);
    assert_eq!((view.state, view.reason), (State::Open, Reason::ConsecutiveFailures));
}

#[test]
fn every_second_call_failing_opens_it_at_the_sixth_call_or_at_the_nineteenth() {
    assert_eq!(every_second_fails(&mut Machine::new(config(), 1), 0), Some(6));
    let (mut circuit, start) = in_use(1);
    assert_eq!(every_second_fails(&mut circuit, start), Some(19));
    assert_eq!(circuit.view(start + 18 * MINUTE).failed, 10);
}

#[test]
fn a_window_of_ten_seconds_would_never_see_it() {
    let short = serde_json::from_str(r#"{ "time": "10s", "minimum_calls": 6 }"#).unwrap();
    let mut circuit = Machine::new(config().with_window(short), 1);
    assert_eq!(every_second_fails(&mut circuit, 0), None);
}

#[test]
fn periods_double_from_one_minute_to_ten_less_up_to_half() {
    for seed in 0..100 {
        let (periods, _) = outage(&mut Machine::new(config(), seed), MINUTE, 120 * MINUTE);
        assert!(periods.len() > 5 && lie_within(&periods, &[60, 120, 240, 480, 600]), "{periods:?}");
    }
}

#[test]
fn an_hour_away_costs_between_11_and_14_of_60_calls() {
    let reached = spread(1000, |seed| outage(&mut Machine::new(config(), seed), MINUTE, 60 * MINUTE).1);
    assert!(*reached.start() >= 11 && *reached.end() <= 14, "{reached:?}");
}

#[test]
fn one_good_probe_closes_it_and_one_bad_probe_does_not() {
    for (signal, state) in [(Signal::Success, State::Closed), (Signal::Failure, State::Open)] {
        let mut circuit = Machine::new(config(), 1);
        circuit.half_open(S);
        let probe = circuit.admit(S).unwrap();
        assert!(circuit.admit(S).is_err(), "one at a time");
        circuit.record(probe, signal, None, Duration::from_secs(8), 9 * S);
        assert_eq!(circuit.view(9 * S).state, state);
    }
}

#[test]
fn a_probe_that_hangs_for_a_minute_opens_it_again() {
    let mut circuit = Machine::new(config(), 1);
    circuit.half_open(S);
    let _hangs = circuit.admit(S).unwrap();
    assert_eq!(circuit.view(61 * S - 1).state, State::HalfOpen);
    assert_eq!((circuit.view(61 * S).state, circuit.view(61 * S).reason), (State::Open, Reason::LeaseExpired));
}

#[test]
fn a_caller_that_gives_up_after_twenty_seconds_counts_and_one_before_does_not() {
    for (seconds, run) in [(19, 0), (20, 1)] {
        let (mut circuit, now) = in_use(1);
        let permit = circuit.admit(now).unwrap();
        circuit.record(permit, Signal::Dropped, None, Duration::from_secs(seconds), now + seconds * S);
        assert_eq!(circuit.view(now + seconds * S).run, run, "after {seconds} s");
    }
}

#[test]
fn ten_answers_of_429_open_it_for_as_long_as_they_say_and_up_to_a_minute_more() {
    let five_minutes = Hint::AtLeast(Duration::from_secs(300));
    for seed in 0..100 {
        let (mut circuit, start) = in_use(seed);
        for n in 0..10 {
            let now = start + n * MINUTE;
            assert!(!is_open(&mut circuit, now));
            let permit = circuit.admit(now).unwrap();
            circuit.record(permit, Signal::Overloaded, Some(five_minutes), Duration::from_secs(1), now);
        }
        let view = circuit.view(start + 9 * MINUTE);
        assert_eq!((view.state, view.reason), (State::Open, Reason::FailureRate));
        let period = view.retry_after.unwrap().as_secs_f64();
        assert!((300.0..=360.0).contains(&period), "{period}");
    }
}
