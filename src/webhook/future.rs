use super::{Unverified, VerifyLayer};
use crate::{
    answer::Problem,
    body::{Collected, Failure, FromReplay, OrBody, Unread, VerifiedLimit, read_request},
    error::BoxFuture,
    foreign::extract_up_to,
    readied::Readied,
    telemetry::{count, event, names},
};
use http::{HeaderValue, Request, Response, StatusCode, Version, header, request::Parts};
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
        Reading { read: BoxFuture<'static, Result<Collected, Failure>>, waiting: Option<Waiting<S>> },
        Passing { passed: Option<(Readied<S>, Request<B>)> },
        Calling { #[pin] call: F },
    }
}

/// What waits for the body.
struct Waiting<S> {
    inner: Readied<S>,
    layer: VerifyLayer,
    head: Parts,
}

/// Why nothing is passed on.
enum Refusal {
    Unread(Failure),
    Unverified(Unverified),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    B: FromReplay + Send + 'static,
{
    pub(super) fn new(inner: S, layer: VerifyLayer, request: Request<B>) -> Self {
        let (head, body) = request.into_parts();
        let limit = VerifiedLimit::or(layer.limit(), &head.extensions);
        let timeouts = layer.read_timeouts;
        // Boxed, since reading has no name; one allocation beside a body and two hashes of it.
        let read = Box::pin(async move { read_request(body, limit, timeouts).await });
        let waiting = Some(Waiting { inner: Readied::new(inner), layer, head });
        Self { state: State::Reading { read, waiting } }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: FromReplay,
{
    type Output = Result<Response<OrBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Calling { call } => return call.poll(cx).map_ok(|response| response.map(OrBody::inner)),
                StateProj::Reading { read, waiting } => {
                    let Poll::Ready(body) = read.as_mut().poll(cx) else {
                        // a caller that takes its time holds no place below
                        if let Some(waiting) = waiting {
                            waiting.inner.release();
                        }
                        return Poll::Pending;
                    };
                    let Some(Waiting { inner, layer, head }) = waiting.take() else { return Poll::Pending };
                    let version = head.version;
                    match layer.pass(head, body) {
                        Ok(request) => State::Passing { passed: Some((inner, request)) },
                        Err(refusal) => return Poll::Ready(Ok(layer.refuse(&refusal, version))),
                    }
                }
                StateProj::Passing { passed } => {
                    let Some((inner, _)) = passed.as_mut() else { return Poll::Pending };
                    ready!(inner.poll_ready(cx))?;
                    let Some((mut inner, request)) = passed.take() else { return Poll::Pending };
                    State::Calling { call: inner.call(request) }
                }
            };
            state.set(next);
        }
    }
}

impl VerifyLayer {
    /// Returns the request to pass on.
    fn pass<B: FromReplay>(&self, mut head: Parts, body: Result<Collected, Failure>) -> Result<Request<B>, Refusal> {
        let body = body.map_err(Refusal::Unread)?;
        let verified = self.scheme.verify(&head, &body.data, self.clock.now()).map_err(Refusal::Unverified)?;
        let verified = verified.in_sources(&self.sources);
        count(names::WEBHOOK_DELIVERIES, &self.name, ("result", "verified"));
        let limit = VerifiedLimit::or(self.limit(), &head.extensions);
        head.extensions.insert(VerifiedLimit::new(limit));
        head.extensions.insert(verified.dedupe().clone());
        head.extensions.insert(verified);
        let mut request = Request::from_parts(head, B::from_whole(body.data, body.trailers));
        extract_up_to(limit, &mut request);
        Ok(request)
    }

    fn refuse<RB>(&self, refusal: &Refusal, version: Version) -> Response<OrBody<RB>> {
        let (result, problem) = match refusal {
            Refusal::Unread(failure) => match failure.why {
                Unread::TooLarge => ("too_large", Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large")),
                Unread::TooSlow => ("too_slow", Problem::new(StatusCode::REQUEST_TIMEOUT, "body too slow")),
                Unread::Broken(()) => ("broken", Problem::new(StatusCode::BAD_REQUEST, "body broke off")),
            },
            Refusal::Unverified(why) => {
                let problem = Problem::new(StatusCode::UNAUTHORIZED, "not verified");
                (why.as_str(), problem.with_detail(why.to_string()))
            }
        };
        count(names::WEBHOOK_DELIVERIES, &self.name, ("result", result));
        // anybody can send such deliveries, so none of them is a warning
        event!(DEBUG, "delivery refused", name = &*self.name, scheme = self.scheme.name(), result = result);
        let mut response = problem.into_response(None).map(OrBody::made);
        match refusal {
            Refusal::Unread(failure) => failure.announce(version, response.headers_mut()),
            Refusal::Unverified(_) => {
                // RFC 9110, 15.5.2: a 401 names how to authenticate
                let how = HeaderValue::from_static("Webhook-Signature");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
            }
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
