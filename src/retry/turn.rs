use super::{Attempts, Budgets, Permit, Policy, Stop, budget::TIMEOUT_COST, course::Course, executed};
use crate::{
    attempt::Attempt,
    backoff::Random,
    classify::{Evidence, Failure, Origin, Outcome, Repeatable, Verdict},
};
use http::Extensions;
use std::time::Duration;

/// The decisions of one call, for an engine that makes the attempts itself.
#[derive(Debug)]
pub(crate) struct Turn {
    course: Course,
}

impl Turn {
    /// After the first attempt.
    pub(crate) fn new(repeatable: Repeatable, max_retries: Option<u32>) -> Self {
        let outer = Attempt::current().unwrap_or_default();
        let only = (outer.number() > 0).then_some(Stop::Nested);
        let attempt = if only.is_some() { outer } else { outer.with_number(1) };
        Self { course: Course::new(attempt, repeatable, only).with_max_retries(max_retries) }
    }

    /// The wait before the next attempt and what it is charged to, or why there is none. A success is paid in.
    pub(crate) fn next(
        &mut self,
        policy: &impl Policy,
        random: &Random,
        verdict: Verdict,
        budgets: &Budgets,
        origin: Option<Origin<'_>>,
    ) -> Result<(Duration, Option<Permit>), Stop> {
        let budget = budgets.of(origin);
        if verdict.outcome() == Outcome::Success {
            if let Some(budget) = budget.filter(|_| !self.course.is_nested()) {
                budget.deposit();
            }
            return Err(Stop::Succeeded);
        }
        let delay = self.course.next_delay(policy, random, verdict)?;
        let cost = if verdict.outcome() == Outcome::Failure(Failure::Timeout) { TIMEOUT_COST } else { 1 };
        let permit = match budget {
            Some(budget) => Some(budget.withdraw(cost).ok_or(Stop::Budget)?),
            None => None,
        };
        self.course.go_on(verdict, None, delay);
        Ok((delay, permit))
    }

    /// What is known of the attempt that failed.
    pub(crate) fn evidence(&self) -> Evidence {
        self.course.evidence()
    }

    /// Keeps the error of the last attempt from being taken for a proof that nothing was sent. `strict`: its outcome if every claim
    /// needs proof.
    pub(crate) fn disclose<E: 'static>(&self, error: &mut E, strict: Outcome) {
        if let Some(last) = self.course.executed(strict) {
            executed::disclose(error, last, self.course.reader());
        }
    }

    /// Takes the refusal of a layer of this process out of a response after an attempt that may have been executed. `outcome`: that of
    /// the response.
    pub(crate) fn disclose_in(&self, extensions: Option<&mut Extensions>, outcome: Outcome) {
        if self.course.executed_before(outcome) {
            extensions.into_iter().for_each(executed::disclose_in);
        }
    }

    /// The attempt that comes next.
    pub(crate) const fn attempt(&self) -> Attempt {
        self.course.attempt
    }

    /// Says in a response how many attempts there were, where that is worth it.
    pub(crate) fn tell(&self, stop: Stop, extensions: Option<&mut Extensions>) {
        let attempts = Attempts::new(self.course.made(), stop);
        if let Some(extensions) = extensions
            && attempts.is_worth_telling()
            && !self.course.is_nested()
        {
            attempts.tell(extensions);
        }
    }
}
