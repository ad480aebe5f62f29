use super::{
    Attempts, Budget, Permit, Policy, Replay, Settle, Stop,
    budget::TIMEOUT_COST,
    course::Course,
    executed, gave_up, marker,
    shared::{Listed, Shared},
    tell,
};
use crate::classify::{Classify, Evidence, Failure, Outcome, Verdict, is_reported, report};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};
use tower_service::Service;

pin_project! {
    /// The outcome of the last attempt.
    ///
    /// Dropping it ends the call wherever it is: no attempt follows, and what was taken out of the budget for one that did
    /// not start goes back.
    // `S` and `Req` instead of `S::Future`: `Service<Req>` and `Replay<Req>` have to be named, which a bare future type does not.
    pub struct ResponseFuture<S, Req, P, C, R, T>
    where
        S: Service<Req>,
        R: Replay<Req>,
        T: Settle<S::Response>,
    {
        #[pin]
        state: State<S::Future, Req, T::Held>,
        // `None`: no repeat was ever possible
        inner: Option<S>,
        // `None`: no further attempt is possible, and nothing is kept for one
        handle: Option<R::Handle>,
        shared: Arc<Shared<P, C, R>>,
        keyed: Option<Budget>,
        settle: T,
        course: Course,
    }

    impl<S, Req, P, C, R, T> PinnedDrop for ResponseFuture<S, Req, P, C, R, T>
    where
        S: Service<Req>,
        R: Replay<Req>,
        T: Settle<S::Response>,
    {
        fn drop(this: Pin<&mut Self>) {
            if !this.course.finished {
                tell::cancelled(&this.shared.settings.listed.name);
            }
        }
    }
}

