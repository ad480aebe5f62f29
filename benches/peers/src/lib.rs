//! What a layer costs a call more than the bare service: instructions and allocations, counted.
//!
//! Without arguments a benchmark runs itself under callgrind, each case with two numbers of calls, and prints the table. With
//! the name of a case and a number it makes that many calls: for `callgrind_annotate`.
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
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
};
use tower_service::Service;

pub type Error = Box<dyn std::error::Error>;
pub type HttpRequest = Request<Full<Bytes>>;

/// A name, the case that it is more than, and what makes so many calls.
pub type Case = (&'static str, &'static str, fn(u64));

/// Calls in the shorter and in the longer run: the difference is free of what starts and ends a process.
const RUNS: (u64, u64) = (1_000, 11_000);

/// What the program was told to do: one case, or all of them in a table.
pub fn run(cases: &[Case]) -> Result<(), Error> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if let [name, calls] = &args[..] {
        let (_, _, run) = cases.iter().find(|(case, ..)| case == name).ok_or("no such case")?;
        run(calls.parse()?);
        return Ok(());
    }
    println!("| case | instructions | more | allocations | more |\n| --- | --- | --- | --- | --- |");
    let mut seen = Vec::new();
    for (name, base, run) in cases {
        let counted = (instructions(name)?, allocations(*run));
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
pub fn drive<S: Service<Req>, Req>(service: S, request: impl Make<Req>, calls: u64) {
    let mut service = black_box(service);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..calls {
        let request = black_box(request.make());
        let _ = black_box(service.poll_ready(&mut cx));
        let mut call = pin!(service.call(request));
        let _ = black_box(black_box(call.as_mut()).poll(&mut cx));
    }
}

/// The same over http, and each response is read to its end.
pub fn drive_to_the_end<S, B>(service: S, request: impl Make<HttpRequest>, calls: u64)
where
    S: Service<HttpRequest, Response = http::Response<B>>,
    B: Body,
{
    let mut service = black_box(service);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..calls {
        let request = black_box(request.make());
        let _ = black_box(service.poll_ready(&mut cx));
        let mut call = pin!(service.call(request));
        if let Poll::Ready(Ok(response)) = black_box(black_box(call.as_mut()).poll(&mut cx)) {
            let mut body = pin!(response.into_body());
            while let Poll::Ready(Some(frame)) = black_box(body.as_mut().poll_frame(&mut cx)) {
                let _ = black_box(frame);
            }
        }
    }
}

/// A new request for every call.
pub trait Make<Req> {
    fn make(&self) -> Req;
}

#[derive(Clone, Copy)]
pub struct Ask;

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

pub fn http(method: Method, body: usize) -> HttpRequest {
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

pub fn get() -> HttpRequest {
    http(Method::GET, 0)
}

/// Always ready, answers at once. Never inlined: else the compiler would see through it that nobody looks at what a layer
/// says around the call.
#[derive(Clone, Copy)]
pub struct Ready;

pub struct Answered<T>(Waits<Result<T, Infallible>>);

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
        // a body that no call allocates
        Answered(std::future::ready(Ok(http::Response::new(Full::from(&[b'x'; 256][..])))))
    }
}

/// Bytes that what is made here holds. It is never freed: what others free by then is not to be mistaken for it.
pub fn bytes_of<T>(make: impl FnOnce() -> T) -> u64 {
    let before = LIVE.load(Ordering::Relaxed);
    std::mem::forget(black_box(make()));
    LIVE.load(Ordering::Relaxed) - before
}

struct Counting;

static ALLOCATED: AtomicU64 = AtomicU64::new(0);
/// Bytes that are allocated now.
static LIVE: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all of it is the system's allocator; only the calls are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(1, Ordering::Relaxed);
        LIVE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}
