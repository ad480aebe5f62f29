//! K1 and K2: nothing is held while a call waits, nor after it was refused.

use crate::server::{Asked, Does, Server, get, open};
use std::{fmt::Debug, future::poll_fn, num::NonZeroU32, sync::Arc, time::Duration};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, Config, Readiness},
    error::BoxError,
    place::tower::{PolicyLayer, TowerPolicy},
    retry::{NoRetry, RetryLayer, StandardPolicy, hedge::HedgeLayer},
    stack::ClientStack,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    buffer::BufferLayer,
    limit::GlobalConcurrencyLimitLayer,
    util::{BoxCloneService, MapRequestLayer},
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Client = BoxCloneService<Asked, (), BoxError>;

/// Puts the types of a stack away.
fn client<S, R>(service: S) -> Client
where
    S: Service<Asked, Response = R> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: 'static,
{
    BoxCloneService::new(service.map_response(drop).map_err(Into::into))
}

fn well() -> Server {
    Server::new(|_, _| Does::Status(200))
}

fn limit(semaphore: &Arc<Semaphore>) -> GlobalConcurrencyLimitLayer {
    GlobalConcurrencyLimitLayer::with_semaphore(semaphore.clone())
}

fn circuits() -> Circuits {
    Circuits::per_origin("places", Config::default())
}

