//! Every order in which two threads can meet at the gate, none left out, as far as loom's memory model goes:
//! `cargo rustc --lib --profile test --all-features -- --cfg steadfast_loom` builds these tests, `./test` runs them.

mod bodies;

use super::Gate;
use crate::circuit_breaker::{
    Config, State, View, Window,
    permit::{NO_SLOT, Permit, Signal},
    state::Machine,
};
use ::loom::{model, sync::Arc, thread};
use std::{num::NonZeroU32, time::Duration};

const SECOND: u64 = 1_000_000_000;

/// Opens after so many failures in a row, for ten seconds; one probe.
fn after(run: u32) -> Config {
    let one = NonZeroU32::MIN;
    Config::default()
        .with_consecutive_failures(NonZeroU32::new(run).unwrap_or(one))
        .without_failure_rate()
        .with_half_open_permits(one)
        .with_open_for(Duration::from_secs(10))
        .with_jitter(crate::backoff::Jitter::None)
}

fn gate(config: Config) -> Arc<Gate> {
    Arc::new(Gate::new(Machine::new(config, 7)))
}

fn leave(gate: &Gate) -> Permit {
    Permit::new(gate.flows().expect("it is closed"), NO_SLOT, 0)
}

/// A call that took no time and ended at `now`.
fn ended(gate: &Gate, permit: Permit, signal: Signal, now: u64) {
    let permit = Permit { started: now, ..permit };
    gate.record(permit, signal, None, now);
}

fn view(gate: &Gate, now: u64) -> View {
    gate.with(|machine| machine.view(now)).0
}

fn changes(gate: &Gate) -> Vec<State> {
    gate.lock().machine.take_changes().iter().map(crate::circuit_breaker::state::Change::to).collect()
}

/// Runs both at once, and waits for them.
fn at_once(one: impl FnOnce() + 'static, other: impl FnOnce() + 'static) {
    let thread = thread::spawn(one);
    other();
    thread.join().expect("it does not panic");
}

