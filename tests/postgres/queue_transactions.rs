//! Messages in the user's own transaction, and who is woken by them.

use crate::queue::{count, elsewhere, keyed, store, up_to};
use std::time::Duration;
use steadfast::{
    queue::{Enqueued, NewMessage, Queue, QueueStore},
    store::{
        memory::MemoryStore,
        postgres::{
            PostgresStore,
            sqlx::{self, Row},
        },
    },
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Somebody who waits as another process does, once it hears what is committed here.
async fn waiting(store: &PostgresStore) -> JoinHandle<()> {
    let there = elsewhere(store).await;
    let waiting = there.clone();
    let first = tokio::spawn(async move { waiting.wait("q").await });
    is_heard(store, 1).await;
    first.abort();
    tokio::spawn(async move { there.wait("q").await })
}

/// Until so many listen.
pub(crate) async fn is_heard(store: &PostgresStore, by: i64) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    for _ in 0..500 {
        if count(store, sql).await >= by {
            // it is told so a moment later
            return sleep(Duration::from_millis(50)).await;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody listens");
}

async fn table(store: &PostgresStore) {
    sqlx::query("CREATE TABLE payment(amount bigint NOT NULL)").execute(store.pool()).await.unwrap();
}

#[tokio::test]
async fn write_and_message_are_there_together() {
    let store = store().await;
    table(&store).await;
    let queue = Queue::new("q", store.clone());
    let mut tx = store.pool().begin().await.unwrap();
    sqlx::query("INSERT INTO payment VALUES(5)").execute(&mut *tx).await.unwrap();
    let message = NewMessage::new("receipt").with_topic("t").with_destination("d");
    let id = store.enqueue_in(&mut tx, &queue, message).await.unwrap().id();
    assert!(store.claim("q", up_to(1)).await.unwrap().is_empty(), "not before the commit");
    tx.commit().await.unwrap();
    let message = store.claim("q", up_to(1)).await.unwrap().remove(0);
    assert_eq!((message.id(), message.topic(), message.destination()), (id, Some("t"), Some("d")));
    assert_eq!(count(&store, "SELECT count(*) FROM payment").await, 1);
}

#[tokio::test]
async fn rolled_back_it_leaves_nothing_and_wakes_nobody_and_committed_it_wakes_at_once() {
    let store = store().await;
    let queue = Queue::new("q", store.clone());
    let waiting = waiting(&store).await;
    let mut tx = store.pool().begin().await.unwrap();
    store.enqueue_in(&mut tx, &queue, keyed("x", &["one"])).await.unwrap();
    store.enqueue_in(&mut tx, &queue, keyed("y", &["two", "three"])).await.unwrap();
    tx.rollback().await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "woken by what never was");
    for table in ["steadfast_queue", "steadfast_dedupe"] {
        assert_eq!(count(&store, &format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    let mut shortest = Duration::MAX;
    let mut waiting = Some(waiting);
    for n in 0..5 {
        let waits = match waiting.take() {
            Some(waiting) => waiting,
            None => self::waiting(&store).await,
        };
        sleep(Duration::from_millis(50)).await;
        let mut tx = store.pool().begin().await.unwrap();
        let key = n.to_string();
        store.enqueue_in(&mut tx, &queue, keyed("x", &[&key])).await.unwrap();
        sleep(Duration::from_millis(50)).await;
        assert!(!waits.is_finished(), "woken before the commit");
        let since = Instant::now();
        tx.commit().await.unwrap();
        waits.await.unwrap();
        shortest = shortest.min(since.elapsed());
        assert_eq!(store.claim("q", up_to(1)).await.unwrap().len(), 1);
    }
    assert!(shortest < Duration::from_millis(200), "{shortest:?}: sooner than it would look by itself");
}

#[tokio::test]
async fn a_queue_of_another_store_is_refused_and_the_transaction_goes_on() {
    let store = store().await;
    table(&store).await;
    let others = [
        Queue::new("q", MemoryStore::new()),
        Queue::new("q", elsewhere(&store).await),
        Queue::new("q".repeat(256), store.clone()),
    ];
    let mut tx = store.pool().begin().await.unwrap();
    for other in &others {
        assert!(store.enqueue_in(&mut tx, other, NewMessage::new("x")).await.is_err());
    }
    let zero = NewMessage::new("x").with_topic("\0");
    assert!(store.enqueue_in(&mut tx, &Queue::new("q", store.clone()), zero).await.is_err());
    sqlx::query("INSERT INTO payment VALUES(5)").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM payment").await, 1);
    assert_eq!(store.stats("q").await.unwrap().open(), 0);
}

#[tokio::test]
async fn whether_a_key_is_known_is_said_once_the_transaction_that_brought_it_has_ended() {
    let store = store().await;
    let queue = Queue::new("q", store.clone());
    for (keys, commits) in [(["a", "a"], true), (["b", "c"], true), (["d", "d"], false), (["e", "f"], false)] {
        let mut tx = store.pool().begin().await.unwrap();
        let first = store.enqueue_in(&mut tx, &queue, keyed("first", &keys)).await.unwrap();
        let second = {
            let store = store.clone();
            tokio::spawn(async move { store.enqueue("q", vec![keyed("second", &[keys[1], "own"])]).await.unwrap()[0] })
        };
        sleep(Duration::from_millis(100)).await;
        assert!(!second.is_finished(), "it cannot know yet");
        if commits {
            tx.commit().await.unwrap();
            assert_eq!(second.await.unwrap(), Enqueued::Duplicate(first.id()));
        } else {
            tx.rollback().await.unwrap();
            assert!(matches!(second.await.unwrap(), Enqueued::New(_)));
            sqlx::query("DELETE FROM steadfast_dedupe").execute(store.pool()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn one_transaction_may_bring_many_messages_and_keys_again() {
    let store = store().await;
    let queue = Queue::new("q", store.clone());
    let mut tx = store.pool().begin().await.unwrap();
    let first = store.enqueue_in(&mut tx, &queue, keyed("x", &["a", "b"])).await.unwrap();
    let second = store.enqueue_in(&mut tx, &queue, keyed("x", &["b"])).await.unwrap();
    let third = store.enqueue_in(&mut tx, &queue, keyed("x", &["c"])).await.unwrap();
    assert_eq!(second, Enqueued::Duplicate(first.id()));
    assert!(matches!(third, Enqueued::New(_)));
    tx.commit().await.unwrap();
    assert_eq!(store.stats("q").await.unwrap().ready, 2);
}

/// An `enqueue_in` that is dropped half way, and a transaction that is committed all the same.
#[tokio::test]
async fn given_up_half_way_no_key_is_known_without_its_message() {
    let store = store().await;
    let queue = Queue::new("q", store.clone());
    let mut random = fastrand::Rng::with_seed(5);
    for n in 0..100 {
        let message = || keyed(&n.to_string(), &[&format!("{n}-a"), &format!("{n}-b")]);
        let mut tx = store.pool().begin().await.unwrap();
        let limit = Duration::from_micros(random.u64(0..2_000));
        let _ = tokio::time::timeout(limit, store.enqueue_in(&mut tx, &queue, message())).await;
        tx.commit().await.unwrap();
        store.enqueue("q", vec![message()]).await.unwrap();
    }
    let bodies = sqlx::query("SELECT count(DISTINCT body), count(*) FROM steadfast_queue");
    let row = bodies.fetch_one(store.pool()).await.unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (100, 100));
}
