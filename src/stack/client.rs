use super::{Overrides, retries::Retries};
use crate::{
    answer::Fail,
    circuit_breaker::CircuitBreaker,
    classify::Http,
    retry::RetryLayer,
    timeout::{PerCall, Timeout},
};
use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};
use tower_layer::{Identity, Layer};
use tower_service::Service;

/// What lies below retry: the circuit and the timeout of one attempt, around a client.
pub(super) type Attempts<S, C> = CircuitBreaker<Timeout<S, Fail>, C, Fail>;

type Keyed<S, R, K, C> = <K as Layer<<R as Layer<Attempts<S, C>>>::Service>>::Service;

/// What [`ClientStack`](super::ClientStack) makes of a client `S`: a name short enough for a field,
/// `Client<reqwest::Client>`.
///
/// `R`: retry, or `Identity` without it; `K`: the keys; `C`: what judges.
///
/// One call, or all calls of one clone, can have settings of its own. The type stays the same:
///
/// ```
/// use std::time::Duration;
/// use steadfast::stack::{Client, ClientStack};
/// use tower::Layer;
///
/// let payments: Client<reqwest::Client> = ClientStack::new("payments").layer(reqwest::Client::new());
/// let report: Client<reqwest::Client> = payments.clone().with_timeout(Duration::from_secs(120)).with_max_retries(5);
/// ```
pub struct Client<S, R = RetryLayer, K = Identity, C = Http>
where
    R: Layer<Attempts<S, C>>,
    K: Layer<R::Service>,
{
    inner: Timeout<Keyed<S, R, K, C>, Fail, Overrides<C>>,
}

/// The client below a queue's worker, which retries by itself: what [`ClientStack::for_delivery`](super::ClientStack::for_delivery)
/// and [`without_retry`](super::ClientStack::without_retry) make of a client `S`.
pub type DeliveryClient<S, K = Identity, C = Http> = Client<S, Identity, K, C>;

impl<S, R, K, C> Client<S, R, K, C>
where
    R: Layer<Attempts<S, C>>,
    K: Layer<R::Service>,
{
    pub(super) const fn new(inner: Timeout<Keyed<S, R, K, C>, Fail, Overrides<C>>) -> Self {
        Self { inner }
    }

    /// Sets the deadline of each call of this instance and its clones, in place of the stack's total deadline. A request that
    /// asks for less time, and a deadline of a layer above, still end the call sooner.
    #[must_use]
    pub fn with_timeout(mut self, after: Duration) -> Self {
        self.inner.per_call_mut().timeout = Some(after);
        self
    }

    /// Sets how many attempts may follow the first one in each call of this instance and its clones, in place of the policy's
    /// number; 0: one attempt. Budget and deadline still hold. A request's own
    /// [`MaxRetries`](crate::retry::MaxRetries) or [`NoRetry`](crate::retry::NoRetry) goes first.
    #[must_use]
    pub fn with_max_retries(mut self, retries: u32) -> Self
    where
        Keyed<S, R, K, C>: Retries,
    {
        self.inner.inner_mut().set_max_retries(retries);
        self
    }

    /// Makes one attempt of each call of this instance and its clones: [`with_max_retries(0)`](Self::with_max_retries).
    #[must_use]
    pub fn without_retries(self) -> Self
    where
        Keyed<S, R, K, C>: Retries,
    {
        self.with_max_retries(0)
    }
}

// The one bound stands for all those of the layers; forwarding costs nothing.
impl<S, R, K, C, Req> Service<Req> for Client<S, R, K, C>
where
    R: Layer<Attempts<S, C>>,
    K: Layer<R::Service>,
    Overrides<C>: PerCall<Req>,
    Timeout<Keyed<S, R, K, C>, Fail, Overrides<C>>: Service<Req>,
{
    type Response = <Timeout<Keyed<S, R, K, C>, Fail, Overrides<C>> as Service<Req>>::Response;
    type Error = <Timeout<Keyed<S, R, K, C>, Fail, Overrides<C>> as Service<Req>>::Error;
    type Future = <Timeout<Keyed<S, R, K, C>, Fail, Overrides<C>> as Service<Req>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        self.inner.call(request)
    }
}

impl<S, R, K, C> Clone for Client<S, R, K, C>
where
    R: Layer<Attempts<S, C>>,
    K: Layer<R::Service, Service: Clone>,
{
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<S, R, K, C> fmt::Debug for Client<S, R, K, C>
where
    R: Layer<Attempts<S, C>>,
    K: Layer<R::Service, Service: fmt::Debug>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("inner", &self.inner).finish()
    }
}
