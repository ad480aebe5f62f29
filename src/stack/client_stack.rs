use super::{Client, Overrides, client::Attempts};
use crate::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, Config},
    classify::{ByError, Http, Outcome},
    idempotency::IdempotencyKeyLayer,
    retry::{CloneRequest, RetryLayer, StandardPolicy},
    timeout::TimeoutLayer,
};
use std::{error::Error, fmt, sync::Arc, time::Duration};
use tower_layer::{Identity, Layer};

/// Deadline, key, retry, circuit and attempt timeout around a client; see the [module docs](crate::stack).
///
/// `R`: retry, or `Identity` without it; `K`: the keys; `C`: what judges.
pub struct ClientStack<R = RetryLayer, K = Identity, C = Http> {
    total: TimeoutLayer<crate::answer::Fail, Overrides<C>>,
    keys: K,
    retry: R,
    circuit_breaker: CircuitBreakerLayer<C>,
    attempt: TimeoutLayer,
}

// On concrete types, since defaults of type parameters take no part in inference.
impl ClientStack {
    /// The deadline of a whole call, by default.
    pub const TOTAL: Duration = Duration::from_secs(30);
    /// The timeout of one attempt, by default.
    pub const ATTEMPT: Duration = Duration::from_secs(10);

    /// For `http::Request` and, with the feature `reqwest`, reqwest's own. `name`: of what is called, in events, metrics,
    /// errors and the registry.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        Self {
            total: TimeoutLayer::per_call_by(Some(Self::TOTAL), Overrides::new()),
            keys: Identity::new(),
            retry: RetryLayer::default().with_name(name.clone()),
            circuit_breaker: CircuitBreakerLayer::new(Circuits::per_origin(name, Config::default())),
            attempt: TimeoutLayer::attempt(Self::ATTEMPT),
        }
    }
}

impl ClientStack<Identity> {
    /// Creates the stack below a queue's worker: circuit and attempt timeout, but no retry, because the worker retries, and no
    /// total deadline, because the worker has one. `name`: of what is called, as for [`ClientStack::new`]. The client below follows no
    /// redirects: a failed connect then uses no attempt of the message.
    ///
    /// ```
    /// use reqwest::redirect::Policy;
    /// use steadfast::{place::reqwest::ToReqwest, queue::Deliver, stack::{ClientStack, DeliveryClient}};
    /// use tower::Layer;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
    /// let client: DeliveryClient<reqwest::Client> = ClientStack::for_delivery("crm").layer(client);
    /// let deliver = Deliver::new(client, ToReqwest::new("https://crm.example.com/orders".parse()?));
    /// # Ok(()) }
    /// ```
    pub fn for_delivery(name: impl Into<Arc<str>>) -> Self {
        Self {
            total: TimeoutLayer::per_call_by(None, Overrides::new()),
            keys: Identity::new(),
            retry: Identity::new(),
            circuit_breaker: CircuitBreakerLayer::new(Circuits::per_origin(name, Config::default()))
                .without_redirects(),
            attempt: TimeoutLayer::attempt(ClientStack::ATTEMPT),
        }
    }
}

impl<E, F> ClientStack<RetryLayer<StandardPolicy, ByError<E, F>, CloneRequest>, Identity, ByError<E, F>>
where
    E: Error + 'static,
    F: Fn(&E) -> Outcome + Clone + Send + Sync + 'static,
{
    /// Creates a stack for a service that is not HTTP, with `Clone` requests: `Ok` is a success, every request may be repeated,
    /// and `judge` names the outcome of an error of type `E`; see [`ByError`]. One circuit serves all calls.
    ///
    /// ```
    /// use steadfast::{classify::{Failure, Outcome}, stack::ClientStack};
    /// # #[derive(Debug)] enum DbError { UniqueViolation, Deadlock }
    /// # impl std::fmt::Display for DbError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{self:?}") } }
    /// # impl std::error::Error for DbError {}
    ///
    /// let stack = ClientStack::by_error("db", |error: &DbError| match error {
    ///     DbError::UniqueViolation => Outcome::Rejected, // the database is healthy
    ///     DbError::Deadlock => Outcome::Failure(Failure::Transient),
    /// });
    /// # let _ = stack;
    /// ```
    pub fn by_error(name: impl Into<Arc<str>>, judge: F) -> Self {
        let (name, classify) = (name.into(), ByError::new(judge));
        Self {
            total: TimeoutLayer::per_call_by(Some(ClientStack::TOTAL), Overrides::new()),
            keys: Identity::new(),
            retry: RetryLayer::with(StandardPolicy::new(), classify.clone(), CloneRequest).with_name(name.clone()),
            circuit_breaker: CircuitBreakerLayer::with(Circuit::new(name), classify),
            attempt: TimeoutLayer::attempt(ClientStack::ATTEMPT),
        }
    }
}

