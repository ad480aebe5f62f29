//! What a tier says to the one above it, so that they do not multiply.

use crate::{
    script::{Body, Script, Step, get, request, status, with_header},
    server::serve,
};
use axum::{Router, routing};
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::{client::legacy::Client as Hyper, rt::TokioExecutor};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    error::BoxError,
    retry::{Allowance, Attempts, Budget, MarkerLayer, RetryLayer, StandardPolicy, Stop},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;

const OTHER: HeaderName = HeaderName::from_static("x-repeated");

fn marked(value: &'static str) -> Step {
    with_header(503, "x-should-retry", value)
}

fn stop(response: &Response<Body>) -> Option<Stop> {
    Attempts::of(response.extensions()).map(Attempts::stop)
}

fn mark<B>(response: &Response<B>) -> Option<&str> {
    response.headers().get(MarkerLayer::HEADER).map(|value| value.to_str().unwrap())
}

/// A server that asks the script through a retry layer, and answers by the status of what came.
fn server(
    retry: &RetryLayer,
    script: Script,
) -> impl Service<Request<Body>, Response = Response<()>, Error = BoxError> + Clone + use<> {
    let client = retry.layer(script);
    ServiceBuilder::new().layer(MarkerLayer::new()).service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let (mut own, response) = (Response::new(()), client.oneshot(request).await);
            *own.status_mut() = response.map_or(StatusCode::BAD_GATEWAY, |response| response.status());
            Ok::<_, BoxError>(own)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_the_other_side_marked_is_not_repeated() {
    for value in ["false", "False"] {
        let script = Script::new([marked(value)]);
        let response = RetryLayer::default().layer(script).oneshot(get()).await.unwrap();
        assert_eq!((response.status(), stop(&response)), (StatusCode::SERVICE_UNAVAILABLE, Some(Stop::Pushback)));
    }
    let script = Script::new([marked("false")]);
    let response = RetryLayer::default().read_ahead(100).layer(script).oneshot(get()).await.unwrap();
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::Pushback);
}

#[tokio::test(start_paused = true)]
async fn a_later_answer_that_is_marked_ends_the_call() {
    let script = Script::new([status(503), marked("false")]);
    let response = RetryLayer::default().layer(script).oneshot(get()).await.unwrap();
    assert_eq!(Attempts::of(response.extensions()).map(|told| (told.made(), told.stop())), Some((2, Stop::Pushback)));
}

