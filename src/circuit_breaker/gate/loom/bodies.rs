//! Heads and the ends of bodies.

use super::{Gate, SECOND, after, at_once, changes, each, gate, view};
use crate::circuit_breaker::{
    Config, State, Window,
    permit::{Answered, Kind, Signal},
};
use ::loom::model;
use std::{num::NonZeroU32, time::Duration};

/// A call whose head took no time, and whose body ended at `now`.
fn finished(gate: &Gate, generation: u32, signal: Signal, now: u64) {
    gate.finish(Answered::new(generation, Kind::Took(0)), signal, None, || now);
}

#[test]
fn ends_of_bodies_are_counted_once_beside_failures_and_looks() {
    model(|| {
        let gate = gate(after(5));
        let generation = gate.flows().expect("it is closed");
        at_once(
            each(&gate, move |gate| {
                finished(gate, generation, Signal::Success, 1);
                finished(gate, generation, Signal::Failure, 1);
            }),
            each(&gate, move |gate| {
                finished(gate, generation, Signal::Success, 1);
                assert!((1..=3).contains(&view(gate, 1).calls));
            }),
        );
        let view = view(&gate, 1);
        assert_eq!((view.calls, view.failed, view.stale), (3, 1, 0));
    });
}

/// Opens at half of two slow calls, each counted when it crosses one second.
fn tracked() -> Config {
    after(5)
        .with_window(Window::calls(4, 2).expect("it is one"))
        .with_slow(Duration::from_secs(1))
        .with_slow_rate(crate::setting::Ratio::HALF)
}

#[test]
fn a_tracked_circuit_counts_ends_beside_its_lock_and_loses_none() {
    model(|| {
        let gate = gate(tracked());
        let call = |gate: &Gate| {
            let permit = gate.with(|machine| machine.admit(0)).0.expect("it is closed");
            let (answered, _) = gate.head(permit, 1);
            gate.finish(answered, Signal::Success, None, || 1);
        };
        at_once(each(&gate, call), each(&gate, call));
        let view = view(&gate, 1);
        assert_eq!((view.state, view.calls, view.slow, view.stale), (State::Closed, 2, 0, 0));
    });
}

#[test]
fn a_success_that_ends_after_a_call_has_crossed_is_counted_after_it() {
    model(|| {
        let gate = gate(tracked());
        let [well, hangs] = [(); 2].map(|()| gate.with(|machine| machine.admit(0)).0.expect("it is closed"));
        let (answered, _) = gate.head(well, 1);
        at_once(
            each(&gate, move |gate| {
                gate.finish(answered, Signal::Success, None, || 2 * SECOND);
            }),
            each(&gate, |gate| {
                view(gate, 2 * SECOND);
            }),
        );
        // the call that hangs crossed first: with the good one they are two, and half of them slow
        let view = view(&gate, 2 * SECOND);
        assert_eq!((view.state, view.stale), (State::Open, 0), "{view:?}");
        assert_eq!(changes(&gate), [State::Open]);
        drop(hangs);
    });
}

#[test]
fn a_probe_that_its_head_settles_closes_it_once_beside_one_that_is_dropped() {
    model(|| {
        let gate = gate(after(1).with_half_open_permits(NonZeroU32::new(2).unwrap_or(NonZeroU32::MIN)));
        gate.with(|machine| machine.half_open(0));
        changes(&gate);
        let [one, other] = [(); 2].map(|()| gate.with(|machine| machine.admit(1)).0.expect("it has two"));
        at_once(
            each(&gate, move |gate| {
                let (answered, _) = gate.head(one, 1);
                gate.finish(answered, Signal::Success, None, || 1);
            }),
            each(&gate, move |gate| {
                let (answered, _) = gate.head(other, 1);
                gate.finish(answered, Signal::Neutral, None, || 1);
            }),
        );
        let view = view(&gate, 1);
        assert_eq!((view.state, view.probes, view.stale), (State::HalfOpen, 0, 0), "one of two is no verdict yet");
        let (third, _) = gate.with(|machine| machine.admit(1));
        let (answered, _) = gate.head(third.expect("a permit came back"), 1);
        gate.finish(answered, Signal::Success, None, || 1);
        assert_eq!(changes(&gate), [State::Closed]);
    });
}

#[test]
fn whether_a_wait_is_slow_is_answered_by_settings_of_one_moment() {
    model(|| {
        let gate = gate(after(5).with_slow(Duration::from_secs(1)));
        at_once(
            each(&gate, |gate| {
                gate.with(|machine| machine.configure(after(5).with_slow(Duration::from_secs(3)), 1));
                assert!(!gate.is_slow(2 * SECOND), "this thread has set it");
            }),
            each(&gate, |gate| {
                let slow = [gate.is_slow(2 * SECOND), gate.is_slow(2 * SECOND)];
                assert_ne!(slow, [false, true], "it does not go back");
                assert!(gate.is_slow(4 * SECOND) && !gate.is_slow(SECOND / 2));
            }),
        );
    });
}
