//! One file, several stores: as several processes have it.

use super::{enqueue, up_to};
use std::{collections::BTreeSet, time::Duration};
use steadfast::{
    queue::{Message, QueueStore},
    store::sqlite::SqliteStore,
};
use tokio::time::{Instant, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_on_one_file_claim_each_message_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let stores = [SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap()];
    for n in 0..400 {
        enqueue(&stores[n % 2], "q", n.to_string()).await.unwrap();
    }
    let claims = stores.map(|store| {
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            loop {
                match store.claim("q", up_to(7)).await.unwrap() {
                    none if none.is_empty() => break claimed,
                    some => claimed.extend(some),
                }
            }
        })
    });
    let mut all: Vec<Message> = Vec::new();
    for claim in claims {
        all.extend(claim.await.unwrap());
    }
    let ids: BTreeSet<_> = all.iter().map(Message::id).collect();
    assert_eq!((all.len(), ids.len()), (400, 400));
    assert!(all.iter().all(|message| message.attempt() == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_of_two_busy_stores_starves_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let stores = [SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap()];
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            for n in 0..20 {
                enqueue(&store, "q", format!("{task}-{n}")).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(stores[0].stats("q").await.unwrap().ready, 64 * 20);
}

#[tokio::test]
async fn an_enqueue_elsewhere_wakes_who_waits_here() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let (here, elsewhere) = (SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap());
    let waiting = tokio::spawn(async move {
        here.wait("q").await;
        here.claim("q", up_to(1)).await.unwrap().len()
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished(), "there is nothing yet");
    enqueue(&elsewhere, "q", "x".into()).await.unwrap();
    let since = Instant::now();
    assert_eq!(timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap(), 1);
    assert!(since.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_lock_that_is_held_elsewhere_refuses_all_who_wait_at_once_and_then_passes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    let elsewhere = rusqlite::Connection::open(&path).unwrap();
    elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..10 {
        let store = store.clone();
        waiting.spawn(async move { enqueue(&store, "q", n.to_string()).await });
    }
    let all = timeout(Duration::from_secs(30), waiting.join_all()).await.expect("they wait together, not in turn");
    for refused in all {
        assert_eq!(refused.unwrap_err().what(), "the file is locked by another process");
    }
    assert_eq!(store.stats("q").await.unwrap().open(), 0, "readers do not care");
    elsewhere.execute_batch("ROLLBACK").unwrap();
    enqueue(&store, "q", "x".into()).await.unwrap();
    assert_eq!(store.stats("q").await.unwrap().ready, 1);
}
