use super::{
    Fence, IdempotencyKey, IdempotencyStore, Recorded, StoredResponse, layer::Shared, ledger::Ledger, seal::Sealing,
};
use crate::{
    classify::{Evidence, Failure, Outcome, of_error_with},
    error::StoreError,
    token::StoreId,
};
use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
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
    open: bool,
    store: StoreId,
    keep: Duration,
    seal: Sealing,
    response_limit: usize,
    in_transaction: AtomicBool,
    lost: AtomicBool,
    told: Notify,
}

impl Claim {
    pub(super) fn new(key: IdempotencyKey, attempt: u32, open: bool, ledger: &Ledger) -> Self {
        let Shared { store, config, seal, .. } = &*ledger.shared;
        Self {
            inner: Arc::new(Inner {
                key,
                fence: ledger.fence,
                attempt,
                open,
                store: store.id(),
                keep: config.keep,
                seal: seal.clone(),
                response_limit: config.response_limit,
                in_transaction: AtomicBool::new(false),
                lost: AtomicBool::new(false),
                told: Notify::new(),
            }),
        }
    }

    /// The caller's key.
    pub fn key(&self) -> &IdempotencyKey {
        &self.inner.key
    }

    /// 1, or more where an earlier run ended nobody knows how: see [`OnUnknown::Rerun`](super::OnUnknown::Rerun).
    pub fn attempt(&self) -> u32 {
        self.inner.attempt
    }

    /// Returns whether the request runs without a record, because the store was down and the layer has
    /// [`with_fail_open`](super::IdempotencyLayer::with_fail_open). Key, attempt and derived keys do not differ; completing such a
    /// claim in a transaction succeeds and records nothing.
    pub fn is_open(&self) -> bool {
        self.inner.open
    }

    /// What the store knows this run by.
    pub fn fence(&self) -> Fence {
        self.inner.fence
    }

    /// The store that the claim is in: completing it in a transaction of another store is an error.
    pub fn store(&self) -> StoreId {
        self.inner.store
    }

    /// For how long the record of its answer is to be kept, from the completion on.
    pub fn keep(&self) -> Duration {
        self.inner.keep
    }

    /// A key for a call further down that this run makes: the same in every attempt, and in the hook that finds out what became of
    /// one ([`Unknown::derive`](super::Unknown::derive)); another one for each `purpose`. It is made of caller *and* key, so that two
    /// callers who chose the same key are two to the other side as well.
    pub fn derive(&self, purpose: &str) -> IdempotencyKey {
        IdempotencyKey::derive([&self.inner.fence.key.0[..], purpose.as_bytes()])
    }

    /// For stores that complete a claim in a transaction of the user's: `response` as it is to be stored under this claim, less
    /// what is not for a second reader, within the layer's limits, and sealed where the layer has a [`Seal`](super::Seal).
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn recorded(&self, response: &StoredResponse) -> Result<Recorded, StoreError> {
        let Inner { seal, fence, response_limit, .. } = &*self.inner;
        seal.recorded(&fence.key, response.clone(), *response_limit)
    }

    /// Whether this run can no longer count on its claim: another attempt has taken the key over, the store could not be reached
    /// for a whole lease, or the claim was renewed for as long as it may be. Where another attempt has it, what this run answers is
    /// not what its caller gets; otherwise it still is.
    pub fn is_lost(&self) -> bool {
        self.inner.lost.load(Ordering::Acquire)
    }

    /// Until this run can no longer count on its claim, as [`is_lost`](Self::is_lost) says: for a handler that can stop half way.
    /// Noticed when the lease is renewed.
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

/// In a response's extensions: the handler did nothing, and the key is free again. A handler inserts it, or a layer between this
/// one and the handler that refused the request (a load shed, a rate limit).
///
/// After a run of unknown outcome was taken over ([`Claim::attempt`] above 1) the key is not free but of unknown outcome again.
///
/// It is never derived from a status or a header. Inserted after the handler did something, it lets that be done twice.
///
/// A handler whose only effect is one call of another service inserts it where that call was never sent: else the 502 of an outage
/// is recorded, and replayed when the outage is over. With the feature `axum` an `Option<NotExecuted>` is part of a response:
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{http::StatusCode, response::{IntoResponse, Response}};
/// use steadfast::{error::BoxError, idempotency::NotExecuted};
///
/// fn respond(called: Result<String, BoxError>) -> Response {
///     match called {
///         Ok(text) => text.into_response(),
///         Err(error) => (StatusCode::BAD_GATEWAY, NotExecuted::if_not_sent(&error), "bank unavailable").into_response(),
///     }
/// }
/// # let refused = steadfast::error::Refused::new("payments", "circuit open");
/// # assert!(respond(Err(refused.into())).extensions().get::<NotExecuted>().is_some());
/// # assert!(respond(Err("reset".into())).extensions().get::<NotExecuted>().is_none());
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotExecuted;

impl NotExecuted {
    /// Returns `NotExecuted` if the error shows that the request was never sent: a refusal of this process (an open circuit), or a
    /// failed connect of a client that follows no redirects ([`of_error`](crate::classify::of_error)). `None` after an attempt that may have been executed.
    ///
    /// Only for handlers whose only effect is that call. reqwest's connect errors show nothing: see
    /// [`if_not_sent_with`](Self::if_not_sent_with).
    pub fn if_not_sent<E: 'static>(error: &E) -> Option<Self> {
        Self::if_not_sent_with(error, Evidence::none())
    }

    /// Returns the same, with what else is known of the call: with [`Evidence::without_redirects`] a failed connect of a
    /// `reqwest::Client` that was built with `redirect::Policy::none()` counts too.
    pub fn if_not_sent_with<E: 'static>(error: &E, evidence: Evidence) -> Option<Self> {
        let outcome = of_error_with(error, evidence).outcome();
        matches!(outcome, Outcome::Refused | Outcome::Failure(Failure::NotSent)).then_some(Self)
    }
}
