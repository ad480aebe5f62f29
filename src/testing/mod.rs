//! For tests of users: the contract suites that say whether a store keeps the laws of its trait.
//!
//! ```
//! use steadfast::{store::memory::MemoryStore, testing::idempotency_contract};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! idempotency_contract(&MemoryStore::new()).await?;
//! # Ok(()) }
//! ```
//!
//! A suite waits with tokio's clock: a store that keeps its time by it can be tested with the clock paused, any other in real
//! time (a few seconds). It draws keys that nobody else has, so it may run over a store that is in use. The error names the law
//! that was broken.

#[cfg(feature = "idempotency")]
mod idempotency;
#[cfg(feature = "queue")]
mod queue;

#[cfg(feature = "idempotency")]
pub use idempotency::idempotency_contract;
#[cfg(feature = "queue")]
pub use queue::queue_contract;
