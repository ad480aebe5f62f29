use super::{PolicyFuture, PolicyLayer};
use crate::attempt::Attempt;
use std::{
    fmt, mem,
    task::{Context, Poll},
};
use tower::retry::Policy;
use tower_service::Service;

/// What [`PolicyLayer`] makes.
#[derive(Clone)]
pub struct PolicyRetry<S, P> {
    pub(super) inner: S,
    pub(super) layer: PolicyLayer<P>,
}

impl<S, P, Req> Service<Req> for PolicyRetry<S, P>
where
    S: Service<Req, Error: 'static> + Clone,
    P: Policy<Req, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = PolicyFuture<S, P, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let outer = Attempt::current_or_default();
        let mut policy = self.layer.policy.clone();
        // below a retry layer another one makes a single attempt
        let is_nested = outer.number() > 0;
        let next = if is_nested { None } else { policy.clone_request(&request) };
        let attempt = if is_nested { outer } else { outer.with_number(1) };
        // the instance that was made ready is the one that is called, now and for every repeat; a clone is not ready
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let call = attempt.begin(|| inner.call(request));
        PolicyFuture::new(call, inner, policy, next, self.layer.budget.clone(), attempt)
    }
}

impl<S: fmt::Debug, P> fmt::Debug for PolicyRetry<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyRetry").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}
