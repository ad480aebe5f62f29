//! Hedges in front of a leaf that is busy: ten servers at 89 % of their capacity, and calls that may take a second. A
//! server finishes every call, whether or not a caller still waits for it.

use crate::{Request, Response, answer, chance::Chance, for_each_seed, get, mean, ms};
use http::StatusCode;
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    retry::{Allowance, Budget, hedge::HedgeLayer},
    timeout::TimeoutLayer,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

const SERVERS: usize = 10;
const CLIENTS: u64 = 20;
/// Of a call, without the time that it waits for a server: exponential.
const SERVICE: Duration = ms(10);
const CAPACITY_A_SECOND: f64 = 1000.0;
const LOAD: f64 = 0.89;
const TIMEOUT: Duration = Duration::from_secs(1);
/// Callers count from here on: a queue that grows does so within seconds.
const BEGIN: Duration = Duration::from_secs(15);
const END: Duration = Duration::from_secs(40);
/// A quarter of the calls take longer.
const DELAY: Duration = ms(15);

struct Leaf {
    /// The time at which each server has finished its calls.
    free: BinaryHeap<Reverse<Instant>>,
    chance: Chance,
    calls: u32,
}

impl Leaf {
    fn take(&mut self) -> Instant {
        self.calls += 1;
        let now = Instant::now();
        let free = self.free.pop().map_or(now, |Reverse(free)| free.max(now));
        let done = free + self.chance.gap(1.0 / SERVICE.as_secs_f64());
        self.free.push(Reverse(done));
        done
    }
}

struct Storm {
    /// Calls that the leaf had, for each of a caller.
    calls: f64,
    /// The share of callers, after the beginning, that got their response in time.
    good: f64,
}

async fn storm(layer: impl Fn() -> Option<HedgeLayer>, seed: u64) -> Storm {
    let start = Instant::now();
    let free = (0..SERVERS).map(|_| Reverse(start)).collect();
    let leaf = Arc::new(Mutex::new(Leaf { free, chance: Chance::new(seed + 1000), calls: 0 }));
    let service = service_fn({
        let leaf = leaf.clone();
        move |_: Request| {
            let done = leaf.lock().unwrap().take();
            async move {
                sleep_until(done).await;
                Ok::<Response, Infallible>(answer(StatusCode::OK))
            }
        }
    });
    let client = |layer: Option<HedgeLayer>| {
        let total = TimeoutLayer::total(TIMEOUT);
        ServiceBuilder::new().layer(total).option_layer(layer).service(service.clone())
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| client(layer())).collect();
    let (mut chance, mut requests, mut at) = (Chance::new(seed), JoinSet::new(), start);
    let mut asked = 0_u32;
    for client in clients.iter().cycle() {
        at += chance.gap(LOAD * CAPACITY_A_SECOND);
        if at - start >= END {
            break;
        }
        sleep_until(at).await;
        asked += 1;
        let (call, counts) = (client.clone().oneshot(get()), at - start >= BEGIN);
        requests.spawn(async move { (counts, call.await.is_ok()) });
    }
    let mut counted = requests.join_all().await;
    counted.retain(|(counts, _)| *counts);
    let good = counted.iter().filter(|(_, good)| *good).count();
    let calls = f64::from(leaf.lock().unwrap().calls);
    Storm { calls: calls / f64::from(asked), good: good as f64 / counted.len() as f64 }
}

fn storms(what: &str, layer: fn() -> Option<HedgeLayer>) -> Vec<Storm> {
    let storms = for_each_seed(|seed| storm(layer, seed));
    for (seed, storm) in (1..).zip(&storms) {
        println!("{what}, seed {seed}: {:.3} calls, {:.3} good", storm.calls, storm.good);
    }
    println!("{what}, mean: {:.3} good", mean(storms.iter().map(|storm| storm.good)));
    storms
}

#[test]
fn without_hedges_nearly_all_callers_are_served() {
    for storm in storms("no hedges", || None) {
        assert!(storm.good >= 0.999, "{:.3}", storm.good);
    }
}

#[test]
fn a_fixed_delay_with_the_budget_of_retries_tips_the_leaf() {
    let fifth = || Some(HedgeLayer::new(DELAY).with_budget(Budget::new(Allowance::new())));
    for storm in storms("fixed delay, 20 %", fifth) {
        assert!(storm.good <= 0.7, "{:.3}", storm.good);
    }
}

#[test]
fn a_fixed_delay_with_the_budget_that_every_hedge_layer_has_does_not() {
    for storm in storms("fixed delay", || Some(HedgeLayer::new(DELAY))) {
        assert!(storm.good >= 0.95, "{:.3}", storm.good);
        // and they are made: all that the budget gives
        assert!((1.045..1.06).contains(&storm.calls), "{:.3}", storm.calls);
    }
}

#[test]
fn a_delay_that_no_call_keeps_does_not_either() {
    for storm in storms("no delay", || Some(HedgeLayer::new(Duration::ZERO))) {
        assert!(storm.good >= 0.95, "{:.3}", storm.good);
    }
}

#[test]
fn hedges_after_the_p95_do_not_either() {
    for storm in storms("p95", || Some(HedgeLayer::after_p95(DELAY))) {
        assert!(storm.good >= 0.95, "{:.3}", storm.good);
        assert!((1.005..1.06).contains(&storm.calls), "{:.3}", storm.calls);
    }
}
