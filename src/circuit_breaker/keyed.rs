use super::{Circuit, Config, State, telemetry::Series};
use crate::registry::{Entry, Value};
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync::Cache};
use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// One circuit for each key, up to a number.
pub(super) struct Keyed {
    name: Arc<str>,
    config: Mutex<Arc<Config>>,
    capacity: usize,
    circuits: Cache<String, Circuit, UnitWeighter, DefaultHashBuilder, KeepNeeded>,
    unkeyed: Circuit,
    origin: Instant,
    /// When the ones that are not needed were last cleared out, in seconds since `origin`.
    swept: AtomicU64,
}

/// What a circuit knows of failures is forgotten when it was not used for so long: nobody fills the memory for ever with
/// circuits that failed once.
const FORGET: Duration = Duration::from_secs(3600);

/// Room for so many is made at once.
const EXPECTED: usize = 256;

#[derive(Debug, Clone, Copy, Default)]
struct KeepNeeded;

impl Lifecycle<String, Circuit> for KeepNeeded {
    /// Those that go, let go of after the shard's lock.
    type RequestState = Vec<Circuit>;

    fn is_pinned(&self, _: &String, circuit: &Circuit) -> bool {
        circuit.is_needed(FORGET)
    }

    fn on_evict(&self, gone: &mut Vec<Circuit>, _: String, circuit: Circuit) {
        gone.push(circuit);
    }
}

impl Keyed {
    pub(super) fn new(name: Arc<str>, config: Arc<Config>, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let unkeyed = Circuit::unlisted(name.clone(), Series::own(name.clone()), config.clone(), fastrand::u64(..));
        Self {
            name,
            config: Mutex::new(config),
            capacity,
            circuits: Cache::with(
                capacity.min(EXPECTED),
                capacity as u64,
                UnitWeighter,
                DefaultHashBuilder::default(),
                KeepNeeded,
            ),
            unkeyed,
            origin: Instant::now(),
            swept: AtomicU64::new(0),
        }
    }

    pub(super) fn with_capacity(&self, capacity: usize) -> Self {
        Self::new(self.name.clone(), self.config(), capacity)
    }

    /// Of the calls without a key.
    pub(super) const fn unkeyed(&self) -> &Circuit {
        &self.unkeyed
    }

    pub(super) fn get(&self, key: &str) -> Circuit {
        if let Some(circuit) = self.circuits.get(key) {
            return circuit;
        }
        if self.circuits.len() > self.capacity {
            self.sweep();
            if self.circuits.len() > self.capacity {
                // all are needed: this call goes without
                return self.make(key);
            }
        }
        match self.circuits.get_or_insert_with(key, || Ok::<_, Infallible>(self.make(key))) {
            Ok(circuit) => circuit,
            Err(never) => match never {},
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<Circuit> {
        self.circuits.get(key)
    }

    pub(super) fn list(&self) -> Vec<Circuit> {
        let keyed = self.circuits.iter().map(|(_, circuit)| circuit);
        [self.unkeyed.clone()].into_iter().chain(keyed).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.circuits.len()
    }

    pub(super) fn configure(&self, config: &Arc<Config>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config.clone();
        self.unkeyed.configure(config.clone());
        for (_, circuit) in self.circuits.iter() {
            circuit.configure(config.clone());
        }
    }

    fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn make(&self, key: &str) -> Circuit {
        let name = format!("{}/{key}", self.name).into();
        Circuit::unlisted(name, Series::shared(self.name.clone()), self.config(), fastrand::u64(..))
    }

    /// The cache looks for one to evict only where a new one goes, and those that are not needed can lie in another shard: once
    /// it holds too many, and at most once a second, they all go.
    fn sweep(&self) {
        let now = self.origin.elapsed().as_secs() + 1;
        if self.swept.fetch_max(now, Ordering::Relaxed) < now {
            self.circuits.retain(|_, circuit| circuit.is_needed(FORGET));
        }
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
        for (_, circuit) in self.circuits.iter() {
            match circuit.state() {
                State::Open | State::ForcedOpen => open += 1,
                State::HalfOpen => half_open += 1,
                _ => {}
            }
        }
        vec![("circuits", (self.circuits.len() as u64).into()), ("open", open.into()), ("half_open", half_open.into())]
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits")
            .field("name", &self.name)
            .field("circuits", &self.circuits.len())
            .finish_non_exhaustive()
    }
}
