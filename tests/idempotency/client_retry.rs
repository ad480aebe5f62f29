//! A client that adds keys and repeats, before servers that keep them: what it does with each kind of answer.

use crate::support::{Runs, app, layer, serve};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    backoff::Exponential,
    classify::Repeatable,
    error::BoxError,
    idempotency::{IdempotencyKey, IdempotencyKeyLayer, NotExecuted},
    retry::{RetryLayer, StandardPolicy, hedge::HedgeLayer},
};
use tokio::time::Instant;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Body = Full<Bytes>;
type Answer = (u16, &'static [(&'static str, &'static str)]);

/// Repeats all that may be repeated, faults too, after a hundredth of a second.
fn eager() -> RetryLayer {
    let backoff = Exponential::new(Duration::from_millis(5), Duration::from_millis(10)).unwrap();
    RetryLayer::new(StandardPolicy::new().with_backoff(backoff).with_faults()).without_budget()
}

fn post() -> Request<Body> {
    Request::post("http://payments.example/charges").body(Body::from("5 EUR")).unwrap()
}

/// The status that comes out, when each attempt came, and its key.
async fn against(answers: &[Answer]) -> (u16, Vec<(Duration, String)>) {
    let (began, seen) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let (noted, answers) = (seen.clone(), answers.to_vec());
    let server = service_fn(move |request: Request<Body>| {
        let mut seen = noted.lock().unwrap();
        let (status, headers) = answers[seen.len().min(answers.len() - 1)];
        let key = IdempotencyKey::try_from(&request.headers()[IdempotencyKey::HEADER]).unwrap();
        seen.push((began.elapsed(), key.as_str().to_owned()));
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        ready(Ok::<_, Infallible>(response.body(Body::default()).unwrap()))
    });
    let client = ServiceBuilder::new().layer(IdempotencyKeyLayer::new()).layer(eager()).service(server);
    let status = client.oneshot(post()).await.unwrap().status().as_u16();
    let seen = seen.lock().unwrap().clone();
    (status, seen)
}

#[tokio::test(start_paused = true)]
async fn in_flight_is_the_same_key_again_after_the_hint() {
    let in_flight: Answer = (409, &[("retry-after", "2")]);
    let (status, seen) = against(&[in_flight, in_flight, (201, &[])]).await;
    assert_eq!((status, seen.len()), (201, 3));
    assert!(seen.iter().all(|(_, key)| *key == seen[0].1), "one key");
    assert!(seen[1].0 >= Duration::from_secs(2) && seen[2].0 >= Duration::from_secs(4), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn every_other_no_and_every_replay_means_stop() {
    let stop: &[Answer] = &[
        (409, &[]),
        (422, &[]),
        (400, &[]),
        (413, &[]),
        (500, &[("idempotent-replayed", "true")]),
        (502, &[("idempotent-replayed", "true")]),
        (503, &[("idempotent-replayed", "true"), ("retry-after", "1")]),
        (429, &[("idempotent-replayed", "true"), ("retry-after", "1")]),
        (409, &[("idempotent-replayed", "true"), ("retry-after", "1")]),
        (200, &[("content-type", "application/grpc"), ("grpc-status", "14"), ("idempotent-replayed", "true")]),
        (200, &[("content-type", "application/grpc"), ("grpc-status", "9")]),
    ];
    for answer in stop {
        let (status, seen) = against(&[*answer]).await;
        assert_eq!((status, seen.len()), (answer.0, 1), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_answered_before_is_repeated_under_its_key() {
    let again: &[Answer] = &[
        (500, &[]),
        (502, &[]),
        (503, &[("retry-after", "1")]),
        (503, &[("idempotent-replayed", "false")]),
        (200, &[("content-type", "application/grpc"), ("grpc-status", "10")]),
    ];
    for answer in again {
        let (status, seen) = against(&[*answer, (201, &[])]).await;
        assert_eq!((status, seen.len(), &seen[0].1), (201, 2, &seen[1].1), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_key_a_replay_header_says_nothing() {
    let runs = Runs::default();
    let counted = runs.clone();
    let server = service_fn(move |_: Request<Body>| {
        counted.add();
        let response = Response::builder().status(503).header("idempotent-replayed", "true");
        ready(Ok::<_, Infallible>(response.body(Body::default()).unwrap()))
    });
    let get = Request::get("http://payments.example/charges").body(Body::default()).unwrap();
    ServiceBuilder::new().layer(eager()).service(server).oneshot(get).await.unwrap();
    assert_eq!(runs.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn retries_and_hedges_carry_the_same_bytes() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let server = service_fn(move |request: Request<Body>| {
        let n = {
            let mut seen = noted.lock().unwrap();
            seen.push(request.headers()[IdempotencyKey::HEADER].as_bytes().to_vec());
            seen.len()
        };
        async move {
            match n {
                1 => Err(BoxError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset))),
                2 => std::future::pending().await,
                _ => Ok(Response::new(Body::default())),
            }
        }
    });
    let client = ServiceBuilder::new()
        .layer(IdempotencyKeyLayer::new().with_quoted_keys())
        .layer(eager())
        .layer(HedgeLayer::new(Duration::from_secs(1)))
        .service(server);
    let mut request = post();
    request.extensions_mut().insert(IdempotencyKey::derive(["message", "7"]));
    // a keyed call is not hedged unless its owner says that both may be at work at once
    request.extensions_mut().insert(Repeatable::Yes);
    let call = client.oneshot(request);
    tokio::time::timeout(Duration::from_secs(60), call).await.expect("it is hedged").unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    let expected = format!("\"{}\"", IdempotencyKey::derive(["message", "7"]).as_str());
    assert!(seen.iter().all(|key| *key == expected.as_bytes()));
}

#[tokio::test]
async fn a_reqwest_client_gets_the_answer_of_its_own_first_attempt() {
    // the first answer is lost behind the server: the handler has run, its client does not know
    let (app, runs) = app(layer().required(), |_| async { "paid" });
    let n = Runs::default();
    let loses = axum::middleware::from_fn(move |request: axum::extract::Request, next: axum::middleware::Next| {
        let first = n.add() == 1;
        async move {
            let answer = next.run(request).await;
            if first { axum::response::IntoResponse::into_response(http::StatusCode::BAD_GATEWAY) } else { answer }
        }
    });
    let address = serve(app.layer(loses)).await;
    let raw = reqwest::Client::new();
    let client = ServiceBuilder::new().layer(IdempotencyKeyLayer::new()).layer(eager()).service(raw.clone());
    let request = raw.post(format!("http://{address}/")).body("5 EUR").build().unwrap();
    let answer = client.oneshot(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["idempotent-replayed"]), (200, &"true".parse().unwrap()));
    assert_eq!((answer.text().await.unwrap().as_str(), runs.get()), ("paid", 1));
}

#[tokio::test]
async fn a_server_that_has_not_executed_it_runs_it_the_next_time() {
    let n = Runs::default();
    let (app, runs) = app(layer(), move |_| {
        let first = n.add() == 1;
        async move {
            use axum::response::IntoResponse;
            if first {
                (http::StatusCode::SERVICE_UNAVAILABLE, axum::Extension(NotExecuted)).into_response()
            } else {
                "paid".into_response()
            }
        }
    });
    let raw = reqwest::Client::new();
    let client = ServiceBuilder::new().layer(IdempotencyKeyLayer::new()).layer(eager()).service(raw.clone());
    let request = raw.post(format!("http://{}/", serve(app).await)).body("5 EUR").build().unwrap();
    let answer = client.oneshot(request).await.unwrap();
    assert!(answer.status() == 200 && !answer.headers().contains_key("idempotent-replayed"));
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn a_tonic_client_carries_a_key_in_its_metadata() {
    let seen = Arc::new(Mutex::new(Vec::<HeaderMap>::new()));
    let noted = seen.clone();
    let note = tower::util::MapRequestLayer::new(move |request: Request<tonic::body::Body>| {
        noted.lock().unwrap().push(request.headers().clone());
        request
    });
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("a", tonic_health::ServingStatus::Serving).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().layer(note).layer(layer().required()).add_service(health);
    tokio::spawn(server.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let mut client = HealthClient::new(ServiceBuilder::new().layer(IdempotencyKeyLayer::new()).service(channel));

    client.check(HealthCheckRequest { service: "a".into() }).await.unwrap();
    let mut with_key = tonic::Request::new(HealthCheckRequest { service: "a".into() });
    with_key.metadata_mut().insert("idempotency-key", "mine".parse().unwrap());
    client.check(with_key).await.unwrap();
    let mut derived = tonic::Request::new(HealthCheckRequest { service: "a".into() });
    derived.extensions_mut().insert(IdempotencyKey::new("message-7").unwrap());
    client.check(derived).await.unwrap();

    let seen = seen.lock().unwrap();
    let keys: Vec<_> = seen.iter().map(|headers| headers["idempotency-key"].to_str().unwrap().to_owned()).collect();
    assert_eq!((keys[0].len(), &keys[1..]), (32, &["mine".to_owned(), "message-7".to_owned()][..]));
}

#[test]
fn derived_keys_are_the_same_always_and_of_other_parts_others() {
    let key = |parts: &[&str]| IdempotencyKey::derive(parts);
    assert_eq!(key(&["message", "1"]), key(&["message", "1"]));
    assert_eq!(key(&["message", "1"]).as_str().len(), 32);
    let all =
        [key(&["message", "2"]), key(&["message1"]), key(&["messag", "e1"]), key(&["message", "1", ""]), key(&[])];
    for other in all {
        assert_ne!(other, key(&["message", "1"]));
    }
    // what was derived once must come out for ever: other processes and later versions derive it again
    assert_eq!(key(&["message", "1"]).as_str(), "ce6b6b28587e3484e61b0bfc66e461cd");
}
