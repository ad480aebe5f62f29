//! axum's own body, and what its handlers extract.

#[cfg(feature = "idempotency")]
mod claim;

#[cfg(feature = "idempotency")]
pub use claim::NoClaim;

use crate::body::{FromReplay, ReplayBody, ReplayError};
use axum::body::Body;
use http_body_util::BodyExt;

impl FromReplay for Body {
    fn from_replay(body: ReplayBody<Self>) -> Self {
        Self::new(body.map_err(ReplayError::into_box))
    }
}
