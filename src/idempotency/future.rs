use super::IdempotencyBody;
use crate::error::BoxFuture;
use http::Response;
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// The response: the inner service's, or what became of a keyed request.
    pub struct ResponseFuture<F, B, E> {
        #[pin]
        state: State<F, B, E>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B, E> {
        Inner { #[pin] future: F },
        Keyed { future: BoxFuture<'static, Result<Response<IdempotencyBody<B>>, E>> },
    }
}

impl<F, B, E> ResponseFuture<F, B, E> {
    pub(super) fn inner(future: F) -> Self {
        Self { state: State::Inner { future } }
    }

    /// Boxed: it reads a body, and what it is made of has no name.
    pub(super) fn keyed(future: BoxFuture<'static, Result<Response<IdempotencyBody<B>>, E>>) -> Self {
        Self { state: State::Keyed { future } }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<IdempotencyBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner { future } => {
                future.poll(cx).map(|result| result.map(|response| response.map(IdempotencyBody::inner)))
            }
            StateProj::Keyed { future } => future.as_mut().poll(cx),
        }
    }
}

impl<F, B, E> fmt::Debug for ResponseFuture<F, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Inner { .. } => "idempotency::ResponseFuture(inner)",
            State::Keyed { .. } => "idempotency::ResponseFuture(keyed)",
        })
    }
}
