//! Retry layers above each other, and what lies between them.

use crate::script::{Script, get, request, status};
use http::Request;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use steadfast::{
    attempt::Attempt,
    retry::{Allowance, Attempts, Budget, NoRetry, RetryLayer, StandardPolicy},
    setting::Ratio,
    timeout::TimeoutLayer,
};
use tower::{ServiceBuilder, ServiceExt};

#[tokio::test(start_paused = true)]
async fn three_layers_with_four_attempts_each_come_to_four() {
    let four = || RetryLayer::new(StandardPolicy::new().with_max_retries(3)).without_budget();
    let script = Script::always(503);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(four()).layer(four()).layer(four()).service(script);
    let response = client.oneshot(get()).await.unwrap();
    assert_eq!(watch.calls(), 4);
    // the word of the outermost is the one that stays
    assert_eq!(Attempts::of(response.extensions()).unwrap().made(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_inner_layer_leaves_the_number_of_the_outer_one_alone() {
    let script = Script::new([status(503), status(503), status(200)]);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(RetryLayer::default()).layer(RetryLayer::default()).service(script);
    client.oneshot(get()).await.unwrap();
    assert_eq!(watch.seen(|seen| seen.attempt.map(Attempt::number)), [Some(1), Some(2), Some(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_layer_without_retries_does_not_keep_one_below_from_repeating() {
    let off = RetryLayer::new(StandardPolicy::new().with_max_retries(0));
    let script = Script::always(503);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(off).layer(RetryLayer::default()).service(script);
    let response = client.oneshot(get()).await.unwrap();
    assert_eq!(watch.calls(), 3);
    assert_eq!(Attempts::of(response.extensions()).unwrap().made(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_success_pays_once_into_a_budget_that_both_layers_share() {
    let budget = Budget::new(Allowance::new().with_start(0).with_ratio(Ratio::ALL).without_trickle());
    let layer = RetryLayer::default().with_budget(budget.clone());
    let script = Script::new([status(200)]);
    ServiceBuilder::new().layer(layer.clone()).layer(layer).service(script).oneshot(get()).await.unwrap();
    assert_eq!(budget.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_alone_does_not_keep_a_layer_below_from_repeating() {
    let script = Script::always(503);
    let watch = script.watch();
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::total(Duration::from_secs(30)))
        .layer(RetryLayer::default())
        .service(script);
    client.oneshot(get()).await.unwrap();
    assert_eq!(watch.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_an_outer_request_forbids_an_inner_layer_does_not_do() {
    let script = Script::always(503);
    let watch = script.watch();
    let client = ServiceBuilder::new().layer(RetryLayer::default()).layer(RetryLayer::default()).service(script);
    client.oneshot(NoRetry::on(get())).await.unwrap();
    assert_eq!(watch.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_layer_below_signs_every_attempt_anew_while_the_key_stays() {
    let script = Script::new([status(503), status(503), status(200)]);
    let (watch, signed) = (script.watch(), Arc::new(AtomicU64::new(0)));
    let sign = move |mut request: Request<crate::script::Body>| {
        let attempt = Attempt::current().unwrap().number();
        let signature = format!("{}-{attempt}", signed.fetch_add(1, Relaxed));
        // nothing of the attempt before is left in the request
        assert!(request.headers_mut().insert("signature", signature.parse().unwrap()).is_none());
        request
    };
    let client = ServiceBuilder::new().layer(RetryLayer::default()).map_request(sign).service(script);
    client.oneshot(request("POST", &[("idempotency-key", "k")])).await.unwrap();
    let seen = watch
        .seen(|seen| (seen.headers["signature"].to_str().unwrap().to_owned(), seen.headers["idempotency-key"].clone()));
    let key: http::HeaderValue = "k".parse().unwrap();
    assert_eq!(seen, ["0-1", "1-2", "2-3"].map(|signature| (signature.to_owned(), key.clone())));
}
