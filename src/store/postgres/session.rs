use sqlx::{
    Error, PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A connection on which the store's statements run: prepared once each, or not at all.
///
/// Behind a pooler in transaction mode the next transaction has another connection to the server, on which a prepared statement
/// of this one is missing, or is another client's.
pub(super) struct Session<'c> {
    conn: &'c mut PgConnection,
    prepares: bool,
}

impl<'c> Session<'c> {
    pub(super) fn new(conn: &'c mut PgConnection, prepares: bool) -> Self {
        Self { conn, prepares }
    }

    pub(super) async fn all(&mut self, statement: Statement<'_>) -> Result<Vec<PgRow>, Error> {
        statement.persistent(self.prepares).fetch_all(&mut *self.conn).await
    }

    pub(super) async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<PgRow>, Error> {
        statement.persistent(self.prepares).fetch_optional(&mut *self.conn).await
    }

    /// Returns the number of rows that were changed.
    pub(super) async fn execute(&mut self, statement: Statement<'_>) -> Result<u64, Error> {
        Ok(statement.persistent(self.prepares).execute(&mut *self.conn).await?.rows_affected())
    }

    /// Several statements in one text, without parameters.
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<(), Error> {
        sqlx::raw_sql(sql).execute(&mut *self.conn).await.map(drop)
    }
}
