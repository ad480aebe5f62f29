//! What a circuit that closed lets through, until it trusts the other side again.

use crate::support::{SECOND, after_a_run_of, at_half_of, n, reset};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::{io, time::Duration};
use steadfast::{
    circuit_breaker::{
        Circuit, CircuitBreakerLayer, Config, Reason, State,
        state::{Machine, Signal},
    },
    error::Refused,
    registry::{Registry, Value},
    telemetry::names,
};
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

const S: u64 = 1_000_000_000;
const QUICK: Duration = Duration::from_millis(1);

fn ramping(config: Config) -> Config {
    config.with_ramp_up(20 * SECOND)
}

fn call(circuit: &mut Machine, signal: Signal, now: u64) -> bool {
    let Ok(permit) = circuit.admit(now) else { return false };
    circuit.record(permit, signal, None, QUICK, now);
    true
}

fn let_through(circuit: &mut Machine, calls: u32, now: u64) -> usize {
    (0..calls).filter(|_| call(circuit, Signal::Success, now)).count()
}

/// Closed by a good probe at ten seconds.
fn closed(config: Config) -> Machine {
    let mut circuit = Machine::new(config.with_half_open_permits(n(1)), 1);
    circuit.open_for(10 * SECOND, 0);
    assert!(call(&mut circuit, Signal::Success, 10 * S));
    assert_eq!(circuit.view(10 * S).state, State::Closed);
    circuit
}

#[test]
fn a_tenth_goes_through_at_first_half_at_half_and_all_in_the_end() {
    let mut circuit = closed(ramping(after_a_run_of(5)));
    assert_eq!(let_through(&mut circuit, 100, 10 * S), 10);
    assert_eq!(let_through(&mut circuit, 100, 20 * S), 55);
    assert_eq!(circuit.view(20 * S).ramp_up, Some(0.55));
    assert!(let_through(&mut circuit, 1000, 30 * S - 1) >= 999);
    let view = circuit.view(30 * S);
    assert_eq!((view.ramp_up, view.reason), (None, Reason::ProbesSucceeded));
    assert_eq!(let_through(&mut circuit, 1000, 30 * S), 1000);
}

#[test]
fn without_the_setting_all_go_through_at_once() {
    for config in [
        after_a_run_of(5),
        after_a_run_of(5).with_ramp_up(Duration::ZERO),
        ramping(after_a_run_of(5)).without_ramp_up(),
    ] {
        let mut circuit = closed(config);
        assert_eq!((circuit.view(10 * S).ramp_up, let_through(&mut circuit, 100, 10 * S)), (None, 100));
    }
}

#[test]
fn the_rest_is_refused_for_a_reason_of_its_own_and_asked_to_come_a_tenth_of_the_ramp_later() {
    let mut circuit = closed(ramping(after_a_run_of(5)));
    assert!(circuit.admit(10 * S).is_ok());
    let no = circuit.admit(10 * S).unwrap_err();
    assert_eq!((no.state(), no.reason(), no.retry_after()), (State::Closed, Reason::RampingUp, Some(2 * SECOND)));
    assert_eq!(no.why(), "circuit closed, the share of calls that go through is growing");
    let view = circuit.view(10 * S);
    assert_eq!((view.state, view.reason, view.refused), (State::Closed, Reason::RampingUp, 1));
    // a moment before the end it is the same wait: whoever is told "at the end" would come together with all others
    let mut late = closed(ramping(after_a_run_of(5)));
    let no = (0..1000).find_map(|_| late.admit(29 * S).err()).unwrap();
    assert_eq!(no.retry_after(), Some(2 * SECOND));
}

#[test]
fn failures_while_it_ramps_up_open_it_as_usual() {
    let mut circuit = closed(ramping(after_a_run_of(2)));
    while circuit.view(11 * S).state == State::Closed {
        call(&mut circuit, Signal::Failure, 11 * S);
    }
    let view = circuit.view(11 * S);
    assert_eq!((view.state, view.reason, view.ramp_up), (State::Open, Reason::ConsecutiveFailures, None));
    let mut circuit = closed(ramping(at_half_of(10, 4)));
    for _ in 0..60 {
        call(&mut circuit, Signal::Failure, 11 * S);
    }
    assert_eq!((circuit.view(11 * S).state, circuit.view(11 * S).reason), (State::Open, Reason::FailureRate));
    // and the next time that probes close it, it begins anew
    assert!(call(&mut circuit, Signal::Success, 1000 * S));
    assert_eq!(circuit.view(1000 * S).ramp_up, Some(0.1));
}

#[test]
fn an_outcome_from_the_ramp_counts_after_it() {
    let mut circuit = closed(ramping(after_a_run_of(1)));
    let permit = circuit.admit(29 * S).unwrap();
    circuit.record(permit, Signal::Failure, None, 2 * SECOND, 31 * S);
    assert_eq!((circuit.view(31 * S).state, circuit.view(31 * S).stale), (State::Open, 0));
}

