//! What must not happen twice: counted in the store's own database where it has one, so that a kill forgets nothing.

use crate::args::Store;
use axum::http::{HeaderValue, StatusCode, header};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::SeqCst},
};
use steadfast::{
    error::BoxError,
    idempotency::{Claim, IdempotencyStore, StoredResponse},
    store::{
        memory::MemoryStore,
        postgres::{
            PostgresStore,
            sqlx::{PgPool, query, query_scalar},
        },
        redis::{RedisStore, redis},
        sqlite::SqliteStore,
    },
};

/// In Redis.
const COUNTER: &str = "conformance:effects";
/// In SQLite and Postgres, one row an effect.
const ADD: &str = "INSERT INTO conformance_effect(amount) VALUES($1)";
const ADD_RETURNING: &str = "INSERT INTO conformance_effect(amount) VALUES($1) RETURNING id";
const COUNT: &str = "SELECT count(*) FROM conformance_effect";

#[derive(Clone)]
pub enum Effects {
    Memory(Arc<AtomicI64>),
    Sqlite(SqliteStore),
    Redis(redis::aio::ConnectionManager),
    Postgres(PostgresStore),
}

impl Effects {
    /// Opens the store of the records, and what counts the effects beside them.
    pub async fn open(store: Store) -> Result<(Arc<dyn IdempotencyStore>, Self), BoxError> {
        match store {
            Store::Memory => Ok((Arc::new(MemoryStore::new()), Self::Memory(Arc::default()))),
            Store::Sqlite(path) => {
                let store = SqliteStore::open(path)?;
                let table =
                    "CREATE TABLE IF NOT EXISTS conformance_effect(id INTEGER PRIMARY KEY, amount INTEGER NOT NULL)";
                store.transaction::<_, BoxError, _>(move |tx| Ok(tx.execute_batch(table)?)).await?;
                Ok((Arc::new(store.clone()), Self::Sqlite(store)))
            }
            Store::Redis(url) => {
                let store = RedisStore::connect(url.as_str()).await?;
                let counter = redis::Client::open(url)?.get_connection_manager().await?;
                Ok((Arc::new(store), Self::Redis(counter)))
            }
            Store::Postgres(url) => {
                let store = PostgresStore::connect(&url).await?;
                store.migrate().await?;
                make_table(store.pool()).await?;
                Ok((Arc::new(store.clone()), Self::Postgres(store)))
            }
        }
    }

    /// Whether a charge and its record are one transaction. A run whose process died has then either done both or nothing.
    pub fn are_transactional(&self) -> bool {
        matches!(self, Self::Sqlite(_) | Self::Postgres(_))
    }

    /// One effect, by itself; how many there are with it, or its number.
    pub async fn add(&self, amount: i64) -> Result<i64, BoxError> {
        match self {
            Self::Memory(count) => Ok(count.fetch_add(1, SeqCst) + 1),
            Self::Sqlite(store) => {
                let added = store.transaction(move |tx| {
                    tx.execute(ADD, [amount])?;
                    Ok::<_, BoxError>(tx.last_insert_rowid())
                });
                added.await
            }
            Self::Redis(counter) => Ok(redis::cmd("INCR").arg(COUNTER).query_async(&mut counter.clone()).await?),
            Self::Postgres(store) => Ok(query_scalar(ADD_RETURNING).bind(amount).fetch_one(store.pool()).await?),
        }
    }

    /// A charge, and where that can be the record of its answer in the same transaction.
    pub async fn charge(&self, claim: Claim, amount: i64) -> Result<StoredResponse, BoxError> {
        match self {
            Self::Sqlite(store) => {
                let charged = store.transaction(move |tx| {
                    tx.execute(ADD, [amount])?;
                    let answer = charged(tx.last_insert_rowid(), amount);
                    tx.complete(&claim, &answer)?;
                    Ok::<_, BoxError>(answer)
                });
                charged.await
            }
            Self::Postgres(store) => {
                let mut tx = store.pool().begin().await?;
                let n = query_scalar(ADD_RETURNING).bind(amount).fetch_one(&mut *tx).await?;
                let answer = charged(n, amount);
                store.complete_in(&mut tx, &claim, &answer).await?;
                tx.commit().await?;
                Ok(answer)
            }
            // the layer records it, a moment later
            Self::Memory(_) | Self::Redis(_) => Ok(charged(self.add(amount).await?, amount)),
        }
    }

    pub async fn count(&self) -> Result<i64, BoxError> {
        match self {
            Self::Memory(count) => Ok(count.load(SeqCst)),
            Self::Sqlite(store) => Ok(store.read(|conn| Ok(conn.query_row(COUNT, [], |row| row.get(0))?)).await?),
            Self::Redis(counter) => {
                let count: Option<i64> = redis::cmd("GET").arg(COUNTER).query_async(&mut counter.clone()).await?;
                Ok(count.unwrap_or(0))
            }
            Self::Postgres(store) => Ok(query_scalar(COUNT).fetch_one(store.pool()).await?),
        }
    }
}

/// Several processes may begin at once: one of them makes the table, the others wait for it.
async fn make_table(pool: &PgPool) -> Result<(), BoxError> {
    let mut tx = pool.begin().await?;
    query("SELECT pg_advisory_xact_lock(7236841)").execute(&mut *tx).await?;
    let table = "CREATE TABLE IF NOT EXISTS conformance_effect
        (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount BIGINT NOT NULL)";
    query(table).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// With a cookie for the one who charged, which no replay has.
fn charged(n: i64, amount: i64) -> StoredResponse {
    let id = format!("ch_{n}");
    let mut answer = StoredResponse::json(StatusCode::CREATED, format!("{{\"id\":\"{id}\",\"amount\":{amount}}}"));
    for (name, text) in [(header::LOCATION, format!("/charges/{id}")), (header::SET_COOKIE, format!("last={id}"))] {
        answer.headers.extend(HeaderValue::try_from(text).map(|value| (name, value)));
    }
    answer
}
