//! The time of a call ends with the head of its response: the machine, step by step.

use crate::support::{SECOND, after_a_run_of, at_half_of, n};
use proptest::prelude::*;
use std::{collections::VecDeque, time::Duration};
use steadfast::{
    circuit_breaker::{
        Config, State, Window,
        state::{Answered, Machine, Permit, Signal},
    },
    setting::Ratio,
};

const S: u64 = 1_000_000_000;

fn admit(machine: &mut Machine, now: u64) -> Permit {
    machine.admit(now).unwrap()
}

/// The head of a call, at `now`.
fn head(machine: &mut Machine, permit: Permit, now: u64) -> Answered {
    let took = Duration::from_nanos(now - permit.started());
    machine.head(permit, took, now)
}

/// Half of the calls slow opens, from four on; a call is slow from 5 s on.
fn slow_rate() -> Config {
    at_half_of(8, 4).without_failure_rate().with_slow_rate(Ratio::HALF).with_slow(5 * SECOND)
}

fn half_open(config: Config) -> Machine {
    let mut machine = Machine::new(config, 1);
    machine.half_open(0);
    machine.take_changes();
    machine
}

#[test]
fn a_call_whose_body_lasts_for_an_hour_is_not_slow() {
    for in_flight in [false, true] {
        let mut machine = Machine::new(slow_rate().with_count_in_flight_slow(in_flight), 1);
        let calls: Vec<Answered> = (0..8)
            .map(|_| {
                let permit = admit(&mut machine, 0);
                head(&mut machine, permit, S)
            })
            .collect();
        assert_eq!(machine.view(3600 * S).calls, 0, "none has ended");
        for call in calls {
            machine.finish(call, Signal::Success, None, 3600 * S);
        }
        let view = machine.view(3600 * S);
        assert_eq!((view.state, view.calls, view.slow, view.failed), (State::Closed, 8, 0, 0));
    }
}

#[test]
fn a_call_whose_head_was_slow_is_slow_once_whatever_its_body_does() {
    for in_flight in [false, true] {
        for (signal, failed) in [(Signal::Success, 0), (Signal::Failure, 1)] {
            let mut machine = Machine::new(slow_rate().with_count_in_flight_slow(in_flight), 1);
            let permit = admit(&mut machine, 0);
            let call = head(&mut machine, permit, 6 * S);
            assert_eq!(
                machine.view(6 * S).slow,
                u64::from(in_flight),
                "it has crossed by then, if it is kept track of"
            );
            machine.finish(call, signal, None, 100 * S);
            let view = machine.view(100 * S);
            assert_eq!((view.calls, view.slow, view.failed), (1, 1, failed));
            assert_eq!(u64::from(view.run), failed);
        }
    }
}

#[test]
fn another_window_is_not_amended_by_a_call_that_was_counted_in_the_one_before() {
    let mut machine = Machine::new(slow_rate(), 1);
    let permit = admit(&mut machine, 0);
    let call = head(&mut machine, permit, 6 * S);
    let other = slow_rate().with_window(Window::time(100 * SECOND, 4).unwrap());
    machine.configure(other, 6 * S);
    let well = admit(&mut machine, 7 * S);
    machine.record(well, Signal::Success, None, SECOND, 8 * S);
    machine.finish(call, Signal::Failure, None, 9 * S);
    let view = machine.view(9 * S);
    assert_eq!((view.calls, view.failed, view.run), (1, 0, 1), "it ends the run of successes all the same");
}

#[test]
fn what_is_neutral_after_its_head_counts_for_nothing() {
    for signal in [Signal::Neutral, Signal::Dropped] {
        let mut machine = Machine::new(after_a_run_of(1).with_slow(5 * SECOND), 1);
        let permit = admit(&mut machine, 0);
        let call = head(&mut machine, permit, 7 * S);
        machine.finish(call, signal, None, 60 * S);
        assert_eq!((machine.view(60 * S).state, machine.view(60 * S).run), (State::Closed, 0));
    }
}

