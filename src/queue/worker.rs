mod guard;
mod instances;
mod job;
mod judge;
mod leases;
mod pause;
mod run;
mod shutdown;
mod store_call;
mod sweep;
mod trouble;

use super::{
    IntoReport, Message, Queue,
    config::{Config, UserBackoff},
};
use crate::{backoff::Backoff, error::BoxError};
use std::{fmt, sync::Arc, time::Duration};
use tower_service::Service;

/// Claims messages and hands them to a service; see the [module docs](crate::queue).
///
/// Nothing happens before [`run`](Self::run) is awaited.
#[must_use = "a worker does nothing before it runs"]
pub struct Worker<S> {
    queue: Queue,
    service: S,
    config: Config,
}

impl<S> Worker<S> {
    /// For `queue`, with `service` doing the work.
    pub fn new(queue: Queue, service: S) -> Self {
        Self { queue, service, config: Config::default() }
    }

    /// The greatest concurrency: 1,048,576 messages. Each is a task.
    pub const MAX_CONCURRENCY: usize = 1 << 20;

    /// Sets how many messages are worked on at once. Default: 4 for each core. 0 counts as 1, more than
    /// [`MAX_CONCURRENCY`](Self::MAX_CONCURRENCY) as that. A claim takes at most 256 messages, and the next one follows at once.
    pub fn with_concurrency(mut self, messages: usize) -> Self {
        self.config.concurrency = messages.clamp(1, Self::MAX_CONCURRENCY);
        self
    }

    /// For how long a claim holds without being extended, which happens every third of it: 30 s unless said. Less than
    /// 100 ms counts as 100 ms, more than a day as a day.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.config = self.config.with_lease(lease);
        self
    }

    /// Sets how many attempts a message has, the first included, before it is dead as `exhausted` (as `crashed`, if the last one
    /// ended with its process). Refusals and deliveries that were never sent are no attempts. Default: 25, which with the default
    /// backoff is more than a day. 0 counts as 1.
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.config.max_attempts = attempts.max(1);
        self
    }

    /// Sets how long a message waits in the store before its next attempt. Default: 1 s doubling to 4 h, with equal jitter.
    ///
    /// `retry` is the number of the attempt that failed, or of the delivery that was never sent: the two are counted apart, and
    /// a wait after the latter is at least 1 s. `previous` is always zero, since the attempt before may have been another
    /// process's. A server's hint is waited for in full.
    ///
    /// A backoff that panics is replaced by the default one for that wait.
    pub fn with_backoff(mut self, backoff: impl Backoff) -> Self {
        self.config.backoff = Arc::new(UserBackoff::new(backoff));
        self
    }

    /// How long one attempt may take, reading the answer included, before it is dropped as a timeout: 60 s unless said. The
    /// layers of the service see it as the deadline of the call.
    pub fn with_attempt_limit(mut self, limit: Duration) -> Self {
        self.config.attempt_limit = limit;
        self
    }

    /// How long a message waits, without using an attempt, after a no that does not say until when: between half of this and
    /// all of it; 30 s unless said.
    pub fn with_park_for(mut self, wait: Duration) -> Self {
        self.config.park_for = wait;
        self
    }

    /// How long what is running may take to end once the worker was told to stop: 30 s unless said.
    pub fn with_drain(mut self, limit: Duration) -> Self {
        self.config.drain = limit;
        self
    }

    /// For how long messages that are done stay in the store: 24 h unless said. Dedupe keys and dead letters are not
    /// concerned.
    pub fn with_keep_done(mut self, keep: Duration) -> Self {
        self.config.keep_done = keep;
        self
    }

    /// Seeds the jitter: the same waits every time, for tests.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.config.seed = Some(seed);
        self
    }

    /// Works until `shutdown` is ready; then claims nothing more, gives back what it claimed and has not begun, and lets what
    /// runs end within the [drain limit](Self::with_drain), leases still extended. What is still running then is dropped: its
    /// lease lapses, its attempt counts.
    ///
    /// Needs a tokio runtime: each message is a task. Dropping the future drops these tasks, as at the end of the drain limit.
    ///
    /// `Clone`: one readied instance for each message that is claimed. A service that is not goes through `tower::buffer`.
    pub async fn run(self, shutdown: impl Future<Output = ()>)
    where
        S: Service<Message> + Clone + Send + 'static,
        S::Response: IntoReport,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        run::run(run::Context::new(self.queue, self.config), self.service, shutdown).await;
    }
}

impl<S: Clone> Clone for Worker<S> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), service: self.service.clone(), config: self.config.clone() }
    }
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("queue", &self.queue).field("config", &self.config).finish_non_exhaustive()
    }
}
