//! What a circuit tells of itself. Called outside its lock.

use super::view::{Change, State};
use crate::{
    classify::Outcome,
    telemetry::{count, event, gauge, names},
};
use std::sync::Arc;

/// Exactly one of the gauges is at 1.
pub(super) fn state(name: &Arc<str>, now: State) {
    for state in State::ALL {
        gauge(names::CIRCUIT_STATE, name, ("state", state.as_str()), if state == now { 1.0 } else { 0.0 });
    }
}

pub(super) fn changed(name: &Arc<str>, change: Change) {
    let (from, to, reason) = (change.from().as_str(), change.to().as_str(), change.reason().as_str());
    if change.is_shadow() {
        event!(INFO, "circuit would have changed", circuit = &**name, from = from, to = to, reason = reason);
        return;
    }
    state(name, change.to());
    count(names::CIRCUIT_TRANSITIONS, name, ("reason", reason));
    match change.to() {
        State::Open | State::ForcedOpen => {
            event!(WARN, "circuit changed", circuit = &**name, from = from, to = to, reason = reason);
        }
        _ => event!(INFO, "circuit changed", circuit = &**name, from = from, to = to, reason = reason),
    }
}

pub(super) fn refused(name: &Arc<str>, state: State) {
    count(names::CIRCUIT_REFUSED, name, ("state", state.as_str()));
}

pub(super) fn call(name: &Arc<str>, outcome: Outcome) {
    count(names::CIRCUIT_CALLS, name, ("outcome", outcome.as_str()));
}
