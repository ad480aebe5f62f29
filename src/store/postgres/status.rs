use super::connections::Connections;
use crate::registry::{Entry, Value};
use std::sync::Arc;

/// What the registry shows of a store.
pub(super) struct Status {
    pub(super) name: Arc<str>,
    pub(super) connections: Connections,
}

impl Entry for Status {
    fn kind(&self) -> &'static str {
        "store"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        let Connections { pool, shared, .. } = &self.connections;
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX).into();
        vec![
            ("connections", u64::from(pool.size()).into()),
            ("idle", count(pool.num_idle())),
            ("waiting", count(shared.admission.waiting())),
        ]
    }
}
