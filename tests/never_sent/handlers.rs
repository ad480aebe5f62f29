//! A retry layer around a handler that calls two servers: the first call charges, the second one fails.

use crate::{
    clients::{Body, Layers, Redirects, attempts, legacy, request, reqwest, retry},
    server::{Act, Server, closed, in_time},
};
use http::{Request, Response};
use std::time::Duration;
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer},
    error::BoxError,
    retry::RetryLayer,
    stack::ClientStack,
};
use tower::{Layer, Service, ServiceExt, service_fn};

/// A handler that charges with a client of `a` and then calls `b`.
fn handler<A, B>(
    (a, charge): (A, String),
    (b, mail): (B, String),
) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone
where
    A: Service<Request<Body>, Error: Into<BoxError>, Future: Send, Response: Send> + Clone + Send + 'static,
    B: Service<Request<Body>, Error: Into<BoxError>, Future: Send, Response: Send> + Clone + Send + 'static,
{
    service_fn(move |_: Request<Body>| {
        let (a, b, charge, mail) = (a.clone(), b.clone(), charge.clone(), mail.clone());
        async move {
            a.oneshot(request(&charge, None)).await.map_err(Into::into)?;
            b.oneshot(request(&mail, None)).await.map_err(Into::into)?;
            Ok(Response::new(Body::default()))
        }
    })
}

/// gRPC has one hop, and so has a client of which that is stated; a handler makes other requests all the same.
#[tokio::test]
async fn a_handler_that_has_charged_is_not_repeated_though_its_own_request_has_one_hop() {
    let server = Server::always(Act::Respond(200)).await;
    let gone = format!("http://{}/mail", closed());
    let stated = || RetryLayer::default().without_redirects();
    for (outer, content_type, path) in
        [(RetryLayer::default(), "application/grpc", "/grpc"), (stated(), "text/plain", "/stated")]
    {
        let breaker = CircuitBreakerLayer::new(Circuit::new("a"));
        let handled = handler((breaker.layer(legacy(false)), server.url(path)), (legacy(false), gone.clone()));
        let mut order = request("http://me.example/order", None);
        order.headers_mut().insert("content-type", content_type.parse().unwrap());
        assert!(in_time(outer.layer(handled).oneshot(order)).await.is_err());
        assert_eq!(server.posts(path), 1, "{path}");
    }
}

#[tokio::test]
async fn a_handler_that_has_charged_over_layers_of_ours_is_not_repeated_after_a_refused_connect() {
    let server = Server::always(Act::Respond(200)).await;
    let gone = format!("http://{}/mail", closed());
    let breaker = |name: &str| CircuitBreakerLayer::new(Circuit::new(name.to_owned()));

    let outer = retry(Layers::Bare);
    let a = ClientStack::new("a").layer(legacy(false));
    let b = ClientStack::new("b").layer(legacy(false));
    let handled = handler((a, server.url("/stack")), (b, gone.clone()));
    assert!(in_time(outer.layer(handled).oneshot(request("http://me.example/order", None))).await.is_err());
    assert_eq!((server.posts("/stack"), attempts(&outer)), (1, 1));

    let outer = retry(Layers::Bare);
    let handled = handler(
        (breaker("a").layer(legacy(false)), server.url("/breaker")),
        (breaker("b").layer(legacy(false)), gone.clone()),
    );
    assert!(in_time(outer.layer(handled).oneshot(request("http://me.example/order", None))).await.is_err());
    assert_eq!((server.posts("/breaker"), attempts(&outer)), (1, 1));

    let outer = retry(Layers::Bare);
    let handled =
        handler((retry(Layers::Bare).layer(legacy(false)), server.url("/retry")), (legacy(false), gone.clone()));
    assert!(in_time(outer.layer(handled).oneshot(request("http://me.example/order", None))).await.is_err());
    assert_eq!((server.posts("/retry"), attempts(&outer)), (1, 1));
}

#[tokio::test]
async fn a_handler_that_has_charged_is_not_repeated_after_an_open_circuit() {
    let server = Server::always(Act::Respond(200)).await;
    let open = Circuit::new("b");
    open.open_for(Duration::from_millis(20));
    let outer = retry(Layers::Bare);
    let handled = handler(
        (ClientStack::new("a").layer(legacy(false)), server.url("/pay")),
        (CircuitBreakerLayer::new(open).layer(legacy(false)), server.url("/mail")),
    );
    assert!(in_time(outer.layer(handled).oneshot(request("http://me.example/order", None))).await.is_err());
    assert_eq!((server.posts("/pay"), attempts(&outer)), (1, 1));
}

/// reqwest's connect errors prove nothing, wherever they come from.
#[tokio::test]
async fn a_handler_that_has_charged_over_reqwest_is_not_repeated() {
    let server = Server::always(Act::Respond(200)).await;
    let (url, gone) = (server.url("/pay"), format!("http://{}/mail", closed()));
    let client = reqwest(false, Redirects::None);
    let handled = service_fn(move |_: Request<Body>| {
        let (client, url, gone) = (client.clone(), url.clone(), gone.clone());
        async move {
            client.post(url).send().await?;
            client.post(gone).send().await?;
            Ok::<_, BoxError>(Response::new(Body::default()))
        }
    });
    let outer = retry(Layers::Bare);
    assert!(in_time(outer.layer(handled).oneshot(request("http://me.example/order", None))).await.is_err());
    assert_eq!((server.posts("/pay"), attempts(&outer)), (1, 1));
}

/// Nothing connects the calls of a bare client to the request of the handler, so its connect error passes for one of the handler:
/// docs/outcomes.md says to put the retry layer around the client.
#[tokio::test]
async fn a_handler_that_has_charged_over_bare_clients_of_hyper_util_is_not_repeated() {
    let server = Server::always(Act::Respond(200)).await;
    let gone = format!("http://{}/mail", closed());
    let outer = retry(Layers::Bare);
    let handled = handler((legacy(false), server.url("/pay")), (legacy(false), gone));
    assert!(in_time(outer.layer(handled).oneshot(request("http://me.example/order", None))).await.is_err());
    assert_eq!((server.posts("/pay"), attempts(&outer)), (1, 1));
}
