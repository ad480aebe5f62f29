use super::{schema, status::Status, time::millis};
use crate::{
    error::StoreError,
    registry::{Registry, registry},
    token::StoreId,
};
use sqlx::PgPool;
use std::{fmt, sync::Arc, time::Duration};

/// One Postgres database as a store. See the [module](super).
///
/// A handle: clones share pool and id.
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) pool: PgPool,
    pub(super) id: StoreId,
    /// How long a statement of the store waits for a row that another transaction holds.
    pub(super) lock_wait: Duration,
    #[cfg(feature = "queue")]
    pub(super) listener: Arc<super::queue::Listener>,
    status: Arc<Status>,
}

impl PostgresStore {
    /// How long a statement waits for a row that an open transaction holds, unless said otherwise.
    pub const LOCK_WAIT: Duration = Duration::from_millis(1_500);

    /// Over a pool that there is already: the one that the service's own statements use. Asks the server nothing; see
    /// [`migrate`](Self::migrate) for the tables.
    pub fn new(pool: PgPool) -> Self {
        let name = pool.connect_options().get_database().unwrap_or("postgres").into();
        let status = Arc::new(Status { name, pool: pool.clone() });
        registry().add(&status);
        Self {
            pool,
            id: StoreId::next(),
            lock_wait: Self::LOCK_WAIT,
            #[cfg(feature = "queue")]
            listener: Arc::default(),
            status,
        }
    }

    /// Over a pool of its own with [`pool_options`](Self::pool_options): `postgres://user:password@host:port/database`. For other settings make the
    /// pool yourself.
    ///
    /// # Errors
    /// When the URL is none, or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Ok(Self::new(Self::pool_options().connect(url).await?))
    }

    /// In the registry. Default: the name of the database.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.status = Arc::new(Status { name: name.into(), pool: self.pool.clone() });
        registry().add(&self.status);
        self
    }

    /// Lists the store in `registry` as well as in the one of the process.
    #[must_use]
    pub fn with_registry(self, registry: &Registry) -> Self {
        registry.add(&self.status);
        self
    }

    /// How long a statement of the store waits for a row that an open transaction holds, before it is an error: at least a
    /// millisecond, 1.5 s unless said. Keep it below
    /// [`IdempotencyLayer::with_hold`](crate::idempotency::IdempotencyLayer::with_hold): what waits on when nobody listens any
    /// more keeps a connection busy.
    #[must_use]
    pub const fn with_lock_wait(mut self, most: Duration) -> Self {
        self.lock_wait = most;
        self
    }

    /// The pool.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Which store this is: a database that two stores are made for is two stores.
    pub const fn id(&self) -> StoreId {
        self.id
    }

    /// Makes the tables, or brings them to this version; does nothing where they are as they should be, and then needs no right
    /// to make any. Nothing else does so unasked.
    ///
    /// Safe to run by several processes at once: one works, the others wait and find nothing left to do. All or nothing, in one
    /// transaction. Tables are made in the first schema of the `search_path`, and found by it.
    ///
    /// # Errors
    /// When the tables are those of a newer version of this crate, or the role may not make tables.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        schema::migrate(&self.pool).await
    }

    /// The SQL that [`migrate`](Self::migrate) runs on an empty database, for those who run migrations of their own: each step
    /// under a comment with its part and version, and a line that writes the version down. After an upgrade of this crate, run the steps that are new.
    pub fn schema() -> String {
        schema::text()
    }

    /// For `lock_timeout`, in which 0 would be for ever.
    pub(super) fn patience(&self) -> String {
        millis(self.lock_wait).clamp(1, i32::MAX.into()).to_string()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("name", &self.status.name).finish_non_exhaustive()
    }
}
