//! Leases are extended while work goes on, and work ends with its lease.

use crate::{
    running,
    support::{Seen, faulty, memory, pass, put, secs},
};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use steadfast::queue::{Claim, Filter, Message, Queue, Reason, Settle, Worker};
use tower::service_fn;

/// Counts those that were dropped before they ended.
struct Dropped(Arc<AtomicUsize>, bool);

impl Drop for Dropped {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, SeqCst);
        }
    }
}

fn hangs(
    dropped: &Arc<AtomicUsize>,
) -> impl tower::Service<Message, Response = (), Error = Infallible, Future: Send> + Clone + Send + use<> {
    let dropped = dropped.clone();
    service_fn(move |_: Message| {
        let dropped = Dropped(dropped.clone(), false);
        async move {
            let _dropped = dropped;
            std::future::pending::<Result<(), Infallible>>().await
        }
    })
}

async fn claim(queue: &Queue) -> Vec<Message> {
    let claim = Claim { limit: 10, lease: secs(30), max_attempts: 3 };
    queue.store().claim(queue.name(), claim).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn work_that_outlasts_its_lease_is_done_once() {
    let queue = memory();
    put(&queue, ["slow"]).await;
    let seen = Seen::new();
    let noted = seen.clone();
    let service = service_fn(move |message: Message| {
        noted.note(&message);
        async {
            pass(secs(50)).await;
            Ok::<_, Infallible>(())
        }
    });
    let one = || Worker::new(queue.clone(), service.clone()).with_lease(secs(3));
    let (first, second) = (running!(one()), running!(one()));
    pass(secs(60)).await;
    first.stop().await;
    second.stop().await;
    assert_eq!(seen.attempts(), [1]);
    assert_eq!(queue.stats().await.unwrap().done, 1);
}

#[tokio::test(start_paused = true)]
async fn leases_are_extended_together_every_third() {
    let (queue, faults) = faulty();
    put(&queue, ["m"; 5]).await;
    let dropped = Arc::default();
    let worker = Worker::new(queue.clone(), hangs(&dropped)).with_lease(secs(30)).with_concurrency(5);
    let worker = running!(worker.with_attempt_limit(secs(3600)).with_drain(secs(0)));
    pass(secs(61)).await;
    assert_eq!(*faults.extended.lock().unwrap(), [5; 6], "one call for all of them");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_cancels_the_work() {
    let (queue, faults) = faulty();
    put(&queue, ["a"]).await;
    let dropped: Arc<AtomicUsize> = Arc::default();
    let worker = Worker::new(queue.clone(), hangs(&dropped)).with_lease(secs(3)).with_attempt_limit(secs(3600));
    let worker = running!(worker.with_concurrency(1));
    pass(secs(1)).await;
    // cut off from its store for so long that somebody else claims
    faults.extend.store(true, SeqCst);
    pass(secs(5)).await;
    assert_eq!(dropped.load(SeqCst), 0, "a store that does not answer cancels nothing");
    let stolen = claim(&queue).await;
    assert_eq!(stolen[0].attempt(), 2);
    faults.extend.store(false, SeqCst);
    pass(secs(2)).await;
    assert_eq!(dropped.load(SeqCst), 1, "and one that says it is lost does");
    let settles = faults.settles.load(SeqCst);
    assert_eq!(settles, 0, "nothing is told of an attempt that was cancelled");
    let settled = queue.store().settle(vec![(stolen[0].lease(), Settle::Done)]).await.unwrap();
    assert_eq!(settled, [Ok(())], "the one who claimed it is unharmed");
    // the place is free again
    put(&queue, ["b"]).await;
    pass(secs(1)).await;
    assert_eq!(queue.stats().await.unwrap().claimed, 1);
    worker.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stale_worker_settles_nothing() {
    let (queue, faults) = faulty();
    put(&queue, ["a"]).await;
    let seen = Seen::new();
    let noted = seen.clone();
    let service = service_fn(move |message: Message| {
        noted.note(&message);
        async {
            pass(secs(7)).await;
            Ok::<_, Infallible>(())
        }
    });
    faults.extend.store(true, SeqCst);
    let worker = running!(Worker::new(queue.clone(), service).with_lease(secs(3)).with_concurrency(1));
    pass(secs(5)).await;
    let stolen = claim(&queue).await;
    assert_eq!(stolen.len(), 1);
    pass(secs(5)).await;
    assert_eq!(faults.settles.load(SeqCst), 1, "it tried");
    assert_eq!(queue.stats().await.unwrap().claimed, 1, "and the message is the other's still");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_costs_an_attempt_and_a_crash_loop_ends() {
    let queue = memory();
    put(&queue, ["poison"]).await;
    let dropped = Arc::default();
    for attempt in 1..=3 {
        let worker = running!(Worker::new(queue.clone(), hangs(&dropped)).with_lease(secs(3)).with_max_attempts(3));
        pass(secs(1)).await;
        assert_eq!(queue.stats().await.unwrap().claimed, 1, "attempt {attempt}");
        worker.task.abort();
        pass(secs(5)).await;
        assert_eq!(dropped.load(SeqCst), attempt, "its work dies with it");
    }
    let worker = running!(Worker::new(queue.clone(), hangs(&dropped)).with_lease(secs(3)).with_max_attempts(3));
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(dropped.load(SeqCst), 3, "it was not begun a fourth time");
    let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
    assert_eq!(letters[0].reason, Reason::Crashed);
    assert_eq!(letters[0].history.iter().map(|entry| entry.outcome.as_str()).collect::<Vec<_>>(), ["crashed"; 3]);
}