/// A call to `a.test`, whose circuit is open, waits for it; meanwhile a call to `b.test` is answered at once, and then the first.
async fn a_healthy_host_is_called_at_once(client: Client, circuits: &Circuits) {
    for host in ["a.test", "b.test"] {
        client.clone().oneshot(get(host)).await.unwrap();
    }
    open(circuits, "a.test", 2 * SECOND);
    let waits: Vec<_> = (0..3).map(|_| tokio::spawn(client.clone().oneshot(get("a.test")))).collect();
    sleep(100 * MS).await;
    let began = Instant::now();
    client.clone().oneshot(get("b.test")).await.unwrap();
    assert!(began.elapsed() < 5 * MS, "it waited for {:?}", began.elapsed());
    for waits in waits {
        waits.await.unwrap().unwrap();
    }
    // all that waited have gone on when the circuit let them, and not for each other
    assert!(began.elapsed() < 6 * SECOND, "they waited for {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_an_open_circuit_leaves_its_place_below_to_others() {
    let (circuits, semaphore) = (circuits(), Arc::new(Semaphore::new(1)));
    let layers = (RetryLayer::default(), CircuitBreakerLayer::new(circuits.clone()), limit(&semaphore));
    a_healthy_host_is_called_at_once(client(ServiceBuilder::new().layer(layers).service(well())), &circuits).await;
    assert_eq!(semaphore.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_an_open_circuit_leaves_its_slot_of_a_buffer_to_others() {
    let circuits = circuits();
    let layers = (RetryLayer::default(), CircuitBreakerLayer::new(circuits.clone()), BufferLayer::new(1));
    a_healthy_host_is_called_at_once(client(ServiceBuilder::new().layer(layers).service(well())), &circuits).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_stack_over_a_limit_serves_healthy_hosts_while_another_is_away() {
    let (circuits, semaphore) = (circuits(), Arc::new(Semaphore::new(1)));
    let stack = ClientStack::new("places").with_circuit_breaker(CircuitBreakerLayer::new(circuits.clone()));
    let service = ServiceBuilder::new().layer(stack).layer(limit(&semaphore)).service(well());
    a_healthy_host_is_called_at_once(client(service), &circuits).await;
    assert_eq!(semaphore.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_an_open_circuit_over_two_limits_do_not_wait_for_each_other() {
    let (circuits, outer, inner) = (circuits(), Arc::new(Semaphore::new(2)), Arc::new(Semaphore::new(1)));
    let layers = (RetryLayer::default(), CircuitBreakerLayer::new(circuits.clone()), limit(&outer), limit(&inner));
    a_healthy_host_is_called_at_once(client(ServiceBuilder::new().layer(layers).service(well())), &circuits).await;
    assert_eq!((outer.available_permits(), inner.available_permits()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_tower_that_waits_for_an_open_circuit_leaves_its_place_to_others() {
    let (circuits, semaphore) = (circuits(), Arc::new(Semaphore::new(1)));
    let policy = TowerPolicy::new(StandardPolicy::new());
    let below = || (CircuitBreakerLayer::new(circuits.clone()), limit(&semaphore));
    let ours = ServiceBuilder::new().layer(PolicyLayer::new(policy.clone())).layer(below()).service(well());
    a_healthy_host_is_called_at_once(client(ours), &circuits).await;
    let towers = ServiceBuilder::new().layer(tower::retry::RetryLayer::new(policy)).layer(below()).service(well());
    a_healthy_host_is_called_at_once(client(towers), &circuits).await;
    assert_eq!(semaphore.available_permits(), 1);
}

/// Three failures in a row open it.
fn touchy() -> Config {
    Config::default().with_consecutive_failures(NonZeroU32::new(3).unwrap())
}

#[tokio::test(start_paused = true)]
async fn with_one_circuit_for_all_a_call_that_waits_holds_no_place_either() {
    for readiness in [Readiness::Reject, Readiness::Pend] {
        let (circuit, semaphore) = (Circuit::with_config("one", touchy()), Arc::new(Semaphore::new(1)));
        let breaker = CircuitBreakerLayer::new(&circuit).with_readiness(readiness);
        let service = ServiceBuilder::new().layer(RetryLayer::default()).layer(breaker).layer(limit(&semaphore));
        // ready while it is closed, and called when it is open
        let service = client(service.service(well()));
        let mut early = service.clone();
        poll_fn(|cx| early.poll_ready(cx)).await.unwrap();
        circuit.open_for(SECOND);
        let waits = tokio::spawn(early.call(get("a.test")));
        sleep(10 * MS).await;
        assert_eq!(semaphore.available_permits(), 1, "{readiness:?}");
        waits.await.unwrap().unwrap();
        drop(early);
        sleep(10 * MS).await;
        assert_eq!(semaphore.available_permits(), 1, "{readiness:?}");
    }
}

/// The caller keeps an instance whose call was refused: nothing below it is held.
async fn an_instance_that_was_refused_holds_nothing<L>(layer: L, circuits: &Circuits, semaphore: &Arc<Semaphore>)
where
    L: Layer<tower::limit::ConcurrencyLimit<Server>>,
    L::Service: Service<Asked, Error: Into<BoxError> + Debug, Future: Send + 'static> + Clone + Send + 'static,
{
    let mut kept = client(layer.layer(limit(semaphore).layer(well())));
    kept.ready().await.unwrap().call(get("a.test")).await.unwrap();
    open(circuits, "a.test", SECOND);
    for _ in 0..3 {
        kept.ready().await.unwrap().call(get("a.test")).await.expect_err("the circuit is open");
        sleep(MS).await;
        assert_eq!(semaphore.available_permits(), 1);
    }
    sleep(SECOND).await;
    kept.ready().await.unwrap().call(get("a.test")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_call_was_refused_holds_no_place() {
    let (circuits, semaphore) = (circuits(), Arc::new(Semaphore::new(1)));
    let breaker = CircuitBreakerLayer::new(circuits.clone()).releasing();
    an_instance_that_was_refused_holds_nothing(breaker, &circuits, &semaphore).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_in_the_worker_of_a_buffer_holds_no_place_after_a_refusal() {
    let (circuits, semaphore) = (circuits(), Arc::new(Semaphore::new(1)));
    let breaker = CircuitBreakerLayer::new(circuits.clone()).releasing();
    an_instance_that_was_refused_holds_nothing((BufferLayer::new(1), breaker), &circuits, &semaphore).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_below_a_hedge_or_a_retry_holds_no_place_after_a_refusal() {
    let (circuits, semaphore) = (circuits(), Arc::new(Semaphore::new(1)));
    let breaker = || CircuitBreakerLayer::new(circuits.clone()).releasing();
    let hedge = (HedgeLayer::new(10 * MS), breaker());
    an_instance_that_was_refused_holds_nothing(hedge, &circuits, &semaphore).await;
    let never = RetryLayer::new(StandardPolicy::new().with_max_retries(0));
    an_instance_that_was_refused_holds_nothing((never, breaker()), &circuits, &semaphore).await;
}

/// A stack releases by itself, whether it retries the request or not.
#[tokio::test(start_paused = true)]
async fn an_instance_of_a_client_stack_whose_call_was_refused_holds_no_place() {
    let (circuits, semaphore) = (circuits(), Arc::new(Semaphore::new(1)));
    let stack = || ClientStack::new("places").with_circuit_breaker(CircuitBreakerLayer::new(circuits.clone()));
    let never = stack().with_retry(RetryLayer::new(StandardPolicy::new().with_max_retries(0)));
    an_instance_that_was_refused_holds_nothing(never, &circuits, &semaphore).await;
    let marked = (MapRequestLayer::new(NoRetry::on), stack());
    an_instance_that_was_refused_holds_nothing(marked, &circuits, &semaphore).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_waited_for_a_limit_when_its_circuit_opened_leaves_the_queue_when_it_is_refused() {
    let (circuit, semaphore) = (Circuit::new("one"), Arc::new(Semaphore::new(1)));
    let layers = (CircuitBreakerLayer::new(&circuit).releasing(), limit(&semaphore));
    let mut kept = client(ServiceBuilder::new().layer(layers).service(well()));
    let place = semaphore.clone().acquire_owned().await.unwrap();
    assert!(futures_util::poll!(poll_fn(|cx| kept.poll_ready(cx))).is_pending());
    circuit.open_for(SECOND);
    kept.ready().await.unwrap().call(get("a.test")).await.expect_err("the circuit is open");
    drop(place);
    sleep(MS).await;
    assert_eq!(semaphore.available_permits(), 1);
}
