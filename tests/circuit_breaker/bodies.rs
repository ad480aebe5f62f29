//! A call ends with the body of its response.

use crate::support::{SECOND, after_a_run_of, at_half_of, reset};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, State},
    error::Refused,
};
use tokio::time::{sleep, timeout};
use tokio_stream::iter;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

type Frames = Vec<Result<Frame<Bytes>, io::Error>>;

#[expect(clippy::unnecessary_wraps, reason = "one of the frames above")]
fn data(text: &'static str) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[expect(clippy::unnecessary_wraps, reason = "one of the frames above")]
fn trailers(status: &'static str) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())])))
}

/// Answers 200 with these frames.
async fn call(circuit: &Circuit, grpc: bool, frames: Frames) -> Result<Bytes, io::Error> {
    let frames = Arc::new(Mutex::new(Some(frames)));
    let inner = service_fn(move |_: Request<()>| {
        let body = StreamBody::new(iter(frames.lock().unwrap().take().unwrap()));
        let mut response = Response::new(body);
        if grpc {
            response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        }
        async { Ok::<_, Infallible>(response) }
    });
    let response = CircuitBreakerLayer::new(circuit).layer(inner).oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 200);
    Ok(response.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn a_body_that_breaks_is_a_failure() {
    let circuit = Circuit::with_config("files", after_a_run_of(2));
    for _ in 0..2 {
        assert_eq!(circuit.state(), State::Closed);
        call(&circuit, false, vec![data("he"), Err(reset())]).await.unwrap_err();
    }
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn a_body_that_ends_is_a_success() {
    let circuit = Circuit::with_config("files", after_a_run_of(2));
    for frames in [vec![Err(reset())], vec![data("hello")], vec![Err(reset())]] {
        let _ = call(&circuit, false, frames).await;
    }
    let view = circuit.snapshot().view;
    assert_eq!((view.state, view.run), (State::Closed, 1));
}

#[tokio::test]
async fn unavailable_in_the_trailers_is_a_failure_and_ok_a_success() {
    let circuit = Circuit::with_config("health", after_a_run_of(2));
    for status in ["14", "0", "14"] {
        call(&circuit, true, vec![data("x"), trailers(status)]).await.unwrap();
        assert_eq!(circuit.state(), State::Closed);
    }
    call(&circuit, true, vec![data("x"), trailers("14")]).await.unwrap();
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn a_grpc_stream_without_a_status_broke_off() {
    let circuit = Circuit::with_config("health", after_a_run_of(1));
    call(&circuit, true, vec![data("x")]).await.unwrap();
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_early_is_neutral_and_one_that_hangs_is_not() {
    let circuit = Circuit::with_config("files", after_a_run_of(1));
    let hangs = || {
        let inner = service_fn(|_: Request<()>| async {
            let stream = tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>();
            Ok::<_, Infallible>(Response::new(StreamBody::new(stream)))
        });
        CircuitBreakerLayer::new(&circuit).layer(inner).oneshot(Request::new(()))
    };
    drop(hangs().await.unwrap());
    assert_eq!(circuit.state(), State::Closed);
    let body = hangs().await.unwrap().into_body();
    assert!(timeout(6 * SECOND, body.collect()).await.is_err());
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn a_body_that_panics_is_a_failure() {
    let circuit = Circuit::with_config("files", after_a_run_of(1));
    let inner = service_fn(|_: Request<()>| async {
        let stream = tokio_stream::StreamExt::map(iter([()]), |()| -> Result<Frame<Bytes>, Infallible> { panic!() });
        Ok::<_, Infallible>(Response::new(StreamBody::new(stream)))
    });
    let response = CircuitBreakerLayer::new(&circuit).layer(inner).oneshot(Request::new(())).await.unwrap();
    let read = tokio::spawn(async move { response.into_body().collect().await.map(drop) });
    assert!(read.await.unwrap_err().is_panic());
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn until_head_ends_a_call_with_the_head() {
    let circuit = Circuit::with_config("events", after_a_run_of(1));
    let inner = service_fn(|_: Request<()>| async {
        let stream = tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>();
        Ok::<_, Infallible>(Response::new(StreamBody::new(stream)))
    });
    let response =
        CircuitBreakerLayer::new(&circuit).until_head().layer(inner).oneshot(Request::new(())).await.unwrap();
    // recorded once, and not again when the stream is given up after an hour
    sleep(3600 * SECOND).await;
    drop(response);
    let view = circuit.snapshot().view;
    assert_eq!((view.state, view.stale), (State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn statuses_count_as_the_table_says() {
    // status, a Retry-After with it, and whether a run of one opens
    for (status, hint, opens) in [
        (200, false, false),
        (302, false, false),
        (404, false, false),
        (409, true, false),
        (429, true, false),
        (500, false, true),
        (501, false, false),
        (502, false, true),
        (503, false, true),
        (503, true, false),
    ] {
        let circuit = Circuit::with_config("orders", after_a_run_of(1));
        let inner = service_fn(move |_: Request<()>| async move {
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            if hint {
                response.headers_mut().insert("retry-after", 30.into());
            }
            Ok::<_, Infallible>(response)
        });
        let keyed = Request::builder().header("idempotency-key", "1").body(()).unwrap();
        let response = CircuitBreakerLayer::new(&circuit).layer(inner).oneshot(keyed).await.unwrap();
        drop(response.into_body().collect().await);
        let state = if opens { State::Open } else { State::Closed };
        assert_eq!(circuit.state(), state, "{status}, hint: {hint}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_probe_reopens_for_as_long_as_it_was_told() {
    let circuit = Circuit::with_config("orders", after_a_run_of(1));
    let layer = CircuitBreakerLayer::new(&circuit).layer(service_fn(|request: Request<u16>| async move {
        let response = Response::builder().status(*request.body()).header("retry-after", 30);
        Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
    }));
    drop(layer.clone().oneshot(Request::new(500)).await.unwrap());
    assert_eq!(circuit.snapshot().view.retry_after, Some(30 * SECOND));
    sleep(30 * SECOND).await;
    drop(layer.clone().oneshot(Request::new(429)).await.unwrap());
    let error = layer.oneshot(Request::new(200)).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().retry_after(), Some(30 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_long_download_that_is_given_up_between_two_chunks_is_a_success_of_the_server() {
    // a chunk a second, for ever
    let inner = service_fn(|_: Request<()>| async {
        let chunks =
            tokio_stream::StreamExt::throttle(tokio_stream::iter(std::iter::repeat_with(|| data("x"))), SECOND);
        Ok::<_, Infallible>(Response::new(StreamBody::new(chunks)))
    });
    for until_head in [false, true] {
        let circuit = Circuit::with_config("files", at_half_of(20, 10));
        let layer = CircuitBreakerLayer::new(&circuit);
        let layer = if until_head { layer.until_head() } else { layer };
        let mut body = Box::pin(layer.layer(inner).oneshot(Request::new(())).await.unwrap().into_body());
        for _ in 0..8 {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        let view = circuit.snapshot().view;
        assert_eq!((view.calls, view.failed, view.slow, view.run), (1, 0, 0, 0), "until the head: {until_head}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_503_that_an_inner_circuit_answers_is_neutral_to_an_outer_one() {
    let (outer, inner) = (Circuit::with_config("outer", after_a_run_of(1)), Circuit::new("inner"));
    inner.open_for(60 * SECOND);
    let service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(&outer).respond())
        .layer(CircuitBreakerLayer::new(&inner).respond())
        .service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    for _ in 0..5 {
        let answer = service.clone().oneshot(Request::new(())).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()), (503, &b"60"[..]));
        assert_eq!(answer.extensions().get::<Refused>().unwrap().who(), "inner");
        answer.into_body().collect().await.unwrap();
    }
    let view = outer.snapshot().view;
    assert_eq!((view.state, view.calls, view.failed, view.run), (State::Closed, 0, 0, 0));
}
