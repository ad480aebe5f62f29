//! What the machine does while it ramps up.

use super::{Machine, Rejected, State};
use crate::circuit_breaker::view::Reason;

/// A refused call is asked to come back after this part of the ramp.
const STEPS: u64 = 10;

impl Machine {
    /// A closed circuit says no to the calls that are beyond the share of this moment.
    ///
    /// They are to come back a tenth of the ramp later. Then the share is nine points higher; and since each is told the same
    /// wait, they come spread as they came before. The end of the ramp, where all would go through, would gather them there.
    pub(super) fn try_ramp(&mut self, now: u64) -> Result<(), Rejected> {
        let length = self.ramp_length();
        if self.ramp.as_mut().is_none_or(|ramp| ramp.lets_through(length, now)) {
            return Ok(());
        }
        Err(self.refuse(State::Closed, now.saturating_add((length / STEPS).max(1))))
    }

    /// Why it is in its state, at this moment.
    pub(super) fn reason_now(&self) -> Reason {
        if self.state() == State::Closed && self.ramp.is_some() { Reason::RampingUp } else { self.reason }
    }

    pub(super) fn ramp_share(&self, now: u64) -> Option<f64> {
        self.ramp.map(|ramp| ramp.share(self.ramp_length(), now))
    }
}
