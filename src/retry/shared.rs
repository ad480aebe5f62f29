use super::Budgets;
use crate::{
    backoff::Random,
    body::Caps,
    registry::{Entry, Value, registry},
};
use http::HeaderName;
use std::{fmt, sync::Arc};

/// What all clones of a layer and all services that it makes share, behind one `Arc`.
#[derive(Debug)]
pub(super) struct Shared<P, C, R> {
    pub(super) strategies: Arc<Strategies<P, C, R>>,
    pub(super) settings: Settings,
}

// Apart, so that a setter can replace the settings without asking any strategy to be `Clone`.
pub(super) struct Strategies<P, C, R> {
    pub(super) policy: P,
    pub(super) classify: C,
    pub(super) replay: R,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) listed: Arc<Listed>,
    pub(super) caps: Caps,
    /// In place of the policy's number, for one service and its clones.
    pub(super) max_retries: Option<u32>,
    pub(super) random: Arc<Random>,
    /// The header in which the other side says that it has repeated it already.
    pub(super) marker: Option<HeaderName>,
}

/// What the registry lists.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: Arc<str>,
    pub(super) budgets: Budgets,
}

impl Listed {
    pub(super) fn new(name: Arc<str>, budgets: Budgets) -> Arc<Self> {
        let listed = Arc::new(Self { name, budgets });
        registry().add(&listed);
        listed
    }
}

impl Entry for Listed {
    fn kind(&self) -> &'static str {
        "retry"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        let left = self.budgets.least_left();
        left.map(|left| ("budget_left", left.into())).into_iter().collect()
    }
}

impl<P, C, R> Clone for Shared<P, C, R> {
    fn clone(&self) -> Self {
        Self { strategies: self.strategies.clone(), settings: self.settings.clone() }
    }
}

impl<P, C, R> fmt::Debug for Strategies<P, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strategies").finish_non_exhaustive()
    }
}
