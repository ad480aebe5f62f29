//! Named layers, queues and circuits that are made and dropped.
use crate::subject::{Call, Subject};
use std::time::Duration;
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, Config},
    error::BoxError,
    idempotency::{IdempotencyLayer, Scope},
    queue::Queue,
    registry::registry,
    retry::{RetryLayer, hedge::HedgeLayer},
    stack::ClientStack,
    store::memory::MemoryStore,
};
use tokio::time::sleep;

const LAYERS: u64 = 44_000;

async fn call(store: MemoryStore, Call { n, calm }: Call) -> bool {
    let name = format!("soak {n}");
    let made = (
        RetryLayer::default().with_name(&*name),
        HedgeLayer::new(Duration::from_millis(50)).with_name(&*name),
        CircuitBreakerLayer::new(Circuit::new(&*name)),
        CircuitBreakerLayer::new(Circuits::per_origin(&*name, Config::default())),
        IdempotencyLayer::new(store.clone(), Scope::shared()).with_name(&*name),
        Queue::new(&*name, store),
        ClientStack::new(&*name),
    );
    sleep(Duration::from_millis(fastrand::u64(0..500))).await;
    // a snapshot, as a scrape takes it
    let found = if calm { true } else { n % 500 != 0 || !registry().snapshot().is_empty() };
    drop(made);
    found
}

/// Eight or more layers a call.
pub(super) async fn start(load: Duration) -> Result<Subject, BoxError> {
    let rate = u32::try_from((LAYERS / 8 / load.as_secs().max(1)).max(200))?;
    let store = MemoryStore::new();
    Ok(Subject::new(rate, move |n| call(store.clone(), n)))
}
