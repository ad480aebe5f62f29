//! Circuits by key, near their capacity, most of which fail.
use crate::subject::{Call, Subject};
use std::{future::ready, time::Duration};
use steadfast::{
    circuit_breaker::{CircuitBreakerLayer, Circuits, Config},
    classify::ByResult,
    error::BoxError,
};
use tower::{Layer, ServiceExt, service_fn};

const CAPACITY: u64 = 50_000;

pub(super) async fn start(_: Duration) -> Result<Subject, BoxError> {
    let circuits = Circuits::per_origin("soak", Config::default()).with_capacity(usize::try_from(CAPACITY)?);
    let layer = CircuitBreakerLayer::with(circuits, ByResult).keyed_by(|(key, _): &(String, bool)| Some(key.as_str()));
    let service = layer.layer(service_fn(|(_, fails): (String, bool)| {
        ready(if fails { Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)) } else { Ok(()) })
    }));
    let call = move |key: u64, fails: bool| {
        let service = service.clone();
        async move { service.oneshot((key.to_string(), fails)).await.is_ok() }
    };
    // nine of ten fail, so that they cannot be let go
    for key in 0..CAPACITY {
        call(key, key % 10 != 0).await;
    }
    Ok(Subject::new(2_000, move |Call { n, calm }| {
        let key = if n % 2 == 0 { n % CAPACITY / 10 * 10 } else { CAPACITY + n };
        call(key, !calm && key % 10 != 0)
    }))
}
