//! How do I take a payment exactly once, and send its receipt, even if my process is killed?
//!
//! The payment, the record of the answer and the receipt that is to be sent are one transaction: all of them are there, or none.
//! A worker sends the receipts, with the same idempotency key in every attempt.
//!
//! ```sh
//! cargo run --example payments_sqlite --features full
//! curl -i localhost:3000/payments -H 'x-user: ada' -H 'idempotency-key: order-7' -d 5    # as often as you like
//! ```
//!
//! `DATABASE` is the file (`payments.db`), `LISTEN` the address (127.0.0.1:3000), `RECEIPTS_URL` where receipts are sent (to
//! this server, which prints them).

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{AppendHeaders, IntoResponse, Response},
    routing::post,
};
use futures_util::FutureExt;
use reqwest::redirect::Policy;
use std::{env, time::Duration};
use steadfast::{
    error::{BoxError, StoreError},
    idempotency::{Claim, IdempotencyLayer, NotExecuted, OnUnknown, Scope, StoredResponse},
    place::reqwest::ToReqwest,
    queue::{Deliver, NewMessage, Queue, Worker},
    stack::ClientStack,
    store::sqlite::SqliteStore,
};
use tokio::{net::TcpListener, sync::watch};
use tower::Layer;

/// How long a shutdown waits for what is being answered.
const DRAIN: Duration = Duration::from_secs(20);
/// For how long a crash blocks what was in flight. It can be short: whoever is wrongly taken for dead cannot commit any more.
const LEASE: Duration = Duration::from_secs(1);
/// A process that dies at work costs each receipt that it was sending an attempt; a receipt must survive a very bad day.
const ATTEMPTS: u32 = 100;
const TABLE: &str = "CREATE TABLE IF NOT EXISTS payment(id INTEGER PRIMARY KEY, amount INTEGER NOT NULL)";

#[derive(Clone)]
struct Payments {
    store: SqliteStore,
    receipts: Queue,
}

async fn pay(State(payments): State<Payments>, claim: Claim, amount: String) -> Response {
    let Ok(amount) = amount.trim().parse::<u32>() else {
        return (StatusCode::BAD_REQUEST, "an amount is wanted").into_response();
    };
    let Payments { store, receipts } = payments;
    let paid = store.transaction(move |tx| {
        tx.execute("INSERT INTO payment(amount) VALUES(?1)", [amount])?;
        let answer = StoredResponse::new(StatusCode::CREATED, format!("payment {}", tx.last_insert_rowid()));
        tx.enqueue(&receipts, NewMessage::new(format!("thank you for {amount} EUR")))?;
        tx.complete(&claim, &answer)?;
        Ok::<_, StoreError>(answer)
    });
    paid.await.map_or_else(|error| rolled_back(&error), IntoResponse::into_response)
}

/// Nothing was done, and the key is free: the same request again is welcome. (Should it have been done after all, and only the
/// news of it been lost, the record is there and stays.)
fn rolled_back(error: &StoreError) -> Response {
    eprintln!("not paid: {error}");
    let later = AppendHeaders([("retry-after", "1")]);
    let mut answer = (StatusCode::SERVICE_UNAVAILABLE, later, "not paid; please repeat").into_response();
    answer.extensions_mut().insert(NotExecuted);
    answer
}

/// In place of whoever sends receipts.
async fn print(receipt: String) {
    println!("receipt: {receipt}");
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let or = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let store = SqliteStore::open(or("DATABASE", "payments.db"))?;
    store.transaction::<_, StoreError, _>(|tx| Ok(tx.execute_batch(TABLE)?)).await?;
    let receipts = Queue::new("receipts", store.clone());

    // whose key it is: who is calling, as your authentication found out
    let user = Scope::by(|request| request.headers.get("x-user").map_or(Vec::new(), |user| user.as_bytes().to_vec()));
    // a run whose process died has done all of it or nothing, so it may run again
    let keys =
        IdempotencyLayer::new(store.clone(), user).required().with_on_unknown(OnUnknown::Rerun).with_lease(LEASE);
    let app = Router::new()
        .route("/payments", post(pay))
        .layer(keys.clone())
        .route("/receipts", post(print))
        .with_state(Payments { store, receipts: receipts.clone() });

    let listener = TcpListener::bind(or("LISTEN", "127.0.0.1:3000")).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");

    let url = or("RECEIPTS_URL", &format!("http://{address}/receipts")).parse()?;
    // no retry in here: the worker retries; and no redirects: the body is for this address only
    let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let client = ClientStack::for_delivery("receipts").layer(client);
    let worker =
        Worker::new(receipts, Deliver::new(client, ToReqwest::new(url))).with_lease(LEASE).with_max_attempts(ATTEMPTS);

    // one signal ends all: first nothing new comes in, then what runs is waited for
    let (stop, stopped) = watch::channel(());
    let stopped = move || {
        let mut stopped = stopped.clone();
        async move { while stopped.changed().await.is_ok() {} }
    };
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        drop(stop);
    });
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped()).into_future();
    // clients that never end their request are not waited for longer than this
    let late = stopped().then(|()| tokio::time::sleep(DRAIN)).map(Ok);
    let serve = async { tokio::select!(served = server => served, late = late => late) };
    let (served, ()) = tokio::join!(serve, worker.with_drain(DRAIN).run(stopped()));
    tokio::time::timeout(DRAIN, keys.drained()).await?;
    Ok(served?)
}
