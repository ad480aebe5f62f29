//! Subscribers and waiters of circuits and queues, most of which leave before anything happens.
use super::{queue::shared, stores};
use crate::subject::{Call, Subject};
use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Readiness, State},
    classify::ByResult,
    error::BoxError,
    queue::QueueStore,
    store::{memory::MemoryStore, sqlite::SqliteConfig},
};
use tokio::time::timeout;
use tower::{Layer, ServiceExt, service_fn};

const KINDS: u64 = 8;
/// Names of queues that one call waits for.
const NAMES: u64 = 10;

struct Waited {
    circuit: Circuit,
    stores: [Arc<dyn QueueStore>; 2],
}

impl Waited {
    async fn call(self: Arc<Self>, call: Call) -> bool {
        let soon = Duration::from_millis(fastrand::u64(1..200));
        let store = &self.stores[usize::from((call.n / KINDS).is_multiple_of(2))];
        match call.kind(KINDS) {
            // closed again after this
            1 if (call.n / KINDS).is_multiple_of(50) => self.circuit.force_open(Some(Duration::from_millis(300))),
            // each waits by a service of its own
            1..=3 => {
                let layer = CircuitBreakerLayer::by_result(&self.circuit).with_readiness(Readiness::Pend);
                let mut service = layer.layer(service_fn(|(): ()| ready(Ok::<_, Infallible>(()))));
                return timeout(soon, async { service.ready().await.is_ok() }).await.is_ok();
            }
            4 => {
                let mut states = self.circuit.subscribe();
                return timeout(soon, states.changed()).await.is_ok();
            }
            5 => return timeout(soon, store.wait("soak")).await.is_ok(),
            // each name once
            6 => {
                for i in 0..NAMES {
                    let name = format!("soak {}-{i}", call.n);
                    let _ = timeout(Duration::from_millis(1), store.wait(&name)).await;
                }
            }
            7 => {
                let state = *Circuit::new("soak, own").subscribe().borrow();
                return state == State::Closed;
            }
            _ => {
                let layer = CircuitBreakerLayer::with(&self.circuit, ByResult);
                return layer.layer(service_fn(|(): ()| ready(Ok::<_, Infallible>(())))).oneshot(()).await.is_ok();
            }
        }
        true
    }
}

pub(super) async fn start(_: Duration) -> Result<Subject, BoxError> {
    let (store, dir) = stores::sqlite(SqliteConfig::new())?;
    let stores = [shared(MemoryStore::new()), shared(store)];
    let waited = Arc::new(Waited { circuit: Circuit::new("soak, waited for"), stores });
    Ok(Subject::new(1_000, move |call| waited.clone().call(call)).keeping(dir))
}
