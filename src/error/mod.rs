//! What this side can fail with, and how a cause is found again.
//!
//! Layers that can fail by themselves have `type Error = BoxError`; the cause is one of the small structs here (or in the
//! pattern's own `error` module) and is found with [`find`] anywhere in the error's `source()` chain:
//!
//! ```
//! use std::time::Duration;
//! use steadfast::error::{BoxError, Refused};
//!
//! let error: BoxError = Refused::new("payments", "circuit open").with_retry_after(Duration::from_secs(3)).into();
//! let refused = Refused::find(&*error).ok_or("not refused")?;
//! assert_eq!(refused.retry_after(), Some(Duration::from_secs(3)));
//! # Ok::<(), &str>(())
//! ```
//!
//! | type | says | what the caller should do |
//! | --- | --- | --- |
//! | [`Refused`] | this side said no, nothing was sent | wait for `retry_after`, or give up |
//! | [`Elapsed`](crate::timeout::Elapsed) | a deadline of this side struck, the outcome is unknown | repeat only what is repeatable |
//! | [`MaybeExecuted`](crate::classify::MaybeExecuted) | an attempt may have been executed, and a later one was refused or did not connect | as after a timeout |
//! | [`StoreError`] | a store did not answer, or could not | repeat: every store call is safe to repeat |
//! | [`Invalid`](crate::setting::Invalid) | a setting cannot be what it was given | mend the setting |

mod boxed;
mod facts;
mod find;
mod refused;
mod status;
mod store;

pub use boxed::{BoxError, BoxFuture};
pub(crate) use facts::Facts;
pub use find::{as_error, find};
pub(crate) use find::{chain, known};
pub use refused::Refused;
pub(crate) use status::StatusSource;
pub use store::StoreError;
