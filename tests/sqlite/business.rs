//! The user's write, the record and an outgoing message: together or not at all.

use super::{rows, shortest, up_to, with_table};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::{convert::Infallible, time::Duration};
use steadfast::{
    error::StoreError,
    idempotency::{Claim, IdempotencyLayer, Scope, StoredResponse},
    queue::{NewMessage, Queue, QueueStore},
    store::sqlite::SqliteStore,
};
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// An amount that is refused after everything was written.
const REFUSED: i64 = 500;

/// Pays `amount` in one transaction.
async fn pay(
    store: SqliteStore,
    queue: Queue,
    request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let claim = request.extensions().get::<Claim>().unwrap().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let amount: i64 = std::str::from_utf8(&body).unwrap().parse().unwrap();
    let paid = store.transaction(move |tx| {
        tx.execute("INSERT INTO t(a) VALUES(?1)", [amount])?;
        tx.enqueue(&queue, NewMessage::new("receipt"))?;
        tx.complete(&claim, &StoredResponse::new(StatusCode::CREATED, format!("paid {amount}")))?;
        if amount == REFUSED { Err(StoreError::new("not enough")) } else { Ok(()) }
    });
    let (status, body) = match paid.await {
        Ok(()) => (StatusCode::CREATED, format!("paid {amount}")),
        Err(_) => (StatusCode::PAYMENT_REQUIRED, "no".to_owned()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    Ok(response)
}

pub(crate) async fn send(store: &SqliteStore, key: &str, amount: &str) -> (StatusCode, bool, Bytes) {
    let (inner, queue) = (store.clone(), Queue::new("receipts", store.clone()));
    let layer = IdempotencyLayer::new(store.clone(), Scope::shared());
    let service = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(move |request: Request<Full<Bytes>>| pay(inner.clone(), queue.clone(), request)));
    let request = Request::post("/pay").header("idempotency-key", key).body(Full::from(amount.to_owned())).unwrap();
    let response = service.oneshot(request).await.unwrap();
    let replayed = response.headers().contains_key("idempotent-replayed");
    let status = response.status();
    (status, replayed, response.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn write_record_and_message_are_there_together() {
    let (_dir, store) = with_table().await;
    assert_eq!(send(&store, "k1", "5").await, (StatusCode::CREATED, false, "paid 5".into()));
    assert_eq!(send(&store, "k1", "5").await, (StatusCode::CREATED, true, "paid 5".into()));
    assert_eq!(rows(&store).await, [5]);
    assert_eq!(store.stats("receipts").await.unwrap().ready, 1);
}

#[tokio::test]
async fn rolled_back_none_of_them_is() {
    let (_dir, store) = with_table().await;
    let (status, replayed, _) = send(&store, "k1", "500").await;
    assert_eq!((status, replayed), (StatusCode::PAYMENT_REQUIRED, false));
    assert!(rows(&store).await.is_empty());
    assert_eq!(store.stats("receipts").await.unwrap().open(), 0);
}

#[tokio::test]
async fn what_belongs_to_another_store_is_refused() {
    let (_dir, store) = with_table().await;
    let (_other_dir, other) = with_table().await;
    let foreign = Queue::new("receipts", other.clone());
    let refused = store.transaction(move |tx| {
        tx.execute("INSERT INTO t(a) VALUES(1)", [])?;
        tx.enqueue(&foreign, NewMessage::new("receipt")).map(drop)
    });
    assert_eq!(refused.await.unwrap_err().what(), "it belongs to another store than this transaction");
    assert!(rows(&store).await.is_empty());
    assert_eq!(other.stats("receipts").await.unwrap().open(), 0);
}

#[tokio::test]
async fn an_enqueue_in_a_transaction_wakes_who_waits() {
    let (_dir, store) = with_table().await;
    let woken = shortest(async || {
        let waiting = store.clone();
        let waiting = tokio::spawn(async move { waiting.wait("receipts").await });
        sleep(Duration::from_millis(20)).await;
        let since = Instant::now();
        let queue = Queue::new("receipts", store.clone());
        store.transaction(move |tx| tx.enqueue(&queue, NewMessage::new("receipt"))).await.unwrap();
        waiting.await.unwrap();
        let woken = since.elapsed();
        store.claim("receipts", up_to(1)).await.unwrap();
        woken
    });
    assert!(woken.await < Duration::from_millis(150), "sooner than others are looked for");
}
