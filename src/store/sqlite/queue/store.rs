use super::{super::SqliteStore, claim, enqueue, letters, settle, stats, wait};
use crate::{
    error::{BoxFuture, StoreError},
    queue::{
        Claim, DeadLetter, Enqueued, Filter, Lease, LeaseLost, Message, MessageId, NewMessage, QueueStore, Settle,
        Stats,
    },
    token::StoreId,
};
use std::{sync::Arc, time::Duration};

impl QueueStore for SqliteStore {
    fn id(&self) -> StoreId {
        self.inner.id
    }

    fn enqueue<'a>(
        &'a self,
        queue: &'a str,
        batch: Vec<NewMessage>,
    ) -> BoxFuture<'a, Result<Vec<Enqueued>, StoreError>> {
        let queue = queue.to_owned();
        Box::pin(self.write(move |tx| enqueue::enqueue(tx, &queue, &batch)))
    }

    fn claim<'a>(&'a self, queue: &'a str, claim: Claim) -> BoxFuture<'a, Result<Vec<Message>, StoreError>> {
        let queue: Arc<str> = queue.into();
        Box::pin(self.write(move |tx| claim::claim(tx, &queue, claim)))
    }

    fn extend(
        &self,
        leases: Vec<Lease>,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>> {
        Box::pin(self.write(move |tx| settle::extend(tx, &leases, lease)))
    }

    fn settle(&self, settled: Vec<(Lease, Settle)>) -> BoxFuture<'_, Result<Vec<Result<(), LeaseLost>>, StoreError>> {
        Box::pin(self.write(move |tx| settle::settle(tx, &settled)))
    }

    fn dead<'a>(
        &'a self,
        queue: &'a str,
        filter: &'a Filter,
        cursor: Option<MessageId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, StoreError>> {
        let (queue, filter) = (queue.to_owned(), filter.clone());
        Box::pin(self.read(move |conn| letters::dead(conn, &queue, &filter, cursor, limit)))
    }

    fn redrive<'a>(
        &'a self,
        queue: &'a str,
        ids: &'a [MessageId],
        by: &'a str,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        let (queue, ids, by) = (queue.to_owned(), ids.to_owned(), by.to_owned());
        Box::pin(self.write(move |tx| letters::redrive(tx, &queue, &ids, &by)))
    }

    fn purge<'a>(&'a self, queue: &'a str, ids: &'a [MessageId]) -> BoxFuture<'a, Result<usize, StoreError>> {
        let (queue, ids) = (queue.to_owned(), ids.to_owned());
        Box::pin(self.write(move |tx| letters::purge(tx, &queue, &ids)))
    }

    fn sweep<'a>(
        &'a self,
        queue: &'a str,
        keep_done: Duration,
        most: usize,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        let queue = queue.to_owned();
        Box::pin(self.write(move |tx| stats::sweep(tx, &queue, keep_done, most)))
    }

    fn stats<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Stats, StoreError>> {
        let queue = queue.to_owned();
        Box::pin(self.read(move |conn| stats::stats(conn, &queue)))
    }

    fn wait<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(wait::wait(self, queue))
    }
}
