//! What one keyed request asks of the store: each call under a time limit, repeated where it matters.

use super::{
    Begin, Begun, Fence, Fenced, IdempotencyStore, Recorded, StoredResponse, layer::Shared, pause::Pause,
    refusal::Refusal, refusal::Said,
};
use crate::{
    attempt::deadline_after,
    error::StoreError,
    telemetry::{Stopwatch, event, names, observe},
};
use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How many expired records a request removes from a store that has no room for it.
const ROOM: usize = 100;
/// How many times an answer is offered to a store that has no room for it, within about two seconds.
const FULL_TRIES: u32 = 5;

pub(super) struct Ledger {
    pub(super) shared: Arc<Shared>,
    pub(super) fence: Fence,
    /// A begin was not answered: it may have claimed the key, or may do so yet.
    unheard: AtomicBool,
    /// The claim is, or may be, taken over from a run of unknown outcome: freeing the key would hide that run.
    continues: AtomicBool,
}

/// The shortest lease: a claim with it lapses at once.
const LAPSES: Duration = Duration::from_millis(1);

/// What a call that waits no longer than `hold` came to.
type Heard = Option<Fenced>;

impl Ledger {
    pub(super) fn new(shared: Arc<Shared>, fence: Fence) -> Self {
        Self { shared, fence, unheard: AtomicBool::new(false), continues: AtomicBool::new(false) }
    }

    fn store(&self) -> &dyn IdempotencyStore {
        &*self.shared.store
    }

