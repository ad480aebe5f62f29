//! Real connections, and the whole way to a queue.

use crate::support::github;
use std::{convert::Infallible, time::Duration};
use steadfast::{
    queue::{Claim, Queue},
    store::memory::MemoryStore,
    webhook::VerifyLayer,
};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceBuilder};

async fn serve(app: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/hooks")
}

/// One delivery of a push.
async fn post(client: &reqwest::Client, url: &str, signature: &str, body: Vec<u8>) -> (u16, String) {
    let request = client.post(url).header("x-hub-signature-256", signature).header("x-github-event", "push").body(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_usable_and_a_delivery_ends_in_the_queue() {
    let queue = Queue::new("github", MemoryStore::new());
    let stack = ServiceBuilder::new()
        .layer(VerifyLayer::new(github().with_digest(Duration::from_secs(300))).with_limit(5000))
        .service(queue.accept());
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let app = axum::Router::new().route_service("/hooks", stack);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let service = hyper_util::service::TowerToHyperService::new(app.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    let client = reqwest::Client::builder().pool_max_idle_per_host(1).build().unwrap();
    let sign = |body: &[u8]| github().sign(body).to_str().unwrap().to_owned();
    let body = b"\xff not text".to_vec();
    assert_eq!(post(&client, &url, &sign(b"other"), body.clone()).await.0, 401);
    assert_eq!(post(&client, &url, "garbled", vec![b'a'; 4000]).await.0, 401);
    assert_eq!(post(&client, &url, &sign(&[b'a'; 9000]), vec![b'a'; 9000]).await.0, 413);
    assert_eq!(queue.stats().await.unwrap().open(), 0, "nothing was stored for any of them");
    let (status, first) = post(&client, &url, &sign(&body), body.clone()).await;
    assert_eq!(status, 202);
    // captured, and sent again: a replay is refused where that was asked for
    let (status, again) = post(&client, &url, &sign(&body), body.clone()).await;
    assert_eq!((status, again), (202, first.replace('}', ",\"duplicate\":true}")));
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1, "one connection for all of it");
    let claim = Claim { limit: 10, lease: std::time::Duration::from_secs(60), max_attempts: 3 };
    let stored = queue.store().claim("github", claim).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].body().as_ref(), stored[0].topic()), (body.as_ref(), Some("push")));
    assert!(!stored[0].headers().contains_key("x-hub-signature-256"));
}

#[tokio::test]
async fn it_fits_as_a_layer_of_an_axum_route() {
    let handler = axum::routing::post(|body: axum::body::Bytes| async move { body });
    let app = axum::Router::new().route("/hooks", handler).layer(VerifyLayer::new(github()));
    let url = serve(app).await;
    let client = reqwest::Client::new();
    let signature = github().sign(b"echo").to_str().unwrap().to_owned();
    assert_eq!(post(&client, &url, &signature, b"echo".to_vec()).await, (200, "echo".to_owned()));
    assert_eq!(post(&client, &url, &signature, b"else".to_vec()).await.0, 401);
}

#[test]
fn it_keeps_an_infallible_service_infallible() {
    fn infallible<S: Service<axum::extract::Request, Error = Infallible>>(_: &S) {}
    let queue = Queue::new("q", MemoryStore::new());
    infallible(&VerifyLayer::new(github()).layer(queue.accept()));
}
