use super::Wait;
use crate::{
    backoff::Random,
    classify::{ByResult, Classify, Failure, Http, Outcome},
    retry::{Budget, Budgets, CloneRequest, HttpReplay, Policy, Replay, StandardPolicy, Turn},
};
use std::{fmt, sync::Arc};

/// What `tower::retry::Retry` asks, answered as [`RetryLayer`](crate::retry::RetryLayer) would: for those who stay with tower's
/// engine.
///
/// It has the same table of what is repeated, the same backoff, hints, budget and deadline, and the same word in the response:
/// [`Attempts`](crate::retry::Attempts). What tower's engine cannot do is missing: requests have to be `Clone`, layers below do not
/// see the number of an attempt (a repeated `http::Request` has it in its extensions), nothing is read ahead, a permit is spent
/// before readiness, and there are no events and metrics. It sends the request as it came, so the client below cannot be asked
/// whether there was a connection, nor is it known whether a refusal is that of a later hop: a request that is not repeatable is
/// sent again after a failed connect or a refusal only with [`Http::without_redirects`].
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use steadfast::{place::tower::TowerPolicy, retry::StandardPolicy};
/// use tower::{ServiceBuilder, ServiceExt, retry::RetryLayer, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut calls = 0;
/// let flaky = service_fn(move |_: Request<Full<Bytes>>| {
///     calls += 1;
///     let status = if calls < 3 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
///     std::future::ready(Response::builder().status(status).body(String::new()).map_err(|e| e.to_string()))
/// });
/// let policy = TowerPolicy::new(StandardPolicy::new());
/// let client = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(flaky);
/// assert_eq!(client.oneshot(Request::get("/").body(Full::default())?).await?.status(), StatusCode::OK);
/// # Ok(()) }
/// ```
pub struct TowerPolicy<P = StandardPolicy, C = Http, R = HttpReplay> {
    strategies: Arc<(P, C, R)>,
    budgets: Budgets,
    random: Arc<Random>,
    /// Of the call that a clone is for; `None` until its first attempt came to an end.
    turn: Option<Turn>,
}

impl TowerPolicy {
    /// For `http::Request`.
    pub fn new(policy: StandardPolicy) -> Self {
        Self::with(policy, Http::new(), HttpReplay)
    }
}

impl TowerPolicy<StandardPolicy, ByResult, CloneRequest> {
    /// For any request; see [`RetryLayer::by_result`](crate::retry::RetryLayer::by_result).
    pub fn by_result(policy: StandardPolicy) -> Self {
        Self::with(policy, ByResult, CloneRequest)
    }
}

impl<P, C, R> TowerPolicy<P, C, R> {
    /// With strategies of your choice. `replay` is asked what must not be repeated and marks repeats; the copy is a clone.
    pub fn with(policy: P, classify: C, replay: R) -> Self {
        let strategies = Arc::new((policy, classify, replay));
        Self { strategies, budgets: Budget::default().into(), random: Arc::new(Random::new()), turn: None }
    }

    /// A budget that is shared with others, [`Budgets::per_origin`], or [`Budgets::none`].
    #[must_use]
    pub fn with_budget(mut self, budget: impl Into<Budgets>) -> Self {
        self.budgets = budget.into();
        self
    }

    /// The same sequence of delays every time.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.random = Arc::new(Random::with_seed(seed));
        self
    }
}

impl<P, C, R, Req, Res, E> tower::retry::Policy<Req, Res, E> for TowerPolicy<P, C, R>
where
    P: Policy,
    C: Classify<Req, Res, E>,
    R: Replay<Req>,
    Req: Clone,
    E: 'static,
{
    type Future = Wait;

    fn retry(&mut self, request: &mut Req, result: &mut Result<Res, E>) -> Option<Wait> {
        let (policy, classify, replay) = &*self.strategies;
        let repeatable = classify.repeatable(request);
        let turn = self.turn.get_or_insert_with(|| Turn::new(repeatable, replay.max_retries(request)));
        let seen = match result {
            Ok(response) => classify.head(response, repeatable),
            Err(error) => classify.error(error, turn.evidence().uncounted()),
        };
        let is_refused_response = result.is_ok() && seen.outcome() == Outcome::Refused;
        // it may be the refusal of a later hop
        let may_be_executed = is_refused_response && !repeatable.may_repeat();
        let verdict = if may_be_executed { Failure::Transient.into() } else { seen };
        match turn.next(policy, &self.random, verdict, &self.budgets, classify.origin(request)) {
            Ok((delay, permit)) => {
                replay.mark(request, turn.attempt());
                Some(Wait::new(delay, permit))
            }
            Err(stop) => {
                match result {
                    Err(error) => {
                        let strict = classify.error(error, turn.evidence().strict());
                        turn.disclose(error, strict.outcome());
                    }
                    Ok(response) => {
                        if is_refused_response {
                            turn.disclose_in(classify.extensions_mut(response), Outcome::Refused);
                        }
                        turn.tell(stop, classify.extensions_mut(response));
                    }
                }
                None
            }
        }
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        let (_, _, replay) = &*self.strategies;
        // one that succeeds still pays in, so it is kept even where no repeat is allowed
        (!replay.forbids(request)).then(|| request.clone())
    }
}

impl<P, C, R> Clone for TowerPolicy<P, C, R> {
    /// For another call: tower clones the policy once a call.
    fn clone(&self) -> Self {
        let (strategies, budgets, random) = (self.strategies.clone(), self.budgets.clone(), self.random.clone());
        Self { strategies, budgets, random, turn: None }
    }
}

impl<P, C, R> fmt::Debug for TowerPolicy<P, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerPolicy").field("budgets", &self.budgets).field("turn", &self.turn).finish_non_exhaustive()
    }
}
