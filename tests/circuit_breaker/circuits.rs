//! One circuit for each key.

use crate::support::{SECOND, after_a_run_of};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, State},
    error::{BoxError, Refused},
    registry::{Registry, Value},
};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};

/// Answers with the status in the path.
async fn answer(request: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    let status: u16 = request.uri().path()[1..].parse().unwrap();
    Ok(Response::builder().status(status).body(Full::default()).unwrap())
}

async fn get<S>(service: &S, uri: &str) -> Result<(), BoxError>
where
    S: Service<Request<()>, Error = BoxError> + Clone,
{
    service.clone().oneshot(Request::get(uri).body(()).unwrap()).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_fails_does_not_close_the_others_off() {
    let circuits = Circuits::per_origin("webhooks", after_a_run_of(2));
    let service = CircuitBreakerLayer::new(circuits.clone()).layer(service_fn(answer));
    for _ in 0..2 {
        get(&service, "http://user:pass@bad.example/500").await.unwrap();
    }
    let error = get(&service, "http://bad.example/200").await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().who(), "webhooks/http://bad.example");
    get(&service, "http://bad.example:8080/200").await.unwrap();
    get(&service, "http://good.example/200").await.unwrap();
    assert_eq!(circuits.len(), 3);
    assert_eq!(circuits.find("http://bad.example").unwrap().state(), State::Open);
    assert_eq!(circuits.find("http://good.example").unwrap().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn requests_without_an_origin_share_one_named_as_they_all_are() {
    let circuits = Circuits::per_origin("webhooks", after_a_run_of(1));
    let service = CircuitBreakerLayer::new(circuits.clone()).layer(service_fn(answer));
    get(&service, "/500").await.unwrap();
    let error = get(&service, "/200").await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().who(), "webhooks");
    assert!(circuits.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_closure_finds_another_key() {
    let circuits = Circuits::per_origin("tenants", after_a_run_of(1));
    let layer = CircuitBreakerLayer::new(circuits.clone())
        .keyed_by(|request: &Request<()>| request.headers().get("x-tenant")?.to_str().ok());
    let service = layer.layer(service_fn(answer));
    let tenant = |name: &'static str, path: &'static str| {
        service.clone().oneshot(Request::get(path).header("x-tenant", name).body(()).unwrap())
    };
    tenant("a", "/500").await.unwrap();
    assert!(tenant("a", "/200").await.is_err());
    tenant("b", "/200").await.unwrap();
    assert_eq!(circuits.find("a").unwrap().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn one_that_knows_of_failures_outlives_any_number_of_healthy_ones() {
    let circuits = Circuits::per_origin("webhooks", after_a_run_of(2)).with_capacity(100);
    let service = CircuitBreakerLayer::new(circuits.clone()).layer(service_fn(answer));
    get(&service, "http://once.example/500").await.unwrap();
    for _ in 0..2 {
        get(&service, "http://open.example/500").await.unwrap();
    }
    for n in 0..5000 {
        get(&service, &format!("http://{n}.example/200")).await.unwrap();
        assert!(circuits.len() <= 101);
    }
    assert_eq!(circuits.find("http://open.example").unwrap().state(), State::Open);
    assert_eq!(circuits.find("http://once.example").unwrap().snapshot().view.run, 1);
}

#[tokio::test(start_paused = true)]
async fn one_with_a_call_on_its_way_is_kept() {
    let circuits = Circuits::per_origin("webhooks", after_a_run_of(1)).with_capacity(10);
    let layer = CircuitBreakerLayer::new(circuits.clone());
    let waits = layer.layer(service_fn(|_: Request<()>| async {
        tokio::time::sleep(SECOND).await;
        let failed = Response::builder().status(500).body(Full::<Bytes>::default());
        Ok::<_, Infallible>(failed.unwrap())
    }));
    let call = tokio::spawn(waits.oneshot(Request::get("http://waits.example/").body(()).unwrap()));
    tokio::task::yield_now().await;
    let service = layer.layer(service_fn(answer));
    for n in 0..1000 {
        get(&service, &format!("http://{n}.example/200")).await.unwrap();
    }
    call.await.unwrap().unwrap();
    assert_eq!(circuits.find("http://waits.example").unwrap().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn more_failing_keys_than_there_is_room_for_stay_bounded_and_flow() {
    let circuits = Circuits::per_origin("webhooks", after_a_run_of(1)).with_capacity(50);
    let service = CircuitBreakerLayer::new(circuits.clone()).layer(service_fn(answer));
    for n in 0..500 {
        get(&service, &format!("http://{n}.example/500")).await.unwrap();
    }
    assert!(circuits.len() <= 51, "{}", circuits.len());
    // the first ones are protected, the rest flows
    assert!(get(&service, "http://0.example/200").await.is_err());
    get(&service, "http://499.example/200").await.unwrap();
    // an hour later nothing that was not used since is worth its place
    advance(3600 * SECOND).await;
    for n in 1000..1040 {
        get(&service, &format!("http://{n}.example/500")).await.unwrap();
        assert!(get(&service, &format!("http://{n}.example/200")).await.is_err(), "{n} has a circuit");
    }
}

#[tokio::test(start_paused = true)]
async fn other_settings_reach_all_of_them() {
    let circuits = Circuits::per_origin("webhooks", after_a_run_of(100));
    let service = CircuitBreakerLayer::new(circuits.clone()).layer(service_fn(answer));
    get(&service, "http://old.example/500").await.unwrap();
    circuits.configure(after_a_run_of(2));
    get(&service, "http://old.example/500").await.unwrap();
    assert!(get(&service, "http://old.example/200").await.is_err());
    for _ in 0..2 {
        get(&service, "http://new.example/500").await.unwrap();
    }
    assert!(get(&service, "http://new.example/200").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_registry_lists_a_circuit_by_name_and_many_as_one() {
    // that of the process asks the circuits of other tests too, by the clock of this one
    let registry = Registry::new();
    let circuit = Circuit::with_config("registry-one", after_a_run_of(1)).with_registry(&registry);
    let circuits = Circuits::per_origin("registry-many", after_a_run_of(1)).with_registry(&registry);
    let service = CircuitBreakerLayer::new(circuits.clone()).layer(service_fn(answer));
    get(&service, "http://bad.example/500").await.unwrap();
    get(&service, "http://good.example/200").await.unwrap();
    circuit.open_for(SECOND);
    let find = |name: &str| registry.snapshot().into_iter().find(|entry| entry.name == name);
    let one = find("registry-one").unwrap();
    assert_eq!(one.kind, "circuit");
    assert!(one.state.contains(&("state", Value::Text("open".into()))));
    assert!(one.state.contains(&("retry_after_ms", Value::Count(1000))));
    let many = find("registry-many").unwrap();
    assert_eq!(many.kind, "circuits");
    assert_eq!(many.state[..2], [("circuits", Value::Count(2)), ("open", Value::Count(1))]);
    drop((circuit, circuits, service));
    assert!(find("registry-one").is_none() && find("registry-many").is_none());
}
