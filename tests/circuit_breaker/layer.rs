//! The layer over services that are not http.

use crate::support::{SECOND, after_a_run_of, at_half_of, n, reset};
use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    io,
    pin::pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Config, Reason, State, Window},
    error::{BoxError, Refused},
    setting::Ratio,
};
use tokio::{
    task::JoinSet,
    time::{advance, sleep, timeout},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

/// Fails where the request says so.
async fn obey(fails: bool) -> Result<(), io::Error> {
    if fails { Err(reset()) } else { Ok(()) }
}

async fn send<S: Service<bool, Error = BoxError>>(service: &mut S, fails: bool) -> Result<S::Response, BoxError> {
    service.ready().await?.call(fails).await
}

#[tokio::test(start_paused = true)]
async fn opens_after_five_failures_in_a_row() {
    let circuit = Circuit::new("payments");
    let mut service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(obey));
    for fails in [true, true, true, true, false, true, true, true, true] {
        let _ = send(&mut service, fails).await;
        assert_eq!(circuit.state(), State::Closed);
    }
    // ten calls by now, eight of them failed; the run is what is reached first
    let error = send(&mut service, true).await.unwrap_err();
    assert!(Refused::find(&*error).is_none(), "the fifth failure is still the service's own");
    assert_eq!(circuit.state(), State::Open);
    let error = send(&mut service, false).await.unwrap_err();
    let refused = Refused::find(&*error).unwrap();
    assert_eq!((refused.who(), refused.why()), ("payments", "circuit open after a run of failures"));
}

