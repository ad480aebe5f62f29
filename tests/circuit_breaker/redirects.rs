//! Redirects that the client follows by itself, and the circuit of the origin that was asked.

use crate::support::{after_a_run_of, at_half_of, n};
use axum::{
    Router,
    body::Body,
    extract::{Path, State as Shared},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderMap, Method, StatusCode};
use std::{convert::Infallible, net::SocketAddr, time::Duration};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, State},
    classify::Origin,
    error::{BoxError, Refused},
    retry::{Allowance, Budgets, RetryLayer},
    setting::Ratio,
};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, service_fn};

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

const SLOW: Duration = Duration::from_millis(60);

/// Responds in the way that the path names.
async fn answer(Path(how): Path<String>) -> Response {
    match how.as_str() {
        "down" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "overloaded" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "60")]).into_response(),
        "broken" => {
            // one after the other, so that the head is sent before the connection breaks
            let (sender, frames) = tokio::sync::mpsc::channel(1);
            tokio::spawn(async move {
                sender.send(Ok("half")).await.unwrap();
                tokio::time::sleep(SLOW / 3).await;
                let _ = sender.send(Err(std::io::Error::other("the body breaks"))).await;
            });
            Response::new(Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(frames)))
        }
        "slow" => {
            tokio::time::sleep(SLOW).await;
            "late".into_response()
        }
        _ => "well".into_response(),
    }
}

/// Redirects `/to/{how}` to the other server, `/here/{how}` to itself, and answers `/{how}` by itself.
async fn asked(target: SocketAddr) -> SocketAddr {
    let to = |Shared(target): Shared<SocketAddr>, Path(how): Path<String>| async move {
        Redirect::temporary(&format!("http://{target}/{how}"))
    };
    let here = |headers: HeaderMap, Path(how): Path<String>| async move {
        // written in another way, and the same origin
        let host = headers["host"].to_str().unwrap();
        Redirect::temporary(&format!("HTTP://user@{host}/{how}"))
    };
    let app = Router::new().route("/{how}", get(answer)).route("/here/{how}", get(here)).route("/to/{how}", get(to));
    serve(app.with_state(target)).await
}

fn request(asked: SocketAddr, path: &str) -> reqwest::Request {
    reqwest::Request::new(Method::GET, format!("http://{asked}{path}").parse().unwrap())
}

/// Makes a call and reads its body, to the end or to where it breaks.
async fn call<S>(service: &S, request: reqwest::Request) -> Result<(), BoxError>
where
    S: Service<reqwest::Request, Response = reqwest::Response, Error = BoxError> + Clone,
{
    let response = service.clone().oneshot(request).await?;
    let _ = response.bytes().await;
    Ok(())
}

#[tokio::test]
async fn a_redirect_to_an_origin_that_fails_leaves_the_circuit_of_the_asked_one_closed() {
    let target = serve(Router::new().route("/{how}", get(answer))).await;
    let asked = asked(target).await;
    for how in ["down", "overloaded", "broken"] {
        let circuits = Circuits::per_origin("apis", after_a_run_of(2).with_failure_rate(Ratio::HALF));
        let client = CircuitBreakerLayer::new(circuits.clone()).layer(reqwest::Client::new());
        for _ in 0..12 {
            call(&client, request(asked, &format!("/to/{how}"))).await.unwrap();
        }
        let seen = circuits.find(&format!("http://{asked}")).unwrap().snapshot().view;
        assert_eq!((seen.state, seen.failed, seen.run), (State::Closed, 0, 0), "{how}");
        assert!(circuits.find(&format!("http://{target}")).is_none(), "no permit was taken of the target's circuit");
    }
}

#[tokio::test]
async fn a_redirect_to_a_slow_origin_is_not_a_slow_call_of_the_asked_one() {
    let target = serve(Router::new().route("/{how}", get(answer))).await;
    let asked = asked(target).await;
    let config = at_half_of(4, 2).with_slow_rate(Ratio::HALF).with_slow(SLOW / 2).with_count_in_flight_slow(false);
    let circuits = Circuits::per_origin("apis", config);
    let client = CircuitBreakerLayer::new(circuits.clone()).layer(reqwest::Client::new());
    for _ in 0..4 {
        call(&client, request(asked, "/to/slow")).await.unwrap();
    }
    let seen = circuits.find(&format!("http://{asked}")).unwrap().snapshot().view;
    assert_eq!((seen.state, seen.calls, seen.slow), (State::Closed, 4, 0));
    for _ in 0..4 {
        let _ = call(&client, request(asked, "/slow")).await;
    }
    assert_eq!(circuits.find(&format!("http://{asked}")).unwrap().state(), State::Open);
}

