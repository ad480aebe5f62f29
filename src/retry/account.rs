use super::Allowance;
use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// The balance of a budget, in whole millionths of a retry: shares of a success add up exactly. Pure: it is told the time.
#[derive(Debug)]
pub(super) struct Account {
    allowance: Allowance,
    /// What a success pays, and up to which balance.
    share: i64,
    most: i64,
    balance: AtomicI64,
    /// Nanoseconds since the account was made, up to which the trickle is paid.
    paid_until: AtomicU64,
}

/// One retry, in the unit of the balance.
const RETRY: i64 = 1_000_000;

impl Account {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            share: allowance.share(),
            most: whole(allowance.most.max(allowance.start)),
            balance: AtomicI64::new(whole(allowance.start)),
            paid_until: AtomicU64::new(0),
        }
    }

    /// A success pays its share in. At the limit nothing is written: healthy callers do not contend.
    pub(super) fn deposit(&self) {
        let paid = |balance: i64| (balance < self.most).then(|| (balance + self.share).min(self.most));
        _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid);
    }

    /// Takes `retries`, if the balance is as high. `now`: since the account was made.
    pub(super) fn withdraw(&self, retries: u32, now: Duration) -> bool {
        self.trickle(now);
        let cost = whole(retries);
        let taken = |balance: i64| (balance >= cost).then(|| balance - cost);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    /// Gives back what [`withdraw`](Self::withdraw) took, as far as there is room: others may have paid in since.
    pub(super) fn refund(&self, retries: u32) {
        let given = |balance: i64| Some(balance.saturating_add(whole(retries)).min(self.most));
        _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, given);
    }

    /// Whole retries that could be made now, the trickle since the last one apart.
    pub(super) fn left(&self) -> u64 {
        u64::try_from(self.balance.load(Ordering::Relaxed) / RETRY).unwrap_or(0)
    }

    /// Pays for the time that went by, up to the reserve: one division, however long it was.
    fn trickle(&self, now: Duration) {
        let Some(every) = self.allowance.trickle else { return };
        let every = every.as_nanos();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let since = self.paid_until.load(Ordering::Relaxed);
        let earned = u128::from(now.saturating_sub(since)) * u128::from(RETRY.unsigned_abs()) / every;
        if earned == 0 {
            return;
        }
        // what is less than a millionth stays to be paid
        let paid = u64::try_from(earned * every / u128::from(RETRY.unsigned_abs())).unwrap_or(u64::MAX);
        let until = since.saturating_add(paid);
        if self.paid_until.compare_exchange(since, until, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return; // somebody else pays for the same time
        }
        let reserve = whole(self.allowance.start.max(super::budget::TIMEOUT_COST)).min(self.most);
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        let paid = |balance: i64| (balance < reserve).then(|| balance.saturating_add(earned).min(reserve));
        _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid);
    }
}

fn whole(retries: u32) -> i64 {
    i64::from(retries) * RETRY
}

#[cfg(test)]
mod tests;
