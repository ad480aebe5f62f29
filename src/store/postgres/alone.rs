use super::error::met_another;
use sqlx::{
    Error, PgPool, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

/// Where each statement meets others whatever it does, it is not sent for ever.
const TRIES: usize = 8;

/// Runs a statement that is a transaction by itself; again, where the server broke it off because of another one, as it may
/// where the role's default is another isolation level than `read committed`.
pub(super) async fn alone<'q>(
    pool: &PgPool,
    statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
) -> Result<Vec<PgRow>, Error> {
    let mut tries = 1;
    loop {
        match statement().fetch_all(pool).await {
            Err(error) if tries < TRIES && met_another(&error) => tries += 1,
            rows => return rows,
        }
    }
}
