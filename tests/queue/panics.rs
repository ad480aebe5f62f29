//! Panics of what is the user's: outcomes, and never the end of a worker.

use crate::{
    running,
    support::{Constant, Seen, faulty, memory, pass, put, secs},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use steadfast::{
    error::BoxError,
    queue::{Message, Worker},
};
use tower::Service;

/// Where a service panics, the first times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Clone,
    PollReady,
    Call,
    Poll,
    DropService,
    DropFuture,
    Error,
}

const ALL: [At; 7] = [At::Clone, At::PollReady, At::Call, At::Poll, At::DropService, At::DropFuture, At::Error];

struct Panicky {
    at: At,
    left: Arc<AtomicUsize>,
    seen: Seen,
}

impl Panicky {
    fn new(at: At, times: usize) -> Self {
        Self { at, left: Arc::new(AtomicUsize::new(times)), seen: Seen::new() }
    }

    fn maybe(&self, here: At) {
        maybe(self.at, here, &self.left);
    }
}

fn maybe(at: At, here: At, left: &AtomicUsize) {
    let one_less = |left: usize| left.checked_sub(1);
    assert!(at != here || left.fetch_update(SeqCst, SeqCst, one_less).is_err(), "at {here:?}");
}

impl Clone for Panicky {
    fn clone(&self) -> Self {
        self.maybe(At::Clone);
        Self { at: self.at, left: self.left.clone(), seen: self.seen.clone() }
    }
}

impl Drop for Panicky {
    fn drop(&mut self) {
        self.maybe(At::DropService);
    }
}

/// Ends at its second poll.
struct Call(At, Arc<AtomicUsize>, bool);

impl Future for Call {
    type Output = Result<(), Angry>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.2, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        maybe(self.0, At::Poll, &self.1);
        let fails = self.0 == At::Error && self.1.load(SeqCst) > 0;
        Poll::Ready(if fails { Err(Angry(self.1.clone())) } else { Ok(()) })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        maybe(self.0, At::DropFuture, &self.1);
    }
}

/// Panics when it is made into a text.
#[derive(Debug)]
struct Angry(Arc<AtomicUsize>);

impl std::fmt::Display for Angry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        maybe(At::Error, At::Error, &self.0);
        f.write_str("angry")
    }
}

impl std::error::Error for Angry {}

