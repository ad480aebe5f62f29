//! One SQLite file.

mod clock;
mod config;
mod connection;
mod control;
mod error;
mod guard;
mod hook;
#[cfg(feature = "idempotency")]
mod idempotency;
mod job;
mod maintenance;
#[cfg(feature = "queue")]
mod queue;
mod readers;
mod schema;
mod status;
mod store;
mod transaction;
mod wakes;
mod writer;

pub use config::SqliteConfig;
pub use rusqlite;
pub use store::SqliteStore;
pub use transaction::SqliteTransaction;
