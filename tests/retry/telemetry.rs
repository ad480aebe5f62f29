//! What can be seen from outside.

use crate::script::{Script, Step, get, request, status};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    backoff::{Exponential, Jitter},
    body::Caps,
    classify::Http,
    retry::{Allowance, Budget, Replay, RetryLayer, StandardPolicy},
    timeout::TimeoutLayer,
};
use tower::{Layer, Service, ServiceExt};
use tracing_subscriber::layer::SubscriberExt;

fn layer() -> RetryLayer {
    let second = Duration::from_secs(1);
    let backoff = Exponential::new(second, second).unwrap().with_jitter(Jitter::None);
    RetryLayer::new(StandardPolicy::new().with_backoff(backoff)).with_name("payments")
}

/// Every metric that `work` made, as lines.
pub fn metrics(work: impl Future<Output = ()>) -> Vec<String> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(work));
    let mut lines: Vec<_> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let mut line = key.key().name().to_owned();
            for label in key.key().labels() {
                write!(line, " {}={}", label.key(), label.value()).unwrap();
            }
            let value = match value {
                DebugValue::Counter(n) => n.to_string(),
                DebugValue::Gauge(n) => n.to_string(),
                DebugValue::Histogram(all) => format!("{:?}", all.iter().map(|n| n.into_inner()).collect::<Vec<_>>()),
            };
            format!("{line}: {value}")
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn calls_repeats_waits_and_attempts_are_counted() {
    let lines = metrics(async {
        let script = Script::new([status(503), status(429), status(200)]);
        layer().layer(script).oneshot(get()).await.unwrap();
    });
    assert_eq!(
        lines,
        [
            "steadfast_retry_attempts name=payments: [3.0]",
            "steadfast_retry_calls_total name=payments result=success: 1",
            "steadfast_retry_delay_seconds name=payments: [1.0, 1.0]",
            "steadfast_retry_retries_total name=payments reason=overloaded: 1",
            "steadfast_retry_retries_total name=payments reason=transient: 1",
        ]
    );
}

/// Every request goes, and none goes again.
struct NeverAgain;
impl<Req> Replay<Req> for NeverAgain {
    type Handle = Infallible;
    fn tee(&self, request: Req, _: &Caps) -> (Req, Option<Infallible>) {
        (request, None)
    }
    fn again(&self, handle: &mut Infallible, _: bool) -> Option<Req> {
        match *handle {}
    }
}

#[test]
fn what_is_given_up_is_counted_by_its_reason() {
    let lines = metrics(async {
        layer().layer(Script::always(503)).oneshot(get()).await.unwrap();
        layer().layer(Script::always(503)).oneshot(request("POST", &[])).await.unwrap();
        layer().layer(Script::always(404)).oneshot(get()).await.unwrap();
        let empty = Budget::new(Allowance::new().with_start(0).without_trickle());
        layer().with_budget(empty).layer(Script::always(503)).oneshot(get()).await.unwrap();
        let total = TimeoutLayer::total(Duration::from_millis(500));
        total.layer(layer().layer(Script::always(503))).oneshot(get()).await.unwrap();
        let never = RetryLayer::with(StandardPolicy::new(), Http::new(), NeverAgain).with_name("payments");
        never.layer(Script::always(503)).oneshot(get()).await.unwrap();
    });
    let given_up: Vec<_> = lines.iter().filter(|line| line.starts_with("steadfast_retry_given_up")).collect();
    assert_eq!(
        given_up,
        [
            "steadfast_retry_given_up_total name=payments reason=budget: 1",
            "steadfast_retry_given_up_total name=payments reason=deadline: 1",
            "steadfast_retry_given_up_total name=payments reason=exhausted: 1",
            "steadfast_retry_given_up_total name=payments reason=not_replayable: 1",
            "steadfast_retry_given_up_total name=payments reason=not_safe: 1",
        ]
    );
}

#[test]
fn a_call_that_its_caller_left_is_counted_once_wherever_it_was() {
    let lines = metrics(async {
        for script in [Script::new([Step::Hang]), Script::new([status(503)])] {
            let mut service = layer().layer(script);
            let call = service.ready().await.unwrap().call(get());
            assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
        }
    });
    let calls: Vec<_> = lines.iter().filter(|line| line.starts_with("steadfast_retry_calls")).collect();
    assert_eq!(calls, ["steadfast_retry_calls_total name=payments result=cancelled: 2"]);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                write!(self.0, " {}={value:?}", field.name()).unwrap();
            }
        }
        if event.metadata().target() == "steadfast" {
            let mut fields = Fields(event.metadata().level().to_string());
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_repeat_and_the_end_of_a_failed_call_are_events() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
    // whether a callsite is of interest is kept for all threads, and other tests may have asked first
    layer().layer(Script::always(503)).oneshot(get()).await.unwrap();
    tracing::callsite::rebuild_interest_cache();
    lines.0.lock().unwrap().clear();
    layer().layer(Script::always(503)).oneshot(get()).await.unwrap();
    layer().layer(Script::always(404)).oneshot(get()).await.unwrap();
    let again = |n| {
        format!(
            "INFO message=trying again name=\"payments\" reason=\"transient\" delay_ms=1000 http.request.resend_count={n}"
        )
    };
    let gave_up =
        "WARN message=gave up name=\"payments\" reason=\"exhausted\" outcome=\"transient\" http.request.resend_count=2";
    assert_eq!(*lines.0.lock().unwrap(), [again(1), again(2), gave_up.to_owned()]);
}
