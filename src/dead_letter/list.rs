use crate::{
    error::{BoxFuture, StoreError},
    queue::{DeadLetter, Filter, MessageId, Queue},
};
use std::future::IntoFuture;

/// A page of dead letters, to be awaited; made by [`DeadLetters::list`](super::DeadLetters::list).
#[derive(Debug, Clone)]
#[must_use = "nothing is read before it is awaited"]
pub struct List<'a> {
    queue: &'a Queue,
    filter: Filter,
    after: Option<MessageId>,
    limit: usize,
}

impl<'a> List<'a> {
    pub(super) const fn new(queue: &'a Queue, filter: Filter) -> Self {
        Self { queue, filter, after: None, limit: super::letters::PAGE }
    }

    /// From after this one: the [`next`](Page::next) of the page before.
    pub const fn after(mut self, cursor: Option<MessageId>) -> Self {
        self.after = cursor;
        self
    }

    /// At most so many: 100 unless said.
    pub const fn limit(mut self, letters: usize) -> Self {
        self.limit = letters;
        self
    }
}

impl<'a> IntoFuture for List<'a> {
    type Output = Result<Page, StoreError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let letters = self.queue.store().dead(self.queue.name(), &self.filter, self.after, self.limit).await?;
            let next = letters.last().filter(|_| letters.len() == self.limit).map(|letter| letter.id);
            Ok(Page { letters, next })
        })
    }
}

/// Some dead letters, and where the next ones begin.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page {
    /// The letters, oldest first.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<MessageId>,
}
