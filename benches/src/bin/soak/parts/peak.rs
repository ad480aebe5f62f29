//! A peak in a store in memory, and what stays of it.
use crate::subject::{Call, Subject};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use steadfast::{
    error::BoxError,
    idempotency::{IdempotencyLayer, Scope},
    queue::{Message, NewMessage, Queue, Worker},
    store::memory::MemoryStore,
};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};

const PEAK: u64 = 1_000_000;
/// Of them in one call.
const BATCH: u64 = 1_000;
/// Longer than it takes to put them there.
const KEEP: Duration = Duration::from_secs(20);

async fn charge(layer: IdempotencyLayer, key: u64) -> bool {
    let handler = service_fn(|_: Request<Full<Bytes>>| async {
        let mut response = Response::new(Full::<Bytes>::from("{\"id\":4711,\"amount\":1}"));
        *response.status_mut() = StatusCode::CREATED;
        Ok::<_, Infallible>(response)
    });
    let request = Request::post("/charge").header("idempotency-key", format!("soak-{key}"));
    let Ok(request) = request.body(Full::from("{\"amount\":1}")) else { return false };
    let Ok(response) = layer.layer(handler).oneshot(request).await;
    let good = response.status() == StatusCode::CREATED;
    good && response.into_body().collect().await.is_ok()
}

/// How many batches are still to be put there. The calls that follow are as calm ones.
struct Batches(AtomicU64);

impl Batches {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(PEAK / BATCH)))
    }

    /// Returns how many this call puts there.
    fn next(&self, call: Call) -> u64 {
        let left = |left: u64| left.checked_sub(1);
        if !call.calm && self.0.fetch_update(Relaxed, Relaxed, left).is_ok() { BATCH } else { 1 }
    }
}

pub(super) async fn records(_: Duration) -> Result<Subject, BoxError> {
    let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared()).with_keep(KEEP).with_name("soak");
    let batches = Batches::new();
    let subject = Subject::new(200, move |call| {
        let (layer, count) = (layer.clone(), batches.next(call));
        async move {
            let mut good = true;
            for i in 0..count {
                good &= charge(layer.clone(), call.n * BATCH + i).await;
            }
            good
        }
    });
    Ok(subject.with_calm_warm_up().with_settling(20, 120))
}

/// Their number is not sampled: a count of a million messages holds the lock of the store for a third of a second.
pub(super) async fn messages(_: Duration) -> Result<Subject, BoxError> {
    let queue = Queue::new("soak", MemoryStore::new());
    let service = service_fn(|_: Message| async { Ok::<_, Infallible>(()) });
    let worker = Worker::new(queue.clone(), service).with_concurrency(256).with_keep_done(Duration::from_secs(1));
    tokio::spawn(worker.run(std::future::pending()));
    let batches = Batches::new();
    let subject = Subject::new(200, move |call| {
        let (queue, count) = (queue.clone(), batches.next(call));
        async move {
            let delay = if count == BATCH { KEEP } else { Duration::ZERO };
            let message = || NewMessage::new("{\"order\":4711}").with_delay(delay);
            let batch = (0..count).map(|_| message()).collect();
            let stored = queue.enqueue_all(batch).await.is_ok();
            sleep(Duration::from_millis(1)).await;
            stored
        }
    });
    // a worker sweeps once a minute: calm calls stay for as long
    Ok(subject.with_calm_warm_up().with_calm_rate(2).with_settling(20, 180))
}
