#[cfg(feature = "idempotency")]
use super::idempotency::Records;
#[cfg(feature = "queue")]
use super::queue::Queues;
use crate::token::StoreId;
use std::{fmt, sync::Arc};

/// A store in memory; see the [module docs](crate::store::memory). Clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    pub(super) inner: Arc<Inner>,
}

/// One field for each pattern.
pub(super) struct Inner {
    pub(super) id: StoreId,
    #[cfg(feature = "idempotency")]
    pub(super) records: Records,
    #[cfg(feature = "queue")]
    pub(super) queues: Queues,
}

impl MemoryStore {
    /// An empty one, with its own [`id`](Self::id).
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                id: StoreId::next(),
                #[cfg(feature = "idempotency")]
                records: Records::default(),
                #[cfg(feature = "queue")]
                queues: Queues::new(),
            }),
        }
    }

    /// Which store this is.
    pub fn id(&self) -> StoreId {
        self.inner.id
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("id", &self.inner.id).finish_non_exhaustive()
    }
}
