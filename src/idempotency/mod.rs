//! Idempotency keys.

mod fingerprint;
mod record;
mod store;

pub use crate::token::{StoreId, Token};
pub use fingerprint::{Fingerprint, StoreKey};
pub use record::StoredResponse;
pub use store::{Begin, Begun, Fence, Fenced, IdempotencyStore, Recorded};
