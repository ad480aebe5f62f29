//! Layers that break one law each: the law finds it.

use crate::{
    MINUTE, laws,
    subject::{Asked, Inner, Subject},
};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};
use steadfast::error::BoxError;
use tower::{Layer, Service};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    CallAClone,
    SayReadyAtOnce,
    KeepAnInstance,
    RunOnAfterTheDrop,
    CountInTheService,
    PrintTheRequest,
    SwallowErrors,
}

type Answer = Result<Response<Full<Bytes>>, BoxError>;

struct Answering(Pin<Box<dyn Future<Output = Answer> + Send>>, String);

impl Future for Answering {
    type Output = Answer;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answering({})", self.1)
    }
}

#[derive(Debug, Clone)]
struct Naughty<S> {
    inner: S,
    kept: Option<S>,
    does: Does,
    count: Arc<AtomicU32>,
}

impl<S> Layer<S> for Naughty<()> {
    type Service = Naughty<S>;
    fn layer(&self, inner: S) -> Naughty<S> {
        Naughty { inner, kept: None, does: self.does, count: Arc::default() }
    }
}

impl Service<Asked> for Naughty<Inner> {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.does == Does::KeepAnInstance && self.kept.is_none() {
            let mut more = self.inner.clone();
            let _ = Service::<Asked>::poll_ready(&mut more, cx);
            self.kept = Some(more);
        }
        match self.does {
            Does::SayReadyAtOnce => Poll::Ready(Ok(())),
            _ => Service::<Asked>::poll_ready(&mut self.inner, cx),
        }
    }

    fn call(&mut self, request: Asked) -> Answering {
        let printed = if self.does == Does::PrintTheRequest { format!("{request:?}") } else { "***".to_owned() };
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        let mut again = self.inner.clone();
        let answer: Pin<Box<dyn Future<Output = Answer> + Send>> = match self.does {
            Does::CallAClone => Box::pin(again.call(request)),
            Does::RunOnAfterTheDrop => {
                let first = self.inner.call(request.clone());
                let task = tokio::spawn(async move {
                    drop(first.await);
                    tokio::time::sleep(MINUTE).await;
                    poll_fn(|cx| Service::<Asked>::poll_ready(&mut again, cx)).await?;
                    again.call(request).await
                });
                Box::pin(async move { task.await? })
            }
            Does::CountInTheService if n >= 3 => Box::pin(std::future::ready(Err("enough".into()))),
            Does::SwallowErrors => {
                let call = self.inner.call(request);
                Box::pin(async move { Ok(call.await.unwrap_or_default()) })
            }
            _ => Box::pin(self.inner.call(request)),
        };
        Answering(answer, printed)
    }
}

fn subject(does: Does) -> Subject {
    Subject::of(move || Naughty { inner: (), kept: None, does, count: Arc::default() })
}

#[tokio::test]
#[should_panic(expected = "CalledUnready")]
async fn calling_a_clone_is_found() {
    laws::the_instance_that_was_ready_is_the_one_that_is_called(&subject(Does::CallAClone)).await;
}

#[tokio::test]
#[should_panic(expected = "Pending")]
async fn not_asking_for_readiness_is_found() {
    laws::an_inner_service_that_is_not_ready_is_waited_for(&subject(Does::SayReadyAtOnce)).await;
}

#[tokio::test]
#[should_panic(expected = "instances were reserved")]
async fn keeping_a_ready_instance_is_found() {
    laws::asking_for_readiness_again_is_harmless(&subject(Does::KeepAnInstance)).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "outlived the drop")]
async fn running_on_after_the_drop_is_found() {
    laws::a_drop_at_any_point_ends_it_all(&subject(Does::RunOnAfterTheDrop)).await;
}

#[tokio::test]
#[should_panic(expected = "layered again")]
async fn state_in_the_service_is_found() {
    laws::layering_again_keeps_what_the_layer_knows(&subject(Does::CountInTheService).remembers()).await;
}

#[tokio::test]
#[should_panic(expected = "s3cr3t")]
async fn a_printed_request_is_found() {
    laws::debug_prints_no_secret(&subject(Does::PrintTheRequest)).await;
}

#[tokio::test]
#[should_panic(expected = "the error became an answer")]
async fn a_swallowed_error_is_found() {
    laws::an_error_of_the_call_stays_in_the_chain(&subject(Does::SwallowErrors)).await;
}
