//! A service whose type is put away, and which holds its callers to tower's contract.

use crate::{payload::Payload, world::World};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use steadfast::error::BoxError;
use tower::Service;

pub(crate) type Asked = Request<Payload>;
pub(crate) type ReplyBody = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Reply = Response<ReplyBody>;
pub(crate) type Answer = Result<Reply, BoxError>;
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A boxed service between two layers of a stack. It keeps the instance that was made ready, as `BoxCloneService` does, and
/// reports a call of an instance that had not returned `Ready` since its last call, and a poll after the end.
pub(crate) struct Link {
    inner: Box<dyn Linked>,
    below: &'static str,
    ready: bool,
    world: Arc<World>,
}

trait Linked: Send {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>;
    fn call(&mut self, request: Asked) -> Answering;
    fn copy(&self) -> Box<dyn Linked>;
}

impl Link {
    /// `below`: the name of the layer that `service` belongs to.
    pub(crate) fn new<S, B>(world: &Arc<World>, below: &'static str, service: S) -> Self
    where
        S: Service<Asked, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { inner: Box::new(Erased(service)), below, ready: false, world: world.clone() }
    }
}

#[derive(Clone)]
struct Erased<S>(S);

impl<S, B> Linked for Erased<S>
where
    S: Service<Asked, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Asked) -> Answering {
        Box::pin(Opened { call: self.0.call(request) })
    }

    fn copy(&self) -> Box<dyn Linked> {
        Box::new(self.clone())
    }
}

pin_project! {
    /// A response with its body boxed, and an error boxed.
    struct Opened<F> {
        #[pin]
        call: F,
    }
}

impl<F, B, E> Future for Opened<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    E: Into<BoxError>,
{
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let result = ready!(self.project().call.poll(cx));
        Poll::Ready(match result {
            Ok(response) => Ok(response.map(|body| body.map_err(Into::into).boxed_unsync())),
            Err(error) => Err(error.into()),
        })
    }
}

impl Service<Asked> for Link {
    type Response = Reply;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let polled = self.inner.poll_ready(cx);
        self.ready = matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    fn call(&mut self, request: Asked) -> Answering {
        if !std::mem::take(&mut self.ready) {
            self.world.breach("readiness", format!("`{}` was called on an instance that was not ready", self.below));
        }
        Box::pin(Once { call: Some(self.inner.call(request)), below: self.below, world: self.world.clone() })
    }
}

impl Clone for Link {
    fn clone(&self) -> Self {
        Self { inner: self.inner.copy(), below: self.below, ready: false, world: self.world.clone() }
    }
}

/// Reports a poll after the end.
struct Once {
    call: Option<Answering>,
    below: &'static str,
    world: Arc<World>,
}

impl Future for Once {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let Some(call) = self.call.as_mut() else {
            self.world.breach("readiness", format!("the future of `{}` was polled after its end", self.below));
            return Poll::Pending;
        };
        let answer = ready!(call.as_mut().poll(cx));
        self.call = None;
        Poll::Ready(answer)
    }
}
