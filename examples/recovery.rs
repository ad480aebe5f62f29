//! How do I find out what became of a payment whose process died after the charge?
//!
//! The handler charges under a key that it derives from its claim, and its process dies before the answer is recorded. The client
//! sends the request again; the new process asks the provider by the same derived key and answers with what it finds. Nothing is
//! charged twice.

use axum::{Router, http::StatusCode, response::IntoResponse, routing::post};
use reqwest::redirect::Policy;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use steadfast::{
    error::BoxError,
    idempotency::{Claim, IdempotencyKey, IdempotencyLayer, OnUnknown, Recovered, Scope, StoredResponse, Unknown},
    store::sqlite::SqliteStore,
};

/// The payment provider: another service, with keys of its own. Calls to it would be awaited.
#[derive(Clone, Default)]
struct Provider(Arc<Mutex<HashMap<IdempotencyKey, usize>>>);

impl Provider {
    fn charge(&self, key: IdempotencyKey) -> usize {
        let mut charges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = 1000 + charges.len();
        *charges.entry(key).or_insert(next)
    }

    fn find(&self, key: &IdempotencyKey) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }
}

fn paid(charge: usize) -> StoredResponse {
    StoredResponse::json(StatusCode::CREATED, format!("{{\"charge\":{charge}}}"))
}

fn app(store: SqliteStore, provider: Provider, dies: bool) -> Router {
    let asked = provider.clone();
    let ask = OnUnknown::ask(move |unknown: Unknown| {
        let provider = asked.clone();
        async move {
            match provider.find(&unknown.derive("charge")) {
                Some(charge) => Recovered::Done(paid(charge)),
                None => Recovered::NotDone, // the provider answers for certain; where it cannot: Recovered::Unknown
            }
        }
    });
    let pay = move |claim: Claim| async move {
        let charge = provider.charge(claim.derive("charge"));
        if dies {
            std::future::pending::<()>().await; // the process hangs here, and is killed
        }
        paid(charge).into_response()
    };
    let layer =
        IdempotencyLayer::new(store, Scope::shared()).with_on_unknown(ask).with_lease(Duration::from_millis(300));
    Router::new().route("/payments", post(pay)).layer(layer.required())
}

async fn send(app: Router) -> Result<String, BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/payments", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, app).into_future());
    let client = reqwest::Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(1)).build()?;
    let answer = client.post(url).header("idempotency-key", "order-7").body("10 EUR").send().await?;
    Ok(format!("{} {}", answer.status(), answer.text().await?))
}

fn main() -> Result<(), BoxError> {
    let (folder, provider) = (tempfile::tempdir()?, Provider::default());
    let process = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let open = || SqliteStore::open(folder.path().join("payments.db"));

    let first = process()?;
    let died = first.block_on(send(app(open()?, provider.clone(), true)));
    println!("first:  {}", died.unwrap_or_else(|_| "no answer".into()));
    drop(first); // with everything that ran in it, the renewal of the claim too

    let second = process()?.block_on(async {
        tokio::time::sleep(Duration::from_millis(400)).await; // until the claim has lapsed
        send(app(open()?, provider.clone(), false)).await
    })?;
    println!("second: {second}");
    println!("charged {} time", provider.0.lock().map_or(0, |charges| charges.len()));
    Ok(())
}
