use super::{
    Claim, IdempotencyBody, IdempotencyKey, ResponseFuture,
    caller::{Caller, Reply},
    job::Job,
    layer::Shared,
    refusal::{Refusal, Said},
};
use crate::{
    body::{FromReplay, VerifiedLimit, read_request},
    classify::GrpcFormat,
    error::BoxError,
    readied::Readied,
    telemetry::in_current_span,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::oneshot;
use tower_service::Service;

/// What [`IdempotencyLayer`](super::IdempotencyLayer) makes; see the [module docs](crate::idempotency).
#[derive(Clone)]
pub struct Idempotency<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
}

impl<S, B, RB> Service<Request<B>> for Idempotency<S>
where
    // Clone: the readied one goes with the request, and a clone takes its place while the request waits. Send, 'static: into a task of its own.
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send,
    // it comes back from that task as it is, so that `Infallible` stays `Infallible`
    S::Error: Send + 'static,
    // read for the fingerprint, and given on in the same type
    B: FromReplay + Send + 'static,
    // read to its end by the task; kept and sent without a copy
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Response = Response<IdempotencyBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(key) = self.shared.key_of(&request) else {
            return ResponseFuture::inner(self.inner.call(request));
        };
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        ResponseFuture::keyed(Box::pin(keyed(self.shared.clone(), Readied::new(ready), request, key)))
    }
}

impl Shared {
    /// `None`: this layer has nothing to do with the request.
    fn key_of<B>(&self, request: &Request<B>) -> Option<Result<IdempotencyKey, Refusal>> {
        let method = request.method();
        // the second layer over one store would meet the claim of the first: its caller's own
        let is_claimed = |claim: &Claim| claim.store() == self.store.id();
        if method.is_safe() || request.extensions().get().is_some_and(is_claimed) {
            return None;
        }
        match IdempotencyKey::of_headers(request.headers(), self.config.strict_keys) {
            Ok(Some(key)) => Some(Ok(key)),
            Ok(None) if self.config.required.contains(method) => Some(Err(Refusal::Missing)),
            Ok(None) => None,
            Err(malformed) => Some(Err(Refusal::Malformed(malformed.why()))),
        }
    }

    /// Refused before any look-up.
    fn refuse<B>(&self, refusal: Refusal, grpc: Option<&'static str>) -> Response<IdempotencyBody<B>> {
        self.state.count_refusal(refusal);
        Said::No(refusal).into_response(grpc, &self.config.help)
    }
}

async fn keyed<S, B, RB>(
    shared: Arc<Shared>,
    mut inner: Readied<S>,
    request: Request<B>,
    key: Result<IdempotencyKey, Refusal>,
) -> Result<Response<IdempotencyBody<RB>>, S::Error>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: FromReplay + Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let grpc = GrpcFormat::answer_to(&parts.headers);
    // No claim before the whole body is here: who breaks off has done nothing. Refused requests are read as well, since an
    // unread one costs the connection.
    let limit = VerifiedLimit::or(shared.config.request_limit, &parts.extensions);
    let body = inner.beside(read_request(body, limit, shared.config.read_timeouts)).await;
    let (key, body) = match (key, body) {
        (Ok(key), Ok(body)) => (key, body),
        (Err(refusal), Ok(_)) => return Ok(shared.refuse(refusal, grpc)),
        (key, Err(failure)) => {
            let mut response = shared.refuse(key.err().unwrap_or_else(|| Refusal::of_body(&failure.why)), grpc);
            failure.announce(parts.version, response.headers_mut());
            return Ok(response);
        }
    };

    let (tell, told) = oneshot::channel();
    let caller = Caller::new(tell, grpc, shared.config.help.clone());
    let mut job = Box::pin(Job { shared: shared.clone(), key, parts, body }.run(inner, caller));
    // Polled once in place: a replay, or a handler that never waits, needs no task. What waits is detached within the same
    // poll, so that there is no moment at which a caller who leaves could take `begin` or the handler with it.
    let polled = poll_fn(|cx| Poll::Ready(job.as_mut().poll(cx))).await;
    if polled.is_pending() {
        shared.state.tasks.spawn(in_current_span(job));
    }
    match told.await {
        Ok(Reply::Result(result)) => result,
        // recorded; what is outside sees it as it would without this layer
        Ok(Reply::Panic(panic)) => panic.resume(),
        Err(_) => Ok(shared.refuse(Refusal::CutOff, grpc)),
    }
}

impl<S: fmt::Debug> fmt::Debug for Idempotency<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency").field("inner", &self.inner).field("shared", &self.shared).finish()
    }
}
