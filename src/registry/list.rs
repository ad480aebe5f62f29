use super::{
    Snapshot, Value,
    shard::{Shard, address},
};
use std::{
    any::Any,
    fmt,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
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
///
/// Adding one is little work, however many there are. No method of an entry is called, and none is dropped, while a lock is held.
#[derive(Clone, Default)]
pub struct Registry {
    list: Arc<List>,
}

#[derive(Default)]
struct List {
    shards: [Mutex<Shard>; SHARDS],
    /// How many were added: entries are in this order.
    added: AtomicU64,
}

/// Each has its own lock.
const SHARDS: usize = 32;

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

    /// Lists `entry` until it is dropped; the registry holds a [`Weak`]. Adding it twice lists it once.
    pub fn add<E: Entry>(&self, entry: &Arc<E>) {
        let number = self.list.added.fetch_add(1, Ordering::Relaxed);
        let entry: Weak<dyn Entry> = Arc::downgrade(entry) as _;
        lock(&self.list.shards[shard_of(address(&entry))]).add(number, entry);
        // One shard after the other, whichever the entry is in: an allocator gives memory that was just freed to the next entry,
        // so that many in a row may be in one shard.
        let next = usize::try_from(number % SHARDS as u64).unwrap_or(0);
        lock(&self.list.shards[next]).sweep();
    }

    /// Returns the entry of this type and name, if there is one; of several, the one that was added first. Only its name is asked
    /// for.
    pub fn find<E: Entry>(&self, name: &str) -> Option<Arc<E>> {
        let of_type = |(number, entry)| Some((number, (entry as Arc<dyn Any + Send + Sync>).downcast::<E>().ok()?));
        let named = self.entries().into_iter().filter_map(of_type).filter(|(_, entry)| entry.name() == name);
        named.min_by_key(|(number, _)| *number).map(|(_, first)| first)
    }

    /// Returns the state of each entry at this moment, by kind and name; entries of one name are in the order in which they were
    /// added.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        let mut entries = self.entries();
        entries.sort_unstable_by_key(|(number, _)| *number);
        let of = |entry: &Arc<dyn Entry>| Snapshot {
            kind: entry.kind(),
            name: entry.name().to_owned(),
            state: entry.state(),
        };
        let mut all: Vec<_> = entries.iter().map(|(_, entry)| of(entry)).collect();
        all.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        all
    }

    /// All entries, with their numbers. No lock is held when they are asked or dropped: each may be the last owner of one.
    fn entries(&self) -> Vec<(u64, Arc<dyn Entry>)> {
        let mut entries = Vec::new();
        for shard in &self.list.shards {
            entries.extend(lock(shard).live());
        }
        entries
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Entries of one size lie at equal distances: their addresses are mixed.
fn shard_of(address: usize) -> usize {
    let mixed = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(mixed).unwrap_or(0) % SHARDS
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n: usize = self.list.shards.iter().map(|shard| lock(shard).len()).sum();
        f.debug_struct("Registry").field("entries", &n).finish()
    }
}
