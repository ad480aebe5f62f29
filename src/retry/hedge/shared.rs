use super::delay::Delay;
use crate::{
    body::Caps,
    registry::{Entry, Value, registry},
    retry::Budgets,
};
use std::sync::Arc;

/// What all clones of a layer and all services that it makes share, behind one `Arc`.
pub(super) struct Shared<C, R> {
    // each behind an `Arc` of its own, so that a setter asks none of them to be `Clone`
    pub(super) classify: Arc<C>,
    pub(super) replay: Arc<R>,
    pub(super) settings: Settings,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) listed: Arc<Listed>,
    pub(super) caps: Caps,
    /// Whether a success is paid in although a retry layer above does so too: into its own budget, then.
    pub(super) deposits: bool,
}

/// What the registry lists.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: Arc<str>,
    pub(super) budgets: Budgets,
    pub(super) delay: Arc<Delay>,
}

impl Listed {
    pub(super) fn new(name: Arc<str>, budgets: Budgets, delay: Arc<Delay>) -> Arc<Self> {
        let listed = Arc::new(Self { name, budgets, delay });
        registry().add(&listed);
        listed
    }
}

impl Entry for Listed {
    fn kind(&self) -> &'static str {
        "hedge"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        let delay = u64::try_from(self.delay.now().as_millis()).unwrap_or(u64::MAX);
        let left = self.budgets.least_left().map(|left| ("budget_left", left.into()));
        left.into_iter().chain([("delay_ms", delay.into())]).collect()
    }
}

impl<C, R> Clone for Shared<C, R> {
    fn clone(&self) -> Self {
        Self { classify: self.classify.clone(), replay: self.replay.clone(), settings: self.settings.clone() }
    }
}
