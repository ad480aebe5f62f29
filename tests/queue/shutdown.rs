//! How a worker ends.

use crate::{
    running,
    support::{Seen, faulty, memory, millis, pass, put, secs},
};
use std::{convert::Infallible, sync::atomic::Ordering::SeqCst};
use steadfast::queue::{Message, Queue, Worker};
use tokio::time::Instant;
use tower::{Service as _, service_fn};

fn takes(
    seconds: u64,
    seen: &Seen,
) -> impl tower::Service<Message, Response = (), Error = Infallible, Future: Send> + Clone + Send + use<> {
    let seen = seen.clone();
    service_fn(move |message: Message| {
        seen.note(&message);
        async move {
            pass(secs(seconds)).await;
            Ok::<_, Infallible>(())
        }
    })
}

#[tokio::test(start_paused = true)]
async fn what_runs_ends_with_its_lease_extended_and_nothing_more_is_claimed() {
    let queue = memory();
    put(&queue, ["a", "b", "c"]).await;
    let seen = Seen::new();
    let worker = Worker::new(queue.clone(), takes(20, &seen)).with_concurrency(2).with_lease(secs(3));
    let mut worker = running!(worker);
    pass(secs(1)).await;
    worker.tell();
    // a second worker, so that a lapsed lease would be claimed
    let other_seen = Seen::new();
    let other = running!(Worker::new(queue.clone(), takes(100, &other_seen)).with_concurrency(8).with_drain(secs(0)));
    let begun = Instant::now();
    worker.task.await.unwrap();
    assert!((secs(18)..secs(21)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    other.stop().await;
    assert_eq!(seen.bodies(), ["a", "b"]);
    assert_eq!(other_seen.bodies(), ["c"]);
    assert_eq!(queue.stats().await.unwrap().done, 2);
}

#[tokio::test(start_paused = true)]
async fn a_drain_has_an_end_and_what_is_dropped_counts() {
    let queue = memory();
    put(&queue, ["a"]).await;
    let seen = Seen::new();
    let worker = running!(Worker::new(queue.clone(), takes(1000, &seen)).with_drain(secs(5)).with_lease(secs(3)));
    pass(secs(1)).await;
    let begun = Instant::now();
    worker.stop().await;
    assert!((secs(5)..secs(6)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    pass(secs(4)).await;
    let again = Seen::new();
    let worker = running!(Worker::new(queue.clone(), takes(0, &again)));
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(again.attempts(), [2]);
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_and_not_begun_is_given_back_with_its_attempt() {
    let (queue, faults) = faulty();
    put(&queue, ["a", "b"]).await;
    *faults.claim_takes.lock().unwrap() = secs(1);
    let seen = Seen::new();
    let mut worker = running!(Worker::new(queue.clone(), takes(0, &seen)));
    pass(millis(500)).await;
    assert_eq!(queue.stats().await.unwrap().claimed, 2, "claimed, and the answer is on its way");
    worker.tell();
    worker.task.await.unwrap();
    assert_eq!(seen.len(), 0);
    assert_eq!(queue.stats().await.unwrap().ready, 2, "ready at once");
    *faults.claim_takes.lock().unwrap() = secs(0);
    let worker = running!(Worker::new(queue.clone(), takes(0, &seen)));
    pass(secs(1)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_idle_or_not_ready_or_pausing_stops_at_once() {
    let begun = Instant::now();
    let idle = running!(Worker::new(memory(), takes(0, &Seen::new())));
    pass(millis(1)).await;
    idle.stop().await;

    let (queue, faults) = faulty();
    faults.claim.store(true, SeqCst);
    let pausing = running!(Worker::new(queue, takes(0, &Seen::new())));
    pass(secs(60)).await;
    let told = Instant::now();
    pausing.stop().await;
    assert_eq!(told.elapsed(), secs(0));

    let never = tower::ServiceBuilder::new().concurrency_limit(0).service(takes(0, &Seen::new()));
    let unready = running!(Worker::new(memory(), never));
    pass(millis(1)).await;
    unready.stop().await;
    assert!(begun.elapsed() < secs(61));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_hold_up_a_shutdown_for_ever() {
    let (queue, faults) = faulty();
    put(&queue, ["a"]).await;
    *faults.claim_takes.lock().unwrap() = secs(1_000_000);
    let worker = running!(Worker::new(queue, takes(0, &Seen::new())).with_drain(secs(5)));
    pass(secs(1)).await;
    let told = Instant::now();
    worker.stop().await;
    assert_eq!(told.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_given_back_does_not_hold_up_a_shutdown() {
    let (queue, faults) = faulty();
    put(&queue, ["a", "b"]).await;
    *faults.claim_takes.lock().unwrap() = secs(10);
    faults.settle_hangs.store(true, SeqCst);
    let limit = tower::limit::GlobalConcurrencyLimitLayer::new(2);
    let seen = Seen::new();
    let mut limited = tower::ServiceBuilder::new().layer(limit).service(takes(1, &seen));
    let worker = Worker::new(queue.clone(), limited.clone()).with_concurrency(2).with_lease(secs(24 * 3600));
    let worker = running!(worker.with_drain(secs(5)));
    pass(secs(2)).await;
    // one of the two that were claimed finds no instance
    std::future::poll_fn(|cx| limited.poll_ready(cx)).await.unwrap();
    pass(secs(20)).await;
    assert_eq!((seen.len(), faults.settles.load(SeqCst)), (1, 2), "one attempt, and one to be given back");
    let told = Instant::now();
    worker.stop().await;
    assert_eq!(told.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_was_there_before_claims_nothing() {
    let queue: Queue = memory();
    put(&queue, ["a"]).await;
    let seen = Seen::new();
    Worker::new(queue.clone(), takes(0, &seen)).run(std::future::ready(())).await;
    assert_eq!(seen.len(), 0);
    assert_eq!(queue.stats().await.unwrap().ready, 1);
}
