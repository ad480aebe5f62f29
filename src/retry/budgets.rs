use super::{Allowance, Budget};
use crate::classify::{Origin, OriginKey};
use hashbrown::HashTable;
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, PoisonError, RwLock},
};

/// Which budget a call is charged to: one for all, one for each origin, or none.
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
    hasher: RandomState,
    by_origin: RwLock<HashTable<Charged>>,
    /// For requests without an origin, and for those beyond the limit.
    rest: Budget,
}

struct Charged {
    origin: OriginKey,
    hash: u64,
    budget: Budget,
}

impl Budgets {
    /// As many origins have a budget of their own; all further ones share one, so that the map cannot grow for ever.
    pub const ORIGINS: usize = 1024;

    /// No limit but the policy's.
    pub const fn none() -> Self {
        Self { kind: Kind::None }
    }

    /// Creates one budget for each origin (`https://example.com`), made when it is first called: an origin that is down does not
    /// use up the retries of the others. Looking it up takes a read lock on every call.
    pub fn per_origin(allowance: Allowance) -> Self {
        let rest = Budget::new(allowance);
        let keyed = Keyed { allowance, hasher: RandomState::new(), by_origin: RwLock::default(), rest };
        Self { kind: Kind::Keyed(Arc::new(keyed)) }
    }

    /// Returns the budget of this origin, if there are budgets. `None`: a request without an origin.
    pub fn of(&self, origin: Option<Origin<'_>>) -> Option<Budget> {
        match &self.kind {
            Kind::None => None,
            Kind::One(budget) => Some(budget.clone()),
            Kind::Keyed(keyed) => Some(keyed.of(origin)),
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
                let map = keyed.by_origin.read().unwrap_or_else(PoisonError::into_inner);
                map.iter().map(|charged| &charged.budget).chain([&keyed.rest]).map(Budget::left).min()
            }
        }
    }
}

impl Keyed {
    fn of(&self, origin: Option<Origin<'_>>) -> Budget {
        let Some(origin) = origin else { return self.rest.clone() };
        let hash = self.hasher.hash_one(origin);
        let found = |map: &HashTable<Charged>| {
            let charged = map.find(hash, |charged| charged.hash == hash && charged.origin.is(&origin))?;
            Some(charged.budget.clone())
        };
        if let Some(budget) = found(&self.by_origin.read().unwrap_or_else(PoisonError::into_inner)) {
            return budget;
        }
        let mut map = self.by_origin.write().unwrap_or_else(PoisonError::into_inner);
        // another call may have made it in the meantime
        if let Some(budget) = found(&map) {
            return budget;
        }
        if map.len() >= Budgets::ORIGINS {
            return self.rest.clone();
        }
        let budget = Budget::new(self.allowance);
        let charged = Charged { origin: OriginKey::new("", origin), hash, budget: budget.clone() };
        map.insert_unique(hash, charged, |charged| charged.hash);
        budget
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
