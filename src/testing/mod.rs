//! What tests of integrations need: a clock to set, a service to script, and the contract suites that say whether a store
//! keeps the laws of its trait.
//!
//! [`Probe`] stands where the other side would be: it answers what it is told, takes as long as it is told, and writes down
//! every breach of tower's contract. [`TestClock`] stands where the time of day is read; waiting is tokio's, which
//! `#[tokio::test(start_paused = true)]` pauses.
//!
//! ```
//! use steadfast::testing::Probe;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let probe: Probe<&str> = Probe::new(|call| if call < 3 { Err("away".into()) } else { Ok("here") });
//! assert!(probe.clone().oneshot("hello").await.is_err()); // in a test: through the layers that are tried
//! assert_eq!((probe.calls(), probe.running(), probe.breaches()), (1, 0, vec![]));
//! # Ok(()) }
//! ```
//!
//! A contract suite waits with tokio's clock: a store that keeps its time by it can be tested with the clock paused, any other
//! in real time (a few seconds). It draws keys that nobody else has, so it may run over a store that is in use. The error names
//! the law that was broken.
//!
//! ```
//! use steadfast::{store::memory::MemoryStore, testing::idempotency_contract};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! idempotency_contract(&MemoryStore::new()).await?;
//! # Ok(()) }
//! ```

mod clock;
#[cfg(feature = "idempotency")]
mod idempotency;
mod probe;
#[cfg(feature = "queue")]
mod queue;

pub use clock::TestClock;
#[cfg(feature = "idempotency")]
pub use idempotency::idempotency_contract;
pub use probe::{Breach, Probe, ProbeFuture};
#[cfg(feature = "queue")]
pub use queue::queue_contract;
