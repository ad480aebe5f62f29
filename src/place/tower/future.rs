use crate::{
    attempt::Attempt,
    classify::{Evidence, Failure, LastAttempt, of_error},
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
    S: Service<Req, Error: 'static> + Clone,
    P: Policy<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling { call } => {
                    let mut result = ready!(this.attempt.run(|| call.poll(cx)));
                    let executed = executed(&result, *this.attempt);
                    let before = *this.executed;
                    let Some(request) = this.next.as_mut() else { return Poll::Ready(disclosed(result, before)) };
                    let Some(wait) = this.policy.retry(request, &mut result) else {
                        if let (Ok(_), Some(budget)) = (&result, this.budget.as_ref()) {
                            budget.deposit();
                        }
                        return Poll::Ready(disclosed(result, before));
                    };
                    // how long the wait is only the policy knows; but none is worth it that has no time left after it
                    if this.attempt.remaining().is_some_and(|left| left < SHORTEST_ATTEMPT) {
                        return Poll::Ready(disclosed(result, before));
                    }
                    if let Some(budget) = this.budget.as_ref() {
                        match budget.withdraw(1) {
                            None => return Poll::Ready(disclosed(result, before)),
                            permit => *this.permit = permit,
                        }
                    }
                    drop(result); // its connection is free before the wait
                    *this.executed = executed.or(*this.executed);
                    // an inner service that refused after it was made ready may still hold a place; a clone holds none
                    *this.inner = this.inner.clone();
                    this.state.set(State::Waiting { wait });
                }
                StateProj::Waiting { wait } => {
                    ready!(wait.poll(cx));
                    this.state.set(State::Readying);
                }
                StateProj::Readying => {
                    if let Err(error) = ready!(this.inner.poll_ready(cx)) {
                        // the attempt does not start: its permit goes back at once
                        *this.permit = None;
                        return Poll::Ready(disclosed(Err(error), *this.executed));
                    }
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

/// The result, whose error is no proof that nothing was sent if an attempt before may have been executed.
fn disclosed<T, E: 'static>(mut result: Result<T, E>, before: Option<LastAttempt>) -> Result<T, E> {
    if let (Err(error), Some(last)) = (&mut result, before) {
        disclose(error, last, Evidence::none().without_redirects());
    }
    result
}

/// The attempt, if the server may have executed it. What a response means is known to the policy alone.
fn executed<T, E: 'static>(result: &Result<T, E>, attempt: Attempt) -> Option<LastAttempt> {
    let outcome = result.as_ref().err().map_or(Failure::Transient.into(), of_error).outcome();
    LastAttempt::of(outcome, None, attempt.number())
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
