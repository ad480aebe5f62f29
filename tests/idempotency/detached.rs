use crate::support::{Runs, app, counting, layer, leave, request, see, send, serve};
use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn},
    routing::post,
};
use http::StatusCode;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, sync::Notify, task::JoinSet, time::sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_identical_requests_at_once_run_once() {
    let open = Arc::new(Notify::new());
    let gate = open.clone();
    let (app, runs) = app(layer(), move |_| {
        let gate = gate.clone();
        async move {
            gate.notified().await;
            (StatusCode::CREATED, "paid")
        }
    });
    let address = serve(app).await;
    let client = reqwest::Client::new();
    let send = || client.post(format!("http://{address}/")).header("idempotency-key", "k").body("x").send();
    let mut calls: JoinSet<_> = (0..20).map(|_| send()).collect();
    for _ in 0..19 {
        let refused = calls.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        assert_eq!(refused.headers()["retry-after"], "1");
        assert!(refused.text().await.unwrap().contains("request in flight"));
    }
    open.notify_one();
    let answered = calls.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(answered.status(), StatusCode::CREATED);
    assert_eq!(answered.text().await.unwrap(), "paid");
    let again = send().await.unwrap();
    assert_eq!(
        (again.status(), &again.headers()["idempotent-replayed"]),
        (StatusCode::CREATED, &"true".parse().unwrap())
    );
    assert_eq!(runs.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_undoes_nothing() {
    struct Told(Arc<Notify>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (started, left, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begun, gate) = (started.clone(), open.clone());
    let layer = layer();
    let (app, runs) = app(layer.clone(), move |_| {
        let (begun, gate) = (begun.clone(), gate.clone());
        async move {
            begun.notify_one();
            gate.notified().await;
            "done"
        }
    });
    let dropped = left.clone();
    let app = app.layer(from_fn(move |request: Request, next: Next| {
        let told = Told(dropped.clone());
        async move {
            let _told = told;
            next.run(request).await
        }
    }));
    let address = serve(app).await;
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(b"POST / HTTP/1.1\r\nhost: x\r\nidempotency-key: k\r\ncontent-length: 1\r\n\r\nx").await.unwrap();
    started.notified().await;
    drop(socket);
    left.notified().await; // the server has dropped the caller's future

    let client = reqwest::Client::new();
    let send = || client.post(format!("http://{address}/")).header("idempotency-key", "k").body("x").send();
    assert_eq!(send().await.unwrap().status(), StatusCode::CONFLICT);
    open.notify_one();
    layer.drained().await;
    let again = send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.text().await.unwrap(), "done");
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_after_the_first_poll_leaves_the_handler_running() {
    let layer = layer();
    let (app, runs) = app(layer.clone(), |_| sleep(Duration::from_secs(60)));
    leave(app.clone().oneshot(request("k", "")));
    assert_eq!(runs.get(), 1);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CONFLICT);
    layer.drained().await;
    assert!(send(&app, request("k", "")).await.replayed());
    assert_eq!(runs.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_right_after_the_answer_is_never_a_conflict() {
    let (app, runs) = app(layer(), |_| async {
        tokio::task::yield_now().await;
        "done"
    });
    let address = serve(app).await;
    let client = reqwest::Client::new();
    for n in 0..50 {
        let send =
            || client.post(format!("http://{address}/")).header("idempotency-key", format!("k{n}")).body("x").send();
        assert_eq!(send().await.unwrap().text().await.unwrap(), "done");
        assert!(send().await.unwrap().headers().contains_key("idempotent-replayed"), "{n}");
    }
    assert_eq!(runs.get(), 50);
}

#[tokio::test]
async fn a_panic_is_recorded_and_passed_on() {
    for waits in [false, true] {
        let (app, runs) = app(layer(), move |_| async move {
            if waits {
                tokio::task::yield_now().await;
            }
            assert!(std::hint::black_box(false), "boom");
        });
        let call = tokio::spawn(app.clone().oneshot(request("k", "")));
        let panic = call.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"boom"), "as it would be without the layer");
        let seen = send(&app, request("k", "")).await;
        assert_eq!((seen.status, seen.replayed()), (StatusCode::INTERNAL_SERVER_ERROR, true));
        assert_eq!(seen.title(), "handler panicked");
        assert_eq!(runs.get(), 1);
    }
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_recorded_and_passed_on() {
    let runs = Runs::default();
    let counted = runs.clone();
    let fails = service_fn(move |_: http::Request<Body>| {
        counted.add();
        async { Err::<http::Response<Body>, _>(std::io::Error::other("no")) }
    });
    let service = layer().layer(fails);
    let error = service.clone().oneshot(request("k", "")).await.map(drop).unwrap_err();
    assert_eq!(error.to_string(), "no");
    let again = service.oneshot(request("k", "")).await.unwrap();
    assert_eq!(again.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_keeps_its_claim() {
    let (app, runs) = app(layer().with_lease(Duration::from_secs(3)), |_| sleep(Duration::from_secs(600)));
    let call = tokio::spawn(app.clone().oneshot(request("k", "")));
    for _ in 0..59 {
        sleep(Duration::from_secs(10)).await;
        let seen = send(&app, request("k", "")).await;
        assert_eq!((seen.status, &*seen.title()), (StatusCode::CONFLICT, "request in flight"));
    }
    assert_eq!(see(call.await.unwrap().unwrap()).await.status, StatusCode::OK);
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_payload_is_refused_while_in_flight() {
    let (app, runs) = app(layer(), |_| sleep(Duration::from_secs(60)));
    leave(app.clone().oneshot(request("k", "5")));
    assert_eq!(send(&app, request("k", "50")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_detached_handlers_and_their_records() {
    let layer = layer();
    let (app, _) = app(layer.clone(), |_| sleep(Duration::from_secs(60)));
    leave(app.clone().oneshot(request("k", "")));
    assert!(tokio::time::timeout(Duration::from_secs(59), layer.drained()).await.is_err(), "it still runs");
    tokio::time::timeout(Duration::from_secs(2), layer.drained()).await.unwrap();
    assert!(send(&app, request("k", "")).await.replayed());
}

#[tokio::test]
async fn a_service_that_is_ready_is_the_one_that_is_called() {
    /// Fails when called without having been ready itself.
    struct OnceReady(bool);
    impl Clone for OnceReady {
        fn clone(&self) -> Self {
            Self(false)
        }
    }
    impl tower::Service<http::Request<Body>> for OnceReady {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
            self.0 = true;
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: http::Request<Body>) -> Self::Future {
            assert!(std::mem::take(&mut self.0), "called without having been ready");
            std::future::ready(Ok(http::Response::new(Body::empty())))
        }
    }
    let mut service = layer().layer(OnceReady(false));
    for key in ["a", "b", "a"] {
        let answered = service.ready().await.unwrap().call(request(key, "")).await.unwrap();
        assert_eq!(answered.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn one_layer_is_one_state_however_often_it_is_applied() {
    let layer = layer();
    let runs = Runs::default();
    let app = || {
        let counted = runs.clone();
        Router::new().route("/", post(move || async move { counted.add().to_string() })).layer(layer.clone())
    };
    assert_eq!(send(&app(), request("k", "")).await.text(), "1");
    assert!(send(&app(), request("k", "")).await.replayed());
    let (other, _) = counting(crate::support::layer());
    assert!(!send(&other, request("k", "")).await.replayed());
}
