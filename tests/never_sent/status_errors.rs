//! A status that `error_for_status` of reqwest turned into an error is that status, wherever the error is.

use crate::{
    clients::{Layers, Redirects, attempts, reqwest, retry},
    server::{Act, Server, in_time},
};
use ::reqwest::{Client, Method, Request, Response, Url};
use std::time::Duration;
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer},
    classify::{Failure, Outcome, of_error},
    error::BoxError,
    queue::{Filter, Message, NewMessage, Queue, Reason, Report, Worker},
    retry::{RetryLayer, StandardPolicy},
    store::memory::MemoryStore,
};
use tower::{Layer, ServiceExt, service_fn};

/// The status, what it says, and the attempts of a GET.
const STATUSES: [(u16, Outcome, u32); 13] = [
    (400, Outcome::Rejected, 1),
    (401, Outcome::Rejected, 1),
    (404, Outcome::Rejected, 1),
    (408, Outcome::Failure(Failure::Transient), 3),
    (409, Outcome::Rejected, 1),
    (422, Outcome::Rejected, 1),
    (429, Outcome::Failure(Failure::Overloaded), 3),
    (500, Outcome::Failure(Failure::Fault), 1),
    (501, Outcome::Rejected, 1),
    (502, Outcome::Failure(Failure::Transient), 3),
    (503, Outcome::Failure(Failure::Transient), 3),
    (504, Outcome::Failure(Failure::Transient), 3),
    (425, Outcome::Failure(Failure::Transient), 2),
];

fn get(method: Method, url: &str) -> Request {
    Request::new(method, Url::parse(url).unwrap())
}

async fn checked(client: Client, request: Request) -> Result<Response, ::reqwest::Error> {
    client.execute(request).await?.error_for_status()
}

#[derive(Debug, thiserror::Error)]
#[error("calling the bank")]
struct Handler(#[from] ::reqwest::Error);

#[tokio::test]
async fn a_status_that_became_an_error_is_that_status_in_a_retry_layer() {
    for (status, outcome, expected) in STATUSES {
        let server = Server::always(Act::Respond(status)).await;
        let client = reqwest(false, Redirects::None);
        let direct = client.clone();
        let direct = service_fn(move |request| checked(direct.clone(), request));
        let boxed = client.clone();
        let boxed = service_fn(move |request| {
            let client = boxed.clone();
            async move { checked(client, request).await.map_err(BoxError::from) }
        });
        let handler = client.clone();
        let handler = service_fn(move |request| {
            let client = handler.clone();
            async move { checked(client, request).await.map_err(|error| BoxError::from(Handler(error))) }
        });
        let url = server.url("/pay");
        macro_rules! attempts_of {
            ($service:expr, $method:expr) => {{
                let retry = retry(Layers::Bare);
                let error = in_time(retry.layer($service).oneshot(get($method, &url))).await.unwrap_err();
                assert_eq!(of_error(&error).outcome(), outcome, "{status}");
                attempts(&retry)
            }};
        }
        for (method, expected) in [(Method::GET, expected), (Method::POST, 1)] {
            assert_eq!(attempts_of!(direct.clone(), method.clone()), expected, "{status} {method}");
            assert_eq!(attempts_of!(boxed.clone(), method.clone()), expected, "{status} {method} boxed");
            assert_eq!(attempts_of!(handler.clone(), method.clone()), expected, "{status} {method} handler");
        }
    }
}

#[tokio::test]
async fn a_rejection_that_became_an_error_opens_no_circuit() {
    for (status, failures) in [(404, 0), (409, 0), (503, 1), (500, 1)] {
        let server = Server::always(Act::Respond(status)).await;
        let (client, circuit) = (reqwest(false, Redirects::None), Circuit::new("bank"));
        let service = service_fn(move |request| checked(client.clone(), request));
        let layer = CircuitBreakerLayer::new(circuit.clone());
        assert!(layer.layer(service).oneshot(get(Method::GET, &server.url("/pay"))).await.is_err());
        assert_eq!(circuit.snapshot().view.failed, failures, "{status}");
    }
}

/// A worker's handler that calls with reqwest and uses `?`.
#[tokio::test]
async fn a_404_that_became_an_error_is_a_dead_letter_after_one_attempt() {
    let server = Server::always(Act::Respond(404)).await;
    let queue = Queue::new("orders", MemoryStore::new());
    queue.enqueue(NewMessage::new("x")).await.unwrap();
    let (client, url) = (reqwest(false, Redirects::None), server.url("/pay"));
    let service = service_fn(move |_: Message| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            checked(client, get(Method::POST, &url)).await.map_err(Handler)?;
            Ok::<_, BoxError>(Report::new(Outcome::Success))
        }
    });
    let worker = Worker::new(queue.clone(), service);
    let _ = tokio::time::timeout(Duration::from_secs(1), worker.run(std::future::pending())).await;
    let letters = queue.dead_letters().list(Filter::all()).await.unwrap().letters;
    assert_eq!((letters.len(), server.posts("/pay")), (1, 1));
    assert_eq!(letters[0].reason, Reason::Rejected);
}

/// By result, as a service that is not HTTP would be judged.
#[tokio::test]
async fn a_status_that_became_an_error_is_that_status_by_result_too() {
    let server = Server::always(Act::Respond(404)).await;
    let (client, url) = (reqwest(false, Redirects::None), server.url("/pay"));
    let service = service_fn(move |()| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            checked(client, get(Method::POST, &url))
                .await
                .map(drop)
                .map_err(|error| BoxError::from(anyhow::Error::from(Handler(error))))
        }
    });
    let client = RetryLayer::by_result(StandardPolicy::new()).layer(service);
    assert!(client.oneshot(()).await.is_err());
    assert_eq!(server.posts("/pay"), 1);
}