#[tokio::test(start_paused = true)]
async fn the_marker_makes_nothing_repeatable_and_true_says_nothing() {
    let script = Script::new([marked("true"), marked(""), status(200)]);
    let response = RetryLayer::default().layer(script).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let script = Script::new([with_header(400, "x-should-retry", "true")]);
    RetryLayer::default().layer(script).oneshot(get()).await.unwrap();
    let script = Script::new([marked("true")]);
    RetryLayer::default().layer(script).oneshot(request("POST", &[])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_header_can_be_heeded_and_none() {
    let other = RetryLayer::default().with_marker(OTHER);
    let script = Script::new([marked("false"), with_header(503, "x-repeated", "false")]);
    assert_eq!(stop(&other.layer(script).oneshot(get()).await.unwrap()), Some(Stop::Pushback));
    let script = Script::new([marked("false"), marked("false"), marked("false")]);
    let response = RetryLayer::default().without_marker().layer(script).oneshot(get()).await.unwrap();
    assert_eq!(stop(&response), Some(Stop::Exhausted));
}

#[tokio::test(start_paused = true)]
async fn a_server_marks_what_was_repeated_below_in_vain() {
    let retry = RetryLayer::default();
    let never = Budget::new(Allowance::new().with_start(0).without_trickle());
    let reset = || crate::script::io(std::io::ErrorKind::ConnectionReset);
    for (retry, steps) in [
        (retry.clone(), vec![status(503), status(503), status(503)]),
        (retry.clone(), vec![reset(), reset(), reset()]),
        (retry.clone(), vec![status(503), status(500)]),
        (retry.clone(), vec![marked("false")]),
        (retry.clone().with_budget(never), vec![status(503)]),
    ] {
        let calls = steps.len();
        let answer = server(&retry, Script::new(steps)).oneshot(get()).await.unwrap();
        assert_eq!((mark(&answer), answer.status().is_server_error()), (Some("false"), true), "after {calls} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_marks_nothing_else() {
    let retry = RetryLayer::default();
    let off = RetryLayer::new(StandardPolicy::new().with_max_retries(0));
    for (retry, request, steps) in [
        (retry.clone(), get(), vec![status(503), status(200)]),
        (retry.clone(), get(), vec![status(503), status(404)]),
        (retry.clone(), get(), vec![status(500)]),
        (retry.clone(), request("POST", &[]), vec![status(503)]),
        (retry.clone(), get(), vec![with_header(503, "retry-after", 3600)]),
        (off, get(), vec![status(503)]),
        (retry.clone().without_marker(), get(), vec![status(503), status(503), status(503)]),
    ] {
        let calls = steps.len();
        let answer = server(&retry, Script::new(steps)).oneshot(request).await.unwrap();
        assert_eq!(mark(&answer), None, "{} after {calls} calls", answer.status());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_another_way_gave_is_not_marked() {
    let client = RetryLayer::default().layer(Script::always(503));
    let server = ServiceBuilder::new().layer(MarkerLayer::new()).service_fn(move |request| {
        let client = client.clone();
        async move { client.oneshot(request).await.map(|_| Response::new("from the cache")) }
    });
    assert_eq!(mark(&server.oneshot(get()).await.unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_answer_is_marked_by_its_status_in_the_head() {
    for (code, expected) in [(14, Some("false")), (5, None), (0, None)] {
        let client = RetryLayer::default().layer(Script::always(503));
        let server = ServiceBuilder::new().layer(MarkerLayer::new()).service_fn(move |request| {
            let client = client.clone();
            async move {
                client.oneshot(request).await?;
                let own = Response::builder().header("content-type", "application/grpc").header("grpc-status", code);
                Ok::<_, BoxError>(own.body(()).unwrap())
            }
        });
        assert_eq!(mark(&server.oneshot(get()).await.unwrap()), expected, "grpc-status {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_can_mark_with_another_header_and_leaves_what_is_there() {
    let client = RetryLayer::default().layer(Script::always(503));
    let layer = MarkerLayer::new().with_header(OTHER);
    let answer = layer.layer(client.clone()).oneshot(get()).await.unwrap();
    assert_eq!((mark(&answer), answer.headers()[OTHER].to_str().unwrap()), (None, "false"));
    let said = client.map_response(|mut response| {
        response.headers_mut().insert(MarkerLayer::HEADER, "true".parse().unwrap());
        response
    });
    assert_eq!(mark(&MarkerLayer::new().layer(said).oneshot(get()).await.unwrap()), Some("true"));
}

#[tokio::test(start_paused = true)]
async fn calls_that_take_turns_on_one_thread_are_told_apart() {
    let slow = |status| {
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        let handler = move |_: Request<Body>| {
            let answer = answer.clone();
            async {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok::<_, BoxError>(answer)
            }
        };
        ServiceBuilder::new().layer(MarkerLayer::new()).service_fn(handler)
    };
    let gives_up = server(&RetryLayer::default(), Script::always(503));
    let (marked, unmarked, inner) = tokio::join!(
        gives_up.clone().oneshot(get()),
        slow(StatusCode::BAD_GATEWAY).oneshot(get()),
        // one server around another: what the inner one was told is not lost, and the outer one is whole again after it
        MarkerLayer::new().layer(gives_up).oneshot(get()),
    );
    assert_eq!(mark(&marked.unwrap()), Some("false"));
    assert_eq!(mark(&unmarked.unwrap()), None);
    assert_eq!(mark(&inner.unwrap()), Some("false"));
}

/// One server inside of another, with something between them that catches panics.
#[tokio::test(start_paused = true)]
async fn a_panic_leaves_the_server_around_it_as_it_was() {
    let client = RetryLayer::default().layer(Script::always(503));
    let server = ServiceBuilder::new()
        .layer(MarkerLayer::new())
        .layer(CatchPanicLayer::new())
        .layer(MarkerLayer::new())
        .service_fn(move |request| {
            let client = client.clone();
            async move {
                let response = client.oneshot(request).await?;
                assert!(response.status().is_success(), "the handler is done with it");
                Ok::<_, BoxError>(response)
            }
        });
    let answer = server.oneshot(get()).await.unwrap();
    assert_eq!((answer.status(), mark(&answer)), (StatusCode::INTERNAL_SERVER_ERROR, None));
}

/// A dead leaf, a tier with reqwest and axum above it, and a client of hyper's above that.
#[tokio::test]
async fn over_sockets_only_the_lowest_tier_repeats() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let handled = Arc::new(AtomicUsize::new(0));
    let (client, seen) = (RetryLayer::default().layer(reqwest::Client::new()), handled.clone());
    let handler = move || {
        seen.fetch_add(1, SeqCst);
        let call = client.clone().oneshot(reqwest::Request::new(http::Method::GET, dead.parse().unwrap()));
        async move { call.await.map_or(StatusCode::BAD_GATEWAY, |response| response.status()) }
    };
    let app = Router::new().route("/", routing::get(handler)).layer(MarkerLayer::new());
    let address = serve(app).await;
    let raw: Hyper<_, Full<bytes::Bytes>> = Hyper::builder(TokioExecutor::new()).build_http();
    let user = RetryLayer::default().layer(raw);
    let response =
        user.oneshot(Request::get(format!("http://{address}/")).body(Full::default()).unwrap()).await.unwrap();
    assert_eq!((response.status(), mark(&response)), (StatusCode::BAD_GATEWAY, Some("false")));
    assert_eq!(Attempts::of(response.extensions()).map(|told| (told.made(), told.stop())), Some((1, Stop::Pushback)));
    assert_eq!(handled.load(SeqCst), 1);
    let reqwests = RetryLayer::default().layer(reqwest::Client::new());
    let request = reqwest::Request::new(http::Method::GET, format!("http://{address}/").parse().unwrap());
    assert_eq!(reqwests.oneshot(request).await.unwrap().status(), StatusCode::BAD_GATEWAY);
    assert_eq!(handled.load(SeqCst), 2);
}
