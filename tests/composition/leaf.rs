//! The service below every stack: it follows the script, holds its callers to tower's contract, and counts.

use crate::{
    dice::Dice,
    link::Asked,
    reply::{self, Flow},
    script::{Content, Does, ORIGINS, Script, Step},
    wire,
    world::{IDENTITY, SLACK, World},
};
use http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Poll, ready},
    time::Duration,
};
use steadfast::{attempt::Attempt, error::BoxError};
use tokio::time::{Instant, Sleep, sleep};
use tower::Service;

/// A panic that the script asked for.
pub(crate) struct Scripted;

/// Clones are one server; each is ready or not by itself, and is reserved from `Ready` to its call or its end.
pub(crate) struct Leaf {
    world: Arc<World>,
    script: Arc<Script>,
    reserved: Option<Reserved>,
    slow: Option<Pin<Box<Sleep>>>,
    asked: u64,
}

/// One instance that returned `Ready`.
struct Reserved {
    since: Instant,
    world: Arc<World>,
}

impl Reserved {
    fn new(world: &Arc<World>) -> Self {
        world.reserved.fetch_add(1, SeqCst);
        Self { since: Instant::now(), world: world.clone() }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.world.reserved.fetch_sub(1, SeqCst);
        let held = self.since.elapsed();
        if held > Duration::from_millis(1) && !self.world.holds.load(SeqCst) {
            self.world.breach("held", format_args!("an instance was reserved for {held:?} without a call"));
        }
    }
}

impl Leaf {
    pub(crate) fn new(world: &Arc<World>, script: &Arc<Script>) -> Self {
        Self { world: world.clone(), script: script.clone(), reserved: None, slow: None, asked: 0 }
    }
}

impl Clone for Leaf {
    fn clone(&self) -> Self {
        Self::new(&self.world, &self.script)
    }
}

impl Service<Asked> for Leaf {
    type Response = Response<Flow>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Flow>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.reserved.is_some() {
            return Poll::Ready(Ok(()));
        }
        if !self.world.is_healthy() {
            self.asked += 1;
            let mut dice = Dice::new(self.script.seed, self.world.calls.load(SeqCst) * 31 + self.asked);
            if self.script.ready_errors && dice.chance(1, 10) {
                self.slow = None;
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()));
            }
            if self.script.slow_readiness && self.slow.is_none() && dice.chance(1, 6) {
                self.slow = Some(Box::pin(sleep(dice.millis(1..=5))));
            }
        }
        if let Some(slow) = &mut self.slow {
            ready!(slow.as_mut().poll(cx));
            self.slow = None;
        }
        self.reserved = Some(Reserved::new(&self.world));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Asked) -> Self::Future {
        if self.reserved.take().is_none() {
            self.world.breach("readiness", "the leaf was called on an instance that was not ready");
        }
        let world = self.world.clone();
        let id = identity(&request);
        let nth = world.attempted(id);
        let host = request.uri().host().unwrap_or_default().to_owned();
        let target = request.uri().path() == "/moved";
        let step = if world.is_healthy() {
            Step::well()
        } else {
            self.script.step(&host, id, nth, world.began.elapsed(), target)
        };
        let number = Attempt::current().map_or(0, Attempt::number);
        world.trace(format_args!("  {} {id} at {host}, call {nth}, attempt {number}: {step:?}", request.method()));
        if let Some(late) =
            Attempt::current().and_then(Attempt::deadline).and_then(|at| Instant::now().checked_duration_since(at))
            && late > SLACK
        {
            world.breach("deadline", format_args!("a leaf was called {late:?} after the deadline of its attempt"));
        }
        Box::pin(run(world, request, id, step))
    }
}

pub(crate) fn identity(request: &Asked) -> u64 {
    let header = request.headers().get(IDENTITY).and_then(|value| value.to_str().ok());
    header.and_then(|id| id.parse().ok()).expect("every request carries its identity")
}

pub(crate) fn key(request: &Asked) -> Option<HeaderValue> {
    request.headers().get("idempotency-key").cloned()
}

/// The text that the body of request `id` carries, where it has one.
pub(crate) fn text(id: u64) -> String {
    format!("request {id}")
}

async fn run(world: Arc<World>, request: Asked, id: u64, step: Step) -> Result<Response<Flow>, BoxError> {
    match step.does {
        Does::Refused { real } => {
            pass(step.delay).await;
            if real && step.captures {
                return Err(wire::refused(request.extensions()).await.into());
            }
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        }
        Does::Early(status) => {
            pass(step.delay).await;
            return reply::of(&world, status, id, Content::Empty);
        }
        _ => {}
    }
    let key = key(&request);
    let (head, body) = request.into_parts();
    let read = body.collect().await?.to_bytes();
    if head.method != Method::GET && *read != *text(id).as_bytes() {
        world.breach("body", format_args!("{} {id} arrived with the body {read:?}", head.method));
    }
    world.executed("the leaf", id, &head.method, key);
    pass(step.delay).await;
    match step.does {
        Does::Status(status, hint) => {
            let mut response = reply::of(&world, status, id, step.body)?;
            if let Some(seconds) = hint {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            Ok(response)
        }
        Does::Redirect(to) => {
            world.redirected(id);
            if step.captures {
                wire::connected(&head.extensions).await;
            }
            let location = Uri::try_from(format!("http://{}/moved", ORIGINS[to]))?;
            let mut response = reply::of(&world, StatusCode::SEE_OTHER.as_u16(), id, Content::Empty)?;
            response.headers_mut().insert(header::LOCATION, location.to_string().parse()?);
            Ok(response)
        }
        Does::Hang => std::future::pending().await,
        Does::Panic => std::panic::resume_unwind(Box::new(Scripted)),
        Does::Reset | Does::Refused { .. } | Does::Early(_) => {
            Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
        }
    }
}

/// Waits for `delay`; without one the server answers at the first poll.
async fn pass(delay: Duration) {
    if !delay.is_zero() {
        sleep(delay).await;
    }
}
