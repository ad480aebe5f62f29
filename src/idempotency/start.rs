//! From a request that is whole to a claim, or to an answer without one: the store is asked, the owner waited for, and where
//! nobody knows how a run ended, that is found out.

use super::{
    Begin, Begun, InFlight, OnUnknown, Recover, Recovered, StoredResponse, Unknown,
    caller::Caller,
    ledger::Ledger,
    pause::Pause,
    refusal::{Refusal, Said},
    runs::Waits,
};
use crate::{attempt::deadline_after, error::StoreError, panic::Caught, telemetry::event};
use std::{
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};

/// How often another process is asked whether it is done, at least.
const SELDOM: Duration = Duration::from_secs(1);

/// What comes of a keyed request at first.
pub(super) enum Start {
    /// The key is claimed, for so many a time: the handler runs.
    Run(u32),
    /// The key is claimed, and what an earlier run came to was found out: to be recorded.
    Record(StoredResponse),
    /// The store is down, and the handler runs all the same, as this attempt.
    Open(u32),
    /// The handler does not run, and the caller gets this.
    Say(Said),
}

impl Ledger {
    /// `unknown`: what a hook is told, with the token and the attempt that lapsed.
    pub(super) async fn start<B, E>(
        &self,
        begin: Begin,
        caller: &mut Caller<B, E>,
        unknown: impl Fn(&Begin) -> Unknown,
    ) -> Start {
        let start = self.claim(begin, caller, unknown).await;
        if matches!(start, Start::Open(_) | Start::Say(_)) {
            self.give_back();
        }
        start
    }

    async fn claim<B, E>(
        &self,
        mut begin: Begin,
        caller: &mut Caller<B, E>,
        unknown: impl Fn(&Begin) -> Unknown,
    ) -> Start {
        let no = |refusal| Start::Say(Said::No(refusal));
        let state = &self.shared.state;
        let mut wait = None;
        let mut found = None;
        let mut earlier = 0;
        loop {
            match self.begin(begin).await {
                Ok(Begun::Acquired { attempt }) => {
                    if self.shared.config.tracks_runs() {
                        state.runs.enter(self.fence);
                    }
                    return found.map_or(Start::Run(attempt), Start::Record);
                }
                Ok(Begun::InFlight { .. }) => {
                    // it may have been at work until now, finding out
                    self.leave();
                    if !self.look_again(&mut wait, caller).await {
                        return no(Refusal::InFlight);
                    }
                }
                // its handler never ran, as this process knows
                Ok(Begun::Lapsed { stale, .. }) if state.given_up.has(stale) => begin.take_over = Some(stale),
                Ok(Begun::Lapsed { stale, attempt }) => match &self.shared.config.on_unknown {
                    OnUnknown::Fail => return no(Refusal::Unknown),
                    OnUnknown::Rerun => {
                        self.continues();
                        earlier = attempt;
                        begin.take_over = Some(stale);
                    }
                    // somebody here is finding out already, or that run is not over
                    OnUnknown::Ask(_) if !state.runs.try_enter(self.fence) => {
                        if !self.look_again(&mut wait, caller).await {
                            return no(Refusal::InFlight);
                        }
                    }
                    OnUnknown::Ask(hook) => {
                        let unknown = Unknown { attempt, stale, ..unknown(&begin) };
                        match Box::pin(self.ask(&**hook, unknown)).await {
                            Recovered::Done(answer) => found = Some(answer),
                            Recovered::NotDone => {}
                            Recovered::Unknown => return no(Refusal::Unknown),
                        }
                        self.continues();
                        earlier = attempt;
                        begin.take_over = Some(stale);
                    }
                },
                Ok(Begun::Mismatch) => return no(Refusal::Mismatch),
                Ok(Begun::Completed(recorded)) => return Start::Say(self.again(recorded)),
                Err(error) if error.is_unreadable() => return Start::Say(self.unreadable(&error)),
                Err(error) => return self.store_is_down(&error, earlier, found),
            }
        }
    }

    /// What the hook says, in time.
    async fn ask(&self, hook: &dyn Recover, unknown: Unknown) -> Recovered {
        let name = &*self.shared.state.name;
        let asked = Caught::new(async { hook.recover(unknown).await });
        let Ok(said) = timeout(self.shared.config.lease(), asked).await else {
            event!(WARN, "the hook that recovers took longer than a lease", name = name);
            return Recovered::Unknown;
        };
        said.unwrap_or_else(|_panic| {
            event!(ERROR, "the hook that recovers panicked", name = name);
            Recovered::Unknown
        })
    }

    /// `earlier`: how many attempts there were, as far as the store reported; `found`: what they came to, as a hook has found out.
    fn store_is_down(&self, error: &StoreError, earlier: u32, found: Option<StoredResponse>) -> Start {
        let name = &*self.shared.state.name;
        match found {
            // what was done is not done again, with or without a record
            Some(found) if self.shared.config.fail_open => return Start::Say(Said::Again(found.cleaned())),
            _ if self.shared.config.fail_open => {
                event!(WARN, "idempotency store down at begin: run without a claim", name = name, error = error.what());
                return Start::Open(earlier.saturating_add(1));
            }
            _ => {}
        }
        event!(WARN, "idempotency store down at begin: refused", name = name, error = error.what());
        Start::Say(Said::No(Refusal::StoreDown))
    }

    /// Somebody else has the key. `true`: it is worth another look.
    async fn look_again<'a, B, E>(&'a self, wait: &mut Option<Wait<'a>>, caller: &mut Caller<B, E>) -> bool {
        if wait.is_none() {
            *wait = self.wait();
        }
        match wait {
            Some(wait) => Box::pin(wait.look_again(self, caller)).await,
            None => false,
        }
    }

    /// `None`: this one does not wait.
    fn wait(&self) -> Option<Wait<'_>> {
        let InFlight::Wait { at_most } = self.shared.config.in_flight else { return None };
        let counted = self.shared.state.runs.wait(self.shared.config.max_waiting)?;
        Some(Wait { until: deadline_after(at_most), pause: Pause::up_to(SELDOM), _counted: counted })
    }
}

/// A request that waits for the answer of another.
struct Wait<'a> {
    until: Instant,
    pause: Pause,
    _counted: Waits<'a>,
}

impl Wait<'_> {
    /// Until it is worth another look. `false`: time is over, or the caller is gone.
    async fn look_again<B, E>(&mut self, ledger: &Ledger, caller: &mut Caller<B, E>) -> bool {
        let now = Instant::now();
        if now >= self.until {
            return false;
        }
        // in this process, its end is told; in another one it is not
        let mut end = ledger.shared.state.runs.end(ledger.fence.key);
        let next = if end.is_some() { self.until } else { self.until.min(now + self.pause.next()) };
        let mut ended = pin!(async {
            match &mut end {
                Some(end) => drop(end.changed().await),
                None => pending().await,
            }
        });
        let mut time = pin!(sleep_until(next));
        poll_fn(|cx| {
            if caller.poll_left(cx).is_ready() {
                return Poll::Ready(false);
            }
            let is_due = ended.as_mut().poll(cx).is_ready() || time.as_mut().poll(cx).is_ready();
            if is_due { Poll::Ready(true) } else { Poll::Pending }
        })
        .await
    }
}
