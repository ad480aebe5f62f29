//! What retries do to a server in trouble: a simulation of storms over the real layers, in paused time.
//!
//! The same three models run as an event simulation elsewhere, without these layers; its figures are the constants named
//! `REFERENCE_*` here: the mean of five seeds. The layers have to come out at the same, for five seeds each.
#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs, reason = "a test may panic")]
#![allow(clippy::cast_precision_loss, reason = "small whole numbers become shares and seconds")]
#![allow(unreachable_pub, reason = "modules of one binary")]

mod chance;
mod hedges;
mod outage;
mod overload;
mod tiers;

use bytes::Bytes;
use http_body_util::Full;
use std::{thread, time::Duration};

pub type Request = http::Request<Full<Bytes>>;
pub type Response = http::Response<Full<Bytes>>;

const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

pub fn get() -> Request {
    let mut request = Request::default();
    *request.uri_mut() = http::Uri::from_static("http://leaf.example/");
    request
}

pub fn answer(status: http::StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Runs `storm` once for each seed, each on a thread and in a paused time of its own that begins at zero.
pub fn for_each_seed<T: Send, F: Future<Output = T>>(storm: impl Fn(u64) -> F + Sync) -> Vec<T> {
    let run = &|seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(storm(seed))
    };
    thread::scope(|scope| {
        let running = SEEDS.map(|seed| scope.spawn(move || run(seed)));
        running.map(|seed| seed.join().unwrap()).into()
    })
}

pub fn mean(figures: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = figures.len() as f64;
    figures.sum::<f64>() / n
}

/// At most 15 % away from what the reference came to.
pub fn assert_near(what: &str, seen: f64, reference: f64) {
    assert!((seen / reference - 1.0).abs() <= 0.15, "{what}: {seen:.2}, the reference has {reference:.2}");
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
