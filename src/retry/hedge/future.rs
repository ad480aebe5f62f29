use super::{shared::Shared, tell};
use crate::{
    attempt::Attempt,
    classify::{Classify, Evidence, LastAttempt, Outcome, Repeatable, Verdict},
    retry::{Budget, Permit, Replay, Stop, course::SHORTEST_ATTEMPT, executed::disclose},
};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

pin_project! {
    /// The first good answer of two attempts, or what the later one came to.
    ///
    /// Dropping it drops both; what was taken out of the budget for an attempt that did not start goes back.
    pub struct ResponseFuture<S, Req, C, R>
    where
        S: Service<Req>,
        R: Replay<Req>,
    {
        // `None`: it failed, and the second one is at work
        #[pin]
        first: Option<S::Future>,
        #[pin]
        second: Second<S::Future, Req>,
        again: Option<Again<S, R::Handle>>,
        shared: Arc<Shared<C, R>>,
        call: Call,
        waited: Duration,
        // `None`: nobody wants to know how long it took
        began: Option<Instant>,
        hedged: bool,
        finished: bool,
        // the attempt that failed while the other one is at work, if it may have been executed
        executed: Option<LastAttempt>,
    }

    impl<S, Req, C, R> PinnedDrop for ResponseFuture<S, Req, C, R>
    where
        S: Service<Req>,
        R: Replay<Req>,
    {
        fn drop(this: Pin<&mut Self>) {
            if this.hedged && !this.finished {
                tell::ended(&this.shared.settings.listed.name, "cancelled");
            }
        }
    }
}

