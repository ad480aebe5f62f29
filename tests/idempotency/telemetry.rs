use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, app, layer, leave, over, request, send},
};
use http_body_util::BodyExt;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::{collections::BTreeMap, time::Duration};
use steadfast::{
    idempotency::OnUnknown,
    registry::{Snapshot, Value},
};
use tokio::time::sleep;
use tower::ServiceExt;

/// All that is measured while `work` runs in paused time: `metric{label="value"}`, counters and gauges as they are, of histograms
/// how many values there are.
fn measured<F: Future<Output = ()>>(work: impl FnOnce() -> F) -> BTreeMap<String, f64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let snapshot = metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(work());
        // before the runtime ends what still runs
        snapshotter.snapshot()
    });
    let mut all = BTreeMap::new();
    for (key, _, _, value) in snapshot.into_vec() {
        let key = key.key();
        assert!(key.labels().any(|label| (label.key(), label.value()) == ("name", "payments")));
        let label = key.labels().find(|label| label.key() != "name");
        let label = label.map_or(String::new(), |label| format!("{{{}={:?}}}", label.key(), label.value()));
        let metric = key.name().strip_prefix("steadfast_idempotency_").unwrap();
        #[allow(clippy::cast_precision_loss, reason = "a few")]
        let value = match value {
            DebugValue::Counter(n) => n as f64,
            DebugValue::Gauge(n) => n.into_inner(),
            DebugValue::Histogram(all) => all.len() as f64,
        };
        all.insert(format!("{metric}{label}"), value);
    }
    all
}

/// What is expected, in the same form.
fn all(expected: &[(&str, f64)]) -> BTreeMap<String, f64> {
    expected.iter().map(|(metric, value)| ((*metric).to_owned(), *value)).collect()
}

#[test]
fn every_result_the_latencies_and_what_runs_are_measured() {
    let found = measured(async || {
        let store = Scripted::default();
        let layer = over(store.clone()).with_name("payments").with_on_unknown(OnUnknown::Rerun).with_response_limit(10);
        let n = Runs::default();
        let (app, _) = app(layer.clone(), move |request| {
            let run = n.add();
            async move {
                let body = String::from_utf8(request.into_body().collect().await.unwrap().to_bytes().into()).unwrap();
                match &*body {
                    "waits" => sleep(Duration::from_secs(5)).await,
                    "lapses" if run == 4 => sleep(Duration::from_secs(60)).await,
                    _ => {}
                }
                if body == "long" { "x".repeat(11) } else { "done".into() }
            }
        });
        send(&app, request("a", "")).await; // first
        send(&app, request("a", "")).await; // replay
        send(&app, request("a", "another")).await; // mismatch
        send(&app, request("\"malformed", "")).await; // refused
        send(&app, request("b", "long")).await; // first
        send(&app, request("b", "long")).await; // not_retained
        leave(app.clone().oneshot(request("c", "waits"))); // first
        send(&app, request("c", "waits")).await; // conflict
        store.next(Call::Begin, [Fault::Fails; 2]);
        send(&app, request("d", "")).await; // store_error
        layer.drained().await;
        store.next(Call::Renew, [Fault::Fails; 100]);
        leave(app.clone().oneshot(request("e", "lapses"))); // lease_lost
        sleep(Duration::from_secs(31)).await;
        send(&app, request("e", "lapses")).await; // first
        layer.drained().await;
    });
    let expected = all(&[
        ("requests_total{result=\"first\"}", 4.0),
        ("requests_total{result=\"replay\"}", 1.0),
        ("requests_total{result=\"conflict\"}", 1.0),
        ("requests_total{result=\"mismatch\"}", 1.0),
        ("requests_total{result=\"refused\"}", 1.0),
        ("requests_total{result=\"store_error\"}", 1.0),
        ("requests_total{result=\"lease_lost\"}", 1.0),
        ("requests_total{result=\"not_retained\"}", 1.0),
        ("refusals_total{reason=\"in_flight\"}", 1.0),
        ("refusals_total{reason=\"malformed\"}", 1.0),
        ("refusals_total{reason=\"mismatch\"}", 1.0),
        ("refusals_total{reason=\"not_retained\"}", 1.0),
        ("refusals_total{reason=\"store_down\"}", 1.0),
        ("begin_seconds", 11.0),
        ("complete_seconds", 5.0),
        ("running{state=\"running\"}", 0.0),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn what_passes_a_store_that_is_down_is_counted_and_does_not_count_as_running() {
    let found = measured(async || {
        let store = Scripted::default();
        store.next(Call::Begin, [Fault::Fails; 2]);
        let layer = over(store).with_name("payments").with_fail_open();
        let (app, _) = app(layer.clone(), |_| async { "done" });
        send(&app, request("k", "")).await;
        layer.drained().await;
    });
    let expected = all(&[
        ("requests_total{result=\"store_error\"}", 1.0),
        ("failed_open_total{reason=\"store_down\"}", 1.0),
        ("begin_seconds", 1.0),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn what_runs_is_a_gauge() {
    let found = measured(async || {
        let (app, _) = app(layer().with_name("payments"), |_| std::future::pending::<()>());
        for key in ["a", "b", "c"] {
            leave(app.clone().oneshot(request(key, "")));
        }
    });
    assert_eq!(found["running{state=\"running\"}"], 3.0);
}

#[tokio::test(start_paused = true)]
async fn the_registry_shows_what_runs() {
    let name = "shown in the registry";
    let layer = layer().with_name(name);
    let (app, _) = app(layer.clone(), |_| sleep(Duration::from_secs(60)));
    let shown = || -> Vec<Snapshot> {
        steadfast::registry().snapshot().into_iter().filter(|entry| entry.name == name).collect()
    };
    for key in ["a", "b"] {
        leave(app.clone().oneshot(request(key, "")));
    }
    let [entry] = &shown()[..] else { panic!("it is listed once") };
    assert_eq!(entry.kind, "idempotency");
    assert_eq!(entry.state, [("running", Value::Count(2)), ("waiting", Value::Count(0)), ("tasks", Value::Count(2))]);
    layer.drained().await;
    assert_eq!(shown()[0].state[0], ("running", Value::Count(0)));
    drop((layer, app));
    assert!(shown().is_empty());
}
