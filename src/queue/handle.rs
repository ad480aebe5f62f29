use super::{Accept, Enqueued, NewMessage, QueueStore, Stats, counters::Counters};
use crate::{
    error::StoreError,
    registry::{Entry, Registry, Value, registry},
    telemetry::{count, event, names},
};
use std::{fmt, sync::Arc};

/// A named queue in a store; see the [module docs](crate::queue). Clones are the same queue.
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    store: Arc<dyn QueueStore>,
    counters: Counters,
}

impl Queue {
    /// `name`: under which its messages lie in `store`; the same name in the same store is the same queue, in this process
    /// and in others.
    pub fn new(name: impl Into<Arc<str>>, store: impl QueueStore) -> Self {
        Self::with_store(name, Arc::new(store))
    }

    /// In a store that is shared already.
    pub fn with_store(name: impl Into<Arc<str>>, store: Arc<dyn QueueStore>) -> Self {
        let shared = Arc::new(Shared { name: name.into(), store, counters: Counters::default() });
        registry().add(&shared);
        Self { shared }
    }

    /// Lists the queue in this registry as well.
    #[must_use]
    pub fn with_registry(self, registry: &Registry) -> Self {
        registry.add(&self.shared);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where its messages lie.
    pub fn store(&self) -> &dyn QueueStore {
        &*self.shared.store
    }

    /// Stores a message. Once this answers, the message is as durable as the store is.
    ///
    /// # Errors
    /// The store's. The message may be stored all the same, where only the answer was lost: with a dedupe key it is safe to
    /// enqueue it again.
    pub async fn enqueue(&self, message: NewMessage) -> Result<Enqueued, StoreError> {
        let answers = self.enqueue_all(vec![message]).await?;
        answers.into_iter().next().ok_or(StoreError::new("the store gave no answer for a message"))
    }

    /// Stores messages, all or none, in one commit; one answer each, in order.
    ///
    /// # Errors
    /// As for [`enqueue`](Self::enqueue).
    pub async fn enqueue_all(&self, messages: Vec<NewMessage>) -> Result<Vec<Enqueued>, StoreError> {
        let Shared { name, store, counters } = &*self.shared;
        match store.enqueue(name, messages).await {
            Ok(answers) => {
                if counters.was_failing() {
                    event!(INFO, "messages are stored again", queue = &**name);
                }
                for answer in &answers {
                    let (counter, result) = match answer {
                        Enqueued::New(_) => (&counters.enqueued, "new"),
                        Enqueued::Duplicate(_) => (&counters.duplicates, "duplicate"),
                    };
                    Counters::add(counter);
                    count(names::QUEUE_ENQUEUED, name, ("result", result));
                }
                Ok(answers)
            }
            Err(error) => Err(self.given_up(error)),
        }
    }

    /// A message was not stored, as far as this process knows: in the counters, and as an event where the call before was stored.
    #[allow(clippy::if_same_then_else, reason = "without the feature `tracing` there are no events")]
    pub(super) fn given_up(&self, error: StoreError) -> StoreError {
        let Shared { name, counters, .. } = &*self.shared;
        Counters::add(&counters.unstored);
        count(names::QUEUE_ENQUEUED, name, ("result", "unstored"));
        let error_text = error.to_string();
        if counters.is_first_failure() {
            event!(WARN, "message not stored, further ones are logged at DEBUG", queue = &**name, error = error_text);
        } else {
            event!(DEBUG, "message not stored", queue = &**name, error = error_text);
        }
        error
    }

    /// How many messages are in which state. The registry shows what the last call found.
    ///
    /// # Errors
    /// The store's.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let stats = self.store().stats(self.name()).await?;
        self.shared.counters.found(stats);
        Ok(stats)
    }

    /// The `Service` that stores requests as messages: the end of a server's stack.
    pub fn accept(&self) -> Accept {
        Accept::new(self.clone())
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.shared.name
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name()).field("store", &self.store().id()).finish_non_exhaustive()
    }
}

impl Entry for Shared {
    fn kind(&self) -> &'static str {
        "queue"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        self.counters.state()
    }
}
