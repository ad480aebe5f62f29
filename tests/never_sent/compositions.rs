//! Where layers meet: an attempt that may have been executed, and then a refusal or a connect that fails.

use crate::{
    clients::{Body, Kind, Layers, Redirects, attempts, follow, legacy, open_for, post, request, retry},
    server::{Act, Executed, Server, closed, in_time},
};
use http::{Request, Response};
use hyper_util::{
    client::legacy as pool,
    rt::{TokioExecutor, TokioIo},
};
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Config},
    classify::{Failure, MaybeExecuted, Outcome, of_error},
    error::{BoxError, Refused, find},
    idempotency::IdempotencyKeyLayer,
    place::tower::{PolicyLayer, TowerPolicy},
    retry::{MaxRetries, NoRetry, RetryLayer, StandardPolicy},
    stack::ClientStack,
};
use tokio::net::TcpStream;
use tower::{Layer, Service, ServiceExt, buffer::Buffer, load_shed, service_fn};

const REDIRECTS: [Redirects; 2] = [Redirects::Followed, Redirects::FollowedWithoutExtensions];

/// The error is `MaybeExecuted`, and no refusal is found in it.
#[track_caller]
fn assert_disclosed<T: std::fmt::Debug>(result: &Result<T, BoxError>, case: &str) {
    let error = result.as_ref().expect_err(case);
    assert!(find::<MaybeExecuted>(&**error).is_some(), "{case}: {error:?}");
    assert!(Refused::find(&**error).is_none(), "{case}: {error:?}");
    assert!(matches!(of_error(error).outcome(), Outcome::Failure(_)), "{case}: {error:?}");
}

// ---- a redirect, and a refusal at the second hop ----

/// Redirects to an origin whose circuit is open.
async fn redirected_to_an_open_circuit() -> (Server, CircuitBreakerLayer) {
    let to = format!("http://{}/end", closed());
    let open = open_for(&to).await;
    (Server::always(Act::Redirect(303, to)).await, open)
}

#[tokio::test]
async fn a_post_that_was_redirected_to_an_open_circuit_is_executed_once() {
    macro_rules! case {
        ($client:expr) => {
            for redirects in REDIRECTS {
                let (server, open) = redirected_to_an_open_circuit().await;
                let (retry, client) = (retry(Layers::Bare), open.layer($client(&server).await));
                let call = retry.layer(follow(client, redirects)).oneshot(request(&server.url("/pay"), None));
                let result = in_time(call).await;
                assert_eq!((server.posts("/pay"), attempts(&retry)), (1, 1), "{redirects:?} {result:?}");
                assert_disclosed(&result, stringify!($client));
            }
        };
    }
    case!(async |_: &Server| legacy(false));
    case!(async |_: &Server| legacy(true));
    case!(async |server: &Server| crate::clients::Http1::connect(server.address()).await);
    case!(async |server: &Server| crate::clients::Http2::connect(server.address()).await);
}

#[tokio::test]
async fn a_refusal_that_is_a_response_proves_nothing_after_a_redirect() {
    for redirects in REDIRECTS {
        let (server, open) = redirected_to_an_open_circuit().await;
        let retry = retry(Layers::Bare);
        let client = open.respond().layer(legacy(false));
        let call = retry.layer(follow(client, redirects)).oneshot(request(&server.url("/pay"), None));
        let response = in_time(call).await.unwrap();
        assert_eq!((server.posts("/pay"), attempts(&retry)), (1, 1));
        assert_eq!(response.status(), 503);
        assert!(response.extensions().get::<Refused>().is_none());
    }
}

/// tower's engine does not tell a policy what layers below let through.
#[tokio::test]
async fn a_post_that_was_redirected_to_an_open_circuit_is_executed_once_by_our_policy_in_towers_engine_too() {
    for redirects in REDIRECTS {
        for responds in [false, true] {
            let (server, open) = redirected_to_an_open_circuit().await;
            let policy = || TowerPolicy::new(StandardPolicy::new());
            let url = server.url("/pay");
            let ended = if responds {
                let client = follow(open.respond().layer(legacy(false)), redirects);
                in_time(tower::retry::Retry::new(policy(), client).oneshot(request(&url, None))).await.is_ok()
            } else {
                let client = follow(open.layer(legacy(false)), redirects);
                in_time(tower::retry::Retry::new(policy(), client).oneshot(request(&url, None))).await.is_err()
            };
            assert!(ended);
            assert_eq!(server.posts("/pay"), 1, "{redirects:?}, responds: {responds}");
        }
    }
}

