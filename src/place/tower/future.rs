use crate::{
    attempt::Attempt,
    classify::{Failure, LastAttempt, Outcome, of_error},
    retry::{Budget, Permit, disclose},
};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tower::retry::Policy;
use tower_service::Service;

pin_project! {
    /// The answer that the policy lets stand.
    ///
    /// A drop ends the call wherever it is, and gives back what was taken out of the budget for an attempt that did not start.
    pub struct PolicyFuture<S, P, Req>
    where
        S: Service<Req>,
        P: Policy<Req, S::Response, S::Error>,
    {
        #[pin]
        state: State<S::Future, P::Future>,
        inner: S,
        policy: P,
        // for the next attempt; `None`: there is none
        next: Option<Req>,
        // for the attempt that is waited for
        permit: Option<Permit>,
        budget: Option<Budget>,
        attempt: Attempt,
        // the last attempt before this one that may have been executed
        executed: Option<LastAttempt>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<C, W> {
        Calling { #[pin] call: C },
        Waiting { #[pin] wait: W },
        Readying,
    }
}

/// What has to be left of the deadline for another attempt to be worth it.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(10);

impl<S, P, Req> PolicyFuture<S, P, Req>
where
    S: Service<Req>,
    P: Policy<Req, S::Response, S::Error>,
{
    pub(super) fn new(
        call: S::Future,
        inner: S,
        policy: P,
        next: Option<Req>,
        budget: Option<Budget>,
        attempt: Attempt,
    ) -> Self {
        Self { state: State::Calling { call }, inner, policy, next, permit: None, budget, attempt, executed: None }
    }
}

impl<S, P, Req> Future for PolicyFuture<S, P, Req>
where
    S: Service<Req, Error: 'static>,
    P: Policy<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut result = ready!(self.as_mut().poll_attempts(cx));
        if let (Err(error), Some(last)) = (&mut result, self.executed) {
            disclose(error, last);
        }
        Poll::Ready(result)
    }
}

impl<S, P, Req> PolicyFuture<S, P, Req>
where
    S: Service<Req, Error: 'static>,
    P: Policy<Req, S::Response, S::Error>,
{
    fn poll_attempts(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Response, S::Error>> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling { call } => {
                    let mut result = ready!(this.attempt.run(|| call.poll(cx)));
                    let Some(request) = this.next.as_mut() else { return Poll::Ready(result) };
                    let Some(wait) = this.policy.retry(request, &mut result) else {
                        if let (Ok(_), Some(budget)) = (&result, this.budget.as_ref()) {
                            budget.deposit();
                        }
                        return Poll::Ready(result);
                    };
                    // how long the wait is only the policy knows; but none is worth it that has no time left after it
                    if this.attempt.remaining().is_some_and(|left| left < SHORTEST_ATTEMPT) {
                        return Poll::Ready(result);
                    }
                    if let Some(budget) = this.budget.as_ref() {
                        match budget.withdraw(1) {
                            None => return Poll::Ready(result),
                            permit => *this.permit = permit,
                        }
                    }
                    *this.executed = executed(&result, this.attempt.number()).or(*this.executed);
                    drop(result); // its connection is free before the wait
                    this.state.set(State::Waiting { wait });
                }
                StateProj::Waiting { wait } => {
                    ready!(wait.poll(cx));
                    this.state.set(State::Readying);
                }
                StateProj::Readying => {
                    ready!(this.inner.poll_ready(cx))?;
                    let Some(request) = this.next.take() else { return Poll::Pending };
                    *this.next = this.policy.clone_request(&request);
                    if let Some(permit) = this.permit.take() {
                        permit.spend();
                    }
                    *this.attempt = this.attempt.with_number(this.attempt.number().saturating_add(1));
                    Attempt::tell(this.attempt.number());
                    let call = this.attempt.run(|| this.inner.call(request));
                    this.state.set(State::Calling { call });
                }
            }
        }
    }
}

/// The attempt that the policy repeats, if it may have been executed. What its response says only the policy knows.
fn executed<T, E: 'static>(result: &Result<T, E>, number: u32) -> Option<LastAttempt> {
    let outcome = match result {
        Ok(_) => Outcome::Failure(Failure::Transient),
        Err(error) => of_error(error).outcome(),
    };
    LastAttempt::of(outcome, None, number)
}

impl<S, P, Req> fmt::Debug for PolicyFuture<S, P, Req>
where
    S: Service<Req>,
    P: Policy<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyFuture").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
