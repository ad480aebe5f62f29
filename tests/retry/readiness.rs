//! Who is asked whether it is ready, and when.

use crate::script::{Ready, Script, get, status};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::retry::{RetryLayer, StandardPolicy};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_made_ready_is_the_one_that_is_called_every_time() {
    let script = Script::new([status(503), status(503), status(200)]);
    let watch = script.watch();
    let mut service = RetryLayer::default().layer(script);
    // asking twice changes nothing
    service.ready().await.unwrap();
    service.ready().await.unwrap();
    service.call(get()).await.unwrap();
    // the script panics in a call on an instance that was not made ready; 1 stays behind for the next call
    assert_eq!(watch.seen(|seen| seen.instance), [0, 2, 3]);
    // twice before the first attempt, once before each of the others
    assert_eq!((watch.polled_ready(), watch.instances()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_limited_is_free_during_the_wait() {
    let script = Script::new([status(503), status(200), status(200)]);
    let watch = script.watch();
    let mut service =
        ServiceBuilder::new().layer(RetryLayer::default()).layer(ConcurrencyLimitLayer::new(1)).service(script);
    let first = service.ready().await.unwrap().call(get());
    let first = tokio::spawn(first);
    tokio::task::yield_now().await;
    assert_eq!(watch.calls(), 1);
    // the first one waits for its repeat; the one place is free for another call, at once
    let start = tokio::time::Instant::now();
    service.ready().await.unwrap().call(get()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn it_works_over_a_buffer() {
    let script = Script::new([status(503), status(503), status(200)]);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(RetryLayer::default()).buffer(4).service(script);
    assert_eq!(client.oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(watch.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_before_a_repeat_comes_out_since_the_answer_is_gone() {
    let script = Script::new([status(503)]).with_ready([Ready::Yes, Ready::Error]);
    let watch = script.watch();
    let error = RetryLayer::default().layer(script).oneshot(get()).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), watch.calls()), ("not ready", 1));
    assert_eq!(watch.answers_alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_before_the_first_call_is_the_inner_ones() {
    let script = Script::new([]).with_ready([Ready::Error]);
    let error = RetryLayer::default().layer(script).oneshot(get()).await.unwrap_err();
    assert_eq!(error.to_string(), "not ready");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_becomes_ready_later_is_waited_for() {
    /// Ready once the flag is up.
    #[derive(Clone)]
    struct Gate(Arc<AtomicBool>, Arc<tokio::sync::Notify>);
    impl Service<u32> for Gate {
        type Response = u32;
        type Error = &'static str;
        type Future = std::future::Ready<Result<u32, &'static str>>;
        fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), &'static str>> {
            if self.0.load(SeqCst) {
                return std::task::Poll::Ready(Ok(()));
            }
            let (notify, waker) = (self.1.clone(), cx.waker().clone());
            tokio::spawn(async move {
                notify.notified().await;
                waker.wake();
            });
            std::task::Poll::Pending
        }
        fn call(&mut self, n: u32) -> Self::Future {
            let closed_again = self.0.swap(false, SeqCst);
            assert!(closed_again);
            let attempt = steadfast::attempt::Attempt::current().unwrap().number();
            std::future::ready(if attempt < n { Err("again") } else { Ok(attempt) })
        }
    }
    let gate = Gate(Arc::new(AtomicBool::new(true)), Arc::default());
    let (flag, notify) = (gate.0.clone(), gate.1.clone());
    let call = RetryLayer::by_result(StandardPolicy::new().with_faults()).layer(gate).oneshot(2);
    let call = tokio::spawn(call);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(!call.is_finished());
    flag.store(true, SeqCst);
    notify.notify_waiters();
    assert_eq!(call.await.unwrap(), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_need_not_be_send_or_sync() {
    let rc = std::rc::Rc::new(std::cell::Cell::new(0));
    let inner = tower::service_fn(move |n: u32| {
        let rc = rc.clone();
        async move { Ok::<_, Infallible>(n + rc.get()) }
    });
    assert_eq!(RetryLayer::by_result(StandardPolicy::new()).layer(inner).oneshot(1).await, Ok(1));
}
