//! Settings that are beyond reason, and workers that live for a moment.

use crate::{
    running,
    support::{Seen, faulty, memory, pass, put, secs},
};
use std::{convert::Infallible, sync::atomic::Ordering::SeqCst, time::Duration};
use steadfast::queue::{Message, NewMessage, Worker};
use tower::service_fn;

fn noting(
    seen: &Seen,
) -> impl tower::Service<Message, Response = (), Error = Infallible, Future: Send> + Clone + Send + 'static + use<> {
    let seen = seen.clone();
    service_fn(move |message: Message| {
        seen.note(&message);
        async { Ok::<_, Infallible>(()) }
    })
}

#[tokio::test(start_paused = true)]
async fn no_setting_is_too_large_for_a_worker() {
    let queue = memory();
    let far = Duration::MAX;
    queue.enqueue(NewMessage::new("a").with_max_age(far).with_dedupe("k").with_dedupe_for(far)).await.unwrap();
    put(&queue, vec!["b"; 999]).await;
    let seen = Seen::new();
    let worker = Worker::new(queue.clone(), noting(&seen))
        .with_concurrency(usize::MAX)
        .with_lease(far)
        .with_max_attempts(u32::MAX)
        .with_attempt_limit(far)
        .with_park_for(far)
        .with_drain(far)
        .with_keep_done(far);
    let worker = running!(worker);
    pass(secs(100)).await;
    worker.stop().await;
    assert_eq!(seen.len(), 1_000);
    assert_eq!(queue.stats().await.unwrap().done, 1_000);
}

#[tokio::test(start_paused = true)]
async fn no_setting_is_too_small_for_a_worker() {
    let (queue, faults) = faulty();
    put(&queue, ["a", "b"]).await;
    let seen = Seen::new();
    let zero = Duration::ZERO;
    let worker = Worker::new(queue.clone(), noting(&seen))
        .with_concurrency(0)
        .with_lease(zero)
        .with_max_attempts(0)
        .with_park_for(zero)
        .with_drain(zero)
        .with_keep_done(zero);
    let worker = running!(worker);
    pass(secs(100)).await;
    assert!(faults.claims.load(SeqCst) < 10, "it does not spin");
    worker.stop().await;
    assert_eq!(seen.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn workers_that_live_for_a_moment_remove_what_is_over() {
    let queue = memory();
    for round in 0..12 {
        put(&queue, vec!["m"; 1_500]).await;
        let seen = Seen::new();
        let worker = running!(Worker::new(queue.clone(), noting(&seen)).with_keep_done(secs(60)));
        pass(secs(10)).await;
        worker.stop().await;
        assert_eq!(seen.len(), 1_500);
        let kept = queue.stats().await.unwrap().done;
        // ten seconds each: those of seven rounds are not older than a minute
        assert!(kept <= 7 * 1_500, "round {round}: {kept} messages are kept that were done long ago");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_removes_what_is_over_when_it_stops() {
    let queue = memory();
    let seen = Seen::new();
    let worker = running!(Worker::new(queue.clone(), noting(&seen)).with_keep_done(Duration::ZERO));
    pass(secs(1)).await;
    put(&queue, vec!["m"; 1_500]).await;
    pass(secs(1)).await;
    assert_eq!(queue.stats().await.unwrap().done, 1_500);
    worker.stop().await;
    assert_eq!(queue.stats().await.unwrap().done, 0);
}
