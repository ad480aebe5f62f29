use super::{Decision, Finished, Policy, Stop};
use crate::{
    backoff::{Backoff, Exponential, Hint},
    classify::{Failure, Outcome},
};
use std::{sync::Arc, time::Duration};

/// Repeats what the table in the [`classify`](crate::classify) docs says, with a backoff and two caps; see the
/// [module docs](crate::retry).
#[derive(Debug, Clone)]
pub struct StandardPolicy {
    max_retries: u32,
    backoff: Arc<dyn Backoff>,
    hint_cap: Duration,
    refused_cap: Duration,
    faults: bool,
}

impl StandardPolicy {
    /// Attempts after the first, by default.
    pub const MAX_RETRIES: u32 = 2;
    /// The longest hint of the other side that is waited for, by default.
    pub const HINT_CAP: Duration = Duration::from_secs(60);
    /// The longest wait for something on this side (an open circuit), by default.
    pub const REFUSED_CAP: Duration = Duration::from_secs(5);

    /// The defaults: 2 retries, [`Exponential::default`], hints up to 60 s, refusals up to 5 s, faults not repeated.
    pub fn new() -> Self {
        Self {
            max_retries: Self::MAX_RETRIES,
            backoff: Arc::new(Exponential::default()),
            hint_cap: Self::HINT_CAP,
            refused_cap: Self::REFUSED_CAP,
            faults: false,
        }
    }

    /// How many attempts may follow the first; 0 switches retries off.
    #[must_use]
    pub const fn with_max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// How long to wait between attempts.
    #[must_use]
    pub fn with_backoff(mut self, backoff: impl Backoff) -> Self {
        self.backoff = Arc::new(backoff);
        self
    }

    /// A hint longer than this ends the call at once, with the answer that carried it. It is never cut down instead: that
    /// would be coming again when asked not to.
    #[must_use]
    pub const fn with_hint_cap(mut self, cap: Duration) -> Self {
        self.hint_cap = cap;
        self
    }

    /// A refusal of this side that lasts longer than this ends the call at once.
    #[must_use]
    pub const fn with_refused_cap(mut self, cap: Duration) -> Self {
        self.refused_cap = cap;
        self
    }

    /// Repeats [`Failure::Fault`] too (500, INTERNAL, errors of unknown types) where the request is repeatable.
    #[must_use]
    pub const fn with_faults(mut self) -> Self {
        self.faults = true;
        self
    }

    /// Why what the attempt came to is not repeated, if it is not.
    fn forbids(&self, finished: &Finished) -> Option<Stop> {
        let verdict = finished.verdict();
        let again = match verdict.outcome() {
            // nothing was sent, so nothing can be done twice; but without an end in sight waiting is guessing
            Outcome::Refused => verdict.hint().is_some(),
            Outcome::Failure(Failure::NotSent) if !finished.repeatable().may_repeat() => !finished.repeated_once(),
            Outcome::Failure(Failure::Fault) => self.faults,
            Outcome::Failure(_) => true,
            _ => false,
        };
        let spent = verdict.is_only_once() && finished.repeated_once();
        if !again || spent {
            return Some(Stop::Final);
        }
        let sent = !matches!(verdict.outcome(), Outcome::Refused | Outcome::Failure(Failure::NotSent));
        if sent && !finished.repeatable().may_repeat() {
            return Some(Stop::NotSafe);
        }
        (finished.attempt() > finished.max_retries().unwrap_or(self.max_retries)).then_some(Stop::Exhausted)
    }
}

impl Default for StandardPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for StandardPolicy {
    fn max_retries(&self) -> u32 {
        self.max_retries
    }

    fn decide(&self, finished: &Finished, random: &mut fastrand::Rng) -> Decision {
        if let Some(stop) = self.forbids(finished) {
            return Decision::Stop(stop);
        }
        let verdict = finished.verdict();
        let cap = if verdict.outcome() == Outcome::Refused { self.refused_cap } else { self.hint_cap };
        let mut backoff = || self.backoff.delay(finished.attempt(), finished.previous_delay(), random);
        match verdict.hint() {
            Some(Hint::Never) => Decision::Stop(Stop::Pushback),
            Some(Hint::AtLeast(after) | Hint::Exactly(after)) if after > cap => Decision::Stop(Stop::HintTooFar),
            Some(Hint::Exactly(after)) => Decision::Again(after),
            // all who were told the same moment must not come at the same moment: the backoff goes on top
            Some(Hint::AtLeast(after)) => Decision::Again(after.saturating_add(backoff())),
            None => Decision::Again(backoff()),
        }
    }
}
