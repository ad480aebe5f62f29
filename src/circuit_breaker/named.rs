//! Circuits by their names, out of the registry: for an operator's page, which holds no handle.

use super::{Circuit, Circuits, circuit::Shared, keyed::Keyed};
use crate::registry::{Registry, registry};

impl Circuit {
    /// The circuit of this name in the [registry of the process](crate::registry()): the handle with which it is watched, forced
    /// open or reset. One of many by key is found by its whole name too: `name/https://api.example.com`, the origin in any spelling,
    /// or `name/key`.
    ///
    /// ```
    /// use steadfast::circuit_breaker::{Circuit, State};
    ///
    /// let made_elsewhere = Circuit::new("payments");
    /// made_elsewhere.force_open(None);
    /// if let Some(circuit) = Circuit::named("payments") {
    ///     circuit.reset();
    /// }
    /// assert_eq!(made_elsewhere.state(), State::Closed);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::named_in(registry(), name)
    }

    /// The same out of another registry.
    pub fn named_in(registry: &Registry, name: &str) -> Option<Self> {
        let one = || registry.find::<Shared>(name).map(Self);
        let unkeyed = || registry.find::<Keyed>(name).map(|keyed| keyed.unkeyed().clone());
        // neither names nor keys are kept from having slashes in them
        let keyed = || {
            name.match_indices('/')
                .find_map(|(at, _)| registry.find::<Keyed>(&name[..at]).and_then(|keyed| keyed.find(&name[at + 1..])))
        };
        one().or_else(unkeyed).or_else(keyed)
    }
}

impl Circuits {
    /// Those by key that have this name in common, out of the [registry of the process](crate::registry()).
    pub fn named(name: &str) -> Option<Self> {
        Self::named_in(registry(), name)
    }

    /// The same out of another registry.
    pub fn named_in(registry: &Registry, name: &str) -> Option<Self> {
        registry.find::<Keyed>(name).map(Self::of_keys)
    }
}
