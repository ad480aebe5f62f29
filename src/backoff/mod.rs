//! How long to wait before the next attempt: pure arithmetic, no timer, no clock.
//!
//! ```
//! use std::time::Duration;
//! use steadfast::backoff::{Backoff, Exponential, Jitter, Random};
//!
//! let backoff = Exponential::new(Duration::from_millis(100), Duration::from_secs(20))?.with_jitter(Jitter::Full);
//! let random = Random::with_seed(7);
//! let first = backoff.delay(1, Duration::ZERO, &mut random.stream());
//! assert!(first <= Duration::from_millis(100));
//! # Ok::<(), steadfast::setting::Invalid>(())
//! ```
//!
//! | jitter | delay before retry *n*, with `step = min * 2^(n-1)` |
//! | --- | --- |
//! | [`Jitter::None`] | `step` |
//! | [`Jitter::Full`] | between 0 and `step` |
//! | [`Jitter::Equal`] | between `step / 2` and `step` |
//! | [`Jitter::Decorrelated`] | between `min` and three times the delay before |
//!
//! `step` is held under the cap *before* jitter, so that delays keep their spread at the cap, and never above it after.
//! Chance draws from the floor upwards, so that what would lie below it is spread as well. Arithmetic is in nanoseconds: whole
//! seconds have jitter too. No attempt number and no `Duration` overflows.
//!
//! Source of the forms: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
//!
//! [`Random`] is one seedable stream that all clones of a layer share: two requests never draw the same delays because they
//! went through two clones.

mod exponential;
mod hint;
mod jitter;
mod random;

pub use exponential::{Backoff, Exponential};
pub use hint::Hint;
pub use jitter::Jitter;
pub use random::Random;
