//! The laws of tower's `Service`, held over every layer of this crate, one line a layer.
//!
//! A line makes the layer; every law then becomes a test of its own. A layer that remembers something says so with
//! `.remembers()`: then the law about layering again also checks that the memory is there at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod hostile;
mod laws;
mod naughty;
mod subject;

use std::{fs, path::Path, time::Duration};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Readiness, ReleasingLayer},
    idempotency::{IdempotencyKeyLayer, IdempotencyLayer, Scope},
    place::tower::PolicyLayer,
    retry::{MarkerLayer, RetryLayer, StandardPolicy, hedge::HedgeLayer},
    stack::ClientStack,
    store::memory::MemoryStore,
    timeout::TimeoutLayer,
    webhook::{GitHub, Secret, VerifyLayer},
};
use subject::{Asked, SECRET, Subject};

const MINUTE: Duration = Duration::from_secs(60);

/// One module a layer, one test a law.
macro_rules! hold {
    ($($layer:ident => $subject:expr;)*) => {$(
        mod $layer {
            #[allow(unused_imports, reason = "each line uses what it needs of them")]
            use super::*;
            hold!(@laws $subject;
                the_instance_that_was_ready_is_the_one_that_is_called
                asking_for_readiness_again_is_harmless
                a_clone_asks_for_readiness_itself
                an_inner_service_that_is_not_ready_is_waited_for
                an_error_of_readiness_passes_through
                an_answer_passes_through_whole
                an_error_of_the_call_stays_in_the_chain
                a_drop_at_any_point_ends_it_all
                a_drop_between_attempts_ends_it_all
                an_unused_instance_gives_back_what_it_reserved
                layering_again_keeps_what_the_layer_knows
                debug_prints_no_secret
            );
        }
    )*};
    (@laws $subject:expr; $($law:ident)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $law() {
            crate::laws::$law(&$subject).await;
        }
    )*};
}

hold! {
    a_total_timeout => Subject::of(|| TimeoutLayer::total(MINUTE));
    a_total_timeout_that_responds => Subject::of(|| TimeoutLayer::total(MINUTE).respond());
    a_total_timeout_by_the_request => Subject::of(|| TimeoutLayer::total(MINUTE).per_call());
    an_attempt_timeout => Subject::of(|| TimeoutLayer::attempt(MINUTE));
    an_attempt_timeout_that_responds => Subject::of(|| TimeoutLayer::attempt(MINUTE).respond());
    a_retry => Subject::of(|| RetryLayer::new(StandardPolicy::new()).with_seed(1)).remembers();
    a_marker => Subject::of(MarkerLayer::new);
    a_hedge => Subject::of(|| HedgeLayer::new(Duration::from_millis(10)));
    a_hedge_by_latency => Subject::of(|| HedgeLayer::after_p95(Duration::from_millis(10)));
    a_policy_of_tower => Subject::of(|| PolicyLayer::new(Never));
    a_circuit_breaker => Subject::of(|| CircuitBreakerLayer::new(Circuit::new("contract"))).remembers();
    a_circuit_breaker_that_responds => {
        Subject::of(|| CircuitBreakerLayer::new(Circuit::new("contract")).respond()).remembers()
    };
    a_circuit_breaker_that_releases => {
        Subject::of(|| ReleasingLayer::new(CircuitBreakerLayer::new(Circuit::new("contract")))).remembers()
    };
    // what it remembers costs time and no answer: to the law of memory it is one that forgets
    a_circuit_breaker_that_waits => {
        Subject::of(|| CircuitBreakerLayer::new(Circuit::new("contract")).with_readiness(Readiness::Pend))
    };
    idempotency_on_a_server => {
        Subject::of(|| IdempotencyLayer::new(MemoryStore::new(), Scope::shared()).required()).remembers().detaches().asked(posted)
    };
    idempotency_keys_of_a_client => Subject::of(IdempotencyKeyLayer::new);
    a_client_stack => Subject::of(|| ClientStack::new("contract")).remembers();
    verified_webhooks => Subject::of(|| VerifyLayer::new(github())).asked(signed);
}

/// A policy that keeps every request and lets every answer stand.
#[derive(Clone)]
struct Never;

impl<Req, Res, E> tower::retry::Policy<Req, Res, E> for Never {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Req, _: &mut Result<Res, E>) -> Option<Self::Future> {
        None
    }

    fn clone_request(&mut self, _: &Req) -> Option<Req> {
        None
    }
}

fn github() -> GitHub {
    GitHub::new(Secret::new(format!("{SECRET} of the sender")).unwrap())
}

fn signed(mut asked: Asked) -> Asked {
    asked.headers_mut().insert("x-hub-signature-256", github().sign(SECRET.as_bytes()));
    asked
}

fn posted(mut asked: Asked) -> Asked {
    *asked.method_mut() = http::Method::POST;
    asked
}

/// A new layer that has no line above fails here.
#[test]
fn every_layer_of_the_crate_has_a_line() {
    let mut layers = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut layers);
    assert!(layers.contains(&"TimeoutLayer".to_owned()), "{layers:?}");
    let lines = include_str!("main.rs");
    layers.retain(|layer| !lines.contains(&format!("{layer}::")));
    assert!(layers.is_empty(), "no line in tests/contract/main.rs for {layers:?}");
}

/// The types below `src/` that implement `Layer<S>`.
fn collect(folder: &Path, layers: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, layers);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let named = text.lines().filter(|line| line.starts_with("impl")).filter_map(|l| l.split_once(" Layer<S> for "));
        let name = |after: &str| after.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
        layers.extend(named.map(|(_, after)| name(after)));
    }
}
