use super::{Fingerprint, IdempotencyKey, StoreKey, StoredResponse, Token};
use crate::error::BoxFuture;
use bytes::Bytes;
use http::request::Parts;
use std::{fmt, sync::Arc};

/// What a request gets whose key was claimed before by a run of which nobody knows how it ended: its process died, or was cut
/// off from the store for longer than the lease.
#[derive(Clone, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum OnUnknown {
    /// 409 without `Retry-After`, until the run is heard of again or the claim is released by hand: money is not sent twice.
    #[default]
    Fail,
    /// The handler runs again, with the next [`Claim::attempt`](super::Claim::attempt): right where it can find out what was
    /// done, or where its effects share a transaction with the record.
    Rerun,
    /// You find out: see [`Recover`].
    #[cfg_attr(feature = "serde", serde(skip))]
    Ask(Arc<dyn Recover>),
}

/// Finds out what became of a run that nobody heard of again: it asks who would know, a payment provider say, by the key that the
/// run has used there ([`Unknown::derive`]).
///
/// Any `Fn(Unknown) -> impl Future<Output = Recovered>` is one. For one key it is asked by one request at a time in a process;
/// others meanwhile find the key in flight. Two processes may both ask: of those who then take the claim over one wins, and the
/// others get what it records. It is given as long as a lease; if that is not enough, or it panics, nobody knows
/// ([`Recovered::Unknown`]). A caller who leaves does not stop it.
///
/// ```
/// use http::StatusCode;
/// use steadfast::{
///     idempotency::{IdempotencyLayer, OnUnknown, Recovered, Scope, StoredResponse, Unknown},
///     store::memory::MemoryStore,
/// };
/// # struct Provider; impl Provider { async fn find(&self, _: &str) -> Result<Option<String>, ()> { Ok(None) } }
/// # static PROVIDER: Provider = Provider;
///
/// let ask = OnUnknown::ask(|unknown: Unknown| async move {
///     match PROVIDER.find(unknown.derive("charge").as_str()).await {
///         Ok(Some(charge)) => Recovered::Done(StoredResponse::json(StatusCode::CREATED, charge)),
///         Ok(None) => Recovered::NotDone,
///         Err(_) => Recovered::Unknown,
///     }
/// });
/// let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared()).with_on_unknown(ask);
/// ```
pub trait Recover: Send + Sync + 'static {
    /// What became of it.
    fn recover(&self, unknown: Unknown) -> BoxFuture<'_, Recovered>;
}

const _: Option<&dyn Recover> = None;

impl<F, Fut> Recover for F
where
    F: Fn(Unknown) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Recovered> + Send + 'static,
{
    fn recover(&self, unknown: Unknown) -> BoxFuture<'_, Recovered> {
        Box::pin(self(unknown))
    }
}

/// What is known of a run that was not heard of again, and the request that has its key now: the same request.
#[derive(Clone)]
pub struct Unknown {
    pub(super) key: IdempotencyKey,
    pub(super) store_key: StoreKey,
    pub(super) attempt: u32,
    pub(super) stale: Token,
    pub(super) fingerprint: Fingerprint,
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

/// What [`Recover`] found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Recovered {
    /// It was done, and this is the answer: recorded, and given as a replay.
    Done(StoredResponse),
    /// It was not done, and will not be: the handler runs. Said too early of something that is still on its way, it lets that be
    /// done twice.
    NotDone,
    /// Nobody knows: as [`OnUnknown::Fail`]. The next request asks again.
    Unknown,
}

impl OnUnknown {
    /// [`OnUnknown::Ask`].
    pub fn ask(hook: impl Recover) -> Self {
        Self::Ask(Arc::new(hook))
    }
}

impl Unknown {
    /// The caller's key.
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Which attempt it was: 1 for the first run under this key.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The token of its claim.
    pub fn stale(&self) -> Token {
        self.stale
    }

    /// Of the request.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The request's method, target, headers and extensions.
    pub fn head(&self) -> &Parts {
        &self.head
    }

    /// The request's body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The same key that [`Claim::derive`](super::Claim::derive) gave the run.
    pub fn derive(&self, purpose: &str) -> IdempotencyKey {
        IdempotencyKey::derive([&self.store_key.0[..], purpose.as_bytes()])
    }
}

impl fmt::Debug for OnUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "Fail",
            Self::Rerun => "Rerun",
            Self::Ask(_) => "Ask(..)",
        })
    }
}

/// Without the request: logs see no body and no credential.
impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unknown").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
