//! What one keyed request asks of the store: each call under a time limit, repeated where it matters.

use super::{
    Begin, Begun, Fence, Fenced, IdempotencyStore, OnUnknown, Recorded, layer::Shared, refusal::Refusal, refusal::Said,
};
use crate::{
    attempt::deadline_after,
    backoff::{Backoff, Exponential},
    error::StoreError,
    telemetry::{event, names, observe},
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// As many records as are removed in one call of the store, and as many calls as are made in a row.
const SWEEP_BATCH: usize = 500;
const SWEEP_BATCHES: usize = 20;

/// What comes of a keyed request at first.
#[expect(clippy::large_enum_variant, reason = "it is looked at once, where it was made")]
pub(super) enum Start {
    /// The key is claimed, for so many a time: the handler runs.
    Run(u32),
    /// It does not, and the caller gets this.
    Say(Said),
}

pub(super) struct Ledger {
    pub(super) shared: Arc<Shared>,
    pub(super) fence: Fence,
}

/// What a call that waits no longer than `hold` came to.
type Heard = Option<Fenced>;

impl Ledger {
    fn store(&self) -> &dyn IdempotencyStore {
        &*self.shared.store
    }

    /// Claims the key, if it is free.
    pub(super) async fn begin(&self, mut begin: Begin) -> Start {
        loop {
            let no = |refusal| Start::Say(Said::No(refusal));
            return match self.ask_begin(begin).await {
                Ok(Begun::Acquired { attempt }) => Start::Run(attempt),
                Ok(Begun::Lapsed { stale, .. }) if self.shared.config.on_unknown == OnUnknown::Rerun => {
                    begin.take_over = Some(stale);
                    continue;
                }
                Ok(Begun::Lapsed { .. }) => no(Refusal::Unknown),
                Ok(Begun::InFlight { .. }) => no(Refusal::InFlight),
                Ok(Begun::Mismatch) => no(Refusal::Mismatch),
                Ok(Begun::Completed(recorded)) => Start::Say(again(recorded)),
                Err(error) => {
                    event!(
                        WARN,
                        "idempotency store down at begin: refused",
                        name = &*self.shared.state.name,
                        error = error.what()
                    );
                    no(Refusal::StoreDown)
                }
            };
        }
    }

    /// Twice with the same token, so that a reply that was lost is no conflict with oneself.
    async fn ask_begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let since = Instant::now();
        let mut begun = self.within_hold(self.store().begin(begin)).await;
        if begun.is_err() {
            begun = self.within_hold(self.store().begin(begin)).await;
        }
        observe(names::IDEMPOTENCY_BEGIN, &self.shared.state.name, since.elapsed().as_secs_f64());
        begun
    }

    async fn within_hold<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        timeout(self.shared.config.hold, call).await.unwrap_or(Err(StoreError::new("the store did not answer in time")))
    }

    /// Records, waiting no longer than `hold`. `None`: not heard of yet.
    pub(super) async fn complete(&self, recorded: &Recorded) -> Heard {
        let since = Instant::now();
        let call = self.store().complete(self.fence, recorded.clone(), self.shared.config.keep);
        let completed = self.within_hold(call).await;
        observe(names::IDEMPOTENCY_COMPLETE, &self.shared.state.name, since.elapsed().as_secs_f64());
        completed.ok()
    }

    /// Records, however long the store is away. Never given up, and the key never freed: the handler has run.
    pub(super) async fn complete_until_heard(&self, recorded: &Recorded) {
        event!(WARN, "idempotency store down at complete: recording later", name = &*self.shared.state.name);
        let mut pause = Pause::new();
        loop {
            pause.wait().await;
            match self.complete(recorded).await {
                None => {}
                Some(Fenced::Lost) => {
                    return event!(
                        WARN,
                        "idempotency claim lost before its answer was recorded",
                        name = &*self.shared.state.name
                    );
                }
                Some(_) => return,
            }
        }
    }

    /// Frees the key, waiting no longer than `hold`.
    pub(super) async fn release(&self) -> Heard {
        self.within_hold(self.store().release(self.fence)).await.ok()
    }

    /// Frees the key, trying for as long as a lease: after that the claim lapses in any case.
    pub(super) async fn release_within_lease(&self) {
        let until = deadline_after(self.shared.config.lease);
        let mut pause = Pause::new();
        while Instant::now() < until && self.release().await.is_none() {
            pause.wait().await;
        }
    }

    /// What became of a transaction, waiting no longer than `hold` for each of two answers.
    pub(super) async fn settled(&self) -> Heard {
        match self.within_hold(self.store().settled(self.fence)).await {
            Ok(fenced) => Some(fenced),
            Err(_) => self.within_hold(self.store().settled(self.fence)).await.ok(),
        }
    }

    /// Frees the key if the transaction turns out to be rolled back, trying for as long as a lease.
    pub(super) async fn release_if_rolled_back(&self) {
        let until = deadline_after(self.shared.config.lease);
        let mut pause = Pause::new();
        while Instant::now() < until {
            match self.settled().await {
                Some(Fenced::Done) => return self.release_within_lease().await,
                Some(_) => return,
                None => pause.wait().await,
            }
        }
    }

    /// Holds the claim for as long as it is polled; `lost` is told when another attempt has it.
    pub(super) async fn renew(&self, lost: impl Fn()) -> Infallible {
        let lease = self.shared.config.lease;
        let mut next = lease / 3;
        loop {
            sleep(next).await;
            next = match timeout(lease / 3, self.store().renew(self.fence, lease)).await {
                Ok(Ok(Fenced::Done)) => lease / 3,
                Ok(Ok(Fenced::Already)) => std::future::pending().await,
                Ok(Ok(Fenced::Lost)) => {
                    event!(WARN, "idempotency claim lost while its handler runs", name = &*self.shared.state.name);
                    lost();
                    std::future::pending().await
                }
                // a lapsed claim that nobody took can still be renewed: never given up
                Ok(Err(_)) | Err(_) => lease / 12,
            };
        }
    }

    /// Removes what has expired, in small batches, if it is time again. Nobody waits for it.
    pub(super) async fn sweep_if_due(&self) {
        if !self.shared.state.is_sweep_due() {
            return;
        }
        for _ in 0..SWEEP_BATCHES {
            match self.within_hold(self.store().sweep(SWEEP_BATCH)).await {
                Ok(SWEEP_BATCH) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// For a caller whose own claim was lost: what the owner recorded, never what this run came to.
    pub(super) async fn owners_answer(&self) -> Said {
        match self.within_hold(self.store().get(self.fence.key)).await {
            Ok(Some(recorded)) => again(recorded),
            Ok(None) => Said::No(Refusal::InFlight),
            Err(_) => Said::No(Refusal::StoreDown),
        }
    }
}

fn again(recorded: Recorded) -> Said {
    match recorded {
        Recorded::Response(stored) => Said::Again(stored),
        Recorded::NotRetained => Said::No(Refusal::NotRetained),
    }
}

/// Between two tries of something that must be done: 50 ms doubling to 5 s, spread, so that a store that comes back is not
/// met by all at once.
struct Pause {
    backoff: Exponential,
    random: fastrand::Rng,
    tries: u32,
}

impl Pause {
    fn new() -> Self {
        let floor = Duration::from_millis(50);
        let backoff = Exponential::new(floor, Duration::from_secs(5)).unwrap_or_default().with_floor(floor);
        Self { backoff, random: fastrand::Rng::new(), tries: 0 }
    }

    async fn wait(&mut self) {
        self.tries = self.tries.saturating_add(1);
        sleep(self.backoff.delay(self.tries, Duration::ZERO, &mut self.random)).await;
    }
}
