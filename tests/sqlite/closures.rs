//! What a bad closure does to itself, and what to the others.

use super::{
    enqueue,
    gate::{Gate, handed_in},
    insert, rows, with_table,
};
use std::{error::Error as _, time::Duration};
use steadfast::{
    error::StoreError,
    queue::QueueStore,
    store::sqlite::{SqliteStore, SqliteTransaction, rusqlite},
};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, timeout},
};

const ENDLESS_INSERT: &str =
    "INSERT INTO t(a) WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n) SELECT i FROM n";
const ENDLESS_SELECT: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n";

fn spawn_insert(store: &SqliteStore, a: i64) -> JoinHandle<Result<(), StoreError>> {
    let store = store.clone();
    tokio::spawn(async move { insert(&store, a).await })
}

fn spawn_enqueue(store: &SqliteStore, n: u32) -> JoinHandle<Result<(), StoreError>> {
    let store = store.clone();
    tokio::spawn(async move { enqueue(&store, "q", n.to_string()).await })
}

/// Runs the closure in the middle of ten neighbours, in one group: all of these succeed, and it leaves nothing.
async fn refused_among_neighbours(
    closure: impl FnOnce(&mut SqliteTransaction<'_>) -> Result<(), StoreError> + Send + 'static,
) -> StoreError {
    let (_dir, store) = with_table().await;
    let gate = Gate::close(&store).await;
    let mut neighbours: Vec<_> = (0..5).map(|a| spawn_insert(&store, a)).collect();
    let bad = store.clone();
    let bad = tokio::spawn(async move { bad.transaction(closure).await });
    neighbours.extend((5..10).map(|a| spawn_insert(&store, a)));
    handed_in().await;
    gate.open().await;
    let error = bad.await.unwrap().expect_err("the closure is bad");
    for neighbour in neighbours {
        neighbour.await.unwrap().unwrap();
    }
    assert_eq!(rows(&store).await, (0..10).collect::<Vec<_>>());
    error
}

#[tokio::test]
async fn an_error_leaves_nothing() {
    let error = refused_among_neighbours(|tx| {
        tx.execute("INSERT INTO t(a) VALUES(-1)", [])?;
        Err(StoreError::new("no"))
    });
    assert_eq!(error.await.what(), "no");
}

#[tokio::test]
async fn an_error_of_sqlite_leaves_nothing_and_is_the_source() {
    let error = refused_among_neighbours(|tx| {
        tx.execute("INSERT INTO t(a) VALUES(-1)", [])?;
        Ok(tx.execute("INSERT INTO t(a) VALUES(NULL)", []).map(drop)?)
    });
    assert!(error.await.source().unwrap().to_string().contains("NOT NULL"));
}

#[tokio::test]
async fn a_panic_leaves_nothing_and_is_told() {
    let error = refused_among_neighbours(|tx| {
        tx.execute("INSERT INTO t(a) VALUES(-1)", [])?;
        panic!("boom")
    })
    .await;
    assert_eq!((error.what(), error.source().unwrap().to_string().as_str()), ("the closure panicked", "boom"));
}

#[tokio::test]
async fn an_endless_read_is_interrupted() {
    let since = Instant::now();
    let error = refused_among_neighbours(|tx| Ok(tx.query_row(ENDLESS_SELECT, [], |_| Ok(()))?)).await;
    assert_eq!(error.what(), "interrupted: the closure took too long");
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_interrupted_write_takes_its_group_along_but_not_the_stores_own_work() {
    let (_dir, store) = with_table().await;
    let gate = Gate::close(&store).await;
    let shared: Vec<_> = (0..3).map(|a| spawn_insert(&store, a)).collect();
    let mut own: Vec<_> = (0..3).map(|n| spawn_enqueue(&store, n)).collect();
    let bad = store.clone();
    let bad = tokio::spawn(async move {
        bad.transaction(|tx| Ok::<_, StoreError>(tx.execute(ENDLESS_INSERT, []).map(drop)?)).await
    });
    own.extend((3..6).map(|n| spawn_enqueue(&store, n)));
    let later: Vec<_> = (10..13).map(|a| spawn_insert(&store, a)).collect();
    handed_in().await;
    gate.open().await;
    assert_eq!(bad.await.unwrap().unwrap_err().what(), "interrupted: the closure took too long");
    for closure in shared {
        let error = closure.await.unwrap().expect_err("SQLite rolled its group back");
        assert!(error.what().ends_with("safe to repeat"), "{error}");
    }
    for job in own {
        job.await.unwrap().unwrap();
    }
    for closure in later {
        closure.await.unwrap().unwrap();
    }
    assert_eq!(rows(&store).await, [10, 11, 12]);
    assert_eq!(store.stats("q").await.unwrap().ready, 6, "each of the store's own jobs was done once");
}

#[tokio::test]
async fn a_closure_that_goes_on_after_sqlite_rolled_back_writes_nothing() {
    let (_dir, store) = with_table().await;
    insert(&store, 1).await.unwrap();
    for go_on in ["INSERT INTO t(a) VALUES(666)", "SAVEPOINT mine; INSERT INTO t(a) VALUES(666)"] {
        let gone = store.transaction(move |tx| {
            assert!(tx.execute("INSERT OR ROLLBACK INTO t(a) VALUES(1)", []).is_err());
            // outside of any transaction now: by itself, this would commit
            let _ = tx.execute_batch(go_on);
            Ok::<_, StoreError>(())
        });
        assert!(gone.await.is_err());
        assert_eq!(rows(&store).await, [1]);
    }
    insert(&store, 2).await.unwrap();
    assert_eq!(rows(&store).await, [1, 2]);
}

#[tokio::test]
async fn deferred_foreign_keys_that_do_not_hold_take_only_closures_along() {
    let (_dir, store) = with_table().await;
    let table = "CREATE TABLE child(a INTEGER REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED)";
    store.transaction(move |tx| Ok::<_, StoreError>(tx.execute_batch(table)?)).await.unwrap();
    let gate = Gate::close(&store).await;
    let own = spawn_enqueue(&store, 1);
    let bad = store.clone();
    let bad = tokio::spawn(async move {
        bad.transaction(|tx| Ok::<_, StoreError>(tx.execute("INSERT INTO child(a) VALUES(7)", []).map(drop)?)).await
    });
    handed_in().await;
    gate.open().await;
    assert_eq!(bad.await.unwrap().unwrap_err().what(), "a constraint was violated");
    own.await.unwrap().unwrap();
    assert_eq!(store.stats("q").await.unwrap().ready, 1);
}

#[tokio::test]
async fn what_would_end_the_transaction_or_leave_the_file_is_refused() {
    let statements = [
        "COMMIT",
        "ROLLBACK",
        "BEGIN",
        "RELEASE steadfast",
        "ROLLBACK TO Steadfast",
        "SAVEPOINT steadfast",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "PRAGMA synchronous = OFF",
    ];
    for sql in statements {
        let error = refused_among_neighbours(move |tx| Ok(tx.prepare_cached(sql)?.execute([]).map(drop)?)).await;
        assert_eq!(error.what(), "not allowed inside a transaction of the store", "{sql}");
    }
}

#[tokio::test]
async fn savepoints_of_the_users_own_work() {
    let (_dir, store) = with_table().await;
    let half = store.transaction(|tx| {
        tx.execute_batch("INSERT INTO t(a) VALUES(1); SAVEPOINT mine; INSERT INTO t(a) VALUES(2); ROLLBACK TO mine")?;
        Ok::<_, StoreError>(())
    });
    half.await.unwrap();
    assert_eq!(rows(&store).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocking_on_the_same_store_inside_is_an_error_and_no_deadlock() {
    let (_dir, store) = with_table().await;
    let (inner, runtime) = (store.clone(), Handle::current());
    let nested = store.transaction(move |_| runtime.block_on(insert(&inner, 1)));
    let error = timeout(Duration::from_secs(5), nested).await.expect("no deadlock").unwrap_err();
    assert_eq!(error.what(), "a transaction inside a transaction of the same store");
    insert(&store, 2).await.unwrap();
    assert_eq!(rows(&store).await, [2]);
}

#[tokio::test]
async fn a_caller_who_left_before_the_closure_began_prevents_it() {
    let (_dir, store) = with_table().await;
    let gate = Gate::close(&store).await;
    let left = spawn_insert(&store, 1);
    handed_in().await;
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    gate.open().await;
    insert(&store, 2).await.unwrap();
    assert_eq!(rows(&store).await, [2]);
}

#[tokio::test]
async fn a_caller_who_leaves_later_does_not_undo_it() {
    let (_dir, store) = with_table().await;
    let (begun, began) = tokio::sync::oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let closure = store.clone();
    let caller = tokio::spawn(async move {
        closure
            .transaction(move |tx| {
                begun.send(()).unwrap();
                wait.recv().unwrap();
                Ok::<_, StoreError>(tx.execute("INSERT INTO t(a) VALUES(1)", []).map(drop)?)
            })
            .await
    });
    began.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    insert(&store, 2).await.unwrap();
    assert_eq!(rows(&store).await, [1, 2]);
}

#[tokio::test]
async fn the_users_own_error_is_the_only_one() {
    #[derive(Debug, PartialEq)]
    enum PayError {
        NotEnough,
        Store,
    }
    impl From<StoreError> for PayError {
        fn from(_: StoreError) -> Self {
            Self::Store
        }
    }
    impl From<rusqlite::Error> for PayError {
        fn from(_: rusqlite::Error) -> Self {
            Self::Store
        }
    }
    let (_dir, store) = with_table().await;
    let refused = store.transaction(|tx| {
        tx.execute("INSERT INTO t(a) VALUES(1)", [])?;
        Err::<(), _>(PayError::NotEnough)
    });
    assert_eq!(refused.await, Err(PayError::NotEnough));
    assert_eq!(store.transaction(|_| -> Result<(), PayError> { panic!("boom") }).await, Err(PayError::Store));
    assert!(rows(&store).await.is_empty());
}
