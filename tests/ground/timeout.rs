//! Deadlines: which one strikes, what travels to the layers below, how it is told.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    future::pending,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::{
    attempt::Attempt,
    error::{BoxError, find},
    testing::Probe,
    timeout::{CallTimeout, Elapsed, Limit, TimeoutLayer},
};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn elapsed(error: &BoxError) -> (Limit, u32) {
    let elapsed: &Elapsed = find(&**error).unwrap();
    (elapsed.limit(), elapsed.attempts())
}

async fn hangs((): ()) -> Result<(), Infallible> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_says_which_it_was() {
    for (layer, limit) in [(TimeoutLayer::total(SECOND), Limit::Total), (TimeoutLayer::attempt(SECOND), Limit::Attempt)]
    {
        let start = Instant::now();
        let error = layer.layer(service_fn(hangs)).oneshot(()).await.unwrap_err();
        assert_eq!((elapsed(&error), start.elapsed()), ((limit, 0), SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_total_cuts_short_reports_the_total() {
    let start = Instant::now();
    let attempt = TimeoutLayer::attempt(10 * SECOND).layer(service_fn(hangs));
    let error = TimeoutLayer::total(SECOND).layer(attempt).oneshot(()).await.unwrap_err();
    assert_eq!((elapsed(&error), start.elapsed()), ((Limit::Total, 0), SECOND));
    // the attempt layer itself knows it: an error, and not only the drop of the one above
    let inner = Attempt::new(3).with_deadline(Instant::now() + SECOND);
    let mut call = pin!(inner.scope(|| TimeoutLayer::attempt(10 * SECOND).layer(service_fn(hangs)).call(())).0);
    advance(2 * SECOND).await;
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = inner.scope(|| call.as_mut().poll(&mut cx)).0 else { panic!("it still waits") };
    assert_eq!(elapsed(&error), (Limit::Total, 3));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_within_the_total_reports_the_attempt() {
    let attempt = TimeoutLayer::attempt(SECOND).layer(service_fn(hangs));
    let error = TimeoutLayer::total(10 * SECOND).layer(attempt).oneshot(()).await.unwrap_err();
    assert_eq!(elapsed(&error), (Limit::Attempt, 0));
}

/// In `call`, and in every poll of the future as well.
#[tokio::test(start_paused = true)]
async fn the_deadline_travels_to_every_layer_below() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = {
        let seen = seen.clone();
        move || seen.lock().unwrap().push(Attempt::current().and_then(Attempt::deadline))
    };
    let below = service_fn(move |()| {
        see();
        let see = see.clone();
        async move {
            see();
            sleep(SECOND).await;
            see();
            Ok::<_, Infallible>(())
        }
    });
    let deadline = Instant::now() + 5 * SECOND;
    TimeoutLayer::total(5 * SECOND).layer(TimeoutLayer::attempt(SECOND * 3).layer(below)).oneshot(()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [Some(deadline); 3]);
    assert_eq!(Attempt::current(), None, "nothing stays behind");
}

#[tokio::test(start_paused = true)]
async fn a_nested_total_never_moves_the_deadline_later() {
    for (outer, inner, expected) in [(1, 10, 1), (10, 1, 1)] {
        let start = Instant::now();
        let seen = Arc::new(Mutex::new(None));
        let below = {
            let seen = seen.clone();
            service_fn(move |()| {
                *seen.lock().unwrap() = Attempt::current().and_then(Attempt::deadline);
                hangs(())
            })
        };
        let inner = TimeoutLayer::total(inner * SECOND).layer(below);
        let error = TimeoutLayer::total(outer * SECOND).layer(inner).oneshot(()).await.unwrap_err();
        assert_eq!((elapsed(&error).0, start.elapsed()), (Limit::Total, expected * SECOND));
        assert_eq!(*seen.lock().unwrap(), Some(start + expected * SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_all_time_does_not_panic() {
    for layer in [TimeoutLayer::total(Duration::MAX), TimeoutLayer::attempt(Duration::MAX)] {
        let slow = service_fn(|()| async {
            sleep(1000 * SECOND).await;
            Ok::<_, Infallible>(())
        });
        layer.layer(slow).oneshot(()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_zero_lets_an_answer_through_that_is_here() {
    let here = service_fn(|()| async { Ok::<_, Infallible>("here") });
    assert_eq!(TimeoutLayer::total(Duration::ZERO).layer(here).oneshot(()).await.unwrap(), "here");
    let error = TimeoutLayer::total(Duration::ZERO).layer(service_fn(hangs)).oneshot(()).await.unwrap_err();
    assert_eq!(elapsed(&error).0, Limit::Total);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_ready_with_the_timer_wins() {
    let punctual = service_fn(|()| async {
        sleep(SECOND).await;
        Ok::<_, Infallible>("in time")
    });
    for layer in [TimeoutLayer::total(SECOND), TimeoutLayer::attempt(SECOND)] {
        let mut call = pin!(layer.layer(punctual).oneshot(()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        advance(2 * SECOND).await;
        assert_eq!(call.await.unwrap(), "in time", "both are ready in one poll");
    }
}

/// What a retry layer does: it tells each attempt, in `call` or later in a poll.
#[tokio::test(start_paused = true)]
async fn the_error_says_how_many_attempts_there_were() {
    let tells = service_fn(|()| {
        Attempt::tell(1);
        async {
            sleep(SECOND / 4).await;
            Attempt::tell(2);
            sleep(SECOND / 4).await;
            Attempt::tell(3);
            hangs(()).await
        }
    });
    let error = TimeoutLayer::total(SECOND).layer(tells).oneshot(()).await.unwrap_err();
    assert_eq!(elapsed(&error), (Limit::Total, 3));
    assert_eq!(error.to_string(), "the deadline of the call elapsed in attempt 3");
    // told through another deadline between
    let between = TimeoutLayer::total(10 * SECOND).layer(tells);
    let error = TimeoutLayer::total(SECOND).layer(between).oneshot(()).await.unwrap_err();
    assert_eq!(elapsed(&error), (Limit::Total, 3));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_times_out_says_which_one_it_was() {
    let scope = Attempt::new(2);
    let mut call = pin!(TimeoutLayer::attempt(SECOND).layer(service_fn(hangs)).call(()));
    advance(2 * SECOND).await;
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = scope.scope(|| call.as_mut().poll(&mut cx)).0 else { panic!("it still waits") };
    assert_eq!((elapsed(&error), error.to_string()), ((Limit::Attempt, 2), "attempt 2 timed out".to_owned()));
}

type Asked = Request<Full<Bytes>>;

fn asked(content_type: &str) -> Asked {
    Request::post("/").header("content-type", content_type).body(Full::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_server_answers_504_as_a_problem() {
    for layer in [TimeoutLayer::total(SECOND).respond(), TimeoutLayer::attempt(SECOND).respond()] {
        let hangs = service_fn(|_: Asked| pending::<Result<Response<Full<Bytes>>, Infallible>>());
        // the error type stays what it was: axum takes it without a HandleErrorLayer
        let answer: Result<_, Infallible> = layer.layer(hangs).oneshot(asked("application/json")).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert!(!answer.headers().contains_key("grpc-status"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["title"], &problem["status"]), (&"deadline elapsed".into(), &504.into()));
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_server_answers_deadline_exceeded() {
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let hangs = service_fn(|_: Asked| pending::<Result<Response<Full<Bytes>>, Infallible>>());
        let answer = TimeoutLayer::total(SECOND).respond().layer(hangs).oneshot(asked(content_type)).await.unwrap();
        assert_eq!((answer.status(), &answer.headers()["grpc-status"]), (StatusCode::OK, &"4".parse().unwrap()));
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        assert!(!answer.headers()["grpc-message"].is_empty());
        assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty(), "trailers only");
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_server_in_time_keeps_its_body_and_trailers() {
    let trailers = http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let answers = service_fn(move |_: Asked| {
        let trailers = trailers.clone();
        let body = Full::new(Bytes::from_static(b"data")).with_trailers(async move { Some(Ok(trailers)) });
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let answer = TimeoutLayer::total(SECOND).respond().layer(answers).oneshot(asked("x")).await.unwrap();
    let whole = answer.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().map(|t| t["grpc-status"].clone()), Some("0".parse().unwrap()));
    assert_eq!(whole.to_bytes(), "data");
}

#[tokio::test(start_paused = true)]
async fn tonic_finds_a_status_below_the_error() {
    let error = TimeoutLayer::total(SECOND).layer(service_fn(hangs)).oneshot(()).await.unwrap_err();
    assert_eq!(tonic::Status::from_error(error).code(), tonic::Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn the_call_is_dropped_when_the_deadline_strikes() {
    let probe = Probe::<()>::new(|_| Ok(()));
    probe.set_polls(u32::MAX);
    let mut service = TimeoutLayer::total(SECOND).layer(probe.clone());
    let mut call = Box::pin(ServiceExt::<()>::ready(&mut service).await.unwrap().call(()));
    assert!(call.as_mut().await.is_err());
    // by whoever drops the future: until then the call may still hold what it has
    drop(call);
    assert_eq!((probe.running(), probe.abandoned()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_has_a_time_of_its_own_longer_or_shorter() {
    let hangs = || service_fn(|_: Request<()>| pending::<Result<(), Infallible>>());
    for (layer, limit) in [(TimeoutLayer::total(SECOND), Limit::Total), (TimeoutLayer::attempt(SECOND), Limit::Attempt)]
    {
        let layer = layer.per_call();
        for after in [SECOND / 2, SECOND * 5] {
            let (start, request) = (Instant::now(), CallTimeout(after).on(Request::new(())));
            let error = layer.layer(hangs()).oneshot(request).await.unwrap_err();
            assert_eq!((elapsed(&error), start.elapsed()), ((limit, 0), after));
        }
        let start = Instant::now();
        layer.layer(hangs()).oneshot(Request::new(())).await.unwrap_err();
        assert_eq!(start.elapsed(), SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_request_moves_no_deadline_from_further_out() {
    let start = Instant::now();
    let inner = TimeoutLayer::total(SECOND).per_call();
    let service =
        TimeoutLayer::total(2 * SECOND).layer(inner.layer(service_fn(async |_: Request<()>| hangs(()).await)));
    let error = service.oneshot(CallTimeout(10 * SECOND).on(Request::new(()))).await.unwrap_err();
    assert_eq!((elapsed(&error), start.elapsed()), ((Limit::Total, 0), 2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_closure_finds_the_time_in_any_request() {
    let layer = TimeoutLayer::total(SECOND).per_call_of(|seconds: &u32| (*seconds > 0).then(|| *seconds * SECOND));
    for (seconds, after) in [(0, SECOND), (7, 7 * SECOND)] {
        let start = Instant::now();
        layer.layer(service_fn(async |_: u32| hangs(()).await)).oneshot(seconds).await.unwrap_err();
        assert_eq!(start.elapsed(), after);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_answers_at_the_time_of_the_request() {
    let layer = TimeoutLayer::total(SECOND).respond().per_call();
    let hangs = service_fn(|_: Request<Full<Bytes>>| pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let start = Instant::now();
    let request = CallTimeout(3 * SECOND).on(Request::new(Full::default()));
    let response = layer.layer(hangs).oneshot(request).await.unwrap();
    assert_eq!((response.status(), start.elapsed()), (StatusCode::GATEWAY_TIMEOUT, 3 * SECOND));
}

/// A gRPC client says for how long it waits; what a stranger says shortens a server's own limit and never lengthens it.
#[tokio::test(start_paused = true)]
async fn a_grpc_timeout_shortens_a_call_and_never_lengthens_it() {
    let layer = TimeoutLayer::total(10 * SECOND).respond().per_call();
    let hangs = || service_fn(|_: Request<Full<Bytes>>| pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let asks = |content_type: &str, timeout: &str| {
        let request = Request::post("/pay.Payments/Charge").header("content-type", content_type);
        request.header("grpc-timeout", timeout).body(Full::default()).unwrap()
    };
    for (content_type, timeout, expected) in [
        ("application/grpc", "600m", Duration::from_millis(600)),
        ("application/grpc+proto", "2S", 2 * SECOND),
        ("application/grpc-web+proto", "1500000u", SECOND * 3 / 2),
        ("application/grpc", "0n", Duration::ZERO),
        ("application/grpc", "1M", 10 * SECOND),
        ("application/grpc", "99999999H", 10 * SECOND),
        ("application/grpc", "2s", 10 * SECOND),
        ("application/grpc", "123456789n", 10 * SECOND),
        ("application/json", "600m", 10 * SECOND),
    ] {
        let start = Instant::now();
        let response = layer.layer(hangs()).oneshot(asks(content_type, timeout)).await.unwrap();
        assert_eq!(start.elapsed(), expected, "{content_type} {timeout}");
        let is_grpc =
            response.headers().get("content-type").is_some_and(|of| of.as_bytes().starts_with(b"application/grpc"));
        assert_eq!(is_grpc, content_type.starts_with("application/grpc"));
    }
    // a layer that was not asked to look at requests does not
    let start = Instant::now();
    let plain = TimeoutLayer::total(10 * SECOND).respond().layer(hangs());
    plain.oneshot(asks("application/grpc", "600m")).await.unwrap();
    assert_eq!(start.elapsed(), 10 * SECOND);
    // with both, the soonest
    for (of_request, of_grpc, expected) in [(SECOND, "2S", SECOND), (3 * SECOND, "2S", 2 * SECOND)] {
        let start = Instant::now();
        let request = CallTimeout(of_request).on(asks("application/grpc", of_grpc));
        layer.layer(hangs()).oneshot(request).await.unwrap();
        assert_eq!(start.elapsed(), expected);
    }
}

/// A client's own timer that ends with the deadline (reqwest has one) is the deadline; any other error is the client's.
#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_client_at_the_moment_of_the_deadline_is_the_deadline() {
    let failing = |kind: std::io::ErrorKind| {
        service_fn(move |()| async move {
            sleep(SECOND).await;
            Err::<(), BoxError>(std::io::Error::from(kind).into())
        })
    };
    for (layer, limit) in [(TimeoutLayer::total(SECOND), Limit::Total), (TimeoutLayer::attempt(SECOND), Limit::Attempt)]
    {
        let error = layer.layer(failing(std::io::ErrorKind::TimedOut)).oneshot(()).await.unwrap_err();
        assert_eq!(elapsed(&error), (limit, 0));
        let error = layer.layer(failing(std::io::ErrorKind::ConnectionReset)).oneshot(()).await.unwrap_err();
        assert!(find::<Elapsed>(&*error).is_none(), "{error}");
    }
    let sooner = TimeoutLayer::total(2 * SECOND).layer(failing(std::io::ErrorKind::TimedOut));
    assert!(find::<Elapsed>(&*sooner.oneshot(()).await.unwrap_err()).is_none(), "the client's own, sooner");
}
