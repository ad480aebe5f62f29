//! What a circuit tells of itself. Called outside its lock.

use super::view::{Change, State};
use crate::{
    classify::Outcome,
    telemetry::{count, event, gauge, names},
};
use std::sync::Arc;

/// The metrics of a circuit, under the label `name`.
pub(super) struct Series {
    name: Arc<str>,
    /// It is this circuit's alone. Circuits by key share one: keys come from requests, and no backend of metrics holds as many
    /// series as there are hosts.
    own: bool,
}

impl Series {
    pub(super) const fn own(name: Arc<str>) -> Self {
        Self { name, own: true }
    }

    pub(super) const fn shared(name: Arc<str>) -> Self {
        Self { name, own: false }
    }

    /// Exactly one of the gauges is at 1.
    pub(super) fn state(&self, now: State) {
        for state in State::ALL.into_iter().filter(|_| self.own) {
            let value = if state == now { 1.0 } else { 0.0 };
            gauge(names::CIRCUIT_STATE, &self.name, ("state", state.as_str()), value);
        }
    }

    /// `circuit`: its whole name.
    pub(super) fn changed(&self, circuit: &str, change: Change) {
        let (from, to, reason) = (change.from().as_str(), change.to().as_str(), change.reason().as_str());
        if change.is_shadow() {
            event!(INFO, "circuit would have changed", circuit = circuit, from = from, to = to, reason = reason);
            return;
        }
        self.state(change.to());
        count(names::CIRCUIT_TRANSITIONS, &self.name, ("reason", reason));
        match change.to() {
            State::Open | State::ForcedOpen => {
                event!(WARN, "circuit changed", circuit = circuit, from = from, to = to, reason = reason);
            }
            _ => event!(INFO, "circuit changed", circuit = circuit, from = from, to = to, reason = reason),
        }
    }

    pub(super) fn refused(&self, state: State) {
        count(names::CIRCUIT_REFUSED, &self.name, ("state", state.as_str()));
    }

    pub(super) fn call(&self, outcome: Outcome) {
        count(names::CIRCUIT_CALLS, &self.name, ("outcome", outcome.as_str()));
    }
}
