//! What can be seen of a circuit.

use crate::support::{SECOND, after_a_run_of, at_half_of, n, reset};
use metrics_util::{
    CompositeKey,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Barrier, Mutex},
    thread,
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, State},
    classify::ByResult,
    setting::Ratio,
    telemetry::names,
};
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};

fn label(key: &CompositeKey, name: &str) -> Option<String> {
    key.key().labels().find(|label| label.key() == name).map(|label| label.value().to_owned())
}

/// The series of one metric, by the value of its label.
fn series(snapshotter: &Snapshotter, metric: &str, by: &str) -> Vec<(String, DebugValue)> {
    let all = snapshotter.snapshot().into_vec().into_iter();
    let mut found: Vec<_> = all
        .filter(|(key, ..)| key.key().name() == metric && label(key, "name").as_deref() == Some("payments"))
        .map(|(key, _, _, value)| (label(&key, by).unwrap(), value))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn at_one(snapshotter: &Snapshotter) -> Vec<String> {
    let gauges = series(snapshotter, names::CIRCUIT_STATE, "state");
    assert_eq!(gauges.len(), 6);
    gauges.into_iter().filter(|(_, value)| *value == DebugValue::Gauge(1.0.into())).map(|(state, _)| state).collect()
}

async fn obey(fails: bool) -> Result<(), io::Error> {
    if fails { Err(reset()) } else { Ok(()) }
}

#[tokio::test(start_paused = true)]
async fn exactly_one_gauge_is_at_one_also_before_the_first_change() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(obey));
    assert_eq!(at_one(&seen), ["closed"]);
    let _ = service.clone().oneshot(true).await;
    assert_eq!(at_one(&seen), ["open"]);
    advance(10 * SECOND).await;
    let probe = service.clone().ready().await.unwrap().call(false);
    assert_eq!(at_one(&seen), ["half_open"]);
    probe.await.unwrap();
    assert_eq!(at_one(&seen), ["closed"]);
    circuit.force_open(None);
    assert_eq!(at_one(&seen), ["forced_open"]);
    circuit.shadow(None);
    let _ = service.clone().oneshot(true).await;
    assert_eq!(at_one(&seen), ["shadow"]);
    circuit.reset();
    assert_eq!(at_one(&seen), ["closed"]);
}

#[tokio::test(start_paused = true)]
async fn calls_refusals_and_changes_are_counted() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let circuit = Circuit::with_config("payments", after_a_run_of(2));
    let service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(obey));
    for fails in [false, true, true, false, false] {
        let _ = service.clone().oneshot(fails).await;
    }
    // a snapshot takes the counters with it: one for all three
    let all = seen.snapshot().into_vec();
    let count = |metric: &str, by: &str, value: &str| {
        all.iter().find(|(key, ..)| key.key().name() == metric && label(key, by).as_deref() == Some(value)).map(
            |(.., value)| match value {
                DebugValue::Counter(n) => *n,
                _ => panic!("{metric} is no counter"),
            },
        )
    };
    assert_eq!(count(names::CIRCUIT_CALLS, "outcome", "success"), Some(1));
    assert_eq!(count(names::CIRCUIT_CALLS, "outcome", "transient"), Some(2));
    assert_eq!(count(names::CIRCUIT_REFUSED, "state", "open"), Some(2));
    assert_eq!(count(names::CIRCUIT_TRANSITIONS, "reason", "consecutive_failures"), Some(1));
}

/// The counter of one metric for each value of its label, out of a snapshot, which takes the counters with it.
fn counted(all: &[(CompositeKey, DebugValue)], metric: &str, by: &str) -> BTreeMap<String, u64> {
    let of_metric = all.iter().filter(|(key, _)| key.key().name() == metric);
    let counter = |value: &DebugValue| match value {
        DebugValue::Counter(n) => *n,
        _ => panic!("{metric} is no counter"),
    };
    of_metric.map(|(key, value)| (label(key, by).unwrap(), counter(value))).collect()
}

fn map<const N: usize>(pairs: [(&str, u64); N]) -> BTreeMap<String, u64> {
    pairs.into_iter().map(|(key, n)| (key.to_owned(), n)).collect()
}

