use super::{Snapshot, Value};
use std::{
    any::Any,
    fmt,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

/// Something with a name and a state.
pub trait Entry: Any + Send + Sync {
    /// What it is, in one word.
    fn kind(&self) -> &'static str;
    /// The name that it was given.
    fn name(&self) -> &str;
    /// Its state at this moment. Asking changes nothing and must not wait.
    fn state(&self) -> Vec<(&'static str, Value)>;
}

const _: Option<&dyn Entry> = None;

/// A list of [`Entry`]s that holds none of them alive. Clones are the same list.
#[derive(Clone, Default)]
pub struct Registry {
    entries: Arc<Mutex<Vec<Weak<dyn Entry>>>>,
}

/// The registry of the process.
pub fn registry() -> &'static Registry {
    static PROCESS: LazyLock<Registry> = LazyLock::new(Registry::new);
    &PROCESS
}

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists `entry` for as long as somebody else holds it. Adding it twice lists it once.
    pub fn add<E: Entry>(&self, entry: &Arc<E>) {
        let entry: Weak<dyn Entry> = Arc::downgrade(entry) as _;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // dropped ones go when the list would grow, so that adding is cheap on the whole
        if entries.len() == entries.capacity() {
            entries.retain(|e| e.strong_count() > 0);
        }
        if !entries.iter().any(|e| std::ptr::addr_eq(e.as_ptr(), entry.as_ptr())) {
            entries.push(entry);
        }
    }

    /// The entry of this type and name, if there is one; of several, the one that was added first. It is asked nothing.
    pub fn find<E: Entry>(&self, name: &str) -> Option<Arc<E>> {
        let entries: Vec<_> = {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.iter().filter_map(Weak::upgrade).collect()
        };
        // the lock is not held here either: the last owner of an entry may be the one above
        let mut named = entries.into_iter().filter(|entry| entry.name() == name);
        named.find_map(|entry| (entry as Arc<dyn Any + Send + Sync>).downcast().ok())
    }

    /// What each entry is at this moment, by kind and name.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        // the lock is not held while entries are asked
        let entries: Vec<_> = {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.iter().filter_map(Weak::upgrade).collect()
        };
        let mut all: Vec<_> =
            entries.iter().map(|e| Snapshot { kind: e.kind(), name: e.name().to_owned(), state: e.state() }).collect();
        all.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        all
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.entries.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Registry").field("entries", &n).finish()
    }
}
