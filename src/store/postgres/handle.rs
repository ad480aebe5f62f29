use super::{connections::Connections, schema, status::Status, time::millis};
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
    pub(super) connections: Connections,
    pub(super) id: StoreId,
    #[cfg(feature = "queue")]
    pub(super) listener: Arc<super::queue::Listener>,
    status: Arc<Status>,
}

impl PostgresStore {
    /// How long a statement waits for a row that an open transaction holds, unless said otherwise.
    pub const LOCK_WAIT: Duration = Duration::from_millis(1_500);
    /// How long a statement may remain unanswered before its connection is closed, unless said otherwise.
    pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
    /// How many calls wait for each connection of the pool, unless said otherwise.
    pub const WAITING_PER_CONNECTION: usize = 100;

    /// Over a pool that there is already: the one that the service's own statements use. Asks the server nothing; see
    /// [`migrate`](Self::migrate) for the tables.
    pub fn new(pool: PgPool) -> Self {
        let name = pool.connect_options().get_database().unwrap_or("postgres").into();
        let connections = Connections::new(pool);
        let status = Arc::new(Status { name, connections: connections.clone() });
        registry().add(&status);
        Self {
            connections,
            id: StoreId::next(),
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
        self.status = Arc::new(Status { name: name.into(), connections: self.connections.clone() });
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
        self.connections.lock_wait = most;
        self
    }

    /// Sets how many of the calls that clients cause (`begin`, `get`, `enqueue`) wait for a connection at once, over all clones of the
    /// store; one more fails at once. All other calls wait beside them and are not counted: there are only as many as the
    /// service has handlers, workers and operators. Default: 100 for each connection of the pool.
    ///
    /// A call waits for as many statements as others wait before it, divided by the connections: with the default and statements of
    /// 10 ms a second. Keep that below the time for which callers wait.
    #[must_use]
    pub const fn with_max_waiting(mut self, calls: usize) -> Self {
        self.connections.max_waiting = calls;
        self
    }

    /// Sets how long the server may take to answer one statement, beside [`with_lock_wait`](Self::with_lock_wait). Then the connection is
    /// closed, and the pool has a place for a new one: a server that stalls, or a network that swallows everything, would
    /// hold it until the kernel gives up, a quarter of an hour later. The server may finish the statement all the same.
    /// Default: 10 s.
    ///
    /// `dead`, `redrive`, `purge`, `sweep`, `stats` and an `enqueue` of more than 100 messages or 1 MiB have six times as much
    /// (for each thousand messages or 16 MiB), [`migrate`](Self::migrate) sixty times.
    #[must_use]
    pub const fn with_response_timeout(mut self, most: Duration) -> Self {
        self.connections.response_timeout = most;
        self
    }

    /// Sets whether a pooler stands between, which gives each transaction another connection to the server, as `PgBouncer` does in
    /// transaction mode: see [Poolers](super#poolers). Default: `true` where the pool's options have
    /// `statement-cache-capacity=0`.
    #[must_use]
    pub const fn with_transaction_pooler(mut self, stands_between: bool) -> Self {
        self.connections.prepares = !stands_between;
        self
    }

    /// The pool.
    pub const fn pool(&self) -> &PgPool {
        &self.connections.pool
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
        schema::migrate(&self.connections).await
    }

    /// The SQL that [`migrate`](Self::migrate) runs on an empty database, for those who run migrations of their own: each step
    /// under a comment with its part and version, and a line that writes the version down. After an upgrade of this crate, run the steps that are new.
    pub fn schema() -> String {
        schema::text()
    }

    /// For `lock_timeout`, in which 0 would be for ever.
    pub(super) fn patience(&self) -> String {
        millis(self.connections.lock_wait).clamp(1, i32::MAX.into()).to_string()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("name", &self.status.name).finish_non_exhaustive()
    }
}
