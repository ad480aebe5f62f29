mod keep;

use super::{Enqueued, NewMessage, Queue, panic::caught};
use crate::{
    answer::Problem,
    body::{Unread, read},
    dedupe::DedupeKeys,
    error::BoxFuture,
    telemetry::event,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::Full;
use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower_service::Service;

type Of<T> = Arc<dyn Fn(&Parts) -> T + Send + Sync>;

/// The end of a server's stack: reads the request, stores it as a message, answers 202; made by
/// [`Queue::accept`](super::Queue::accept), explained in the [module docs](crate::queue#accept).
#[derive(Clone)]
pub struct Accept {
    queue: Queue,
    limit: usize,
    retry_after: Duration,
    dedupe_for: Duration,
    dedupe: Of<Option<DedupeKeys>>,
    topic: Of<Option<String>>,
    destination: Of<Option<String>>,
    headers: Of<HeaderMap>,
}

impl Accept {
    /// Bytes of a body that are accepted by default: 1 MiB.
    pub const LIMIT: usize = 1 << 20;
    /// What a caller is told to wait by default when the store fails: 5 s.
    pub const RETRY_AFTER: Duration = Duration::from_secs(5);

    pub(super) fn new(queue: Queue) -> Self {
        Self {
            queue,
            limit: Self::LIMIT,
            retry_after: Self::RETRY_AFTER,
            dedupe_for: NewMessage::DEDUPE_FOR,
            dedupe: Arc::new(keep::dedupe),
            topic: Arc::new(keep::topic),
            destination: Arc::new(|_| None),
            headers: Arc::new(keep::headers),
        }
    }

    /// The longest body that is accepted, in bytes. A longer one is answered 413.
    #[must_use]
    pub const fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// What a caller is told to wait when the store fails; rounded up to whole seconds.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = after;
        self
    }

    /// For how long a delivery is known again: at least as long as its sender repeats it.
    #[must_use]
    pub const fn with_dedupe_for(mut self, window: Duration) -> Self {
        self.dedupe_for = window;
        self
    }

    /// Under which keys a delivery is known again. The default: the [`DedupeKeys`] in the request's extensions, else its
    /// `webhook-id`, else none.
    #[must_use]
    pub fn with_dedupe(mut self, keys: impl Fn(&Parts) -> Option<DedupeKeys> + Send + Sync + 'static) -> Self {
        self.dedupe = Arc::new(keys);
        self
    }

    /// What a message is about. The default: the event that GitHub, GitLab, Shopify or `CloudEvents` name in a header.
    #[must_use]
    pub fn with_topic(mut self, topic: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.topic = Arc::new(topic);
        self
    }

    /// Whom a message is for. The default: nobody in particular.
    #[must_use]
    pub fn with_destination(mut self, to: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.destination = Arc::new(to);
        self
    }

    /// Which headers are stored with the message, and seen by whoever may read the store. The default is the list in the
    /// [module docs](crate::queue#accept); it has no credential and no signature in it.
    #[must_use]
    pub fn with_headers(mut self, headers: impl Fn(&Parts) -> HeaderMap + Send + Sync + 'static) -> Self {
        self.headers = Arc::new(headers);
        self
    }

    /// The message, or the answer where a closure that makes it panics: nothing is guessed in its place, since a message without
    /// its destination or its keys is another one.
    fn message(&self, parts: &Parts, body: Bytes) -> Result<NewMessage, Box<Response<Full<Bytes>>>> {
        let made = caught(|| NewMessage {
            body,
            headers: (self.headers)(parts),
            topic: (self.topic)(parts),
            destination: (self.destination)(parts),
            dedupe: (self.dedupe)(parts).unwrap_or_default(),
            dedupe_for: Some(self.dedupe_for),
            ..NewMessage::default()
        });
        let changed = self.queue.counters().is_unmade(made.is_err());
        made.map_err(|panic| {
            if changed {
                event!(ERROR, "accept() stores nothing: a closure panicked", queue = self.queue.name(), error = panic);
            }
            Box::new(problem(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not stored")))
        })
    }

    async fn accept<B: Body>(self, request: Request<B>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        // read also where the answer is no: the connection stays usable
        let read = read(body, self.limit).await;
        // RFC 9110, 9.2.1: who asks with such a method expects that nothing happens
        if parts.method.is_safe() {
            let mut response = problem(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not a delivery"));
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let body = match read {
            Ok(body) => body.data,
            Err(Unread::TooLarge) => {
                return problem(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large"));
            }
            Err(_) => return problem(Problem::new(StatusCode::BAD_REQUEST, "body broke off")),
        };
        let message = match self.message(&parts, body) {
            Ok(message) => message,
            Err(response) => return *response,
        };
        match self.queue.enqueue(message).await {
            Ok(Enqueued::New(id)) => accepted(format!("{{\"id\":\"{id}\"}}")),
            Ok(Enqueued::Duplicate(id)) => accepted(format!("{{\"id\":\"{id}\",\"duplicate\":true}}")),
            // told to the queue's counters and events already
            Err(_) => {
                problem(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not stored").with_retry_after(self.retry_after))
            }
        }
    }
}

fn accepted(json: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(json));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn problem(problem: Problem) -> Response<Full<Bytes>> {
    problem.into_response(None).map(Full::new)
}

// Any body: it ends here, so none has to be made again.
impl<B> Service<Request<B>> for Accept
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    /// Boxed: one allocation beside the store's commit.
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let accept = self.clone();
        Box::pin(async move { Ok(accept.accept(request).await) })
    }
}

impl fmt::Debug for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept").field("queue", &self.queue).field("limit", &self.limit).finish_non_exhaustive()
    }
}