/// The same in one process, where each hop is answered at once.
#[tokio::test]
async fn a_post_that_a_service_in_this_process_redirected_is_executed_once() {
    for redirects in REDIRECTS {
        for end in ["refused", "shed", "unreachable", "breaker"] {
            let executed = Arc::new(AtomicUsize::new(0));
            let counted = executed.clone();
            let service = service_fn(move |request: Request<Body>| {
                let result: Result<_, BoxError> = match (request.uri().path(), end) {
                    ("/pay", _) => {
                        counted.fetch_add(1, SeqCst);
                        let to = Response::builder().status(303).header("location", "http://b.example/end");
                        Ok(to.body(Body::default()).unwrap())
                    }
                    (_, "refused") => Err(Refused::new("x", "busy").with_retry_after(Duration::from_millis(1)).into()),
                    (_, "shed") => Err(load_shed::error::Overloaded::new().into()),
                    _ => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
                };
                std::future::ready(result)
            });
            let (retry, url) = (retry(Layers::Bare), "http://a.example/pay");
            let result = if end == "unreachable" || end == "shed" {
                retry.layer(follow(service, redirects)).oneshot(request(url, None)).await.map(|r| r.status())
            } else {
                let open = if end == "breaker" { open_for("http://b.example/").await } else { passing() };
                let client = follow(open.layer(service), redirects);
                retry.layer(client).oneshot(request(url, None)).await.map(|r| r.status())
            };
            assert_eq!((executed.load(SeqCst), attempts(&retry)), (1, 1), "{end}");
            assert_disclosed(&result, end);
        }
    }
}

fn passing() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new(Circuit::new("x"))
}

#[tokio::test]
async fn a_post_that_was_redirected_to_a_shed_load_is_executed_once() {
    for redirects in REDIRECTS {
        let server = Server::always(Act::Redirect(303, "/end".into())).await;
        let (http1, http2) = (legacy(false), crate::clients::Http2::connect(server.address()).await);
        let retry = retry(Layers::Bare);
        macro_rules! shedding {
            ($client:expr) => {{
                let client = $client;
                service_fn(move |request: Request<Body>| {
                    let client = client.clone();
                    async move {
                        match request.uri().path() {
                            "/pay" => client.oneshot(request).await.map_err(BoxError::from),
                            _ => Err(load_shed::error::Overloaded::new().into()),
                        }
                    }
                })
            }};
        }
        let url = server.url("/pay");
        let result = retry.layer(follow(shedding!(http1), redirects)).oneshot(request(&url, None)).await;
        assert_disclosed(&result, "hyper-util");
        let result = retry.layer(follow(shedding!(http2), redirects)).oneshot(request(&url, None)).await;
        assert_disclosed(&result, "hyper");
        assert_eq!((server.posts("/pay"), attempts(&retry)), (2, 1));
    }
}

