use super::PolicyRetry;
use crate::retry::Budget;
use std::fmt;
use tower_layer::Layer;

/// A `tower::retry::Policy` that decides in a layer of ours; see the [module docs](crate::place::tower).
#[derive(Clone)]
pub struct PolicyLayer<P> {
    pub(super) policy: P,
    pub(super) budget: Option<Budget>,
}

impl<P> PolicyLayer<P> {
    /// `policy` decides, as it does in `tower::retry::Retry`: whether a request can be made again, whether it is, and after
    /// what wait.
    pub const fn new(policy: P) -> Self {
        Self { policy, budget: None }
    }

    /// Every repeat is taken out of this besides: an `Ok` that the policy lets stand pays in, and where nothing is left the
    /// answer stands although the policy would repeat.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }
}

impl<S, P: Clone> Layer<S> for PolicyLayer<P> {
    type Service = PolicyRetry<S, P>;

    fn layer(&self, inner: S) -> PolicyRetry<S, P> {
        PolicyRetry { inner, layer: self.clone() }
    }
}

impl<P> fmt::Debug for PolicyLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyLayer").field("budget", &self.budget).finish_non_exhaustive()
    }
}
