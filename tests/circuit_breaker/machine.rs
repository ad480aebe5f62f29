//! The machine, told the time.

use crate::support::{SECOND, after_a_run_of, at_half_of, n};
use std::time::Duration;
use steadfast::{
    backoff::{Hint, Jitter},
    circuit_breaker::{
        Attempts, Config, Decision, Reason, State, Window,
        state::{Machine, Permit, Signal},
    },
    setting::Ratio,
};

/// A second, as the machine counts.
const S: u64 = 1_000_000_000;
const QUICK: Duration = Duration::from_millis(1);

fn call(circuit: &mut Machine, signal: Signal, now: u64) -> bool {
    match circuit.admit(now) {
        Ok(permit) => {
            circuit.record(permit, signal, None, QUICK, now);
            true
        }
        Err(_) => false,
    }
}

fn calls(circuit: &mut Machine, signal: Signal, times: u32, now: u64) {
    for _ in 0..times {
        assert!(call(circuit, signal, now));
    }
}

fn state(circuit: &mut Machine, now: u64) -> State {
    circuit.view(now).state
}

/// Open since `now`.
fn tripped(config: Config, now: u64) -> Machine {
    let mut circuit = Machine::new(config.with_consecutive_failures(n(1)), 1);
    calls(&mut circuit, Signal::Failure, 1, now);
    assert_eq!(state(&mut circuit, now), State::Open);
    circuit
}

fn failures_until_open(circuit: &mut Machine) -> u32 {
    (1..1000).find(|_| !call(circuit, Signal::Failure, 0) || state(circuit, 0) == State::Open).unwrap()
}

#[test]
fn a_window_of_ten_opens_at_the_fifth_failure_after_any_number_of_successes() {
    for successes in [10, 1000, 100_000] {
        let mut circuit = Machine::new(at_half_of(10, 10), 1);
        calls(&mut circuit, Signal::Success, successes, 0);
        assert_eq!(failures_until_open(&mut circuit), 5, "after {successes}");
    }
}

#[test]
fn a_window_of_a_hundred_opens_at_its_minimum_of_five() {
    let mut circuit = Machine::new(at_half_of(100, 5), 1);
    assert_eq!(failures_until_open(&mut circuit), 5);
}

#[test]
fn ninety_nine_of_two_hundred_are_no_half() {
    let mut circuit = Machine::new(at_half_of(200, 200), 1);
    calls(&mut circuit, Signal::Failure, 99, 0);
    calls(&mut circuit, Signal::Success, 101, 0);
    assert_eq!(state(&mut circuit, 0), State::Closed);
    // the oldest of the 200 leaves, a failure: 99 again
    calls(&mut circuit, Signal::Failure, 1, 0);
    assert_eq!((circuit.view(0).failed, state(&mut circuit, 0)), (99, State::Closed));
}

#[test]
fn a_success_that_completes_the_minimum_opens() {
    let mut circuit = Machine::new(at_half_of(10, 4), 1);
    calls(&mut circuit, Signal::Failure, 3, 0);
    calls(&mut circuit, Signal::Success, 1, 0);
    assert_eq!((state(&mut circuit, 0), circuit.view(0).reason), (State::Open, Reason::FailureRate));
}

#[test]
fn probes_farther_apart_than_the_time_window_still_close_it() {
    let window = Window::time(Duration::from_millis(200), 1).unwrap();
    let mut circuit = tripped(at_half_of(10, 10).with_window(window).with_half_open_permits(n(3)), 0);
    for probe in 0..2 {
        assert!(call(&mut circuit, Signal::Success, 10 * S + probe * S * 120));
    }
    assert_eq!(state(&mut circuit, 1000 * S), State::Closed);
}