/// A client that connects for each request and is known to no table.
#[tokio::test]
async fn a_post_over_a_client_of_ones_own_that_was_redirected_is_executed_once() {
    let connecting = service_fn(|request: Request<Body>| async move {
        let address = request.uri().authority().unwrap().as_str().to_owned();
        let socket = TcpStream::connect(address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        Ok::<_, BoxError>(sender.send_request(request).await?)
    });
    for redirects in REDIRECTS {
        let server = Server::always(Act::Redirect(303, format!("http://{}/end", closed()))).await;
        let retry = retry(Layers::Bare);
        let call = retry.layer(follow(connecting, redirects)).oneshot(request(&server.url("/pay"), None));
        let result = in_time(call).await;
        assert_eq!((server.posts("/pay"), attempts(&retry)), (1, 1), "{redirects:?} {result:?}");
        assert_disclosed(&result, "own client");
    }
}

#[tokio::test]
async fn an_open_circuit_before_a_post_was_sent_lets_it_be_sent_once_the_circuit_lets_it() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Tonic) {
        let server = Server::always(Act::Respond(200)).await;
        let open = open_for(&server.url("/")).await;
        let retry = retry(Layers::Bare);
        let (url, service) = (server.url("/pay"), retry.layer(()));
        drop(service);
        let status = match kind {
            Kind::Http1 => {
                let client = crate::clients::Http1::connect(server.address()).await;
                retry.layer(open.layer(client)).oneshot(request(&url, None)).await.unwrap().status().as_u16()
            }
            Kind::Http2 => {
                let client = crate::clients::Http2::connect(server.address()).await;
                retry.layer(open.layer(client)).oneshot(request(&url, None)).await.unwrap().status().as_u16()
            }
            Kind::Reqwest1 | Kind::Reqwest2 => {
                let client = crate::clients::reqwest(kind.is_http2(), Redirects::Followed);
                let request = client.post(&url).body("5 EUR").build().unwrap();
                retry.layer(open.layer(client)).oneshot(request).await.unwrap().status().as_u16()
            }
            _ => {
                let client = legacy(kind.is_http2());
                retry.layer(open.layer(client)).oneshot(request(&url, None)).await.unwrap().status().as_u16()
            }
        };
        assert_eq!((status, server.posts("/pay"), attempts(&retry)), (200, 1, 2), "{kind:?}");
    }
}

// ---- an outer retry that does not see the attempts of the inner one ----

/// The way in which the attempts of a keyed request fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    /// Executed and reset; that opens the circuit, which refuses the second attempt.
    ResetThenOpen,
    /// 503, 503, and then nothing listens any more.
    UnavailableThenGone,
}

const FAILS: [Fails; 2] = [Fails::ResetThenOpen, Fails::UnavailableThenGone];

async fn failing(fails: Fails) -> Server {
    Server::start(move |_: &Executed, _| match fails {
        Fails::ResetThenOpen => Act::Reset,
        Fails::UnavailableThenGone => Act::RespondAndClose(503),
    })
    .await
}

type Connect = Request<Body>;

/// A client whose connector works twice.
fn twice() -> pool::Client<
    impl Service<http::Uri, Response = TokioIo<TcpStream>, Error = io::Error, Future: Send + Unpin> + Clone + Send + Sync,
    Body,
> {
    let connects = Arc::new(AtomicUsize::new(0));
    let connector = service_fn(move |uri: http::Uri| {
        let number = connects.fetch_add(1, SeqCst);
        Box::pin(async move {
            if number < 2 {
                Ok(TokioIo::new(TcpStream::connect(uri.authority().unwrap().as_str()).await?))
            } else {
                tokio::task::yield_now().await;
                Err(io::Error::from(io::ErrorKind::ConnectionRefused))
            }
        })
    });
    pool::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)
}

/// A circuit that opens at the first failure, for longer than a retry layer waits.
fn opens_at_once(fails: Fails) -> CircuitBreakerLayer {
    let failures: u32 = if fails == Fails::ResetThenOpen { 1 } else { 100 };
    let config = Config::default()
        .with_consecutive_failures(failures.try_into().unwrap())
        .with_open_for(Duration::from_secs(60))
        .with_max_open_for(Duration::from_secs(60));
    CircuitBreakerLayer::new(Circuit::with_config("x", config))
}

fn stack(fails: Fails) -> ClientStack<RetryLayer, IdempotencyKeyLayer> {
    ClientStack::new("inner")
        .with_retry(retry(Layers::Bare))
        .with_circuit_breaker(opens_at_once(fails))
        .with_idempotency_keys(IdempotencyKeyLayer::new())
}

/// Each key is one charge: there is one, and the outer layer made one attempt.
#[track_caller]
fn assert_one_key<T: std::fmt::Debug>(server: &Server, outer: &RetryLayer, result: &Result<T, BoxError>, case: &str) {
    assert_eq!(attempts(outer), 1, "{case}: {result:?}");
    assert_eq!(server.keys().len(), 1, "{case}: {:?}", server.executed());
    assert_disclosed(result, &format!("{case}: {} executions", server.posts("/pay")));
}

