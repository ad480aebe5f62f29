//! The state that all parts of one run share: the trace, the executions, the places that are lent, and the rules that were broken.

use http::{HeaderValue, Method};
use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{body::Caps, circuit_breaker::Circuits, retry::Budget};
use tokio::{sync::Semaphore, time::Instant};

/// The header by which all attempts of one request are recognised.
pub(crate) const IDENTITY: &str = "x-id";

/// A rule that a run broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) rule: &'static str,
    pub(crate) detail: String,
}

pub(crate) struct World {
    pub(crate) began: Instant,
    /// Set when every server is healthy from now on.
    pub(crate) healthy: AtomicBool,
    /// Instances of leaves that are reserved at this moment.
    pub(crate) reserved: AtomicU64,
    /// Leaves that were called.
    pub(crate) calls: AtomicU64,
    /// Instances may be reserved without a call.
    pub(crate) holds: AtomicBool,
    /// A hedge keeps the response of its first attempt while the second one is under way.
    pub(crate) hedges: AtomicBool,
    ids: AtomicU64,
    inner: Mutex<Inner>,
    pub(crate) lent: Mutex<Lent>,
}

#[derive(Default)]
struct Inner {
    trace: Vec<(Duration, String)>,
    breaches: Vec<Breach>,
    requests: BTreeMap<u64, Request>,
}

/// The attempts and executions of one request.
#[derive(Default, Clone)]
pub(crate) struct Request {
    /// How often a leaf was called for it.
    pub(crate) attempts: u64,
    /// Executions that may not be repeated, by the place that executed: their keys.
    pub(crate) posts: BTreeMap<&'static str, Vec<Option<HeaderValue>>>,
    pub(crate) executions: u64,
    /// Responses that are not dropped yet.
    responses: u64,
    /// Executions that were answered with a redirect.
    pub(crate) hops: u64,
    /// The moment before which it has to be over, and how often a leaf may be called for it.
    pub(crate) deadline: Option<Instant>,
    pub(crate) most: u64,
}

/// The limits, budgets and circuits that have to be whole at the end.
#[derive(Default)]
pub(crate) struct Lent {
    pub(crate) limits: Vec<(&'static str, Arc<Semaphore>, usize)>,
    pub(crate) budgets: Vec<(Budget, u64)>,
    pub(crate) caps: Vec<Caps>,
    pub(crate) circuits: Vec<Circuits>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            healthy: AtomicBool::new(false),
            reserved: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            holds: AtomicBool::new(false),
            hedges: AtomicBool::new(false),
            ids: AtomicU64::new(1),
            inner: Mutex::default(),
            lent: Mutex::default(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Returns a new identity, of a request for which a leaf may be called at most `most` times.
    pub(crate) fn identity(&self, most: u64) -> u64 {
        let id = self.ids.fetch_add(1, SeqCst);
        self.inner().requests.insert(id, Request { most, ..Request::default() });
        id
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(SeqCst)
    }

    pub(crate) fn trace(&self, event: impl Display) {
        let at = self.began.elapsed();
        self.inner().trace.push((at, event.to_string()));
    }

    /// Records that a rule was broken.
    pub(crate) fn breach(&self, rule: &'static str, detail: impl Display) {
        let breach = Breach { rule, detail: detail.to_string() };
        self.trace(format_args!("BROKEN {rule}: {}", breach.detail));
        self.inner().breaches.push(breach);
    }

    pub(crate) fn breaches(&self) -> Vec<Breach> {
        self.inner().breaches.clone()
    }

    pub(crate) fn events(&self) -> Vec<(Duration, String)> {
        self.inner().trace.clone()
    }

    pub(crate) fn set_deadline(&self, id: u64, deadline: Instant) {
        self.inner().requests.entry(id).or_default().deadline = Some(deadline);
    }

    pub(crate) fn request(&self, id: u64) -> Request {
        self.inner().requests.get(&id).cloned().unwrap_or_default()
    }

    /// Records that a leaf was called for request `id`. Returns how often it was called before.
    pub(crate) fn attempted(&self, id: u64) -> u64 {
        self.calls.fetch_add(1, SeqCst);
        let mut inner = self.inner();
        let request = inner.requests.entry(id).or_default();
        request.attempts += 1;
        let (attempts, most, deadline, responses) =
            (request.attempts, request.most, request.deadline, request.responses);
        drop(inner);
        if most > 0 && attempts > most {
            self.breach(
                "attempts",
                format_args!("request {id} reached the server {attempts} times, at most {most} are right"),
            );
        }
        if responses > 0 && !self.hedges.load(SeqCst) {
            self.breach("kept", format_args!("request {id} is sent again while {responses} of its responses are held"));
        }
        if let Some(late) = deadline.and_then(|at| Instant::now().checked_duration_since(at))
            && late > SLACK
        {
            self.breach("deadline", format_args!("request {id} was sent {late:?} after its deadline"));
        }
        attempts - 1
    }

    pub(crate) fn response_made(&self, id: u64) {
        self.inner().requests.entry(id).or_default().responses += 1;
    }

    pub(crate) fn response_dropped(&self, id: u64) {
        self.inner().requests.entry(id).or_default().responses -= 1;
    }

    /// Records that an execution of request `id` was answered with a redirect.
    pub(crate) fn redirected(&self, id: u64) {
        self.inner().requests.entry(id).or_default().hops += 1;
    }

    /// Records that `place` executed request `id`.
    pub(crate) fn executed(&self, place: &'static str, id: u64, method: &Method, key: Option<HeaderValue>) {
        let mut inner = self.inner();
        let request = inner.requests.entry(id).or_default();
        request.executions += 1;
        if *method != Method::POST {
            return;
        }
        let posts = request.posts.entry(place).or_default();
        posts.push(key);
        let once = posts.len() == 1 || posts[0].is_some() && posts.iter().all(|key| *key == posts[0]);
        let executions = posts.len();
        drop(inner);
        if !once {
            self.breach("once", format_args!("POST {id} was executed {executions} times by {place}"));
        }
    }
}

/// Timers of tokio have whole milliseconds, and layers above each other add theirs up.
pub(crate) const SLACK: Duration = Duration::from_millis(10);