#[test]
fn one_healthy_probe_a_minute_closes_a_half_open_circuit_of_three_permits() {
    let mut circuit = tripped(at_half_of(10, 10).with_half_open_decision(Decision::All), 0);
    for minute in 1..=3 {
        assert_ne!(state(&mut circuit, minute * 60 * S), State::Closed);
        assert!(call(&mut circuit, Signal::Success, minute * 60 * S));
    }
    assert_eq!(state(&mut circuit, 181 * S), State::Closed);
}

#[test]
fn outcomes_from_before_a_change_move_nothing() {
    let mut circuit = Machine::new(after_a_run_of(2), 1);
    let early: Vec<Permit> = (0..4).map(|_| circuit.admit(0).unwrap()).collect();
    let mut early = early.into_iter();
    calls(&mut circuit, Signal::Failure, 2, 0);
    circuit.record(early.next().unwrap(), Signal::Success, None, QUICK, 0);
    assert_eq!((state(&mut circuit, 0), circuit.view(0).stale), (State::Open, 1));

    let probe = circuit.admit(10 * S).unwrap();
    circuit.record(early.next().unwrap(), Signal::Success, None, QUICK, 10 * S);
    circuit.record(early.next().unwrap(), Signal::Failure, None, QUICK, 10 * S);
    circuit.record(early.next().unwrap(), Signal::Neutral, None, QUICK, 10 * S);
    let view = circuit.view(10 * S);
    assert_eq!((view.state, view.stale, view.probes, view.calls), (State::HalfOpen, 4, 1, 0));
    assert!(circuit.admit(10 * S).is_err(), "a stale neutral outcome gives no permit back");
    circuit.record(probe, Signal::Failure, None, QUICK, 10 * S);
    assert_eq!(state(&mut circuit, 10 * S), State::Open);
}

#[test]
fn a_hung_probe_is_replaced_and_its_late_result_ignored() {
    let mut circuit = tripped(after_a_run_of(1), 0);
    let hung = circuit.admit(10 * S).unwrap();
    assert!(circuit.admit(19 * S).is_err());
    // the lease is the longer of the open period and twice `slow`: ten seconds
    assert_eq!((state(&mut circuit, 20 * S), circuit.view(20 * S).reason), (State::Open, Reason::LeaseExpired));
    let probe = circuit.admit(30 * S).unwrap();
    circuit.record(hung, Signal::Failure, None, 21 * SECOND, 31 * S);
    circuit.record(probe, Signal::Success, None, QUICK, 31 * S);
    assert_eq!(state(&mut circuit, 31 * S), State::Closed);
}

#[test]
fn a_lease_that_ran_out_while_nobody_looked_reopened_at_its_own_time() {
    let mut circuit = tripped(after_a_run_of(1), 0);
    let _hung = circuit.admit(10 * S).unwrap();
    // open again from 20 to 30: at 31 the next call is a probe
    assert!(circuit.admit(31 * S).is_ok());
}

#[test]
fn a_slow_probe_does_not_close_what_opened_for_slowness() {
    let config = at_half_of(10, 4).with_slow_rate(Ratio::HALF).with_half_open_permits(n(2));
    let mut circuit = Machine::new(config, 1);
    for _ in 0..4 {
        let permit = circuit.admit(0).unwrap();
        circuit.record(permit, Signal::Success, None, 6 * SECOND, 0);
    }
    assert_eq!((state(&mut circuit, 0), circuit.view(0).reason), (State::Open, Reason::SlowRate));
    let probe = circuit.admit(10 * S).unwrap();
    circuit.record(probe, Signal::Success, None, 6 * SECOND, 16 * S);
    assert_eq!((state(&mut circuit, 16 * S), circuit.view(16 * S).reason), (State::Open, Reason::ProbeSlow));
}

