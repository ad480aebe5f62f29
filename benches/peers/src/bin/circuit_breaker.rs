//! What a circuit breaker costs a call that succeeds at once, or that it refuses; in bytes, too, and with two threads.
//!
//! `circuit_breaker clock` prints nanoseconds on one and on two threads, `circuit_breaker bytes` the sizes.
use failsafe::CircuitBreaker as _;
use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::{Pin, pin},
    sync::{Arc, Barrier},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreaker, CircuitBreakerLayer, Circuits, Config, Window},
    classify::ByResult,
    setting::Ratio,
};
use steadfast_peers::{Answered, Ask, Case, Error, HttpRequest, Make, Ready, bytes_of, drive, drive_to_the_end, get};
use tower::Layer;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer as Resilience, SlidingWindowType};
use tower_service::Service;

const CASES: [Case; 21] = [
    ("bare", "bare", |n| drive(Ready, Ask, n)),
    ("two clock reads", "bare", |n| drive(Timed(Ready), Ask, n)),
    ("steadfast, a run", "bare", |n| drive(ours(run()), Ask, n)),
    ("steadfast, a run and the last 100 calls", "bare", |n| drive(ours(Config::default()), Ask, n)),
    ("steadfast, an hour, empty at first", "bare", |n| drive(ours(an_hour()), Ask, n)),
    ("steadfast, an hour, 100,000 calls before", "bare", |n| drive(ours(an_hour()), Ask, 100_000 + n)),
    ("steadfast, slow rate", "bare", |n| drive(ours(slow_rate()), Ask, n)),
    ("steadfast, one of 100 keys", "bare", |n| {
        let (service, last) = (keyed(100), Named(Arc::from("00099.example.com")));
        drive(service, last, n)
    }),
    ("steadfast, open, boxed error", "bare", |n| drive(opened().layer(Ready), Ask, n)),
    ("tower-resilience, the last 100 calls", "bare", |n| drive(resilience(false).layer(Ready), Ask, n)),
    ("tower-resilience, an hour, empty at first", "bare", |n| drive(resilience(true).layer(Ready), Ask, n)),
    ("tower-resilience, open", "bare", |n| drive(resilience_open(), Ask, n)),
    ("failsafe, a run", "bare", |n| drive(failsafe_run(), Ask, n)),
    ("failsafe, a run and a success rate", "bare", |n| drive(failsafe_default(), Ask, n)),
    ("recloser, the last 100 calls", "bare", |n| drive(recloser_100(), Ask, n)),
    ("get", "get", |n| drive(Ready, get(), n)),
    ("get, steadfast", "get", |n| drive(CircuitBreakerLayer::new(&Circuit::new("x")).layer(Ready), get(), n)),
    ("get, read", "get, read", |n| drive_to_the_end(Ready, get(), n)),
    ("get, read, steadfast", "get, read", |n| {
        drive_to_the_end(CircuitBreakerLayer::new(&Circuit::new("x")).layer(Ready), get(), n);
    }),
    ("get, steadfast, by origin", "get", |n| drive(by_origin(), get(), n)),
    ("get, steadfast, open, answered", "get", |n| drive(answering(), get(), n)),
];

fn main() -> Result<(), Error> {
    match std::env::args().nth(1).as_deref() {
        Some("clock") => clock(),
        Some("bytes") => bytes(),
        _ => return steadfast_peers::run(&CASES),
    }
    Ok(())
}

fn clock() {
    println!("| case | one thread, ns | two threads, ns | ratio |\n| --- | --- | --- | --- |");
    timed("bare", Ready);
    timed("two clock reads", Timed(Ready));
    timed("steadfast, a run and the last 100 calls", ours(Config::default()));
    timed("steadfast, an hour", ours(an_hour()));
    timed("steadfast, slow rate", ours(slow_rate()));
    timed("steadfast, open, boxed error", opened().layer(Ready));
    timed("tower-resilience, the last 100 calls", resilience(false).layer(Ready));
    timed("failsafe, a run", failsafe_run());
    timed("recloser, the last 100 calls", recloser_100());
}

/// Clones of one service, so one circuit. A call of two threads takes as long as both have run, by the calls of one. Rounds are
/// short, so that on a busy machine some are not interrupted; one in which the threads did not begin together says nothing.
fn timed<S: Service<u64> + Clone + Send + 'static>(name: &str, service: S) {
    const CALLS: u64 = 20_000;
    const ROUNDS: usize = 400;
    let best = |threads: usize| {
        let round = || {
            let start = Arc::new(Barrier::new(threads));
            let run = || {
                let (service, start) = (service.clone(), start.clone());
                std::thread::spawn(move || {
                    start.wait();
                    let began = Instant::now();
                    drive(service, Ask, CALLS);
                    (began, Instant::now())
                })
            };
            let runs: Vec<_> = (0..threads).map(|_| run()).collect();
            let runs: Vec<_> = runs.into_iter().filter_map(|run| run.join().ok()).collect();
            let (first, last) = (runs.iter().map(|run| run.0).min()?, runs.iter().map(|run| run.0).max()?);
            let took = runs.iter().map(|run| run.1).max()? - first;
            (last - first < took / 20).then_some(took)
        };
        let best = (0..ROUNDS).filter_map(|_| round()).min().unwrap_or_default();
        best.as_nanos() as f64 / CALLS as f64
    };
    let (one, two) = (best(1), best(2));
    println!("| {name} | {one:.1} | {two:.1} | {:.2} |", two / one);
}

