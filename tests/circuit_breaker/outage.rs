//! The stack that is recommended, called by those who look at the status and read no body: a few failures open nothing, and an
//! outage is over soon after it ended.

use crate::support::SECOND;
use axum::{Router, http::StatusCode, routing::any};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, Config, State},
    stack::ClientStack,
};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower::{Layer, ServiceExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failure_in_a_hundred_refuses_none_of_twenty_thousand_calls_whose_bodies_nobody_reads() {
    let calls = Arc::new(AtomicU32::new(0));
    let answer = any(move || {
        let fails = calls.fetch_add(1, SeqCst) % 100 == 99;
        async move { if fails { (StatusCode::BAD_GATEWAY, "away") } else { (StatusCode::OK, "a few words") } }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", answer)).await.unwrap() });

    let circuits = Circuits::per_origin("payments", Config::default());
    let stack = ClientStack::new("payments").with_circuit_breaker(CircuitBreakerLayer::new(circuits.clone()));
    let client = stack.layer(reqwest::Client::new());
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let client = client.clone();
        // the ones are repeated, the others not
        let method = if caller % 2 == 0 { Method::GET } else { Method::POST };
        callers.spawn(async move {
            for _ in 0..1000 {
                let request = reqwest::Request::new(method.clone(), format!("http://{address}/").parse().unwrap());
                let response = client.clone().oneshot(request).await.expect("no call is refused");
                assert!(matches!(response.status().as_u16(), 200 | 502));
            }
        });
    }
    callers.join_all().await;
    let view = circuits.list().iter().map(|circuit| circuit.snapshot().view).find(|view| view.calls > 0).unwrap();
    assert_eq!((view.state, view.refused, view.calls), (State::Closed, 0, 100));
    assert!(view.failed <= 5, "{view:?}");
}

/// How far callers read.
#[derive(Debug, Clone, Copy)]
enum Way {
    Whole,
    OneFrame,
    Never,
}

/// Sends a call every 20 ms for as long as it lives.
async fn traffic(circuit: Circuit, away: Arc<AtomicBool>, way: Way) {
    let server = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let status = if away.load(SeqCst) { 503 } else { 200 };
        async move {
            sleep(Duration::from_millis(5)).await;
            let body = Full::<Bytes>::from("a few words");
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        }
    });
    let client = ClientStack::new("payments").with_circuit_breaker(CircuitBreakerLayer::new(&circuit)).layer(server);
    let mut calls = JoinSet::new();
    for number in 0_u64.. {
        let client = client.clone();
        calls.spawn(async move {
            let request =
                Request::builder().method(if number % 2 == 0 { "GET" } else { "POST" }).uri("http://payments/");
            let Ok(response) = client.oneshot(request.body(Full::default()).unwrap()).await else { return };
            let mut body = response.into_body();
            match way {
                Way::Whole => drop(body.collect().await),
                Way::OneFrame => drop(body.frame().await),
                Way::Never => {}
            }
        });
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_of_five_seconds_it_is_closed_within_three_of_the_open_period_however_bodies_are_read() {
    for way in [Way::Whole, Way::OneFrame, Way::Never] {
        for seed in 0..10 {
            let circuit = Circuit::with_seed("payments", Config::default(), seed);
            let away = Arc::new(AtomicBool::new(false));
            let traffic = tokio::spawn(traffic(circuit.clone(), away.clone(), way));
            sleep(2 * SECOND).await;
            let before = circuit.snapshot().view;
            assert_eq!((before.state, before.calls, before.failed), (State::Closed, 100, 0), "{way:?}");
            away.store(true, SeqCst);
            sleep(5 * SECOND).await;
            assert_ne!(circuit.state(), State::Closed);
            away.store(false, SeqCst);
            let ends = Instant::now() + circuit.snapshot().view.retry_after.unwrap_or_default();
            sleep_until(ends + 3 * SECOND).await;
            let after = circuit.snapshot().view;
            assert_eq!(after.state, State::Closed, "{way:?}, seed {seed}: {after:?}");
            // and stays so
            sleep(10 * SECOND).await;
            let later = circuit.snapshot().view;
            assert_eq!((later.state, later.failed, later.refused), (State::Closed, 0, after.refused));
            traffic.abort();
        }
    }
}

#[tokio::test]
async fn over_reqwest_it_closes_after_an_outage_though_no_body_is_read() {
    let away = Arc::new(AtomicBool::new(true));
    let answer = {
        let away = away.clone();
        any(move || {
            let status = if away.load(SeqCst) { StatusCode::BAD_GATEWAY } else { StatusCode::OK };
            async move { (status, "a few words") }
        })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", answer)).await.unwrap() });
    let circuit = Circuit::with_config("payments", Config::default().with_open_for(Duration::from_millis(100)));
    let stack = ClientStack::new("payments").with_circuit_breaker(CircuitBreakerLayer::new(&circuit));
    let client = stack.layer(reqwest::Client::new());
    let post = || reqwest::Request::new(Method::POST, format!("http://{address}/").parse().unwrap());
    for _ in 0..5 {
        assert_eq!(client.clone().oneshot(post()).await.unwrap().status(), 502);
    }
    assert_eq!(circuit.state(), State::Open);
    away.store(false, SeqCst);
    sleep(circuit.snapshot().view.retry_after.unwrap()).await;
    // its probes, and no more
    for _ in 0..3 {
        assert_eq!(client.clone().oneshot(post()).await.unwrap().status(), 200);
    }
    assert_eq!(circuit.state(), State::Closed);
}
