//! Layers that break one rule each, to show that a run finds it.

use crate::{
    link::{Answer, Answering, Asked, Link, Reply},
    world::World,
};
use http::{Method, Request};
use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use steadfast::{
    error::{BoxError, Refused},
    retry::NoRetry,
};
use tokio::{sync::Semaphore, time::sleep};
use tower::{Service, ServiceExt};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Sends a request again after any failure, whether it is repeatable or not.
    RepeatsPosts,
    /// Sends each attempt with a key of its own.
    ChangesKeys,
    /// Calls a clone of the instance that was made ready.
    CallsClone,
    /// Makes the next attempt's instance ready, and then waits.
    HoldsWhileItWaits,
    /// A limit of calls that loses the place of a call that is dropped.
    LosesPlaces,
    /// Promises a deadline and has none.
    IgnoresDeadline,
    /// Takes a call that begins while another one is under way for one that is nested in it.
    NestsSiblings,
    /// Says that nothing was sent, after whatever failure.
    SaysRefused,
    /// Leaves a task behind.
    LeavesTask,
}

impl Mutant {
    /// Milliseconds.
    pub(crate) const DEADLINE: u64 = 700;

    pub(crate) fn layer(self, inner: Link, world: &Arc<World>) -> Link {
        let places = Arc::new(Semaphore::new(PLACES));
        world.lent.lock().unwrap().limits.push(("limit of the mutant", places.clone(), PLACES));
        Link::new(world, "mutant", Faulty { inner, mutant: self, places, under_way: Arc::default() })
    }
}

const PLACES: usize = 1000;

#[derive(Clone)]
struct Faulty {
    inner: Link,
    mutant: Mutant,
    places: Arc<Semaphore>,
    under_way: Arc<AtomicUsize>,
}

impl Service<Asked> for Faulty {
    type Response = Reply;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Asked) -> Answering {
        match self.mutant {
            Mutant::IgnoresDeadline => self.inner.call(request),
            Mutant::CallsClone => self.inner.clone().call(request),
            Mutant::RepeatsPosts | Mutant::HoldsWhileItWaits => self.repeat(request),
            Mutant::ChangesKeys => {
                if *request.method() == Method::POST {
                    let key = format!("new-{}", fastrand::u64(..));
                    request.headers_mut().insert("idempotency-key", key.parse().expect("a header"));
                }
                self.inner.call(request)
            }
            Mutant::LosesPlaces => {
                let place = self.places.clone().try_acquire_owned();
                let call = self.inner.call(request);
                Box::pin(async move {
                    let place = mem::ManuallyDrop::new(place);
                    let answer = call.await;
                    drop(mem::ManuallyDrop::into_inner(place));
                    answer
                })
            }
            Mutant::NestsSiblings => {
                let under_way = self.under_way.clone();
                if under_way.fetch_add(1, SeqCst) > 0 {
                    request = NoRetry::on(request);
                }
                let guard = UnderWay(under_way);
                let call = self.inner.call(request);
                Box::pin(async move {
                    let _guard = guard;
                    call.await
                })
            }
            Mutant::SaysRefused => {
                let call = self.inner.call(request);
                Box::pin(async move { call.await.map_err(|_| Refused::new("mutant", "nothing was sent").into()) })
            }
            Mutant::LeavesTask => {
                tokio::spawn(std::future::pending::<()>());
                self.inner.call(request)
            }
        }
    }
}

struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Faulty {
    fn repeat(&mut self, request: Asked) -> Answering {
        let (head, body) = request.into_parts();
        let copy = Request::from_parts(head.clone(), body.clone());
        let again = self.inner.clone();
        let first = self.inner.call(Request::from_parts(head, body));
        let holds = self.mutant == Mutant::HoldsWhileItWaits;
        Box::pin(async move {
            let answer = first.await;
            if !has_failed(&answer) || holds && *copy.method() != Method::GET {
                return answer;
            }
            drop(answer);
            let mut again = again;
            let ready = again.ready().await?;
            if holds {
                sleep(Duration::from_millis(50)).await;
            }
            ready.call(copy).await
        })
    }
}

fn has_failed(answer: &Answer) -> bool {
    match answer {
        Ok(response) => response.status().is_server_error(),
        Err(_) => true,
    }
}
