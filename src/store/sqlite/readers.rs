use super::connection;
use crate::error::StoreError;
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Connections that read beside the writer, off the async threads: SQLite blocks.
#[derive(Clone)]
pub(super) struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, most: usize) -> Self {
        Self { path: path.into(), idle: Arc::default(), permits: Arc::new(Semaphore::new(most)) }
    }

    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let closed = |e| StoreError::with_source("the store is closed", e);
        let permit = self.permits.clone().acquire_owned().await.map_err(closed)?;
        let this = self.clone();
        let out = spawn_blocking(move || {
            let conn = this.open()?;
            let out = read(&conn);
            // one that is left inside a transaction would see the past for ever
            if conn.is_autocommit() {
                this.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            }
            drop(permit);
            out
        });
        out.await.map_err(|e| StoreError::with_source("the reading closure panicked", e))?
    }

    fn open(&self) -> Result<Connection, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| connection::reader(&self.path), Ok)
    }
}
