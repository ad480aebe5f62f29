//! `poll_ready` gates what is claimed.

use crate::{
    running,
    support::{Seen, faulty, memory, millis, pass, put, secs},
};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};
use steadfast::{
    error::{BoxError, BoxFuture},
    queue::{Message, Queue, Worker},
};
use tower::{Service, ServiceBuilder, service_fn};

/// Ready when it is told to be; not `Sync`, and each clone must be made ready on its own.
#[derive(Clone)]
struct Gate {
    open: Arc<AtomicBool>,
    fails: Arc<AtomicUsize>,
    seen: Seen,
    ready: std::cell::Cell<bool>,
}

impl Gate {
    fn new(open: bool) -> Self {
        let open = Arc::new(AtomicBool::new(open));
        Self { open, fails: Arc::default(), seen: Seen::new(), ready: std::cell::Cell::new(false) }
    }
}

impl Service<Message> for Gate {
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.fails.load(SeqCst) > 0 {
            self.fails.fetch_sub(1, SeqCst);
            return Poll::Ready(Err("not now".into()));
        }
        if !self.open.load(SeqCst) {
            // asked again at the next turn of the clock
            let waker = cx.waker().clone();
            tokio::spawn(async move {
                pass(millis(10)).await;
                waker.wake();
            });
            return Poll::Pending;
        }
        self.ready.set(true);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, message: Message) -> Self::Future {
        assert!(self.ready.take(), "called without being ready");
        self.seen.note(&message);
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_while_the_service_is_not_ready() {
    let (queue, faults) = faulty();
    put(&queue, ["a", "b"]).await;
    let gate = Gate::new(false);
    let worker = running!(Worker::new(queue.clone(), gate.clone()));
    pass(secs(5)).await;
    assert_eq!(faults.claims.load(SeqCst), 0, "no lease without a ready service");
    assert_eq!(queue.stats().await.unwrap().ready, 2);
    gate.open.store(true, SeqCst);
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(gate.seen.attempts(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_become_ready_is_asked_again_and_the_worker_lives() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let gate = Gate::new(true);
    gate.fails.store(5, SeqCst);
    let worker = running!(Worker::new(queue.clone(), gate.clone()));
    pass(secs(60)).await;
    worker.stop().await;
    assert_eq!(gate.seen.attempts(), [1], "no attempt was used");
}

#[tokio::test(start_paused = true)]
async fn the_readied_instance_is_the_one_that_is_called() {
    let queue = memory();
    put(&queue, ["a", "b", "c", "d", "e"]).await;
    let gate = Gate::new(true);
    let worker = running!(Worker::new(queue.clone(), gate.clone()).with_concurrency(2));
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(gate.seen.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_concurrency_run_at_once() {
    let queue = memory();
    put(&queue, ["m"; 20]).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, max) = (running.clone(), most.clone());
    let service = service_fn(move |_: Message| {
        let (now, max) = (now.clone(), max.clone());
        async move {
            max.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            pass(millis(100)).await;
            now.fetch_sub(1, SeqCst);
            Ok::<_, Infallible>(())
        }
    });
    let worker = running!(Worker::new(queue.clone(), service).with_concurrency(3));
    pass(millis(50)).await;
    assert_eq!(queue.stats().await.unwrap().claimed, 3, "nothing is claimed ahead");
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(most.load(SeqCst), 3);
    assert_eq!(queue.stats().await.unwrap().done, 20);
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_holds_no_place_of_a_limit_that_others_share() {
    let queue = memory();
    let limit = tower::limit::GlobalConcurrencyLimitLayer::new(1);
    let service = service_fn(|_: Message| async { Ok::<_, Infallible>(()) });
    let limited = ServiceBuilder::new().layer(limit).service(service);
    let mut other = limited.clone();
    let worker = running!(Worker::new(queue.clone(), limited));
    pass(secs(1)).await;
    let ready = std::future::poll_fn(|cx| other.poll_ready(cx));
    tokio::time::timeout(secs(1), ready).await.expect("the place is free").unwrap();
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shared_limit_below_the_concurrency_claims_one_by_one() {
    let (queue, _) = faulty();
    put(&queue, ["m"; 4]).await;
    let service = service_fn(|_: Message| async {
        pass(millis(100)).await;
        Ok::<_, Infallible>(())
    });
    let limited = ServiceBuilder::new().concurrency_limit(1).service(service);
    let worker = running!(Worker::new(queue.clone(), limited).with_concurrency(8));
    pass(millis(50)).await;
    assert_eq!(queue.stats().await.unwrap().claimed, 1);
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(queue.stats().await.unwrap().done, 4);
}

#[tokio::test(start_paused = true)]
async fn no_wake_up_is_lost() {
    // an enqueue right after a claim that found nothing, before the worker waits
    let (queue, faults) = faulty();
    *faults.claim_takes.lock().unwrap() = millis(100);
    let gate = Gate::new(true);
    let worker = running!(Worker::new(queue.clone(), gate.clone()));
    pass(millis(50)).await;
    assert_eq!(faults.claims.load(SeqCst), 1, "on its way, and has found nothing");
    put(&queue, ["a"]).await;
    pass(millis(300)).await;
    worker.stop().await;
    assert_eq!(gate.seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_asks_nothing_of_its_store() {
    let (queue, faults) = faulty();
    let worker = running!(Worker::new(queue.clone(), Gate::new(true)));
    pass(secs(1)).await;
    let before = faults.claims.load(SeqCst);
    pass(secs(3600)).await;
    assert_eq!(faults.claims.load(SeqCst), before, "it is told when there is something");
    assert_eq!(faults.extends.load(SeqCst), 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_idle_worker_is_woken() {
    let queue = memory();
    let slow = service_fn(|_: Message| async {
        pass(secs(10)).await;
        Ok::<_, Infallible>(())
    });
    let one = || Worker::new(queue.clone(), slow).with_concurrency(1);
    let (first, second) = (running!(one()), running!(one()));
    pass(secs(1)).await;
    put(&queue, ["a", "b"]).await;
    pass(secs(1)).await;
    assert_eq!(queue.stats().await.unwrap().claimed, 2);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_buffer_serves_a_service_that_is_not_clone() {
    struct NotClone(Seen);
    impl Service<Message> for NotClone {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Ready<Result<(), BoxError>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, message: Message) -> Self::Future {
            self.0.note(&message);
            std::future::ready(Ok(()))
        }
    }
    let queue: Queue = memory();
    put(&queue, ["a", "b"]).await;
    let seen = Seen::new();
    let buffered = ServiceBuilder::new().buffer(4).service(NotClone(seen.clone()));
    let worker = running!(Worker::new(queue.clone(), buffered));
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(seen.len(), 2);
}

/// The instance that was made ready first holds the place; a second one, which was ready only to refuse, is not called for it.
#[tokio::test(start_paused = true)]
async fn the_instance_that_holds_the_place_of_a_limit_is_the_one_that_is_called() {
    for concurrency in [2, 3, 8] {
        let queue = memory();
        put(&queue, ["a"]).await;
        let service = service_fn(|_: Message| async { Ok::<_, Infallible>(()) });
        let shed = ServiceBuilder::new().load_shed().concurrency_limit(1).service(service);
        let worker = running!(Worker::new(queue.clone(), shed).with_concurrency(concurrency));
        pass(secs(1)).await;
        worker.stop().await;
        let stats = queue.stats().await.unwrap();
        assert_eq!((stats.done, stats.parked), (1, 0), "concurrency {concurrency}");
    }
}

/// Three instances are ready and there is one message: while it runs, the two others hold no place of the limit.
#[tokio::test(start_paused = true)]
async fn instances_that_are_not_used_are_dropped_before_the_call() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let limit = tower::limit::GlobalConcurrencyLimitLayer::new(3);
    let free = Arc::new(AtomicUsize::new(0));
    let (others, found) = (limit.clone(), free.clone());
    let service = service_fn(move |_: Message| {
        let at_call = (0..3).map(|_| ServiceBuilder::new().layer(others.clone()).service(service_fn(nothing)));
        let mut taken: Vec<_> = at_call.collect();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let ready = taken.iter_mut().map(|other| other.poll_ready(&mut cx)).filter(Poll::is_ready).count();
        found.store(ready, SeqCst);
        async { Ok::<_, Infallible>(()) }
    });
    let limited = ServiceBuilder::new().layer(limit).service(service);
    let worker = running!(Worker::new(queue.clone(), limited).with_concurrency(3));
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(free.load(SeqCst), 2);
}

async fn nothing((): ()) -> Result<(), Infallible> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_holds_up_no_limit_that_others_share() {
    let (queue, faults) = faulty();
    put(&queue, ["a", "b", "c"]).await;
    *faults.claim_takes.lock().unwrap() = secs(10);
    let limit = tower::limit::GlobalConcurrencyLimitLayer::new(2);
    let seen = Seen::new();
    let noted = seen.clone();
    let service = service_fn(move |message: Message| {
        noted.note(&message);
        async { Ok::<_, Infallible>(()) }
    });
    let limited = ServiceBuilder::new().layer(limit).service(service);
    let mut other = limited.clone();
    let worker = running!(Worker::new(queue.clone(), limited).with_concurrency(2));
    pass(secs(2)).await;
    assert_eq!(faults.claims.load(SeqCst), 1, "the claim is on its way");
    let ready = std::future::poll_fn(|cx| other.poll_ready(cx));
    tokio::time::timeout(millis(1), ready).await.expect("a place is free").unwrap();
    // the place of the other is taken: one of the two messages begins, the other one goes back
    pass(secs(9)).await;
    assert_eq!(seen.attempts(), [1]);
    drop(other);
    pass(secs(60)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1, 1, 1], "handed back with its attempt");
    assert_eq!(queue.stats().await.unwrap().done, 3);
}

/// What cannot begin within a third of its lease is handed back, with its attempt.
#[tokio::test(start_paused = true)]
async fn messages_that_a_slow_store_gave_to_a_service_that_is_busy_by_then_go_back() {
    let (queue, faults) = faulty();
    put(&queue, ["a", "b"]).await;
    *faults.claim_takes.lock().unwrap() = secs(5);
    let gate = Gate::new(true);
    let worker = running!(Worker::new(queue.clone(), gate.clone()).with_concurrency(2).with_lease(secs(30)));
    pass(secs(2)).await;
    gate.open.store(false, SeqCst);
    pass(secs(14)).await;
    assert_eq!((gate.seen.len(), queue.stats().await.unwrap().ready), (0, 2));
    gate.open.store(true, SeqCst);
    pass(secs(20)).await;
    worker.stop().await;
    assert_eq!(gate.seen.attempts(), [1, 1]);
}
