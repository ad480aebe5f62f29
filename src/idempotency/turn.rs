//! The wait for the inner service, once the key is claimed: the readiness that came with the request was given back if the
//! request had to wait for its body, its store or another request.

use super::{
    Claim, Fenced,
    caller::{Caller, Reply},
    ledger::Ledger,
    refusal::Refusal,
    state::result,
};
use crate::{
    panic::{Panic, caught},
    readied::Readied,
};
use std::{future::poll_fn, task::Poll};
use tokio::time::Instant;
use tower_service::Service;

/// Why the handler does not run.
pub(super) enum NoTurn<E> {
    /// Its readiness failed.
    Failed(E),
    Panicked(Panic),
    /// The caller left before there was a place.
    Left,
}

/// Waits until `inner` can be called, and reports for how long, if it waited.
pub(super) async fn turn<S, R, B>(
    inner: &mut Readied<S>,
    caller: &mut Caller<B, S::Error>,
) -> Result<Option<Instant>, NoTurn<S::Error>>
where
    S: Service<R>,
{
    let mut since = None;
    let ready = poll_fn(|cx| match caught(|| inner.poll_ready(cx)) {
        Ok(Poll::Ready(ready)) => Poll::Ready(ready.map_err(NoTurn::Failed)),
        Err(payload) => Poll::Ready(Err(NoTurn::Panicked(payload))),
        Ok(Poll::Pending) => {
            since.get_or_insert_with(Instant::now);
            caller.poll_left(cx).map(|()| Err(NoTurn::Left))
        }
    });
    ready.await.map(|()| since)
}

impl<E> NoTurn<E> {
    /// The caller's part of it.
    pub(super) fn reply<B>(self, caller: Caller<B, E>) {
        match self {
            Self::Failed(error) => caller.reply(Reply::Result(Err(error))),
            Self::Panicked(payload) => caller.reply(Reply::Panic(payload)),
            Self::Left => {}
        }
    }
}

impl Ledger {
    /// The key is claimed, and its handler was not called. It is free for the next request, then the caller gets the reply.
    ///
    /// A claim that was taken over from a run of unknown outcome lapses instead: its next run has to know of that one.
    pub(super) async fn not_begun<B, E>(&self, why: NoTurn<E>, caller: Caller<B, E>) {
        if self.free().await == Some(Fenced::Lost) {
            self.shared.state.count(result::LEASE_LOST);
            return caller.say(self.owners_answer().await);
        }
        if !matches!(why, NoTurn::Left) {
            self.shared.state.count(result::FIRST);
        }
        why.reply(caller);
    }

    /// Whether the claim still holds after a wait since `since`. `false`: the caller has its answer.
    ///
    /// Another process may have taken the claim over, where this one was stopped or cut off from its store for longer than a
    /// lease. A wait that is shorter than the time to the first renewal needs no look.
    pub(super) async fn still_holds<B, E>(
        &self,
        claim: &Claim,
        since: Instant,
        caller: Caller<B, E>,
    ) -> Option<Caller<B, E>> {
        if !claim.is_lost() && since.elapsed() < self.shared.config.lease() / 3 {
            return Some(caller);
        }
        match self.renewed().await {
            Ok(Fenced::Done) => return Some(caller),
            Ok(Fenced::Already | Fenced::Lost) => {
                self.shared.state.count(result::LEASE_LOST);
                caller.say(self.owners_answer().await);
            }
            Err(_) => {
                self.shared.state.count_refusal(Refusal::StoreDown);
                caller.refuse(Refusal::StoreDown);
            }
        }
        None
    }
}
