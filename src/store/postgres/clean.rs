use super::PostgresStore;
use sqlx::{Connection, Error, PgConnection, Row, postgres::PgPoolOptions};
use std::time::Duration;
use tokio::time::timeout;

/// A connection that is younger is not asked whether it can write: where no session of a server can, a new one is opened no more
/// often than this.
const YOUNG: Duration = Duration::from_secs(1);
/// How long a connection may take to say that it is in no transaction.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(5);

impl PostgresStore {
    /// Options for a pool whose connections can be relied upon: sqlx's defaults, with two tests.
    ///
    /// `before_acquire`, in place of sqlx's ping (`test_before_acquire`): `SHOW transaction_read_only`. After a failover a pool may hold
    /// connections to a server that only reads from then on. They are answered, so a ping finds nothing, and every transaction
    /// that writes fails; such a connection is replaced before it is given out. It costs the round trip of the ping.
    ///
    /// `after_release`: whether a connection that comes back is inside a transaction. sqlx (0.9.0) leaves one there whose `begin()` was
    /// dropped on its way to the server, as happens to a handler whose caller hangs up. Whatever is run on it next without a
    /// transaction of its own is answered, and not committed: neither the service's statements nor those of the store. It costs
    /// an empty statement each time, when nobody waits for it.
    ///
    /// A pool that is made otherwise wants such tests as well.
    pub fn pool_options() -> PgPoolOptions {
        PgPoolOptions::new()
            .test_before_acquire(false)
            .before_acquire(|conn, meta| Box::pin(can_write(conn, meta.age)))
            .after_release(|conn, _| Box::pin(clean(conn)))
    }
}

/// Whether it is alive, and can write as far as is known. A broken one is not worth an error: sqlx would log it.
async fn can_write(conn: &mut PgConnection, age: Duration) -> Result<bool, Error> {
    if age < YOUNG {
        return Ok(conn.ping().await.is_ok());
    }
    let shown = sqlx::raw_sql("SHOW transaction_read_only").fetch_one(conn).await;
    Ok(shown.and_then(|row| row.try_get::<String, _>(0)).is_ok_and(|shown| shown == "off"))
}

/// Whether it can be used on.
async fn clean(conn: &mut PgConnection) -> Result<bool, Error> {
    timeout(CLEAN_TIMEOUT, is_clean(conn)).await.unwrap_or(Err(Error::PoolTimedOut))
}

async fn is_clean(conn: &mut PgConnection) -> Result<bool, Error> {
    // the only way to ask sqlx what the server has said: it counts as begun what is inside a transaction afterwards
    match conn.begin_with("").await {
        Ok(left) => left.rollback().await.map(|()| true),
        Err(Error::BeginFailed) => Ok(true),
        Err(error) => Err(error),
    }
}
