//! Nothing foreign runs under a lock of this crate, and nothing foreign that panics breaks anything.
//!
//! Foreign is what users supply: wakers, services, futures, bodies, errors, extensions, the owners of `Bytes`, closures, metrics
//! recorders, tracing subscribers, and the writer that a `Debug` is written to. Each of them uses the very object that calls it,
//! in every way that there is; a lock that is held meanwhile is a deadlock, which a second thread finds and names. Then each
//! panics, once in every place where it is called; afterwards nothing of the run is left, and the layer answers.

mod foreign;
mod layers;
mod objects;
mod observers;
mod world;

use super::*;
use layers::{Case, circuit_config, drive};
use steadfast::{
    circuit_breaker::Circuits,
    idempotency::InFlight,
    retry::{Allowance, Budgets},
};

/// One test a layer.
macro_rules! hostile {
    ($($layer:ident => $make:expr $(, asked $asked:expr)?;)*) => {$(
        #[test]
        fn $layer() {
            #[allow(unused_variables, unused_mut, unused_assignments, reason = "most requests are as they are")]
            let asked: fn(Asked) -> Asked = {
                let mut asked: fn(Asked) -> Asked = |asked| asked;
                $(asked = $asked;)?
                asked
            };
            drive(&Case { name: concat!("hostile ", stringify!($layer)), make: $make, asked });
        }
    )*};
}

fn circuit(name: &'static str) -> Circuit {
    Circuit::with_config(name, circuit_config())
}

hostile! {
    a_total_timeout => |_| TimeoutLayer::total(MINUTE);
    a_total_timeout_that_responds => |_| TimeoutLayer::total(MINUTE).respond();
    an_attempt_timeout => |_| TimeoutLayer::attempt(MINUTE);
    a_retry => |name| RetryLayer::new(StandardPolicy::new()).with_name(name).with_seed(1);
    a_retry_with_budgets => |name| {
        RetryLayer::new(StandardPolicy::new()).with_name(name).with_seed(1).with_budget(Budgets::per_origin(Allowance::new()))
    };
    a_marker => |_| MarkerLayer::new();
    a_hedge => |name| HedgeLayer::new(Duration::from_millis(10)).with_name(name);
    a_hedge_by_latency => |name| HedgeLayer::after_p95(Duration::from_millis(10)).with_name(name);
    a_policy_of_tower => |_| PolicyLayer::new(Never);
    a_circuit_breaker => |name| CircuitBreakerLayer::new(circuit(name));
    a_circuit_breaker_by_key => |name| {
        CircuitBreakerLayer::new(Circuits::per_origin(name, circuit_config()).with_capacity(1))
    };
    a_circuit_breaker_that_responds => |name| CircuitBreakerLayer::new(circuit(name)).respond();
    a_circuit_breaker_that_releases => |name| ReleasingLayer::new(CircuitBreakerLayer::new(circuit(name)));
    a_circuit_breaker_that_waits => |name| CircuitBreakerLayer::new(circuit(name)).with_readiness(Readiness::Pend);
    idempotency_that_waits => |name| {
        let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared()).with_name(name);
        layer.with_in_flight(InFlight::Wait { at_most: MINUTE }).required()
    }, asked posted_once;
    idempotency_keys_of_a_client => |_| IdempotencyKeyLayer::new();
    a_client_stack => |name| ClientStack::new(name);
    verified_webhooks => |name| VerifyLayer::new(github()).with_name(name), asked signed;
}

/// The same key for all: each call but the first waits for another, or is a replay.
fn posted_once(asked: Asked) -> Asked {
    let mut asked = posted(asked);
    asked.headers_mut().insert("idempotency-key", SECRET.parse().unwrap());
    asked
}

/// A new layer that has no line above fails here.
#[test]
fn every_layer_of_the_crate_is_driven_by_hostile_types() {
    let mut layers = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut layers);
    let lines = include_str!("mod.rs");
    layers.retain(|layer| !lines.contains(&format!("{layer}::")));
    assert!(layers.is_empty(), "no line in tests/contract/hostile/mod.rs for {layers:?}");
}
