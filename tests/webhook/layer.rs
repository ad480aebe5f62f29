//! The layer, whatever the scheme.

use crate::support::{Inner, delivery, github, send, signed};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use steadfast::{
    error::BoxError,
    time::Clock,
    webhook::{Scheme, Unverified, Verified, VerifyLayer},
};
use tower::{Layer, Service, ServiceExt, service_fn};

#[tokio::test]
async fn nothing_reaches_the_inner_service_unless_it_is_verified() {
    let layer = VerifyLayer::new(github());
    let inner = Inner::default();
    for (request, why) in [
        (delivery(&[], "hello"), "the signature is missing"),
        (delivery(&[("x-hub-signature-256", b"sha256=00")], "hello"), "the signature is malformed"),
        (delivery(&[("x-hub-signature-256", b"sha256=\xff\xfe")], "hello"), "the signature is malformed"),
        (
            delivery(&[("x-hub-signature-256", github().sign(b"other").as_bytes())], "hello"),
            "the signature does not match",
        ),
    ] {
        let answer = send(&layer, &inner, request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(answer.headers.contains_key("www-authenticate"), "RFC 9110, 15.5.2");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((problem["title"].as_str(), problem["detail"].as_str()), (Some("not verified"), Some(why)));
    }
    assert_eq!(inner.len(), 0);
}

#[tokio::test]
async fn the_same_bytes_are_passed_on_whatever_they_are() {
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
    for body in [every_byte, Vec::new(), b"\xff\xfe".to_vec(), "{ \"a\":1 }\r\n".into()] {
        let inner = Inner::default();
        let mut request = signed(&github(), body.clone());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        let answer = send(&VerifyLayer::new(github()), &inner, request).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::ACCEPTED, "inner"));
        let (head, passed) = inner.only();
        assert_eq!(passed, body);
        assert_eq!((head.uri.path(), &head.headers["content-type"]), ("/hooks", &"application/json".parse().unwrap()));
    }
}

#[tokio::test]
async fn frames_and_trailers_are_put_together_again() {
    let trailers = HeaderMap::from_iter([("x-end".parse().unwrap(), "yes".parse().unwrap())]);
    let frames = ["he", "", "llo"].map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from(part))));
    let frames = frames.into_iter().chain([Ok(Frame::trailers(trailers.clone()))]);
    let body = StreamBody::new(tokio_stream::iter(frames)).boxed_unsync();
    let request = Request::post("/").header("x-hub-signature-256", github().sign(b"hello")).body(body).unwrap();
    let inner = service_fn(|request: Request<UnsyncBoxBody<Bytes, Infallible>>| async {
        let body = request.into_body().collect().await.unwrap();
        let trailers = body.trailers().cloned();
        Ok::<_, Infallible>(Response::new((body.to_bytes(), trailers)).map(|(data, trailers)| {
            assert_eq!((data.as_ref(), trailers.unwrap()["x-end"].as_bytes()), (b"hello".as_ref(), b"yes".as_ref()));
            Full::<Bytes>::default()
        }))
    });
    let answer = VerifyLayer::new(github()).layer(inner).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_even_if_it_is_signed() {
    let layer = VerifyLayer::new(github()).with_limit(1000);
    let inner = Inner::default();
    assert_eq!(send(&layer, &inner, signed(&github(), vec![b'a'; 1001])).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(inner.len(), 0);
    assert_eq!(send(&layer, &inner, signed(&github(), vec![b'a'; 1000])).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_passed_on() {
    let frames = [Ok(Frame::data(Bytes::from("hello"))), Err(BoxError::from("reset"))];
    let body = StreamBody::new(tokio_stream::iter(frames)).boxed_unsync();
    let request = Request::post("/").header("x-hub-signature-256", github().sign(b"hello")).body(body).unwrap();
    let called = Arc::new(AtomicBool::new(false));
    let inner = {
        let called = called.clone();
        service_fn(move |_: Request<UnsyncBoxBody<Bytes, BoxError>>| {
            called.store(true, SeqCst);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        })
    };
    let answer = VerifyLayer::new(github()).layer(inner).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(!called.load(SeqCst));
}

/// Within a minute of the header's seconds.
#[derive(Debug)]
struct Timed;

impl Scheme for Timed {
    fn name(&self) -> &'static str {
        "timed"
    }
    fn verify(&self, head: &http::request::Parts, _: &[u8], now: SystemTime) -> Result<Verified, Unverified> {
        let at = head.headers.get("x-at").ok_or(Unverified::Missing)?;
        let at: u64 = at.to_str().ok().and_then(|at| at.parse().ok()).ok_or(Unverified::Malformed)?;
        let off = now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).unwrap_or(Duration::MAX);
        if off > Duration::from_secs(60) { Err(Unverified::OutOfTime) } else { Ok(Verified::new("timed", 0)) }
    }
}

#[derive(Debug)]
struct Stopped(u64);

impl Clock for Stopped {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0)
    }
}

#[tokio::test]
async fn a_scheme_is_given_the_time_of_the_layers_clock() {
    for (now, status) in [(1000, StatusCode::ACCEPTED), (1060, StatusCode::ACCEPTED), (1061, StatusCode::UNAUTHORIZED)]
    {
        let layer = VerifyLayer::new(Timed).with_clock(Stopped(now));
        assert_eq!(send(&layer, &Inner::default(), delivery(&[("x-at", b"1000")], "")).await.status, status, "{now}");
    }
}

/// Each instance is ready once; `Cell`, so that it is not `Sync`.
#[derive(Default)]
struct Once(std::cell::Cell<bool>, Arc<Mutex<u32>>);

impl Clone for Once {
    fn clone(&self) -> Self {
        Self(std::cell::Cell::new(false), self.1.clone())
    }
}

impl Service<Request<Full<Bytes>>> for Once {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.set(true);
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(self.0.take(), "called without being ready");
        *self.1.lock().unwrap() += 1;
        std::future::ready(Err("the inner error".into()))
    }
}

#[tokio::test]
async fn the_readied_instance_is_called_and_its_error_comes_out_unchanged() {
    let inner = Once::default();
    let called = inner.1.clone();
    let mut service = VerifyLayer::new(github()).layer(inner);
    for n in 1..=2 {
        let error = service.ready().await.unwrap().call(signed(&github(), "hello")).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), *called.lock().unwrap()), ("the inner error", n));
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_reads_passes_nothing_on() {
    let inner = Inner::default();
    let body = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>()).boxed_unsync();
    let request = Request::post("/").header("x-hub-signature-256", github().sign(b"")).body(body).unwrap();
    let noted = inner.clone();
    let service = service_fn(move |_: Request<UnsyncBoxBody<Bytes, Infallible>>| {
        let service = noted.service();
        async move { service.oneshot(delivery(&[], "")).await }
    });
    let call = VerifyLayer::new(github()).layer(service).oneshot(request);
    assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
    assert_eq!(inner.len(), 0);
}

#[test]
fn the_layer_and_what_it_makes_can_be_shared() {
    fn shared<T: Clone + Send + Sync>(_: &T) {}
    let layer = VerifyLayer::new(github());
    shared(&layer);
    shared(&layer.layer(tower::service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    })));
}
