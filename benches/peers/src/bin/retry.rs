//! What a retry layer costs a call that succeeds at once: instructions and allocations more than the bare service, counted.
//!
//! Without arguments it runs itself under callgrind, each case with two numbers of calls, and prints the table. With the
//! name of a case and a number it makes that many calls: for `callgrind_annotate`.
use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body::Body;
use http_body_util::Full;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    convert::Infallible,
    future::{Future, Ready as Waits},
    hint::black_box,
    pin::{Pin, pin},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::retry::{Allowance, Budget, RetryLayer, StandardPolicy};
use tower::{
    Layer,
    retry::{
        Policy,
        budget::{Budget as _, TpsBudget},
    },
};
use tower_service::Service;

type Error = Box<dyn std::error::Error>;
type HttpRequest = Request<Full<Bytes>>;

/// A name, the case that it is more than, and what makes so many calls.
const CASES: [(&str, &str, fn(u64)); 18] = [
    ("bare", "bare", |n| drive(Ready, Ask, n)),
    ("steadfast", "bare", |n| drive(RetryLayer::by_result(policy()).without_budget().layer(Ready), Ask, n)),
    ("steadfast, budget that is full", "bare", |n| drive(RetryLayer::by_result(policy()).layer(Ready), Ask, n)),
    ("steadfast, budget that fills", "bare", |n| {
        let budget = Budget::new(Allowance::new().with_most(u32::MAX));
        drive(RetryLayer::by_result(policy()).with_budget(budget).layer(Ready), Ask, n);
    }),
    ("tower", "bare", |n| drive(tower::retry::RetryLayer::new(Thrice(2)).layer(Ready), Ask, n)),
    ("tower, budget", "bare", |n| drive(tower::retry::RetryLayer::new(Funded::new()).layer(Ready), Ask, n)),
    ("tower-resilience", "bare", |n| drive(resilience().layer(Ready), Ask, n)),
    ("get", "get", |n| drive(Ready, get(), n)),
    ("get, head cloned", "get", |n| drive(CloneHead(Ready), get(), n)),
    ("get, steadfast", "get", |n| drive(RetryLayer::new(policy()).without_budget().layer(Ready), get(), n)),
    ("get, tower", "get", |n| drive(tower::retry::RetryLayer::new(Thrice(2)).layer(Ready), get(), n)),
    ("put", "put", |n| drive(Ready, put(), n)),
    ("put, head cloned", "put", |n| drive(CloneHead(Ready), put(), n)),
    ("put, steadfast", "put", |n| drive(RetryLayer::new(policy()).without_budget().layer(Ready), put(), n)),
    ("put, tower", "put", |n| drive(tower::retry::RetryLayer::new(Thrice(2)).layer(Ready), put(), n)),
    ("keyed post", "keyed post", |n| drive(Ready, keyed_post(), n)),
    ("keyed post, head cloned", "keyed post", |n| drive(CloneHead(Ready), keyed_post(), n)),
    ("keyed post, steadfast", "keyed post", |n| {
        drive(RetryLayer::new(policy()).without_budget().layer(Ready), keyed_post(), n);
    }),
];

/// Calls in the shorter and in the longer run: the difference is free of what starts and ends a process.
const RUNS: (u64, u64) = (1_000, 11_000);

fn main() -> Result<(), Error> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if let [name, calls] = &args[..] {
        let (_, _, run) = CASES.iter().find(|(case, ..)| case == name).ok_or("no such case")?;
        run(calls.parse()?);
        return Ok(());
    }
    println!("| case | instructions | more | allocations | more |\n| --- | --- | --- | --- | --- |");
    let mut seen = Vec::new();
    for (name, base, run) in CASES {
        let counted = (instructions(name)?, allocations(run));
        seen.push((name, counted));
        let of = seen.iter().find(|(case, _)| *case == base).map_or(counted, |(_, of)| *of);
        println!(
            "| {name} | {:.1} | {:+.1} | {:.2} | {:+.2} |",
            counted.0,
            counted.0 - of.0,
            counted.1,
            counted.1 - of.1
        );
    }
    Ok(())
}

fn a_call(less: u64, more: u64) -> f64 {
    // a few that come and go with the run are no minus
    ((more as f64 - less as f64) / (RUNS.1 - RUNS.0) as f64).max(0.0)
}

fn instructions(case: &str) -> Result<f64, Error> {
    Ok(a_call(collected(case, RUNS.0)?, collected(case, RUNS.1)?))
}

fn collected(case: &str, calls: u64) -> Result<u64, Error> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([case, &calls.to_string()])
        .output()?;
    let said = String::from_utf8(run.stderr)?;
    let (_, count) = said.split_once("Collected :").ok_or_else(|| said.clone())?;
    Ok(count.split_whitespace().next().ok_or("no count")?.parse()?)
}

