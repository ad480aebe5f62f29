//! Idempotency keys.

mod body;
mod caller;
mod claim;
mod config;
mod error;
mod fingerprint;
mod future;
mod inject;
mod job;
mod key;
mod layer;
mod ledger;
mod panic;
mod pump;
mod record;
mod refusal;
mod scope;
mod service;
mod sf_string;
mod state;
mod store;

pub use crate::token::{StoreId, Token};
pub use body::IdempotencyBody;
pub use claim::{Claim, NotExecuted};
pub use config::OnUnknown;
pub use error::{ClaimLost, MalformedKey};
pub use fingerprint::{Fingerprint, StoreKey};
pub use future::ResponseFuture;
pub use inject::{CarryKey, IdempotencyKeyLayer, IdempotencyKeys};
pub use key::IdempotencyKey;
pub use layer::IdempotencyLayer;
pub use record::StoredResponse;
pub use scope::Scope;
pub use service::Idempotency;
pub use store::{Begin, Begun, Fence, Fenced, IdempotencyStore, Recorded};
