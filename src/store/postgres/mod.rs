//! Postgres: records that several machines share, in the user's own transaction if wanted.
//!
//! You want it where the service keeps its data in Postgres already: the record of a request can then be committed together
//! with what the request did. You do not want it for speed alone: every new request costs two statements.
//!
//! ```no_run
//! use steadfast::store::postgres::{PostgresStore, sqlx::PgPool};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = PgPool::connect("postgres://app@localhost/app").await?;
//! let store = PostgresStore::new(pool.clone()); // the pool that the service has anyway
//! store.migrate().await?;
//! # Ok(()) }
//! ```

mod error;
mod handle;
#[cfg(feature = "idempotency")]
mod idempotency;
mod schema;
mod status;
mod time;

pub use handle::PostgresStore;
pub use sqlx;
