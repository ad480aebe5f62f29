use std::{
    sync::mpsc::{Sender, channel},
    time::Duration,
};
use steadfast::{
    error::StoreError,
    store::sqlite::{SqliteConfig, SqliteStore},
};
use tokio::task::{JoinHandle, yield_now};

/// Holds the writer up inside a closure until it is dropped: what is handed in meanwhile shares the next group.
pub(crate) struct Gate {
    _open: Sender<()>,
    closed: JoinHandle<Result<(), StoreError>>,
}

impl Gate {
    pub(crate) async fn close(store: &SqliteStore) -> Self {
        let ((entered, inside), (open, wait)) = (tokio::sync::oneshot::channel(), channel::<()>());
        let store = store.clone();
        let closed = tokio::spawn(async move {
            store
                .transaction(move |_| {
                    let _ = entered.send(());
                    let _ = wait.recv();
                    Ok::<_, StoreError>(())
                })
                .await
        });
        inside.await.unwrap();
        Self { _open: open, closed }
    }

    /// Lets the writer go on, once it takes nobody else into the group of the gate.
    pub(crate) async fn open(self) {
        let Self { _open: open, closed } = self;
        tokio::time::sleep(SqliteConfig::GROUP_TIME + Duration::from_millis(10)).await;
        drop(open);
        closed.await.unwrap().unwrap();
    }
}

/// Lets tasks that were spawned before hand their jobs in, in their order: the test's runtime has one thread.
pub(crate) async fn handed_in() {
    for _ in 0..3 {
        yield_now().await;
    }
}