impl<P: Clone, R: Clone, T, K> ClientStack<RetryLayer<P, Http, R, T>, K> {
    /// States that the client below follows no redirects: see [`Http::without_redirects`]. For reqwest, whose client is then built
    /// with `redirect::Policy::none()`, it is what lets a request that is not repeatable be sent again after a failed connect. To be
    /// set last: a retry layer or a circuit breaker that is set later makes a statement of its own.
    #[must_use]
    pub fn without_redirects(mut self) -> Self {
        self.retry = self.retry.without_redirects();
        self.circuit_breaker = self.circuit_breaker.without_redirects();
        self
    }
}

impl<R, K, C> ClientStack<R, K, C> {
    /// Sets the deadline of the whole call.
    #[must_use]
    pub fn with_total(mut self, after: Duration) -> Self {
        self.total = TimeoutLayer::per_call_by(Some(after), Overrides::new());
        self
    }

    /// Leaves the whole call without a deadline of the stack: for calls below a layer that has one. What a request or a client
    /// asks for still holds.
    #[must_use]
    pub fn without_total(mut self) -> Self {
        self.total = TimeoutLayer::per_call_by(None, Overrides::new());
        self
    }

    /// Sets the timeout of each attempt.
    #[must_use]
    pub fn with_attempt(mut self, after: Duration) -> Self {
        self.attempt = TimeoutLayer::attempt(after);
        self
    }

    /// Adds a key to every unsafe request that has none, which makes it repeatable: only for a server that honours keys.
    #[must_use]
    pub fn with_idempotency_keys(self, keys: IdempotencyKeyLayer) -> ClientStack<R, IdempotencyKeyLayer, C> {
        let Self { total, keys: _, retry, circuit_breaker, attempt } = self;
        ClientStack { total, keys, retry, circuit_breaker, attempt }
    }

    /// Replaces retry by one with its own name and settings.
    #[must_use]
    pub fn with_retry<P2, R2, T2>(
        self,
        retry: RetryLayer<P2, C, R2, T2>,
    ) -> ClientStack<RetryLayer<P2, C, R2, T2>, K, C> {
        let Self { total, keys, retry: _, circuit_breaker, attempt } = self;
        ClientStack { total, keys, retry, circuit_breaker, attempt }
    }

    /// Leaves retry out: for calls that a tier above retries, such as a queue's worker.
    #[must_use]
    pub fn without_retry(self) -> ClientStack<Identity, K, C> {
        let Self { total, keys, retry: _, circuit_breaker, attempt } = self;
        ClientStack { total, keys, retry: Identity::new(), circuit_breaker, attempt }
    }

    /// Replaces the circuit breaker: other settings, one circuit for all, or circuits that are shared with other stacks.
    #[must_use]
    pub fn with_circuit_breaker(mut self, circuit_breaker: CircuitBreakerLayer<C>) -> Self {
        self.circuit_breaker = circuit_breaker;
        self
    }
}

impl<S, R, K, C> Layer<S> for ClientStack<R, K, C>
where
    S: Clone,
    R: Layer<Attempts<S, C>>,
    K: Layer<R::Service>,
{
    type Service = Client<S, R, K, C>;

    fn layer(&self, inner: S) -> Self::Service {
        // a refused call keeps no place of a limit below
        let circuit_breaker = self.circuit_breaker.clone().releasing();
        let attempts = circuit_breaker.layer(self.attempt.layer(inner));
        Client::new(self.total.layer(self.keys.layer(self.retry.layer(attempts))))
    }
}

impl<R: Clone, K: Clone, C> Clone for ClientStack<R, K, C> {
    fn clone(&self) -> Self {
        Self {
            total: self.total,
            keys: self.keys.clone(),
            retry: self.retry.clone(),
            circuit_breaker: self.circuit_breaker.clone(),
            attempt: self.attempt,
        }
    }
}

impl<R: fmt::Debug, K: fmt::Debug, C: fmt::Debug> fmt::Debug for ClientStack<R, K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientStack")
            .field("total", &self.total)
            .field("keys", &self.keys)
            .field("retry", &self.retry)
            .field("circuit_breaker", &self.circuit_breaker)
            .field("attempt", &self.attempt)
            .finish()
    }
}
