//! A store that can be made to fail or to wait, and a service that notes what it is given.

use bytes::Bytes;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    error::{BoxFuture, StoreError},
    queue::{
        Claim, DeadLetter, Enqueued, Filter, Lease, LeaseLost, Message, MessageId, NewMessage, Queue, QueueStore,
        Settle, Stats, StoreId,
    },
    store::memory::MemoryStore,
};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

/// What can go wrong.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) enqueue: AtomicBool,
    /// An enqueue never answers; with `true` it was done all the same.
    pub(crate) hangs: Mutex<Option<bool>>,
    pub(crate) claim: AtomicBool,
    pub(crate) extend: AtomicBool,
    pub(crate) settle: AtomicBool,
    /// A settle never answers.
    pub(crate) settle_hangs: AtomicBool,
    pub(crate) wait: AtomicBool,
    /// Whatever goes wrong is a panic.
    pub(crate) panics: AtomicBool,
    /// Dead letters have the ids of messages that will be enqueued in the far future.
    pub(crate) later: AtomicBool,
    /// How long a claim takes after it was done.
    pub(crate) claim_takes: Mutex<Duration>,
    pub(crate) claims: AtomicUsize,
    pub(crate) extends: AtomicUsize,
    pub(crate) settles: AtomicUsize,
    /// The leases of each call of extend.
    pub(crate) extended: Mutex<Vec<usize>>,
}

#[derive(Clone, Default)]
pub(crate) struct FaultyStore {
    pub(crate) inner: MemoryStore,
    pub(crate) faults: Arc<Faults>,
}

impl Faults {
    fn down(&self, switch: &AtomicBool) -> Result<(), StoreError> {
        if !switch.load(SeqCst) {
            return Ok(());
        }
        assert!(!self.panics.load(SeqCst), "the store panics");
        Err(StoreError::new("the store is down"))
    }
}

impl Faults {
    pub(crate) fn enqueue_hangs(&self, done: bool) {
        *self.hangs.lock().unwrap() = Some(done);
    }
}

impl QueueStore for FaultyStore {
    fn id(&self) -> StoreId {
        self.inner.id()
    }
    fn enqueue<'a>(
        &'a self,
        queue: &'a str,
        batch: Vec<NewMessage>,
    ) -> BoxFuture<'a, Result<Vec<Enqueued>, StoreError>> {
        Box::pin(async move {
            self.faults.down(&self.faults.enqueue)?;
            let hangs = *self.faults.hangs.lock().unwrap();
            match hangs {
                None => self.inner.enqueue(queue, batch).await,
                Some(done) => {
                    if done {
                        self.inner.enqueue(queue, batch).await?;
                    }
                    std::future::pending().await
                }
            }
        })
    }
    fn claim<'a>(&'a self, queue: &'a str, claim: Claim) -> BoxFuture<'a, Result<Vec<Message>, StoreError>> {
        Box::pin(async move {
            self.faults.claims.fetch_add(1, SeqCst);
            self.faults.down(&self.faults.claim)?;
            let claimed = self.inner.claim(queue, claim).await;
            let takes = *self.faults.claim_takes.lock().unwrap();
            if !takes.is_zero() {
                sleep(takes).await;
            }
            claimed
        })
    }
    fn extend(
        &self,
        leases: Vec<Lease>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>> {
        Box::pin(async move {
            self.faults.extends.fetch_add(1, SeqCst);
            self.faults.extended.lock().unwrap().push(leases.len());
            self.faults.down(&self.faults.extend)?;
            self.inner.extend(leases, lease).await
        })
    }
    fn settle(&self, settled: Vec<(Lease, Settle)>) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>> {
        Box::pin(async move {
            self.faults.settles.fetch_add(1, SeqCst);
            self.faults.down(&self.faults.settle)?;
            if self.faults.settle_hangs.load(SeqCst) {
                std::future::pending::<()>().await;
            }
            self.inner.settle(settled).await
        })
    }
    fn dead<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a Filter,
        cursor: Option<MessageId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, StoreError>> {
        Box::pin(async move {
            let mut letters = self.inner.dead(queue, filter, cursor, limit).await?;
            if self.faults.later.load(SeqCst) {
                for letter in &mut letters {
                    letter.id.0[..6].fill(0xff);
                }
            }
            Ok(letters)
        })
    }
    fn redrive<'a>(
        &'a self,
        queue: &'a str,
        ids: &'a [MessageId],
        by: &'a str,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        Box::pin(async move {
            self.faults.down(&self.faults.settle)?;
            self.inner.redrive(queue, ids, by).await
        })
    }
    fn purge<'a>(&'a self, queue: &'a str, ids: &'a [MessageId]) -> BoxFuture<'a, Result<usize, StoreError>> {
        self.inner.purge(queue, ids)
    }
    fn sweep<'a>(
        &'a self,
        queue: &'a str,
        keep_done: Duration,
        most: usize,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        QueueStore::sweep(&self.inner, queue, keep_done, most)
    }
    fn stats<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Stats, StoreError>> {
        self.inner.stats(queue)
    }
    fn wait<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, ()> {
        // before there is a future
        self.faults.down(&self.faults.wait).unwrap();
        self.inner.wait(queue)
    }
}

