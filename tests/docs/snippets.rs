//! Snippets that need a server cannot run as doctests (`no_run`): the same lines stand here, marked, and are run on a private
//! server.

#![allow(unreachable_pub, reason = "the lines are those of the documentation")]

use crate::{page::marked, postgres_server::shared, readme::between, redis_server::RedisServer};
use axum::{Router, body::Body, http::StatusCode, routing::post};
use std::error::Error;
use steadfast::{
    idempotency::{Claim, IdempotencyLayer},
    queue::Queue,
    store::postgres::{PostgresStore, sqlx},
};
use tower::ServiceExt as _;

type Tested = Result<(), Box<dyn Error>>;

#[test]
fn every_snippet_that_needs_a_server_is_run_here() {
    let here = include_str!("snippets.rs");
    for block in marked("snippet").iter().filter(|block| block.words().contains(&"no_run")) {
        let name = &block.mark.as_ref().unwrap().detail;
        let part = between(here, &format!("// snippet: {name}"), "// end");
        let part = part.unwrap_or_else(|| panic!("{}: tests/docs/snippets.rs has no part {name}", block.place()));
        assert_eq!(block.shown(), part.join("\n"), "\n{}: tests/docs/snippets.rs has other lines", block.place());
    }
}

/// Sends two requests with one key; returns for each the status, and whether the response was replayed.
async fn twice(app: &Router) -> [(u16, bool); 2] {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let request = axum::http::Request::post("/").header("idempotency-key", "order-7").header("x-user", "ada");
        let response = app.clone().oneshot(request.body(Body::from("5")).unwrap()).await.unwrap();
        seen.push((response.status().as_u16(), response.headers().contains_key("idempotent-replayed")));
    }
    [seen[0], seen[1]]
}

fn created(layer: IdempotencyLayer) -> Router {
    Router::new().route("/", post(|| async { StatusCode::CREATED })).layer(layer)
}

/// A store with a table of the user's.
async fn with_payments() -> Result<PostgresStore, Box<dyn Error>> {
    let store = PostgresStore::new(shared().pool().await);
    store.migrate().await?;
    sqlx::query("CREATE TABLE payment(amount bigint)").execute(store.pool()).await?;
    Ok(store)
}

async fn paid(store: &PostgresStore) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT sum(amount)::bigint FROM payment").fetch_one(store.pool()).await
}

async fn postgres_layer(url: &str, scope: steadfast::idempotency::Scope) -> Result<IdempotencyLayer, Box<dyn Error>> {
    // snippet: postgres-layer
    use steadfast::{idempotency::IdempotencyLayer, store::postgres::PostgresStore};

    let pool = PostgresStore::pool_options().connect(url).await?; // such as postgres://app@localhost/app
    let store = PostgresStore::new(pool.clone()); // the pool that the service has anyway
    store.migrate().await?; // or by your own migrations: see below
    let layer = IdempotencyLayer::new(store, scope);
    // end
    Ok(layer)
}

#[tokio::test]
async fn the_layer_over_postgres_records_and_replays() -> Tested {
    let url = shared().url(&shared().database().await);
    let layer = postgres_layer(&url, steadfast::idempotency::Scope::shared()).await?;
    assert_eq!(twice(&created(layer)).await, [(201, false), (201, true)]);
    Ok(())
}

mod complete_in {
    // snippet: postgres-complete-in
    use http::StatusCode;
    use steadfast::{
        error::StoreError,
        idempotency::{Claim, StoredResponse},
        store::postgres::{PostgresStore, sqlx},
    };

    /// `claim`: from the request's extensions, or by axum's extractor.
    pub async fn pay(store: &PostgresStore, claim: &Claim, amount: i64) -> Result<StoredResponse, StoreError> {
        let answer = StoredResponse::json(StatusCode::CREATED, format!("{{\"amount\":{amount}}}"));
        let mut tx = store.pool().begin().await?;
        sqlx::query("INSERT INTO payment(amount) VALUES($1)").bind(amount).execute(&mut *tx).await?;
        store.complete_in(&mut tx, claim, &answer).await?;
        tx.commit().await?;
        Ok(answer) // what goes to the caller
    }
    // end
}

#[tokio::test]
async fn the_record_is_in_the_transaction_of_the_payment() -> Tested {
    let store = with_payments().await?;
    let layer = IdempotencyLayer::new(store.clone(), steadfast::idempotency::Scope::shared());
    let of_handler = store.clone();
    let pay = move |claim: Claim| async move {
        complete_in::pay(&of_handler, &claim, 5).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    };
    let app = Router::new().route("/", post(pay)).layer(layer);
    assert_eq!(twice(&app).await, [(201, false), (201, true)]);
    assert_eq!(paid(&store).await?, 5);
    Ok(())
}

mod enqueue_in {
    // snippet: postgres-enqueue-in
    use steadfast::{
        error::StoreError,
        queue::{NewMessage, Queue},
        store::postgres::{PostgresStore, sqlx},
    };

    pub async fn order(store: &PostgresStore, receipts: &Queue, amount: i64) -> Result<(), StoreError> {
        let mut tx = store.pool().begin().await?;
        sqlx::query("INSERT INTO payment(amount) VALUES($1)").bind(amount).execute(&mut *tx).await?;
        store.enqueue_in(&mut tx, receipts, NewMessage::new(format!("{amount}"))).await?;
        Ok(tx.commit().await?)
    }
    // end
}

#[tokio::test]
async fn the_message_is_in_the_transaction_of_the_order() -> Tested {
    let store = with_payments().await?;
    let receipts = Queue::new("receipts", store.clone());
    enqueue_in::order(&store, &receipts, 5).await?;
    assert_eq!((paid(&store).await?, receipts.stats().await?.ready), (5, 1));
    Ok(())
}

async fn redis_layer(url: &str) -> Result<IdempotencyLayer, Box<dyn Error>> {
    // snippet: redis-layer
    use steadfast::{
        idempotency::{IdempotencyLayer, Scope},
        store::redis::RedisStore,
    };

    let store = RedisStore::connect(url).await?; // such as redis://:password@redis.internal:6379
    let user = Scope::by(|parts| parts.headers.get("x-user").map_or(Vec::new(), |user| user.as_bytes().to_vec()));
    let layer = IdempotencyLayer::new(store, user);
    // end
    Ok(layer)
}

async fn redis_manager(url: &str) -> Result<steadfast::store::redis::RedisStore, Box<dyn Error>> {
    // snippet: redis-manager
    use std::time::Duration;
    use steadfast::store::redis::{
        RedisStore,
        redis::{
            Client,
            aio::{ConnectionManager, ConnectionManagerConfig},
        },
    };

    let config = ConnectionManagerConfig::new().set_response_timeout(Some(Duration::from_millis(500)));
    let manager = ConnectionManager::new_with_config(Client::open(url)?, config).await?;
    let store = RedisStore::from_connection_manager(manager).with_prefix("payments:").with_name("payments");
    // end
    Ok(store)
}

#[tokio::test]
async fn the_layer_over_redis_records_and_replays() -> Tested {
    let server = RedisServer::start();
    assert_eq!(twice(&created(redis_layer(&server.url()).await?)).await, [(201, false), (201, true)]);
    assert_eq!(server.cli(&["KEYS", "steadfast:*"]).lines().count(), 1);

    let store = redis_manager(&server.url()).await?;
    let layer = IdempotencyLayer::new(store, steadfast::idempotency::Scope::shared());
    assert_eq!(twice(&created(layer)).await, [(201, false), (201, true)]);
    assert_eq!(server.cli(&["KEYS", "payments:*"]).lines().count(), 1);
    Ok(())
}
