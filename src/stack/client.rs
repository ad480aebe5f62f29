use crate::{
    answer::Fail,
    circuit_breaker::CircuitBreaker,
    classify::Http,
    retry::{HeadOnly, HttpReplay, Retry, StandardPolicy},
    timeout::Timeout,
};
use std::{
    fmt,
    task::{Context, Poll},
};
use tower_layer::{Identity, Layer};
use tower_service::Service;

/// What retry and all below it make of a client.
pub(super) type Retried<S, P, C, R, T> = Retry<CircuitBreaker<Timeout<S, Fail>, C, Fail>, P, C, R, T>;

type Keyed<S, P, C, R, T, K> = <K as Layer<Retried<S, P, C, R, T>>>::Service;

/// What [`ClientStack`](super::ClientStack) makes of a client `S`: a name short enough for a field,
/// `Client<reqwest::Client>`.
pub struct Client<S, P = StandardPolicy, C = Http, R = HttpReplay, T = HeadOnly, K = Identity>
where
    K: Layer<Retried<S, P, C, R, T>>,
{
    inner: Timeout<Keyed<S, P, C, R, T, K>, Fail>,
}

impl<S, P, C, R, T, K> Client<S, P, C, R, T, K>
where
    K: Layer<Retried<S, P, C, R, T>>,
{
    pub(super) fn new(inner: Timeout<Keyed<S, P, C, R, T, K>, Fail>) -> Self {
        Self { inner }
    }
}

// The one bound stands for all those of the layers; forwarding costs nothing.
impl<S, P, C, R, T, K, Req> Service<Req> for Client<S, P, C, R, T, K>
where
    K: Layer<Retried<S, P, C, R, T>>,
    Timeout<Keyed<S, P, C, R, T, K>, Fail>: Service<Req>,
{
    type Response = <Timeout<Keyed<S, P, C, R, T, K>, Fail> as Service<Req>>::Response;
    type Error = <Timeout<Keyed<S, P, C, R, T, K>, Fail> as Service<Req>>::Error;
    type Future = <Timeout<Keyed<S, P, C, R, T, K>, Fail> as Service<Req>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        self.inner.call(request)
    }
}

impl<S, P, C, R, T, K> Clone for Client<S, P, C, R, T, K>
where
    K: Layer<Retried<S, P, C, R, T>, Service: Clone>,
{
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<S, P, C, R, T, K> fmt::Debug for Client<S, P, C, R, T, K>
where
    K: Layer<Retried<S, P, C, R, T>, Service: fmt::Debug>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("inner", &self.inner).finish()
    }
}
