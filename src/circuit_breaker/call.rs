use super::{
    asked::Asked,
    circuit::{Circuit, Leave},
    layer::Parts,
};
use crate::{
    attempt::Attempt,
    classify::{Failure, Origin, Recorder, Verdict, is_reported, report, sent},
};
use http::StatusCode;
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    thread,
};

/// A call that was let through. Its circuit is told exactly once what it came to: what is recorded, or, when it is dropped
/// before, that it was dropped, or broken off by a panic.
pub(super) struct Call<C> {
    /// One counter for the circuit and the classifier: all calls of all threads share it.
    parts: Arc<Parts<C>>,
    /// Where there is more than one, its circuit.
    keyed: Option<Circuit>,
    leave: Option<Leave>,
    /// The call is counted in the scope of a retry layer above: its request may be executed.
    counted: bool,
    asked: Asked,
}

impl<C> Call<C> {
    #[inline]
    pub(super) fn new(parts: Arc<Parts<C>>, keyed: Option<Circuit>, leave: Leave, asked: Asked) -> Self {
        Self { parts, keyed, leave: Some(leave), counted: sent::let_through(), asked }
    }

    pub(super) fn classify(&self) -> &C {
        &self.parts.classify
    }

    /// Reports the outcome of the attempt to a worker whose message it serves.
    #[inline]
    pub(super) fn report(&self, verdict: &Verdict, status: impl FnOnce(&C) -> Option<StatusCode>) {
        if is_reported() {
            let circuit = self.parts.circuits.chosen(self.keyed.as_ref());
            report(circuit.shared_name(), verdict, status(self.classify()), Attempt::current_or_default().number());
        }
    }

    /// Takes the call back from the scope above if its request was never sent. `claim`: its outcome if no claim needs proof.
    #[inline]
    pub(super) fn settle(&mut self, claim: impl FnOnce(&C) -> Verdict) {
        if self.counted && claim(self.classify()).outcome().claims_not_sent() {
            self.counted = false;
            sent::never_sent();
        }
    }

    /// Its circuit knows what it came to, or somebody else tells it.
    pub(super) const fn is_told(&self) -> bool {
        self.leave.is_none()
    }

    /// What it came to, where it mostly went well.
    #[inline]
    pub(super) fn record(&mut self, verdict: &Verdict) {
        // taken first: a panic in there does not tell it twice
        if let Some(leave) = self.leave.take() {
            self.parts.circuits.chosen(self.keyed.as_ref()).record(&leave, verdict);
        }
    }

    /// Whether a redirect led to another origin than the one that was asked.
    #[inline]
    pub(super) fn is_redirected(&self, answered_by: Option<Origin<'_>>) -> bool {
        self.asked.is_not(answered_by)
    }

    /// Records a success of the origin that was asked. What the other one does is not for this circuit.
    #[inline(never)]
    pub(super) fn record_redirect(&mut self) {
        if let Some(leave) = self.leave.take() {
            self.parts.circuits.chosen(self.keyed.as_ref()).record_redirect(&leave);
        }
    }

    /// What it came to.
    #[inline(never)]
    pub(super) fn tell(&mut self, verdict: &Verdict) {
        if let Some(leave) = self.leave.take() {
            self.parts.circuits.chosen(self.keyed.as_ref()).tell(&leave, verdict);
        }
    }

    /// From now on whoever has this tells it.
    pub(super) fn hand_over(&mut self) -> Recorder {
        match self.leave.take() {
            Some(leave) => self.parts.circuits.chosen(self.keyed.as_ref()).clone().into_recorder(&leave),
            None => Recorder::nobody(),
        }
    }

    /// For as long as it is polled.
    pub(super) const fn polled(&mut self) -> Polled<'_, C> {
        Polled(self)
    }

    #[cold]
    fn give_up(&mut self) {
        self.tell(&if thread::panicking() { Failure::Fault.into() } else { Verdict::dropped() });
    }
}

impl<C> Drop for Call<C> {
    fn drop(&mut self) {
        if !self.is_told() {
            self.give_up();
        }
    }
}

/// A panic in a poll drops this at once, and the call itself perhaps only when nobody panics any more.
pub(super) struct Polled<'a, C>(&'a mut Call<C>);

impl<C> Deref for Polled<'_, C> {
    type Target = Call<C>;

    fn deref(&self) -> &Call<C> {
        self.0
    }
}

impl<C> DerefMut for Polled<'_, C> {
    fn deref_mut(&mut self) -> &mut Call<C> {
        self.0
    }
}

impl<C> Drop for Polled<'_, C> {
    fn drop(&mut self) {
        if !self.0.is_told() && thread::panicking() {
            self.0.give_up();
        }
    }
}
