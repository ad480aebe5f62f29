//! What one request says for itself.

use crate::script::{Body, Script, Step, get, status};
use http::Request;
use std::time::Duration;
use steadfast::{
    attempt::Attempt,
    backoff::{Exponential, Jitter},
    classify::Http,
    error::find,
    place::tower::TowerPolicy,
    retry::{
        Allowance, Attempts, Budget, Decision, Finished, HttpReplay, Limited, MaxRetries, Policy, RetryLayer,
        StandardPolicy, Stop,
    },
    timeout::{CallTimeout, Elapsed, TimeoutLayer},
};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, retry::RetryLayer as TowerRetryLayer};

async fn made<P: Policy>(layer: &RetryLayer<P>, request: Request<Body>) -> (usize, Option<(u32, Stop)>) {
    let script = Script::always(503);
    let watch = script.watch();
    let response = layer.layer(script).oneshot(request).await.unwrap();
    (watch.calls(), Attempts::of(response.extensions()).map(|attempts| (attempts.made(), attempts.stop())))
}

#[tokio::test(start_paused = true)]
async fn a_request_has_more_retries_than_the_policy_or_fewer() {
    for policy in [StandardPolicy::new(), StandardPolicy::new().with_max_retries(0)] {
        let layer = RetryLayer::new(policy).without_budget();
        for retries in 0..=5 {
            let expected = (retries as usize + 1, Some((retries + 1, Stop::Exhausted)));
            assert_eq!(made(&layer, MaxRetries(retries).on(get())).await, expected);
        }
    }
    assert_eq!(made(&RetryLayer::default(), get()).await.0, 3);
}

#[tokio::test(start_paused = true)]
async fn the_budget_and_the_deadline_hold_whatever_the_request_says() {
    let budget = Budget::new(Allowance::new().with_start(3).without_trickle());
    let layer = RetryLayer::default().with_budget(budget);
    assert_eq!(made(&layer, MaxRetries(100).on(get())).await, (4, Some((4, Stop::Budget))));

    let second = Duration::from_secs(1);
    let backoff = Exponential::new(second, second).unwrap().with_jitter(Jitter::None);
    let layer = RetryLayer::new(StandardPolicy::new().with_backoff(backoff)).without_budget();
    let client = ServiceBuilder::new().layer(TimeoutLayer::total(second * 4 + second / 2)).layer(layer);
    let response = client.service(Script::always(503)).oneshot(MaxRetries(100).on(get())).await.unwrap();
    let attempts = Attempts::of(response.extensions()).unwrap();
    assert_eq!((attempts.made(), attempts.stop()), (5, Stop::Deadline));
}

/// A policy that does not know of the request's word.
struct Ten;
impl Policy for Ten {
    fn max_retries(&self) -> u32 {
        10
    }
    fn decide(&self, _: &Finished, _: &mut fastrand::Rng) -> Decision {
        Decision::Again(Duration::ZERO)
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_does_not_ask_is_held_to_it_all_the_same() {
    let layer = RetryLayer::with(Ten, Http::new(), HttpReplay);
    assert_eq!(made(&layer, MaxRetries(1).on(get())).await, (2, Some((2, Stop::Exhausted))));
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_by_the_words_of_the_request_is_sent_with_its_body() {
    // the copy is given away for the last attempt: too early, and there is none for the next one
    let script = Script::always(503);
    let watch = script.watch();
    RetryLayer::default().layer(script).oneshot(MaxRetries(4).on(get())).await.unwrap();
    assert_eq!(watch.seen(|seen| seen.body.clone()), ["question"; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_closure_finds_the_number_where_there_are_no_extensions() {
    let patience = |request: &Request<Body>| request.headers().get("x-patience")?.to_str().ok()?.parse().ok();
    let replay = Limited::new(HttpReplay, patience);
    let by_hand = RetryLayer::with(StandardPolicy::new(), Http::new(), replay);
    for layer in [RetryLayer::default().max_retries_of(patience), by_hand] {
        for (header, calls) in [("4", 5), ("0", 1), ("?", 3)] {
            let script = Script::always(503);
            let watch = script.watch();
            let request = crate::script::request("GET", &[("x-patience", header)]);
            layer.layer(script).oneshot(request).await.unwrap();
            assert_eq!(watch.calls(), calls, "{header}");
        }
    }
    // what it does not find, the extensions may have
    let script = Script::always(503);
    let watch = script.watch();
    let layer = RetryLayer::default().max_retries_of(patience);
    layer.layer(script).oneshot(MaxRetries(3).on(get())).await.unwrap();
    assert_eq!(watch.calls(), 4);
}

#[tokio::test]
async fn a_closure_reaches_the_requests_of_reqwest() {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    let calls = std::sync::Arc::new(AtomicU32::new(0));
    let seen = calls.clone();
    let app = axum::Router::new().fallback(move || {
        seen.fetch_add(1, SeqCst);
        std::future::ready(http::StatusCode::SERVICE_UNAVAILABLE)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: reqwest::Url = format!("http://{}/report", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    let tiny = Duration::from_millis(1);
    let policy = StandardPolicy::new().with_backoff(Exponential::new(tiny, tiny).unwrap());
    let layer = RetryLayer::new(policy)
        .max_retries_of(|request: &reqwest::Request| (request.url().path() == "/report").then_some(4));
    let client = layer.layer(reqwest::Client::new());
    client.oneshot(reqwest::Request::new(http::Method::GET, url)).await.unwrap();
    assert_eq!(calls.load(SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn towers_engine_hears_it_too() {
    let script = Script::always(503);
    let watch = script.watch();
    let layer = TowerRetryLayer::new(TowerPolicy::new(StandardPolicy::new()));
    layer.layer(script).oneshot(MaxRetries(4).on(get())).await.unwrap();
    assert_eq!(watch.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_request_has_is_the_deadline_that_retry_keeps() {
    let client = ServiceBuilder::new().layer(TimeoutLayer::total(Duration::from_secs(30)).per_call());
    let client = client.layer(RetryLayer::default());
    let script = Script::new([Step::Hang]);
    let watch = script.watch();
    let start = Instant::now();
    let request = CallTimeout(Duration::from_secs(2)).on(get());
    let error = client.clone().service(script).oneshot(request).await.unwrap_err();
    assert!(find::<Elapsed>(&*error).is_some());
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    let deadline = watch.seen(|seen| seen.attempt.and_then(Attempt::deadline));
    assert_eq!(deadline, [Some(start + Duration::from_secs(2))]);
    // no retry beyond it
    let request = CallTimeout(Duration::from_millis(20)).on(get());
    let response = client.service(Script::new([status(503)])).oneshot(request).await.unwrap();
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::Deadline);
}
