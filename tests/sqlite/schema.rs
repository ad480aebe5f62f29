//! How the tables come to be, and stay.

use super::enqueue;
use rusqlite::Connection;
use std::thread;
use steadfast::{error::StoreError, queue::QueueStore, store::sqlite::SqliteStore};

#[tokio::test]
async fn many_may_open_a_new_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let open: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            thread::spawn(move || SqliteStore::open(path))
        })
        .collect();
    let stores: Vec<_> = open.into_iter().map(|open| open.join().unwrap().unwrap()).collect();
    for (n, store) in stores.iter().enumerate() {
        enqueue(store, "q", n.to_string()).await.unwrap();
    }
    assert_eq!(stores[0].stats("q").await.unwrap().ready, 8);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let conn = Connection::open(&path).unwrap();
    conn.execute("UPDATE steadfast_meta SET value = 99 WHERE key = 'schema'", []).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert_eq!(error.what(), "the file was written by a newer version of steadfast");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("99"));
    let version: i64 = conn.query_row("SELECT value FROM steadfast_meta", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[tokio::test]
async fn the_users_own_tables_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA user_version = 7; CREATE TABLE pay(amount INTEGER); INSERT INTO pay VALUES(5)").unwrap();
    drop(conn);
    let store = SqliteStore::open(&path).unwrap();
    let found: (i64, i64) = store
        .read(|conn| {
            let pay = conn.query_row("SELECT amount FROM pay", [], |row| row.get(0))?;
            Ok((pay, conn.query_row("PRAGMA user_version", [], |row| row.get(0))?))
        })
        .await
        .unwrap();
    assert_eq!(found, (5, 7));
}

#[tokio::test]
async fn a_file_that_was_worked_off_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    let large = 3_000;
    let batch = |n| (0..n).map(|_| steadfast::queue::NewMessage::new(vec![0; 4_096])).collect();
    store.enqueue("q", batch(large)).await.unwrap();
    let claimed = store.claim("q", super::up_to(large)).await.unwrap();
    let done = claimed.iter().map(|m| (m.lease(), steadfast::queue::Settle::Done)).collect();
    assert!(store.settle(done).await.unwrap().iter().all(Result::is_ok));
    let pages = async || {
        let pages = |conn: &Connection| conn.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0));
        store.read(move |conn| Ok::<_, StoreError>(pages(conn)?)).await.unwrap()
    };
    let full = pages().await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(store.sweep("q", std::time::Duration::ZERO, large).await.unwrap(), large);
    let shrunk = async {
        while pages().await > full / 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), shrunk).await.expect("free pages are given back");
}

/// A file of version 1, as the first version of this crate left it: what lies in it is still there, and counts go on.
#[tokio::test]
async fn a_file_of_version_1_is_brought_up_to_date_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(include_str!("../../src/store/sqlite/schema/1.sql")).unwrap();
    conn.execute_batch(
        "INSERT INTO steadfast_meta(key, value) VALUES('schema', 1);
         INSERT INTO steadfast_queue(id, queue, state, due, attempt, epoch, enqueued_at, expires_at, max_age, reason, body)
         VALUES(randomblob(16), 'q', 1, 1, 3, 0, 1, 9000000000000000, 9000000000000000, NULL, x'61'),
               (randomblob(16), 'q', 4, 1, 7, 0, 1, 9000000000000000, 9000000000000000, 'exhausted', x'62');",
    )
    .unwrap();
    drop(conn);
    let store = SqliteStore::open(&path).unwrap();
    let message = store.claim("q", super::up_to(10)).await.unwrap().remove(0);
    assert_eq!(
        (message.body().as_ref(), message.attempt(), message.not_sent(), message.refused()),
        (&b"a"[..], 4, 0, 0)
    );
    let letter = store.dead("q", &steadfast::queue::Filter::all(), None, 10).await.unwrap().remove(0);
    assert_eq!((letter.attempts, letter.not_sent, letter.refused), (7, 0, 0));
    drop(store);
    let version = "SELECT value FROM steadfast_meta WHERE key = 'schema'";
    let version: i64 = Connection::open(&path).unwrap().query_row(version, [], |row| row.get(0)).unwrap();
    assert_eq!(version, 3);
}

#[tokio::test]
async fn what_used_no_attempt_is_counted_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    enqueue(&store, "q", "a".to_owned()).await.unwrap();
    for (n, outcome) in ["not_sent", "not_sent", "refused"].into_iter().enumerate() {
        let store = SqliteStore::open(&path).unwrap();
        let message = store.claim("q", super::up_to(1)).await.unwrap().remove(0);
        assert_eq!((message.attempt(), message.not_sent() + message.refused()), (1, u32::try_from(n).unwrap()));
        let attempted = steadfast::queue::Attempted {
            attempt: message.attempt(),
            at: std::time::SystemTime::UNIX_EPOCH,
            duration: std::time::Duration::ZERO,
            outcome: outcome.to_owned(),
            status: None,
            error: String::new(),
        };
        let park = steadfast::queue::Settle::Park { after: std::time::Duration::ZERO, attempted };
        store.settle(vec![(message.lease(), park)]).await.unwrap()[0].unwrap();
    }
    let message = SqliteStore::open(&path).unwrap().claim("q", super::up_to(1)).await.unwrap().remove(0);
    assert_eq!((message.attempt(), message.not_sent(), message.refused()), (1, 2, 1));
}
