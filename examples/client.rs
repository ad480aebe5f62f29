//! How do I keep a client that retries, stops in time and opens a circuit in axum's `State`?

use axum::{Router, extract::State, routing::get};
use http::{Method, StatusCode};
use reqwest::{Request, Url};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use steadfast::{
    error::BoxError,
    stack::{Client, ClientStack},
};
use tower::{ServiceBuilder, ServiceExt};

// snippet: client
#[derive(Clone)]
struct App {
    rates: Client<reqwest::Client>, // a plain name, so it fits into axum's State
    url: Url,
}

async fn rate(State(app): State<App>) -> Result<String, StatusCode> {
    let ask = Request::new(Method::GET, app.url);
    let answer = app.rates.oneshot(ask).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
}

fn app(url: Url) -> Router {
    // total deadline > retry > circuit breaker (per origin) > attempt timeout > client
    let rates = ServiceBuilder::new().layer(ClientStack::new("rates")).service(reqwest::Client::new());
    Router::new().route("/rate", get(rate)).with_state(App { rates, url })
}
// end

/// The other side: away for the first two requests.
async fn flaky() -> Result<&'static str, StatusCode> {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    if ASKED.fetch_add(1, SeqCst) < 2 { Err(StatusCode::SERVICE_UNAVAILABLE) } else { Ok("1.08") }
}

async fn serve(app: Router) -> Result<Url, BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/rate", listener.local_addr()?).parse()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(url)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let rates = serve(Router::new().route("/rate", get(flaky))).await?;
    let ours = serve(app(rates)).await?;
    let answer = reqwest::get(ours).await?.error_for_status()?.text().await?;
    println!("the rate is {answer}, although the other side was away twice");
    Ok(())
}
