//! What nobody else may see: answers of other callers, keys, bodies, credentials.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{app, layer, leave, over, request, send},
};
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use metrics_util::debugging::DebuggingRecorder;
use proptest::prelude::*;
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    error::BoxError,
    idempotency::{
        Begin, Claim, Fingerprint, IdempotencyLayer, InFlight, OnUnknown, Recorded, Recovered, Scope, Seal, StoreKey,
        StoredResponse, Token,
    },
    store::memory::MemoryStore,
};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};

/// Who is calling: any bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Caller(Vec<u8>);

/// Made of few pieces, so that one caller with one key often looks like another caller with another key.
fn scope() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"a".to_vec()),
        Just(b":".to_vec()),
        Just(b"/".to_vec()),
        Just(b"|".to_vec()),
        Just(b"\0".to_vec()),
        Just(b"\"".to_vec()),
        Just("\u{fc}".into()),
        Just(vec![0xff]),
        Just(1_u64.to_be_bytes().to_vec()),
        Just(vec![b'x'; 300]),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn key() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a".to_owned()),
        Just(":".to_owned()),
        Just("/".to_owned()),
        Just("|".to_owned()),
        Just("%00".to_owned()),
        Just("x".repeat(60)),
    ];
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The handler says who asked, with which key: nobody is told of anybody else, and every pair runs once.
    #[test]
    fn no_caller_ever_sees_the_answer_of_another(calls in prop::collection::vec((scope(), key()), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let scope = Scope::by(|parts| parts.extensions.get::<Caller>().unwrap().0.clone());
            let runs = Arc::new(Mutex::new(HashMap::<(Caller, String), usize>::new()));
            let counted = runs.clone();
            let handler = service_fn(move |request: Request<Full<bytes::Bytes>>| {
                let claim = request.extensions().get::<Claim>().unwrap();
                let asked = (request.extensions().get::<Caller>().unwrap().clone(), claim.key().as_str().to_owned());
                let said = format!("{asked:?}");
                *counted.lock().unwrap().entry(asked).or_default() += 1;
                std::future::ready(Ok::<_, io::Error>(Response::new(Full::<bytes::Bytes>::from(said))))
            });
            let service = IdempotencyLayer::new(MemoryStore::new(), scope).layer(handler);
            for (scope, key) in calls {
                let asked = (Caller(scope), key);
                let mut request = Request::post("/").header("idempotency-key", &asked.1).body(Full::default()).unwrap();
                request.extensions_mut().insert(asked.0.clone());
                let body = service.clone().oneshot(request).await.unwrap().into_body();
                let said = body.collect().await.unwrap().to_bytes();
                assert_eq!(said, format!("{asked:?}"));
            }
            assert!(runs.lock().unwrap().values().all(|runs| *runs == 1));
        });
    }

    /// Nor are the keys that are derived from one caller's key another's.
    #[test]
    fn derived_keys_of_two_callers_are_two(one in scope(), other in scope(), key in key()) {
        let same = StoreKey::new(&one, &key) == StoreKey::new(&other, &key);
        prop_assert_eq!(same, one == other);
    }
}

const SECRETS: [&str; 6] = ["KEY-9f2", "BODY-9f2", "ANSWER-9f2", "SCOPE-9f2", "BEARER-9f2", "HEADER-9f2"];

#[track_caller]
fn assert_silent(seen: &str, what: &str) {
    for secret in SECRETS {
        let bytes = format!("{:?}", secret.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        assert!(!seen.contains(secret) && !seen.contains(bytes), "{secret} in {what}: {seen}");
    }
}

fn secret_request(key: &str) -> Request<Body> {
    let mut request = request(key, "BODY-9f2");
    request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer BEARER-9f2"));
    request
}

/// Everything that it can say, said: first, replay, conflict, mismatch, lapse, a store that is down, panics, what is too long.
async fn everything(layer: IdempotencyLayer, store: &Scripted) {
    let (app, _) = app(layer.clone(), |request| async move {
        let wants = request.headers().get("x-wants").map(|wants| wants.to_str().unwrap().to_owned());
        match wants.as_deref() {
            Some("panic") => panic!("as it was told"),
            Some("long") => "ANSWER-9f2".repeat(1000),
            Some("slow") => {
                sleep(Duration::from_secs(40)).await;
                "ANSWER-9f2".into()
            }
            _ => "ANSWER-9f2".into(),
        }
    });
    let wants = |key: &str, wants: &'static str| {
        let mut request = secret_request(key);
        request.headers_mut().insert("x-wants", HeaderValue::from_static(wants));
        request
    };
    for n in 0..2 {
        send(&app, secret_request("KEY-9f2")).await;
        send(&app, wants("KEY-9f2-long", "long")).await;
        send(&app, request("KEY-9f2", "another BODY-9f2")).await;
        send(&app, request("\"KEY-9f2", "BODY-9f2")).await;
        let _ = tokio::spawn(app.clone().oneshot(wants("KEY-9f2-panic", "panic"))).await;
        store.next(Call::Begin, [Fault::Fails; 2]);
        send(&app, secret_request(&format!("KEY-9f2-down-{n}"))).await;
        store.next(Call::Complete, [Fault::Fails; 3]);
        send(&app, secret_request(&format!("KEY-9f2-late-{n}"))).await;
    }
    layer.drained().await;
    store.next(Call::Renew, vec![Fault::Fails; 1000]);
    leave(app.clone().oneshot(wants("KEY-9f2-slow", "slow")));
    send(&app, wants("KEY-9f2-slow", "slow")).await;
    sleep(Duration::from_secs(31)).await;
    send(&app, wants("KEY-9f2-slow", "slow")).await;
    layer.drained().await;
}

