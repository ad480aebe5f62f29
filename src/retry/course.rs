use super::{Decision, Finished, Policy, Stop};
use crate::{
    attempt::Attempt,
    backoff::Random,
    classify::{ConnectionCapture, Evidence, Failure, LastAttempt, Outcome, Repeatable, Verdict, sent},
};
use http::StatusCode;
use std::time::Duration;

/// How far a call has come.
#[derive(Debug)]
pub(super) struct Course {
    /// The attempt that runs or comes next, with the deadline of the call.
    pub(super) attempt: Attempt,
    repeatable: Repeatable,
    /// Why there is only one attempt, if so.
    only: Option<Stop>,
    /// The number of retries that the request sets.
    max_retries: Option<u32>,
    /// Whether the client had a connection for the request.
    capture: ConnectionCapture,
    running: Running,
    repeated_once: bool,
    /// The outcome went to the caller.
    pub(super) finished: bool,
    /// Nothing before the first attempt that was no success.
    later: Option<Later>,
}

/// Observations of the attempt that runs, except its connection.
#[derive(Debug)]
struct Running {
    /// How many held the request when the attempt began.
    holders: usize,
    /// The request was let go before the attempt ended: a service below has sent it, or has made other requests of it.
    is_gone: bool,
    /// Requests that layers below let through and that may have been sent.
    sent: u32,
    /// The attempt did not fail in the poll in which it began.
    waited: bool,
    /// The attempt is counted in the scope of a retry layer above.
    counted: bool,
}

impl Running {
    const fn new() -> Self {
        Self { holders: 0, is_gone: false, sent: 0, waited: false, counted: false }
    }
}

#[derive(Debug)]
struct Later {
    previous_delay: Duration,
    random: fastrand::Rng,
    /// The last attempt before this one that may have been executed.
    executed: Option<LastAttempt>,
}

/// What has to be left of the deadline after a wait for an attempt to be worth it.
pub(super) const SHORTEST_ATTEMPT: Duration = Duration::from_millis(10);

impl Course {
    pub(super) const fn new(attempt: Attempt, repeatable: Repeatable, only: Option<Stop>) -> Self {
        let capture = ConnectionCapture::unknown();
        Self {
            attempt,
            repeatable,
            only,
            max_retries: None,
            capture,
            running: Running::new(),
            repeated_once: false,
            finished: false,
            later: None,
        }
    }

    pub(super) fn with_capture(mut self, capture: ConnectionCapture) -> Self {
        self.capture = capture;
        self
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

    /// Returns the evidence of the attempt that failed.
    pub(super) fn evidence(&self) -> Evidence {
        let evidence = self.capture.evidence(self.repeatable).with_let_through(self.running.sent > 0);
        // the client that failed is not the one that had the request
        if self.running.is_gone && evidence.connected() == Some(false) {
            evidence.with_connected(None)
        } else {
            evidence
        }
    }

    /// Returns the evidence of an attempt that this layer polls itself: it also knows whether there was a wait.
    pub(super) fn polled_evidence(&self) -> Evidence {
        self.evidence().with_failed_at_once(!self.running.waited)
    }

    /// Runs a call or a poll of the attempt in its scope. Where the request is not repeatable by its method, it also counts what
    /// layers below let through.
    #[inline]
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let attempt = self.attempt;
        if self.repeatable == Repeatable::Yes {
            return attempt.run(work);
        }
        self.running.is_gone |= self.capture.holders() < self.running.holders;
        sent::count(&mut self.running.sent, || attempt.run(work))
    }

    /// Begins an attempt: reports its number, and counts it in the scope of a retry layer above.
    #[inline]
    pub(super) fn begin<T>(&mut self, call: impl FnOnce() -> T) -> T {
        Attempt::tell(self.attempt.number());
        self.running.counted = sent::let_through();
        self.running.holders = self.capture.holders();
        self.run(call)
    }

    /// Takes the attempt back from the scope above if it was never sent. `claim`: its outcome if no claim needs proof.
    #[inline]
    pub(super) fn settle(&mut self, claim: impl FnOnce() -> Verdict) {
        if self.running.counted && claim().outcome().claims_not_sent() && !self.evidence().shows_a_hop() {
            self.running.counted = false;
            sent::never_sent();
        }
    }

    /// Returns the verdict of a head: a refusal of this process after a hop that may have been executed is a failure.
    #[inline]
    pub(super) fn proven(&self, head: Verdict) -> Verdict {
        let is_refused = head.outcome() == Outcome::Refused;
        if is_refused && !self.repeatable.may_repeat() && self.evidence().shows_a_hop() {
            return Failure::Transient.into();
        }
        head
    }

    /// Notes that the attempt takes longer than the poll in which it began.
    #[inline]
    pub(super) const fn wait(&mut self) {
        self.running.waited = true;
    }

    /// Returns the last attempt that may have been executed. `strict`: the outcome of the last one if every claim needs proof.
    pub(super) fn executed(&self, strict: Outcome) -> Option<LastAttempt> {
        let before = self.later.as_ref().and_then(|later| later.executed);
        if before.is_some() || strict.claims_not_sent() {
            return before;
        }
        LastAttempt::of(Outcome::Failure(Failure::Transient), None, self.made())
    }

    /// Returns whether an attempt may have been executed before a response with this outcome: then it is no refusal of the call.
    pub(super) fn executed_before(&self, response: Outcome) -> bool {
        self.evidence().shows_a_hop() || self.executed(response).is_some()
    }

    /// Returns what a layer further out may know when it judges the last error. After an attempt that may have been executed it may
    /// know that the client follows no redirects, and read a failed connect as a proof. An error of a request that is repeatable
    /// by its method stays as it is: its owner looks for the client's own error in it.
    pub(super) fn reader(&self) -> Evidence {
        let before = self.later.as_ref().is_some_and(|later| later.executed.is_some());
        if before && self.repeatable != Repeatable::Yes {
            Evidence::none().without_redirects()
        } else {
            Evidence::none()
        }
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
        let first = || Later { previous_delay: Duration::ZERO, random: random.stream(), executed: None };
        let Later { previous_delay, random, .. } = self.later.get_or_insert_with(first);
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

    /// Another attempt follows, `delay` after one that ended as `verdict`, with this status.
    pub(super) fn go_on(&mut self, verdict: Verdict, status: Option<StatusCode>, delay: Duration) {
        let hop = || {
            // a redirect was followed before the attempt failed: its error is about the last hop alone
            let transient = Outcome::Failure(Failure::Transient);
            if self.evidence().shows_a_hop() { LastAttempt::of(transient, None, self.made()) } else { None }
        };
        let status = status.map(|status| status.as_u16());
        let executed = LastAttempt::of(verdict.outcome(), status, self.made()).or_else(hop);
        let never_sent = verdict.outcome() == Outcome::Failure(Failure::NotSent);
        self.repeated_once |= verdict.is_only_once() || (never_sent && !self.repeatable.may_repeat());
        if let Some(later) = &mut self.later {
            later.previous_delay = delay;
            later.executed = executed.or(later.executed);
        }
        self.running = Running::new();
        self.attempt = self.attempt.with_number(self.attempt.number().saturating_add(1));
    }
}
