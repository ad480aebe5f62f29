//! Claims whose handler never ran and never will: given back to the store until it is certain that they are gone.

use super::{Fence, Token, layer::Shared, ledger::within, pause::Pause};
use crate::{attempt::deadline_after, error::StoreError};
use std::{
    collections::{BTreeMap, HashSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// As many as are remembered; one more lapses like the claim of a process that died.
const MOST: usize = 10_000;
/// The first look after the first release; each one after it is as far away as the claim was given up then.
const SOON: Duration = Duration::from_millis(50);

/// One task gives all of them back: a store that comes back is not met by one from each request that it failed.
#[derive(Default)]
pub(super) struct GivenUp {
    list: Mutex<List>,
    more: Notify,
}

#[derive(Default)]
struct List {
    /// By the moment at which it is to be released next, and its token.
    due: BTreeMap<(Instant, [u8; 16]), Claimed>,
    tokens: HashSet<Token>,
    is_at_work: bool,
}

#[derive(Clone, Copy)]
struct Claimed {
    fence: Fence,
    since: Instant,
    /// What claims it may be on its way to the store until then: released before, it may come back.
    until: Instant,
}

/// Where its runtime goes away in the middle, the next task begins anew.
struct AtWork<'a>(&'a GivenUp);

impl GivenUp {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the claim of this token was given up: its handler never ran.
    pub(super) fn has(&self, token: Token) -> bool {
        self.list().tokens.contains(&token)
    }

    /// Gives `fence` back, again and again for `may_come`, and then until the store has answered once more.
    pub(super) fn add(&self, shared: &Arc<Shared>, fence: Fence, may_come: Duration) {
        let mut list = self.list();
        if list.tokens.len() >= MOST || !list.tokens.insert(fence.token) {
            return;
        }
        let (since, until) = (Instant::now(), deadline_after(may_come));
        list.due.insert((since, fence.token.0), Claimed { fence, since, until });
        let begins = !mem::replace(&mut list.is_at_work, true);
        drop(list);
        self.more.notify_one();
        if begins {
            let task = shared.clone();
            shared.state.tasks.spawn(async move { task.state.given_up.give_back(&task).await });
        }
    }

    async fn give_back(&self, shared: &Shared) {
        let at_work = AtWork(self);
        let mut pause = Pause::default();
        while let Some((due, claimed)) = self.next() {
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                let _ = timeout(wait, self.more.notified()).await;
                continue;
            }
            let released = within(shared.config.hold, shared.store.release(claimed.fence)).await;
            let now = Instant::now();
            // one that cannot be read is no claim of ours, and never will be
            let nothing_is_left = released.as_ref().is_err_and(StoreError::is_unreadable);
            if nothing_is_left {
                self.moved(due, claimed, None);
            } else if released.is_err() {
                pause.wait().await;
                // behind the others: what is wrong with one need not be so with all
                self.moved(due, claimed, Some(Instant::now()));
            } else if now >= claimed.until {
                self.moved(due, claimed, None);
            } else {
                pause = Pause::default();
                let next = now + (now - claimed.since).max(SOON);
                self.moved(due, claimed, Some(next.min(claimed.until)));
            }
        }
        // `next` has said so already, and another may have begun since
        mem::forget(at_work);
    }

    /// The one that is due first. `None`: there is none, and from here on nobody is at work.
    fn next(&self) -> Option<(Instant, Claimed)> {
        let mut list = self.list();
        let next = list.due.first_key_value().map(|((due, _), claimed)| (*due, *claimed));
        list.is_at_work = next.is_some();
        next
    }

    /// From `due` to another moment, or away.
    fn moved(&self, due: Instant, claimed: Claimed, to: Option<Instant>) {
        let mut list = self.list();
        list.due.remove(&(due, claimed.fence.token.0));
        match to {
            Some(to) => drop(list.due.insert((to, claimed.fence.token.0), claimed)),
            None => drop(list.tokens.remove(&claimed.fence.token)),
        }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.list().is_at_work = false;
    }
}
