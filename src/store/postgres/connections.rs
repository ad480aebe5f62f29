//! Every use that the store makes of the user's pool.
//!
//! sqlx closes the connection that it opens, tests or uses when the future that does so is dropped. Callers that stop waiting after
//! their time would so take the connections of a pool along one after the other, and after an outage none would ever be opened to
//! its end. Here a call runs in a task of its own once it has a place; its caller waits, or leaves alone.

use super::{
    PostgresStore,
    admission::{Admission, Place},
    error::met_another,
    fate::{Fate, Replacements},
    session::Session,
};
use crate::{
    error::{BoxFuture, StoreError},
    telemetry::event,
};
use sqlx::{Connection as _, Error, PgPool, Postgres, pool::PoolConnection};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// How long a connection may take to be opened or tested. sqlx waits longer and longer between its attempts to connect, up to a
/// fifth of the pool's `acquire_timeout`; an acquire that begins anew also finds a server that has just come back.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Of those that ran out of time, each such has the whole `acquire_timeout`: a server that needs longer than
/// [`CONNECT_TIMEOUT`] for each new connection gets connected to all the same. One at a time: while it waits, the others find a server
/// that has just come back.
const PATIENT: usize = 4;
/// How long a connection may take to be given back: it is tested once more.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a statement is sent that the server broke off because of another one.
const TRIES: usize = 8;

const ENDED: StoreError = StoreError::new("the call panicked, or the runtime is going down");

/// The pool, and the rules by which the store uses it. Clones share places.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) pool: PgPool,
    pub(super) max_waiting: usize,
    /// For one statement of a few rows; what takes longer has a multiple of it.
    pub(super) response_timeout: Duration,
    /// How long a statement of the store waits for a row that another transaction holds.
    pub(super) lock_wait: Duration,
    /// Not behind a pooler that gives each transaction another connection.
    pub(super) prepares: bool,
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) admission: Admission,
    replacements: Replacements,
    /// Acquires that ran out of time.
    slow: AtomicUsize,
    /// Whether one has the whole time now.
    is_patient: AtomicBool,
}

/// What a call asks for.
#[derive(Clone, Copy)]
pub(super) struct Call {
    is_from_outside: bool,
    factor: u32,
    in_transaction: bool,
}

impl Call {
    /// As many as clients send: refused where too many wait.
    pub(super) const FROM_OUTSIDE: Self = Self { is_from_outside: true, factor: 1, in_transaction: false };
    /// Of a handler, a worker or an operator, and so never many: never refused, and not behind the others that wait.
    pub(super) const OF_THE_SERVICE: Self = Self { is_from_outside: false, ..Self::FROM_OUTSIDE };
    /// Tables are made, after every other process that makes them.
    pub(super) const SCHEMA: Self = Self { factor: 60, in_transaction: true, ..Self::OF_THE_SERVICE };

    /// It may look at many rows, or change them.
    pub(super) const fn of_many_rows(self) -> Self {
        Self { factor: 6, ..self }
    }

    /// For several statements that are one transaction, with this many times as much time.
    pub(super) fn in_transaction(self, times: usize) -> Self {
        let factor = self.factor.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX));
        Self { in_transaction: true, factor, ..self }
    }
}

impl Connections {
    pub(super) fn new(pool: PgPool) -> Self {
        let most = pool.options().get_max_connections();
        let connections = usize::try_from(most).unwrap_or(usize::MAX).min(tokio::sync::Semaphore::MAX_PERMITS);
        Self {
            max_waiting: connections.saturating_mul(PostgresStore::WAITING_PER_CONNECTION),
            response_timeout: PostgresStore::RESPONSE_TIMEOUT,
            lock_wait: PostgresStore::LOCK_WAIT,
            prepares: caches_statements(&pool),
            shared: Arc::new(Shared {
                admission: Admission::new(connections),
                replacements: Replacements::new(most),
                slow: AtomicUsize::new(0),
                is_patient: AtomicBool::new(false),
            }),
            pool,
        }
    }

    /// Runs `work` on a connection, to its end. Dropped before that has one, it is not begun; dropped later, it is done all the same
    /// and nobody learns the result.
    pub(super) async fn call<D, T, W>(&self, call: Call, data: D, work: W) -> Result<T, StoreError>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
        W: for<'c> Fn(Session<'c>, &'c D) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync + 'static,
    {
        let place = self.place(call).await?;
        let (answer, answered) = oneshot::channel();
        let connections = self.clone();
        tokio::spawn(async move {
            connections.run(call, &data, &work, answer).await;
            drop(place);
        });
        answered.await.unwrap_or(Err(ENDED))
    }

    async fn place(&self, call: Call) -> Result<Place, StoreError> {
        let admission = &self.shared.admission;
        let place = async {
            if call.is_from_outside { admission.outside(self.max_waiting).await } else { admission.own().await }
        };
        let place = timeout(self.pool.options().get_acquire_timeout(), place).await;
        place.unwrap_or_else(|_| Err(Error::PoolTimedOut.into()))
    }

