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
//! [`TowerPolicy`] is our policy as a `tower::retry::Policy`, for those who stay with `tower::retry::Retry`.
//!
//! The other way round, [`PolicyLayer`] takes a `tower::retry::Policy` that somebody has and lets it decide: whether a request can
//! be made again, whether it is, and after what wait. It is a layer of its own, since such a policy is given the request and the
//! result to change, keeps the state of a call in itself and waits in a future of its own. The rest is as in
//! [`RetryLayer`](crate::retry::RetryLayer): attempt and deadline reach the layers below, below a retry layer it makes one
//! attempt, repeats can be taken out of a [`Budget`] whose permit goes back if the attempt never starts, the answer is dropped
//! before the wait, and readiness is waited for on the instance that is called.
//!
//! ```
//! use steadfast::{place::tower::PolicyLayer, retry::Budget};
//! use std::future::{Ready, ready};
//!
//! #[derive(Clone)]
//! struct Twice(u32);
//! impl<Req: Clone, Res, E> tower::retry::Policy<Req, Res, E> for Twice {
//!     type Future = Ready<()>;
//!     fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Ready<()>> {
//!         self.0 = self.0.checked_sub(1)?;
//!         result.is_err().then(|| ready(()))
//!     }
//!     fn clone_request(&mut self, request: &Req) -> Option<Req> {
//!         Some(request.clone())
//!     }
//! }
//! let layer = PolicyLayer::new(Twice(2)).with_budget(Budget::default());
//! # let _ = layer;
//! ```

mod future;
mod layer;
mod policy;
mod service;
mod wait;

pub use future::PolicyFuture;
pub use layer::PolicyLayer;
pub use policy::TowerPolicy;
pub use service::PolicyRetry;
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
