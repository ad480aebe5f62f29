use super::{
    Circuit, Config, State,
    shard::{Listed, Shard},
    telemetry::Series,
};
use crate::{
    classify::{Origin, OriginKey},
    registry::{Entry, Value},
};
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

/// One circuit for each key, up to a number. Whatever the number, a call does a bounded amount of work: a shard stays small, and
/// a new key looks at a bounded number of circuits in search of one that can go.
pub(super) struct Keyed {
    name: Arc<str>,
    /// The beginning of all circuits' names.
    prefix: Box<str>,
    config: Mutex<Arc<Config>>,
    capacity: usize,
    hasher: RandomState,
    shards: Box<[RwLock<Shard>]>,
    /// Circuits that are listed or about to be; never more than the capacity.
    len: AtomicUsize,
    /// The shard that is searched next for a circuit that can go.
    hand: AtomicUsize,
    unkeyed: Circuit,
}

/// The circuits in a shard, on average, when all shards are full. A shard that grows moves this number of entries.
const SHARD: usize = 256;
/// Above this number shards become larger. An empty shard takes a hundred bytes.
const MOST_SHARDS: usize = 4096;
/// The most idle circuits that are looked at for a new key when all shards are full.
const LOOKS: usize = 64;
/// The shards that are searched for an idle circuit after the key's own.
const SHARDS_SEARCHED: usize = 16;

impl Keyed {
    pub(super) fn new(name: Arc<str>, config: Arc<Config>, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let unkeyed = Circuit::unlisted(name.clone(), Series::own(name.clone()), config.clone(), fastrand::u64(..));
        let shards = (capacity / SHARD).clamp(1, MOST_SHARDS).next_power_of_two();
        Self {
            prefix: format!("{name}/").into(),
            name,
            config: Mutex::new(config),
            capacity,
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            len: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
            unkeyed,
        }
    }

    pub(super) fn with_capacity(&self, capacity: usize) -> Self {
        Self::new(self.name.clone(), self.config(), capacity)
    }

    /// The circuit of the calls without a key.
    pub(super) const fn unkeyed(&self) -> &Circuit {
        &self.unkeyed
    }

    #[inline]
    pub(super) fn get(&self, origin: &Origin<'_>) -> Circuit {
        let hash = self.hasher.hash_one(origin);
        let found = self.read(self.shard_of(hash)).get(hash, origin);
        found.unwrap_or_else(|| self.add(hash, origin))
    }

    /// The circuit of an origin in any spelling, or of another key.
    pub(super) fn find(&self, text: &str) -> Option<Circuit> {
        let find = |origin: Origin<'_>| {
            let hash = self.hasher.hash_one(origin);
            self.read(self.shard_of(hash)).find(hash, &origin).map(|listed| listed.circuit().clone())
        };
        Origin::parse(text).and_then(find).or_else(|| find(Origin::key(text)))
    }

    pub(super) fn list(&self) -> Vec<Circuit> {
        let mut all = vec![self.unkeyed.clone()];
        self.each(|circuit| all.push(circuit.clone()));
        all
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn configure(&self, config: &Arc<Config>) {
        // before the circuits: one that is added after its shard was visited finds the new settings
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config.clone();
        let configure = |circuit: &Circuit| {
            circuit.configure(config.clone());
            self.keep_up(circuit, config.clone());
        };
        configure(&self.unkeyed);
        self.each(configure);
    }

    /// Configures a circuit again until it has the settings of now: others may configure it in between, in another order.
    fn keep_up(&self, circuit: &Circuit, mut has: Arc<Config>) {
        loop {
            let config = self.config();
            if Arc::ptr_eq(&config, &has) {
                return;
            }
            circuit.configure(config.clone());
            has = config;
        }
    }

    fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the circuit of a new key. Where all that there is room for are needed, the call gets one that is not listed.
    #[cold]
    #[inline(never)]
    fn add(&self, hash: u64, origin: &Origin<'_>) -> Circuit {
        let shard = self.shard_of(hash);
        let (key, config) = (OriginKey::new(&self.prefix, *origin), self.config());
        let series = Series::shared(self.name.clone());
        let made = Circuit::unlisted(key.text().clone(), series, config.clone(), fastrand::u64(..));
        let new = Arc::new(Listed::new(key, hash, made.clone()));
        if self.reserve() || self.evict(shard) {
            let mut listed = self.write(shard);
            if let Some(there) = listed.get(hash, origin) {
                drop(listed);
                // another call was first
                self.len.fetch_sub(1, Ordering::Relaxed);
                return there;
            }
            listed.add(&new);
        }
        self.keep_up(&made, config);
        made
    }

    /// Takes one more place, if there is one.
    fn reserve(&self) -> bool {
        let one_more = |len| (len < self.capacity).then_some(len + 1);
        self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Frees the place of a circuit that is not needed, if the search finds one.
    fn evict(&self, own: usize) -> bool {
        let mut looks = LOOKS;
        let shards = self.shards.len();
        let hand = self.hand.fetch_add(SHARDS_SEARCHED, Ordering::Relaxed);
        let others = (0..SHARDS_SEARCHED.min(shards)).map(|n| hand.wrapping_add(n) & (shards - 1));
        // the evicted circuit is dropped when no lock is held
        let idle = [own].into_iter().chain(others).find_map(|shard| self.write(shard).evict_idle(&mut looks));
        idle.or_else(|| self.write(own).evict_needed()).is_some()
    }

    /// Calls `f` with every circuit, outside of all locks.
    fn each(&self, mut f: impl FnMut(&Circuit)) {
        for shard in 0..self.shards.len() {
            let circuits: Vec<_> = self.read(shard).circuits().cloned().collect();
            circuits.iter().for_each(&mut f);
        }
    }

    /// By bits of the hash that the table in the shard looks at last.
    #[inline]
    const fn shard_of(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.shards.len() - 1)
    }

    #[inline]
    fn read(&self, shard: usize) -> RwLockReadGuard<'_, Shard> {
        self.shards[shard].read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Shard> {
        self.shards[shard].write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry for Keyed {
    fn kind(&self) -> &'static str {
        "circuits"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        let (mut open, mut half_open) = (0_u64, 0_u64);
        self.each(|circuit| match circuit.state() {
            State::Open | State::ForcedOpen => open += 1,
            State::HalfOpen => half_open += 1,
            _ => {}
        });
        vec![("circuits", (self.len() as u64).into()), ("open", open.into()), ("half_open", half_open.into())]
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits").field("name", &self.name).field("circuits", &self.len()).finish_non_exhaustive()
    }
}
