use crate::support::{app, counting, layer, leave, request, send};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::{collections::BTreeMap, time::Duration};
use steadfast::registry::{Snapshot, Value};
use tokio::time::sleep;
use tower::ServiceExt;

#[test]
fn results_latencies_and_what_runs_are_measured() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (app, _) = counting(layer().with_name("payments"));
            for (key, body) in [("k", "1"), ("k", "1"), ("k", "2"), ("\"", "")] {
                send(&app, request(key, body)).await;
            }
        });
    });
    let mut counted = BTreeMap::new();
    let mut others = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        assert!(key.labels().any(|label| (label.key(), label.value()) == ("name", "payments")));
        match value {
            DebugValue::Counter(n) => {
                let result = key.labels().find(|label| label.key() == "result").unwrap().value().to_owned();
                assert_eq!(key.name(), "steadfast_idempotency_requests_total");
                counted.insert(result, n);
            }
            DebugValue::Gauge(n) => drop(others.insert(key.name().to_owned(), n.into_inner())),
            #[allow(clippy::cast_precision_loss, reason = "three")]
            DebugValue::Histogram(all) => drop(others.insert(key.name().to_owned(), all.len() as f64)),
        }
    }
    let expected = [("executed", 1), ("malformed", 1), ("mismatch", 1), ("replayed", 1)];
    assert_eq!(counted, expected.map(|(result, n)| (result.to_owned(), n)).into());
    let expected = [
        ("steadfast_idempotency_begin_seconds", 3.0),
        ("steadfast_idempotency_complete_seconds", 1.0),
        ("steadfast_idempotency_running", 0.0),
    ];
    assert_eq!(others, expected.map(|(name, n)| (name.to_owned(), n)).into());
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
    assert_eq!(entry.state, [("running", Value::Count(2)), ("tasks", Value::Count(2))]);
    layer.drained().await;
    assert_eq!(shown()[0].state[0], ("running", Value::Count(0)));
    drop((layer, app));
    assert!(shown().is_empty());
}
