//! What is made anew for every attempt.

use crate::script::{Body, Script, get, request, status};
use http::{HeaderValue, Request};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use steadfast::{
    attempt::Attempt,
    classify::{ByResult, Http},
    retry::{CloneRequest, HttpReplay, NoRetry, Prepared, RetryLayer, StandardPolicy},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

/// A signature that is another one every time: how often it signed, and for which attempt.
fn sign() -> impl Fn(&mut Request<Body>, Attempt) + Clone + Send + Sync + 'static {
    let signed = std::sync::Arc::new(AtomicU32::new(0));
    move |request, attempt| {
        let signature = format!("{}-{}", signed.fetch_add(1, Relaxed), attempt.number());
        // nothing of the attempt before is left in the request
        assert!(request.headers_mut().insert("signature", signature.parse().unwrap()).is_none());
    }
}

fn signatures(watch: &Script) -> Vec<String> {
    watch.seen(|seen| seen.headers["signature"].to_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_signed_anew_while_the_key_stays() {
    let script = Script::new([status(503), status(503), status(200)]);
    let watch = script.watch();
    let client = RetryLayer::default().with_prepare(sign()).layer(script);
    client.oneshot(request("POST", &[("idempotency-key", "k")])).await.unwrap();
    assert_eq!(signatures(&watch), ["0-1", "1-2", "2-3"]);
    assert_eq!(watch.seen(|seen| seen.headers["idempotency-key"].clone()), [(); 3].map(|()| "k"));
}

#[tokio::test(start_paused = true)]
async fn a_signature_covers_what_the_layer_says_of_the_attempt() {
    let script = Script::new([status(503), status(200)]);
    let watch = script.watch();
    let copy = |request: &mut Request<Body>, attempt: Attempt| {
        let before = request.headers().get("grpc-previous-rpc-attempts").cloned();
        let marked = request.extensions().get::<Attempt>().copied();
        assert_eq!(marked, Some(attempt).filter(|attempt| attempt.number() > 1));
        request.headers_mut().insert("covers", before.unwrap_or(HeaderValue::from_static("none")));
    };
    let client = RetryLayer::default().with_prepare(copy).layer(script);
    client.oneshot(request("GET", &[("content-type", "application/grpc")])).await.unwrap();
    assert_eq!(watch.seen(|seen| seen.headers["covers"].clone()), ["none", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_repeated_is_signed_too() {
    let script = Script::new([status(503), status(503)]);
    let watch = script.watch();
    let off = StandardPolicy::new().with_max_retries(0);
    RetryLayer::default().with_prepare(sign()).layer(script.clone()).oneshot(NoRetry::on(get())).await.unwrap();
    RetryLayer::new(off).with_prepare(sign()).layer(script).oneshot(get()).await.unwrap();
    // a layer without retries counts no attempts
    assert_eq!(signatures(&watch), ["0-1", "0-0"]);
}

#[tokio::test(start_paused = true)]
async fn below_another_layer_every_attempt_of_that_one_is_signed_once() {
    let script = Script::new([status(503), status(503), status(200)]);
    let watch = script.watch();
    let inner = RetryLayer::default().with_prepare(sign());
    let client = ServiceBuilder::new().layer(RetryLayer::default()).layer(inner).service(script);
    client.oneshot(get()).await.unwrap();
    assert_eq!(signatures(&watch), ["0-1", "1-2", "2-3"]);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_what_the_layer_was_told_and_fits_any_request() {
    let layer = RetryLayer::by_result(StandardPolicy::new().with_faults()).with_name("lines").without_budget();
    let layer =
        layer.with_prepare(|line: &mut String, attempt| line.extend([" #".to_owned(), attempt.number().to_string()]));
    assert_eq!((layer.name(), layer.budgets().of(None).is_none()), ("lines", true));
    let inner = service_fn(async |line: String| if line.ends_with("#3") { Ok(line) } else { Err(line) });
    assert_eq!(layer.layer(inner).oneshot("get".to_owned()).await.unwrap(), "get #3");
    // the same by hand
    let replay = Prepared::new(CloneRequest, |line: &mut String, _| line.push('!'));
    let layer = RetryLayer::with(StandardPolicy::new(), ByResult, replay);
    let inner = service_fn(async |line: String| Ok::<_, String>(line));
    assert_eq!(layer.layer(inner).oneshot("get".to_owned()).await.unwrap(), "get!");
}

#[tokio::test(start_paused = true)]
async fn two_preparations_run_in_the_order_in_which_they_were_given() {
    let script = Script::new([status(200)]);
    let watch = script.watch();
    let append = |c: char| {
        move |request: &mut Request<Body>, _: Attempt| {
            let order = request.headers().get("order").map_or("", |order| order.to_str().unwrap());
            let order = HeaderValue::try_from(format!("{order}{c}")).unwrap();
            request.headers_mut().insert("order", order);
        }
    };
    let replay = Prepared::new(Prepared::new(HttpReplay, append('a')), append('b'));
    let layer = RetryLayer::with(StandardPolicy::new(), Http::new(), replay);
    layer.with_prepare(append('c')).layer(script).oneshot(get()).await.unwrap();
    assert_eq!(watch.seen(|seen| seen.headers["order"].clone()), ["abc"]);
}