/// Shows nothing of itself.
struct Opaque;

impl Seal for Opaque {
    fn seal(&self, answer: &[u8], _: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(answer.iter().map(|byte| byte ^ 0x55).collect())
    }
    fn open(&self, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(sealed.iter().map(|byte| byte ^ 0x55).collect())
    }
}

/// Where events go.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(written);
        Ok(written.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn neither_logs_nor_metrics_show_keys_bodies_or_secrets() {
    let (log, recorder) = (Log::default(), DebuggingRecorder::new());
    let snapshotter = recorder.snapshotter();
    let writes = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("trace")
        .with_ansi(false)
        .with_writer(move || writes.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        metrics::with_local_recorder(&recorder, || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            runtime.block_on(async {
                for on_unknown in [OnUnknown::Fail, OnUnknown::Rerun, OnUnknown::ask(async |_| Recovered::Unknown)] {
                    let store = Scripted::default();
                    let layer = IdempotencyLayer::new(store.clone(), Scope::by(|_| "SCOPE-9f2"))
                        .with_on_unknown(on_unknown)
                        .with_response_limit(1000);
                    everything(layer.clone(), &store).await;
                    let store = Scripted::default();
                    everything(over(store.clone()).with_seal(Opaque).with_response_limit(1000), &store).await;
                }
            });
        });
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for said in ["store down at begin", "recording later", "panicked", "running again"] {
        assert!(log.contains(said), "nothing was logged of {said}: {log}");
    }
    assert_silent(&log, "the log");
    let metrics = format!("{:?}", snapshotter.snapshot().into_vec());
    assert!(metrics.contains("steadfast_idempotency_requests_total"));
    assert_silent(&metrics, "the metrics");
}

#[tokio::test]
async fn debug_shows_no_key_body_or_secret() {
    let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::by(|_| "SCOPE-9f2")).with_seal(Opaque);
    let (app, _) = app(layer.clone(), |request| async move {
        assert_silent(&format!("{:?}", request.extensions().get::<Claim>().unwrap()), "a claim");
        let mut headers = HeaderMap::new();
        headers.insert("x-secret", HeaderValue::from_static("HEADER-9f2"));
        (headers, "ANSWER-9f2")
    });
    for _ in 0..2 {
        let response = app.clone().oneshot(secret_request("KEY-9f2")).await.unwrap();
        assert_silent(&format!("{:?}", response.into_body()), "the body");
    }
    assert_silent(&format!("{layer:?}"), "the layer");
    let mut service =
        layer.layer(service_fn(async |_: Request<Body>| Ok::<_, io::Error>(Response::new(Body::empty()))));
    assert_silent(&format!("{:?}", service.call(secret_request("KEY-9f2-2"))), "the future");

    let (key, fingerprint) = (StoreKey::new(b"SCOPE-9f2", "KEY-9f2"), Fingerprint { version: 1, hash: [7; 32] });
    let lease = Duration::from_secs(1);
    let begin = Begin { key, fingerprint, token: Token::random(), lease, take_over: Some(Token::random()) };
    let mut answer = StoredResponse::json(StatusCode::OK, "ANSWER-9f2");
    answer.headers.insert("x-secret", HeaderValue::from_static("HEADER-9f2"));
    answer.trailers = Some(answer.headers.clone());
    let recovered = Recovered::Done(answer.clone());
    for shown in [format!("{begin:?}"), format!("{:?}", Recorded::Response(answer)), format!("{recovered:?}")] {
        assert_silent(&shown, "what a store is given");
        assert!(!shown.contains("7, 7"), "{shown}");
    }
}

/// An answer with so many bytes in each of so many headers, and in one trailer.
fn with_fields(fields: usize, bytes: usize, trailer: usize) -> Response<Body> {
    let value = |bytes| HeaderValue::from_str(&"x".repeat(bytes)).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-trailer", value(trailer));
    let body = Full::new(bytes::Bytes::from("done")).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    for _ in 0..fields {
        response.headers_mut().append("x-field", value(bytes));
    }
    response
}

#[tokio::test]
async fn headers_and_trailers_of_a_kept_answer_have_a_limit() {
    for (fields, bytes, trailer, kept) in
        [(10, 100, 10, true), (1, 70_000, 10, false), (2000, 1, 10, false), (1, 10, 70_000, false)]
    {
        let (app, runs) = app(layer(), move |_| async move { with_fields(fields, bytes, trailer) });
        let first = send(&app, request("k", "")).await;
        assert_eq!(
            (first.text(), first.trailers.as_ref().unwrap()["x-trailer"].len()),
            ("done", trailer),
            "its caller has all"
        );
        let again = send(&app, request("k", "")).await;
        assert_eq!(again.replayed(), kept, "{fields} fields of {bytes}, a trailer of {trailer}");
        assert!(kept || again.title() == "answer not retained");
        assert_eq!(runs.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_hook_found_has_the_same_limits() {
    let store = Scripted::default();
    store.next(Call::Renew, vec![Fault::Fails; 100]);
    let (dies, _) = app(over(store.clone()), |_| std::future::pending::<()>());
    leave(dies.oneshot(request("k", "")));
    sleep(Duration::from_secs(31)).await;
    let hook = OnUnknown::ask(async |_| Recovered::Done(StoredResponse::new(StatusCode::OK, vec![b'x'; 11])));
    let layer = over(store).with_on_unknown(hook).with_response_limit(10).with_in_flight(InFlight::Refuse);
    let (app, runs) = app(layer, |_| async {});
    assert_eq!(send(&app, request("k", "")).await.text().len(), 11);
    assert_eq!(send(&app, request("k", "")).await.title(), "answer not retained");
    assert_eq!(runs.get(), 0);
}
