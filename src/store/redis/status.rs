use super::link::Link;
use crate::registry::{Entry, Value};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What the registry shows of a store.
pub(super) struct Status {
    pub(super) name: Box<str>,
    pub(super) link: Arc<dyn Link>,
    /// Whether the server may remove what has not expired; `None`: it was not asked.
    pub(super) evicts: Option<bool>,
    pub(super) commands: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Status {
    pub(super) fn new(name: impl Into<Box<str>>, link: Arc<dyn Link>, evicts: Option<bool>) -> Self {
        Self { name: name.into(), link, evicts, commands: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }
}

impl Entry for Status {
    fn kind(&self) -> &'static str {
        "store"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        let mut state = vec![
            ("commands", self.commands.load(Relaxed).into()),
            ("failed", self.failed.load(Relaxed).into()),
            ("replaced", self.link.replaced().into()),
        ];
        state.extend(self.evicts.map(|evicts| ("evicts", evicts.into())));
        state
    }
}
