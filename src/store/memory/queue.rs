//! The queue's store over one mutex: nothing in it waits, so it is held for a few map operations at a time.

mod lane;
mod owned;
mod row;
mod shelf;

use self::{owned::own, shelf::Shelf};
use super::MemoryStore;
use crate::{
    attempt::deadline_after,
    error::{BoxFuture, StoreError},
    queue::{
        Claim, DeadLetter, Enqueued, Filter, Lease, LeaseLost, Message, MessageId, NewMessage, QueueStore, Settle,
        Stats,
    },
    time::Clock,
    token::StoreId,
};
use std::{
    fmt,
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// All queues of one store.
pub(super) struct Queues {
    shelf: Mutex<Shelf>,
    /// Told of whatever may let a waiter find something sooner than it expects.
    changed: Notify,
    began: (Instant, SystemTime),
}

impl Queues {
    pub(super) fn new() -> Self {
        let began = (Instant::now(), crate::time::SystemClock.now());
        Self { shelf: Mutex::default(), changed: Notify::new(), began }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both clocks at one moment: dates move with tokio's clock, so that a paused one pauses them too.
    fn now(&self) -> Moment {
        let at = Instant::now();
        let date = self.began.1.checked_add(at - self.began.0).unwrap_or(self.began.1);
        Moment { at, date }
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

/// A moment by tokio's clock and as a date.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    date: SystemTime,
}

impl Moment {
    fn after(self, wait: Duration) -> Instant {
        self.at.checked_add(wait).unwrap_or_else(|| deadline_after(Duration::MAX))
    }
}

fn done<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(ready(Ok(value)))
}

impl QueueStore for MemoryStore {
    fn id(&self) -> StoreId {
        self.inner.id
    }

    fn enqueue<'a>(
        &'a self,
        queue: &'a str,
        mut batch: Vec<NewMessage>,
    ) -> BoxFuture<'a, Result<Vec<Enqueued>, StoreError>> {
        own(&mut batch);
        let queues = &self.inner.queues;
        let now = queues.now();
        let mut shelf = queues.shelf();
        let answers = batch.into_iter().map(|message| shelf.enqueue(queue, message, now)).collect();
        drop(shelf);
        queues.changed.notify_waiters();
        done(answers)
    }

    fn claim<'a>(&'a self, queue: &'a str, claim: Claim) -> BoxFuture<'a, Result<Vec<Message>, StoreError>> {
        let queues = &self.inner.queues;
        let now = queues.now();
        done(queues.shelf().claim(queue, claim, now))
    }

    fn extend(
        &self,
        leases: Vec<Lease>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>> {
        let queues = &self.inner.queues;
        let until = queues.now().after(lease);
        let mut shelf = queues.shelf();
        done(leases.into_iter().map(|held| shelf.extend(held, until)).collect())
    }

    fn settle(&self, settled: Vec<(Lease, Settle)>) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>> {
        let queues = &self.inner.queues;
        let now = queues.now();
        let mut shelf = queues.shelf();
        let answers = settled.into_iter().map(|(held, settle)| shelf.settle(held, settle, now)).collect();
        drop(shelf);
        queues.changed.notify_waiters();
        done(answers)
    }

    fn dead<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a Filter,
        cursor: Option<MessageId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, StoreError>> {
        done(self.inner.queues.shelf().dead(queue, filter, cursor, limit))
    }

    fn redrive<'a>(
        &'a self,
        queue: &'a str,
        ids: &'a [MessageId],
        by: &'a str,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        let queues = &self.inner.queues;
        let now = queues.now();
        let mut shelf = queues.shelf();
        let redriven = ids.iter().filter(|id| shelf.redrive(queue, **id, by, now)).count();
        drop(shelf);
        queues.changed.notify_waiters();
        done(redriven)
    }

    fn purge<'a>(&'a self, queue: &'a str, ids: &'a [MessageId]) -> BoxFuture<'a, Result<usize, StoreError>> {
        let mut shelf = self.inner.queues.shelf();
        done(ids.iter().filter(|id| shelf.purge(queue, **id)).count())
    }

    fn sweep<'a>(
        &'a self,
        queue: &'a str,
        keep_done: Duration,
        most: usize,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        let queues = &self.inner.queues;
        let now = queues.now();
        done(queues.shelf().sweep(queue, keep_done, most, now))
    }

    fn stats<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Stats, StoreError>> {
        let queues = &self.inner.queues;
        let now = queues.now();
        done(queues.shelf().stats(queue, now))
    }

    fn wait<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let queues = &self.inner.queues;
            loop {
                let mut changed = std::pin::pin!(queues.changed.notified());
                // listening before looking: what comes between the two is not missed
                changed.as_mut().enable();
                let next = queues.shelf().next(queue);
                match next {
                    Some(at) if at <= Instant::now() => return,
                    Some(at) => tokio::select! {
                        () = &mut changed => {}
                        () = sleep_until(at) => return,
                    },
                    None => changed.await,
                }
            }
        })
    }
}
