use super::PostgresStore;
use sqlx::{Connection, Error, PgConnection, postgres::PgPoolOptions};

impl PostgresStore {
    /// Options for a pool that keeps what is dropped in it apart from what comes after: sqlx's defaults, and an
    /// `after_release` that looks whether a connection that comes back is inside a transaction.
    ///
    /// sqlx (0.9.0) leaves one there whose `begin()` was dropped on its way to the server, as happens to a handler whose caller
    /// hangs up. Whatever is run on it next without a transaction of its own is answered, and not committed: neither the
    /// service's statements nor those of the store. A pool that is made otherwise wants such an `after_release` as well. It
    /// costs an empty statement each time, when nobody waits for it.
    pub fn pool_options() -> PgPoolOptions {
        PgPoolOptions::new().after_release(|conn, _| Box::pin(clean(conn)))
    }
}

/// Whether it can be used on.
async fn clean(conn: &mut PgConnection) -> Result<bool, Error> {
    // the only way to ask sqlx what the server has said: it counts as begun what is inside a transaction afterwards
    match conn.begin_with("").await {
        Ok(left) => left.rollback().await.map(|()| true),
        Err(Error::BeginFailed) => Ok(true),
        Err(error) => Err(error),
    }
}
