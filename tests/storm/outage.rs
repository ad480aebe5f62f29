//! A server is away for 5 s. A thousand clients called it in the same 20 ms, and it comes back with room for 500 calls a second.

use crate::{Request, Response, answer, assert_near, chance::Chance, for_each_seed, get, mean, ms};
use http::StatusCode;
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    backoff::{Exponential, Jitter},
    retry::{RetryLayer, StandardPolicy},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt, service_fn};

const CLIENTS: usize = 1000;
const AWAY: Duration = Duration::from_secs(5);
/// What the server takes in each [`SLOT`]: 500 a second.
const A_SLOT: u32 = 25;
const SLOT: Duration = ms(50);

/// Full jitter, base 100 ms, cap 5 s, no floor: mean of five seeds.
const REFERENCE_CALLS: f64 = 8362.0;
const REFERENCE_P99: f64 = 9.62;
/// The same without jitter.
const REFERENCE_CALLS_UNSPREAD: f64 = 17917.0;
const REFERENCE_P99_UNSPREAD: f64 = 124.94;

struct Server {
    up: Instant,
    chance: Chance,
    calls: u32,
    /// Calls that were done, by slot.
    done: HashMap<u128, u32>,
}

impl Server {
    fn take(&mut self) -> StatusCode {
        self.calls += 1;
        let now = Instant::now();
        let Some(since) = now.checked_duration_since(self.up) else { return StatusCode::SERVICE_UNAVAILABLE };
        let done = self.done.entry(since.as_nanos() / SLOT.as_nanos()).or_default();
        if *done == A_SLOT {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        *done += 1;
        StatusCode::OK
    }
}

struct Storm {
    calls: f64,
    /// When 99 % of the clients had their answer, in seconds.
    p99: f64,
}

async fn storm(jitter: Jitter, seed: u64) -> Storm {
    let start = Instant::now();
    let chance = Chance::new(seed);
    let server = Arc::new(Mutex::new(Server { up: start + AWAY, chance, calls: 0, done: HashMap::new() }));
    let service = service_fn({
        let server = server.clone();
        move |_: Request| {
            let server = server.clone();
            async move {
                let (there, back) = {
                    let chance = &mut server.lock().unwrap().chance;
                    (chance.network(), chance.network())
                };
                sleep(there).await;
                let status = server.lock().unwrap().take();
                sleep(back).await;
                Ok::<Response, Infallible>(answer(status))
            }
        }
    });
    let backoff = Exponential::new(ms(100), Duration::from_secs(5)).unwrap().with_jitter(jitter);
    let policy = StandardPolicy::new().with_max_retries(u32::MAX).with_backoff(backoff);
    let client = RetryLayer::new(policy).without_budget().with_seed(seed).layer(service);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = client.clone();
        let begin = server.lock().unwrap().chance.below(ms(20));
        clients.spawn(async move {
            sleep(begin).await;
            assert_eq!(client.oneshot(get()).await.unwrap().status(), StatusCode::OK);
            start.elapsed()
        });
    }
    let mut answered = clients.join_all().await;
    answered.sort();
    let calls = f64::from(server.lock().unwrap().calls);
    Storm { calls, p99: answered[CLIENTS * 99 / 100].as_secs_f64() }
}

fn assert_like_the_reference(jitter: Jitter, calls: f64, p99: f64) {
    let storms = for_each_seed(|seed| storm(jitter, seed));
    for (seed, storm) in (1..).zip(&storms) {
        println!("{jitter:?}, seed {seed}: {} calls, p99 {:.2} s", storm.calls, storm.p99);
        assert_near("calls", storm.calls, calls);
        assert_near("p99", storm.p99, p99);
    }
    let (all, last) = (mean(storms.iter().map(|storm| storm.calls)), mean(storms.iter().map(|storm| storm.p99)));
    println!("{jitter:?}, mean: {all:.0} calls, p99 {last:.2} s");
}

#[test]
fn a_thousand_clients_come_back_after_an_outage_as_spread_as_the_reference_says() {
    assert_like_the_reference(Jitter::Full, REFERENCE_CALLS, REFERENCE_P99);
}

#[test]
fn without_jitter_they_come_in_waves_and_take_minutes() {
    assert_like_the_reference(Jitter::None, REFERENCE_CALLS_UNSPREAD, REFERENCE_P99_UNSPREAD);
}