#[tokio::test(start_paused = true)]
async fn a_window_of_ten_at_a_half_opens_at_the_fifth_failure_after_a_hundred_thousand_successes() {
    let circuit = Circuit::with_config("payments", at_half_of(10, 10));
    let mut service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(obey));
    for _ in 0..100_000 {
        send(&mut service, false).await.unwrap();
    }
    for _ in 0..4 {
        let _ = send(&mut service, true).await;
    }
    assert_eq!(circuit.state(), State::Closed);
    let _ = send(&mut service, true).await;
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn retry_after_counts_down_and_zero_is_a_probe() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let mut service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(obey));
    let _ = send(&mut service, true).await;
    advance(3 * SECOND).await;
    let error = send(&mut service, false).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().retry_after(), Some(7 * SECOND));
    assert_eq!(circuit.snapshot().view.retry_after, Some(7 * SECOND));
    advance(7 * SECOND).await;
    assert_eq!((circuit.snapshot().view.retry_after, circuit.state()), (Some(Duration::ZERO), State::Open));
    send(&mut service, false).await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn thirty_hung_calls_that_an_outer_timeout_drops_open_it() {
    let circuit = Circuit::new("payments");
    let service =
        CircuitBreakerLayer::by_result(&circuit).layer(service_fn(|(): ()| pending::<Result<(), io::Error>>()));
    let mut callers = JoinSet::new();
    for _ in 0..30 {
        callers.spawn(timeout(6 * SECOND, service.clone().oneshot(())));
    }
    while let Some(given_up) = callers.join_next().await {
        assert!(given_up.unwrap().is_err());
    }
    assert_eq!((circuit.state(), circuit.snapshot().view.reason), (State::Open, Reason::ConsecutiveFailures));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_early_is_neutral_and_gives_its_permit_back() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let slow = service_fn(|fails: bool| async move {
        sleep(2 * SECOND).await;
        obey(fails).await
    });
    let mut service = CircuitBreakerLayer::by_result(&circuit).layer(slow);
    for _ in 0..50 {
        assert!(timeout(SECOND, send(&mut service, false)).await.is_err());
    }
    assert_eq!((circuit.state(), circuit.snapshot().view.calls), (State::Closed, 0));

    let _ = send(&mut service, true).await;
    advance(10 * SECOND).await;
    // the one probe, dropped: the next one may try
    assert!(timeout(SECOND, send(&mut service, false)).await.is_err());
    assert_eq!((circuit.state(), circuit.snapshot().view.probes), (State::HalfOpen, 0));
    send(&mut service, false).await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_never_polled_gives_its_permit_back() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let mut service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(obey));
    let _ = send(&mut service, true).await;
    advance(10 * SECOND).await;
    drop(service.ready().await.unwrap().call(false));
    assert_eq!((circuit.state(), circuit.snapshot().view.probes), (State::HalfOpen, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure() {
    let circuit = Circuit::with_config("payments", after_a_run_of(2));
    let in_future = service_fn(|in_call: bool| {
        assert!(!in_call, "in call");
        async move {
            tokio::task::yield_now().await;
            assert!(in_call, "in the future");
            Ok::<(), io::Error>(())
        }
    });
    let service = CircuitBreakerLayer::by_result(&circuit).layer(in_future);
    for in_call in [true, false] {
        let service = service.clone();
        let call = tokio::spawn(async move { service.oneshot(in_call).await });
        assert!(call.await.unwrap_err().is_panic());
    }
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn stale_outcomes_move_nothing() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let service =
        CircuitBreakerLayer::by_result(&circuit).layer(service_fn(|(wait, fails): (Duration, bool)| async move {
            sleep(wait).await;
            obey(fails).await
        }));
    // begun while closed, ended while half-open: one well, one not
    let stale_success = tokio::spawn(service.clone().oneshot((12 * SECOND, false)));
    let stale_failure = tokio::spawn(service.clone().oneshot((13 * SECOND, true)));
    tokio::task::yield_now().await;
    let _ = service.clone().oneshot((Duration::ZERO, true)).await;
    assert_eq!(circuit.state(), State::Open);
    sleep(11 * SECOND).await;
    let probe = tokio::spawn(service.clone().oneshot((4 * SECOND, false)));
    let _ = (stale_success.await, stale_failure.await);
    assert_eq!((circuit.state(), circuit.snapshot().view.stale), (State::HalfOpen, 2));
    probe.await.unwrap().unwrap();
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_hung_probe_is_replaced_when_its_lease_ends() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let hang =
        service_fn(
            |(hangs, fails): (bool, bool)| async move { if hangs { pending().await } else { obey(fails).await } },
        );
    let service = CircuitBreakerLayer::by_result(&circuit).layer(hang);
    let _ = service.clone().oneshot((false, true)).await;
    advance(10 * SECOND).await;
    let hung = tokio::spawn(service.clone().oneshot((true, false)));
    tokio::task::yield_now().await;
    assert!(service.clone().oneshot((false, false)).await.is_err());
    advance(10 * SECOND).await;
    assert_eq!((circuit.state(), circuit.snapshot().view.reason), (State::Open, Reason::LeaseExpired));
    advance(10 * SECOND).await;
    service.clone().oneshot((false, false)).await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
    hung.abort();
}

#[tokio::test(start_paused = true)]
async fn hung_calls_count_while_they_hang() {
    let config = Config::default().with_slow_rate(Ratio::HALF).with_window(Window::calls(20, 10).unwrap());
    let circuit = Circuit::with_config("payments", config);
    let service =
        CircuitBreakerLayer::by_result(&circuit).layer(service_fn(|(): ()| pending::<Result<(), io::Error>>()));
    let mut hung = JoinSet::new();
    for _ in 0..10 {
        hung.spawn(service.clone().oneshot(()));
    }
    sleep(Duration::from_millis(4999)).await;
    assert_eq!(circuit.state(), State::Closed);
    sleep(Duration::from_millis(1)).await;
    let error = service.oneshot(()).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().why(), "circuit open, too many calls are slow");
}

/// Tells whether it was polled or called, and is never ready.
#[derive(Clone, Default)]
struct Untouchable(Arc<AtomicU32>);

impl Service<()> for Untouchable {
    type Response = ();
    type Error = Infallible;
    type Future = std::future::Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.fetch_add(1, SeqCst);
        Poll::Pending
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.0.fetch_add(1, SeqCst);
        ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_does_not_touch_the_inner_service() {
    let (circuit, inner) = (Circuit::new("payments"), Untouchable::default());
    circuit.open_for(60 * SECOND);
    let service = CircuitBreakerLayer::by_result(&circuit).layer(inner.clone());
    for _ in 0..3 {
        let error = service.clone().oneshot(()).await.unwrap_err();
        assert_eq!(Refused::find(&*error).unwrap().retry_after(), Some(60 * SECOND));
    }
    assert_eq!((inner.0.load(SeqCst), circuit.snapshot().view.refused), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_not_asked_whether_it_is_ready_is_not_called() {
    let (circuit, inner) = (Circuit::new("payments"), Untouchable::default());
    circuit.open_for(SECOND);
    let mut service = CircuitBreakerLayer::by_result(&circuit).layer(inner.clone());
    let readied = service.ready().await.unwrap();
    // the open period ends between the two: a probe would be due, but nobody has made the inner service ready
    advance(2 * SECOND).await;
    let error = readied.call(()).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().retry_after(), Some(Duration::ZERO));
    assert_eq!(inner.0.load(SeqCst), 0);
    // asked again, it is polled for the probe
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_pending());
    assert_eq!(inner.0.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_made_ready_is_the_one_that_is_called() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    // panics when it is called without having been made ready
    let mut service =
        ServiceBuilder::new().layer(CircuitBreakerLayer::by_result(&circuit)).concurrency_limit(1).service_fn(obey);
    let clone = service.clone();
    let _ = send(&mut service, true).await;
    assert!(send(&mut service, false).await.is_err());
    advance(10 * SECOND).await;
    send(&mut service, false).await.unwrap();
    clone.oneshot(false).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_layer_call_and_every_clone_share_the_circuit() {
    let layer = CircuitBreakerLayer::by_result(Circuit::with_config("payments", after_a_run_of(2)));
    let (mut a, mut b) = (layer.layer(service_fn(obey)), layer.clone().layer(service_fn(obey)));
    let _ = send(&mut a, true).await;
    let _ = send(&mut b, true).await;
    assert!(Refused::find(&*send(&mut a.clone(), false).await.unwrap_err()).is_some());
}

#[tokio::test(start_paused = true)]
async fn only_as_many_probes_as_permits_at_once() {
    let circuit = Circuit::with_config("payments", after_a_run_of(1).with_half_open_permits(n(3)));
    let probes = Arc::new(AtomicU32::new(0));
    let seen = probes.clone();
    let service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(move |fails: bool| {
        seen.fetch_add(1, SeqCst);
        async move {
            sleep(SECOND).await;
            obey(fails).await
        }
    }));
    let _ = service.clone().oneshot(true).await;
    advance(10 * SECOND).await;
    probes.store(0, SeqCst);
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        calls.spawn(service.clone().oneshot(false));
    }
    let well = calls.join_all().await.into_iter().flatten().count();
    assert_eq!((well, probes.load(SeqCst), circuit.state()), (3, 3, State::Closed));
}

#[tokio::test(start_paused = true)]
async fn an_inner_refusal_is_neutral() {
    let (outer, inner) = (Circuit::with_config("outer", after_a_run_of(1)), Circuit::new("inner"));
    inner.force_open(None);
    let service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::by_result(&outer))
        .layer(CircuitBreakerLayer::by_result(&inner))
        .service_fn(obey);
    for _ in 0..5 {
        let error = service.clone().oneshot(false).await.unwrap_err();
        assert_eq!(Refused::find(&*error).unwrap().who(), "inner");
    }
    assert_eq!((outer.state(), outer.snapshot().view.run), (State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn forced_open_is_sticky_and_expires_where_it_was_told_to() {
    let circuit = Circuit::new("payments");
    let mut service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(obey));
    circuit.force_open(None);
    advance(3600 * SECOND).await;
    let error = send(&mut service, false).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().why(), "circuit forced open");
    assert_eq!(Refused::find(&*error).unwrap().retry_after(), None);
    circuit.force_open(Some(60 * SECOND));
    advance(60 * SECOND).await;
    send(&mut service, false).await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn subscribers_wake_on_every_kind_of_change() {
    let circuit = Circuit::new("payments");
    let mut states = circuit.subscribe();
    assert_eq!(*states.borrow_and_update(), State::Closed);
    let watched = circuit.clone();
    let changes = tokio::spawn(async move {
        let mut seen = vec![];
        while states.changed().await.is_ok() {
            seen.push(*states.borrow_and_update());
            if seen.last() == Some(&State::Closed) {
                break;
            }
        }
        seen
    });
    for change in [Circuit::force_open, Circuit::disable, Circuit::shadow] {
        change(&watched, None);
        tokio::task::yield_now().await;
    }
    watched.reset();
    assert_eq!(changes.await.unwrap(), [State::ForcedOpen, State::Disabled, State::Shadow, State::Closed]);
}

#[test]
fn it_works_without_a_runtime_and_with_responses_that_are_not_send() {
    let circuit = Circuit::new("payments");
    let mut service =
        CircuitBreakerLayer::by_result(&circuit).layer(service_fn(|n: Rc<u32>| ready(Ok::<_, io::Error>(n))));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut call = pin!(service.call(Rc::new(7)));
    let Poll::Ready(Ok(seven)) = call.as_mut().poll(&mut cx) else { panic!("it is ready") };
    assert_eq!((*seven, circuit.snapshot().view.calls), (7, 1));
    circuit.open_for(SECOND);
    assert!(service.poll_ready(&mut cx).is_ready());
    let refused = pin!(service.call(Rc::new(7))).as_mut().poll(&mut cx);
    assert!(matches!(refused, Poll::Ready(Err(error)) if Refused::find(&*error).is_some()));
}

#[test]
fn threads_that_share_it_lose_no_outcome() {
    let free = Config::default()
        .without_consecutive_failures()
        .without_failure_rate()
        .with_window(Window::calls(1_000_000, 1).unwrap());
    // with a slow rate calls in flight are kept track of
    for config in [free.clone(), free.with_slow_rate(Ratio::ALL)] {
        let circuit = Circuit::with_config("payments", config);
        let service = CircuitBreakerLayer::by_result(&circuit).layer(service_fn(obey));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let mut service = service.clone();
                scope.spawn(move || {
                    let mut cx = Context::from_waker(Waker::noop());
                    for call in 0..5000 {
                        assert!(service.poll_ready(&mut cx).is_ready());
                        assert!(pin!(service.call(call % 4 == 0)).poll(&mut cx).is_ready());
                    }
                });
            }
        });
        let view = circuit.snapshot().view;
        assert_eq!((view.calls, view.failed, view.stale), (20_000, 5000, 0));
    }
}

#[test]
fn changes_made_by_many_threads_are_told_in_order() {
    for _ in 0..50 {
        let circuit = Circuit::new("payments");
        let states = circuit.subscribe();
        std::thread::scope(|scope| {
            for change in [Circuit::force_open, Circuit::disable, Circuit::shadow, |c: &Circuit, _| c.reset()] {
                let circuit = &circuit;
                scope.spawn(move || (0..100).for_each(|_| change(circuit, None)));
            }
        });
        // the last one told is the last one made
        assert_eq!(*states.borrow(), circuit.state());
    }
}

#[test]
fn services_are_send_and_sync_where_the_inner_one_is() {
    fn both<T: Send + Sync + 'static>(_: &T) {}
    let layer = CircuitBreakerLayer::by_result(Circuit::new("payments"));
    both(&layer);
    both(&layer.layer(service_fn(obey)));
    both(&Arc::new(Mutex::new(layer.layer(service_fn(obey)).call(false))));
}
