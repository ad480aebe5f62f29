//! What holds without a call: bounds, names, and state that survives layering again.

use crate::script::{Script, get, status};
use bytes::Bytes;
use http::Request;
use http_body_util::{Full, combinators::BoxBody};
use hyper_util::client::legacy::{Client as Hyper, connect::HttpConnector};
use steadfast::{
    classify::{ByResult, Http},
    retry::{Allowance, Budget, CloneRequest, HttpReplay, ReadAhead, Retry, RetryLayer, StandardPolicy},
};
use tonic::transport::Channel;
use tower::{Layer, Service, ServiceExt};

fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
fn service<S, Req>()
where
    S: Service<Req, Future: Send + std::fmt::Debug + 'static> + Clone + Send + Sync + 'static,
{
}

#[test]
fn layers_services_and_futures_go_wherever_the_inner_service_goes() {
    shared::<RetryLayer>();
    shared::<RetryLayer<StandardPolicy, ByResult, CloneRequest>>();
    shared::<RetryLayer<StandardPolicy, Http, HttpReplay, ReadAhead>>();
    shared::<Retry<reqwest::Client>>();
    service::<Retry<reqwest::Client>, reqwest::Request>();
    service::<Retry<Hyper<HttpConnector, Full<Bytes>>>, Request<Full<Bytes>>>();
    service::<Retry<Hyper<HttpConnector, axum::body::Body>>, Request<axum::body::Body>>();
    service::<Retry<Hyper<HttpConnector, BoxBody<Bytes, hyper::Error>>>, Request<BoxBody<Bytes, hyper::Error>>>();
    service::<Retry<Channel>, Request<tonic::body::Body>>();
    service::<Retry<axum::routing::Route>, Request<axum::body::Body>>();
    service::<Retry<reqwest::Client, StandardPolicy, Http, HttpReplay, ReadAhead>, reqwest::Request>();
}

/// In axum's state by a plain name.
#[derive(Clone)]
#[allow(dead_code, reason = "only its type matters")]
struct State {
    http: Retry<reqwest::Client>,
    rpc: tonic_health::pb::health_client::HealthClient<Retry<Channel>>,
}

#[test]
fn a_client_has_a_name_short_enough_for_a_field() {
    async fn handler(axum::extract::State(state): axum::extract::State<State>) -> String {
        let request = reqwest::Request::new(http::Method::GET, "http://127.0.0.1:1/".parse().unwrap());
        format!("{:?}", state.http.oneshot(request).await.map(|response| response.status()))
    }
    let _: axum::Router<State> = axum::Router::new().route("/", axum::routing::get(handler));
}

#[tokio::test(start_paused = true)]
async fn state_survives_relayering() {
    let budget = Budget::new(Allowance::new().with_start(4).without_trickle());
    let layer = RetryLayer::default().with_budget(budget.clone());
    let script = Script::always(503);
    let watch = script.watch();
    for _ in 0..10 {
        layer.layer(script.clone()).oneshot(get()).await.unwrap();
    }
    assert_eq!((watch.calls(), budget.left()), (14, 0));
}

#[tokio::test(start_paused = true)]
async fn a_setting_changed_on_a_clone_changes_only_the_clone() {
    let layer = RetryLayer::default().with_name("one");
    let other = layer.clone().with_name("other").without_budget();
    assert_eq!((layer.name(), other.name()), ("one", "other"));
    assert!(layer.budgets().of(None).is_some() && other.budgets().of(None).is_none());
    assert_eq!(layer.layer(Script::new([status(503), status(200)])).oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(layer.budgets().of(None).unwrap().left(), 9);
}