impl Service<Message> for Panicky {
    type Response = ();
    type Error = Angry;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Angry>> {
        self.maybe(At::PollReady);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, message: Message) -> Call {
        self.seen.note(&message);
        self.maybe(At::Call);
        Call(self.at, self.left.clone(), false)
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_in_the_service_ends_no_worker_and_loses_no_message() {
    for at in ALL {
        let queue = memory();
        put(&queue, ["a", "b", "c"]).await;
        let service = Panicky::new(at, 0);
        let left = service.left.clone();
        let worker = Worker::new(queue.clone(), service).with_concurrency(2).with_backoff(Constant(secs(1)));
        left.store(3, SeqCst);
        let worker = running!(worker);
        pass(secs(20)).await;
        let stats = queue.stats().await.unwrap();
        assert!(!worker.task.is_finished(), "{at:?}: the worker has ended");
        assert_eq!((stats.done, stats.open(), stats.dead), (3, 0, 0), "{at:?}: within less than a lease");
        assert_eq!(left.load(SeqCst), 0, "{at:?}: it did panic");
        left.store(100, SeqCst);
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_in_poll_ready_is_asked_again_after_a_growing_pause_and_uses_no_attempt() {
    let (queue, faults) = faulty();
    put(&queue, ["a"]).await;
    let service = Panicky::new(At::PollReady, 5);
    let (seen, left) = (service.seen.clone(), service.left.clone());
    let worker = running!(Worker::new(queue.clone(), service).with_concurrency(1));
    pass(Duration::from_millis(40)).await;
    assert_eq!(left.load(SeqCst), 4, "asked once, then a pause");
    assert_eq!(faults.claims.load(SeqCst), 0, "nothing is claimed");
    pass(secs(10)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1]);
    // 100 ms doubling, each between half of it and all
    assert!(seen.times()[0] > Duration::from_millis(1500), "{:?}", seen.times());
}

#[tokio::test(start_paused = true)]
async fn a_backoff_that_panics_is_replaced_by_the_default_one() {
    #[derive(Debug)]
    struct Broken;
    impl steadfast::backoff::Backoff for Broken {
        fn delay(&self, _: u32, _: Duration, _: &mut fastrand::Rng) -> Duration {
            panic!("no delay")
        }
    }
    let queue = memory();
    put(&queue, ["a"]).await;
    let seen = Seen::new();
    let noted = seen.clone();
    let service = tower::service_fn(move |message: Message| {
        noted.note(&message);
        let fails = noted.len() < 3;
        async move { if fails { Err(BoxError::from("not yet")) } else { Ok(()) } }
    });
    let worker = running!(Worker::new(queue.clone(), service).with_backoff(Broken));
    pass(secs(20)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1, 2, 3]);
    assert_eq!(queue.stats().await.unwrap().done, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_signal_that_panics_is_a_shutdown() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let service = tower::service_fn(|_: Message| async {
        pass(secs(5)).await;
        Ok::<_, std::convert::Infallible>(())
    });
    let shutdown = async {
        pass(secs(1)).await;
        panic!("no signal handler");
    };
    Worker::new(queue.clone(), service).run(shutdown).await;
    assert_eq!(queue.stats().await.unwrap().done, 1, "what was running has ended in order");
}

#[tokio::test]
async fn a_closure_of_accept_that_panics_is_a_500_and_stores_nothing() {
    use bytes::Bytes;
    use http::{HeaderMap, Request, StatusCode};
    use http_body_util::Full;
    use steadfast::{dedupe::DedupeKeys, queue::Accept};
    use tower::ServiceExt;
    fn bad<T>(parts: &http::request::Parts) -> Option<T> {
        assert!(parts.uri.path() != "/bad", "a bad path");
        None
    }
    let queue = memory();
    let accept = || queue.accept();
    let settings: [Accept; 4] = [
        accept().with_topic(bad::<String>),
        accept().with_destination(bad::<String>),
        accept().with_dedupe(bad::<DedupeKeys>),
        accept().with_headers(|parts| bad::<HeaderMap>(parts).unwrap_or_default()),
    ];
    for accept in settings {
        for (path, status) in [("/bad", StatusCode::INTERNAL_SERVER_ERROR), ("/good", StatusCode::ACCEPTED)] {
            let request = Request::post(path).body(Full::new(Bytes::from("x"))).unwrap();
            let response = accept.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status);
        }
    }
    assert_eq!(queue.stats().await.unwrap().ready, 4);
}

/// A store that panics, as a user's may.
#[tokio::test(start_paused = true)]
async fn a_store_that_panics_ends_no_worker_and_loses_no_message() {
    use crate::support::Faults;
    let calls: [fn(&Faults) -> &std::sync::atomic::AtomicBool; 4] =
        [|faults| &faults.claim, |faults| &faults.extend, |faults| &faults.settle, |faults| &faults.wait];
    for call in calls {
        let (queue, faults) = faulty();
        faults.panics.store(true, SeqCst);
        call(&faults).store(true, SeqCst);
        let service = tower::service_fn(|_: Message| async {
            pass(secs(20)).await;
            Ok::<_, std::convert::Infallible>(())
        });
        let worker = running!(Worker::new(queue.clone(), service).with_lease(secs(30)));
        pass(secs(5)).await;
        put(&queue, ["a"]).await;
        pass(secs(22)).await;
        assert!(!worker.task.is_finished());
        call(&faults).store(false, SeqCst);
        pass(secs(60)).await;
        worker.stop().await;
        assert_eq!(queue.stats().await.unwrap().done, 1);
        assert!(faults.claims.load(SeqCst) < 60, "it does not spin: {}", faults.claims.load(SeqCst));
    }
}