fn each(gate: &Arc<Gate>, work: impl FnOnce(&Gate) + 'static) -> impl FnOnce() + 'static {
    let gate = gate.clone();
    move || work(&gate)
}

#[test]
fn successes_are_neither_lost_nor_counted_twice() {
    model(|| {
        let gate = gate(after(5));
        let (one, other, third) = (leave(&gate), leave(&gate), leave(&gate));
        at_once(
            each(&gate, |gate| {
                ended(gate, one, Signal::Success, 1);
                ended(gate, other, Signal::Success, 1);
            }),
            each(&gate, |gate| {
                ended(gate, third, Signal::Success, 1);
                // what this thread has recorded it sees
                assert!((1..=3).contains(&view(gate, 1).calls));
            }),
        );
        let view = view(&gate, 1);
        assert_eq!((view.calls, view.failed, view.stale), (3, 0, 0));
    });
}

#[test]
fn successes_beside_failures_and_looks_add_up() {
    model(|| {
        let gate = gate(after(5));
        let (one, other, third) = (leave(&gate), leave(&gate), leave(&gate));
        at_once(
            each(&gate, |gate| {
                ended(gate, one, Signal::Success, 1);
                ended(gate, other, Signal::Failure, 1);
            }),
            each(&gate, |gate| ended(gate, third, Signal::Success, 1)),
        );
        let view = view(&gate, 1);
        assert_eq!((view.calls, view.failed, view.stale), (3, 1, 0));
        assert!(view.run <= 1);
    });
}

#[test]
fn a_success_ends_the_run_before_the_failure_that_follows_it() {
    model(|| {
        let gate = gate(after(2));
        let permits = [leave(&gate), leave(&gate), leave(&gate)];
        let other = leave(&gate);
        at_once(
            each(&gate, |gate| {
                for (permit, signal) in permits.into_iter().zip([Signal::Failure, Signal::Success, Signal::Failure]) {
                    ended(gate, permit, signal, 1);
                }
            }),
            each(&gate, |gate| ended(gate, other, Signal::Success, 1)),
        );
        let view = view(&gate, 1);
        assert_eq!((view.state, view.calls, view.failed), (State::Closed, 4, 2));
    });
}

#[test]
fn two_last_failures_open_it_once() {
    model(|| {
        let gate = gate(after(1));
        let (one, other) = (leave(&gate), leave(&gate));
        at_once(
            each(&gate, |gate| ended(gate, one, Signal::Failure, 1)),
            each(&gate, |gate| ended(gate, other, Signal::Failure, 1)),
        );
        assert_eq!(changes(&gate), [State::Open]);
        let view = view(&gate, 1);
        assert_eq!((view.state, view.calls, view.stale, view.attempts), (State::Open, 1, 1, 1));
        assert!(gate.flows().is_none());
    });
}

#[test]
fn a_success_beside_the_failure_that_opens_it_is_counted_or_stale() {
    model(|| {
        let gate = gate(after(1));
        let (one, other) = (leave(&gate), leave(&gate));
        at_once(
            each(&gate, |gate| ended(gate, one, Signal::Failure, 1)),
            each(&gate, |gate| ended(gate, other, Signal::Success, 1)),
        );
        let view = view(&gate, 1);
        assert_eq!((view.state, view.calls + view.stale, view.failed), (State::Open, 2, 1));
    });
}

#[test]
fn an_outcome_of_an_old_generation_moves_nothing() {
    model(|| {
        let gate = gate(after(1));
        let old = leave(&gate);
        at_once(
            each(&gate, |gate| {
                gate.with(|machine| machine.open(1));
                gate.with(|machine| machine.close(1));
                let new = leave(gate);
                ended(gate, new, Signal::Success, 1);
            }),
            each(&gate, |gate| ended(gate, old, Signal::Success, 1)),
        );
        let view = view(&gate, 1);
        assert_eq!((view.state, view.calls), (State::Closed, 1), "of the old one nothing is left: {view:?}");
        assert!(view.stale <= 1);
    });
}

#[test]
fn a_success_is_counted_in_its_own_bucket() {
    model(|| {
        let window = Window::time(Duration::from_secs(10), 1).expect("it is one");
        let gate = gate(after(5).with_window(window));
        let (one, other) = (leave(&gate), leave(&gate));
        at_once(
            each(&gate, |gate| ended(gate, one, Signal::Success, 0)),
            each(&gate, |gate| ended(gate, other, Signal::Success, 10 * SECOND)),
        );
        // the early one is there if it was told after the late one
        assert!((1..=2).contains(&view(&gate, 15 * SECOND).calls));
    });
}

#[test]
fn other_settings_are_those_of_every_call_that_ends_after_them() {
    model(|| {
        let gate = gate(after(5));
        let (one, other) = (leave(&gate), leave(&gate));
        at_once(
            each(&gate, |gate| {
                gate.with(|machine| machine.configure(after(5).with_slow(Duration::ZERO), 1));
                ended(gate, one, Signal::Success, 1);
            }),
            each(&gate, |gate| ended(gate, other, Signal::Success, 1)),
        );
        let view = view(&gate, 1);
        assert_eq!(view.calls, 2);
        assert!((1..=2).contains(&view.slow));
    });
}

#[test]
fn a_call_that_is_counted_after_other_settings_is_judged_by_them() {
    model(|| {
        let gate = gate(after(5));
        let permit = leave(&gate);
        let (tell, told) = std::sync::mpsc::channel();
        at_once(
            each(&gate, move |gate| {
                gate.with(|machine| machine.configure(after(5).with_slow(Duration::ZERO), 1));
                tell.send(view(gate, 1).calls).expect("somebody listens");
            }),
            each(&gate, |gate| ended(gate, permit, Signal::Success, 1)),
        );
        let (before, view) = (told.recv().expect("it was sent"), view(&gate, 1));
        assert_eq!(view.calls, 1);
        assert!(before == 1 || view.slow == 1, "it was counted after, and not as slow");
    });
}

#[test]
fn a_call_is_judged_by_the_settings_under_which_it_got_leave() {
    model(|| {
        let gate = gate(after(5));
        at_once(
            each(&gate, |gate| {
                gate.with(|machine| {
                    machine.configure(after(5).with_slow(Duration::ZERO), 1);
                    machine.open(1);
                    machine.close(1);
                });
            }),
            each(&gate, |gate| ended(gate, leave(gate), Signal::Success, 1)),
        );
        // with leave from before it is stale, or was counted in what was cleared
        let view = view(&gate, 1);
        assert_eq!(view.calls, view.slow, "{view:?}");
    });
}

#[test]
fn refusals_add_up_and_each_is_of_one_moment() {
    model(|| {
        let gate = gate(after(1));
        gate.with(|machine| machine.open_for(Duration::from_secs(10), 0));
        at_once(
            each(&gate, |gate| {
                gate.with(|machine| machine.force_open(Some(Duration::from_secs(3)), 0));
                gate.with(|machine| machine.open_for(Duration::from_secs(20), 0));
            }),
            each(&gate, |gate| {
                let refused: u64 = (0..2).map(|_| u64::from(refused_of_one_moment(gate))).sum();
                assert!(view(gate, 0).refused == refused, "this thread sees its own");
            }),
        );
    });
}

fn refused_of_one_moment(gate: &Gate) -> bool {
    let Some(rejected) = gate.refuse(|| 0) else { return false };
    let after = rejected.retry_after().map(|after| after.as_secs());
    match rejected.state() {
        State::Open => assert!(after == Some(10) || after == Some(20), "{rejected:?}"),
        _ => assert_eq!(after, Some(3), "{rejected:?}"),
    }
    true
}

#[test]
fn no_permit_of_a_half_open_circuit_is_lost_or_given_twice() {
    model(|| {
        let gate = gate(after(1));
        gate.with(|machine| machine.half_open(0));
        let probe = |gate: &Gate| {
            let (admitted, _) = gate.with(|machine| machine.admit(1));
            if let Ok(permit) = admitted {
                assert_eq!(view(gate, 1).probes, 1);
                ended(gate, Permit { started: 1, ..permit }, Signal::Dropped, 1);
            }
        };
        at_once(each(&gate, probe), each(&gate, probe));
        assert_eq!(view(&gate, 1).probes, 0);
        let (admitted, _) = gate.with(|machine| machine.admit(1));
        ended(&gate, admitted.expect("it came back"), Signal::Success, 1);
        assert_eq!(changes(&gate), [State::HalfOpen, State::Closed]);
        // and whoever passes now is of the new generation
        ended(&gate, leave(&gate), Signal::Success, 1);
        assert_eq!(view(&gate, 1).calls, 1);
    });
}
