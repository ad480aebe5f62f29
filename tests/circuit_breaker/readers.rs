//! The same traffic gives the same circuit, however callers read the bodies: HTTP.

use crate::support::{SECOND, after_a_run_of, at_half_of};
use axum::{
    Router,
    body::Body,
    extract::Query,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper_util::{client::legacy::Client as Legacy, rt::TokioExecutor};
use std::{collections::HashMap, convert::Infallible, net::SocketAddr, time::Duration};
use steadfast::circuit_breaker::{Circuit, CircuitBreakerLayer, Config, State};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_stream::StreamExt as _;
use tower::{Layer, Service, ServiceExt};

/// How far callers read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Whole,
    OneFrame,
    Never,
}

const WAYS: [Way; 3] = [Way::Whole, Way::OneFrame, Way::Never];

fn chunks(count: usize) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static {
    let frames = (0..count).map(|_| Ok(Frame::data(Bytes::from_static(&[b'x'; 100]))));
    StreamBody::new(tokio_stream::iter(frames).then(|frame| async {
        tokio::task::yield_now().await;
        frame
    }))
}

/// Every kind of body, with the status that is asked for.
fn app() -> Router {
    let asked =
        |query: &HashMap<String, String>| query.get("status").map_or(StatusCode::OK, |status| status.parse().unwrap());
    let with = move |headers: &'static [(&'static str, &'static str)], body: fn() -> Body| {
        get(move |Query(query): Query<HashMap<String, String>>| async move {
            let mut response = (asked(&query), body()).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        })
    };
    let events: &[_] = &[("content-type", "text/event-stream")];
    Router::new()
        .route("/whole", with(&[], || Body::from("x".repeat(300))))
        .route("/empty", with(&[], Body::empty))
        .route("/chunks", with(&[], || Body::new(chunks(3))))
        .route("/known", with(&[("content-length", "300")], || Body::new(chunks(3))))
        .route("/events", with(events, || Body::new(chunks(3))))
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Requests to every kind of body, some of which fail: never five in a row, never half of them.
fn traffic() -> Vec<(Method, String)> {
    let mut requests = Vec::new();
    for path in ["whole", "empty", "chunks", "known", "events"] {
        for status in [200, 502, 200, 303, 404, 429, 204, 500, 304, 200] {
            requests.push((Method::GET, format!("/{path}?status={status}")));
        }
        for status in [200, 503, 200] {
            requests.push((Method::HEAD, format!("/{path}?status={status}")));
        }
    }
    requests
}

/// What a circuit knows after the traffic, and whether it is as for the first way.
#[derive(Debug, PartialEq)]
struct Known {
    state: State,
    calls: u64,
    failed: u64,
    slow: u64,
    run: u32,
    refused: u64,
}

fn known(circuit: &Circuit) -> Known {
    let view = circuit.snapshot().view;
    let (state, calls, failed, slow) = (view.state, view.calls, view.failed, view.slow);
    Known { state, calls, failed, slow, run: view.run, refused: view.refused }
}

/// Of the traffic above: 65 requests, of which 502, 429 and 500 failed five times, and 503 to HEAD.
fn expected() -> Known {
    Known { state: State::Closed, calls: 65, failed: 20, slow: 0, run: 0, refused: 0 }
}

async fn read<B: http_body::Body + Unpin>(mut body: B, way: Way) {
    match way {
        Way::Whole => drop(body.collect().await.map_err(drop).unwrap()),
        Way::OneFrame => drop(body.frame().await),
        Way::Never => {}
    }
}

#[tokio::test]
async fn over_reqwest_the_reader_does_not_matter() {
    let address = serve(app()).await;
    for way in WAYS {
        let circuit = Circuit::with_config("reqwest", at_half_of(100, 10));
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let client = CircuitBreakerLayer::new(&circuit).layer(client);
        for (method, path) in traffic() {
            let request = reqwest::Request::new(method, format!("http://{address}{path}").parse().unwrap());
            let mut response: reqwest::Response = client.clone().oneshot(request).await.unwrap();
            match way {
                Way::Whole => drop(response.bytes().await.unwrap()),
                Way::OneFrame => drop(response.chunk().await.unwrap()),
                Way::Never => drop(response),
            }
        }
        assert_eq!(known(&circuit), expected(), "{way:?}");
    }
}

