use super::call::Call;
use crate::{
    answer::Answer,
    classify::{Classify, Evidence, Recorder, Repeatable},
};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};
use tower_service::Service;

pin_project! {
    /// The response of the inner service, or the circuit's no.
    pub struct ResponseFuture<S, Req, C, M>
    where
        S: Service<Req>,
        C: Classify<Req, S::Response, S::Error>,
        M: Answer<Req, C::Response, S::Error>,
    {
        #[pin]
        state: State<S::Future, C, Result<M::Response, M::Error>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C, T> {
        Calling {
            #[pin]
            inner: F,
            call: Call<C>,
            repeatable: Repeatable,
            until_head: bool,
        },
        Refused {
            answer: Option<T>,
        },
    }
}

impl<S, Req, C, M> ResponseFuture<S, Req, C, M>
where
    S: Service<Req>,
    C: Classify<Req, S::Response, S::Error>,
    M: Answer<Req, C::Response, S::Error>,
{
    pub(super) fn refused(answer: Result<M::Response, M::Error>) -> Self {
        Self { state: State::Refused { answer: Some(answer) } }
    }

    pub(super) fn calling(inner: S::Future, call: Call<C>, repeatable: Repeatable, until_head: bool) -> Self {
        Self { state: State::Calling { inner, call, repeatable, until_head } }
    }
}

impl<S, Req, C, M> Future for ResponseFuture<S, Req, C, M>
where
    S: Service<Req>,
    C: Classify<Req, S::Response, S::Error>,
    M: Answer<Req, C::Response, S::Error>,
{
    type Output = Result<M::Response, M::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            // polled again after the end, it has nothing more to say
            StateProj::Refused { answer } => answer.take().map_or(Poll::Pending, Poll::Ready),
            StateProj::Calling { call, .. } if call.is_told() => Poll::Pending,
            StateProj::Calling { inner, call, repeatable, until_head } => {
                let mut call = call.polled();
                let Poll::Ready(result) = inner.poll(cx) else { return Poll::Pending };
                Poll::Ready(match result {
                    Ok(response) => {
                        let head = call.classify().head(&response, *repeatable);
                        call.settle(|_| head);
                        call.report(&head, |classify| classify.status(&response));
                        let recorder = if call.is_redirected(call.classify().answered_by(&response)) {
                            call.record_redirect();
                            Recorder::nobody()
                        } else if *until_head || call.classify().ends_at_head(&response, head) {
                            call.record(&head);
                            Recorder::nobody()
                        } else {
                            call.hand_over()
                        };
                        Ok(M::pass(call.classify().watch(response, head, recorder)))
                    }
                    Err(error) => {
                        call.settle(|classify| classify.error(&error, Evidence::none()));
                        let verdict = call.classify().error(&error, Evidence::of(*repeatable));
                        call.report(&verdict, |_| None);
                        call.tell(&verdict);
                        Err(M::fail(error))
                    }
                })
            }
        }
    }
}

impl<S, Req, C, M> fmt::Debug for ResponseFuture<S, Req, C, M>
where
    S: Service<Req>,
    C: Classify<Req, S::Response, S::Error>,
    M: Answer<Req, C::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("circuit_breaker::ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
