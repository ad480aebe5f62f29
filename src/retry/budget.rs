use super::{Allowance, Fund, account::Account, fund::Borrowed};
use std::{fmt, sync::Arc};
use tokio::time::Instant;

/// What a repeat after a timeout costs: the other side may still be working on the attempt before.
pub(super) const TIMEOUT_COST: u32 = 2;

/// How many retries may still be made. Clones are the same budget: make it first and hand it to every layer that shares it.
///
/// It is paid into by successes, so that it runs dry when nothing succeeds any more: a budget funded by *requests* feeds the
/// overload that it should end.
///
/// ```
/// use steadfast::retry::{Allowance, Budget};
///
/// let budget = Budget::new(Allowance::new().with_start(1).without_trickle());
/// let permit = budget.withdraw(1).ok_or("empty")?;
/// assert!(budget.withdraw(1).is_none());
/// drop(permit); // the attempt never started
/// budget.withdraw(1).ok_or("empty")?.spend();
/// assert_eq!(budget.left(), 0);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

enum Shared {
    Own { account: Account, made: Instant },
    Borrowed(Borrowed),
}

impl Budget {
    /// A new budget, with what `allowance` starts with.
    pub fn new(allowance: Allowance) -> Self {
        Self { shared: Arc::new(Shared::Own { account: Account::new(allowance), made: Instant::now() }) }
    }

    /// Retries that come from elsewhere. [`left`](Self::left) is 0, since a fund does not say.
    pub fn from_fund(fund: impl Fund) -> Self {
        Self { shared: Arc::new(Shared::Borrowed(Borrowed::new(fund))) }
    }

    /// A success pays its share in.
    pub fn deposit(&self) {
        match &*self.shared {
            Shared::Own { account, .. } => account.deposit(),
            Shared::Borrowed(borrowed) => borrowed.deposit(),
        }
    }

    /// Takes `cost` retries out until the [`Permit`] is spent or dropped. `None`: there are not so many.
    pub fn withdraw(&self, cost: u32) -> Option<Permit> {
        let taken = match &*self.shared {
            Shared::Own { account, made } => account.withdraw(cost, made.elapsed()),
            Shared::Borrowed(borrowed) => borrowed.withdraw(cost),
        };
        taken.then(|| Permit { refund: Some(self.clone()), cost })
    }

    /// Whole retries that are left.
    pub fn left(&self) -> u64 {
        self.known().unwrap_or(0)
    }

    /// `None`: only the fund knows.
    pub(super) fn known(&self) -> Option<u64> {
        match &*self.shared {
            Shared::Own { account, .. } => Some(account.left()),
            Shared::Borrowed(_) => None,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Allowance::new())
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("left", &self.known()).finish_non_exhaustive()
    }
}

/// Retries that were taken out of a [`Budget`]; dropped before it is spent, it gives them back.
#[derive(Debug)]
#[must_use = "dropping it gives the retries back"]
pub struct Permit {
    refund: Option<Budget>,
    cost: u32,
}

impl Permit {
    /// The attempt starts: nothing is given back any more.
    pub fn spend(mut self) {
        self.refund = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(budget) = self.refund.take() {
            match &*budget.shared {
                Shared::Own { account, .. } => account.refund(self.cost),
                Shared::Borrowed(borrowed) => borrowed.refund(self.cost),
            }
        }
    }
}
