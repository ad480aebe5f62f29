//! A store that fails pauses a worker and never ends it.

use crate::{
    running,
    support::{Seen, faulty, pass, put, secs},
};
use std::{convert::Infallible, sync::atomic::Ordering::SeqCst};
use steadfast::queue::{Message, NewMessage, Worker};
use tower::service_fn;

fn notes(
    seen: &Seen,
) -> impl tower::Service<Message, Response = (), Error = Infallible, Future: Send> + Clone + Send + use<> {
    let seen = seen.clone();
    service_fn(move |message: Message| {
        seen.note(&message);
        async { Ok::<_, Infallible>(()) }
    })
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_is_tried_again_after_a_pause() {
    let (queue, faults) = faulty();
    put(&queue, ["a"]).await;
    faults.claim.store(true, SeqCst);
    let seen = Seen::new();
    let worker = running!(Worker::new(queue.clone(), notes(&seen)));
    pass(secs(600)).await;
    let claims = faults.claims.load(SeqCst);
    assert!((300..=620).contains(&claims), "from 100 ms up to 2 s apart: {claims}");
    faults.claim.store(false, SeqCst);
    pass(secs(3)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_settle_is_repeated_until_the_store_answers_and_the_work_is_not() {
    let (queue, faults) = faulty();
    put(&queue, ["a", "b"]).await;
    faults.settle.store(true, SeqCst);
    let seen = Seen::new();
    let worker = running!(Worker::new(queue.clone(), notes(&seen)).with_lease(secs(3)).with_concurrency(1));
    pass(secs(600)).await;
    assert_eq!(seen.bodies(), ["a"], "nothing more is begun than can be settled");
    assert!(faults.settles.load(SeqCst) > 50);
    faults.settle.store(false, SeqCst);
    pass(secs(6)).await;
    worker.stop().await;
    assert_eq!(seen.attempts(), [1, 1], "the lease was extended meanwhile");
    assert_eq!(queue.stats().await.unwrap().done, 2);
}

#[tokio::test(start_paused = true)]
async fn an_enqueue_that_fails_says_so() {
    let (queue, faults) = faulty();
    faults.enqueue.store(true, SeqCst);
    let error = queue.enqueue(NewMessage::new("a")).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is down");
    faults.enqueue.store(false, SeqCst);
    assert_eq!(queue.stats().await.unwrap().open(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_registry_shows_what_a_queue_did() {
    let registry = steadfast::registry::Registry::new();
    let (queue, faults) = faulty();
    let queue = queue.with_registry(&registry);
    queue.enqueue(NewMessage::new("a").with_dedupe("k")).await.unwrap();
    queue.enqueue(NewMessage::new("a").with_dedupe("k")).await.unwrap();
    faults.enqueue.store(true, SeqCst);
    queue.enqueue(NewMessage::new("b")).await.unwrap_err();
    let worker = running!(Worker::new(queue.clone(), notes(&Seen::new())));
    pass(secs(1)).await;
    worker.stop().await;
    let snapshot = registry.snapshot();
    assert_eq!((snapshot[0].kind, snapshot[0].name.as_str()), ("queue", "q"));
    let of = |name: &str| snapshot[0].state.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    for (name, value) in
        [("enqueued_total", 1), ("duplicates_total", 1), ("unstored_total", 1), ("done_total", 1), ("running", 0)]
    {
        assert_eq!(of(name), Some(value.into()), "{name}");
    }
    assert_eq!(of("ready"), None, "not counted before somebody asks");
    queue.stats().await.unwrap();
    let snapshot = registry.snapshot();
    assert!(snapshot[0].state.contains(&("done", 1.into())));
}
