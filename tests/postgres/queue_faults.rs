//! The server is killed, connections are cut.

use crate::{
    postgres_server::{Server, pool},
    queue::{count, elsewhere, keyed, store, up_to},
    queue_transactions::is_heard,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    backoff::Exponential,
    error::BoxError,
    queue::{Message, MessageId, NewMessage, Queue, QueueStore, Worker},
    store::postgres::{PostgresStore, sqlx},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tower::service_fn;

const LISTENERS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";

/// Whoever is connected to this database beside the one who asks.
async fn cut(store: &PostgresStore, only: &str) -> i64 {
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND {only}"
    );
    count(store, &sql).await
}

#[tokio::test]
async fn a_line_that_is_cut_while_somebody_waits_is_noticed_and_made_again() {
    let store = store().await;
    let there = elsewhere(&store).await;
    let waiting = there.clone();
    let worker = tokio::spawn(async move {
        while waiting.claim("q", up_to(1)).await.unwrap().is_empty() {
            waiting.wait("q").await;
        }
    });
    is_heard(&store, 1).await;
    assert_eq!(cut(&store, "query LIKE 'LISTEN%'").await, 1);
    let since = Instant::now();
    store.enqueue("q", vec![NewMessage::new("x")]).await.unwrap();
    timeout(Duration::from_secs(5), worker).await.unwrap().unwrap();
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}: by the clock, if not by the line", since.elapsed());
    is_heard(&store, 1).await;
    assert_eq!(count(&store, LISTENERS).await, 1, "one line, however often it is made");
    drop(there);
    let closed = timeout(Duration::from_secs(5), async {
        while count(&store, LISTENERS).await > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    });
    closed.await.expect("with the store its line is closed");
}

#[tokio::test]
async fn a_pool_that_is_closed_ends_the_line_too() {
    let store = store().await;
    let there = elsewhere(&store).await;
    let _ = timeout(Duration::from_millis(10), there.wait("q")).await;
    is_heard(&store, 1).await;
    there.pool().close().await;
    let closed = timeout(Duration::from_secs(5), async {
        while count(&store, LISTENERS).await > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    });
    closed.await.expect("the line is closed");
    assert!(there.claim("q", up_to(1)).await.is_err());
    timeout(Duration::from_secs(2), there.wait("q")).await.expect("a wait ends, and whoever claims is told");
}

/// Enqueues with a key until it is answered.
async fn enqueue(store: &PostgresStore, key: &str) {
    while store.enqueue("q", vec![keyed(key, &[key])]).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_restarted_under_a_running_worker_nothing_is_lost() {
    const MESSAGES: usize = 200;
    let mut server = Server::start();
    let url = server.url(&server.database().await);
    let store = PostgresStore::new(pool(&url).await);
    store.migrate().await.unwrap();
    let seen: Arc<Mutex<HashMap<MessageId, Vec<u32>>>> = Arc::default();
    let handled = seen.clone();
    let service = service_fn(move |message: Message| {
        handled.lock().unwrap().entry(message.id()).or_default().push(message.attempt());
        async {
            sleep(Duration::from_millis(3)).await;
            Ok::<_, BoxError>(())
        }
    });
    let backoff = Exponential::new(Duration::from_millis(10), Duration::from_millis(100)).unwrap();
    let worker = Worker::new(Queue::new("q", store.clone()), service)
        .with_concurrency(4)
        .with_lease(Duration::from_secs(1))
        .with_max_attempts(100)
        .with_backoff(backoff);
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let worker = tokio::spawn(worker.run(async move { stopped.notified().await }));
    let sender = store.clone();
    let sender = tokio::spawn(async move {
        for n in 0..MESSAGES {
            enqueue(&sender, &n.to_string()).await;
        }
    });
    for pause in [150, 400] {
        sleep(Duration::from_millis(pause)).await;
        server.kill();
        sleep(Duration::from_millis(200)).await;
        server.restart();
    }
    timeout(Duration::from_secs(60), sender).await.unwrap().unwrap();
    let done = timeout(Duration::from_secs(60), async {
        // right after a start the server may refuse for a moment
        while store.stats("q").await.map_or(0, |stats| stats.done) < MESSAGES as u64 {
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(done.await.is_ok(), "{:?}", store.stats("q").await);
    stop.notify_one();
    worker.await.unwrap();
    let stats = store.stats("q").await.unwrap();
    assert_eq!(
        (stats.done, stats.open(), stats.dead),
        (MESSAGES as u64, 0, 0),
        "none doubled by an answer that was lost"
    );
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), MESSAGES, "none was claimed that was not enqueued, and none left out");
    assert!(
        seen.values().all(|attempts| attempts.windows(2).all(|pair| pair[0] < pair[1])),
        "each attempt once: {seen:?}"
    );
    // and what is committed is heard of again
    is_heard(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_anywhere_lose_and_double_nothing_that_has_a_key() {
    let store = store().await;
    let there = elsewhere(&store).await;
    let sender = tokio::spawn(async move {
        for n in 0..300 {
            enqueue(&there, &n.to_string()).await;
        }
    });
    while !sender.is_finished() {
        sleep(Duration::from_millis(15)).await;
        cut(&store, "true").await;
    }
    sender.await.unwrap();
    let bodies = "SELECT count(DISTINCT body) FROM steadfast_queue";
    assert_eq!((count(&store, bodies).await, store.stats("q").await.unwrap().ready), (300, 300));
    sqlx::query("SELECT 1").execute(store.pool()).await.unwrap();
}
