//! `queue.accept()`, as a service, under axum and under a plain hyper server.

use crate::support::{faulty, memory, secs};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use std::{convert::Infallible, sync::atomic::Ordering::SeqCst};
use steadfast::{
    dedupe::DedupeKeys,
    queue::{Accept, Claim, Message, Queue},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;

async fn send(accept: &Accept, request: Request<Full<Bytes>>) -> (StatusCode, HeaderMap, String) {
    let response = accept.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(body.into()).unwrap())
}

fn post(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = headers.iter().fold(Request::post("/hooks"), |request, (name, value)| request.header(*name, *value));
    request.body(Full::new(body.into())).unwrap()
}

async fn stored(queue: &Queue) -> Vec<Message> {
    let claim = Claim { limit: 10, lease: secs(60), max_attempts: 3 };
    queue.store().claim(queue.name(), claim).await.unwrap()
}

#[tokio::test]
async fn what_is_accepted_is_stored_and_named() {
    let queue = memory();
    let (status, headers, body) = send(&queue.accept(), post(&[], "hello")).await;
    let message = stored(&queue).await.remove(0);
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::ACCEPTED, "application/json"));
    assert_eq!(body, format!("{{\"id\":\"{}\"}}", message.id()));
    assert_eq!(message.body(), "hello");
}

