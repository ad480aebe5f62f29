//! Three tiers, each of which repeats its calls to the next, above a leaf that fails. Between two tiers lies another task, and
//! only what HTTP carries gets across: so nobody knows of the tiers above by anything but a header.

use crate::{Request, Response, answer, assert_near, chance::Chance, for_each_seed, get, mean, ms};
use http::StatusCode;
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};
use steadfast::retry::{Budget, MarkerLayer, RetryLayer, StandardPolicy};
use tokio::{task::JoinSet, time::sleep};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

type Tier = BoxCloneSyncService<Request, Response, Infallible>;

const TIERS: u64 = 3;
const ATTEMPTS: u32 = 4;
const REQUESTS: u32 = 400;

#[derive(Clone, Copy)]
enum Mode {
    Plain,
    Marker,
    Budget,
}

impl Mode {
    fn layer(self, seed: u64) -> RetryLayer {
        let layer = RetryLayer::new(StandardPolicy::new().with_max_retries(ATTEMPTS - 1)).with_seed(seed);
        match self {
            Self::Plain => layer.without_budget().without_marker(),
            Self::Marker => layer.without_budget(),
            Self::Budget => layer.with_budget(Budget::default()).without_marker(),
        }
    }
}

/// A server in a process of its own, which answers by asking the one below and tells nothing of what that one said.
fn server(retry: &RetryLayer, below: Tier) -> Tier {
    let client = retry.layer(below);
    let server = ServiceBuilder::new().layer(MarkerLayer::new()).service_fn(move |request: Request| {
        let client = client.clone();
        async move {
            let well = client.oneshot(request).await?.status().is_success();
            Ok::<_, Infallible>(answer(if well { StatusCode::OK } else { StatusCode::BAD_GATEWAY }))
        }
    });
    BoxCloneSyncService::new(service_fn(move |mut request: Request| {
        request.extensions_mut().clear();
        let call = tokio::spawn(server.clone().oneshot(request));
        async move {
            let mut response = call.await.unwrap()?;
            response.extensions_mut().clear();
            Ok(response)
        }
    }))
}

struct Storm {
    /// Calls that reached the leaf.
    calls: u32,
    /// The share of users that were served.
    served: f64,
}

async fn storm(mode: Mode, failing: f64, seed: u64) -> Storm {
    let (calls, chance) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Chance::new(seed))));
    let leaf = service_fn({
        let calls = calls.clone();
        move |_: Request| {
            calls.fetch_add(1, Relaxed);
            let fails = chance.lock().unwrap().happens(failing);
            std::future::ready(Ok(answer(if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK })))
        }
    });
    let mut below = BoxCloneSyncService::new(leaf);
    for tier in 1..TIERS {
        below = server(&mode.layer(seed * TIERS + tier), below);
    }
    let user = mode.layer(seed * TIERS).layer(below);
    let mut users = JoinSet::new();
    for _ in 0..REQUESTS {
        users.spawn(user.clone().oneshot(get()));
        sleep(ms(10)).await;
    }
    let answers = users.join_all().await;
    let served = answers.into_iter().filter(|answer| answer.as_ref().unwrap().status().is_success()).count();
    Storm { calls: calls.load(Relaxed), served: served as f64 / f64::from(REQUESTS) }
}

impl Storm {
    /// For each request of a user.
    fn calls(&self) -> f64 {
        f64::from(self.calls) / f64::from(REQUESTS)
    }
}

fn storms(what: &str, mode: Mode, failing: f64) -> Vec<Storm> {
    let storms = for_each_seed(|seed| storm(mode, failing, seed));
    for (seed, storm) in (1..).zip(&storms) {
        println!("{what}, {failing} failing, seed {seed}: {:.3} calls, {:.3} served", storm.calls(), storm.served);
    }
    println!("{what}, {failing} failing, mean: {:.3} calls", mean(storms.iter().map(Storm::calls)));
    storms
}

#[test]
fn without_marker_and_budget_a_dead_leaf_is_called_sixty_four_times() {
    for storm in storms("plain", Mode::Plain, 1.0) {
        assert_eq!(storm.calls, 64 * REQUESTS);
    }
}

#[test]
fn with_the_marker_a_dead_leaf_is_called_four_times() {
    for storm in storms("marker", Mode::Marker, 1.0) {
        assert_eq!(storm.calls, 4 * REQUESTS);
    }
}

/// The reference: 1.93 calls, and 92.9 % of the users served; each tier could have served some of the rest.
#[test]
fn the_marker_costs_what_the_reference_says_when_every_other_call_fails() {
    for storm in storms("marker", Mode::Marker, 0.5) {
        assert_near("calls", storm.calls(), 1.93);
        assert_near("served", storm.served, 0.929);
    }
}

#[test]
fn with_the_budget_that_every_layer_has_a_dead_leaf_is_called_less_than_twice() {
    for storm in storms("budget", Mode::Budget, 1.0) {
        assert!(storm.calls() <= 1.8, "{:.3}", storm.calls());
    }
}

/// The reference: 1.12 calls, all users served.
#[test]
fn the_budget_does_not_bind_when_one_call_in_ten_fails() {
    for storm in storms("budget", Mode::Budget, 0.1) {
        assert_near("calls", storm.calls(), 1.12);
        assert!(storm.served >= 0.999, "{:.4}", storm.served);
    }
}
