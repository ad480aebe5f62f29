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
mod services;
mod users;
mod world;

use super::*;
use layers::{Case, circuit_config, drive};
use steadfast::{
    circuit_breaker::Circuits,
    idempotency::InFlight,
    retry::{Allowance, Budget, Budgets, HttpReplay},
};
use users::{Lapsing, hook, users};

/// One test a layer.
macro_rules! hostile {
    ($($layer:ident => $make:expr $(, asked $asked:expr)? $(, reaches $reaches:expr)?;)*) => {$(
        #[test]
        fn $layer() {
            #[allow(unused_variables, unused_mut, unused_assignments, reason = "most requests are as they are")]
            let asked: fn(Asked) -> Asked = {
                let mut asked: fn(Asked) -> Asked = |asked| asked;
                $(asked = $asked;)?
                asked
            };
            #[allow(unused_variables, unused_mut, unused_assignments, reason = "as above")]
            let reaches: &[&str] = {
                let mut reaches: &[&str] = &[];
                $(reaches = $reaches;)?
                reaches
            };
            drive(&Case { name: concat!("hostile ", stringify!($layer)), make: $make, asked, reaches });
        }
    )*};
}

fn circuit(name: &'static str) -> Circuit {
    Circuit::with_config(name, circuit_config())
}

hostile! {
    a_total_timeout => |_, _| TimeoutLayer::total(MINUTE);
    a_total_timeout_that_responds => |_, _| TimeoutLayer::total(MINUTE).respond();
    an_attempt_timeout => |_, _| TimeoutLayer::attempt(MINUTE);
    a_retry => |name, _| RetryLayer::new(StandardPolicy::new()).with_name(name).with_seed(1);
    a_retry_with_budgets => |name, _| {
        RetryLayer::new(StandardPolicy::new()).with_name(name).with_seed(1).with_budget(Budgets::per_origin(Allowance::new()))
    };
    a_marker => |_, _| MarkerLayer::new();
    a_hedge => |name, _| HedgeLayer::new(Duration::from_millis(10)).with_name(name);
    a_hedge_by_latency => |name, _| HedgeLayer::after_p95(Duration::from_millis(10)).with_name(name);
    a_policy_of_tower => |_, _| PolicyLayer::new(Never);
    a_circuit_breaker => |name, _| CircuitBreakerLayer::new(circuit(name));
    a_circuit_breaker_by_key => |name, _| {
        CircuitBreakerLayer::new(Circuits::per_origin(name, circuit_config()).with_capacity(1))
    };
    a_circuit_breaker_that_responds => |name, _| CircuitBreakerLayer::new(circuit(name)).respond();
    a_circuit_breaker_that_releases => |name, _| ReleasingLayer::new(CircuitBreakerLayer::new(circuit(name)));
    a_circuit_breaker_that_waits => |name, _| CircuitBreakerLayer::new(circuit(name)).with_readiness(Readiness::Pend);
    idempotency_on_a_server => |name, _| {
        IdempotencyLayer::new(MemoryStore::new(), Scope::shared()).with_name(name).required()
    }, asked posted;
    idempotency_that_waits => |name, _| {
        let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared()).with_name(name);
        layer.with_in_flight(InFlight::Wait { at_most: MINUTE }).required()
    }, asked posted_once;
    idempotency_keys_of_a_client => |_, _| IdempotencyKeyLayer::new();
    a_client_stack => |name, _| ClientStack::new(name);
    a_timeout_by_a_function => |_, world| {
        let users = users(world);
        TimeoutLayer::total(MINUTE).per_call_of(move |_: &Asked| {
            users.called("the function of a timeout");
            None
        })
    }, reaches &["the function of a timeout"];
    a_retry_by_strategies_of_the_user => |name, world| {
        let policy = StandardPolicy::new().with_backoff(users(world));
        let layer = RetryLayer::with(policy, users(world), HttpReplay).with_name(name).with_seed(1);
        layer.with_budget(Budget::from_fund(users(world)))
    }, reaches &[
        "a backoff",
        "a classifier that is asked what may be repeated",
        "a classifier that judges a head",
        "a classifier that judges an error",
        "the deposit of a fund",
        "the withdrawal from a fund",
    ];
    a_retry_with_budgets_by_a_classifier => |name, world| {
        let layer = RetryLayer::with(StandardPolicy::new(), users(world), HttpReplay).with_name(name).with_seed(1);
        layer.with_budget(Budgets::per_origin(Allowance::new()))
    }, reaches &["the origin of a classifier"];
    a_circuit_breaker_by_a_classifier_and_a_key_of_the_user => |name, world| {
        let circuits = Circuits::per_origin(name, circuit_config()).with_capacity(1);
        let users_own = users(world);
        CircuitBreakerLayer::with(circuits, users(world)).keyed_by(move |asked: &Asked| {
            users_own.called("the key function of a circuit");
            Some(asked.uri().path())
        })
    }, reaches &["the key function of a circuit", "a classifier that watches a body"];
    a_circuit_breaker_by_a_classifier_of_the_user => |name, world| {
        CircuitBreakerLayer::with(circuit(name), users(world)).with_readiness(Readiness::Pend)
    }, reaches &["a classifier that judges a head", "a classifier that judges an error", "a classifier that watches a body"];
    idempotency_by_a_store_a_scope_a_seal_and_a_hook_of_the_user => |name, world| {
        let scope = users(world);
        let scope = Scope::by(move |_| {
            scope.called("the function of a scope");
            "scope"
        });
        let layer = IdempotencyLayer::new(Lapsing::new(world), scope).with_name(name).required();
        layer.with_seal(users(world)).with_on_unknown(hook(world)).with_keep(Duration::from_secs(1))
    }, asked posted, reaches &[
        "a seal",
        "the begin of a store",
        "the call of a hook",
        "the complete of a store",
        "the function of a scope",
        "the poll of a hook",
        "the renew of a store",
        "the sweep of a store",
    ];
    idempotency_with_a_seal_of_the_user => |name, world| {
        let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared()).with_name(name).required();
        layer.with_seal(users(world))
    }, asked posted_once, reaches &["a seal", "a seal that is opened"];
    webhooks_by_a_clock_of_the_user => |name, world| {
        VerifyLayer::new(github()).with_name(name).with_clock(users(world))
    }, asked signed, reaches &["a clock"];
    verified_webhooks => |name, _| VerifyLayer::new(github()).with_name(name), asked signed;
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
