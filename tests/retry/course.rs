//! The states of a call: what lives when, and what a drop leaves behind.

use crate::script::{Body, Ready, Script, Step, get, status};
use http::Request;
use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::{
    attempt::Attempt,
    backoff::{Exponential, Jitter},
    retry::{
        Allowance, Attempts, Budget, CloneRequest, Decision, Finished, HttpReplay, Policy, RetryLayer, StandardPolicy,
        Stop,
    },
};
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

fn steady(budget: &Budget) -> RetryLayer {
    let backoff = Exponential::new(SECOND, SECOND).unwrap().with_jitter(Jitter::None);
    RetryLayer::new(StandardPolicy::new().with_backoff(backoff)).with_budget(budget.clone())
}

fn five() -> Budget {
    Budget::new(Allowance::new().with_start(5).without_trickle())
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_dropped_before_the_wait_and_so_is_its_call() {
    let (budget, script) = (five(), Script::new([status(503), status(200)]));
    let watch = script.watch();
    let mut service = steady(&budget).layer(script);
    let mut call = Box::pin(service.ready().await.unwrap().call(get()));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!((watch.calls(), watch.answers_alive(), watch.running()), (1, 0, 0));
    advance(SECOND).await;
    assert_eq!(call.await.unwrap().status(), 200);
    assert_eq!(watch.seen(|seen| seen.answers_alive), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_drop_before_the_first_poll_ends_it() {
    let (budget, script) = (five(), Script::new([Step::Hang]));
    let watch = script.watch();
    let mut service = steady(&budget).layer(script);
    drop(service.ready().await.unwrap().call(get()));
    sleep(10 * SECOND).await;
    assert_eq!((watch.calls(), watch.running(), budget.left()), (1, 0, 5));
}

#[tokio::test(start_paused = true)]
async fn a_drop_in_a_call_ends_it() {
    let (budget, script) = (five(), Script::new([Step::Hang]));
    let watch = script.watch();
    let mut service = steady(&budget).layer(script);
    let mut call = Box::pin(service.ready().await.unwrap().call(get()));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(watch.running(), 1);
    drop(call);
    sleep(10 * SECOND).await;
    assert_eq!((watch.calls(), watch.running(), budget.left()), (1, 0, 5));
}

#[tokio::test(start_paused = true)]
async fn a_drop_in_the_wait_ends_it_and_gives_the_permit_back() {
    let (budget, script) = (five(), Script::new([status(503)]));
    let watch = script.watch();
    let mut service = steady(&budget).layer(script);
    let mut call = Box::pin(service.ready().await.unwrap().call(get()));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(budget.left(), 4);
    assert!(format!("{call:?}").contains("sleeping"), "{call:?}");
    drop(call);
    sleep(10 * SECOND).await;
    assert_eq!((watch.calls(), budget.left()), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_drop_while_it_waits_for_readiness_ends_it_and_gives_the_permit_back() {
    let (budget, script) = (five(), Script::new([status(503)]).with_ready([Ready::Yes, Ready::Never]));
    let watch = script.watch();
    let mut service = steady(&budget).layer(script);
    let mut call = Box::pin(service.ready().await.unwrap().call(get()));
    assert!(poll(call.as_mut()).is_pending());
    advance(SECOND).await;
    assert!(poll(call.as_mut()).is_pending());
    assert!(format!("{call:?}").contains("readying"), "{call:?}");
    assert_eq!((watch.polled_ready(), budget.left()), (2, 4));
    drop(call);
    sleep(10 * SECOND).await;
    assert_eq!((watch.calls(), budget.left()), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_succeeds_at_once_carries_nothing_more() {
    let (budget, script) = (five(), Script::new([status(200)]));
    let response = steady(&budget).layer(script).oneshot(get()).await.unwrap();
    assert_eq!(Attempts::of(response.extensions()), None);
    let response = steady(&budget).layer(Script::new([status(404)])).oneshot(get()).await.unwrap();
    assert_eq!(Attempts::of(response.extensions()), None);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_sends_the_same_bytes() {
    let (budget, script) = (five(), Script::always(503));
    let watch = script.watch();
    steady(&budget).layer(script).oneshot(get()).await.unwrap();
    assert_eq!(watch.seen(|seen| seen.body.clone()), ["question"; 3]);
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_comes_out_as_it_is_and_says_why() {
    let response = steady(&five()).layer(Script::always(503)).oneshot(get()).await.unwrap();
    let attempts = Attempts::of(response.extensions()).unwrap();
    assert_eq!((response.status().as_u16(), attempts.made(), attempts.stop()), (503, 3, Stop::Exhausted));
    let ok = steady(&five()).layer(Script::new([status(503), status(200)])).oneshot(get()).await.unwrap();
    let attempts = Attempts::of(ok.extensions()).unwrap();
    assert_eq!((attempts.made(), attempts.stop()), (2, Stop::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn no_retries_means_no_copy_and_no_clone() {
    let script = Script::always(503);
    let watch = script.watch();
    let layer = RetryLayer::new(StandardPolicy::new().with_max_retries(0));
    let mut service = layer.layer(script);
    let response = service.ready().await.unwrap().call(get()).await.unwrap();
    assert_eq!((watch.calls(), watch.instances()), (1, 1));
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::Exhausted);
}

/// A request that counts its copies.
struct Counted(std::sync::Arc<std::sync::atomic::AtomicUsize>);
impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn no_copy_is_made_for_the_last_attempt() {
    let copies = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let policy = StandardPolicy::new().with_faults();
    let inner = tower::service_fn(|_: Counted| async { Err::<(), _>("no") });
    RetryLayer::by_result(policy).layer(inner).oneshot(Counted(copies.clone())).await.unwrap_err();
    // three attempts: the original, one copy of the copy, and the copy itself
    assert_eq!(copies.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_ones_own_decides_within_what_the_layer_allows() {
    struct Eager;
    impl Policy for Eager {
        fn max_retries(&self) -> u32 {
            3
        }
        fn decide(&self, finished: &Finished, _: &mut fastrand::Rng) -> Decision {
            assert_eq!(finished.previous_delay(), SECOND * (finished.attempt() - 1).min(1));
            Decision::Again(SECOND) // always, whatever it was
        }
    }
    let script = Script::always(404);
    let watch = script.watch();
    let layer = RetryLayer::with(Eager, steadfast::classify::Http::new(), HttpReplay);
    let response = layer.layer(script).oneshot(get()).await.unwrap();
    assert_eq!((watch.calls(), Attempts::of(response.extensions()).unwrap().stop()), (4, Stop::Exhausted));
    // and as a trait object
    let boxed: Box<dyn Policy> = Box::new(StandardPolicy::new());
    let script = Script::new([status(503), status(200)]);
    let layer = RetryLayer::with(boxed, steadfast::classify::Http::new(), CloneRequest);
    let request = Request::get("/").body(Body::default()).unwrap();
    assert_eq!(layer.layer(script).oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_attempt_is_known_in_call_and_in_every_poll_and_nowhere_else() {
    let inner = tower::service_fn(|n: u32| {
        let in_call = Attempt::current().map(Attempt::number);
        async move {
            tokio::task::yield_now().await;
            let in_poll = Attempt::current().map(Attempt::number);
            assert_eq!(in_call, in_poll);
            if in_poll < Some(n) { Err("more") } else { Ok(in_poll) }
        }
    });
    let layer = RetryLayer::by_result(StandardPolicy::new().with_faults());
    assert_eq!(layer.layer(inner).oneshot(3).await, Ok(Some(3)));
    assert_eq!(Attempt::current(), None);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_ones_own_keeps_its_type_and_is_a_fault() {
    #[derive(Debug, PartialEq)]
    struct Mine(u32);
    let calls = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = calls.clone();
    let inner = tower::service_fn(move |n: u32| {
        counted.set(counted.get() + 1);
        async move { Err::<(), _>(Mine(n)) }
    });
    let once = RetryLayer::by_result(StandardPolicy::new());
    assert_eq!(once.layer(inner.clone()).oneshot(7).await, Err(Mine(7)));
    assert_eq!(calls.replace(0), 1);
    let faults = RetryLayer::by_result(StandardPolicy::new().with_faults());
    assert_eq!(faults.layer(inner).oneshot(7).await, Err(Mine(7)));
    assert_eq!(calls.get(), 3);
}
