use sqlx::{Error, Executor, PgPool, Postgres, Row, postgres::PgArguments, postgres::PgRow, query::Query};

/// Runs a statement that is a transaction by itself, and sees to it that it was.
///
/// A `begin` that is dropped on its way (the caller of a handler hung up) can leave sqlx a connection whose transaction is
/// open without it knowing. Whatever runs there next is answered and not committed. A statement that runs alone begins
/// together with its transaction, so each says in its column `inside` whether `now()` is not `statement_timestamp()`.
pub(super) async fn alone(pool: &PgPool, statement: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, Error> {
    let mut conn = pool.acquire().await?;
    let rows = statement.fetch_all(&mut *conn).await;
    match &rows {
        // what others have run there in the same belief is committed with it
        Ok(rows) if rows.first().is_some_and(|row| row.try_get("inside").unwrap_or(false)) => {
            conn.execute("COMMIT").await?;
        }
        // nothing will ever run there again
        Err(Error::Database(error)) if error.code().as_deref() == Some("25P02") => conn.close_on_drop(),
        _ => {}
    }
    rows
}
