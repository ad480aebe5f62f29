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

    /// Exactly one of the gauges is at 1, except for a moment: they can only be written one by one. The new one goes first, so
    /// that in that moment there are two, and the circuit was in both states within it; none would be a state that there is not.
    pub(super) fn state(&self, now: State) {
        if self.own {
            let set = |state: State, value| gauge(names::CIRCUIT_STATE, &self.name, ("state", state.as_str()), value);
            set(now, 1.0);
            State::ALL.into_iter().filter(|state| *state != now).for_each(|state| set(state, 0.0));
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
        if METRICS {
            count(names::CIRCUIT_REFUSED, &self.name, ("state", state.as_str()));
        }
    }

    pub(super) fn call(&self, outcome: Outcome) {
        if METRICS {
            count(names::CIRCUIT_CALLS, &self.name, ("outcome", outcome.as_str()));
        }
    }
}

/// Without it a call does not even set out to count.
const METRICS: bool = cfg!(feature = "metrics");
