//! An overload that feeds itself: 240 requests a second for a server that bears 300, and that is ten times as slow for 10 s.
//! What it works on is work, whether or not anybody still waits for it.

use crate::{Request, Response, answer, assert_near, chance::Chance, for_each_seed, get, mean, ms};
use http::StatusCode;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    backoff::Exponential,
    retry::{Budget, Budgets, RetryLayer, StandardPolicy},
    timeout::TimeoutLayer,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

const CLIENTS: u64 = 20;
const REQUESTS_A_SECOND: f64 = 240.0;
const CAPACITY_A_SECOND: f64 = 300.0;
/// Longer queues than this are refused.
const QUEUE: f64 = 1000.0;
const SLOW: std::ops::Range<usize> = 20..30;
const END: usize = 120;
const ATTEMPTS: u32 = 4;
const TIMEOUT: Duration = Duration::from_secs(1);
const WIRE: Duration = ms(5);

/// A budget of 20 % of successes for each client, full jitter, base 100 ms, cap 2 s: mean of five seeds.
const REFERENCE_CALLS: f64 = 29_613.0;
/// Seconds after the cause is gone.
const RECOVERED_WITHIN: usize = 20;
/// The same without a budget: it never recovers.
const REFERENCE_CALLS_UNBOUNDED: f64 = 100_680.0;

struct Server {
    start: Instant,
    /// When all that was taken in is done.
    free: Instant,
    calls: u32,
}

impl Server {
    fn take(&mut self) -> Result<Instant, StatusCode> {
        self.calls += 1;
        let now = Instant::now();
        let waiting = self.free.saturating_duration_since(now).as_secs_f64() * CAPACITY_A_SECOND;
        if waiting >= QUEUE {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let slow = SLOW.contains(&second_of(now - self.start));
        let capacity = if slow { CAPACITY_A_SECOND / 10.0 } else { CAPACITY_A_SECOND };
        self.free = self.free.max(now) + Duration::from_secs_f64(1.0 / capacity);
        Ok(self.free)
    }
}

fn second_of(since_start: Duration) -> usize {
    usize::try_from(since_start.as_secs()).unwrap()
}

/// What was asked in one second, and what of that was answered.
#[derive(Clone, Copy, Default)]
struct Second {
    asked: u32,
    answered: u32,
}

impl Second {
    fn is_well(self) -> bool {
        f64::from(self.answered) >= 0.98 * f64::from(self.asked)
    }
}

struct Storm {
    calls: f64,
    /// Seconds from the end of the cause to the first three in a row that were well.
    recovered: Option<usize>,
}

async fn storm(budgets: impl Fn() -> Budgets, seed: u64) -> Storm {
    let start = Instant::now();
    let server = Arc::new(Mutex::new(Server { start, free: start, calls: 0 }));
    let seconds = Arc::new(Mutex::new([Second::default(); END]));
    let service = service_fn({
        let server = server.clone();
        move |_: Request| {
            let taken = server.lock().unwrap().take();
            async move {
                let status = match taken {
                    Ok(done) => {
                        sleep_until(done).await;
                        StatusCode::OK
                    }
                    Err(status) => status,
                };
                sleep(WIRE).await;
                Ok::<Response, Infallible>(answer(status))
            }
        }
    });
    let policy = || {
        let backoff = Exponential::new(ms(100), Duration::from_secs(2)).unwrap();
        StandardPolicy::new().with_max_retries(ATTEMPTS - 1).with_backoff(backoff)
    };
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let retry = RetryLayer::new(policy()).with_budget(budgets()).with_seed(seed * 1000 + client);
            // the wire back is no part of what a client waits for
            let attempt = TimeoutLayer::attempt(TIMEOUT + WIRE);
            ServiceBuilder::new().layer(retry).layer(attempt).service(service.clone())
        })
        .collect();

    let (mut chance, mut requests, mut at) = (Chance::new(seed), JoinSet::new(), start);
    for client in clients.iter().cycle() {
        at += chance.gap(REQUESTS_A_SECOND);
        let second = second_of(at - start);
        if second >= END {
            break;
        }
        sleep_until(at).await;
        let (client, seconds) = (client.clone(), seconds.clone());
        seconds.lock().unwrap()[second].asked += 1;
        requests.spawn(async move {
            if client.oneshot(get()).await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                seconds.lock().unwrap()[second].answered += 1;
            }
        });
    }
    requests.join_all().await;
    let after = &seconds.lock().unwrap()[SLOW.end..];
    let recovered = after.windows(3).position(|three| three.iter().all(|second| second.is_well()));
    let calls = f64::from(server.lock().unwrap().calls);
    Storm { calls, recovered }
}

fn storms(what: &str, budgets: fn() -> Budgets) -> Vec<Storm> {
    let storms = for_each_seed(|seed| storm(budgets, seed));
    for (seed, storm) in (1..).zip(&storms) {
        println!("{what}, seed {seed}: {} calls, recovered after {:?} s", storm.calls, storm.recovered);
    }
    println!("{what}, mean: {:.0} calls", mean(storms.iter().map(|storm| storm.calls)));
    storms
}

#[test]
fn with_the_budget_that_every_layer_has_an_overload_ends_when_its_cause_does() {
    for storm in storms("a fifth of successes", || Budget::default().into()) {
        assert_near("calls", storm.calls, REFERENCE_CALLS);
        assert!(storm.recovered.is_some_and(|seconds| seconds <= RECOVERED_WITHIN), "{:?}", storm.recovered);
    }
}

#[test]
fn without_a_budget_it_never_ends() {
    for storm in storms("no budget", Budgets::none) {
        assert_near("calls", storm.calls, REFERENCE_CALLS_UNBOUNDED);
        assert_eq!(storm.recovered, None);
    }
}
