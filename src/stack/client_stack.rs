use super::Client;
use crate::{
    circuit_breaker::{CircuitBreakerLayer, Circuits, Config},
    classify::Http,
    idempotency::IdempotencyKeyLayer,
    retry::{HeadOnly, HttpReplay, RetryLayer, StandardPolicy},
    timeout::TimeoutLayer,
};
use std::{fmt, sync::Arc, time::Duration};
use tower_layer::{Identity, Layer};

/// Deadline, key, retry, circuit and attempt timeout around a client; see the [module docs](crate::stack).
pub struct ClientStack<P = StandardPolicy, C = Http, R = HttpReplay, T = HeadOnly, K = Identity> {
    total: TimeoutLayer,
    keys: K,
    retry: RetryLayer<P, C, R, T>,
    circuit_breaker: CircuitBreakerLayer<C>,
    attempt: TimeoutLayer,
}

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
            total: TimeoutLayer::total(Self::TOTAL),
            keys: Identity::new(),
            retry: RetryLayer::default().with_name(name.clone()),
            circuit_breaker: CircuitBreakerLayer::new(Circuits::per_origin(name, Config::default())),
            attempt: TimeoutLayer::attempt(Self::ATTEMPT),
        }
    }
}

impl<P, C, R, T, K> ClientStack<P, C, R, T, K> {
    /// Another deadline for the whole call.
    #[must_use]
    pub fn with_total(mut self, after: Duration) -> Self {
        self.total = TimeoutLayer::total(after);
        self
    }

    /// Another timeout for each attempt.
    #[must_use]
    pub fn with_attempt(mut self, after: Duration) -> Self {
        self.attempt = TimeoutLayer::attempt(after);
        self
    }

    /// Adds a key to every unsafe request that has none, which makes it repeatable: only for a server that honours keys.
    #[must_use]
    pub fn with_idempotency_keys(self, keys: IdempotencyKeyLayer) -> ClientStack<P, C, R, T, IdempotencyKeyLayer> {
        let Self { total, keys: _, retry, circuit_breaker, attempt } = self;
        ClientStack { total, keys, retry, circuit_breaker, attempt }
    }

    /// Another retry, with its own name.
    #[must_use]
    pub fn with_retry<P2, R2, T2>(self, retry: RetryLayer<P2, C, R2, T2>) -> ClientStack<P2, C, R2, T2, K> {
        let Self { total, keys, retry: _, circuit_breaker, attempt } = self;
        ClientStack { total, keys, retry, circuit_breaker, attempt }
    }

    /// Another circuit breaker: other settings, one circuit for all, or circuits that are shared with other stacks.
    #[must_use]
    pub fn with_circuit_breaker(mut self, circuit_breaker: CircuitBreakerLayer<C>) -> Self {
        self.circuit_breaker = circuit_breaker;
        self
    }
}

impl<S, P, C, R, T, K> Layer<S> for ClientStack<P, C, R, T, K>
where
    T: Clone,
    K: Layer<super::client::Retried<S, P, C, R, T>>,
{
    type Service = Client<S, P, C, R, T, K>;

    fn layer(&self, inner: S) -> Self::Service {
        let attempts = self.circuit_breaker.layer(self.attempt.layer(inner));
        Client::new(self.total.layer(self.keys.layer(self.retry.layer(attempts))))
    }
}

impl<P, C, R, T: Clone, K: Clone> Clone for ClientStack<P, C, R, T, K> {
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

impl<P, C, R, T: fmt::Debug, K: fmt::Debug> fmt::Debug for ClientStack<P, C, R, T, K> {
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