#[test]
fn a_call_that_crossed_slow_and_then_fails_is_one_call() {
    let mut circuit = Machine::new(at_half_of(10, 4).with_slow_rate(Ratio::ALL), 1);
    let permit = circuit.admit(0).unwrap();
    let crossed = circuit.view(5 * S);
    assert_eq!((crossed.calls, crossed.slow, crossed.failed), (1, 1, 0));
    circuit.record(permit, Signal::Failure, None, 7 * SECOND, 7 * S);
    let ended = circuit.view(7 * S);
    assert_eq!((ended.calls, ended.slow, ended.failed), (1, 1, 1));
}

#[test]
fn hung_calls_open_it_while_they_hang() {
    let mut circuit = Machine::new(at_half_of(100, 10).with_slow_rate(Ratio::HALF), 1);
    let hung: Vec<_> = (0..10).map(|n| circuit.admit(n * S / 10).unwrap()).collect();
    assert_eq!(state(&mut circuit, 59 * S / 10 - 1), State::Closed);
    // the tenth crosses five seconds after it began
    let no = circuit.admit(59 * S / 10).unwrap_err();
    assert_eq!((no.state(), no.reason(), no.retry_after()), (State::Open, Reason::SlowRate, Some(10 * SECOND)));
    drop(hung);
}

#[test]
fn a_clock_that_goes_back_counts_as_standing_still() {
    let mut circuit = Machine::new(after_a_run_of(1), 1);
    calls(&mut circuit, Signal::Failure, 1, 100 * S);
    assert_eq!(circuit.admit(0).unwrap_err().retry_after(), Some(10 * SECOND));
    assert!(circuit.admit(u64::MAX).is_ok());
}

#[test]
fn open_periods_double_up_to_the_cap_and_are_forgotten_one_by_one() {
    let config = after_a_run_of(1).with_open_for(SECOND).with_max_open_for(4 * SECOND).with_attempts(Attempts::Decay);
    let mut circuit = Machine::new(config, 1);
    let mut now = 0;
    let mut periods = vec![];
    for _ in 0..4 {
        calls(&mut circuit, Signal::Failure, 1, now);
        let after = circuit.view(now).retry_after.unwrap();
        periods.push(after.as_secs());
        now += u64::try_from(after.as_nanos()).unwrap();
    }
    assert_eq!(periods, [1, 2, 4, 4]);
    // closes, and falls over at once: it goes on where it was
    calls(&mut circuit, Signal::Success, 1, now);
    calls(&mut circuit, Signal::Failure, 1, now);
    assert_eq!((circuit.view(now).attempts, circuit.view(now).retry_after), (5, Some(4 * SECOND)));
    now += 4 * S;
    calls(&mut circuit, Signal::Success, 1, now);
    // three times four seconds of health: three of five are forgotten, this is the third
    now += 12 * S;
    calls(&mut circuit, Signal::Failure, 1, now);
    assert_eq!(circuit.view(now).attempts, 3);
}

#[test]
fn jitter_stays_within_the_period_and_never_below_a_hint() {
    let config = after_a_run_of(1).with_jitter(Jitter::Equal).with_max_open_for(60 * SECOND);
    let mut seen = std::collections::HashSet::new();
    for seed in 0..200 {
        let mut circuit = Machine::new(config.clone(), seed);
        calls(&mut circuit, Signal::Failure, 1, 0);
        let after = circuit.view(0).retry_after.unwrap();
        assert!((5 * SECOND..=10 * SECOND).contains(&after), "{after:?}");
        seen.insert(after);

        let mut circuit = Machine::new(config.clone(), seed);
        let permit = circuit.admit(0).unwrap();
        circuit.record(permit, Signal::Failure, Some(Hint::AtLeast(30 * SECOND)), QUICK, 0);
        let after = circuit.view(0).retry_after.unwrap();
        assert!((30 * SECOND..=40 * SECOND).contains(&after), "{after:?}");
        seen.insert(after);
    }
    assert!(seen.len() > 390, "chance spreads them");
}