#[tokio::test(start_paused = true)]
async fn every_reason_every_kind_of_refusal_and_every_outcome_has_its_count() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let circuit = Circuit::with_config("payments", after_a_run_of(2));
    let service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(|(fails, takes)| async move {
        sleep(takes).await;
        obey(fails).await
    }));
    let send = |fails: bool, takes: Duration| service.clone().oneshot((fails, takes));
    let quick = Duration::from_millis(1);

    // two failures in a row; open refuses one
    for _ in 0..3 {
        send(true, quick).await.unwrap_err();
    }
    // a probe that fails
    advance(10 * SECOND).await;
    send(true, quick).await.unwrap_err();
    // a probe that hangs until its lease ends, beside which one is refused
    advance(10 * SECOND).await;
    let mut hangs = service.clone();
    let hangs = hangs.ready().await.unwrap().call((false, 3600 * SECOND));
    send(false, quick).await.unwrap_err();
    advance(10 * SECOND).await;
    assert_eq!(circuit.state(), State::Open);
    drop(hangs);
    // a good one
    advance(10 * SECOND).await;
    send(false, quick).await.unwrap();

    // the failure rate, then a probe that is slow
    circuit.configure(at_half_of(4, 2).with_slow_rate(Ratio::HALF).with_half_open_permits(n(1)));
    for _ in 0..2 {
        send(true, quick).await.unwrap_err();
    }
    advance(10 * SECOND).await;
    send(false, 6 * SECOND).await.unwrap();
    assert_eq!(circuit.state(), State::Open);

    // by hand; then the slow rate
    circuit.reset();
    for _ in 0..2 {
        send(false, 6 * SECOND).await.unwrap();
    }
    // by hand, with an end, which is seen when somebody looks; one is refused
    circuit.force_open(Some(SECOND));
    send(false, quick).await.unwrap_err();
    advance(SECOND).await;
    assert_eq!(circuit.state(), State::Closed);

    // what a shadow would have done is counted apart, and is no change of state
    circuit.configure(after_a_run_of(1));
    circuit.shadow(None);
    for _ in 0..4 {
        send(true, quick).await.unwrap_err();
    }

    let all: Vec<_> = seen.snapshot().into_vec().into_iter().map(|(key, _, _, value)| (key, value)).collect();
    let transitions = map([
        ("consecutive_failures", 1),
        ("failure_rate", 1),
        ("lease_expired", 1),
        ("manual", 3),
        ("manual_expired", 1),
        ("open_expired", 4),
        ("probe_failed", 1),
        ("probe_slow", 1),
        ("probes_succeeded", 1),
        ("slow_rate", 1),
    ]);
    assert_eq!(counted(&all, names::CIRCUIT_TRANSITIONS, "reason"), transitions);
    let refused = map([("forced_open", 1), ("half_open", 1), ("open", 1), ("shadow", 3)]);
    assert_eq!(counted(&all, names::CIRCUIT_REFUSED, "state"), refused);
    let calls = map([("ignored", 1), ("success", 4), ("transient", 9)]);
    assert_eq!(counted(&all, names::CIRCUIT_CALLS, "outcome"), calls);
}

#[tokio::test(start_paused = true)]
async fn the_gauges_show_what_was_done_by_hand_and_its_end() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(obey));
    for (by_hand, state) in [
        (Circuit::force_open as fn(&Circuit, Option<Duration>), "forced_open"),
        (Circuit::disable, "disabled"),
        (Circuit::shadow, "shadow"),
    ] {
        by_hand(&circuit, Some(SECOND));
        assert_eq!(at_one(&seen), [state]);
        advance(SECOND).await;
        // there is no timer: the next call sees it
        service.clone().oneshot(false).await.unwrap();
        assert_eq!(at_one(&seen), ["closed"]);
    }
    circuit.open_for(SECOND);
    assert_eq!(at_one(&seen), ["open"]);
}

#[test]
fn the_gauges_end_at_the_state_in_which_many_threads_left_it() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let circuit = metrics::with_local_recorder(&recorder, || Circuit::with_config("payments", after_a_run_of(1)));
    let all_at_once = Barrier::new(4);
    // were changes told out of order, some of these rounds would end wrong
    for _ in 0..1000 {
        thread::scope(|scope| {
            for by_hand in
                [Circuit::force_open, Circuit::disable, Circuit::shadow, |circuit: &Circuit, _| circuit.reset()]
            {
                let (circuit, recorder, all_at_once) = (&circuit, &recorder, &all_at_once);
                scope.spawn(move || {
                    metrics::with_local_recorder(recorder, || {
                        all_at_once.wait();
                        by_hand(circuit, None);
                    });
                });
            }
        });
        assert_eq!(at_one(&seen), [circuit.state().as_str()]);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_make_no_series_of_their_own() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let circuits = Circuits::per_origin("webhooks", after_a_run_of(1));
    let service = CircuitBreakerLayer::with(circuits, ByResult)
        .keyed_by(|request: &String| Some(request))
        .layer(service_fn(|_: String| obey(true)));
    for n in 0..200 {
        let _ = service.clone().oneshot(format!("key {}", n % 100)).await;
    }
    let all = seen.snapshot().into_vec();
    assert!(all.iter().all(|(key, ..)| label(key, "name").as_deref() == Some("webhooks")));
    // six gauges of the circuit without a key; calls, refusals and changes
    assert_eq!(all.len(), 6 + 3);
}

/// Looks at the circuit while it tells of a change: would wait for ever if that were done under its lock.
struct Curious(Arc<Mutex<(Option<Circuit>, Vec<State>)>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Curious {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "steadfast" {
            return;
        }
        let circuit = self.0.lock().unwrap().0.clone();
        if let Some(circuit) = circuit {
            let state = circuit.state();
            // a change made while another one is told of
            if state == State::Open {
                circuit.force_open(None);
            }
            self.0.lock().unwrap().1.push(state);
        }
    }
}

#[test]
fn a_listener_may_look_at_and_change_the_circuit() {
    let seen = Arc::new(Mutex::new((None, vec![])));
    let subscriber = tracing_subscriber::registry().with(Curious(seen.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let circuit = Circuit::with_config("payments", after_a_run_of(1));
        seen.lock().unwrap().0 = Some(circuit.clone());
        circuit.open_for(SECOND);
        assert_eq!(circuit.state(), State::ForcedOpen);
    });
    assert_eq!(seen.lock().unwrap().1, [State::Open, State::ForcedOpen]);
}
