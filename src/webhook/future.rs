use super::{Unverified, VerifyLayer};
use crate::{
    answer::Problem,
    body::{Collected, FromReplay, OrBody, Unread, read},
    error::BoxFuture,
    telemetry::{count, event, names},
};
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_service::Service;

pin_project! {
    /// The inner service's response, or a no of this layer.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
        B: FromReplay,
    {
        #[pin]
        state: State<S, S::Future, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B> {
        Reading { read: BoxFuture<'static, Result<Collected, Refusal>>, waiting: Option<Waiting<S>>, body: std::marker::PhantomData<fn() -> B> },
        Calling { #[pin] call: F },
    }
}

/// What waits for the body.
struct Waiting<S> {
    inner: S,
    layer: VerifyLayer,
    head: Parts,
}

/// Why nothing is passed on.
enum Refusal {
    TooLarge,
    Broken,
    Unverified(Unverified),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    B: FromReplay + Send + 'static,
{
    pub(super) fn new(inner: S, layer: VerifyLayer, request: Request<B>) -> Self {
        let (head, body) = request.into_parts();
        let limit = layer.limit;
        // Boxed, since reading has no name; one allocation beside a body and two hashes of it.
        let read = Box::pin(async move {
            read(body, limit).await.map_err(|unread| match unread {
                Unread::TooLarge => Refusal::TooLarge,
                Unread::Broken(_) => Refusal::Broken,
            })
        });
        let waiting = Some(Waiting { inner, layer, head });
        Self { state: State::Reading { read, waiting, body: std::marker::PhantomData } }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    B: FromReplay,
{
    type Output = Result<Response<OrBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let call = match state.as_mut().project() {
                StateProj::Calling { call } => return call.poll(cx).map_ok(|response| response.map(OrBody::inner)),
                StateProj::Reading { read, waiting, .. } => {
                    let body = ready!(read.as_mut().poll(cx));
                    let Some(Waiting { mut inner, layer, mut head }) = waiting.take() else { return Poll::Pending };
                    match body.and_then(|body| layer.verify(&mut head, body)) {
                        Ok(body) => inner.call(Request::from_parts(head, B::from_whole(body.data, body.trailers))),
                        Err(refusal) => return Poll::Ready(Ok(layer.refuse(&refusal))),
                    }
                }
            };
            state.set(State::Calling { call });
        }
    }
}

impl VerifyLayer {
    fn verify(&self, head: &mut Parts, body: Collected) -> Result<Collected, Refusal> {
        let verified = self.scheme.verify(head, &body.data, self.clock.now()).map_err(Refusal::Unverified)?;
        let verified = verified.in_sources(&self.sources);
        count(names::WEBHOOK_DELIVERIES, &self.name, ("result", "verified"));
        head.extensions.insert(verified.dedupe().clone());
        head.extensions.insert(verified);
        Ok(body)
    }

    fn refuse<RB>(&self, refusal: &Refusal) -> Response<OrBody<RB>> {
        let (result, problem) = match refusal {
            Refusal::TooLarge => ("too_large", Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large")),
            Refusal::Broken => ("broken", Problem::new(StatusCode::BAD_REQUEST, "body broke off")),
            Refusal::Unverified(why) => {
                let problem = Problem::new(StatusCode::UNAUTHORIZED, "not verified");
                (why.as_str(), problem.with_detail(why.to_string()))
            }
        };
        count(names::WEBHOOK_DELIVERIES, &self.name, ("result", result));
        event!(WARN, "delivery refused", name = &*self.name, scheme = self.scheme.name(), result = result);
        let mut response = problem.into_response(None).map(OrBody::made);
        if matches!(refusal, Refusal::Unverified(_)) {
            // RFC 9110, 15.5.2: a 401 names how to authenticate
            let how = HeaderValue::from_static("Webhook-Signature");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        response
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    B: FromReplay,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("webhook::ResponseFuture").finish_non_exhaustive()
    }
}