#[test]
fn a_probe_with_a_head_gives_its_permit_back_at_the_end_of_its_lease_and_reopens_nothing() {
    let mut machine = half_open(at_half_of(8, 4).with_half_open_permits(n(2)).with_lease(10 * SECOND));
    let (first, second) = (admit(&mut machine, 0), admit(&mut machine, S));
    // heads arrive in another order
    let second = head(&mut machine, second, 2 * S);
    let first = head(&mut machine, first, 3 * S);
    assert!(machine.admit(9 * S).is_err());
    let third = admit(&mut machine, 10 * S);
    assert!(machine.admit(10 * S).is_err(), "only the first one's lease has ended");
    assert_eq!((machine.view(11 * S).state, machine.view(11 * S).probes), (State::HalfOpen, 1));
    machine.record(third, Signal::Neutral, None, SECOND, 12 * S);
    // a late success is as good as any
    machine.finish(first, Signal::Success, None, 3600 * S);
    assert_eq!(machine.view(3600 * S).state, State::HalfOpen);
    machine.finish(second, Signal::Success, None, 3600 * S);
    assert_eq!(machine.view(3600 * S).state, State::Closed);
}

#[test]
fn a_probe_without_a_head_reopens_at_the_end_of_its_lease_whatever_others_do() {
    let mut machine = half_open(at_half_of(8, 4).with_half_open_permits(n(3)).with_lease(10 * SECOND));
    let (first, second) = (admit(&mut machine, 0), admit(&mut machine, S));
    let first = head(&mut machine, first, 2 * S);
    assert_eq!(machine.view(11 * S - 1).state, State::HalfOpen);
    assert_eq!(machine.view(11 * S).state, State::Open);
    machine.finish(first, Signal::Success, None, 12 * S);
    machine.record(second, Signal::Success, None, 11 * SECOND, 12 * S);
    assert_eq!((machine.view(12 * S).state, machine.view(12 * S).stale), (State::Open, 2));
}

#[test]
fn a_body_that_fails_after_its_lease_fails_the_probe() {
    let mut machine = half_open(at_half_of(8, 4).with_half_open_permits(n(1)).with_lease(10 * SECOND));
    let permit = admit(&mut machine, 0);
    let call = head(&mut machine, permit, S);
    assert_eq!(machine.view(20 * S).state, State::HalfOpen);
    machine.finish(call, Signal::Failure, None, 30 * S);
    assert_eq!(machine.view(30 * S).state, State::Open);
}

#[test]
fn a_probe_is_as_slow_as_its_head() {
    let config = slow_rate().with_half_open_permits(n(1)).with_lease(100 * SECOND);
    for in_flight in [false, true] {
        for (at, state) in [(4, State::Closed), (6, State::Open)] {
            let mut machine = half_open(config.clone().with_count_in_flight_slow(in_flight));
            let permit = admit(&mut machine, 0);
            let call = head(&mut machine, permit, at * S);
            machine.finish(call, Signal::Success, None, 50 * S);
            assert_eq!(machine.view(50 * S).state, state, "a head after {at} s, in flight: {in_flight}");
        }
    }
}