fn allocations(run: fn(u64)) -> f64 {
    let of = |calls| {
        let before = ALLOCATED.load(Ordering::Relaxed);
        run(calls);
        ALLOCATED.load(Ordering::Relaxed) - before
    };
    a_call(of(RUNS.0), of(RUNS.1))
}

/// Calls one after the other, as a caller that awaits each. Where the future lies is not the compiler's to know, as in a task.
fn drive<S: Service<Req, Error = Infallible>, Req>(service: S, request: impl Make<Req>, calls: u64) {
    let mut service = black_box(service);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..calls {
        let request = black_box(request.make());
        let _ = black_box(service.poll_ready(&mut cx));
        let mut call = pin!(service.call(request));
        let _ = black_box(black_box(call.as_mut()).poll(&mut cx));
    }
}

/// A new request for every call.
trait Make<Req> {
    fn make(&self) -> Req;
}

#[derive(Clone, Copy)]
struct Ask;

impl Make<u64> for Ask {
    fn make(&self) -> u64 {
        7
    }
}

impl Make<HttpRequest> for HttpRequest {
    fn make(&self) -> HttpRequest {
        let mut request = self.clone();
        // from a buffer of its own, as a serializer leaves it; an empty one allocates nothing
        if let Some(len) = self.body().size_hint().exact().and_then(|len| usize::try_from(len).ok()) {
            *request.body_mut() = Full::from(vec![b'x'; len]);
        }
        request
    }
}

fn http(method: Method, body: usize) -> HttpRequest {
    let mut request = Request::new(Full::from(vec![b'x'; body]));
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::from_static("https://example.com/orders/4711?expand=lines");
    for (name, value) in
        [("accept", "application/json"), ("user-agent", "bench/1"), ("authorization", "Bearer 0123456789")]
    {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request
}

fn get() -> HttpRequest {
    http(Method::GET, 0)
}

fn put() -> HttpRequest {
    http(Method::PUT, 1024)
}

fn keyed_post() -> HttpRequest {
    let mut request = http(Method::POST, 1024);
    request
        .headers_mut()
        .insert("idempotency-key", HeaderValue::from_static("\"8e03978e-40d5-43dd-bc93-6894a57f9324\""));
    request
}

/// Always ready, answers at once. Never inlined: else the compiler would see through it that nobody looks at what a layer
/// says around the call.
#[derive(Clone, Copy)]
struct Ready;

struct Answered<T>(Waits<Result<T, Infallible>>);

impl<T> Future for Answered<T> {
    type Output = Result<T, Infallible>;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(black_box(&mut self.get_mut().0)).poll(cx)
    }
}

impl<T> Unpin for Answered<T> {}

impl Service<u64> for Ready {
    type Response = u64;
    type Error = Infallible;
    type Future = Answered<u64>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: u64) -> Answered<u64> {
        Answered(std::future::ready(Ok(black_box(request))))
    }
}

impl Service<HttpRequest> for Ready {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answered<http::Response<Full<Bytes>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: HttpRequest) -> Self::Future {
        drop(black_box(request));
        Answered(std::future::ready(Ok(http::Response::new(Full::default()))))
    }
}

/// The least that anybody must do to send a request again.
struct CloneHead(Ready);

impl Service<HttpRequest> for CloneHead {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answered<http::Response<Full<Bytes>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<HttpRequest>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let (head, body) = request.into_parts();
        drop(black_box(head.clone()));
        self.0.call(Request::from_parts(head, body))
    }
}

fn policy() -> StandardPolicy {
    StandardPolicy::new()
}

/// For `tower::retry`: errors, a number of times, at once.
#[derive(Clone, Copy)]
struct Thrice(u32);

impl<Req: Clone, Res, E> Policy<Req, Res, E> for Thrice {
    type Future = Waits<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Waits<()>> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// The same with tower's budget.
#[derive(Clone)]
struct Funded(Thrice, Arc<TpsBudget>);

impl Funded {
    fn new() -> Self {
        Self(Thrice(2), Arc::default())
    }
}

impl<Req: Clone, Res, E> Policy<Req, Res, E> for Funded {
    type Future = Waits<()>;

    fn retry(&mut self, request: &mut Req, result: &mut Result<Res, E>) -> Option<Waits<()>> {
        if result.is_ok() {
            self.1.deposit();
            return None;
        }
        if self.1.withdraw() { self.0.retry(request, result) } else { None }
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

fn resilience() -> tower_resilience_retry::RetryLayer<u64, u64, Infallible> {
    tower_resilience_retry::RetryLayer::builder()
        .max_attempts(3)
        .exponential_backoff(Duration::from_millis(100))
        .build()
}

struct Counting;

static ALLOCATED: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all of it is the system's allocator; only the calls are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}
