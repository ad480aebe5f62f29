use super::{
    Budget, Budgets, CloneRequest, HeadOnly, HttpReplay, Limited, MarkerLayer, Policy, Prepared, ReadAhead, Retry,
    StandardPolicy,
    shared::{Listed, Settings, Shared, Strategies},
};
use crate::{
    attempt::Attempt,
    backoff::Random,
    body::Caps,
    classify::{ByError, ByResult, Http, Outcome},
};
use http::HeaderName;
use std::{error::Error, fmt, sync::Arc};
use tower_layer::Layer;

/// Repeats what is safe to repeat; see the [module docs](crate::retry).
///
/// `P` decides, `C` judges, `R` makes the request again, `T` says how much of a response is read before that. Clones, and all
/// services that they make, share the budget and the stream of chance.
pub struct RetryLayer<P = StandardPolicy, C = Http, R = HttpReplay, T = HeadOnly> {
    shared: Arc<Shared<P, C, R>>,
    settle: T,
}

// On concrete types, since defaults of type parameters take no part in inference: no turbofish is needed.
impl RetryLayer {
    /// For `http::Request` and, with the feature `reqwest`, reqwest's own.
    pub fn new(policy: StandardPolicy) -> Self {
        Self::with(policy, Http::new(), HttpReplay)
    }
}

impl RetryLayer<StandardPolicy, ByResult, CloneRequest> {
    /// For any service with `Clone` requests: what is `Ok` is a success, every request may be repeated, and errors are judged
    /// by [`of_error`](crate::classify::of_error). An error type of your own is a fault there: repeat it with
    /// [`StandardPolicy::with_faults`], or name its outcome with [`by_error`](Self::by_error).
    pub fn by_result(policy: StandardPolicy) -> Self {
        Self::with(policy, ByResult, CloneRequest)
    }
}

impl<E, F> RetryLayer<StandardPolicy, ByError<E, F>, CloneRequest>
where
    E: Error + 'static,
    F: Fn(&E) -> Outcome + Send + Sync + 'static,
{
    /// Creates a layer for any service with `Clone` requests: `Ok` is a success, every request may be repeated, and `judge` names
    /// the outcome of an error of type `E`; see [`ByError`].
    pub fn by_error(policy: StandardPolicy, judge: F) -> Self {
        Self::with(policy, ByError::new(judge), CloneRequest)
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(StandardPolicy::new())
    }
}

impl<P: Policy, C, R> RetryLayer<P, C, R> {
    /// With strategies of your choice.
    pub fn with(policy: P, classify: C, replay: R) -> Self {
        let settings = Settings {
            listed: Listed::new("retry".into(), Budget::default().into()),
            caps: Caps::default(),
            max_retries: None,
            random: Arc::new(Random::new()),
            marker: Some(MarkerLayer::HEADER),
        };
        let strategies = Arc::new(Strategies { policy, classify, replay });
        Self { shared: Arc::new(Shared { strategies, settings }), settle: HeadOnly }
    }
}

impl<P: Clone, C: Clone, R: Clone, T> RetryLayer<P, C, R, T> {
    /// `prepare` is called right before every attempt, the first one included, with a request that has not seen the attempt
    /// before: a signature, a date or a trace context is new each time, while the `Idempotency-Key` stays.
    ///
    /// ```
    /// use http::{HeaderValue, Request};
    /// use steadfast::{attempt::Attempt, retry::RetryLayer};
    ///
    /// let layer = RetryLayer::default().with_prepare(|request: &mut Request<String>, attempt: Attempt| {
    ///     request.headers_mut().insert("x-attempt", HeaderValue::from(attempt.number()));
    /// });
    /// ```
    #[must_use]
    pub fn with_prepare<Req, F>(self, prepare: F) -> RetryLayer<P, C, Prepared<R, F>, T>
    where
        F: Fn(&mut Req, Attempt) + Send + Sync + 'static,
    {
        self.map_replay(|replay| Prepared::new(replay, prepare))
    }

    /// A call has the number of retries that `find` finds in its request, if it finds one: for requests that have no place for
    /// [`MaxRetries`](super::MaxRetries).
    ///
    /// ```
    /// use steadfast::retry::RetryLayer;
    ///
    /// struct Command { patient: bool }
    /// let layer = RetryLayer::default().max_retries_of(|command: &Command| command.patient.then_some(9));
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn max_retries_of<Req, F>(self, find: F) -> RetryLayer<P, C, Limited<R, F>, T>
    where
        F: Fn(&Req) -> Option<u32> + Send + Sync + 'static,
    {
        self.map_replay(|replay| Limited::new(replay, find))
    }

