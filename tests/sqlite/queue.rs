//! What the queue promises beyond the contract, and how it looks in the file.

use super::{enqueue, shortest, up_to};
use std::time::Duration;
use steadfast::{
    queue::{Attempted, Claim, Filter, Message, NewMessage, QueueStore, Reason, Settle},
    store::sqlite::SqliteStore,
};
use tokio::time::{Instant, sleep};

fn store() -> (tempfile::TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("store.db")).unwrap();
    (dir, store)
}

fn attempted(attempt: u32) -> Attempted {
    Attempted {
        attempt,
        at: std::time::SystemTime::UNIX_EPOCH,
        duration: Duration::from_nanos(1_234_567),
        outcome: "refused".into(),
        status: None,
        error: "not now".into(),
    }
}

#[tokio::test]
async fn whoever_waits_is_woken_by_an_enqueue_at_once() {
    let (_dir, store) = store();
    let woken = shortest(async || {
        let waiting = store.clone();
        let waiting = tokio::spawn(async move { waiting.wait("q").await });
        sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        let since = Instant::now();
        enqueue(&store, "q", "x".into()).await.unwrap();
        waiting.await.unwrap();
        let woken = since.elapsed();
        store.claim("q", up_to(1)).await.unwrap();
        woken
    });
    assert!(woken.await < Duration::from_millis(150), "sooner than others are looked for");
}

#[tokio::test]
async fn whoever_waits_is_woken_when_a_message_is_due() {
    let (_dir, store) = store();
    let woken = shortest(async || {
        store.enqueue("q", vec![NewMessage::new("x").with_delay(Duration::from_millis(60))]).await.unwrap();
        let since = Instant::now();
        while store.claim("q", up_to(1)).await.unwrap().is_empty() {
            store.wait("q").await;
        }
        since.elapsed()
    })
    .await;
    assert!(woken < Duration::from_millis(200), "{woken:?}: sooner than others are looked for");
}

#[tokio::test]
async fn no_wait_reaches_beyond_the_greatest_age() {
    let (_dir, store) = store();
    store.enqueue("q", vec![NewMessage::new("x").with_max_age(Duration::from_millis(50))]).await.unwrap();
    let message = store.claim("q", up_to(1)).await.unwrap().remove(0);
    let park = Settle::Park { after: Duration::from_secs(3600), attempted: attempted(1) };
    store.settle(vec![(message.lease(), park)]).await.unwrap()[0].unwrap();
    sleep(Duration::from_millis(80)).await;
    assert!(store.claim("q", up_to(1)).await.unwrap().is_empty());
    let letter = store.dead("q", &Filter::all(), None, 1).await.unwrap().remove(0);
    assert_eq!((letter.reason, letter.attempts), (Reason::Expired, 0));
    assert_eq!(letter.history[0].duration, Duration::from_nanos(1_234_567));
}

#[tokio::test]
async fn many_that_are_too_old_do_not_hide_one_that_is_not() {
    let (_dir, store) = store();
    let old = (0..600).map(|_| NewMessage::new("old").with_max_age(Duration::ZERO)).collect();
    store.enqueue("q", old).await.unwrap();
    enqueue(&store, "q", "young".into()).await.unwrap();
    let claimed = store.claim("q", up_to(1)).await.unwrap();
    assert_eq!(claimed[0].body(), "young");
    assert_eq!(store.stats("q").await.unwrap().dead, 600);
}

#[tokio::test]
async fn a_claim_takes_those_first_that_waited_longest_whatever_their_row() {
    let (_dir, store) = store();
    let delayed = |body: &'static str, ms| NewMessage::new(body).with_delay(Duration::from_millis(ms));
    store.enqueue("q", vec![delayed("c", 30), delayed("a", 10), delayed("b", 20)]).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let claimed = store.claim("q", up_to(3)).await.unwrap();
    assert_eq!(claimed.iter().map(|m| &m.body()[..]).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
}

#[tokio::test]
async fn a_duplicate_takes_no_key_and_one_message_may_bring_a_key_twice() {
    let (_dir, store) = store();
    let keys = |keys: &[&str]| keys.iter().fold(NewMessage::new("x"), |message, key| message.with_dedupe(*key));
    let first = store.enqueue("q", vec![keys(&["a", "a"])]).await.unwrap()[0].id();
    let second = store.enqueue("q", vec![keys(&["b", "a"])]).await.unwrap()[0];
    assert_eq!(second, steadfast::queue::Enqueued::Duplicate(first));
    let third = store.enqueue("q", vec![keys(&["b"])]).await.unwrap()[0];
    assert!(matches!(third, steadfast::queue::Enqueued::New(_)), "the duplicate did not keep it");
    assert_eq!(store.stats("q").await.unwrap().ready, 2);
}

#[tokio::test]
async fn a_lease_of_no_time_is_claimed_once_a_call() {
    let (_dir, store) = store();
    let batch = vec![NewMessage::new("old").with_max_age(Duration::ZERO), NewMessage::new("x"), NewMessage::new("y")];
    store.enqueue("q", batch).await.unwrap();
    let claim = Claim { limit: 3, lease: Duration::ZERO, max_attempts: 9 };
    let claimed = store.claim("q", claim).await.unwrap();
    assert_eq!(claimed.iter().map(Message::attempt).collect::<Vec<_>>(), [1, 1]);
}
