use crate::support::Runs;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use std::{
    collections::HashSet,
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex},
};
use steadfast::idempotency::{IdempotencyKey, IdempotencyKeyLayer};
use tower::{ServiceBuilder, ServiceExt, retry::Policy, service_fn};

type Req = Request<Full<Bytes>>;
type Sent = Arc<Mutex<Vec<Option<HeaderValue>>>>;

/// Notes the key of every attempt; answers 503 twice, then 200.
fn flaky() -> (impl tower::Service<Req, Response = Response<()>, Error = Infallible, Future: Send> + Clone, Sent) {
    let sent = Sent::default();
    let (noted, runs) = (sent.clone(), Runs::default());
    let service = service_fn(move |request: Req| {
        noted.lock().unwrap().push(request.headers().get("idempotency-key").cloned());
        let status = if runs.add().is_multiple_of(3) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        ready(Ok(Response::builder().status(status).body(()).unwrap()))
    });
    (service, sent)
}

#[derive(Clone)]
struct Until200;

impl Policy<Req, Response<()>, Infallible> for Until200 {
    type Future = std::future::Ready<()>;
    fn retry(&mut self, _: &mut Req, result: &mut Result<Response<()>, Infallible>) -> Option<Self::Future> {
        result.as_ref().is_ok_and(|response| response.status() != 200).then(|| ready(()))
    }
    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

fn post() -> Req {
    Request::post("http://x/").body(Full::default()).unwrap()
}

#[tokio::test]
async fn all_attempts_of_a_call_carry_one_key_and_each_call_its_own() {
    let (inner, sent) = flaky();
    let client = ServiceBuilder::new().layer(IdempotencyKeyLayer::new()).retry(Until200).service(inner);
    for _ in 0..2 {
        assert_eq!(client.clone().oneshot(post()).await.unwrap().status(), 200);
    }
    let keys: Vec<_> = sent.lock().unwrap().iter().map(|key| key.clone().unwrap()).collect();
    assert_eq!(keys.len(), 6);
    assert!(keys[..3].iter().all(|key| key == keys[0]) && keys[3..].iter().all(|key| key == keys[3]));
    assert_ne!(keys[0], keys[3]);
    let key = IdempotencyKey::try_from(&keys[0]).unwrap();
    assert_eq!((key.as_str().len(), key.as_str().bytes().all(|b| b.is_ascii_hexdigit())), (32, true));
    assert!(keys[0].is_sensitive(), "not to be logged, not to be indexed by HPACK");
}

#[tokio::test]
async fn a_key_that_is_there_is_kept_and_one_in_the_extensions_used() {
    let (inner, sent) = flaky();
    let client = ServiceBuilder::new().layer(IdempotencyKeyLayer::new()).service(inner);
    let mut both = post();
    both.headers_mut().insert("idempotency-key", HeaderValue::from_static("mine"));
    both.extensions_mut().insert(IdempotencyKey::new("other").unwrap());
    let mut derived = post();
    derived.extensions_mut().insert(IdempotencyKey::new("message-7-0").unwrap());
    for request in [both, derived] {
        client.clone().oneshot(request).await.unwrap();
    }
    let sent = sent.lock().unwrap();
    assert_eq!(sent[0].as_ref().unwrap(), "mine");
    assert_eq!(sent[1].as_ref().unwrap(), "message-7-0");
}

#[tokio::test]
async fn a_hedged_copy_of_a_request_shares_its_key() {
    let (inner, sent) = flaky();
    let hedged = service_fn(move |request: Req| {
        let (first, second) = (inner.clone().oneshot(request.clone()), inner.clone().oneshot(request));
        async move { tokio::try_join!(first, second) }
    });
    ServiceBuilder::new().layer(IdempotencyKeyLayer::new()).service(hedged).oneshot(post()).await.unwrap();
    let sent = sent.lock().unwrap();
    assert!(sent.len() == 2 && sent[0].is_some() && sent[0] == sent[1]);
}

#[tokio::test]
async fn safe_methods_get_no_key_and_unsafe_ones_do() {
    let (inner, sent) = flaky();
    let client = ServiceBuilder::new().layer(IdempotencyKeyLayer::new().with_quoted_keys()).service(inner);
    let methods =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::PATCH, Method::PUT, Method::DELETE];
    for method in methods {
        let request = Request::builder().method(method).body(Full::default()).unwrap();
        client.clone().oneshot(request).await.unwrap();
    }
    let sent = sent.lock().unwrap();
    assert!(sent[..3].iter().all(Option::is_none));
    let keys: HashSet<_> = sent[3..].iter().map(|key| key.clone().unwrap()).collect();
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| key.as_bytes().starts_with(b"\"") && key.as_bytes().ends_with(b"\"")));
}

#[tokio::test]
async fn a_reqwest_client_gets_keys_too() {
    let (app, runs) = crate::support::counting(crate::support::layer().required());
    let address = crate::support::serve(app).await;
    let client = ServiceBuilder::new().layer(IdempotencyKeyLayer::new()).service(reqwest::Client::new());
    let request = reqwest::Request::new(Method::POST, format!("http://{address}/").parse().unwrap());
    for _ in 0..2 {
        let answered = client.clone().oneshot(request.try_clone().unwrap()).await.unwrap();
        assert_eq!(answered.status(), StatusCode::CREATED, "a key was required, and there");
    }
    assert_eq!(runs.get(), 2, "two calls are two keys");
}
