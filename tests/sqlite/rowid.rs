//! What a closure reads of its own statements after those of the store.

use super::with_table;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use std::convert::Infallible;
use steadfast::{
    error::StoreError,
    idempotency::{Claim, IdempotencyLayer, Scope, StoredResponse},
    queue::{NewMessage, Queue},
    store::sqlite::{SqliteStore, SqliteTransaction},
};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

const ORDERS: &str = "CREATE TABLE orders(id INTEGER PRIMARY KEY, body TEXT); INSERT INTO orders(id) VALUES(4711)";

async fn with_orders() -> (tempfile::TempDir, SqliteStore, Queue) {
    let (dir, store) = with_table().await;
    store.transaction(|tx| Ok::<_, StoreError>(tx.execute_batch(ORDERS)?)).await.unwrap();
    let queue = Queue::new("receipts", store.clone());
    (dir, store, queue)
}

fn order(tx: &SqliteTransaction<'_>) -> Result<(), StoreError> {
    Ok(tx.execute("INSERT INTO orders(body) VALUES('x')", []).map(drop)?)
}

fn in_sql(tx: &SqliteTransaction<'_>) -> Result<i64, StoreError> {
    Ok(tx.query_row("SELECT last_insert_rowid()", [], |row| row.get(0))?)
}

#[tokio::test]
async fn the_rowid_of_an_insert_survives_the_messages_that_are_enqueued_after_it() {
    let (_dir, store, queue) = with_orders().await;
    let seen = store.transaction(move |tx| {
        order(tx)?;
        tx.enqueue(&queue, NewMessage::new("one"))?;
        tx.enqueue(&queue, NewMessage::new("two").with_dedupe("k"))?;
        tx.enqueue(&queue, NewMessage::new("two").with_dedupe("k"))?;
        Ok::<_, StoreError>((tx.last_insert_rowid(), in_sql(tx)?))
    });
    assert_eq!(seen.await.unwrap(), (4712, 4712));
}

#[tokio::test]
async fn every_rowid_survives() {
    for rowid in [i64::MIN, -1, 0, 1, 2, i64::MAX] {
        let (_dir, store, queue) = with_orders().await;
        let seen = store.transaction(move |tx| {
            tx.execute("INSERT INTO orders(id) VALUES(?1)", [rowid])?;
            for _ in 0..3 {
                tx.enqueue(&queue, NewMessage::new("receipt"))?;
            }
            Ok::<_, StoreError>(tx.last_insert_rowid())
        });
        assert_eq!(seen.await.unwrap(), rowid);
    }
}

#[tokio::test]
async fn also_inside_of_a_savepoint_and_after_an_enqueue_that_failed() {
    let (_dir, store, queue) = with_orders().await;
    let (_other_dir, other) = with_table().await;
    let foreign = Queue::new("receipts", other);
    let seen = store.transaction(move |tx| {
        order(tx)?;
        tx.execute_batch("SAVEPOINT mine")?;
        tx.enqueue(&queue, NewMessage::new("receipt"))?;
        tx.execute_batch("ROLLBACK TO mine")?;
        tx.enqueue(&foreign, NewMessage::new("receipt")).unwrap_err();
        Ok::<_, StoreError>(tx.last_insert_rowid())
    });
    assert_eq!(seen.await.unwrap(), 4712);
}

#[tokio::test]
async fn also_when_the_claim_is_completed() {
    let (_dir, store, queue) = with_orders().await;
    let handler = {
        let store = store.clone();
        service_fn(move |request: Request<Full<bytes::Bytes>>| {
            let (store, queue) = (store.clone(), queue.clone());
            async move {
                let claim = request.extensions().get::<Claim>().unwrap().clone();
                let paid = store.transaction(move |tx| {
                    order(tx)?;
                    tx.enqueue(&queue, NewMessage::new("receipt"))?;
                    tx.complete(&claim, &StoredResponse::new(StatusCode::CREATED, "paid"))?;
                    Ok::<_, StoreError>((tx.last_insert_rowid(), in_sql(tx)?))
                });
                Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::from(format!("{:?}", paid.await.unwrap()))))
            }
        })
    };
    let service = ServiceBuilder::new().layer(IdempotencyLayer::new(store.clone(), Scope::shared())).service(handler);
    let request = Request::post("/").header("idempotency-key", "k").body(Full::default()).unwrap();
    let answer = http_body_util::BodyExt::collect(service.oneshot(request).await.unwrap().into_body()).await.unwrap();
    assert_eq!(answer.to_bytes(), "(4712, 4712)");
}
