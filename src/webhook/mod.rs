//! Webhooks that are checked before anything reads them.

mod error;
mod future;
mod layer;
mod scheme;
mod secret;
mod service;
mod sign;
mod verified;

pub use error::Unverified;
pub use future::ResponseFuture;
pub use layer::VerifyLayer;
pub use scheme::{GitHub, Scheme};
pub use secret::Secret;
pub use service::Verify;
pub use verified::Verified;