#[tokio::test]
async fn an_outer_retry_over_a_buffer_never_takes_a_refusal_after_an_execution_for_never_sent() {
    for fails in FAILS {
        let (server, outer) = (failing(fails).await, retry(Layers::Bare));
        let inner = Buffer::new(stack(fails).layer(twice()), 8);
        let result = in_time(outer.layer(inner).oneshot(request(&server.url("/pay"), None))).await;
        assert_one_key(&server, &outer, &result, &format!("{fails:?}"));
    }
}

#[tokio::test]
async fn the_same_holds_over_a_spawn() {
    for fails in FAILS {
        let (server, outer) = (failing(fails).await, retry(Layers::Bare));
        let inner = stack(fails).layer(twice());
        let spawning = service_fn(move |request: Connect| {
            let task = tokio::spawn(inner.clone().oneshot(request));
            async move { task.await.unwrap() }
        });
        let result = in_time(outer.layer(spawning).oneshot(request(&server.url("/pay"), None))).await;
        assert_one_key(&server, &outer, &result, &format!("{fails:?}"));
    }
}

#[tokio::test]
async fn the_same_holds_over_towers_retry_with_our_policy() {
    for fails in FAILS {
        let (server, outer) = (failing(fails).await, retry(Layers::Bare));
        let policy = TowerPolicy::new(StandardPolicy::new());
        let attempts = tower::retry::Retry::new(policy, opens_at_once(fails).layer(twice()));
        // not over a buffer: its future is polled here, where tower's engine finds the outer attempt and leaves the repeat to it
        let inner = IdempotencyKeyLayer::new().layer(attempts);
        let spawning = service_fn(move |request: Connect| {
            let task = tokio::spawn(inner.clone().oneshot(request));
            async move { task.await.unwrap() }
        });
        let result = in_time(outer.layer(spawning).oneshot(request(&server.url("/pay"), None))).await;
        assert_one_key(&server, &outer, &result, &format!("{fails:?}"));
    }
}

/// Repeats every failure, twice.
#[derive(Clone)]
struct Twice(u32);

