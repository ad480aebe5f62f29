//! Settings that are checked once, when they are made, and cannot be wrong afterwards.
//!
//! ```
//! use steadfast::setting::Ratio;
//!
//! let half = Ratio::new(0.5)?;
//! assert!(half.reached_by(5, 10) && !half.reached_by(4, 10));
//! assert!(Ratio::new(1.5).is_err());
//! # Ok::<(), steadfast::setting::Invalid>(())
//! ```

#[cfg(feature = "serde")]
pub(crate) mod duration;
mod invalid;
#[cfg(all(feature = "serde", feature = "circuit-breaker"))]
pub(crate) mod optional_duration;
mod ratio;

pub use invalid::Invalid;
pub use ratio::Ratio;