#[tokio::test]
async fn over_hyper_the_reader_does_not_matter() {
    let address = serve(app()).await;
    for way in WAYS {
        let circuit = Circuit::with_config("hyper", at_half_of(100, 10));
        let legacy: Legacy<_, Empty<Bytes>> = Legacy::builder(TokioExecutor::new()).build_http();
        let client = CircuitBreakerLayer::new(&circuit).layer(legacy);
        for (method, path) in traffic() {
            let request = Request::builder().method(method).uri(format!("http://{address}{path}"));
            let response = client.clone().oneshot(request.body(Empty::new()).unwrap()).await.unwrap();
            read(response.into_body(), way).await;
        }
        assert_eq!(known(&circuit), expected(), "{way:?}");
    }
}

/// As hyper's server treats the body: it may drop it anywhere, and does not poll one that is at its end.
#[tokio::test]
async fn in_an_axum_router_the_reader_does_not_matter() {
    for way in WAYS {
        let circuit = Circuit::with_config("axum", at_half_of(100, 10));
        let router = app().layer(CircuitBreakerLayer::new(&circuit).respond());
        for (method, path) in traffic() {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            read(router.clone().oneshot(request).await.unwrap().into_body(), way).await;
        }
        assert_eq!(known(&circuit), expected(), "{way:?}");
    }
}

