use super::{Allowance, Budget};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// Which budget a call is charged to: one for all, one for each authority, or none.
#[derive(Clone, Default)]
pub struct Budgets {
    kind: Kind,
}

#[derive(Clone, Default)]
enum Kind {
    #[default]
    None,
    One(Budget),
    Keyed(Arc<Keyed>),
}

struct Keyed {
    allowance: Allowance,
    by_authority: RwLock<HashMap<Box<str>, Budget>>,
    /// For requests without an authority, and for those beyond the limit.
    rest: Budget,
}

impl Budgets {
    /// As many authorities have a budget of their own; all further ones share one, so that the map cannot grow for ever.
    pub const AUTHORITIES: usize = 1024;

    /// No limit but the policy's.
    pub const fn none() -> Self {
        Self { kind: Kind::None }
    }

    /// One for each authority (`example.com:8080`), made when it is first called: a dead one does not use up the retries of
    /// the others. Looking it up takes a read lock on every call.
    pub fn per_authority(allowance: Allowance) -> Self {
        let keyed = Keyed { allowance, by_authority: RwLock::default(), rest: Budget::new(allowance) };
        Self { kind: Kind::Keyed(Arc::new(keyed)) }
    }

    /// The budget of this authority, if there are budgets.
    pub fn of(&self, authority: Option<&str>) -> Option<Budget> {
        match &self.kind {
            Kind::None => None,
            Kind::One(budget) => Some(budget.clone()),
            Kind::Keyed(keyed) => Some(keyed.of(authority)),
        }
    }

    /// The one for all, without looking anything up.
    pub(super) const fn one(&self) -> Option<&Budget> {
        match &self.kind {
            Kind::One(budget) => Some(budget),
            _ => None,
        }
    }

    /// A success pays in: to the call's own budget, or to the one for all.
    #[inline]
    pub(super) fn deposit(&self, keyed: Option<&Budget>) {
        match &self.kind {
            Kind::None => {}
            Kind::One(budget) => budget.deposit(),
            Kind::Keyed(_) => keyed.into_iter().for_each(Budget::deposit),
        }
    }

    pub(super) const fn is_keyed(&self) -> bool {
        matches!(self.kind, Kind::Keyed(_))
    }

    /// Retries that are left: of the one budget, or of the one that has least. `None`: without a limit.
    pub(super) fn least_left(&self) -> Option<u64> {
        match &self.kind {
            Kind::None => None,
            Kind::One(budget) => budget.known(),
            Kind::Keyed(keyed) => {
                let map = keyed.by_authority.read().unwrap_or_else(PoisonError::into_inner);
                map.values().chain([&keyed.rest]).map(Budget::left).min()
            }
        }
    }
}

impl Keyed {
    fn of(&self, authority: Option<&str>) -> Budget {
        let Some(authority) = authority else { return self.rest.clone() };
        if let Some(budget) = self.by_authority.read().unwrap_or_else(PoisonError::into_inner).get(authority) {
            return budget.clone();
        }
        let mut map = self.by_authority.write().unwrap_or_else(PoisonError::into_inner);
        // another call may have made it in the meantime
        if map.len() >= Budgets::AUTHORITIES && !map.contains_key(authority) {
            return self.rest.clone();
        }
        map.entry(authority.into()).or_insert_with(|| Budget::new(self.allowance)).clone()
    }
}

impl From<Budget> for Budgets {
    fn from(budget: Budget) -> Self {
        Self { kind: Kind::One(budget) }
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgets").field("keyed", &self.is_keyed()).field("least_left", &self.least_left()).finish()
    }
}