    fn map_replay<R2>(self, change: impl FnOnce(R) -> R2) -> RetryLayer<P, C, R2, T> {
        let Strategies { policy, classify, replay } = &*self.shared.strategies;
        let (policy, classify, replay) = (policy.clone(), classify.clone(), change(replay.clone()));
        let strategies = Arc::new(Strategies { policy, classify, replay });
        let settings = self.shared.settings.clone();
        RetryLayer { shared: Arc::new(Shared { strategies, settings }), settle: self.settle }
    }
}

impl<P: Clone, R: Clone, T> RetryLayer<P, Http, R, T> {
    /// States that the client below follows no redirects: see [`Http::without_redirects`]. For reqwest, whose client is then built
    /// with `redirect::Policy::none()`, it is what lets a request that is not repeatable be sent again after a failed connect.
    #[must_use]
    pub fn without_redirects(self) -> Self {
        let Strategies { policy, classify, replay } = &*self.shared.strategies;
        let (policy, classify, replay) = (policy.clone(), classify.clone().without_redirects(), replay.clone());
        let strategies = Arc::new(Strategies { policy, classify, replay });
        let settings = self.shared.settings.clone();
        Self { shared: Arc::new(Shared { strategies, settings }), settle: self.settle }
    }
}

impl<P, C, R, T> RetryLayer<P, C, R, T> {
    /// The name in events, metrics and the registry.
    #[must_use]
    pub fn with_name(self, name: impl Into<Arc<str>>) -> Self {
        let budgets = self.budgets().clone();
        self.set(|settings| settings.listed = Listed::new(name.into(), budgets))
    }

    /// A budget that is shared with others, or [`Budgets::per_origin`].
    #[must_use]
    pub fn with_budget(self, budget: impl Into<Budgets>) -> Self {
        let name = self.shared.settings.listed.name.clone();
        self.set(|settings| settings.listed = Listed::new(name, budget.into()))
    }

    /// No limit but the policy's: for a queue that has to get through anyway. In front of a service that many call, the
    /// budget is what ends an overload.
    #[must_use]
    pub fn without_budget(self) -> Self {
        self.with_budget(Budgets::none())
    }

    /// How much of request bodies is kept for a repeat.
    #[must_use]
    pub fn with_caps(self, caps: Caps) -> Self {
        self.set(|settings| settings.caps = caps)
    }

    /// The same sequence of delays every time.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.set(|settings| settings.random = Arc::new(Random::with_seed(seed)))
    }

    /// Heeds another header than [`MarkerLayer::HEADER`] in which the other side says that it has repeated the call already.
    #[must_use]
    pub fn with_marker(self, header: HeaderName) -> Self {
        self.set(|settings| settings.marker = Some(header))
    }

    /// Repeats what tiers below have repeated already, and tells a [`MarkerLayer`] above nothing.
    #[must_use]
    pub fn without_marker(self) -> Self {
        self.set(|settings| settings.marker = None)
    }

    /// Reads up to `limit` bytes of a response before it decides; see [`ReadAhead`]. The body of an `http::Response<B>`
    /// becomes a [`Prefetch<B>`](crate::body::Prefetch); reqwest's response keeps its type.
    #[must_use]
    pub fn read_ahead(self, limit: usize) -> RetryLayer<P, C, R, ReadAhead> {
        RetryLayer { shared: self.shared, settle: ReadAhead::new(limit) }
    }

    /// The name in events, metrics and the registry; `retry` where none was given.
    pub fn name(&self) -> &str {
        &self.shared.settings.listed.name
    }

    /// What calls are charged to.
    pub fn budgets(&self) -> &Budgets {
        &self.shared.settings.listed.budgets
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut Arc::make_mut(&mut self.shared).settings);
        self
    }
}

impl<S, P, C, R, T: Clone> Layer<S> for RetryLayer<P, C, R, T> {
    type Service = Retry<S, P, C, R, T>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, self.shared.clone(), self.settle.clone())
    }
}

impl<P, C, R, T: Clone> Clone for RetryLayer<P, C, R, T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), settle: self.settle.clone() }
    }
}

impl<P, C, R, T: fmt::Debug> fmt::Debug for RetryLayer<P, C, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("settings", &self.shared.settings)
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}
