//! Keyed requests: new keys, duplicates, waiters, callers that leave, panics, and a layer made for each request.
use super::stores;
use crate::{
    PANIC,
    subject::{Call, Subject},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::{convert::Infallible, num::NonZeroU64, panic::panic_any, sync::Arc, time::Duration};
use steadfast::{
    error::BoxError,
    idempotency::{IdempotencyBody, IdempotencyLayer, IdempotencyStore, InFlight, Scope},
    registry::registry,
    store::{memory::MemoryStore, sqlite::SqliteConfig},
};
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

const KINDS: u64 = 10;
const KEEP: Duration = Duration::from_secs(2);
/// Bytes of a response.
const SMALL: usize = 200;
/// Longer than two of SQLite's pages.
const LONG: usize = 10_000;

/// All kinds but the duplicates bring a new key each.
#[derive(Clone)]
struct Server {
    store: Arc<dyn IdempotencyStore>,
    layer: IdempotencyLayer,
    bytes: usize,
    seed: u64,
}

fn layer(store: Arc<dyn IdempotencyStore>) -> IdempotencyLayer {
    let wait = InFlight::Wait { at_most: Duration::from_secs(2) };
    IdempotencyLayer::new(store, Scope::shared()).with_keep(KEEP).with_in_flight(wait).with_name("soak")
}

impl Server {
    fn new(store: impl IdempotencyStore, bytes: usize) -> Self {
        let store: Arc<dyn IdempotencyStore> = Arc::new(store);
        Self { layer: layer(store.clone()), store, bytes, seed: fastrand::u64(..) }
    }

    async fn post(&self, path: &str, key: u64) -> Option<Response<IdempotencyBody<Full<Bytes>>>> {
        self.post_to(&self.layer, path, key).await
    }

    async fn post_to(
        &self,
        layer: &IdempotencyLayer,
        path: &str,
        key: u64,
    ) -> Option<Response<IdempotencyBody<Full<Bytes>>>> {
        let bytes = self.bytes;
        let handler = service_fn(move |request: Request<Full<Bytes>>| async move {
            match request.uri().path() {
                "/slow" => sleep(Duration::from_millis(fastrand::u64(5..50))).await,
                "/panic" => panic_any(PANIC),
                _ => {}
            }
            let mut response = Response::new(Full::<Bytes>::from(vec![b'x'; bytes]));
            *response.status_mut() = StatusCode::CREATED;
            Ok::<_, Infallible>(response)
        });
        let key = format!("{:x}-{key:x}", self.seed);
        let request = Request::post(path).header("idempotency-key", key).body(Full::from("{\"amount\":4711}")).ok()?;
        layer.layer(handler).oneshot(request).await.ok()
    }

    async fn call(self, call: Call) -> bool {
        let n = call.n;
        match call.kind(KINDS) {
            1 | 2 => {
                let (a, b, c) = tokio::join!(self.post("/slow", n), self.post("/slow", n), self.post("/slow", n));
                let mut good = true;
                for response in [a, b, c] {
                    good &= read(response).await;
                }
                good
            }
            3 => read(self.post("/ok", n).await).await && read(self.post("/ok", n).await).await,
            4 => timeout(Duration::from_millis(fastrand::u64(0..8)), self.post("/slow", n)).await.is_ok(),
            5 => {
                let (leaves, waits) =
                    tokio::join!(timeout(Duration::from_millis(2), self.post("/slow", n)), self.post("/slow", n),);
                drop(leaves);
                read(waits).await
            }
            6 => {
                let own = layer(self.store.clone());
                read(self.post_to(&own, "/ok", n).await).await
            }
            7 => self.post("/panic", n).await.is_some(),
            // unread
            8 => self.post("/ok", n).await.is_some(),
            _ => read(self.post("/ok", n).await).await,
        }
    }

    fn subject(self, rate: u32) -> Subject {
        let subject = Subject::new(rate, move |call| self.clone().call(call)).with_calm_rate(10);
        // A snapshot, as a scrape takes it, removes dropped entries from the registry; calm calls make no layer, which would.
        subject.with_tidy(async || drop(registry().snapshot()))
    }
}

async fn read(response: Option<Response<IdempotencyBody<Full<Bytes>>>>) -> bool {
    let Some(response) = response else { return false };
    let status = response.status();
    response.into_body().collect().await.is_ok() && status == StatusCode::CREATED
}

pub(super) async fn memory(_: Duration) -> Result<Subject, BoxError> {
    Ok(Server::new(MemoryStore::new(), SMALL).subject(2_500))
}

pub(super) async fn sqlite(_: Duration) -> Result<Subject, BoxError> {
    let (store, dir) = stores::sqlite(SqliteConfig::new())?;
    let rows = stores::sqlite_rows(dir.path())?;
    Ok(Server::new(store, SMALL).subject(2_500).with_rows(rows).keeping(dir))
}

pub(super) async fn postgres(_: Duration) -> Result<Subject, BoxError> {
    let (store, url) = stores::postgres().await?;
    let rows = stores::postgres_rows(&url).await?;
    Ok(Server::new(store, SMALL).subject(2_500).with_rows(rows))
}

pub(super) async fn redis(_: Duration) -> Result<Subject, BoxError> {
    let (store, server) = stores::redis().await?;
    let rows = move || stores::redis_keys(server.clone());
    Ok(Server::new(store, SMALL).subject(2_500).with_rows(rows))
}

/// A fifth of the load fits. The full store refuses new keys, until records have expired.
pub(super) async fn full(_: Duration) -> Result<Subject, BoxError> {
    let (store, dir) = stores::sqlite(SqliteConfig::new().with_max_bytes(NonZeroU64::new(4 << 20).ok_or("zero")?))?;
    let rows = stores::sqlite_rows(dir.path())?;
    Ok(Server::new(store, LONG).subject(1_000).with_calm_warm_up().with_settling(5, 60).with_rows(rows).keeping(dir))
}