pin_project! {
    #[project = SecondProj]
    enum Second<F, Req> {
        Waiting { #[pin] sleep: Sleep },
        // The permit goes back if the first attempt answers before this one starts.
        Readying { next: Option<Next<Req>> },
        Calling { #[pin] call: F },
        Off,
    }
}

struct Next<Req> {
    request: Req,
    permit: Option<Permit>,
}

/// What the second attempt is made of: the service that was made ready, and what was kept of the request.
pub(super) struct Again<S, H> {
    pub(super) inner: S,
    pub(super) handle: H,
}

/// What is known of the call from the beginning.
#[derive(Debug)]
pub(super) struct Call {
    /// What the layers above said.
    pub(super) outer: Attempt,
    pub(super) repeatable: Repeatable,
    pub(super) keyed: Option<Budget>,
}

impl Call {
    const fn first(&self) -> Attempt {
        let number = if self.outer.number() == 0 { 1 } else { self.outer.number() };
        self.outer.with_number(number)
    }

    const fn second(&self) -> Attempt {
        self.outer.with_number(self.first().number().saturating_add(1))
    }
}

impl<S, Req, C, R> ResponseFuture<S, Req, C, R>
where
    S: Service<Req>,
    R: Replay<Req>,
{
    pub(super) fn new(
        first: S::Future,
        again: Option<Again<S, R::Handle>>,
        shared: Arc<Shared<C, R>>,
        call: Call,
    ) -> Self {
        let delay = &shared.settings.listed.delay;
        let waited = delay.now();
        let (second, began) = match again {
            Some(_) => (Second::Waiting { sleep: sleep(waited) }, delay.learns().then(Instant::now)),
            None => (Second::Off, None),
        };
        Self {
            first: Some(first),
            second,
            again,
            shared,
            call,
            waited,
            began,
            hedged: false,
            finished: false,
            executed: None,
        }
    }
}

/// Whether this is what comes out, although another attempt is at work: a 404 is as good an answer as a 200.
const fn is_good(verdict: Verdict) -> bool {
    matches!(verdict.outcome(), Outcome::Success | Outcome::Rejected)
}

impl<S, Req, C, R> Future for ResponseFuture<S, Req, C, R>
where
    S: Service<Req, Error: 'static>,
    C: Classify<Req, S::Response, S::Error>,
    R: Replay<Req>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Shared { classify, replay, settings } = &**this.shared;
        let name = &settings.listed.name;
        let budget = this.call.keyed.as_ref().or(settings.listed.budgets.one());
        let judge = |result: &Self::Output| match result {
            Ok(response) => classify.head(response, this.call.repeatable),
            Err(error) => classify.error(error, Evidence::of(this.call.repeatable)),
        };
        let (mut result, verdict, won) = 'end: {
            if let Some(call) = this.first.as_mut().as_pin_mut()
                && let Poll::Ready(result) = call.poll(cx)
            {
                let verdict = judge(&result);
                if is_good(verdict)
                    && let Some(began) = this.began
                {
                    settings.listed.delay.record(began.elapsed());
                }
                if is_good(verdict) || !matches!(*this.second, Second::Calling { .. }) {
                    break 'end (result, verdict, "lost");
                }
                *this.executed = LastAttempt::of(verdict.outcome(), None, this.call.first().number());
                // its connection is free while the other one is at work
                this.first.set(None);
            }
            loop {
                match this.second.as_mut().project() {
                    SecondProj::Off => return Poll::Pending,
                    SecondProj::Waiting { sleep } => {
                        ready!(sleep.poll(cx));
                        let handle = this.again.as_mut().map(|again| &mut again.handle);
                        match next(replay.as_ref(), handle, this.call.outer, budget) {
                            Ok(next) => this.second.set(Second::Readying { next: Some(next) }),
                            Err(stop) => {
                                tell::withheld(name, stop.as_str());
                                *this.again = None;
                                this.second.set(Second::Off);
                            }
                        }
                    }
                    SecondProj::Readying { next } => {
                        let Some(again) = this.again.as_mut() else { return Poll::Pending };
                        if ready!(again.inner.poll_ready(cx)).is_err() {
                            // no outcome of the call: the first attempt is at work
                            tell::withheld(name, "not_ready");
                            *this.again = None;
                            this.second.set(Second::Off);
                            continue;
                        }
                        let Some(Next { mut request, permit }) = next.take() else { return Poll::Pending };
                        if let Some(permit) = permit {
                            permit.spend();
                        }
                        let attempt = this.call.second();
                        replay.mark(&mut request, attempt);
                        replay.prepare(&mut request, attempt);
                        tell::begins(name, *this.waited, attempt.number());
                        *this.hedged = true;
                        Attempt::tell(attempt.number());
                        let call = attempt.run(|| again.inner.call(request));
                        this.second.set(Second::Calling { call });
                    }
                    SecondProj::Calling { call } => {
                        let result = ready!(this.call.second().run(|| call.poll(cx)));
                        let verdict = judge(&result);
                        if is_good(verdict) || this.first.is_none() {
                            // how long the first would have taken is not known, but that it was longer than this
                            if let Some(began) = this.began
                                && this.first.is_some()
                            {
                                settings.listed.delay.record(began.elapsed());
                            }
                            break 'end (result, verdict, "won");
                        }
                        *this.executed = LastAttempt::of(verdict.outcome(), None, this.call.second().number());
                        *this.again = None;
                        this.second.set(Second::Off);
                    }
                }
            }
        };
        // the loser goes now, and not when the caller drops the future
        this.first.set(None);
        this.second.set(Second::Off);
        *this.again = None;
        *this.finished = true;
        if let (Err(error), Some(last)) = (&mut result, *this.executed) {
            disclose(error, last);
        }
        if *this.hedged {
            tell::ended(name, if is_good(verdict) { won } else { "failed" });
        }
        if let Some(budget) = budget
            && verdict.outcome() == Outcome::Success
            && (settings.deposits || this.call.outer.number() == 0)
        {
            budget.deposit();
        }
        Poll::Ready(result)
    }
}

/// The request for the second attempt, or why there is none. Only what went out as a whole: else the second attempt would
/// take the rest of the body away from the first.
fn next<Req, R: Replay<Req>>(
    replay: &R,
    handle: Option<&mut R::Handle>,
    outer: Attempt,
    budget: Option<&Budget>,
) -> Result<Next<Req>, Stop> {
    let handle = handle.filter(|handle| replay.is_complete(handle)).ok_or(Stop::NotReplayable)?;
    if outer.remaining().is_some_and(|left| left < SHORTEST_ATTEMPT) {
        return Err(Stop::Deadline);
    }
    let permit = match budget {
        Some(budget) => Some(budget.withdraw(1).ok_or(Stop::Budget)?),
        None => None,
    };
    let request = replay.again(handle, true).ok_or(Stop::NotReplayable)?;
    Ok(Next { request, permit })
}

impl<S, Req, C, R> fmt::Debug for ResponseFuture<S, Req, C, R>
where
    S: Service<Req>,
    R: Replay<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = match &self.second {
            Second::Waiting { .. } => "waiting",
            Second::Readying { .. } => "readying",
            Second::Calling { .. } => "calling",
            Second::Off => "off",
        };
        f.debug_struct("hedge::ResponseFuture")
            .field("first", &self.first.is_some())
            .field("second", &second)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
