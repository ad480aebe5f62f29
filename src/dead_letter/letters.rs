use super::{List, Redrive};
use crate::{
    error::StoreError,
    queue::{DeadLetter, Filter, MessageId, Queue},
    telemetry::event,
};

/// Letters that are read from a store at a time.
pub(super) const PAGE: usize = 100;

/// The dead letters of a queue; see the [module docs](crate::dead_letter). Clones are the same.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    queue: Queue,
}

impl Queue {
    /// What could not be done, for a person to look at and to send again.
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters { queue: self.clone() }
    }
}

impl DeadLetters {
    /// Those that the filter means, oldest first, a page at a time: `list(filter).await`.
    pub const fn list(&self, filter: Filter) -> List<'_> {
        List::new(&self.queue, filter)
    }

    /// One, if it is there and dead.
    ///
    /// # Errors
    /// The store's.
    pub async fn get(&self, id: MessageId) -> Result<Option<DeadLetter>, StoreError> {
        let filter = Filter::id(id);
        let found = self.queue.store().dead(self.queue.name(), &filter, None, 1).await?;
        Ok(found.into_iter().next())
    }

    /// Makes those that the filter means ready again, at a rate if one is set: `redrive(filter).await`.
    pub const fn redrive(&self, filter: Filter) -> Redrive<'_> {
        Redrive::new(&self.queue, filter)
    }

    /// Removes those that the filter means, and their dedupe keys, for good. Returns how many there were.
    ///
    /// # Errors
    /// The store's; pages before the one that failed are gone.
    pub async fn purge(&self, filter: Filter) -> Result<usize, StoreError> {
        let (store, name) = (self.queue.store(), self.queue.name());
        let (mut purged, mut cursor) = (0, None);
        loop {
            let page = store.dead(name, &filter, cursor, PAGE).await?;
            let ids: Vec<_> = page.iter().map(|letter| letter.id).collect();
            let Some(last) = ids.last() else { break };
            cursor = Some(*last);
            purged += store.purge(name, &ids).await?;
        }
        event!(INFO, "dead letters purged", queue = name, letters = purged);
        Ok(purged)
    }
}