impl<Req: Clone, Res> tower::retry::Policy<Req, Response<Res>, BoxError> for Twice {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Response<Res>, BoxError>) -> Option<Self::Future> {
        self.0 = self.0.checked_sub(1)?;
        let fails = result.as_ref().map_or(true, |response| !response.status().is_success());
        fails.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn the_same_holds_over_a_policy_of_tower() {
    for fails in FAILS {
        let (server, outer) = (failing(fails).await, retry(Layers::Bare));
        let attempts = PolicyLayer::new(Twice(2)).layer(opens_at_once(fails).layer(twice()));
        let inner = Buffer::new(IdempotencyKeyLayer::new().layer(attempts), 8);
        let result = in_time(outer.layer(inner).oneshot(request(&server.url("/pay"), None))).await;
        assert_one_key(&server, &outer, &result, &format!("{fails:?}"));
    }
}

#[tokio::test]
async fn an_outer_policy_of_tower_repeats_no_post_that_may_have_been_executed() {
    for fails in FAILS {
        let server = failing(fails).await;
        let inner = Buffer::new(stack(fails).layer(twice()), 8);
        let outer = tower::retry::Retry::new(TowerPolicy::new(StandardPolicy::new()), inner);
        let result = in_time(outer.oneshot(request(&server.url("/pay"), None))).await;
        assert_eq!(server.keys().len(), 1, "{fails:?}: {:?}", server.executed());
        assert_disclosed(&result, &format!("{fails:?}"));
    }
}

/// The error type of hyper-util's client holds no other error, so it comes out as it is; the outer layer shares the inner one's
/// observation of the connection.
#[tokio::test]
async fn an_outer_retry_knows_of_the_connections_of_a_bare_inner_retry() {
    let (server, outer) = (failing(Fails::UnavailableThenGone).await, retry(Layers::Bare));
    let bare = IdempotencyKeyLayer::new().layer(retry(Layers::Bare).layer(twice()));
    let result = in_time(outer.layer(Buffer::new(bare, 8)).oneshot(request(&server.url("/pay"), None))).await;
    assert_one_key(&server, &outer, &result, "bare");
}

#[tokio::test]
async fn a_refusal_in_a_response_is_none_after_an_execution() {
    let (server, outer) = (failing(Fails::ResetThenOpen).await, retry(Layers::Bare));
    let breaker = opens_at_once(Fails::ResetThenOpen).respond().layer(twice());
    let keyed = IdempotencyKeyLayer::new().layer(retry(Layers::Bare).layer(breaker));
    let response =
        in_time(outer.layer(Buffer::new(keyed, 8)).oneshot(request(&server.url("/pay"), None))).await.unwrap();
    assert_eq!((response.status().as_u16(), attempts(&outer), server.keys().len()), (503, 1, 1));
    assert!(response.extensions().get::<Refused>().is_none());
}

/// However the retry layer is limited, what its one attempt may have executed comes out.
#[tokio::test]
async fn a_retry_layer_that_makes_one_attempt_discloses_it_too() {
    let change: [fn(Connect) -> Connect; 3] = [|r| r, |r| MaxRetries(0).on(r), NoRetry::on];
    for (nested, change) in [false, true].into_iter().flat_map(|nested| change.map(|change| (nested, change))) {
        for redirects in REDIRECTS {
            let server = Server::always(Act::Redirect(303, format!("http://{}/end", closed()))).await;
            let inner = retry(Layers::Bare).layer(passing().layer(follow(legacy(false), redirects)));
            let request = change(request(&server.url("/pay"), None));
            let result = if nested {
                in_time(retry(Layers::Bare).layer(inner).oneshot(request)).await
            } else {
                in_time(inner.oneshot(request)).await
            };
            assert_eq!(server.posts("/pay"), 1);
            assert_disclosed(&result, &format!("{nested} {redirects:?}"));
        }
    }
}

/// A POST that its owner calls repeatable is hedged: one attempt is executed and reset, the other one refused.
#[tokio::test]
async fn of_two_hedged_attempts_the_one_that_may_have_been_executed_comes_out() {
    use steadfast::{classify::Repeatable, retry::hedge::HedgeLayer};
    let calls = Arc::new(AtomicUsize::new(0));
    for first_is_last in [false, true] {
        calls.store(0, SeqCst);
        let counted = calls.clone();
        let service = service_fn(move |_: Request<Body>| {
            let first = counted.fetch_add(1, SeqCst) == 0;
            async move {
                let pause = if first == first_is_last { 80 } else { 40 };
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let reset: BoxError = io::Error::from(io::ErrorKind::ConnectionReset).into();
                let last = first == first_is_last;
                Err::<Response<Body>, _>(if last { Refused::new("x", "circuit open").into() } else { reset })
            }
        });
        let hedge = HedgeLayer::new(Duration::from_millis(10)).layer(service);
        let mut hedged = request("http://a.example/pay", None);
        hedged.extensions_mut().insert(Repeatable::Yes);
        let result = hedge.oneshot(hedged).await;
        assert_eq!(calls.load(SeqCst), 2);
        let outcome = of_error(&result.unwrap_err()).outcome();
        assert_eq!(outcome, Outcome::Failure(Failure::Transient), "{first_is_last}");
    }
}

#[tokio::test]
async fn a_proven_refusal_comes_out_as_one() {
    let ready = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::default())) });
    let circuit = Circuit::new("x");
    circuit.open_for(Duration::from_secs(60));
    for key in [None, Some("k")] {
        let client = retry(Layers::Bare).layer(CircuitBreakerLayer::new(circuit.clone()).layer(ready));
        let error = client.oneshot(request("http://a.example/pay", key)).await.unwrap_err();
        assert_eq!(Refused::find(&*error).map(Refused::who), Some("x"), "{key:?}");
    }
    // and a refused connect as one, over hyper-util, reqwest and tonic
    for kind in [Kind::Legacy1, Kind::Legacy2, Kind::Tonic] {
        let ended = post(kind, Layers::Stack, Redirects::None, closed(), "/pay", Some("k")).await;
        assert!(crate::connecting::claims_not_sent(&ended), "{kind:?}: {ended:?}");
    }
}
