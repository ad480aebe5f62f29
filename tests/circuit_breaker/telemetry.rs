//! What can be seen of a circuit.

use crate::support::{SECOND, after_a_run_of, reset};
use metrics_util::{
    CompositeKey,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};
use std::{
    io,
    sync::{Arc, Mutex},
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, State},
    classify::ByResult,
    telemetry::names,
};
use tokio::time::advance;
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

#[tokio::test(start_paused = true)]
async fn keys_make_no_series_of_their_own() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let circuits = Circuits::per_authority("webhooks", after_a_run_of(1));
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
