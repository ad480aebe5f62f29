use super::{super::PostgresStore, claim, enqueue, letters, settle, stats, wait};
use crate::{
    error::{BoxFuture, StoreError},
    queue::{
        Claim, DeadLetter, Enqueued, Filter, Lease, LeaseLost, Message, MessageId, NewMessage, QueueStore, Settle,
        Stats,
    },
    token::StoreId,
};
use std::time::Duration;

impl QueueStore for PostgresStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn enqueue<'a>(
        &'a self,
        queue: &'a str,
        batch: Vec<NewMessage>,
    ) -> BoxFuture<'a, Result<Vec<Enqueued>, StoreError>> {
        Box::pin(enqueue::enqueue_all(self, queue, batch))
    }

    fn claim<'a>(&'a self, queue: &'a str, claim: Claim) -> BoxFuture<'a, Result<Vec<Message>, StoreError>> {
        Box::pin(claim::claim(self, queue, claim))
    }

    fn extend(
        &self,
        leases: Vec<Lease>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>> {
        Box::pin(settle::extend(self, leases, lease))
    }

    fn settle(&self, settled: Vec<(Lease, Settle)>) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>> {
        Box::pin(settle::settle(self, settled))
    }

    fn dead<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a Filter,
        cursor: Option<MessageId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, StoreError>> {
        Box::pin(letters::dead(self, queue, filter, cursor, limit))
    }

    fn redrive<'a>(
        &'a self,
        queue: &'a str,
        ids: &'a [MessageId],
        by: &'a str,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        Box::pin(letters::redrive(self, queue, ids, by))
    }

    fn purge<'a>(&'a self, queue: &'a str, ids: &'a [MessageId]) -> BoxFuture<'a, Result<usize, StoreError>> {
        Box::pin(letters::purge(self, queue, ids))
    }

    fn sweep<'a>(
        &'a self,
        queue: &'a str,
        keep_done: Duration,
        most: usize,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        Box::pin(stats::sweep(self, queue, keep_done, most))
    }

    fn stats<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Stats, StoreError>> {
        Box::pin(stats::stats(self, queue))
    }

    fn wait<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(wait::wait(self, queue))
    }
}
