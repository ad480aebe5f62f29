//! The same with reqwest's own request, over real sockets.

use super::{ASKED, SECOND, elapsed, retry};
use axum::{Router, http::HeaderMap, response::IntoResponse, routing::any};
use reqwest::{Method, Request, header::HeaderValue};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    stack::{Client, ClientStack},
    timeout::Limit,
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

/// Answers 503 after `takes`, and counts.
async fn server(takes: Duration) -> (reqwest::Url, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let answer = move |_: HeaderMap| {
        counted.fetch_add(1, SeqCst);
        async move {
            tokio::time::sleep(takes).await;
            http::StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    (url, calls)
}

fn client() -> Client<reqwest::Client> {
    ClientStack::new("payments").with_retry(retry()).layer(reqwest::Client::new())
}

fn near(start: Instant, after: Duration) {
    let took = start.elapsed();
    assert!(took >= after && took < after + SECOND / 2, "{took:?}, not {after:?}");
}

/// reqwest's own timer and the deadline end at the same moment: the error is the deadline's.
#[tokio::test]
async fn the_timeout_of_a_reqwest_request_is_the_deadline_of_the_call() {
    let (url, calls) = server(SECOND * 60).await;
    for _ in 0..3 {
        let mut request = Request::new(Method::GET, url.clone());
        *request.timeout_mut() = Some(ASKED);
        let start = Instant::now();
        let error = client().oneshot(request).await.unwrap_err();
        assert_eq!(elapsed(&error), (Limit::Total, 1));
        near(start, ASKED);
    }
    assert_eq!(calls.load(SeqCst), 3);
}

#[tokio::test]
async fn the_timeout_of_a_reqwest_request_is_shared_by_its_attempts() {
    let (url, calls) = server(ASKED / 3 * 2).await;
    let mut request = Request::new(Method::GET, url);
    *request.timeout_mut() = Some(ASKED);
    let start = Instant::now();
    let error = client().with_max_retries(9).oneshot(request).await.unwrap_err();
    assert_eq!(elapsed(&error), (Limit::Total, 2));
    near(start, ASKED);
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test]
async fn the_time_of_a_client_is_the_deadline_of_a_reqwest_call_and_the_sooner_one_ends_it() {
    let (url, _) = server(SECOND * 60).await;
    for (of_client, of_request) in [(ASKED, None), (ASKED, Some(SECOND * 5)), (SECOND * 5, Some(ASKED))] {
        let mut request = Request::new(Method::GET, url.clone());
        *request.timeout_mut() = of_request;
        let start = Instant::now();
        let error = client().with_timeout(of_client).oneshot(request).await.unwrap_err();
        assert_eq!(elapsed(&error), (Limit::Total, 1));
        near(start, ASKED);
    }
}

#[tokio::test]
async fn a_reqwest_call_has_the_retries_of_its_client_and_a_key_makes_a_post_repeatable() {
    let (url, calls) = server(Duration::ZERO).await;
    let request = |method: Method| Request::new(method, url.clone());
    let mut keyed = request(Method::POST);
    keyed.headers_mut().insert("idempotency-key", HeaderValue::from_static("order-7"));
    for (client, request, attempts) in [
        (client(), request(Method::GET), 3),
        (client().without_retries(), request(Method::GET), 1),
        (client().with_max_retries(3), request(Method::GET), 4),
        (client(), request(Method::POST), 1),
        (client().with_max_retries(1), keyed, 2),
    ] {
        let before = calls.load(SeqCst);
        client.oneshot(request).await.unwrap();
        assert_eq!(calls.load(SeqCst) - before, attempts);
    }
}
