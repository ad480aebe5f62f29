use super::{Fence, IdempotencyKey};
use crate::token::StoreId;
use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;

/// What a handler knows of its own run: in the request's extensions, and with the feature `axum` an extractor.
///
/// Key and attempt are what keys for calls further down are derived from, so that these are the same in every run.
/// Clones are the same claim.
#[derive(Clone)]
pub struct Claim {
    inner: Arc<Inner>,
}

struct Inner {
    key: IdempotencyKey,
    fence: Fence,
    attempt: u32,
    store: StoreId,
    in_transaction: AtomicBool,
    lost: AtomicBool,
    told: Notify,
}

impl Claim {
    pub(super) fn new(key: IdempotencyKey, fence: Fence, attempt: u32, store: StoreId) -> Self {
        let (in_transaction, lost, told) = (AtomicBool::new(false), AtomicBool::new(false), Notify::new());
        Self { inner: Arc::new(Inner { key, fence, attempt, store, in_transaction, lost, told }) }
    }

    /// The caller's key.
    pub fn key(&self) -> &IdempotencyKey {
        &self.inner.key
    }

    /// 1, or more where an earlier run ended nobody knows how: see [`OnUnknown::Rerun`](super::OnUnknown::Rerun).
    pub fn attempt(&self) -> u32 {
        self.inner.attempt
    }

    /// What the store knows this run by.
    pub fn fence(&self) -> Fence {
        self.inner.fence
    }

    /// The store that the claim is in: completing it in a transaction of another store is an error.
    pub fn store(&self) -> StoreId {
        self.inner.store
    }

    /// Whether another attempt has taken the key over. What this run answers is then not what its caller gets.
    pub fn is_lost(&self) -> bool {
        self.inner.lost.load(Ordering::Acquire)
    }

    /// Until another attempt has taken the key over: for a handler that can stop half way. Noticed when the lease is renewed.
    pub async fn lost(&self) {
        let mut told = pin!(self.inner.told.notified());
        told.as_mut().enable();
        if !self.is_lost() {
            told.await;
        }
    }

    /// For stores that complete a claim in a transaction of the user's: the layer then asks
    /// [`settled`](super::IdempotencyStore::settled) what became of it before it answers.
    pub fn mark_in_transaction(&self) {
        self.inner.in_transaction.store(true, Ordering::Release);
    }

    pub(super) fn was_in_transaction(&self) -> bool {
        self.inner.in_transaction.load(Ordering::Acquire)
    }

    pub(super) fn set_lost(&self) {
        self.inner.lost.store(true, Ordering::Release);
        self.inner.told.notify_waiters();
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("attempt", &self.attempt()).field("store", &self.store()).finish_non_exhaustive()
    }
}

/// In a response's extensions: nothing was done, the key is free again. A handler says so, or a layer between this one and
/// the handler that refused for it (a load shed, a rate limit).
///
/// It is never guessed from a status or a header. Said of something that was done, it lets that be done twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotExecuted;
