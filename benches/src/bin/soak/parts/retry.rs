//! Retries, hedges and budgets around services that fail, hang and panic.
use crate::{
    PANIC,
    subject::{Call, Subject},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use std::{io, panic::panic_any, time::Duration};
use steadfast::{
    backoff::Exponential,
    error::BoxError,
    retry::{Allowance, Budgets, RetryLayer, StandardPolicy, hedge::HedgeLayer},
};
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

const KINDS: u64 = 10;

async fn serve(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, io::Error> {
    let status = match request.uri().path() {
        "/fail" => StatusCode::SERVICE_UNAVAILABLE,
        "/flaps" if fastrand::bool() => StatusCode::BAD_GATEWAY,
        "/panic" => panic_any(PANIC),
        "/sometimes" if fastrand::bool() => panic_any(PANIC),
        "/error" => return Err(io::ErrorKind::ConnectionReset.into()),
        "/slow" => {
            sleep(Duration::from_millis(fastrand::u64(5..60))).await;
            StatusCode::OK
        }
        "/hangs" => std::future::pending().await,
        _ => StatusCode::OK,
    };
    let mut response = Response::new(Full::from("ok"));
    *response.status_mut() = status;
    Ok(response)
}

pub(super) async fn start(_: Duration) -> Result<Subject, BoxError> {
    let backoff = Exponential::new(Duration::from_millis(5), Duration::from_millis(50))?;
    let policy = StandardPolicy::new().with_backoff(backoff);
    let retry = RetryLayer::new(policy).with_budget(Budgets::per_origin(Allowance::new())).with_name("soak");
    let hedge = HedgeLayer::new(Duration::from_millis(10)).with_name("soak");
    let p95 = HedgeLayer::after_p95(Duration::from_millis(10)).with_name("soak, p95");
    let hedged = retry.clone().layer(hedge.layer(service_fn(serve)));
    let after_p95 = retry.layer(p95.layer(service_fn(serve)));
    Ok(Subject::new(2_000, move |call: Call| {
        let (hedged, after_p95) = (hedged.clone(), after_p95.clone());
        async move {
            let path = match call.kind(KINDS) {
                1 => "/fail",
                2 => "/flaps",
                3 => "/panic",
                4 => "/sometimes",
                5 => "/error",
                6 | 7 => "/slow",
                8 => "/hangs",
                _ => "/ok",
            };
            // the first 1,024 origins have budgets of their own
            let uri = format!("http://o{}.soak{path}", call.n % 3_000);
            let Ok(request) = Request::get(uri).body(Full::default()) else { return false };
            let patience = Duration::from_millis(if path == "/hangs" { 30 } else { 5_000 });
            let response = async {
                if (call.n / KINDS).is_multiple_of(2) {
                    hedged.oneshot(request).await
                } else {
                    after_p95.oneshot(request).await
                }
            };
            let response = timeout(patience, response).await;
            response.is_ok_and(|response| response.is_ok_and(|response| response.status() == StatusCode::OK))
        }
    }))
}
