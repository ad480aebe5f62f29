//! 500 calls a second, each 20 ms.

use super::{MS, QUICK, S, call, is_open, lie_within, outage, settings, spread};
use std::time::Duration;
use steadfast::circuit_breaker::{
    Config, Reason, State, Window,
    state::{Machine, Signal},
};

/// Between two calls.
const EVERY: u64 = 2 * MS;

fn config() -> Config {
    settings("A busy internal API")
}

/// Calls in one bucket of the window.
const BUCKET: u64 = 200;

/// After a minute and so many calls more, all of which went well; and the time.
fn in_use(more: u64, config: Config) -> (Machine, u64) {
    let mut circuit = Machine::new(config, 1);
    for n in 0..30_000 + more {
        assert!(call(&mut circuit, Signal::Success, n * EVERY));
    }
    (circuit, (30_000 + more) * EVERY)
}

/// Offers calls of which those fail that `fails` says, until it opens: how many failed, how long it took, and why it opened.
fn until_open(more: u64, fails: impl Fn(u64) -> bool) -> (u64, Duration, Reason) {
    let (mut circuit, start) = in_use(more, config());
    let mut failed = 0;
    for n in 0..300_000 {
        let now = start + n * EVERY;
        failed += u64::from(fails(n));
        call(&mut circuit, if fails(n) { Signal::Failure } else { Signal::Success }, now);
        if is_open(&mut circuit, now) {
            return (failed, Duration::from_nanos((n + 1) * EVERY), circuit.view(now).reason);
        }
    }
    panic!("it did not open in ten minutes")
}

/// Half-open, at the moment that is given too.
fn half_open() -> (Machine, u64) {
    let mut circuit = Machine::new(config(), 1);
    circuit.half_open(S);
    (circuit, S)
}

#[test]
fn an_outage_opens_it_at_the_twentieth_failing_call() {
    let opened = until_open(0, |_| true);
    assert_eq!(opened, (20, Duration::from_millis(40), Reason::ConsecutiveFailures));
}

#[test]
fn two_of_three_instances_away_open_it_within_three_seconds() {
    for more in (0..BUCKET).step_by(10) {
        let (failed, after, reason) = until_open(more, |n| n % 3 != 0);
        assert_eq!(reason, Reason::FailureRate);
        assert!((900..=1000).contains(&failed), "{failed}");
        assert!((Duration::from_millis(2700)..=Duration::from_secs(3)).contains(&after), "{after:?}");
    }
}

#[test]
fn one_of_three_instances_away_does_not_open_it() {
    let (mut circuit, start) = in_use(0, config());
    for n in 0..300_000 {
        let signal = if n % 3 == 0 { Signal::Failure } else { Signal::Success };
        assert!(call(&mut circuit, signal, start + n * EVERY), "call {n}");
    }
}

#[test]
fn a_run_of_five_comes_by_chance_within_a_second_and_one_of_twenty_in_months() {
    // the mean number of trials until a run of n (Feller, An Introduction to Probability Theory, vol. 1, XIII.7) for p = 1/3
    let calls = |run: u32| f64::from(3_u32.pow(run) - 1) * 1.5;
    let mut random = fastrand::Rng::with_seed(1);
    let only_a_run = Config::default().without_failure_rate().with_window(Window::consecutive());
    let rounds: u32 = 2000;
    let mut made: u32 = 0;
    for _ in 0..rounds {
        let mut circuit = Machine::new(only_a_run.clone(), 1);
        while !is_open(&mut circuit, 0) {
            call(&mut circuit, if random.u32(0..3) == 0 { Signal::Failure } else { Signal::Success }, 0);
            made += 1;
        }
    }
    let mean = f64::from(made) / f64::from(rounds);
    assert!((calls(5) - 363.0).abs() < 0.1 && (mean / 363.0 - 1.0).abs() < 0.1, "{mean}");
    let days = calls(20) / 500.0 / 86_400.0;
    assert!((120.0..122.0).contains(&days), "{days}");
}