    /// Twice with the same token, so that a reply that was lost is no conflict with oneself.
    pub(super) async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let since = Stopwatch::start();
        let mut begun = self.try_begin(begin).await;
        if let Err(error) = &begun
            && (!error.is_full() || Box::pin(self.make_room()).await)
        {
            begun = self.try_begin(begin).await;
        }
        observe(names::IDEMPOTENCY_BEGIN, &self.shared.state.name, since.seconds());
        begun
    }

    async fn try_begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let begun = self.within_hold(self.store().begin(begin)).await;
        if begun.as_ref().is_err_and(|error| !error.is_refused() && !error.is_unreadable()) {
            self.unheard.store(true, Relaxed);
        }
        begun
    }

    /// Whether expired records were removed. Few, since a request waits: the sweep behind the next run goes on.
    async fn make_room(&self) -> bool {
        matches!(self.within_hold(self.store().sweep(ROOM)).await, Ok(swept) if swept > 0)
    }

    async fn within_hold<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        within(self.shared.config.hold, call).await
    }

    /// `answer` as it is to be stored. One that cannot be sealed is not kept in the open.
    pub(super) fn recorded(&self, answer: StoredResponse) -> Recorded {
        let Shared { seal, config, state, .. } = &*self.shared;
        seal.recorded(&self.fence.key, answer, config.response_limit).unwrap_or_else(|error| {
            event!(
                ERROR,
                "an answer could not be sealed and is not retained",
                name = &*state.name,
                error = error.what()
            );
            Recorded::NotRetained
        })
    }

    /// What is said where this is the record.
    pub(super) fn again(&self, recorded: Recorded) -> Said {
        let Recorded::Response(stored) = recorded else { return Said::No(Refusal::NotRetained) };
        match self.shared.seal.opened(&self.fence.key, stored) {
            Ok(answer) => Said::Again(answer),
            Err(error) => self.unreadable(&error),
        }
    }

    /// Something is there: what was done is not done again.
    pub(super) fn unreadable(&self, error: &StoreError) -> Said {
        let name = &*self.shared.state.name;
        event!(ERROR, "an idempotency record cannot be read: refused", name = name, error = error.what());
        Said::No(Refusal::Unreadable)
    }

    /// Records, waiting no longer than `hold`. `None`: not heard of yet.
    pub(super) async fn complete(&self, recorded: &Recorded) -> Heard {
        self.try_complete(recorded).await.ok()
    }

    async fn try_complete(&self, recorded: &Recorded) -> Result<Fenced, StoreError> {
        let since = Stopwatch::start();
        let complete = || self.store().complete(self.fence, recorded.clone(), self.shared.config.keep);
        let mut completed = self.within_hold(complete()).await;
        if completed.as_ref().is_err_and(StoreError::is_full) && Box::pin(self.make_room()).await {
            completed = self.within_hold(complete()).await;
        }
        observe(names::IDEMPOTENCY_COMPLETE, &self.shared.state.name, since.seconds());
        if completed.is_ok() {
            self.leave();
        }
        completed
    }

    /// Records, however long the store is away. Never given up, and the key never freed: the handler has run. An answer that does
    /// not fit into a full store is recorded as not retained: answers that wait for room would fill the memory of the process.
    pub(super) async fn complete_until_heard(&self, recorded: &Recorded) {
        event!(WARN, "idempotency store down at complete: recording later", name = &*self.shared.state.name);
        let (mut pause, mut full) = (Pause::default(), 0);
        loop {
            pause.wait().await;
            let mut completed = self.try_complete(recorded).await;
            full += u32::from(completed.as_ref().is_err_and(StoreError::is_full));
            if completed.is_err() && full >= FULL_TRIES {
                completed = self.try_complete(&Recorded::NotRetained).await;
            }
            match completed.ok() {
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

    /// Frees the key, waiting no longer than `hold`; where the store does not answer in time, it is told later.
    pub(super) async fn release(&self) -> Heard {
        let released = self.within_hold(self.store().release(self.fence)).await.ok();
        let heard = self.heard(released);
        if heard.is_none() {
            self.shared.state.given_up.add(&self.shared, self.fence);
        }
        heard
    }

    /// The claim is about to be taken over from a run of unknown outcome.
    pub(super) fn continues(&self) {
        self.continues.store(true, Relaxed);
    }

    /// Ends a claim whose handler executed nothing: frees the key. A claim that was taken over from a run of unknown outcome lapses
    /// instead, so that the next request finds an unknown outcome as well, and not a new key.
    pub(super) async fn free(&self) -> Heard {
        if !self.continues.load(Relaxed) {
            return self.release().await;
        }
        let lapsed = self.within_hold(self.store().renew(self.fence, LAPSES)).await.ok();
        self.heard(lapsed)
    }

    /// For a request whose handler does not run under this claim. The store may have the claim although its reply never came, or
    /// may get it yet: left there it would count as a run of unknown outcome, although nothing ran. A claim that was taken over from a
    /// run of unknown outcome is left there for that reason.
    pub(super) fn give_back(&self) {
        if self.unheard.load(Relaxed) && !self.continues.load(Relaxed) {
            self.shared.state.given_up.add(&self.shared, self.fence);
        }
    }

    /// The claim is over: who waits for it in this process looks again.
    fn heard(&self, heard: Heard) -> Heard {
        if heard.is_some() {
            self.leave();
        }
        heard
    }

    /// This process is not, or no longer, at work on the key.
    pub(super) fn leave(&self) {
        if self.shared.config.tracks_runs() {
            self.shared.state.runs.leave(self.fence);
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
        let until = deadline_after(self.shared.config.lease());
        let mut pause = Pause::default();
        while Instant::now() < until {
            match self.settled().await {
                Some(Fenced::Done) => {
                    self.release().await;
                    return;
                }
                Some(_) => return,
                None => pause.wait().await,
            }
        }
    }

    /// Renews the claim once, waiting no longer than `hold`.
    pub(super) async fn renewed(&self) -> Result<Fenced, StoreError> {
        self.within_hold(self.store().renew(self.fence, self.shared.config.lease())).await
    }

    /// Holds the claim for as long as it is polled, up to a ceiling; `lost` is told when this run can no longer count on it.
    pub(super) async fn renew(&self, lost: impl Fn()) -> Infallible {
        let lease = self.shared.config.lease();
        let until = deadline_after(self.shared.config.renew_for.max(lease));
        let mut holds_until = deadline_after(lease);
        let mut next = lease / 3;
        while Instant::now() + next < until {
            sleep(next).await;
            // by this side's clock from before the call on: by the store's it holds longer
            let renewed_until = deadline_after(lease);
            next = match timeout(lease / 3, self.store().renew(self.fence, lease)).await {
                Ok(Ok(Fenced::Done)) => {
                    holds_until = renewed_until;
                    lease / 3
                }
                Ok(Ok(Fenced::Already)) => pending().await,
                Ok(Ok(Fenced::Lost)) => {
                    event!(WARN, "idempotency claim lost while its handler runs", name = &*self.shared.state.name);
                    self.leave();
                    lost();
                    pending().await
                }
                // a lapsed claim that nobody took can still be renewed: never given up
                Ok(Err(_)) | Err(_) => {
                    if holds_until <= Instant::now() {
                        lost();
                    }
                    lease / 12
                }
            };
        }
        event!(WARN, "idempotency claim renewed no longer: its handler runs too long", name = &*self.shared.state.name);
        sleep_until(holds_until).await;
        lost();
        pending().await
    }

    /// For a caller whose own claim was lost: what the owner recorded, never what this run came to.
    pub(super) async fn owners_answer(&self) -> Said {
        match self.within_hold(self.store().get(self.fence.key)).await {
            Ok(Some(recorded)) => self.again(recorded),
            Ok(None) => Said::No(Refusal::InFlight),
            Err(error) if error.is_unreadable() => self.unreadable(&error),
            Err(_) => Said::No(Refusal::StoreDown),
        }
    }
}

/// What `call` came to, if that is soon.
pub(super) async fn within<T>(
    hold: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut call = pin!(call);
    // a store in memory has answered by now, and needs no timer
    match poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
        Poll::Ready(answer) => answer,
        Poll::Pending => timeout(hold, call).await.unwrap_or(Err(StoreError::new("the store did not answer in time"))),
    }
}
