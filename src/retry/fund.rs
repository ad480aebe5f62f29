use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// Where a [`Budget`](super::Budget) has its retries from, if not from an [`Allowance`](super::Allowance): one that another
/// library keeps, or that a whole fleet shares.
///
/// The law: both methods answer at once. What was withdrawn and not spent is not given back to the fund, which may have no way
/// to take it; the budget keeps it and withdraws it again before it asks the fund.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use steadfast::retry::{Budget, Fund};
///
/// /// So many, and no more.
/// struct Purse(AtomicU32);
/// impl Fund for Purse {
///     fn deposit(&self) {}
///     fn withdraw(&self) -> bool {
///         self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
///     }
/// }
/// let budget = Budget::from_fund(Purse(AtomicU32::new(1)));
/// drop(budget.withdraw(1).ok_or("empty")?); // the attempt never started
/// budget.withdraw(1).ok_or("empty")?.spend();
/// assert!(budget.withdraw(1).is_none());
/// # Ok::<(), &str>(())
/// ```
pub trait Fund: Send + Sync + 'static {
    /// A call succeeded.
    fn deposit(&self);

    /// Takes one retry out. `false`: there is none.
    fn withdraw(&self) -> bool;
}

/// A fund, and what was taken out of it and not used.
pub(super) struct Borrowed {
    fund: Box<dyn Fund>,
    unused: AtomicU32,
}

impl Borrowed {
    pub(super) fn new(fund: impl Fund) -> Self {
        Self { fund: Box::new(fund), unused: AtomicU32::new(0) }
    }

    pub(super) fn deposit(&self) {
        self.fund.deposit();
    }

    /// All of them, or none.
    pub(super) fn withdraw(&self, retries: u32) -> bool {
        let mut taken = Taken { of: self, retries: 0 };
        while taken.retries < retries {
            let unused = self.unused.fetch_update(Relaxed, Relaxed, |unused| unused.checked_sub(1)).is_ok();
            if !unused && !self.fund.withdraw() {
                return false;
            }
            taken.retries += 1;
        }
        taken.retries = 0;
        true
    }

    pub(super) fn refund(&self, retries: u32) {
        self.unused.fetch_add(retries, Relaxed);
    }
}

/// What is refunded unless all of it was withdrawn, also where the fund panics.
struct Taken<'a> {
    of: &'a Borrowed,
    retries: u32,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.of.refund(self.retries);
    }
}

impl fmt::Debug for Borrowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borrowed").field("unused", &self.unused).finish_non_exhaustive()
    }
}
