mod keep;
mod receive;

use super::{NewMessage, Queue};
use crate::{
    body::ReadTimeouts,
    dedupe::DedupeKeys,
    error::BoxFuture,
    panic::{Panic, caught},
    telemetry::event,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, request::Parts};
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
    read_timeouts: ReadTimeouts,
    deadline: Duration,
    methods: Arc<[Method]>,
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
    /// The longest wait for the store by default: 3 s, in which Slack expects a response.
    pub const DEADLINE: Duration = Duration::from_secs(3);
    /// What a caller is told to wait by default when the store fails: 5 s.
    pub const RETRY_AFTER: Duration = Duration::from_secs(5);

    pub(super) fn new(queue: Queue) -> Self {
        Self {
            queue,
            limit: Self::LIMIT,
            read_timeouts: ReadTimeouts::default(),
            deadline: Self::DEADLINE,
            methods: Arc::new([Method::POST]),
            retry_after: Self::RETRY_AFTER,
            dedupe_for: NewMessage::DEDUPE_FOR,
            dedupe: Arc::new(keep::dedupe),
            topic: Arc::new(keep::topic),
            destination: Arc::new(|_| None),
            headers: Arc::new(keep::headers),
        }
    }

    /// Sets the longest body that is accepted, in bytes. A longer one is answered 413. Default: 1 MiB. For a request that a layer
    /// further out has verified under a larger limit ([`VerifiedLimit`](crate::body::VerifiedLimit)), that limit counts.
    #[must_use]
    pub const fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Sets how long a body may take to arrive; a slower one is answered 408. Default: 10 s without data, 30 s and 1 s per 64 KiB
    /// in all.
    #[must_use]
    pub const fn with_read_timeouts(mut self, timeouts: ReadTimeouts) -> Self {
        self.read_timeouts = timeouts;
        self
    }

    /// Sets the longest wait for the store, counted from the end of the body; then the answer is 503 with `Retry-After`. Default:
    /// 3 s.
    ///
    /// A message whose store did not answer in time may be stored all the same, or later. Where the sender's repetition has the same
    /// dedupe key, it is a duplicate and not a second message. The time that the body takes is limited by
    /// [`with_read_timeouts`](Self::with_read_timeouts): how fast it arrives is up to the sender.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets the methods whose requests are accepted; all others are answered 405. Default: POST. A safe method (GET, HEAD,
    /// OPTIONS, TRACE) is never accepted, whatever is set here: its sender does not expect that anything is stored (RFC 9110,
    /// 9.2.1).
    #[must_use]
    pub fn with_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().filter(|method| !method.is_safe()).collect();
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

    /// Returns `None` if a closure that makes a part of the message panics: nothing is guessed in its place, since a message without
    /// its destination or its keys is another one.
    fn message(&self, parts: &Parts, body: Bytes) -> Option<NewMessage> {
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
        let failed = |panic: Panic| {
            if changed {
                event!(
                    ERROR,
                    "accept() stores nothing: a closure panicked",
                    queue = self.queue.name(),
                    error = panic.to_string()
                );
            }
        };
        made.map_err(failed).ok()
    }
}

// Any body: it ends here, so none has to be made again.
impl<B> Service<Request<B>> for Accept
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send + 'static,
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
        Box::pin(async move { Ok(accept.receive(request).await) })
    }
}

impl fmt::Debug for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept").field("queue", &self.queue).field("limit", &self.limit).finish_non_exhaustive()
    }
}