#[test]
fn what_is_done_by_hand_ends_it() {
    for by_hand in [
        |circuit: &mut Machine| circuit.reset(11 * S),
        |circuit: &mut Machine| circuit.close(11 * S),
        |circuit: &mut Machine| circuit.disable(Some(SECOND), 11 * S),
        |circuit: &mut Machine| {
            circuit.force_open(Some(SECOND), 11 * S);
            assert_eq!(circuit.admit(11 * S).unwrap_err().state(), State::ForcedOpen);
        },
    ] {
        let mut circuit = closed(ramping(after_a_run_of(5)));
        by_hand(&mut circuit);
        assert_eq!((let_through(&mut circuit, 100, 12 * S), circuit.view(12 * S).ramp_up), (100, None));
    }
}

#[test]
fn a_shadow_refuses_nobody_and_counts_whom_the_ramp_would_have() {
    let mut circuit = closed(ramping(after_a_run_of(5)));
    circuit.shadow(Some(10 * SECOND), 10 * S);
    assert_eq!(let_through(&mut circuit, 100, 10 * S), 100);
    let view = circuit.view(10 * S);
    assert_eq!((view.state, view.beneath, view.refused, view.ramp_up), (State::Shadow, State::Closed, 90, Some(0.1)));
    // what it was beneath goes on
    assert_eq!(let_through(&mut circuit, 100, 20 * S), 55);
}

#[test]
fn other_settings_change_its_length_and_end_it() {
    let mut circuit = closed(ramping(after_a_run_of(5)));
    circuit.configure(after_a_run_of(5).with_ramp_up(40 * SECOND), 20 * S);
    assert_eq!(circuit.view(20 * S).ramp_up, Some(0.325));
    circuit.configure(after_a_run_of(5).with_ramp_up(5 * SECOND), 20 * S);
    assert_eq!((circuit.view(20 * S).ramp_up, let_through(&mut circuit, 100, 20 * S)), (None, 100));

    let mut circuit = closed(ramping(after_a_run_of(5)));
    circuit.configure(after_a_run_of(5), 11 * S);
    assert_eq!((circuit.view(11 * S).ramp_up, let_through(&mut circuit, 100, 11 * S)), (None, 100));
    // one that is closed already does not begin
    circuit.configure(ramping(after_a_run_of(5)), 12 * S);
    assert_eq!((circuit.view(12 * S).ramp_up, let_through(&mut circuit, 100, 12 * S)), (None, 100));
}

#[test]
fn a_clock_that_goes_back_leaves_it_where_it_was() {
    let mut circuit = closed(ramping(after_a_run_of(5)));
    assert_eq!(circuit.view(20 * S).ramp_up, Some(0.55));
    assert_eq!((circuit.view(0).ramp_up, let_through(&mut circuit, 100, 0)), (Some(0.55), 55));
}

#[test]
fn it_is_history_that_another_circuit_would_not_know() {
    let mut circuit = closed(ramping(after_a_run_of(5)));
    assert!(circuit.holds_history(11 * S));
    assert!(!circuit.holds_history(30 * S));
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_and_it_is_seen() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let registry = Registry::new();
    let circuit = Circuit::with_config("payments", ramping(after_a_run_of(1))).with_registry(&registry);
    let service = CircuitBreakerLayer::by_result(&circuit)
        .layer(service_fn(|fails: bool| async move { if fails { Err::<(), io::Error>(reset()) } else { Ok(()) } }));
    circuit.open_for(10 * SECOND);
    advance(10 * SECOND).await;
    service.clone().oneshot(false).await.unwrap();
    let mut refused = 0;
    for _ in 0..20 {
        if let Err(error) = service.clone().oneshot(false).await {
            assert_eq!(Refused::find(&*error).unwrap().retry_after(), Some(2 * SECOND));
            refused += 1;
        }
    }
    assert_eq!(refused, 18);
    let view = circuit.snapshot().view;
    assert_eq!(
        (view.state, view.reason, view.ramp_up, view.refused),
        (State::Closed, Reason::RampingUp, Some(0.1), 18)
    );
    let state = registry.snapshot().remove(0).state;
    assert!(state.contains(&("reason", Value::Text("ramping_up".into()))), "{state:?}");
    assert!(state.contains(&("ramp_up", Value::Number(0.1))), "{state:?}");
    let count = seen.snapshot().into_vec().into_iter().find_map(|(key, _, _, value)| {
        let closed = key.key().labels().any(|label| (label.key(), label.value()) == ("state", "closed"));
        (key.key().name() == names::CIRCUIT_REFUSED && closed).then_some(value)
    });
    assert_eq!(count, Some(DebugValue::Counter(18)));
    // after it nothing is asked any more, and all go through
    advance(20 * SECOND).await;
    for _ in 0..100 {
        service.clone().oneshot(false).await.unwrap();
    }
    let _ = service.clone().oneshot(true).await;
    assert_eq!(circuit.state(), State::Open);
}