/// How many calls are on their way when it opens, where none of them ends.
fn hung(more: u64, config: Config) -> usize {
    let (mut circuit, start) = in_use(more, config);
    let mut out = Vec::new();
    let no = loop {
        match circuit.admit(start + out.len() as u64 * EVERY) {
            Ok(permit) => out.push(permit),
            Err(no) => break no,
        }
    };
    assert_eq!(no.reason(), Reason::SlowRate);
    out.len()
}

#[test]
fn calls_that_hang_open_it_while_they_hang() {
    for more in (0..BUCKET).step_by(10) {
        // one every 2 ms: 2.05 to 2.25 s
        let out = hung(more, config());
        assert!((1025..=1125).contains(&out), "{out}");
    }
}

#[test]
fn a_window_of_a_minute_lets_thirteen_times_as_many_hang() {
    for more in (0..15 * BUCKET).step_by(500) {
        let out = hung(more, config().with_window(Window::time(Duration::from_secs(60), 100).unwrap()));
        assert!((13_600..=15_150).contains(&out), "{out}");
    }
}

#[test]
fn periods_double_from_two_seconds_to_thirty_less_up_to_half() {
    for seed in 0..100 {
        let (periods, _) = outage(&mut Machine::new(config(), seed), EVERY, 120 * S);
        assert!(periods.len() > 6 && lie_within(&periods, &[2, 4, 8, 16, 30]), "{periods:?}");
    }
}

#[test]
fn the_first_period_refuses_499_to_999_calls() {
    let refused = spread(100, |seed| {
        let mut circuit = Machine::new(config(), seed);
        let opened = (0..20).map(|n| n * EVERY).inspect(|now| _ = call(&mut circuit, Signal::Failure, *now)).last();
        let opened = opened.unwrap();
        (1..2000).find(|n| circuit.admit(opened + u64::from(*n) * EVERY).is_ok()).unwrap() - 1
    });
    assert!(*refused.start() >= 499 && *refused.end() <= 999, "{refused:?}");
}

#[test]
fn ten_minutes_away_cost_between_150_and_190_calls() {
    let reached = spread(100, |seed| outage(&mut Machine::new(config(), seed), EVERY, 600 * S).1);
    assert!(*reached.start() >= 150 && *reached.end() <= 190, "{reached:?}");
}

#[test]
fn six_good_probes_of_ten_close_it() {
    let (mut circuit, now) = half_open();
    for good in 1..=6 {
        assert_eq!(circuit.view(now).state, State::HalfOpen, "before probe {good}");
        assert!(call(&mut circuit, Signal::Success, now));
    }
    assert_eq!(circuit.view(now).state, State::Closed);
}

#[test]
fn the_fifth_failed_probe_of_ten_opens_it_again() {
    let (mut circuit, now) = half_open();
    for n in 0..9 {
        assert_eq!(circuit.view(now).state, State::HalfOpen, "before probe {n}");
        assert!(call(&mut circuit, if n % 2 == 0 { Signal::Failure } else { Signal::Success }, now));
    }
    assert_eq!((circuit.view(now).state, circuit.view(now).reason), (State::Open, Reason::ProbeFailed));
}

#[test]
fn an_eleventh_call_is_refused_while_ten_probes_are_out() {
    let (mut circuit, now) = half_open();
    let probes: Vec<_> = (0..10).map(|_| circuit.admit(now).unwrap()).collect();
    assert_eq!(circuit.admit(now).unwrap_err().state(), State::HalfOpen);
    for (n, probe) in probes.into_iter().enumerate() {
        let signal = if n < 4 { Signal::Failure } else { Signal::Success };
        circuit.record(probe, signal, None, QUICK, now + 20 * MS);
    }
    // four of ten failed: less than half
    assert_eq!(circuit.view(now + 20 * MS).state, State::Closed);
}
