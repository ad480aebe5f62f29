//! A handler that completes its claim while the layer could not ask the store.

use super::{rows, with_table};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use std::{convert::Infallible, time::Duration};
use steadfast::{
    error::{BoxFuture, StoreError},
    idempotency::{
        Begin, Begun, Claim, Fence, Fenced, IdempotencyLayer, IdempotencyStore, Recorded, Scope, StoreId, StoreKey,
        StoredResponse,
    },
    store::sqlite::SqliteStore,
};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

/// A store that takes no claims.
struct NoClaims(SqliteStore);

impl IdempotencyStore for NoClaims {
    fn id(&self) -> StoreId {
        self.0.id()
    }

    fn begin(&self, _: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        Box::pin(async { Err(StoreError::refused("takes no claims")) })
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.complete(fence, recorded, keep)
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.renew(fence, lease)
    }

    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.release(fence)
    }

    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        self.0.settled(fence)
    }

    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        IdempotencyStore::get(&self.0, key)
    }

    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        IdempotencyStore::sweep(&self.0, most)
    }
}

#[tokio::test]
async fn the_transaction_of_a_request_that_fails_open_is_committed_without_a_record() {
    let (_dir, store) = with_table().await;
    let business = store.clone();
    let layer = IdempotencyLayer::new(NoClaims(store.clone()), Scope::shared()).with_fail_open();
    let service =
        ServiceBuilder::new().layer(layer).service(service_fn(move |request: Request<Full<bytes::Bytes>>| {
            let claim = request.extensions().get::<Claim>().unwrap().clone();
            let store = business.clone();
            async move {
                let paid = store.transaction(move |tx| {
                    tx.execute("INSERT INTO t(a) VALUES(5)", [])?;
                    tx.complete(&claim, &StoredResponse::new(StatusCode::CREATED, "paid"))
                });
                let mut response = Response::new(Full::<bytes::Bytes>::default());
                let created = paid.await.map_or(StatusCode::INTERNAL_SERVER_ERROR, |()| StatusCode::CREATED);
                *response.status_mut() = created;
                Ok::<_, Infallible>(response)
            }
        }));
    let request = Request::post("/").header("idempotency-key", "k").body(Full::default()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(rows(&store).await, [5]);
    let count = "SELECT count(*) FROM steadfast_idempotency";
    let records = store.read(move |conn| Ok(conn.query_row(count, [], |row| row.get::<_, i64>(0))?)).await.unwrap();
    assert_eq!(records, 0);
}
