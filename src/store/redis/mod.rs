//! Records in Redis.

mod error;
mod eviction;
mod handle;
mod idempotency;
mod layout;
mod link;
mod script;
mod status;

pub use handle::RedisStore;
pub use redis;
