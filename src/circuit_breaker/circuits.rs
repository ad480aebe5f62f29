use super::{Circuit, Config, keyed::Keyed};
use crate::{
    classify::Origin,
    registry::{Registry, registry},
};
use std::{fmt, sync::Arc};

/// One circuit, or one for each key; what a [`CircuitBreakerLayer`](super::CircuitBreakerLayer) takes. Clones share them.
///
/// The key is the [origin](crate::classify::Origin) of the request (`https://api.example.com`), unless
/// [`keyed_by`](super::CircuitBreakerLayer::keyed_by) finds another one.
///
/// ```
/// use steadfast::circuit_breaker::{Circuits, Config};
///
/// let circuits = Circuits::per_origin("webhooks", Config::default()).with_capacity(10_000);
/// assert!(circuits.find("https://api.example.com").is_none()); // made by the first call
/// ```
#[derive(Clone)]
pub struct Circuits(Kind);

#[derive(Clone)]
enum Kind {
    One(Circuit),
    Keyed(Arc<Keyed>),
}

impl Circuits {
    /// Keys that are kept by default.
    pub const CAPACITY: usize = 10_000;

    /// Creates one circuit for each origin, made by its first call and named `name/https://api.example.com`, and one named `name`
    /// for requests without an origin (a URI without scheme or host).
    pub fn per_origin(name: impl Into<Arc<str>>, config: impl Into<Arc<Config>>) -> Self {
        Self::keyed(Keyed::new(name.into(), config.into(), Self::CAPACITY))
    }

    /// Keeps at most `capacity` circuits by key (at least one). Default: [`CAPACITY`](Self::CAPACITY).
    ///
    /// A circuit that is in use, or knows of failures and was used within the hour, is never let go. When all are taken, a new key
    /// gets the place of one that is not needed; if a bounded search finds none, the call is let through without a circuit.
    ///
    /// Forgets the circuits that there were: call it when the circuits are made.
    #[must_use]
    pub fn with_capacity(self, capacity: usize) -> Self {
        match self.0 {
            Kind::One(circuit) => circuit.into(),
            Kind::Keyed(keyed) => Self::keyed(keyed.with_capacity(capacity)),
        }
    }

    /// Returns the circuit of this key, if there is one: an origin in any spelling (`https://API.example.com:443`), or the text
    /// that [`keyed_by`](super::CircuitBreakerLayer::keyed_by) found.
    pub fn find(&self, key: &str) -> Option<Circuit> {
        match &self.0 {
            Kind::One(circuit) => Some(circuit.clone()),
            Kind::Keyed(keyed) => keyed.find(key),
        }
    }

    /// All that there are at this moment: the one without a key first, then those by key, in no order.
    pub fn list(&self) -> Vec<Circuit> {
        match &self.0 {
            Kind::One(circuit) => vec![circuit.clone()],
            Kind::Keyed(keyed) => keyed.list(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::One(_) => 1,
            Kind::Keyed(keyed) => keyed.len(),
        }
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes the settings of all of them, of those that are just being made, and of those to come.
    pub fn configure(&self, config: impl Into<Arc<Config>>) {
        match &self.0 {
            Kind::One(circuit) => circuit.configure(config),
            Kind::Keyed(keyed) => keyed.configure(&config.into()),
        }
    }

    /// The circuit for a call to this origin, made if there is none; `None`: the one for every call, or for those without an
    /// origin.
    #[inline]
    pub(super) fn of<'a>(&self, origin: impl FnOnce() -> Option<Origin<'a>>) -> Option<Circuit> {
        match &self.0 {
            Kind::One(_) => None,
            Kind::Keyed(keyed) => origin().map(|origin| keyed.get(&origin)),
        }
    }

    /// What [`of`](Self::of) chose.
    #[inline]
    pub(super) fn chosen<'a>(&'a self, of_key: Option<&'a Circuit>) -> &'a Circuit {
        match (&self.0, of_key) {
            (Kind::One(circuit), _) | (Kind::Keyed(_), Some(circuit)) => circuit,
            (Kind::Keyed(keyed), None) => keyed.unkeyed(),
        }
    }

    /// Where one circuit serves every call, it can be asked before there is a request.
    pub(super) fn one(&self) -> Option<&Circuit> {
        match &self.0 {
            Kind::One(circuit) => Some(circuit),
            Kind::Keyed(_) => None,
        }
    }

    /// Lists them in this registry as well.
    #[must_use]
    pub fn with_registry(self, registry: &Registry) -> Self {
        match &self.0 {
            Kind::One(circuit) => registry.add(&circuit.0),
            Kind::Keyed(keyed) => registry.add(keyed),
        }
        self
    }

    pub(super) const fn of_keys(keyed: Arc<Keyed>) -> Self {
        Self(Kind::Keyed(keyed))
    }

    fn keyed(keyed: Keyed) -> Self {
        let keyed = Arc::new(keyed);
        registry().add(&keyed);
        Self::of_keys(keyed)
    }
}

impl From<Circuit> for Circuits {
    fn from(circuit: Circuit) -> Self {
        Self(Kind::One(circuit))
    }
}

impl From<&Circuit> for Circuits {
    fn from(circuit: &Circuit) -> Self {
        circuit.clone().into()
    }
}

impl fmt::Debug for Circuits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::One(circuit) => circuit.fmt(f),
            Kind::Keyed(keyed) => keyed.fmt(f),
        }
    }
}
