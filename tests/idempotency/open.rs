//! What a handler that runs without a record finds.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, over, request, send},
};
use axum::{Router, routing::post};
use http::StatusCode;
use steadfast::idempotency::Claim;

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_its_claim_runs_while_the_store_is_away() {
    let store = Scripted::default();
    let runs = Runs::default();
    let counted = runs.clone();
    let handler = move |claim: Claim| async move {
        counted.add();
        (StatusCode::CREATED, format!("{} {} {}", claim.is_open(), claim.attempt(), claim.derive("bank").as_str()))
    };
    let app = Router::new().route("/", post(handler)).layer(over(store.clone()).with_fail_open());
    store.next(Call::Begin, [Fault::Fails; 2]);
    let open = send(&app, request("k", "")).await;
    assert_eq!(open.status, StatusCode::CREATED, "{}", open.text());
    assert!(open.text().starts_with("true 1 "));
    let claimed = send(&app, request("k", "")).await;
    assert!(claimed.text().starts_with("false 1 "));
    assert_eq!(claimed.text().rsplit(' ').next(), open.text().rsplit(' ').next(), "one key for the call further down");
    assert_eq!(runs.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_inner_layer_over_the_same_store_does_not_ask_it_once_more() {
    let store = Scripted::default();
    let inner = Router::new().route("/", post(|_: Claim| async { StatusCode::CREATED })).layer(over(store.clone()));
    let app = Router::new().fallback_service(inner).layer(over(store.clone()).with_fail_open());
    store.next(Call::Begin, [Fault::Fails; 2]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED);
    assert_eq!(store.calls(Call::Begin), 2);
}