#[tokio::test]
async fn a_duplicate_is_accepted_as_one() {
    let queue = memory();
    let (_, _, first) = send(&queue.accept(), post(&[("webhook-id", "msg_1")], "hello")).await;
    let (status, _, second) = send(&queue.accept(), post(&[("webhook-id", "msg_1")], "hello")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(second, first.replace('}', ",\"duplicate\":true}"));
    assert_eq!(stored(&queue).await.len(), 1);
}

#[tokio::test]
async fn keys_in_the_extensions_go_before_the_webhook_id() {
    let queue = memory();
    for (id, expected) in [("a", 1), ("b", 1)] {
        let mut request = post(&[("webhook-id", id)], "hello");
        request.extensions_mut().insert(DedupeKeys::new("delivery").and("digest"));
        assert_eq!(send(&queue.accept(), request).await.0, StatusCode::ACCEPTED);
        assert_eq!(queue.stats().await.unwrap().open(), expected);
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_a_duplicate() {
    let queue = memory();
    for headers in [&[][..], &[], &[("webhook-id", "")], &[("webhook-id", " ")]] {
        send(&queue.accept(), post(headers, "same")).await;
    }
    assert_eq!(stored(&queue).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_known_for_as_long_as_was_said() {
    let queue = memory();
    let accept = queue.accept().with_dedupe(|parts| Some(DedupeKeys::new(parts.uri.path()))).with_dedupe_for(secs(60));
    send(&accept, post(&[], "a")).await;
    crate::support::pass(secs(59)).await;
    assert!(send(&accept, post(&[], "a")).await.2.contains("duplicate"));
    crate::support::pass(secs(2)).await;
    assert!(!send(&accept, post(&[], "a")).await.2.contains("duplicate"));
}

#[tokio::test]
async fn no_credential_and_no_signature_is_stored() {
    let queue = memory();
    let request = post(
        &[
            ("authorization", "Bearer secret"),
            ("proxy-authorization", "Basic secret"),
            ("cookie", "session=secret"),
            ("x-hub-signature-256", "sha256=00"),
            ("webhook-signature", "v1,00"),
            ("x-gitlab-token", "secret"),
            ("x-github-token", "secret"),
            ("x-api-key", "secret"),
            ("host", "example.com"),
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("user-agent", "GitHub-Hookshot/1"),
            ("x-github-event", "push"),
            ("x-github-delivery", "1"),
            ("webhook-id", "msg_1"),
            ("ce-type", "com.example.made"),
        ],
        "{}",
    );
    send(&queue.accept(), request).await;
    let message = stored(&queue).await.remove(0);
    let mut kept: Vec<_> = message.headers().keys().map(http::HeaderName::as_str).collect();
    kept.sort_unstable();
    let expected = [
        "ce-type",
        "content-encoding",
        "content-type",
        "traceparent",
        "user-agent",
        "webhook-id",
        "x-github-delivery",
        "x-github-event",
    ];
    assert_eq!(kept, expected);
    assert_eq!((message.topic(), message.destination()), (Some("push"), None));
}

#[tokio::test]
async fn topic_destination_and_headers_are_the_users_to_choose() {
    let queue = memory();
    let accept = queue
        .accept()
        .with_topic(|parts| parts.uri.query().map(str::to_owned))
        .with_destination(|parts| Some(parts.uri.path().to_owned()))
        .with_headers(|_| HeaderMap::new());
    let mut request = post(&[("content-type", "text/plain")], "hello");
    *request.uri_mut() = "/crm?orders".parse().unwrap();
    send(&accept, request).await;
    let message = stored(&queue).await.remove(0);
    assert_eq!((message.topic(), message.destination()), (Some("orders"), Some("/crm")));
    assert!(message.headers().is_empty());
}

#[tokio::test]
async fn what_cannot_be_stored_is_never_a_success() {
    let (queue, faults) = faulty();
    faults.enqueue.store(true, SeqCst);
    let accept = queue.accept().with_retry_after(std::time::Duration::from_millis(2500));
    let (status, headers, body) = send(&accept, post(&[], "hello")).await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (StatusCode::SERVICE_UNAVAILABLE, "3"));
    assert_eq!(headers["content-type"], "application/problem+json");
    assert!(!body.contains("the store is down"), "the cause is not the caller's: {body}");
}

#[tokio::test]
async fn a_safe_method_stores_nothing() {
    let queue = memory();
    for method in [http::Method::GET, http::Method::HEAD, http::Method::OPTIONS] {
        let mut request = post(&[], "");
        *request.method_mut() = method;
        let (status, headers, _) = send(&queue.accept(), request).await;
        assert_eq!((status, headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    }
    assert!(stored(&queue).await.is_empty());
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not() {
    let queue = memory();
    let accept = queue.accept().with_limit(10);
    assert_eq!(send(&accept, post(&[], vec![b'a'; 10])).await.0, StatusCode::ACCEPTED);
    assert_eq!(send(&accept, post(&[], vec![b'a'; 11])).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(stored(&queue).await.len(), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_stores_nothing() {
    let queue = memory();
    let frames = [Ok(http_body::Frame::data(Bytes::from("half"))), Err(std::io::Error::other("reset"))];
    let request = Request::post("/").body(StreamBody::new(tokio_stream::iter(frames))).unwrap();
    let response = queue.accept().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(stored(&queue).await.is_empty());
}

/// One connection, several requests: the connection stays usable after each answer.
async fn over_one_connection(address: std::net::SocketAddr, requests: &[&str]) -> Vec<u16> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut statuses = Vec::new();
    for request in requests {
        stream.write_all(request.as_bytes()).await.unwrap();
        statuses.push(answer(&mut stream).await);
    }
    statuses
}

/// Reads one answer with a `content-length` to its end.
async fn answer(stream: &mut TcpStream) -> u16 {
    let mut text = Vec::new();
    let end = loop {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "closed: {}", String::from_utf8_lossy(&text));
        if let Some(at) = text.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8(text[..end].to_vec()).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse::<usize>().unwrap();
    while text.len() < end + length {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "closed");
    }
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

fn raw(body: &str) -> String {
    format!("POST /hooks HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn serve_axum(accept: Accept) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route_service("/hooks", accept);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn serve_hyper(accept: Accept) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(accept.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    address
}

#[tokio::test]
async fn axum_and_hyper_serve_it_and_every_no_leaves_the_connection_usable() {
    let (small, long) = (raw("hello"), raw(&"x".repeat(3000)));
    for place in ["axum", "hyper"] {
        let (queue, faults) = faulty();
        let accept = queue.accept().with_limit(1000);
        let address = if place == "axum" { serve_axum(accept).await } else { serve_hyper(accept).await };
        let statuses = over_one_connection(address, &[&small, &long, &small]).await;
        assert_eq!(statuses, [202, 413, 202], "{place}");
        faults.enqueue.store(true, SeqCst);
        assert_eq!(over_one_connection(address, &[&small, &small]).await, [503, 503], "{place}");
        faults.enqueue.store(false, SeqCst);
        assert_eq!(over_one_connection(address, &["GET /hooks HTTP/1.1\r\nhost: x\r\n\r\n", &small]).await, [405, 202]);
        assert_eq!(stored(&queue).await.len(), 3, "{place}");
    }
}

#[tokio::test]
async fn a_sender_that_vanishes_in_the_middle_stores_nothing() {
    let queue = memory();
    let address = serve_hyper(queue.accept()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /hooks HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    drop(stream);
    // a whole one after it, so that the half one had its time
    assert_eq!(over_one_connection(address, &[&raw("whole")]).await, [202]);
    let stored = stored(&queue).await;
    assert_eq!(stored.iter().map(Message::body).collect::<Vec<_>>(), ["whole"]);
}

#[test]
fn it_fits_a_router_without_an_error_type() {
    fn is_infallible<S: tower::Service<Request<axum::body::Body>, Error = Infallible> + Clone + Send + Sync>(_: &S) {}
    is_infallible(&memory().accept());
}
