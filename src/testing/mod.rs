//! What tests of integrations need: a clock to set, and a service to script.
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

mod clock;
mod probe;

pub use clock::TestClock;
pub use probe::{Breach, Probe, ProbeFuture};
