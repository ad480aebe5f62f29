//! What is done by hand, and settings that change under way.

use crate::support::{SECOND, after_a_run_of, at_half_of, n};
use std::time::Duration;
use steadfast::{
    circuit_breaker::{
        Decision, Reason, State,
        state::{Machine, Permit, Signal},
    },
    setting::Ratio,
};

const S: u64 = 1_000_000_000;
const QUICK: Duration = Duration::from_millis(1);

fn end(circuit: &mut Machine, permit: Permit, signal: Signal, now: u64) {
    circuit.record(permit, signal, None, QUICK, now);
}

fn call(circuit: &mut Machine, signal: Signal, now: u64) {
    let permit = circuit.admit(now).unwrap();
    end(circuit, permit, signal, now);
}

#[test]
fn a_disabled_circuit_starts_closed_and_empty_when_its_time_is_up() {
    let mut circuit = Machine::new(after_a_run_of(2), 1);
    call(&mut circuit, Signal::Failure, 0);
    circuit.disable(Some(60 * SECOND), S);
    let late = circuit.admit(2 * S).unwrap();
    for _ in 0..10 {
        call(&mut circuit, Signal::Failure, 60 * S);
    }
    assert_eq!(circuit.view(61 * S - 1).state, State::Disabled);
    let view = circuit.view(61 * S);
    assert_eq!((view.state, view.reason, view.run), (State::Closed, Reason::ManualExpired, 0));
    // one that nobody counted when it began is not counted now
    end(&mut circuit, late, Signal::Failure, 62 * S);
    assert_eq!((circuit.view(62 * S).run, circuit.view(62 * S).stale), (0, 0));
    call(&mut circuit, Signal::Failure, 62 * S);
    call(&mut circuit, Signal::Failure, 62 * S);
    assert_eq!(circuit.view(62 * S).state, State::Open);
}

#[test]
fn what_a_shadow_found_holds_when_its_time_is_up() {
    let mut circuit = Machine::new(after_a_run_of(2), 1);
    circuit.shadow(Some(5 * SECOND), 0);
    call(&mut circuit, Signal::Failure, 0);
    call(&mut circuit, Signal::Failure, 0);
    assert!(circuit.admit(5 * S - 1).is_ok(), "it refuses nobody");
    let no = circuit.admit(5 * S).unwrap_err();
    assert_eq!((no.state(), no.retry_after()), (State::Open, Some(5 * SECOND)));
}

#[test]
fn the_last_word_counts_and_the_end_of_the_one_before_does_not() {
    let mut circuit = Machine::new(after_a_run_of(2), 1);
    circuit.force_open(Some(10 * SECOND), 0);
    circuit.disable(Some(60 * SECOND), S);
    assert_eq!(circuit.view(11 * S).state, State::Disabled);
    circuit.shadow(None, 12 * S);
    assert_eq!(circuit.view(3600 * S).state, State::Shadow);
    circuit.force_open(Some(SECOND), 3600 * S);
    circuit.open_for(10 * SECOND, 3600 * S);
    // open by its own period now: at its end a probe, and not the calls of a closed one
    assert!(circuit.admit(3609 * S).is_err() && circuit.admit(3610 * S).is_ok());
    assert_eq!(circuit.view(3610 * S).state, State::HalfOpen);
}

#[test]
fn an_end_that_nobody_looked_at_has_its_own_time() {
    let mut circuit = Machine::new(after_a_run_of(2).with_slow_rate(Ratio::ALL).with_slow(SECOND), 1);
    circuit.force_open(Some(SECOND), 0);
    // the next look is an hour later: closed since the first second
    let changes = {
        circuit.view(3600 * S);
        circuit.take_changes()
    };
    let seen: Vec<_> = changes.iter().map(|change| (change.from(), change.to())).collect();
    assert_eq!(seen, [(State::Closed, State::ForcedOpen), (State::ForcedOpen, State::Closed)]);
    assert!(circuit.admit(3600 * S).is_ok());
}

#[test]
fn fewer_permits_under_way_settle_it_with_the_probes_that_there_are() {
    let mut circuit = Machine::new(after_a_run_of(2).with_half_open_permits(n(3)), 1);
    circuit.half_open(0);
    let (one, two) = (circuit.admit(0).unwrap(), circuit.admit(0).unwrap());
    circuit.configure(after_a_run_of(2).with_half_open_permits(n(1)), 0);
    let view = circuit.view(0);
    assert_eq!((view.state, view.probes), (State::HalfOpen, 2));
    assert!(circuit.admit(0).is_err());
    end(&mut circuit, one, Signal::Success, 0);
    assert_eq!(circuit.view(0).state, State::Closed);
    end(&mut circuit, two, Signal::Failure, 0);
    assert_eq!((circuit.view(0).run, circuit.view(0).stale), (0, 1));
}

#[test]
fn more_permits_under_way_let_more_probes_out() {
    let config = after_a_run_of(2).with_half_open_decision(Decision::All);
    let mut circuit = Machine::new(config.clone(), 1);
    circuit.half_open(0);
    let probe = circuit.admit(0).unwrap();
    assert!(circuit.admit(0).is_err());
    circuit.configure(config.with_half_open_permits(n(2)), 0);
    let more = circuit.admit(0).unwrap();
    end(&mut circuit, probe, Signal::Success, 0);
    assert_eq!(circuit.view(0).state, State::HalfOpen);
    end(&mut circuit, more, Signal::Success, 0);
    assert_eq!(circuit.view(0).state, State::Closed);
}

#[test]
fn calls_that_begin_before_and_end_after_a_slow_rate_is_set_are_counted_once() {
    let without = at_half_of(10, 10).with_slow(SECOND);
    let with = without.clone().with_slow_rate(Ratio::ALL);
    let mut circuit = Machine::new(without.clone(), 1);
    let untracked = circuit.admit(0).unwrap();
    circuit.configure(with, 0);
    let tracked = circuit.admit(0).unwrap();
    // only the one that is kept track of is seen to cross
    assert_eq!((circuit.view(2 * S).calls, circuit.view(2 * S).slow), (1, 1));
    circuit.configure(without, 2 * S);
    circuit.record(untracked, Signal::Success, None, 2 * SECOND, 2 * S);
    circuit.record(tracked, Signal::Success, None, 2 * SECOND, 2 * S);
    let view = circuit.view(2 * S);
    assert_eq!((view.calls, view.slow, view.stale), (2, 2, 0));
}

#[test]
fn attempts_outlive_other_settings() {
    let backoff = |max: u32| after_a_run_of(1).with_open_for(SECOND).with_max_open_for(max * SECOND);
    let mut circuit = Machine::new(backoff(4), 1);
    let mut now = 0;
    for _ in 0..3 {
        call(&mut circuit, Signal::Failure, now);
        now = now + u64::try_from(circuit.view(now).retry_after.unwrap().as_nanos()).unwrap();
    }
    circuit.configure(backoff(60), now);
    call(&mut circuit, Signal::Failure, now);
    let view = circuit.view(now);
    assert_eq!((view.attempts, view.retry_after), (4, Some(8 * SECOND)));
}
