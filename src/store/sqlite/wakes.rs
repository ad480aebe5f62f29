use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// Who waits for which queue, in this process.
#[derive(Default)]
pub(super) struct Wakes(Mutex<HashMap<Box<str>, Arc<Notify>>>);

impl Wakes {
    pub(super) fn of(&self, queue: &str) -> Arc<Notify> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = all.get(queue) {
            return notify.clone();
        }
        all.entry(queue.into()).or_default().clone()
    }
}
