use super::{
    nested,
    rank::{earlier_is_better, is_good},
    shared::Shared,
    tell,
};
use crate::{
    attempt::Attempt,
    classify::{Classify, Evidence, Outcome, Repeatable, Verdict},
    retry::{Budget, Permit, Replay, Stop, course::SHORTEST_ATTEMPT},
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
    /// The first good response of two attempts, or the better of two failures.
    ///
    /// Dropping it drops both; the permit of an attempt that did not start goes back to the budget.
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
        // the failure of the attempt that ended first, while the other one is at work; in a box, since it is rare and large
        earlier: Option<Box<Ended<S::Response, S::Error>>>,
        shared: Arc<Shared<C, R>>,
        call: Call,
        waited: Duration,
        // `None`: the delay does not depend on how long it takes
        began: Option<Instant>,
        // whether a second attempt was possible from the beginning: then no hedge layer below makes one
        hedges: bool,
        hedged: bool,
        finished: bool,
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

// In this order: the permit goes back before anything of the caller's is dropped.
struct Next<Req> {
    permit: Option<Permit>,
    request: Req,
}

/// The outcome of one attempt.
struct Ended<Res, E> {
    result: Result<Res, E>,
    verdict: Verdict,
}

impl<Res, E> Ended<Res, E> {
    const fn is_good(&self) -> bool {
        is_good(self.verdict, self.result.is_ok())
    }

    /// The better one of two failures.
    fn or(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier)
                if earlier_is_better(
                    (earlier.verdict, earlier.result.is_ok()),
                    (self.verdict, self.result.is_ok()),
                ) =>
            {
                earlier
            }
            _ => self,
        }
    }
}

/// The parts of the second attempt: the service that was made ready, and the copy of the request.
pub(super) struct Again<S, H> {
    pub(super) inner: S,
    pub(super) handle: H,
}

/// The facts of the call that are known from the beginning.
#[derive(Debug)]
pub(super) struct Call {
    /// The attempt of the layers above.
    pub(super) outer: Attempt,
    pub(super) repeatable: Repeatable,
    pub(super) keyed: Option<Budget>,
}

impl Call {
    const fn second(&self) -> Attempt {
        let first = if self.outer.number() == 0 { 1 } else { self.outer.number() };
        self.outer.with_number(first.saturating_add(1))
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
        let hedges = again.is_some();
        let (second, began) = match again {
            Some(_) => (Second::Waiting { sleep: sleep(waited) }, delay.learns().then(Instant::now)),
            None => (Second::Off, None),
        };
        Self {
            first: Some(first),
            second,
            again,
            earlier: None,
            shared,
            call,
            waited,
            began,
            hedges,
            hedged: false,
            finished: false,
        }
    }
}

impl<S, Req, C, R> Future for ResponseFuture<S, Req, C, R>
where
    S: Service<Req>,
    C: Classify<Req, S::Response, S::Error>,
    R: Replay<Req>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Shared { classify, replay, settings } = &**this.shared;
        let name = &settings.listed.name;
        let budget = this.call.keyed.as_ref().or(settings.listed.budgets.one());
        let judge = |result: Self::Output| {
            let verdict = match &result {
                Ok(response) => classify.head(response, this.call.repeatable),
                Err(error) => classify.error(error, Evidence::of(this.call.repeatable)),
            };
            Ended { result, verdict }
        };
        let (ended, won) = 'end: {
            if let Some(call) = this.first.as_mut().as_pin_mut()
                && let Poll::Ready(result) = nested::run_if(*this.hedges, || call.poll(cx))
            {
                let ended = judge(result);
                this.first.set(None);
                if ended.is_good()
                    && let Some(began) = this.began
                {
                    settings.listed.delay.record(began.elapsed());
                }
                if ended.is_good() || !matches!(*this.second, Second::Calling { .. }) {
                    break 'end (ended, "lost");
                }
                *this.earlier = Some(Box::new(ended));
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
                            // no outcome of the call: the first attempt is at work, and the permit goes back
                            this.second.set(Second::Off);
                            *this.again = None;
                            tell::withheld(name, "not_ready");
                            continue;
                        }
                        let Some(Next { permit, mut request }) = next.take() else { return Poll::Pending };
                        if let Some(permit) = permit {
                            permit.spend();
                        }
                        let attempt = this.call.second();
                        replay.mark(&mut request, attempt);
                        replay.prepare(&mut request, attempt);
                        tell::begins(name, *this.waited, attempt.number());
                        *this.hedged = true;
                        Attempt::tell(attempt.number());
                        let call = nested::run(|| attempt.run(|| again.inner.call(request)));
                        this.second.set(Second::Calling { call });
                    }
                    SecondProj::Calling { call } => {
                        let ended = judge(ready!(nested::run(|| this.call.second().run(|| call.poll(cx)))));
                        if ended.is_good() || this.first.is_none() {
                            // how long the first would have taken is not known, but that it was longer than this
                            if let Some(began) = this.began
                                && this.first.is_some()
                            {
                                settings.listed.delay.record(began.elapsed());
                            }
                            break 'end (ended, "won");
                        }
                        this.second.set(Second::Off);
                        *this.again = None;
                        *this.earlier = Some(Box::new(ended));
                    }
                }
            }
        };
        let good = ended.is_good();
        let earlier = this.earlier.take();
        let Ended { result, verdict } = if good { ended } else { ended.or(earlier.map(|earlier| *earlier)) };
        // the loser goes now, and not when the caller drops the future
        this.first.set(None);
        this.second.set(Second::Off);
        *this.again = None;
        *this.finished = true;
        if *this.hedged {
            tell::ended(name, if good { won } else { "failed" });
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

/// The request for the second attempt, or why there is none. Only a request that went out as a whole: else the second attempt would
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
    Ok(Next { permit, request })
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
