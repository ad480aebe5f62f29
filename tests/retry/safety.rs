//! What is repeated, and what never is.

use crate::script::{Script, Step, error, get, io, request, status, with_header};
use std::{io::ErrorKind, time::Duration};
use steadfast::{
    classify::{Http, Repeatable},
    error::Refused,
    retry::{Attempts, HttpReplay, NoRetry, RetryLayer, StandardPolicy, Stop},
    timeout::{Elapsed, Limit},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

/// How many calls a request came to, where every attempt fails in the same way.
async fn calls(request: http::Request<crate::script::Body>, step: impl Fn() -> Step) -> usize {
    calls_with(RetryLayer::default(), request, step).await
}

async fn calls_with(layer: RetryLayer, request: http::Request<crate::script::Body>, step: impl Fn() -> Step) -> usize {
    let script = Script::new((0..5).map(|_| step()));
    let watch = script.watch();
    let _ = layer.layer(script).oneshot(request).await;
    watch.calls()
}

fn timeout() -> Step {
    error(Elapsed::new(Limit::Attempt, 1))
}

fn refused_stream() -> Step {
    error(h2::Error::from(h2::Reason::REFUSED_STREAM))
}

#[tokio::test(start_paused = true)]
async fn a_post_without_a_key_is_repeated_only_when_it_was_never_sent_and_once() {
    let post = || request("POST", &[]);
    assert_eq!(calls(post(), || status(503)).await, 1);
    assert_eq!(calls(post(), timeout).await, 1);
    assert_eq!(calls(post(), || io(ErrorKind::ConnectionReset)).await, 1);
    assert_eq!(calls(post(), || io(ErrorKind::ConnectionRefused)).await, 2);
}

/// A server refused the stream of one hop; below a layer that follows redirects it may be the second one.
#[tokio::test(start_paused = true)]
async fn a_refused_stream_proves_that_a_post_was_never_sent_only_where_there_is_one_hop() {
    let post = || request("POST", &[]);
    assert_eq!(calls(post(), refused_stream).await, 1);
    let one_hop = || RetryLayer::with(StandardPolicy::new(), Http::new().without_redirects(), HttpReplay);
    assert_eq!(calls_with(one_hop(), post(), refused_stream).await, 2);
    let grpc = || request("POST", &[("content-type", "application/grpc")]);
    assert_eq!(calls(grpc(), refused_stream).await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_empty_idempotency_key_makes_no_request_repeatable() {
    for key in ["", "  ", "\"\""] {
        assert_eq!(calls(request("POST", &[("idempotency-key", key)]), || status(503)).await, 1, "{key:?}");
    }
    assert_eq!(calls(request("POST", &[("idempotency-key", "\"k\"")]), || status(503)).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_was_never_sent_and_then_may_have_been_is_not_sent_a_third_time() {
    let script = Script::new([io(ErrorKind::ConnectionRefused), status(503)]);
    let watch = script.watch();
    let response = RetryLayer::default().layer(script).oneshot(request("POST", &[])).await.unwrap();
    assert_eq!((response.status().as_u16(), watch.calls()), (503, 2));
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::NotSafe);
}

#[tokio::test(start_paused = true)]
async fn a_post_with_a_key_is_repeated_with_the_same_key() {
    let keyed = || request("POST", &[("idempotency-key", "k-1")]);
    let steps: [&dyn Fn() -> Step; 5] = [
        &|| status(503),
        &timeout,
        &|| io(ErrorKind::ConnectionReset),
        &|| io(ErrorKind::ConnectionRefused),
        &refused_stream,
    ];
    for step in steps {
        let script = Script::new((0..3).map(|_| step()));
        let watch = script.watch();
        let _ = RetryLayer::default().layer(script).oneshot(keyed()).await;
        assert_eq!(watch.seen(|seen| seen.headers["idempotency-key"].clone()), ["k-1"; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn idempotent_methods_are_repeated_and_others_are_not() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert_eq!(calls(request(method, &[]), || status(503)).await, 3, "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "MERGE"] {
        assert_eq!(calls(request(method, &[]), || status(503)).await, 1, "{method}");
    }
    assert_eq!(calls(request("PATCH", &[("idempotency-key", "k")]), || status(503)).await, 3);
    assert_eq!(calls(request("GET", &[("upgrade", "websocket"), ("connection", "upgrade")]), || status(503)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_a_request_has_the_last_word() {
    let mut post = request("POST", &[]);
    post.extensions_mut().insert(Repeatable::Yes);
    assert_eq!(calls(post, || status(503)).await, 3);
    let mut get = get();
    get.extensions_mut().insert(Repeatable::No);
    assert_eq!(calls(get, || status(503)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_method_is_repeated_when_it_was_named() {
    let layer = || {
        let http = Http::new().with_repeatable_grpc(["/http.Named/Get"]);
        RetryLayer::with(StandardPolicy::new(), http, HttpReplay)
    };
    let to = |path: &str| {
        let mut request = request("POST", &[("content-type", "application/grpc")]);
        *request.uri_mut() = path.parse().unwrap();
        request
    };
    let unavailable = || with_header(200, "grpc-status", 14);
    assert_eq!(calls_with(layer(), to("/http.Named/Get"), unavailable).await, 3);
    assert_eq!(calls_with(layer(), to("/http.Named/Set"), unavailable).await, 1);
}

#[tokio::test(start_paused = true)]
async fn every_status_is_repeated_or_not_as_the_table_says() {
    for code in 200..600 {
        let expected = match code {
            408 | 429 | 502 | 503 | 504 => 3,
            425 => 2,
            _ => 1,
        };
        assert_eq!(calls(get(), || status(code)).await, expected, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_early_is_repeated_once_even_between_others() {
    let script = Script::new([status(425), status(503), status(425), status(200)]);
    let watch = script.watch();
    let layer = RetryLayer::new(StandardPolicy::new().with_max_retries(9));
    let response = layer.layer(script).oneshot(get()).await.unwrap();
    assert_eq!((response.status().as_u16(), watch.calls()), (425, 3));
}

#[tokio::test(start_paused = true)]
async fn faults_are_repeated_only_where_asked_for_and_safe() {
    let faults = || RetryLayer::new(StandardPolicy::new().with_faults());
    assert_eq!(calls_with(faults(), get(), || status(500)).await, 3);
    assert_eq!(calls_with(faults(), request("POST", &[]), || status(500)).await, 1);
    assert_eq!(calls_with(faults(), request("POST", &[("idempotency-key", "k")]), || status(500)).await, 3);
    for code in [501, 505, 511] {
        assert_eq!(calls_with(faults(), get(), || status(code)).await, 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_repeated_only_to_a_keyed_call_with_a_hint() {
    let keyed = || request("POST", &[("idempotency-key", "k")]);
    assert_eq!(calls(keyed(), || with_header(409, "retry-after", 1)).await, 3);
    assert_eq!(calls(keyed(), || status(409)).await, 1);
    assert_eq!(calls(request("PUT", &[]), || with_header(409, "retry-after", 1)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_403_and_a_413_are_repeated_after_their_hint_if_the_request_may_be() {
    let keyed = || request("POST", &[("idempotency-key", "k")]);
    for code in [403, 413] {
        let busy = || with_header(code, "retry-after", 1);
        assert_eq!((calls(get(), busy).await, calls(keyed(), busy).await), (3, 3), "{code}");
        assert_eq!(calls(request("POST", &[]), busy).await, 1, "{code}");
        assert_eq!(calls(get(), || with_header(code, "retry-after", 0)).await, 1, "zero is no hint");
        assert_eq!(calls(get(), || with_header(code, "retry-after", 3600)).await, 1, "an hour is beyond the cap");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_waited_for_when_it_says_how_long_and_that_is_not_long() {
    let open = |after: Option<Duration>| {
        let refused = Refused::new("payments", "circuit open");
        error(after.into_iter().fold(refused, Refused::with_retry_after))
    };
    let post = || request("POST", &[]); // nothing was sent: it is as safe as any
    assert_eq!(calls(post(), || open(None)).await, 1);
    assert_eq!(calls(post(), || open(Some(Duration::from_secs(6)))).await, 1);
    assert_eq!(calls(post(), || open(Some(Duration::from_secs(3)))).await, 3);

    let script = Script::new([open(Some(Duration::from_secs(3))), status(200)]);
    let (watch, start) = (script.watch(), Instant::now());
    RetryLayer::default().layer(script).oneshot(post()).await.unwrap();
    assert!(watch.times(start)[1] >= Duration::from_secs(3));

    let layer = RetryLayer::new(StandardPolicy::new().with_refused_cap(Duration::from_secs(10)));
    assert_eq!(calls_with(layer, post(), || open(Some(Duration::from_secs(6)))).await, 3);
}

#[tokio::test(start_paused = true)]
async fn load_shed_is_not_repeated() {
    assert_eq!(calls(get(), || error(tower::load_shed::error::Overloaded::new())).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_can_forbid_its_repeat() {
    let script = Script::new([status(503)]);
    let watch = script.watch();
    let response = RetryLayer::default().layer(script).oneshot(NoRetry::on(get())).await.unwrap();
    let attempts = Attempts::of(response.extensions()).unwrap();
    assert_eq!((watch.calls(), attempts.made(), attempts.stop()), (1, 1, Stop::Forbidden));
}