#[test]
fn calls_that_are_not_counted_have_heads_too() {
    let mut machine = Machine::new(after_a_run_of(1), 1);
    machine.disable(None, 0);
    let permit = admit(&mut machine, 0);
    let disabled = head(&mut machine, permit, S);
    machine.finish(disabled, Signal::Failure, None, 2 * S);
    machine.reset(2 * S);
    machine.shadow(None, 2 * S);
    machine.half_open(2 * S);
    machine.shadow(None, 2 * S);
    let probe = admit(&mut machine, 3 * S);
    let beyond = admit(&mut machine, 3 * S);
    assert!(probe.is_counted() && !beyond.is_counted());
    let (probe, beyond) = (head(&mut machine, probe, 4 * S), head(&mut machine, beyond, 4 * S));
    machine.finish(beyond, Signal::Failure, None, 5 * S);
    assert_eq!(machine.view(5 * S).beneath, State::HalfOpen);
    machine.finish(probe, Signal::Success, None, 5 * S);
    assert_eq!((machine.view(5 * S).beneath, machine.view(5 * S).stale), (State::Closed, 0));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Admit,
    Head(u8),
    Finish(u8, Signal),
    Record(u8, Signal),
    Configure(u8),
    HalfOpen,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let signal = || {
        prop_oneof![
            5 => Just(Signal::Success),
            2 => Just(Signal::Failure),
            1 => Just(Signal::Neutral),
            1 => Just(Signal::Dropped),
        ]
    };
    let step = prop_oneof![
        8 => Just(Step::Admit),
        8 => any::<u8>().prop_map(Step::Head),
        6 => (any::<u8>(), signal()).prop_map(|(which, signal)| Step::Finish(which, signal)),
        2 => (any::<u8>(), signal()).prop_map(|(which, signal)| Step::Record(which, signal)),
        1 => any::<u8>().prop_map(Step::Configure),
        1 => Just(Step::HalfOpen),
    ];
    prop::collection::vec((0_u64..3000, step), 1..150)
}

fn any_config(which: u8) -> Config {
    let config = at_half_of(10, 4).with_half_open_permits(n(3)).with_lease(8 * SECOND).with_slow(2 * SECOND);
    let config = if which & 1 == 0 { config } else { config.with_slow_rate(Ratio::HALF) };
    let config = config.with_count_in_flight_slow(which & 2 == 0);
    match which & 0b1100 {
        0 => config,
        4 => config.with_window(Window::calls(30, 9).unwrap()),
        8 => config.with_window(Window::time(20 * SECOND, 4).unwrap()),
        _ => config.with_window(Window::consecutive()).with_consecutive_failures(n(3)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_sequence_of_heads_and_ends_wedges_it(first in any::<u8>(), steps in steps()) {
        let mut machine = Machine::new(any_config(first), 3);
        let (mut now, mut permits, mut answered) = (0, VecDeque::new(), VecDeque::new());
        let take = |which: u8, len: usize| (len > 0).then(|| usize::from(which) % len);
        for (wait, step) in steps {
            now += wait * 1_000_000;
            match step {
                Step::Admit => permits.extend(machine.admit(now).ok()),
                Step::Head(which) => if let Some(at) = take(which, permits.len()) {
                    let permit = permits.remove(at).unwrap();
                    answered.push_back(head(&mut machine, permit, now));
                },
                Step::Finish(which, signal) => if let Some(at) = take(which, answered.len()) {
                    machine.finish(answered.remove(at).unwrap(), signal, None, now);
                },
                Step::Record(which, signal) => if let Some(at) = take(which, permits.len()) {
                    let permit: Permit = permits.remove(at).unwrap();
                    let took = Duration::from_nanos(now - permit.started());
                    machine.record(permit, signal, None, took, now);
                },
                Step::Configure(which) => machine.configure(any_config(which), now),
                Step::HalfOpen => machine.half_open(now),
            }
            let view = machine.view(now);
            prop_assert!(view.failed <= view.calls && view.slow <= view.calls, "{view:?}");
            prop_assert!(view.probes <= 3);
        }
        // whatever is out stays out: within two leases and an open period it lets a call through
        let mut later = now;
        let through = (0..60).any(|_| { later += S; machine.admit(later).is_ok() });
        prop_assert!(through, "{:?}", machine.view(later));
        // and good heads that nobody reads close it
        for _ in 0..60 {
            later += S;
            if let Ok(permit) = machine.admit(later) {
                let call = head(&mut machine, permit, later);
                machine.finish(call, Signal::Success, None, later);
            }
        }
        prop_assert_eq!(machine.view(later).state, State::Closed);
    }
}
