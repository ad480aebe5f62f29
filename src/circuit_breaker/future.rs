use crate::{
    answer::Answer,
    classify::{Classify, Recorder, Repeatable},
};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
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
            call: F,
            recorder: Option<Recorder>,
            classify: Arc<C>,
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

    pub(super) fn calling(
        call: S::Future,
        recorder: Recorder,
        classify: Arc<C>,
        repeatable: Repeatable,
        until_head: bool,
    ) -> Self {
        Self { state: State::Calling { call, recorder: Some(recorder), classify, repeatable, until_head } }
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
            StateProj::Calling { call, recorder: kept, classify, repeatable, until_head } => {
                let Some(recorder) = kept.take() else { return Poll::Pending };
                // on the stack while the call is polled: a panic drops it there, and it knows why
                let result = match call.poll(cx) {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        *kept = Some(recorder);
                        return Poll::Pending;
                    }
                };
                Poll::Ready(match result {
                    Ok(response) => {
                        let head = classify.head(&response, *repeatable);
                        let watcher = if *until_head {
                            recorder.record(head);
                            Recorder::nobody()
                        } else {
                            recorder
                        };
                        Ok(M::pass(classify.watch(response, head, watcher)))
                    }
                    Err(error) => {
                        recorder.record(classify.error(&error));
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
