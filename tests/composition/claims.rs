//! K3, K4 and A1: after an attempt that may have been executed, no error is classified as refused or never sent.

use crate::{
    hops::Hops,
    server::{Asked, Does, Reply, Server, claims_that_nothing_was_sent, get, keyed, open, post},
};
use http::StatusCode;
use http_body_util::Full;
use std::{
    io,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use steadfast::{
    circuit_breaker::{CircuitBreakerLayer, Circuits, Config},
    error::{BoxError, Refused},
    idempotency::IdempotencyKeyLayer,
    place::tower::{PolicyLayer, TowerPolicy},
    retry::{Budgets, MaxRetries, NoRetry, RetryLayer, StandardPolicy, hedge::HedgeLayer},
    stack::ClientStack,
    timeout::TimeoutLayer,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, layer::layer_fn};
use tower_http::follow_redirect::FollowRedirectLayer;

const SECOND: Duration = Duration::from_secs(1);

fn circuits() -> Circuits {
    Circuits::per_origin("claims", Config::default())
}

/// `a.test` executes and answers 303 to `b.test`, whose circuit is open.
fn moved() -> Server {
    Server::new(|host, _| if host == "a.test" { Does::Moved("b.test") } else { Does::Status(200) })
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_redirected_to_a_host_whose_circuit_is_open_is_executed_once() {
    for outermost in [None, Some(TimeoutLayer::total(30 * SECOND))] {
        let (server, circuits) = (moved(), circuits());
        let layers = (RetryLayer::default(), FollowRedirectLayer::new(), CircuitBreakerLayer::new(circuits.clone()));
        let client = ServiceBuilder::new().option_layer(outermost).layer(layers).service(server.clone());
        client.clone().oneshot(get("b.test")).await.unwrap();
        open(&circuits, "b.test", SECOND);
        let error = client.oneshot(post("a.test")).await.expect_err("the circuit of b.test is open");
        assert_eq!(server.posts().len(), 1);
        assert!(!claims_that_nothing_was_sent(&error), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_redirected_to_a_host_whose_circuit_answers_that_it_is_open_is_executed_once() {
    let (server, circuits) = (moved(), circuits());
    let answers = CircuitBreakerLayer::new(circuits.clone()).respond();
    let layers = (RetryLayer::default(), FollowRedirectLayer::new(), answers);
    let client = ServiceBuilder::new().layer(layers).service(server.clone());
    client.clone().oneshot(get("b.test")).await.unwrap();
    open(&circuits, "b.test", SECOND);
    let answer = client.oneshot(post("a.test")).await.expect("the circuit answers");
    assert_eq!((server.posts().len(), answer.status()), (1, StatusCode::SERVICE_UNAVAILABLE));
    assert!(answer.extensions().get::<Refused>().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_redirected_post_that_must_not_be_repeated_is_not_refused_by_a_circuit_that_answers() {
    for request in [post("a.test"), keyed("a.test")] {
        let (server, circuits) = (moved(), circuits());
        let answers = CircuitBreakerLayer::new(circuits.clone()).respond();
        let layers = (RetryLayer::default(), FollowRedirectLayer::new(), answers);
        let client = ServiceBuilder::new().layer(layers).service(server.clone());
        client.clone().oneshot(get("b.test")).await.unwrap();
        open(&circuits, "b.test", SECOND);
        let answer = client.oneshot(NoRetry::on(request)).await.expect("the circuit answers");
        assert_eq!((server.posts().len(), answer.status()), (1, StatusCode::SERVICE_UNAVAILABLE));
        assert!(answer.extensions().get::<Refused>().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_that_is_redirected_to_a_host_whose_circuit_is_open_is_repeated_when_that_closes() {
    let (server, circuits) = (moved(), circuits());
    let layers = (RetryLayer::default(), FollowRedirectLayer::new(), CircuitBreakerLayer::new(circuits.clone()));
    let client = ServiceBuilder::new().layer(layers).service(server.clone());
    client.clone().oneshot(get("b.test")).await.unwrap();
    open(&circuits, "b.test", SECOND);
    assert_eq!(client.oneshot(get("a.test")).await.unwrap().status(), 200);
}

/// Opens after two failures.
fn touchy() -> Config {
    Config::default().with_consecutive_failures(NonZeroU32::new(2).unwrap()).with_open_for(60 * SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_an_attempt_that_was_reset_is_no_refusal() {
    let server = Server::new(|_, _| Does::Reset);
    let breaker = CircuitBreakerLayer::new(Circuits::per_origin("claims", touchy()));
    let client = ServiceBuilder::new().layer(RetryLayer::default()).layer(breaker).service(server.clone());
    let error = client.clone().oneshot(keyed("a.test")).await.expect_err("every attempt is reset");
    assert_eq!(server.posts().len(), 2);
    assert!(!claims_that_nothing_was_sent(&error), "{error}");
    // a call of which nothing was sent is refused as before
    let error = client.oneshot(keyed("a.test")).await.expect_err("the circuit is open");
    assert_eq!(server.posts().len(), 2);
    assert!(claims_that_nothing_was_sent(&error), "{error}");
}

/// The attempts end in 503, 503, and a connection that is refused.
fn away_at_last() -> Server {
    Server::new(|_, call| if call < 2 { Does::Status(503) } else { Does::Refused })
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_refused_after_two_real_answers_is_not_never_sent() {
    let server = away_at_last();
    let client = ServiceBuilder::new().layer(RetryLayer::default()).service(server.clone());
    let error = client.oneshot(keyed("a.test")).await.expect_err("the last attempt is refused");
    assert_eq!((server.posts().len(), server.calls("a.test")), (2, 3));
    assert!(!claims_that_nothing_was_sent(&error), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_adapters_of_towers_retry_do_not_claim_that_nothing_was_sent() {
    let policy = TowerPolicy::new(StandardPolicy::new()).with_budget(Budgets::none());
    let ours = ServiceBuilder::new().layer(PolicyLayer::new(policy.clone())).service(away_at_last());
    let error = ours.oneshot(keyed("a.test")).await.expect_err("the last attempt is refused");
    assert!(!claims_that_nothing_was_sent(&error), "{error}");
    let towers = ServiceBuilder::new().layer(tower::retry::RetryLayer::new(policy)).service(away_at_last());
    let error = towers.oneshot(keyed("a.test")).await.expect_err("the last attempt is refused");
    assert!(!claims_that_nothing_was_sent(&error), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_an_open_circuit_after_a_real_attempt_is_no_refusal() {
    let answers = || {
        let breaker = CircuitBreakerLayer::new(Circuits::per_origin("claims", touchy())).respond();
        breaker.layer(Server::new(|_, _| Does::Reset))
    };
    let policy = TowerPolicy::new(StandardPolicy::new()).with_budget(Budgets::none());
    let ours = ServiceBuilder::new().layer(RetryLayer::default()).service(answers());
    let adapted = ServiceBuilder::new().layer(PolicyLayer::new(policy.clone())).service(answers());
    let towers = ServiceBuilder::new().layer(tower::retry::RetryLayer::new(policy)).service(answers());
    for answer in [
        ours.oneshot(keyed("a.test")).await,
        adapted.oneshot(keyed("a.test")).await,
        towers.oneshot(keyed("a.test")).await,
    ] {
        let answer = answer.expect("the circuit answers");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.extensions().get::<Refused>().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_whose_second_attempt_is_refused_does_not_claim_that_nothing_was_sent() {
    // the first is executed and fails: before the second begins, before it ends, after it
    for first in [5, 15, 50] {
        let server = Server::new(move |_, call| if call == 0 { Does::Late(first, 503) } else { Does::LateRefused(20) });
        let client = ServiceBuilder::new().layer(HedgeLayer::new(Duration::from_millis(10))).service(server.clone());
        match client.oneshot(get("a.test")).await {
            Ok(answer) => assert_eq!(answer.status(), 503),
            Err(error) => assert!(!claims_that_nothing_was_sent(&error), "{first}: {error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_through_a_buffer_from_a_stack_with_keys_is_not_sent_under_another_key() {
    for host in ["refused.test", "circuit.test"] {
        let server = Server::new(|host, call| match (host, call) {
            ("refused.test", 2) => Does::Refused,
            _ => Does::Reset,
        });
        let breaker = CircuitBreakerLayer::new(Circuits::per_origin("claims", touchy().with_open_for(SECOND)));
        let breaker = if host == "refused.test" { CircuitBreakerLayer::new(circuits()) } else { breaker };
        let stack =
            ClientStack::new("keys").with_idempotency_keys(IdempotencyKeyLayer::new()).with_circuit_breaker(breaker);
        let layers = (RetryLayer::default(), BufferLayer::new(4), stack);
        let client = ServiceBuilder::new().layer(layers).service(server.clone());
        let error = client.oneshot(post(host)).await.expect_err("no attempt succeeds");
        let keys = server.posts();
        assert!(keys.len() > 1 && keys.iter().all(|key| key.is_some() && *key == keys[0]), "{host}: {keys:?}");
        assert!(!claims_that_nothing_was_sent(&error), "{host}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_redirected_to_a_host_that_refuses_connections_is_executed_once() {
    let hops = Hops::new();
    // a retry layer keeps the error type of the client, and only a boxed error can hold another one
    let layers = (RetryLayer::default(), FollowRedirectLayer::new());
    let client =
        ServiceBuilder::new().layer(layers).map_err(BoxError::from).service(hops.client::<Full<bytes::Bytes>>());
    let error = client.oneshot(post("moved.test")).await.expect_err("the target of the redirect is away");
    assert_eq!(hops.executed(), 1);
    assert!(!claims_that_nothing_was_sent(&error), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_client_stack_over_redirects_executes_a_post_once() {
    let hops = Hops::new();
    let client = ServiceBuilder::new()
        .layer(ClientStack::new("hops"))
        .layer(FollowRedirectLayer::new())
        .service(hops.client::<Full<bytes::Bytes>>());
    let error = client.oneshot(post("moved.test")).await.expect_err("the target of the redirect is away");
    assert_eq!(hops.executed(), 1);
    assert!(!claims_that_nothing_was_sent(&error));
}

#[tokio::test(start_paused = true)]
async fn redirects_above_a_client_stack_execute_a_post_once() {
    let hops = Hops::new();
    let client = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(FollowRedirectLayer::new())
        .layer(ClientStack::new("hops"))
        .service(hops.client::<Full<bytes::Bytes>>());
    _ = client.oneshot(post("moved.test")).await.expect_err("the target of the redirect is away");
    assert_eq!(hops.executed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_post_whose_own_host_refuses_connections_is_sent_again_once() {
    let hops = Hops::new();
    let client = ServiceBuilder::new()
        .layer(ClientStack::new("hops"))
        .layer(FollowRedirectLayer::new())
        .service(hops.client::<Full<bytes::Bytes>>());
    let error = client.oneshot(post("away.test")).await.expect_err("it is away");
    assert_eq!((hops.executed(), hops.refused()), (0, 2));
    assert!(claims_that_nothing_was_sent(&error));
}

#[tokio::test(start_paused = true)]
async fn a_redirected_post_that_must_not_be_repeated_does_not_claim_that_nothing_was_sent() {
    for marked in [NoRetry::on, |mut request: Asked| {
        request.extensions_mut().insert(MaxRetries(0));
        request
    }] {
        let hops = Hops::new();
        let client = ServiceBuilder::new()
            .layer(ClientStack::new("hops"))
            .layer(FollowRedirectLayer::new())
            .service(hops.client::<Full<bytes::Bytes>>());
        let error = client.oneshot(marked(post("moved.test"))).await.expect_err("the target of the redirect is away");
        assert_eq!(hops.executed(), 1);
        assert!(!claims_that_nothing_was_sent(&error), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirected_post_whose_next_hop_does_not_become_ready_is_executed_once() {
    let server = moved();
    // the instance for the second hop fails to connect when it is asked whether it is ready
    let asked = Arc::new(AtomicUsize::new(0));
    let unready = layer_fn(|inner: Server| Unready { inner, asked: asked.clone() });
    let layers = (RetryLayer::default(), FollowRedirectLayer::new(), CircuitBreakerLayer::new(circuits()));
    let client = ServiceBuilder::new().layer(layers).layer(unready).service(server.clone());
    let error = client.oneshot(post("a.test")).await.expect_err("the second hop is not ready");
    assert_eq!(server.posts().len(), 1);
    assert!(!claims_that_nothing_was_sent(&error), "{error}");
}

/// Fails the second time that it is asked whether it is ready.
#[derive(Clone)]
struct Unready {
    inner: Server,
    asked: Arc<AtomicUsize>,
}

impl Service<Asked> for Unready {
    type Response = Reply;
    type Error = BoxError;
    type Future = <Server as Service<Asked>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.asked.fetch_add(1, SeqCst) == 1 {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()));
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Asked) -> Self::Future {
        self.inner.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_redirect_whose_target_was_away_is_no_refusal() {
    // attempt 1: executed and redirected to a host that is away; attempt 2: refused by this process
    let server = Server::new(|host, call| match (host, call) {
        ("a.test", 0) => Does::Moved("b.test"),
        ("a.test", _) => Does::Busy,
        _ => Does::Refused,
    });
    let layers = (RetryLayer::default(), FollowRedirectLayer::new(), CircuitBreakerLayer::new(circuits()));
    let client = ServiceBuilder::new().layer(layers).service(server.clone());
    let error = client.oneshot(keyed("a.test")).await.expect_err("no attempt succeeds");
    assert_eq!((server.posts().len(), server.calls("a.test")), (1, 2));
    assert!(!claims_that_nothing_was_sent(&error), "{error}");
}
