use crate::support::{Runs, app, counting, layer, request, see, send};
use axum::{Router, body::Body, response::IntoResponse, routing::any};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::time::Duration;
use steadfast::idempotency::NotExecuted;
use tower::ServiceExt;

#[tokio::test]
async fn a_replay_is_the_answer_less_what_is_not_for_a_second_reader() {
    let (app, runs) = app(layer(), |_| async {
        let headers = [
            ("set-cookie", "session=1"),
            ("date", "Mon, 23 Nov 2026 10:00:00 GMT"),
            ("connection", "x-hop, close"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("location", "/payments/1"),
            ("content-type", "text/plain"),
        ];
        (StatusCode::CREATED, headers, "paid")
    });
    let first = send(&app, request("k", "")).await;
    assert!(first.headers.contains_key("set-cookie") && !first.headers.contains_key("idempotent-replayed"));
    let again = send(&app, request("k", "")).await;
    assert_eq!((again.status, again.text(), again.replayed()), (StatusCode::CREATED, "paid", true));
    assert_eq!(again.headers["location"], "/payments/1");
    assert_eq!(again.headers["content-type"], "text/plain");
    for gone in ["set-cookie", "date", "connection", "x-hop", "keep-alive"] {
        assert!(!again.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn trailers_are_replayed() {
    let (app, runs) = app(layer(), |_| async {
        let trailers: HeaderMap = [("x-sum".parse().unwrap(), "1".parse().unwrap())].into_iter().collect();
        Response::new(Body::new(Full::new(Bytes::from("data")).with_trailers(std::future::ready(Some(Ok(trailers))))))
    });
    for replayed in [false, true] {
        let seen = send(&app, request("k", "")).await;
        assert_eq!((seen.text(), seen.replayed()), ("data", replayed));
        assert_eq!(seen.trailers.unwrap()["x-sum"], "1");
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn every_answer_of_the_handler_is_recorded_whatever_its_status() {
    for status in [200, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503] {
        let (app, runs) = app(layer(), move |_| async move {
            (StatusCode::from_u16(status).unwrap(), [("cache-control", "no-store")], "said")
        });
        for replayed in [false, true] {
            let seen = send(&app, request("k", "")).await;
            assert_eq!((seen.status.as_u16(), seen.text(), seen.replayed()), (status, "said", replayed));
        }
        assert_eq!(runs.get(), 1, "{status}");
    }
}

#[tokio::test]
async fn what_was_not_executed_frees_the_key() {
    let n = Runs::default();
    let (app, runs) = app(layer(), move |_| {
        let first = n.add() == 1;
        async move {
            if !first {
                return StatusCode::CREATED.into_response();
            }
            (StatusCode::TOO_MANY_REQUESTS, axum::Extension(NotExecuted), "later").into_response()
        }
    });
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.status, seen.text()), (StatusCode::TOO_MANY_REQUESTS, "later"));
    let seen = send(&app, request("k", "another body")).await;
    assert_eq!((seen.status, seen.replayed()), (StatusCode::CREATED, false));
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn another_request_under_the_key_is_refused_and_harms_nothing() {
    let runs = Runs::default();
    let counted = runs.clone();
    let handler = move || async move { format!("run {}", counted.add()) };
    let app = Router::new().route("/{*path}", any(handler)).layer(layer());
    let build = |method: Method, target: &str, content_type: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(target).header("content-type", content_type);
        request.header("idempotency-key", "k").body(Body::from(body)).unwrap()
    };
    let first = || build(Method::POST, "/pay?x=1", "text/plain", "5");
    assert_eq!(send(&app, first()).await.text(), "run 1");
    for other in [
        build(Method::POST, "/pay?x=1", "text/plain", "50"),
        build(Method::POST, "/pay?x=2", "text/plain", "5"),
        build(Method::POST, "/refund?x=1", "text/plain", "5"),
        build(Method::PUT, "/pay?x=1", "text/plain", "5"),
        build(Method::POST, "/pay?x=1", "application/json", "5"),
    ] {
        let seen = send(&app, other).await;
        assert_eq!(
            (seen.status, &*seen.title()),
            (StatusCode::UNPROCESSABLE_ENTITY, "idempotency key in use for another request")
        );
        assert!(!seen.headers.contains_key("retry-after"));
    }
    let mut traced = first();
    traced.headers_mut().insert("traceparent", "00-1-2-01".parse().unwrap());
    let seen = send(&app, traced).await;
    assert_eq!((seen.text(), seen.replayed()), ("run 1", true), "headers that change by themselves do not matter");
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn safe_methods_pass_untouched() {
    let runs = Runs::default();
    let counted = runs.clone();
    let handler = move |request: Request<Body>| async move {
        assert!(request.extensions().get::<steadfast::idempotency::Claim>().is_none());
        counted.add();
    };
    let app = Router::new().route("/", any(handler)).layer(layer().with_required([Method::GET, Method::POST]));
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        for key in [Some("k"), Some("\"malformed"), None] {
            let mut request = Request::builder().method(method.clone()).uri("/");
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            let seen = send(&app, request.body(Body::empty()).unwrap()).await;
            assert_eq!((seen.status, seen.replayed()), (StatusCode::OK, false));
        }
    }
    assert_eq!(runs.get(), 9);
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_and_claims_nothing() {
    let (app, runs) = counting(layer().with_request_limit(10));
    let seen = send(&app, request("k", "eleven long")).await;
    assert_eq!((seen.status, &*seen.title()), (StatusCode::PAYLOAD_TOO_LARGE, "request too large"));
    assert_eq!(runs.get(), 0);
    assert_eq!(send(&app, request("k", "just right")).await.status, StatusCode::CREATED, "the key is free");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_or_never_ends_claims_nothing() {
    let (app, runs) = counting(layer());
    let frames = [Ok("half"), Err(std::io::Error::other("gone"))];
    let broken = Request::post("/").header("idempotency-key", "k").body(Body::from_stream(tokio_stream::iter(frames)));
    assert_eq!(send(&app, broken.unwrap()).await.status, StatusCode::BAD_REQUEST);
    let endless = Request::post("/").header("idempotency-key", "k");
    let endless = endless.body(Body::from_stream(tokio_stream::pending::<Result<Bytes, std::io::Error>>())).unwrap();
    let left = tokio::time::timeout(Duration::from_secs(5), app.clone().oneshot(endless)).await;
    assert!(left.is_err());
    assert_eq!(runs.get(), 0);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED, "the key is free");
}

#[tokio::test(start_paused = true)]
async fn a_record_expires_a_day_after_its_completion_however_often_it_was_replayed() {
    let (app, runs) = counting(layer());
    send(&app, request("k", "")).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(7 * 3600)).await;
        assert!(send(&app, request("k", "")).await.replayed());
    }
    tokio::time::sleep(Duration::from_secs(3 * 3600 + 1)).await;
    let seen = send(&app, request("k", "another body")).await;
    assert_eq!((seen.text(), seen.replayed()), ("run 2", false));
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn the_handler_sees_its_request_unchanged_and_its_claim() {
    let (app, _) = app(layer(), |request| async move {
        let claim = request.extensions().get::<steadfast::idempotency::Claim>().unwrap().clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        format!("{} {} {}", claim.key().as_str(), claim.attempt(), String::from_utf8_lossy(&body))
    });
    assert_eq!(send(&app, request("\"my key\"", "the body")).await.text(), "my key 1 the body");
}

#[tokio::test]
async fn an_answer_without_a_key_is_the_inner_one() {
    let (app, _) = counting(layer());
    let request = Request::post("/").body(Body::from("x")).unwrap();
    let seen = see(app.oneshot(request).await.unwrap()).await;
    assert_eq!((seen.status, seen.text(), seen.replayed()), (StatusCode::CREATED, "run 1", false));
}