fn bytes() {
    const KEYS: u32 = 100_000;
    println!("| what | bytes |\n| --- | --- |");
    for (name, config) in
        [("run", run()), ("run and the last 100 calls", Config::default()), ("ten buckets of time", an_hour())]
    {
        let config = Arc::new(config);
        let made = || (0..1000).map(|_| Circuit::with_config("x", config.clone())).collect::<Vec<_>>();
        println!("| a circuit, {name} | {} |", bytes_of(made) / 1000);
    }
    let circuits = bytes_of(|| keyed(KEYS));
    println!("| {KEYS} by key, the last 100 calls | {circuits} ({:.1} MiB) |", circuits as f64 / f64::from(1 << 20));
}

fn ours(config: Config) -> CircuitBreaker<Ready, ByResult> {
    CircuitBreakerLayer::by_result(&Circuit::with_config("x", config)).layer(Ready)
}

fn run() -> Config {
    Config::default().without_failure_rate().with_window(Window::consecutive())
}

fn an_hour() -> Config {
    let window = Window::time(Duration::from_secs(3600), 10);
    Config::default().with_window(window.unwrap_or_default())
}

fn slow_rate() -> Config {
    Config::default().with_slow_rate(Ratio::HALF)
}

/// A service that was called with so many keys.
fn keyed(keys: u32) -> impl Service<Named> {
    let circuits = Circuits::per_origin("x", Config::default()).with_capacity(2 * keys as usize);
    let key: fn(&Named) -> Option<&str> = |request| Some(&request.0);
    let mut service = CircuitBreakerLayer::by_result(circuits).keyed_by(key).layer(Ready);
    for key in 0..keys {
        drive(&mut service, Named(Arc::from(format!("{key:05}.example.com"))), 1);
    }
    service
}

/// A request with a key.
#[derive(Clone)]
struct Named(Arc<str>);

impl Make<Named> for Named {
    fn make(&self) -> Named {
        self.clone()
    }
}

impl Service<Named> for Ready {
    type Response = u64;
    type Error = Infallible;
    type Future = Answered<u64>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<u64>::poll_ready(self, cx)
    }

    fn call(&mut self, _: Named) -> Answered<u64> {
        Service::<u64>::call(self, 7)
    }
}

fn opened() -> CircuitBreakerLayer<ByResult> {
    CircuitBreakerLayer::by_result(&open_circuit())
}

fn answering() -> impl Service<HttpRequest> {
    CircuitBreakerLayer::new(&open_circuit()).respond().layer(Ready)
}

fn by_origin() -> impl Service<HttpRequest> {
    CircuitBreakerLayer::new(Circuits::per_origin("x", Config::default())).layer(Ready)
}

fn open_circuit() -> Circuit {
    let circuit = Circuit::new("x");
    circuit.open_for(Duration::from_secs(3600));
    circuit
}

fn resilience(time: bool) -> Resilience {
    let layer = Resilience::builder().failure_rate_threshold(0.5).sliding_window_size(100).minimum_number_of_calls(10);
    let layer = if time {
        layer.sliding_window_type(SlidingWindowType::TimeBased).sliding_window_duration(Duration::from_secs(3600))
    } else {
        layer
    };
    layer.build().unwrap_or_else(|no| panic!("{no}"))
}

fn resilience_open() -> impl Service<u64> + Clone + Send + 'static {
    let layer = Resilience::builder().failure_rate_threshold(0.5).wait_duration_in_open(Duration::from_secs(3600));
    let (layer, handle) = layer.build_with_handle().unwrap_or_else(|no| panic!("{no}"));
    let _ = pin!(handle.force_open()).poll(&mut Context::from_waker(Waker::noop()));
    layer.layer(Ready)
}

fn failsafe_run() -> ByHand<impl Around> {
    let pause = failsafe::backoff::constant(Duration::from_secs(5));
    let policy = failsafe::failure_policy::consecutive_failures(5, pause);
    ByHand(Arc::new(failsafe::Config::new().failure_policy(policy).build()))
}

fn failsafe_default() -> ByHand<impl Around> {
    ByHand(Arc::new(failsafe::Config::new().build()))
}

fn recloser_100() -> ByHand<impl Around> {
    ByHand(Arc::new(recloser::Recloser::custom().closed_len(100).error_rate(0.5).build()))
}

/// A breaker that is no tower layer: the closure that it runs makes the whole call.
trait Around: Send + Sync + 'static {
    fn around(&self, call: impl FnOnce() -> Result<u64, Infallible>) -> Result<u64, ()>;
}

impl<P, I> Around for failsafe::StateMachine<P, I>
where
    P: failsafe::FailurePolicy + Send + Sync + 'static,
    I: failsafe::Instrument + Send + Sync + 'static,
{
    fn around(&self, call: impl FnOnce() -> Result<u64, Infallible>) -> Result<u64, ()> {
        self.call(call).map_err(drop)
    }
}

impl Around for recloser::Recloser {
    fn around(&self, call: impl FnOnce() -> Result<u64, Infallible>) -> Result<u64, ()> {
        self.call(call).map_err(drop)
    }
}

struct ByHand<B>(Arc<B>);

impl<B> Clone for ByHand<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: Around> Service<u64> for ByHand<B> {
    type Response = u64;
    type Error = ();
    type Future = std::future::Ready<Result<u64, ()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        std::future::ready(self.0.around(|| {
            match pin!(Ready.call(request)).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => answer,
                Poll::Pending => Ok(0),
            }
        }))
    }
}

/// Reads the clock before and after the call, as whoever wants to know how long it took has to.
#[derive(Clone)]
struct Timed(Ready);

struct Took(Answered<u64>, Instant);

impl Future for Took {
    type Output = Result<u64, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(cx);
        black_box(self.1.elapsed());
        answer
    }
}

impl Service<u64> for Timed {
    type Response = u64;
    type Error = Infallible;
    type Future = Took;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<u64>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: u64) -> Took {
        let began = Instant::now();
        Took(self.0.call(request), began)
    }
}