pin_project! {
    // Two levels, so that the first attempt is told apart by one comparison, in `poll` and in the drop.
    #[project = StateProj]
    enum State<F, Req, H> {
        Calling { #[pin] call: F },
        After { #[pin] after: After<Req, H> },
    }
}

pin_project! {
    // The permit lies in the states that wait, so that a drop there gives it back.
    #[project = AfterProj]
    enum After<Req, H> {
        Settling { held: Option<H>, head: Verdict },
        Sleeping { #[pin] sleep: Sleep, next: Option<Next<Req>> },
        Readying { next: Option<Next<Req>> },
    }
}

impl<F, Req, H> From<After<Req, H>> for State<F, Req, H> {
    fn from(after: After<Req, H>) -> Self {
        Self::After { after }
    }
}

struct Next<Req> {
    request: Req,
    permit: Option<Permit>,
}

/// What a repeat needs besides the request: the service that was made ready, and what was kept.
pub(super) struct Again<S, H> {
    pub(super) inner: S,
    pub(super) handle: H,
}

impl<S, Req, P, C, R, T> ResponseFuture<S, Req, P, C, R, T>
where
    S: Service<Req>,
    R: Replay<Req>,
    T: Settle<S::Response>,
{
    pub(super) fn new(
        call: S::Future,
        again: Option<Again<S, R::Handle>>,
        shared: Arc<Shared<P, C, R>>,
        keyed: Option<Budget>,
        settle: T,
        course: Course,
    ) -> Self {
        let (inner, handle) = match again {
            Some(Again { inner, handle }) => (Some(inner), Some(handle)),
            None => (None, None),
        };
        Self { state: State::Calling { call }, inner, handle, shared, keyed, settle, course }
    }
}

impl<S, Req, P, C, R, T> Future for ResponseFuture<S, Req, P, C, R, T>
where
    S: Service<Req, Error: 'static> + Clone,
    P: Policy,
    C: Classify<Req, S::Response, S::Error>,
    R: Replay<Req>,
    T: Settle<S::Response>,
{
    type Output = Result<T::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let strategies = &*this.shared.strategies;
        let (mut result, verdict, stop) = loop {
            let (result, verdict, status) = match this.state.as_mut().project() {
                StateProj::Calling { call } => {
                    let Poll::Ready(result) = this.course.run(|| call.poll(cx)) else {
                        this.course.wait();
                        return Poll::Pending;
                    };
                    match result {
                        Err(error) => {
                            let verdict = strategies.classify.error(&error, this.course.polled_evidence());
                            this.course.settle(|| strategies.classify.error(&error, Evidence::none()));
                            (Err(error), verdict, None)
                        }
                        Ok(response) => {
                            let mut head = strategies.classify.head(&response, this.course.repeatable());
                            this.course.settle(|| head);
                            head = this.course.proven(head);
                            if head.outcome() != Outcome::Success
                                && let Some(marker) = &this.shared.settings.marker
                            {
                                head = marker::heed(head, marker, strategies.classify.headers(&response));
                            }
                            let status = strategies.classify.status(&response);
                            let held = this.settle.hold(response);
                            // While the request still streams, the other side may be waiting for us: then the head decides.
                            let read = T::READS
                                && head.outcome() == Outcome::Success
                                && this.course.repeatable().may_repeat()
                                && this.handle.as_ref().is_some_and(|handle| strategies.replay.is_complete(handle));
                            if read {
                                this.state.set(After::Settling { held: Some(held), head }.into());
                                continue;
                            }
                            if head.outcome() == Outcome::Success {
                                break (Ok(held), head, Stop::Succeeded);
                            }
                            (Ok(held), head, status)
                        }
                    }
                }
                StateProj::After { mut after } => match after.as_mut().project() {
                    AfterProj::Settling { held, head } => {
                        let Some(reading) = held.as_mut() else { return Poll::Pending };
                        let seen = ready!(this.settle.poll_settle(reading, cx));
                        let verdict = seen.unwrap_or(*head);
                        let Some(held) = held.take() else { return Poll::Pending };
                        // the head was a success, so its status says nothing of the failure
                        (Ok(held), verdict, None)
                    }
                    AfterProj::Sleeping { sleep, next } => {
                        ready!(sleep.poll(cx));
                        let next = next.take();
                        after.set(After::Readying { next });
                        continue;
                    }
                    AfterProj::Readying { next } => {
                        let Some(inner) = this.inner.as_mut() else { return Poll::Pending };
                        if let Err(error) = ready!(inner.poll_ready(cx)) {
                            // the answer before is gone: its connection was given back before the wait
                            let verdict = strategies.classify.error(&error, this.course.evidence());
                            // what it was to be charged to has it back at once
                            *next = None;
                            break (Err(error), verdict, Stop::Final);
                        }
                        let Some(Next { mut request, permit }) = next.take() else { return Poll::Pending };
                        if let Some(permit) = permit {
                            permit.spend();
                        }
                        let attempt = this.course.attempt;
                        strategies.replay.mark(&mut request, attempt);
                        strategies.replay.prepare(&mut request, attempt);
                        let call = this.course.begin(|| inner.call(request));
                        this.state.set(State::Calling { call });
                        continue;
                    }
                },
            };
            if verdict.outcome() == Outcome::Success {
                break (result, verdict, Stop::Succeeded);
            }
            let Listed { name, budgets } = &*this.shared.settings.listed;
            if is_reported() {
                report(name, &verdict, status, this.course.made());
            }
            let budget = this.keyed.as_ref().or(budgets.one());
            // All of it while the answer is still ours to give back.
            match next::<Req, _, _, _>(this.course, this.shared, budget, this.handle, verdict, T::READS) {
                Err(stop) => {
                    if this.shared.settings.marker.is_some() {
                        gave_up::tell(verdict, this.course.made(), stop);
                    }
                    break (result, verdict, stop);
                }
                Ok((delay, next)) => {
                    drop(result); // its connection is free before the wait
                    // an inner service that refused after it was made ready may still hold a place; a clone holds none
                    if let Some(inner) = this.inner.as_mut() {
                        *inner = inner.clone();
                    }
                    tell::again(name, verdict, delay, this.course.made());
                    this.course.go_on(verdict, status, delay);
                    this.state.set(After::Sleeping { sleep: sleep(delay), next: Some(next) }.into());
                }
            }
        };
        // what was kept is freed now, and not when the caller drops the future
        *this.handle = None;
        if stop == Stop::Succeeded {
            if is_reported() {
                report(&this.shared.settings.listed.name, &verdict, None, this.course.made());
            }
        } else {
            match &mut result {
                Err(error) => {
                    let strict = strategies.classify.error(error, this.course.polled_evidence().strict());
                    if let Some(last) = this.course.executed(strict.outcome()) {
                        executed::disclose(error, last, this.course.reader());
                    }
                }
                Ok(held) => {
                    let extensions = this.settle.extensions_mut(held, |r| strategies.classify.extensions_mut(r));
                    if this.course.executed_before(verdict.outcome()) {
                        extensions.into_iter().for_each(executed::disclose_in);
                    }
                }
            }
        }
        this.course.finished = true;
        let Listed { name, budgets } = &*this.shared.settings.listed;
        if stop == Stop::Succeeded && !this.course.is_nested() {
            budgets.deposit(this.keyed.as_ref());
        }
        let attempts = Attempts::new(this.course.made(), stop);
        if let Ok(held) = &mut result
            && attempts.is_worth_telling()
            && !this.course.is_nested()
            && let Some(extensions) = this.settle.extensions_mut(held, |r| strategies.classify.extensions_mut(r))
        {
            attempts.tell(extensions);
        }
        tell::finished(name, verdict, attempts);
        Poll::Ready(result.map(|held| this.settle.release(held)))
    }
}

/// The next attempt and the wait before it, or why there is none. The permit goes back if the request cannot be made.
fn next<Req, P: Policy, C, R: Replay<Req>>(
    course: &mut Course,
    shared: &Shared<P, C, R>,
    budget: Option<&Budget>,
    handle: &mut Option<R::Handle>,
    verdict: Verdict,
    reads: bool,
) -> Result<(Duration, Next<Req>), Stop> {
    let strategies = &*shared.strategies;
    let delay = course.next_delay(&strategies.policy, &shared.settings.random, verdict)?;
    let kept = handle.as_mut().ok_or(Stop::NotReplayable)?;
    let cost = if verdict.outcome() == Outcome::Failure(Failure::Timeout) { TIMEOUT_COST } else { 1 };
    let permit = match budget {
        Some(budget) => Some(budget.withdraw(cost).ok_or(Stop::Budget)?),
        None => None,
    };
    let last = course.made() >= course.max_retries(&strategies.policy);
    let request = strategies.replay.again(kept, last).ok_or(Stop::NotReplayable)?;
    // one that is read has to be asked whether it is complete, on the last attempt too
    if last && !reads {
        *handle = None;
    }
    Ok((delay, Next { request, permit }))
}

impl<S, Req, P, C, R, T> fmt::Debug for ResponseFuture<S, Req, P, C, R, T>
where
    S: Service<Req>,
    R: Replay<Req>,
    T: Settle<S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::After { after: After::Settling { .. } } => "settling",
            State::After { after: After::Sleeping { .. } } => "sleeping",
            State::After { after: After::Readying { .. } } => "readying",
        };
        f.debug_struct("retry::ResponseFuture")
            .field("state", &state)
            .field("course", &self.course)
            .finish_non_exhaustive()
    }
}