#[tokio::test]
async fn an_axum_server_is_judged_the_same_by_clients_that_read_and_that_do_not() {
    for way in [Way::Whole, Way::Never] {
        let circuit = Circuit::with_config("axum", at_half_of(100, 10));
        let address = serve(app().layer(CircuitBreakerLayer::new(&circuit).respond())).await;
        let legacy: Legacy<_, Empty<Bytes>> = Legacy::builder(TokioExecutor::new()).build_http();
        for (method, path) in traffic() {
            let request = Request::builder().method(method).uri(format!("http://{address}{path}"));
            let response = legacy.request(request.body(Empty::new()).unwrap()).await.unwrap();
            read(response.into_body(), way).await;
        }
        // the connections end by themselves
        let ended = async {
            while known(&circuit) != expected() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(10 * SECOND, ended).await.unwrap_or_else(|_| panic!("{way:?}: {:?}", known(&circuit)));
    }
}

/// Calls a service that answers 200, with a body of what is given.
async fn respond<B>(circuit: &Circuit, content_type: &'static str, body: B) -> impl http_body::Body<Data = Bytes>
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + 'static,
{
    let mut body = Some(body);
    let inner = tower::service_fn(move |_: Request<()>| {
        let response = Response::builder().header(header::CONTENT_TYPE, content_type).body(body.take().unwrap());
        async { Ok::<_, Infallible>(response.unwrap()) }
    });
    let layer = CircuitBreakerLayer::new(circuit).respond();
    layer.layer(inner).call(Request::new(())).await.unwrap().into_body()
}

/// A chunk each second, for ever.
fn ticks() -> impl http_body::Body<Data = Bytes, Error = Infallible> {
    let chunks = tokio_stream::iter(std::iter::repeat_with(|| Ok(Frame::data(Bytes::from_static(b"data: 1\n\n")))));
    StreamBody::new(tokio_stream::StreamExt::throttle(chunks, SECOND))
}

#[tokio::test(start_paused = true)]
async fn callers_that_stop_reading_good_streams_after_five_seconds_and_a_bit_leave_it_closed() {
    for content_type in ["text/event-stream", "application/octet-stream"] {
        let circuit = Circuit::with_config("streams", Config::default());
        for _ in 0..20 {
            let mut body = Box::pin(respond(&circuit, content_type, ticks()).await);
            // the reader is dropped while it waits for the next chunk
            let read = async { while body.frame().await.is_some() {} };
            assert!(timeout(Duration::from_millis(5300), read).await.is_err());
            drop(body);
        }
        let view = circuit.snapshot().view;
        assert_eq!((view.state, view.failed, view.slow, view.run), (State::Closed, 0, 0, 0), "{content_type}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_that_is_silent_for_an_hour_is_no_failure_and_a_download_is() {
    for (content_type, state) in [
        ("text/event-stream", State::Closed),
        ("text/event-stream;charset=utf-8", State::Closed),
        ("text/csv", State::Open),
    ] {
        let circuit = Circuit::with_config("streams", Config::default());
        for _ in 0..5 {
            let silent = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>());
            let body = respond(&circuit, content_type, silent).await;
            assert!(timeout(3600 * SECOND, body.collect()).await.is_err());
        }
        assert_eq!(circuit.state(), state, "{content_type}");
    }
}

#[tokio::test(start_paused = true)]
async fn readers_that_take_an_hour_between_two_chunks_are_no_slow_calls() {
    let config = Config::default().with_slow_rate(steadfast::setting::Ratio::new(0.1).unwrap());
    for in_flight in [false, true] {
        let circuit = Circuit::with_config("streams", config.clone().with_count_in_flight_slow(in_flight));
        for way in [Way::OneFrame, Way::Whole].into_iter().cycle().take(20) {
            let mut body = Box::pin(respond(&circuit, "text/csv", chunks(4)).await);
            for _ in 0..if way == Way::Whole { 5 } else { 3 } {
                sleep(3600 * SECOND).await;
                drop(body.frame().await);
            }
        }
        let view = circuit.snapshot().view;
        assert_eq!((view.state, view.calls, view.slow, view.failed), (State::Closed, 20, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn neither_a_stream_nor_a_slow_reader_holds_a_probe() {
    let circuit = Circuit::with_config("streams", after_a_run_of(1));
    for content_type in ["text/event-stream", "text/csv"] {
        circuit.open_for(SECOND);
        sleep(SECOND).await;
        assert!(circuit.state() == State::Open);
        let held = respond(&circuit, content_type, ticks()).await;
        assert_eq!(circuit.state(), State::Closed, "{content_type}: its head settled it");
        sleep(3600 * SECOND).await;
        drop(held);
        assert_eq!((circuit.state(), circuit.snapshot().view.run), (State::Closed, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_answered_by_a_bad_head_or_none_reopens_as_before() {
    let circuit = Circuit::with_config("streams", after_a_run_of(1));
    circuit.open_for(SECOND);
    sleep(SECOND).await;
    let layer = CircuitBreakerLayer::new(&circuit);
    let bad = layer.layer(tower::service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::builder().status(502).body(Body::empty()).unwrap())
    }));
    drop(bad.oneshot(Request::new(())).await.unwrap());
    assert_eq!(circuit.state(), State::Open);
    sleep(10 * SECOND).await;
    let hangs = layer.layer(tower::service_fn(|_: Request<()>| std::future::pending::<Result<Response, Infallible>>()));
    let call = tokio::spawn(hangs.oneshot(Request::new(())));
    sleep(SECOND / 2).await;
    assert_eq!(circuit.state(), State::HalfOpen);
    sleep(10 * SECOND).await;
    assert_eq!(circuit.state(), State::Open, "its lease has ended");
    call.abort();
}

/// Real sockets: clients that leave an event stream after `slow`, while the server waits for the next event.
#[tokio::test]
async fn an_axum_server_of_events_stays_closed_when_clients_leave() {
    let slow = Duration::from_millis(40);
    let circuit = Circuit::with_config("events", after_a_run_of(1).with_slow(slow));
    let events = get(|| async {
        let first = tokio_stream::once(Ok::<_, Infallible>(Bytes::from_static(b"data: 1\n\n")));
        let body = Body::from_stream(first.chain(tokio_stream::pending()));
        ([("content-type", "text/event-stream")], body).into_response()
    });
    let app = Router::new().route("/events", events).layer(CircuitBreakerLayer::new(&circuit).respond());
    let address = serve(app).await;
    let mut reading = Vec::new();
    for _ in 0..5 {
        let mut response = reqwest::get(format!("http://{address}/events")).await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "data: 1\n\n");
        reading.push(response);
    }
    sleep(3 * slow).await;
    drop(reading);
    sleep(3 * slow).await;
    assert_eq!((circuit.state(), circuit.snapshot().view.failed), (State::Closed, 0));
}
