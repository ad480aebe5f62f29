use super::{Decision, Finished, Policy, Stop};
use crate::{
    attempt::Attempt,
    backoff::Random,
    classify::{Failure, Outcome, Repeatable, Verdict},
};
use std::time::Duration;

/// How far a call has come.
#[derive(Debug)]
pub(super) struct Course {
    /// The attempt that runs or comes next, with the deadline of the call.
    pub(super) attempt: Attempt,
    repeatable: Repeatable,
    /// Why there is only one attempt, if so.
    only: Option<Stop>,
    /// What the request said.
    max_retries: Option<u32>,
    repeated_once: bool,
    /// The outcome went to the caller.
    pub(super) finished: bool,
    /// Nothing before the first attempt that was no success.
    later: Option<Later>,
}

#[derive(Debug)]
struct Later {
    previous_delay: Duration,
    random: fastrand::Rng,
}

/// What has to be left of the deadline after a wait for an attempt to be worth it.
pub(super) const SHORTEST_ATTEMPT: Duration = Duration::from_millis(10);

impl Course {
    pub(super) const fn new(attempt: Attempt, repeatable: Repeatable, only: Option<Stop>) -> Self {
        Self { attempt, repeatable, only, max_retries: None, repeated_once: false, finished: false, later: None }
    }

    /// The request's own word on how many attempts may follow the first.
    pub(super) const fn with_max_retries(mut self, max_retries: Option<u32>) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// How many attempts may follow the first.
    pub(super) fn max_retries(&self, policy: &impl Policy) -> u32 {
        self.max_retries.unwrap_or_else(|| policy.max_retries())
    }

    pub(super) const fn repeatable(&self) -> Repeatable {
        self.repeatable
    }

    /// Attempts that were made by this layer.
    pub(super) const fn made(&self) -> u32 {
        match self.only {
            // the number may be that of a layer above
            Some(_) => 1,
            None => self.attempt.number(),
        }
    }

    /// Whether a layer above repeats the call, counts its success and says what came of it.
    pub(super) const fn is_nested(&self) -> bool {
        matches!(self.only, Some(Stop::Nested))
    }

    /// How long to wait for the next attempt, after one that was no success.
    pub(super) fn next_delay(
        &mut self,
        policy: &impl Policy,
        random: &Random,
        verdict: Verdict,
    ) -> Result<Duration, Stop> {
        let attempt = self.made();
        let first = || Later { previous_delay: Duration::ZERO, random: random.stream() };
        let Later { previous_delay, random } = self.later.get_or_insert_with(first);
        let finished = Finished {
            verdict,
            attempt,
            repeatable: self.repeatable,
            max_retries: self.max_retries,
            repeated_once: self.repeated_once,
            previous_delay: *previous_delay,
        };
        let delay = match policy.decide(&finished, random) {
            Decision::Again(delay) => delay,
            Decision::Stop(stop) => return Err(stop),
        };
        if let Some(only) = self.only {
            return Err(only);
        }
        if finished.attempt > self.max_retries(policy) {
            return Err(Stop::Exhausted);
        }
        match self.attempt.remaining() {
            Some(left) if delay.saturating_add(SHORTEST_ATTEMPT) > left => Err(Stop::Deadline),
            _ => Ok(delay),
        }
    }

    /// The next attempt will come, `delay` after one that came to `verdict`.
    pub(super) fn go_on(&mut self, verdict: Verdict, delay: Duration) {
        let never_sent = verdict.outcome() == Outcome::Failure(Failure::NotSent);
        self.repeated_once |= verdict.is_only_once() || (never_sent && !self.repeatable.may_repeat());
        if let Some(later) = &mut self.later {
            later.previous_delay = delay;
        }
        self.attempt = self.attempt.with_number(self.attempt.number().saturating_add(1));
    }
}