pub(crate) fn faulty() -> (Queue, Arc<Faults>) {
    let store = FaultyStore::default();
    let faults = store.faults.clone();
    (Queue::new("q", store), faults)
}

pub(crate) fn memory() -> Queue {
    Queue::new("q", MemoryStore::new())
}

pub(crate) async fn put(queue: &Queue, bodies: impl IntoIterator<Item = &'static str>) -> Vec<MessageId> {
    let batch = bodies.into_iter().map(NewMessage::new).collect();
    queue.enqueue_all(batch).await.unwrap().into_iter().map(Enqueued::id).collect()
}

/// What a service was given: when (from its making), which attempt, which body.
#[derive(Clone)]
pub(crate) struct Seen {
    began: tokio::time::Instant,
    all: Arc<Mutex<Vec<(Duration, u32, Bytes)>>>,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self { began: tokio::time::Instant::now(), all: Arc::default() }
    }
    pub(crate) fn note(&self, message: &Message) {
        self.all.lock().unwrap().push((self.began.elapsed(), message.attempt(), message.body().clone()));
    }
    pub(crate) fn attempts(&self) -> Vec<u32> {
        self.all.lock().unwrap().iter().map(|(_, attempt, _)| *attempt).collect()
    }
    pub(crate) fn times(&self) -> Vec<Duration> {
        self.all.lock().unwrap().iter().map(|(at, ..)| *at).collect()
    }
    pub(crate) fn bodies(&self) -> Vec<Bytes> {
        self.all.lock().unwrap().iter().map(|(.., body)| body.clone()).collect()
    }
    pub(crate) fn len(&self) -> usize {
        self.all.lock().unwrap().len()
    }
}

/// A worker that runs until it is stopped.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
}

impl Running {
    /// Tells it to stop, and does not wait.
    pub(crate) fn tell(&mut self) {
        drop(self.stop.take());
    }
    pub(crate) async fn stop(mut self) {
        self.tell();
        self.task.await.unwrap();
    }
}

/// `worker!(queue, service, |w| w.with_lease(..))`
#[macro_export]
macro_rules! running {
    ($worker:expr) => {{
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn($worker.run(async move {
            let _ = stopped.await;
        }));
        $crate::support::Running::new(stop, task)
    }};
}

impl Running {
    pub(crate) fn new(stop: oneshot::Sender<()>, task: JoinHandle<()>) -> Self {
        Self { stop: Some(stop), task }
    }
}

/// Lets everything that can go on do so, and then that much time pass.
pub(crate) async fn pass(time: Duration) {
    sleep(time).await;
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// No chance in it.
#[derive(Debug)]
pub(crate) struct Constant(pub(crate) Duration);

impl steadfast::backoff::Backoff for Constant {
    fn delay(&self, _: u32, _: Duration, _: &mut fastrand::Rng) -> Duration {
        self.0
    }
}