#[test]
fn a_hint_of_a_year_is_capped() {
    let mut circuit = Machine::new(after_a_run_of(1), 1);
    let permit = circuit.admit(0).unwrap();
    circuit.record(permit, Signal::Failure, Some(Hint::AtLeast(365 * 86400 * SECOND)), QUICK, 0);
    assert_eq!(circuit.view(0).retry_after, Some(Config::MAX_RETRY_AFTER));
}

#[test]
fn a_hint_on_an_earlier_failure_of_the_run_holds_too() {
    let mut circuit = Machine::new(after_a_run_of(2), 1);
    let permit = circuit.admit(0).unwrap();
    circuit.record(permit, Signal::Failure, Some(Hint::Exactly(30 * SECOND)), QUICK, 0);
    calls(&mut circuit, Signal::Failure, 1, 5 * S);
    assert_eq!(circuit.view(5 * S).retry_after, Some(25 * SECOND));
}

#[test]
fn without_a_failure_rate_one_failed_probe_reopens_and_all_have_to_succeed() {
    let config = after_a_run_of(1).with_half_open_permits(n(3));
    let mut circuit = tripped(config.clone(), 0);
    calls(&mut circuit, Signal::Success, 2, 10 * S);
    assert_eq!(state(&mut circuit, 10 * S), State::HalfOpen);
    calls(&mut circuit, Signal::Success, 1, 10 * S);
    assert_eq!(state(&mut circuit, 10 * S), State::Closed);

    let mut circuit = tripped(config, 0);
    calls(&mut circuit, Signal::Success, 1, 10 * S);
    calls(&mut circuit, Signal::Failure, 1, 10 * S);
    assert_eq!(state(&mut circuit, 10 * S), State::Open);
}

#[test]
fn the_decision_can_wait_for_all_probes() {
    let config = at_half_of(10, 10).with_half_open_permits(n(4)).with_half_open_decision(Decision::All);
    let mut circuit = tripped(config, 0);
    calls(&mut circuit, Signal::Failure, 3, 10 * S);
    assert_eq!(state(&mut circuit, 10 * S), State::HalfOpen);
    calls(&mut circuit, Signal::Success, 1, 10 * S);
    assert_eq!(state(&mut circuit, 10 * S), State::Open);
}

#[test]
fn forced_open_stays_until_its_expiry_and_late_results_do_not_move_it() {
    let mut circuit = Machine::new(after_a_run_of(1), 1);
    let late = circuit.admit(0).unwrap();
    circuit.force_open(Some(60 * SECOND), S);
    circuit.record(late, Signal::Success, None, QUICK, 2 * S);
    let no = circuit.admit(60 * S).unwrap_err();
    assert_eq!((no.state(), no.retry_after()), (State::ForcedOpen, Some(SECOND)));
    assert!(circuit.admit(61 * S).is_ok());
    assert_eq!((state(&mut circuit, 61 * S), circuit.view(61 * S).reason), (State::Closed, Reason::ManualExpired));

    circuit.force_open(None, 62 * S);
    assert_eq!(circuit.admit(u64::MAX - 1).unwrap_err().retry_after(), None);
    circuit.reset(u64::MAX - 1);
    assert_eq!(state(&mut circuit, u64::MAX - 1), State::Closed);
}

#[test]
fn a_disabled_circuit_counts_nothing() {
    let mut circuit = Machine::new(after_a_run_of(1), 1);
    circuit.disable(None, 0);
    calls(&mut circuit, Signal::Failure, 10, 0);
    let view = circuit.view(0);
    assert_eq!((view.state, view.run, view.stale), (State::Disabled, 0, 0));
}

