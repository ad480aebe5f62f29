//! Answers whose destructors panic, readers that misbehave.

use super::{insert, rows, with_table};
use std::panic::panic_any;
use steadfast::error::StoreError;

struct Grenade(bool);

impl Drop for Grenade {
    fn drop(&mut self) {
        if self.0 {
            panic_any("a destructor");
        }
    }
}

#[tokio::test]
async fn an_answer_whose_destructor_panics_does_not_end_the_writer() {
    let (_dir, store) = with_table().await;
    let (begun, began) = tokio::sync::oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let closure = store.clone();
    let caller = tokio::spawn(async move {
        let grenade = closure.transaction(move |_| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            Ok::<_, StoreError>(Grenade(true))
        });
        grenade.await.map(std::mem::forget)
    });
    began.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap(); // the answer finds nobody, and is dropped on the writer's thread
    insert(&store, 1).await.unwrap();
    assert_eq!(rows(&store).await, [1]);
}

#[tokio::test]
async fn a_reader_that_panics_or_stays_in_a_transaction_spoils_no_later_one() {
    let (_dir, store) = with_table().await;
    for _ in 0..10 {
        let error = store.read(|_| -> Result<(), StoreError> { panic!("boom") }).await.unwrap_err();
        assert_eq!(error.what(), "the reading closure panicked");
        store.read(|conn| Ok(conn.execute_batch("BEGIN; SELECT * FROM t")?)).await.unwrap();
    }
    insert(&store, 1).await.unwrap();
    assert_eq!(rows(&store).await, [1], "no old snapshot is read from");
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let (_dir, store) = with_table().await;
    let wrote = store.read(|conn| Ok(conn.execute("INSERT INTO t(a) VALUES(1)", [])?)).await;
    assert_eq!(wrote.unwrap_err().what(), "the file is read-only");
}
