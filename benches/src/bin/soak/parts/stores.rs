//! Stores, and how many rows they hold.
use crate::{
    postgres_server::{self, Server},
    redis_server::RedisServer,
    subject::Rows,
};
use std::{path::Path, sync::Arc};
use steadfast::{
    error::{BoxError, StoreError},
    store::{
        postgres::{
            PostgresStore,
            sqlx::{self, AssertSqlSafe, PgPool, postgres::PgPoolOptions},
        },
        redis::RedisStore,
        sqlite::{SqliteConfig, SqliteStore, rusqlite::Connection},
    },
};
use tempfile::TempDir;
use tokio::{sync::Mutex, task::spawn_blocking};

/// In the current folder, so on its disk.
pub(super) fn sqlite(config: SqliteConfig) -> Result<(SqliteStore, TempDir), BoxError> {
    let dir = tempfile::tempdir_in(".")?;
    Ok((SqliteStore::open_with(dir.path().join("soak.db"), config)?, dir))
}

/// Counts by a connection of its own.
pub(super) fn sqlite_rows(dir: &Path) -> Result<impl Fn() -> Rows + use<>, BoxError> {
    let conn = Arc::new(std::sync::Mutex::new(Connection::open(dir.join("soak.db"))?));
    Ok(move || {
        let conn = conn.clone();
        Box::pin(async move { Ok(spawn_blocking(move || count_sqlite(&conn)).await??) }) as _
    })
}

fn count_sqlite(conn: &std::sync::Mutex<Connection>) -> Result<i64, StoreError> {
    let conn = conn.lock().map_err(|_| StoreError::new("the count has panicked"))?;
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'steadfast\\_%' ESCAPE '\\'";
    let tables: Vec<String> = conn.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut rows = 0;
    for table in tables {
        rows += conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))?;
    }
    Ok(rows)
}

/// A database of its own in a private server, with a pool of ten as a service would have it.
pub(super) async fn postgres() -> Result<(PostgresStore, String), BoxError> {
    let server: &'static Server = spawn_blocking(postgres_server::shared).await?;
    let url = server.url(&server.database().await);
    let store =
        PostgresStore::new(PostgresStore::pool_options().min_connections(10).max_connections(10).connect(&url).await?);
    store.migrate().await?;
    Ok((store, url))
}

pub(super) async fn postgres_rows(url: &str) -> Result<impl Fn() -> Rows + use<>, BoxError> {
    let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
    Ok(move || {
        let pool = pool.clone();
        Box::pin(async move { count_postgres(&pool).await }) as _
    })
}

async fn count_postgres(pool: &PgPool) -> Result<i64, BoxError> {
    let sql = "SELECT tablename::text FROM pg_tables WHERE tablename LIKE 'steadfast\\_%'";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(pool).await?;
    let mut rows = 0;
    for table in tables {
        let sql = format!("SELECT count(*) FROM {table}");
        rows += sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(pool).await?;
    }
    Ok(rows)
}

pub(super) async fn redis() -> Result<(RedisStore, Arc<Mutex<RedisServer>>), BoxError> {
    let server = spawn_blocking(RedisServer::start).await?;
    let store = RedisStore::connect(server.url()).await?;
    Ok((store, Arc::new(Mutex::new(server))))
}

pub(super) async fn redis_keys(server: Arc<Mutex<RedisServer>>) -> Result<i64, BoxError> {
    let server = server.lock_owned().await;
    Ok(spawn_blocking(move || server.cli(&["DBSIZE"])).await?.parse()?)
}
