//! Where records and messages live: one folder a backend. Each implements the store traits of the patterns that are enabled,
//! [`idempotency::IdempotencyStore`](crate::idempotency::IdempotencyStore) and
//! [`queue::QueueStore`](crate::queue::QueueStore); no pattern knows any of them.
//!
//! | backend | feature | survives | shared between processes |
//! | --- | --- | --- | --- |
//! | [`MemoryStore`](memory::MemoryStore) | none | nothing: it ends with the process | no |
//! | [`PostgresStore`](postgres::PostgresStore) | `postgres` | what the server's commits survive | of any machine, whoever waits is woken across them |
//! | [`RedisStore`](redis::RedisStore) | `redis` | the process, and what [Redis is set up to survive](redis#what-survives-what) | of any number of machines; records only |
//! | [`SqliteStore`](sqlite::SqliteStore) | `sqlite` | the machine: every answer comes after an fsync | of one machine |
//!
//! A store of your own implements the same traits; the contract suites in [`testing`](crate::testing) (feature `testing`) say
//! whether it keeps their laws.

#[cfg(any(feature = "idempotency", feature = "queue"))]
pub mod memory;
#[cfg(all(feature = "postgres", any(feature = "idempotency", feature = "queue")))]
pub mod postgres;
#[cfg(all(feature = "redis", feature = "idempotency"))]
pub mod redis;
#[cfg(feature = "idempotency")]
mod released;
#[cfg(all(feature = "sqlite", any(feature = "idempotency", feature = "queue")))]
pub mod sqlite;
#[cfg(any(
    all(feature = "sqlite", any(feature = "idempotency", feature = "queue")),
    all(feature = "postgres", feature = "queue")
))]
mod wakes;
