//! Answers whose destructors panic, readers that misbehave.

use super::{enqueue, insert, rows, up_to, with_table};
use futures_util::FutureExt;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use std::{
    panic::panic_any,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Wake},
    time::Duration,
};
use steadfast::{
    error::StoreError,
    queue::{NewMessage, QueueStore},
    store::sqlite::SqliteStore,
};
use tokio::time::timeout;

/// A writer that has stopped answers nobody.
const MINUTE: Duration = Duration::from_secs(60);

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

/// Closures that were sent while the writer was busy share a group commit.
#[tokio::test]
async fn a_closure_whose_destructor_panics_unbegun_spoils_no_other_of_its_group() {
    let (_dir, store) = with_table().await;
    let (begun, began) = tokio::sync::oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let first = store.transaction(move |_| {
        begun.send(()).unwrap();
        wait.recv().unwrap();
        Ok::<_, StoreError>(())
    });
    let (mut first, mut left) = (pin!(first), {
        let grenade = Grenade(true);
        Box::pin(store.transaction(move |_| {
            let _ = &grenade;
            Ok::<_, StoreError>(())
        }))
    });
    assert!(first.as_mut().now_or_never().is_none());
    began.await.unwrap();
    assert!(left.as_mut().now_or_never().is_none());
    drop(left);
    let mut other = pin!(insert(&store, 1));
    assert!(other.as_mut().now_or_never().is_none());
    go_on.send(()).unwrap();
    first.await.unwrap();
    other.await.unwrap();
    assert_eq!(rows(&store).await, [1]);
}

/// Uses the store when it is dropped, from whichever thread.
struct UsesStore(SqliteStore);

impl Drop for UsesStore {
    fn drop(&mut self) {
        drop(insert(&self.0, 2).now_or_never());
        drop(self.0.enqueue("q", vec![NewMessage::new("dropped")]).now_or_never());
    }
}

#[tokio::test]
async fn a_closure_that_uses_its_store_when_it_is_dropped_does_not_stop_the_writer() {
    let (_dir, store) = with_table().await;
    let uses = UsesStore(store.clone());
    let closure = store.transaction(move |_| {
        let _uses = uses;
        Ok::<_, StoreError>(())
    });
    timeout(MINUTE, closure).await.unwrap().unwrap();
    let answer = UsesStore(store.clone());
    drop(timeout(MINUTE, store.transaction(move |_| Ok::<_, StoreError>(answer))).await.unwrap().unwrap());
    timeout(MINUTE, insert(&store, 1)).await.unwrap().unwrap();
    assert!(rows(&store).await.contains(&1));
}

struct Waker(Option<SqliteStore>);

impl Wake for Waker {
    fn wake(self: Arc<Self>) {
        if let Some(store) = &self.0 {
            drop(store.enqueue("q", vec![NewMessage::new("woken")]).now_or_never());
            let _ = store.wait("q").now_or_never();
        }
        panic_any("a waker");
    }
}

#[tokio::test]
async fn a_waker_that_panics_or_uses_the_store_after_the_commit_withholds_no_answer() {
    let (_dir, store) = with_table().await;
    for waker in [Waker(None), Waker(Some(store.clone()))] {
        let waker = Arc::new(waker).into();
        let mut waits = store.wait("q");
        // until it has looked into the file, and waits for the writer
        for _ in 0..20 {
            assert!(waits.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let sent = timeout(MINUTE, enqueue(&store, "q", "x".to_owned())).await.unwrap();
        sent.expect("committed, and said so");
        drop(waits);
        let claimed = store.claim("q", up_to(10)).await.unwrap();
        assert!(claimed.iter().any(|message| message.body() == "x"));
    }
    timeout(MINUTE, insert(&store, 1)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_recorder_that_panics_after_the_commit_withholds_no_answer() {
    struct Panics;
    impl metrics::Recorder for Panics {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            panic_any("a recorder")
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            panic_any("a recorder")
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            CALLED.store(true, SeqCst);
            panic_any("a recorder")
        }
    }
    static CALLED: AtomicBool = AtomicBool::new(false);
    let (_dir, store) = with_table().await;
    let set = store.transaction(|_| {
        // of the writer's thread, for as long as that lives
        std::mem::forget(metrics::set_default_local_recorder(&Panics));
        Ok::<_, StoreError>(())
    });
    set.await.unwrap();
    insert(&store, 1).await.unwrap();
    assert!(CALLED.load(SeqCst), "the recorder was called on the writer's thread");
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
