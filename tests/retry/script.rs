//! A service that answers as it is told, holds its caller to the tower contract, and remembers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use steadfast::{attempt::Attempt, error::BoxError};
use tokio::time::Instant;
use tower::Service;

pub type Body = Full<Bytes>;
pub type Answer = Result<Response<Body>, BoxError>;

/// What one call does.
pub enum Step {
    Status(u16, Vec<(&'static str, String)>),
    Error(BoxError),
    /// A status after this long.
    Late(Duration, u16),
    Hang,
}

/// How one `poll_ready` goes; `Yes` when nothing is said.
pub enum Ready {
    Yes,
    Never,
    Error,
}

/// What was seen of one call.
pub struct Seen {
    pub at: Instant,
    pub attempt: Option<Attempt>,
    /// In the extensions of the request.
    pub marked: Option<Attempt>,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub instance: usize,
    /// How many answers of earlier calls were still alive.
    pub answers_alive: usize,
}

#[derive(Default)]
struct Shared {
    steps: Mutex<VecDeque<Step>>,
    ready: Mutex<VecDeque<Ready>>,
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<Vec<Weak<()>>>,
    instances: AtomicUsize,
    running: Arc<AtomicUsize>,
    polled_ready: AtomicUsize,
}

/// Clones share the script; each is ready or not by itself.
pub struct Script {
    shared: Arc<Shared>,
    instance: usize,
    ready: bool,
}

/// In an answer's extensions: tells whether the answer is still held.
#[derive(Clone)]
struct Alive(#[allow(dead_code)] Arc<()>);

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let shared = Shared { steps: Mutex::new(steps.into_iter().collect()), ..Shared::default() };
        shared.instances.store(1, SeqCst);
        Self { shared: Arc::new(shared), instance: 0, ready: false }
    }

    /// Every call gets the same answer.
    pub fn always(status: u16) -> Self {
        Self::new((0..10_000).map(|_| self::status(status)))
    }

    pub fn with_ready(self, ready: impl IntoIterator<Item = Ready>) -> Self {
        self.shared.ready.lock().unwrap().extend(ready);
        self
    }

    /// The same script, to look at afterwards; not an instance that is ever called.
    pub fn watch(&self) -> Self {
        Self { shared: self.shared.clone(), instance: usize::MAX, ready: false }
    }

    pub fn calls(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    pub fn seen<T>(&self, look: impl Fn(&Seen) -> T) -> Vec<T> {
        self.shared.seen.lock().unwrap().iter().map(look).collect()
    }

    /// How long after the start each call came.
    pub fn times(&self, start: Instant) -> Vec<Duration> {
        self.seen(|seen| seen.at - start)
    }

    pub fn answers_alive(&self) -> usize {
        self.shared.answers.lock().unwrap().iter().filter(|answer| answer.strong_count() > 0).count()
    }

    /// Call futures that exist.
    pub fn running(&self) -> usize {
        self.shared.running.load(SeqCst)
    }

    pub fn polled_ready(&self) -> usize {
        self.shared.polled_ready.load(SeqCst)
    }

    /// How many instances were ever made, the first one included.
    pub fn instances(&self) -> usize {
        self.shared.instances.load(SeqCst)
    }
}

impl Clone for Script {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), instance: self.shared.instances.fetch_add(1, SeqCst), ready: false }
    }
}

struct Running(Arc<AtomicUsize>);
impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Service<Request<Body>> for Script {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.shared.polled_ready.fetch_add(1, SeqCst);
        let mut ready = self.shared.ready.lock().unwrap();
        if matches!(ready.front(), Some(Ready::Never)) {
            return Poll::Pending;
        }
        match ready.pop_front() {
            None | Some(Ready::Yes) => {
                self.ready = true;
                Poll::Ready(Ok(()))
            }
            Some(_) => Poll::Ready(Err("not ready".into())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called an instance that is not ready");
        let shared = self.shared.clone();
        let (at, attempt, instance, answers_alive) =
            (Instant::now(), Attempt::current(), self.instance, self.answers_alive());
        let step = shared.steps.lock().unwrap().pop_front().expect("the script has ended");
        shared.running.fetch_add(1, SeqCst);
        let running = Running(shared.running.clone());
        let (head, body) = request.into_parts();
        let marked = head.extensions.get().copied();
        // before the first poll: a call that is dropped at once was a call
        let body = {
            let mut body = Box::pin(body.collect());
            match body.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
                Poll::Ready(body) => body.unwrap().to_bytes(),
                Poll::Pending => panic!("a body in memory is ready"),
            }
        };
        let seen = Seen { at, attempt, marked, headers: head.headers, body, instance, answers_alive };
        shared.seen.lock().unwrap().push(seen);
        Box::pin(async move {
            let _running = running;
            let step = match step {
                Step::Late(after, code) => {
                    tokio::time::sleep(after).await;
                    status(code)
                }
                step => step,
            };
            match step {
                Step::Status(status, headers) => {
                    let alive = Arc::new(());
                    shared.answers.lock().unwrap().push(Arc::downgrade(&alive));
                    let mut response = Response::builder().status(status).extension(Alive(alive));
                    for (name, value) in headers {
                        response = response.header(HeaderName::from_static(name), value);
                    }
                    Ok(response.body(Full::from("answer")).unwrap())
                }
                Step::Error(error) => Err(error),
                Step::Hang | Step::Late(..) => std::future::pending().await,
            }
        })
    }
}

pub fn status(status: u16) -> Step {
    Step::Status(status, Vec::new())
}

pub fn with_header(status: u16, name: &'static str, value: impl std::fmt::Display) -> Step {
    Step::Status(status, vec![(name, value.to_string())])
}

pub fn error(error: impl Into<BoxError>) -> Step {
    Step::Error(error.into())
}

pub fn io(kind: std::io::ErrorKind) -> Step {
    error(std::io::Error::from(kind))
}

pub fn get() -> Request<Body> {
    request("GET", &[])
}

pub fn request(method: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri("http://example.com/things");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from("question")).unwrap()
}
