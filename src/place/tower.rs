//! tower's own retry: its budgets in ours, and our policy in its `Retry`.
//!
//! A `tower::retry::budget::Budget` behind an `Arc` goes wherever a [`Budget`] goes:
//!
//! ```
//! use std::sync::Arc;
//! use steadfast::retry::RetryLayer;
//! use tower::retry::budget::TpsBudget;
//!
//! let layer = RetryLayer::default().with_budget(Arc::new(TpsBudget::default()));
//! # let _ = layer;
//! ```
//!
//! It does not say how much is left, so the registry does not either.
//!
//! [`TowerPolicy`] is our policy as a `tower::retry::Policy`. The other way round there is none: a `tower::retry::Policy` is given
//! the request and the result to change, keeps the state of a call in itself, and waits in a future of its own, where a
//! [`Policy`](crate::retry::Policy) is told the verdict and answers with a duration. Its engine is `tower::retry::Retry`: put that
//! where [`RetryLayer`](crate::retry::RetryLayer) would be, and not above it, since the two do not know of each other.

mod policy;
mod wait;

pub use policy::TowerPolicy;
pub use wait::Wait;

use crate::retry::{Budget, Budgets, Fund};
use std::sync::Arc;

struct Tower<B>(Arc<B>);

impl<B: tower::retry::budget::Budget + Send + Sync + 'static> Fund for Tower<B> {
    fn deposit(&self) {
        self.0.deposit();
    }

    fn withdraw(&self) -> bool {
        self.0.withdraw()
    }
}

impl<B: tower::retry::budget::Budget + Send + Sync + 'static> From<Arc<B>> for Budget {
    fn from(budget: Arc<B>) -> Self {
        Self::from_fund(Tower(budget))
    }
}

impl<B: tower::retry::budget::Budget + Send + Sync + 'static> From<Arc<B>> for Budgets {
    fn from(budget: Arc<B>) -> Self {
        Budget::from(budget).into()
    }
}
