use super::{Fingerprint, StoreKey, StoredResponse};
use crate::{
    error::{BoxFuture, StoreError},
    token::{StoreId, Token},
};
use std::{sync::Arc, time::Duration};

/// One try to begin.
///
/// `token` is drawn by the caller once per request, so it is at the same time the fence and the name of this try: sent twice
/// (a lost reply), the second finds its own token and is answered [`Begun::Acquired`] again.
#[derive(Debug, Clone, Copy)]
pub struct Begin {
    /// Scope and key, hashed.
    pub key: StoreKey,
    /// Of the request.
    pub fingerprint: Fingerprint,
    /// Of this try.
    pub token: Token,
    /// For how long the claim holds without being renewed, by the store's clock.
    pub lease: Duration,
    /// Whether a lapsed claim may be taken over: only if it is still this token's, so that two who recover cannot both win.
    pub take_over: Option<Token>,
}

/// What [`IdempotencyStore::begin`] found.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a box would be one more allocation for each replay")]
pub enum Begun {
    /// The claim is this token's. `attempt` is 1, or one more for every claim that was taken over before.
    Acquired {
        /// How many claims there were, this one included.
        attempt: u32,
    },
    /// Somebody else's claim, which has not lapsed.
    InFlight {
        /// Until it lapses, if it is not renewed.
        lease_left: Duration,
    },
    /// Done before.
    Completed(Recorded),
    /// Somebody's claim lapsed and nothing was recorded: what it did is unknown.
    Lapsed {
        /// Whose it was: to be named in [`Begin::take_over`].
        stale: Token,
        /// How many claims there were.
        attempt: u32,
    },
    /// The key is in use for another request: the fingerprints do not [match](Fingerprint::matches). Found also while that one is
    /// running, and when it lapsed.
    Mismatch,
}

/// What a completed record holds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a box would be one more allocation for each replay")]
pub enum Recorded {
    /// The response, to be given again.
    Response(StoredResponse),
    /// It was done; the response was too large or broke off, and was not kept.
    NotRetained,
}

/// Key and token: what every call after `begin` is fenced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Scope and key, hashed.
    pub key: StoreKey,
    /// The one that `begin` was sent with.
    pub token: Token,
}

/// What a fenced call found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// Still ours, and running before this call: the call did what it says.
    Done,
    /// Ours, and complete before this call: nothing was changed.
    Already,
    /// Somebody else's, or gone: nothing was changed.
    Lost,
}

/// Where records live. Object-safe: the layer holds an `Arc<dyn IdempotencyStore>` and no store type is in its name.
///
/// The laws, checked by the contract suite in [`testing`](crate::testing) (feature `testing`):
///
/// * every call is atomic, and safe to repeat with the same arguments;
/// * leases and expiry are by the store's clock, never by the caller's;
/// * a record expires `keep` after its completion; a running claim never does, it lapses;
/// * fences compare tokens, not times: a lapsed claim that nobody took over can still be renewed and completed;
/// * a token that was released claims nothing any more, however late its begin comes.
///
/// The kind of an error is part of the contract: [`StoreError::new`] if the call may have been done, or may be done later,
/// [`StoreError::refused`] if it was not and will not be, [`StoreError::full`] if there is no room.
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Which store this is.
    fn id(&self) -> StoreId;

    /// Claims the key, or says why not. What has expired counts as not there.
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>>;

    /// Records what came of it, for `keep` from now.
    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Lets the claim hold for `lease` from now.
    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// Frees the key as if it had never been claimed: only for what is known not to have been executed.
    ///
    /// From then on, for three minutes at least, no [`begin`](Self::begin) with this token claims the key, also where the token had
    /// claimed nothing: a begin that was not answered in time may still be on its way, and its claim would have no run. Such a begin
    /// fails as [refused](StoreError::refused).
    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// What has become of the claim: [`Fenced::Done`] is still running, [`Fenced::Already`] complete. Waits for an open
    /// transaction that holds the record, so that the answer is final.
    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>>;

    /// The record under a key, whoever wrote it.
    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>>;

    /// Removes at most `most` expired records, and says how many.
    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>>;
}

const _: Option<&dyn IdempotencyStore> = None;

impl<T: IdempotencyStore + ?Sized> IdempotencyStore for Arc<T> {
    fn id(&self) -> StoreId {
        (**self).id()
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        (**self).begin(begin)
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        (**self).complete(fence, recorded, keep)
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        (**self).renew(fence, lease)
    }

    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        (**self).release(fence)
    }

    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        (**self).settled(fence)
    }

    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        (**self).get(key)
    }

    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        (**self).sweep(most)
    }
}