    async fn run<D, T, W>(&self, call: Call, data: &D, work: &W, answer: oneshot::Sender<Result<T, StoreError>>)
    where
        W: for<'c> Fn(Session<'c>, &'c D) -> BoxFuture<'c, Result<T, StoreError>>,
    {
        loop {
            let mut held = match self.acquire().await {
                Ok(conn) => Held(Some(conn)),
                Err(error) => {
                    let _ = answer.send(Err(error.into()));
                    return;
                }
            };
            // nobody waits any more: the connection is there for the next call, and nothing is done behind anybody's back
            if answer.is_closed() {
                return held.give_back().await;
            }
            let result = self.attempt(call, &mut held, data, work).await;
            match result.as_ref().map_or_else(Fate::after, |_| Fate::Keep) {
                Fate::Replace | Fate::ReplaceIfFew if self.shared.replacements.take() => {
                    let name = self.pool.connect_options().get_database().unwrap_or("postgres").to_owned();
                    let error = result.err().map(|error| error.to_string());
                    event!(DEBUG, "connection closed, trying another", database = name, error = error);
                    drop(held);
                }
                Fate::Keep | Fate::ReplaceIfFew => {
                    let _ = answer.send(result);
                    return held.give_back().await;
                }
                Fate::Close | Fate::Replace => {
                    drop(held);
                    let _ = answer.send(result);
                    return;
                }
            }
        }
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, Error> {
        let most = self.pool.options().get_acquire_timeout();
        let is_due = self.shared.slow.load(Relaxed) % PATIENT == PATIENT - 1;
        let patient = is_due.then(|| Patient::begin(&self.shared.is_patient)).flatten();
        let limit = if patient.is_some() { most } else { CONNECT_TIMEOUT.min(most) };
        let acquired = timeout(limit, self.pool.acquire()).await.unwrap_or(Err(Error::PoolTimedOut));
        if matches!(acquired, Err(Error::PoolTimedOut)) {
            self.shared.slow.fetch_add(1, Relaxed);
        }
        acquired
    }

    /// Again, where the server broke it off because of another transaction, as it may where the role's default is another isolation
    /// level than `read committed`.
    async fn attempt<D, T, W>(&self, call: Call, held: &mut Held, data: &D, work: &W) -> Result<T, StoreError>
    where
        W: for<'c> Fn(Session<'c>, &'c D) -> BoxFuture<'c, Result<T, StoreError>>,
    {
        let limit = self.response_timeout.saturating_mul(call.factor).saturating_add(self.lock_wait);
        let Some(conn) = &mut held.0 else { return Err(ENDED) };
        let mut tries = 1;
        loop {
            let done = timeout(limit, self.once(call, conn, data, work)).await;
            match done.unwrap_or_else(|_| Err(silent())) {
                Err(error) if tries < TRIES && met_another(&error) => tries += 1,
                done => return done,
            }
        }
    }

    async fn once<D, T, W>(
        &self,
        call: Call,
        conn: &mut PoolConnection<Postgres>,
        data: &D,
        work: &W,
    ) -> Result<T, StoreError>
    where
        W: for<'c> Fn(Session<'c>, &'c D) -> BoxFuture<'c, Result<T, StoreError>>,
    {
        // sqlx prepares a statement, waits for the server to be ready, and then executes it: only a transaction keeps a pooler from
        // giving the two another connection each
        if self.prepares && !call.in_transaction {
            return work(Session::new(conn, true), data).await;
        }
        let mut tx = conn.begin().await?;
        match work(Session::new(&mut tx, self.prepares), data).await {
            Ok(done) => {
                tx.commit().await?;
                Ok(done)
            }
            Err(error) => match tx.rollback().await {
                // the first error tells whether anything was executed
                Err(failed) if Fate::after(&error) == Fate::Keep => Err(failed.into()),
                _ => Err(error),
            },
        }
    }
}

/// Whether the pool's connections keep prepared statements. Only the `Debug` of sqlx's options tells; where it would not, a store
/// behind a pooler needs [`PostgresStore::with_transaction_pooler`].
fn caches_statements(pool: &PgPool) -> bool {
    !format!("{:?}", pool.connect_options()).contains("statement_cache_capacity: 0,")
}

fn silent() -> StoreError {
    let source = Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the connection was closed"));
    StoreError::with_source("the server did not answer in time", source)
}

/// The acquire that has the whole time, until it is dropped.
struct Patient<'a>(&'a AtomicBool);

impl<'a> Patient<'a> {
    fn begin(is_patient: &'a AtomicBool) -> Option<Self> {
        // not `then_some`: one that is made and dropped would end the other's
        (!is_patient.swap(true, Relaxed)).then(|| Self(is_patient))
    }
}

impl Drop for Patient<'_> {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

/// A connection: closed at once, unless it is given back.
struct Held(Option<PoolConnection<Postgres>>);

impl Held {
    /// In here and not when it is dropped: sqlx would test it in a task of its own, for as long as it takes, and a server that does
    /// not answer would keep the pool's place.
    async fn give_back(mut self) {
        if let Some(mut conn) = self.0.take() {
            let _ = timeout(GIVE_BACK_TIMEOUT, conn.return_to_pool()).await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            drop(conn.detach());
        }
    }
}
