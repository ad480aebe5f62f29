//! The SQLite store: real files, real kills.
#![cfg(all(feature = "sqlite", feature = "idempotency", feature = "queue", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod business;
mod closures;
mod contracts;
mod crash;
mod disk;
#[cfg(unix)]
mod files;
mod full;
mod gate;
mod groups;
mod guarded;
mod open;
mod queue;
mod rowid;
mod schema;
mod sharing;

use rusqlite::Connection;
use std::time::Duration;
use steadfast::{
    error::StoreError,
    queue::{Claim, NewMessage, QueueStore},
    store::sqlite::SqliteStore,
};
use tempfile::TempDir;

/// A store in a new folder, with a table of the user's: `t(a INTEGER NOT NULL UNIQUE)`.
async fn with_table() -> (TempDir, SqliteStore) {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path().join("store.db")).unwrap();
    let create = |conn: &Connection| conn.execute_batch("CREATE TABLE t(a INTEGER NOT NULL UNIQUE)");
    store.transaction(move |tx| Ok::<_, StoreError>(create(tx)?)).await.unwrap();
    (dir, store)
}

/// What stands in the user's table.
async fn rows(store: &SqliteStore) -> Vec<i64> {
    store
        .read(|conn| {
            let mut select = conn.prepare("SELECT a FROM t ORDER BY a")?;
            let rows = select.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
        .unwrap()
}

async fn insert(store: &SqliteStore, a: i64) -> Result<(), StoreError> {
    store.transaction(move |tx| Ok(tx.execute("INSERT INTO t(a) VALUES(?1)", [a]).map(drop)?)).await
}

async fn enqueue(store: &SqliteStore, queue: &str, body: String) -> Result<(), StoreError> {
    store.enqueue(queue, vec![NewMessage::new(body)]).await.map(drop)
}

fn up_to(limit: usize) -> Claim {
    Claim { limit, lease: Duration::from_secs(600), max_attempts: 1_000 }
}

/// The shortest of a few: a busy machine delays some, a wake-up that is missing delays all.
async fn shortest(mut run: impl AsyncFnMut() -> Duration) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        shortest = shortest.min(run().await);
    }
    shortest
}
