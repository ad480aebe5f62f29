use crate::registry::{Entry, Value};
use sqlx::PgPool;
use std::sync::Arc;

/// What the registry shows of a store.
pub(super) struct Status {
    pub(super) name: Arc<str>,
    pub(super) pool: PgPool,
}

impl Entry for Status {
    fn kind(&self) -> &'static str {
        "store"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        let idle = u64::try_from(self.pool.num_idle()).unwrap_or(u64::MAX);
        vec![("connections", u64::from(self.pool.size()).into()), ("idle", idle.into())]
    }
}