#[test]
fn a_shadow_refuses_nobody_and_shows_what_it_would_do() {
    let mut circuit = Machine::new(after_a_run_of(2), 1);
    circuit.shadow(Some(60 * SECOND), 0);
    circuit.take_changes();
    calls(&mut circuit, Signal::Failure, 5, 0);
    let view = circuit.view(0);
    assert_eq!((view.state, view.beneath, view.refused), (State::Shadow, State::Open, 3));
    let changes = circuit.take_changes();
    assert_eq!(changes.len(), 1);
    assert!(changes[0].is_shadow() && changes[0].to() == State::Open);
    // a probe of its own, beside which others flow
    let probe = circuit.admit(10 * S).unwrap();
    let beside = circuit.admit(10 * S).unwrap();
    assert!(probe.is_counted() && !beside.is_counted());
    circuit.record(beside, Signal::Failure, None, QUICK, 10 * S);
    circuit.record(probe, Signal::Success, None, QUICK, 10 * S);
    assert_eq!(circuit.view(10 * S).beneath, State::Closed);
    assert_eq!(state(&mut circuit, 60 * S), State::Closed);
}

#[test]
fn other_settings_keep_state_window_and_attempts() {
    let mut circuit = Machine::new(at_half_of(20, 20), 1);
    calls(&mut circuit, Signal::Failure, 4, 0);
    calls(&mut circuit, Signal::Success, 6, 0);
    let in_flight = circuit.admit(0).unwrap();
    // of ten calls the newest eight stay: two failures
    circuit.configure(at_half_of(8, 8), 0);
    let view = circuit.view(0);
    assert_eq!((view.calls, view.failed, view.state), (8, 2, State::Closed));
    circuit.record(in_flight, Signal::Success, None, QUICK, 0);
    assert_eq!((circuit.view(0).failed, circuit.view(0).stale), (1, 0));

    let mut circuit = tripped(at_half_of(20, 20), 0);
    circuit.configure(at_half_of(8, 8), S);
    let view = circuit.view(S);
    assert_eq!((view.state, view.retry_after, view.attempts), (State::Open, Some(9 * SECOND), 1));
}

#[test]
fn a_time_window_of_another_length_keeps_what_it_can_hold() {
    let window = |seconds| at_half_of(10, 10).with_window(Window::time(seconds * SECOND, 100).unwrap());
    let mut circuit = Machine::new(window(10), 1);
    for second in 0..10 {
        calls(&mut circuit, Signal::Failure, 2, second * S);
    }
    circuit.configure(window(20), 9 * S);
    assert_eq!(circuit.view(9 * S).calls, 20);

    let mut circuit = Machine::new(window(10), 1);
    for second in 0..10 {
        calls(&mut circuit, Signal::Failure, 2, second * S);
    }
    circuit.configure(window(5), 9 * S);
    assert_eq!(circuit.view(9 * S).calls, 10);
}

#[test]
fn what_nobody_fetches_does_not_grow() {
    let mut circuit = Machine::new(Config::default(), 1);
    for n in 0..1000 {
        circuit.force_open(None, n);
    }
    assert_eq!(circuit.take_changes().len(), 32);
}

#[test]
fn a_permit_of_another_machine_is_stale() {
    let (mut one, mut other) = (tripped(after_a_run_of(1), 0), tripped(after_a_run_of(1), 0));
    let permit = one.admit(10 * S).unwrap();
    let probe = other.admit(11 * S).unwrap();
    other.record(permit, Signal::Success, None, QUICK, 11 * S);
    assert_eq!((other.view(11 * S).state, other.view(11 * S).stale), (State::HalfOpen, 1));
    other.record(probe, Signal::Success, None, QUICK, 11 * S);
    assert_eq!(state(&mut other, 11 * S), State::Closed);
}

#[test]
fn failures_that_end_while_it_is_open_stay_out_of_the_window() {
    let mut circuit = Machine::new(at_half_of(10, 2), 1);
    let late = circuit.admit(0).unwrap();
    calls(&mut circuit, Signal::Failure, 2, 0);
    circuit.record(late, Signal::Failure, None, QUICK, S);
    let view = circuit.view(S);
    assert_eq!((view.state, view.failed, view.stale, view.retry_after), (State::Open, 2, 1, Some(9 * SECOND)));
}
