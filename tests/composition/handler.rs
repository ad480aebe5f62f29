//! A handler that calls the stack below it: several requests of its own, beside or after each other.

use crate::{
    dice::Dice,
    leaf,
    link::{Answering, Asked, Link, ReplyBody},
    payload::Payload,
    reply,
    world::{IDENTITY, World},
};
use futures_util::{StreamExt, future, stream::FuturesUnordered};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use steadfast::error::BoxError;
use tower::{Service, ServiceExt};

/// How a handler makes its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Join,
    Unordered,
    Sequence,
    /// Each begins as soon as its service is ready, in one poll if that is at once; then all are polled.
    ReadyAtOnce,
}

impl Shape {
    pub(crate) const ALL: [Self; 4] = [Self::Join, Self::Unordered, Self::Sequence, Self::ReadyAtOnce];

    pub(crate) fn draw(dice: &mut Dice) -> Self {
        dice.pick(&Self::ALL)
    }
}

/// Makes requests of its own for each that it is given, to the same host, with the same method, and with keys that belong to
/// the key that it was given.
#[derive(Clone)]
pub(crate) struct Handler {
    /// Its requests take turns.
    inner: Vec<Link>,
    world: Arc<World>,
    shape: Shape,
    parts: Parts,
}

/// The identities of a handler's requests.
#[derive(Clone)]
enum Parts {
    /// New ones each time, of two requests; each may reach the server so often.
    New(u64),
    These(Vec<(usize, u64)>),
}

impl Handler {
    pub(crate) fn new(inner: Link, world: &Arc<World>, shape: Shape, most: u64) -> Self {
        Self { inner: vec![inner], world: world.clone(), shape, parts: Parts::New(most) }
    }

    /// Each of its requests has the identity that stands beside the index of the service that it goes to.
    pub(crate) fn with_parts(inner: Vec<Link>, world: &Arc<World>, shape: Shape, parts: Vec<(usize, u64)>) -> Self {
        Self { inner, world: world.clone(), shape, parts: Parts::These(parts) }
    }

    fn parts(&self) -> Vec<(Link, u64)> {
        match &self.parts {
            Parts::New(most) => (0..2).map(|_| (self.inner[0].clone(), self.world.identity(*most))).collect(),
            Parts::These(parts) => parts.iter().map(|(at, id)| (self.inner[*at].clone(), *id)).collect(),
        }
    }
}

impl Service<Asked> for Handler {
    type Response = Response<ReplyBody>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Asked) -> Answering {
        let (world, shape, parts) = (self.world.clone(), self.shape, self.parts());
        Box::pin(async move {
            let id = leaf::identity(&request);
            let key = leaf::key(&request);
            let (head, body) = request.into_parts();
            body.collect().await?;
            world.executed("a handler", id, &head.method, key.clone());
            let mut calls = Vec::new();
            for (at, (inner, own)) in parts.into_iter().enumerate() {
                world.trace(format_args!("  a handler of {id} asks {own}"));
                let body = if head.method == http::Method::GET { String::new() } else { leaf::text(own) };
                let mut asked = Request::new(Payload::whole(&body));
                *asked.method_mut() = head.method.clone();
                *asked.uri_mut() = head.uri.clone();
                asked.headers_mut().insert(IDENTITY, own.into());
                if let Some(key) = &key {
                    asked.headers_mut().insert("idempotency-key", format!("{}-{at}", key.to_str()?).parse()?);
                }
                calls.push((inner, asked));
            }
            // a handler of axum also answers with a response of its own where a call failed
            let status = if ask(calls, shape).await { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
            let text = Full::from(reply::text(id)).map_err(|never| match never {});
            Ok(Response::builder().status(status).body(text.boxed_unsync())?)
        })
    }
}

/// Returns whether all of them were answered with a success.
async fn ask(calls: Vec<(Link, Asked)>, shape: Shape) -> bool {
    let mut all = true;
    match shape {
        Shape::Join => {
            for well in future::join_all(calls.into_iter().map(one)).await {
                all &= well;
            }
        }
        Shape::Unordered => {
            let mut calls: FuturesUnordered<_> = calls.into_iter().map(one).collect();
            while let Some(well) = calls.next().await {
                all &= well;
            }
        }
        Shape::Sequence => {
            for call in calls {
                all &= one(call).await;
            }
        }
        Shape::ReadyAtOnce => {
            let (mut begun, mut later) = (Vec::new(), Vec::new());
            for (inner, asked) in calls {
                let mut service = inner.clone();
                match futures_util::poll!(service.ready()) {
                    Poll::Ready(Ok(ready)) => begun.push(ready.call(asked)),
                    Poll::Ready(Err(_)) => all = false,
                    // an instance that is not ready keeps a place in a queue, so it is dropped
                    Poll::Pending => later.push((inner, asked)),
                }
            }
            for answer in future::join_all(begun).await {
                all &= well(answer).await;
            }
            for call in later {
                all &= one(call).await;
            }
        }
    }
    all
}

async fn one((inner, asked): (Link, Asked)) -> bool {
    well(inner.oneshot(asked).await).await
}

async fn well(answer: Result<Response<ReplyBody>, BoxError>) -> bool {
    match answer {
        Ok(response) if response.status().is_success() || response.status().is_redirection() => {
            response.into_body().collect().await.is_ok()
        }
        _ => false,
    }
}
