//! Recorders and subscribers that are slow, or panic.

use crate::support::{SECOND, after_a_run_of, reset};
use metrics::{Counter, Gauge, GaugeFn, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder};
use std::{
    collections::BTreeMap,
    future::ready,
    io,
    pin::pin,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll, Waker},
    thread,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreaker, CircuitBreakerLayer, State},
    classify::ByResult,
    telemetry::names,
};
use tower::{Layer, Service, service_fn};
use tracing_subscriber::layer::SubscriberExt;

/// Does something each time that anything is counted or set.
struct Does<F>(Arc<F>);

struct Handle<F>(Arc<F>, String);

impl<F: Fn(&str, f64) + Send + Sync + 'static> GaugeFn for Handle<F> {
    fn increment(&self, _: f64) {}
    fn decrement(&self, _: f64) {}
    fn set(&self, value: f64) {
        (self.0)(&self.1, value);
    }
}

impl<F: Fn(&str, f64) + Send + Sync + 'static> metrics::CounterFn for Handle<F> {
    fn increment(&self, value: u64) {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        (self.0)(&self.1, value as f64);
    }
    fn absolute(&self, _: u64) {}
}

impl<F: Fn(&str, f64) + Send + Sync + 'static> Recorder for Does<F> {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Handle(self.0.clone(), key.name().to_owned())))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let state = key.labels().find(|label| label.key() == "state").map_or("", |label| label.value());
        Gauge::from_arc(Arc::new(Handle(self.0.clone(), format!("{} {state}", key.name()))))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

fn service(
    circuit: &Circuit,
) -> CircuitBreaker<impl Service<bool, Response = (), Error = io::Error> + Clone + use<>, ByResult> {
    CircuitBreakerLayer::by_result(circuit)
        .layer(service_fn(|fails: bool| ready(if fails { Err(reset()) } else { Ok(()) })))
}

/// Whether the call went well. What answers at once needs no runtime.
fn call<S: Service<bool>>(service: &mut S, fails: bool) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    matches!(pin!(service.call(fails)).poll(&mut cx), Poll::Ready(Ok(_)))
}

#[test]
fn one_that_panics_is_not_the_callers_panic_and_loses_nothing() {
    let recorder = Does(Arc::new(|_: &str, _: f64| panic!("of the recorder")));
    with_local_recorder(&recorder, || {
        let circuit = Circuit::with_config("panics", after_a_run_of(2));
        let states = circuit.subscribe();
        let mut service = service(&circuit);
        assert!(call(&mut service, false));
        assert!(!call(&mut service, true) && !call(&mut service, true));
        assert_eq!((circuit.state(), *states.borrow()), (State::Open, State::Open));
        assert!(!call(&mut service, false));
        assert_eq!(circuit.snapshot().view.refused, 1);
        circuit.reset();
        // later changes are told as well
        assert_eq!(*states.borrow(), State::Closed);
    });
}

#[test]
fn one_that_panics_while_a_call_panics_does_not_end_the_process() {
    let recorder = Does(Arc::new(|_: &str, _: f64| panic!("of the recorder")));
    with_local_recorder(&recorder, || {
        let circuit = Circuit::with_config("panics", after_a_run_of(1));
        let mut service = CircuitBreakerLayer::by_result(&circuit)
            .layer(service_fn(|(): ()| async { if true { panic!("of the call") } else { Ok::<(), io::Error>(()) } }));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut cx = Context::from_waker(Waker::noop());
            _ = pin!(service.call(())).poll(&mut cx);
        }));
        let said = *panicked.unwrap_err().downcast::<&str>().unwrap();
        assert_eq!((said, circuit.state()), ("of the call", State::Open));
    });
}

#[test]
fn a_subscriber_of_events_that_panics_is_not_the_callers_panic() {
    struct Panics;
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Panics {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            assert!(event.metadata().target() != "steadfast", "of the subscriber");
        }
    }
    tracing::subscriber::with_default(tracing_subscriber::registry().with(Panics), || {
        let circuit = Circuit::with_config("panics", after_a_run_of(1));
        assert!(!call(&mut service(&circuit), true));
        assert_eq!(circuit.state(), State::Open);
    });
}

#[test]
fn one_that_is_slow_delays_the_call_that_it_hears_of_and_no_other() {
    let (began, is_slow): (Sender<()>, Receiver<()>) = channel();
    let (go_on, goes_on): (Sender<()>, Receiver<()>) = channel();
    let goes_on = Mutex::new(goes_on);
    // stays in the first gauge of the opening circuit until it is told to go on
    let recorder = Does(Arc::new(move |metric: &str, value: f64| {
        if metric == format!("{} open", names::CIRCUIT_STATE) && value > 0.0 {
            began.send(()).unwrap();
            goes_on.lock().unwrap().recv().unwrap();
        }
    }));
    let circuit = Circuit::with_config("slow", after_a_run_of(1));
    let states = circuit.subscribe();
    thread::scope(|scope| {
        let mut service = service(&circuit);
        let slow = {
            let mut service = service.clone();
            scope.spawn(move || with_local_recorder(&recorder, || call(&mut service, true)))
        };
        is_slow.recv().unwrap();
        // it has opened, and all that others do with it goes on while that call is still told of
        assert!(!call(&mut service, false) && !slow.is_finished());
        assert_eq!(circuit.state(), State::Open);
        circuit.reset();
        assert!(call(&mut service, false));
        circuit.open_for(SECOND);
        circuit.force_open(None);
        assert_eq!(circuit.snapshot().view.state, State::ForcedOpen);
        assert!(!slow.is_finished());
        // once in the first opening, and once in the second, of which it tells as well
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        assert!(!slow.join().unwrap());
    });
    // what was changed meanwhile is told, in order, by the one who was at it
    assert_eq!(*states.borrow(), State::ForcedOpen);
}

#[test]
fn at_no_moment_is_no_gauge_at_one_and_two_only_within_a_change() {
    let gauges: Arc<Mutex<BTreeMap<String, f64>>> = Arc::default();
    let most = Arc::new(Mutex::new(vec![]));
    let recorder = {
        let (gauges, most) = (gauges.clone(), most.clone());
        Does(Arc::new(move |metric: &str, value: f64| {
            if metric.starts_with(names::CIRCUIT_STATE) {
                let mut gauges = gauges.lock().unwrap();
                gauges.insert(metric.to_owned(), value);
                most.lock().unwrap().push(gauges.values().filter(|value| **value > 0.0).count());
            }
        }))
    };
    with_local_recorder(&recorder, || {
        let circuit = Circuit::with_config("gauges", after_a_run_of(1));
        circuit.open_for(SECOND);
        circuit.force_open(None);
        circuit.disable(None);
        circuit.shadow(None);
        circuit.reset();
        assert!(!call(&mut service(&circuit), true));
    });
    let at_one = most.lock().unwrap();
    assert_eq!(at_one.len(), 7 * 6);
    assert!(at_one.iter().all(|count| (1..=2).contains(count)), "{at_one:?}");
    assert!(at_one.chunks(6).all(|change| change[5] == 1), "{at_one:?}");
}