#[tokio::test]
async fn a_redirect_within_one_origin_counts_as_its_last_response() {
    let asked = asked(([127, 0, 0, 1], 9).into()).await;
    for how in ["down", "broken"] {
        let circuits = Circuits::per_origin("apis", after_a_run_of(2));
        let client = CircuitBreakerLayer::new(circuits.clone()).layer(reqwest::Client::new());
        for _ in 0..2 {
            call(&client, request(asked, &format!("/here/{how}"))).await.unwrap();
        }
        let error = call(&client, request(asked, "/well")).await.unwrap_err();
        assert_eq!(Refused::find(&*error).unwrap().who(), format!("apis/http://{asked}"), "{how}");
    }
}

#[tokio::test]
async fn a_redirect_is_seen_with_a_single_circuit_and_with_another_key_too() {
    let target = serve(Router::new().route("/{how}", get(answer))).await;
    let asked = asked(target).await;
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let single = CircuitBreakerLayer::new(&circuit).layer(reqwest::Client::new());
    let circuits = Circuits::per_origin("tenants", after_a_run_of(1));
    let keyed = CircuitBreakerLayer::new(circuits.clone())
        .keyed_by(|request: &reqwest::Request| request.headers().get("x-tenant")?.to_str().ok())
        .layer(reqwest::Client::new());
    let with_tenant = |path| {
        let mut request = request(asked, path);
        request.headers_mut().insert("x-tenant", "a".parse().unwrap());
        request
    };
    for how in ["/to/down", "/to/broken", "/well"] {
        call(&single, request(asked, how)).await.unwrap();
        call(&keyed, with_tenant(how)).await.unwrap();
        call(&keyed, request(asked, how)).await.unwrap();
    }
    call(&single, request(asked, "/here/down")).await.unwrap();
    call(&keyed, with_tenant("/here/down")).await.unwrap();
    assert_eq!((circuit.state(), circuits.find("a").unwrap().state()), (State::Open, State::Open));
}

#[tokio::test]
async fn a_redirect_is_a_good_probe() {
    let target = serve(Router::new().route("/{how}", get(answer))).await;
    let asked = asked(target).await;
    let circuit = Circuit::with_config("payments", after_a_run_of(1).with_half_open_permits(n(2)));
    let client = CircuitBreakerLayer::new(&circuit).layer(reqwest::Client::new());
    circuit.open_for(Duration::ZERO);
    for _ in 0..2 {
        call(&client, request(asked, "/to/down")).await.unwrap();
    }
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test]
async fn the_budget_of_the_asked_origin_is_paid_into_and_charged_behind_a_redirect() {
    let target = serve(Router::new().route("/{how}", get(answer))).await;
    let asked = asked(target).await;
    let budgets = Budgets::per_origin(Allowance::new().with_start(1).without_trickle());
    let left = |address: SocketAddr| budgets.of(Origin::parse(&format!("http://{address}"))).unwrap().left();
    let client = RetryLayer::default().with_budget(budgets.clone()).layer(reqwest::Client::new());
    for _ in 0..10 {
        client.clone().oneshot(request(asked, "/to/well")).await.unwrap().bytes().await.unwrap();
    }
    assert_eq!((left(asked), left(target)), (3, 1));
    client.clone().oneshot(request(asked, "/to/down")).await.unwrap();
    assert_eq!((left(asked), left(target)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_no_client_made_has_no_other_origin() {
    let circuit = Circuit::with_config("payments", after_a_run_of(2));
    let made = service_fn(|_: reqwest::Request| async {
        let response = http::Response::builder().status(503).body("");
        Ok::<_, Infallible>(reqwest::Response::from(response.unwrap()))
    });
    let client = CircuitBreakerLayer::new(&circuit).layer(made);
    for _ in 0..2 {
        call(&client, request(([127, 0, 0, 1], 9).into(), "/")).await.unwrap();
    }
    assert_eq!(circuit.state(), State::Open);
}
