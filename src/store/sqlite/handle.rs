use super::{
    config::SqliteConfig,
    connection,
    job::{BoxJob, Own, Users},
    readers::Readers,
    schema,
    status::Status,
    transaction::SqliteTransaction,
    writer,
};
use crate::{
    error::StoreError,
    registry::{Registry, registry},
    store::wakes::Wakes,
    token::StoreId,
};
use rusqlite::Connection;
use std::{fmt, path::Path, sync::Arc};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// One SQLite file as a store. See the [module](super).
///
/// A handle: clones share the writer and the readers. When the last one is dropped, what was handed in is still committed, and
/// then the file is closed.
#[derive(Clone)]
pub struct SqliteStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) id: StoreId,
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "only queues are waited for"))]
    pub(super) wakes: Arc<Wakes>,
    jobs: mpsc::Sender<BoxJob>,
    readers: Readers,
    status: Arc<Status>,
    #[cfg(feature = "idempotency")]
    pub(super) released: Arc<std::sync::Mutex<super::super::released::Released>>,
}

impl SqliteStore {
    /// Opens the file with the default settings, makes it where there is none, and brings its tables to this version.
    ///
    /// Blocks for some milliseconds; for up to five seconds while another process does the same or holds the file.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, is named by a URI (`file:`), cannot have a write-ahead log (`:memory:`), or was written by a newer
    /// version of this crate.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteConfig::default())
    }

    /// [`open`](Self::open) with other settings.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_with(path: impl AsRef<Path>, config: SqliteConfig) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let mut conn = connection::writer(path, &config)?;
        schema::migrate(&mut conn)?;
        // absolute, so that readers find the same file after a change of directory
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let name = config.name.clone().unwrap_or_else(|| path.display().to_string());
        let readers = Readers::new(path, config.readers.get().into());
        let backlog = usize::try_from(config.backlog.get()).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let (jobs, waiting) = mpsc::channel(backlog);
        let id = StoreId::next();
        let status = Arc::new(Status::new(name.into(), jobs.downgrade()));
        let wakes = Arc::<Wakes>::default();
        writer::spawn(conn, waiting, writer::Setup { id, config, wakes: wakes.clone(), status: status.clone() })?;
        registry().add(&status);
        let inner = Inner {
            id,
            wakes,
            jobs,
            readers,
            status,
            #[cfg(feature = "idempotency")]
            released: Arc::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Lists the store in `registry` as well as in the one of the process.
    #[must_use]
    pub fn with_registry(self, registry: &Registry) -> Self {
        registry.add(&self.inner.status);
        self
    }

    /// Which store this is: a file that is opened twice is two stores.
    pub fn id(&self) -> StoreId {
        self.inner.id
    }

    /// Runs `work` on the writer's thread, in a transaction: what it wrote, completed and enqueued is there together or not at
    /// all. `Ok` is answered after the fsync.
    ///
    /// Whatever goes wrong, nothing is left behind, and other closures are none the wiser:
    ///
    /// * an `Err`, a panic or an error of SQLite rolls back this closure alone;
    /// * SQL that runs too long ([`SqliteConfig::with_closure_time`]) is interrupted. When that, or an `ON CONFLICT ROLLBACK`,
    ///   makes SQLite roll back the whole group commit, closures that shared it hear a [`StoreError`]; nothing of theirs was
    ///   written and they are safe to repeat. The store's own work is run again unheard. The same holds for deferred foreign
    ///   keys that are still violated at the end;
    /// * Rust code that blocks (a lock, a socket) cannot be interrupted and holds up every writer: do that outside. The
    ///   registry shows `writer_busy_ms`;
    /// * a caller who stops waiting before `work` has begun prevents it; later, it is finished and committed;
    /// * using this store inside `work` by blocking on it is an error, not a deadlock.
    ///
    /// `work`, what it captured, and the waker of the task that waits for its result run on the writer's thread: the one place
    /// where this crate runs a user's code while it holds something that others wait for.
    ///
    /// `E: From<StoreError>` makes the user's own error the only one there is; [`StoreError`] itself will do, `?` turns SQLite's
    /// errors into it. `FnOnce` and `'static`: the closure goes to another thread and runs at most once.
    ///
    /// # Errors
    /// What `work` returned; or a [`StoreError`] as `E`.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut SqliteTransaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Users { work: Some(work), out: None, reply })).await?;
        answer.await.unwrap_or_else(|_| Err(GONE.into()))
    }

    /// Reads, on a connection of its own beside the writer: sees what is committed, waits for no writer, cannot write. `work` holds
    /// one of the [`readers`](SqliteConfig::with_readers) while it runs: it must not block on another read of this store.
    ///
    /// # Errors
    /// What `work` returned; or that the file cannot be opened.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.readers.read(work).await
    }

    /// A job of the crate: no savepoint, no guard, and run again where its group came to nothing.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnMut(&mut SqliteTransaction<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Own { work, out: None, reply, runs: 0 })).await?;
        answer.await.unwrap_or(Err(GONE))
    }

    async fn send(&self, job: BoxJob) -> Result<(), StoreError> {
        if writer::is_on_thread_of(self.inner.id) {
            return Err(StoreError::refused("a transaction inside a transaction of the same store"));
        }
        self.inner.jobs.send(job).await.map_err(|_| CLOSED)
    }
}

const GONE: StoreError = StoreError::new("the writer of the store is gone");
/// Nothing was handed in.
const CLOSED: StoreError = StoreError::refused("the writer of the store is gone");

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("name", &self.inner.status.name).finish_non_exhaustive()
    }
}
