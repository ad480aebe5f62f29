//! Raw connections: callers that stop in the middle, and a shutdown with all of them connected.

use crate::support::{SECRET, github};
use axum::{Router, routing::post};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{net::SocketAddr, time::Duration};
use steadfast::{
    body::ReadTimeouts,
    idempotency::{IdempotencyLayer, InFlight, Scope},
    queue::{Queue, Worker},
    store::memory::MemoryStore,
    webhook::VerifyLayer,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tower::ServiceBuilder;
use tower_http::limit::RequestBodyLimitLayer;

const IDLE: Duration = Duration::from_millis(250);
const TOTAL: Duration = Duration::from_millis(700);
/// More than that and a machine that is busy.
const SOON: Duration = Duration::from_secs(10);

/// The limit of tower-http around all of it, in bytes.
const OUTER: usize = 10_000;

fn short() -> ReadTimeouts {
    ReadTimeouts::new(IDLE, TOTAL).unwrap()
}

fn hooks(queue: &Queue) -> Router {
    let verify = VerifyLayer::new(github()).with_limit(1000).with_read_timeouts(short());
    let hooks = ServiceBuilder::new().layer(verify).service(queue.accept());
    let keys = IdempotencyLayer::new(MemoryStore::new(), Scope::shared())
        .with_read_timeouts(short())
        .with_in_flight(InFlight::Wait { at_most: Duration::from_secs(3600) });
    Router::new()
        .route("/pay", post(|| sleep(Duration::from_secs(3600))))
        .layer(keys)
        .route_service("/hooks", hooks)
        .route_service("/open", queue.accept().with_read_timeouts(short()))
        .layer(RequestBodyLimitLayer::new(OUTER))
}

async fn serve() -> (Queue, SocketAddr) {
    let queue = Queue::new("q", MemoryStore::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = hooks(&queue);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (queue, address)
}

async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

fn head(path: &str, rest: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\nidempotency-key: k\r\n{rest}\r\n")
}

/// All that comes until the server closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(SOON, stream.read_to_end(&mut text)).await.expect("it stays open").unwrap();
    String::from_utf8(text).unwrap().to_lowercase()
}

#[tokio::test]
async fn a_caller_that_stops_is_answered_408_and_its_connection_ends() {
    let (queue, address) = serve().await;
    for path in ["/hooks", "/open", "/pay"] {
        for (rest, body) in [
            ("content-length: 10\r\n", ""),
            ("content-length: 10\r\n", "x"),
            ("transfer-encoding: chunked\r\n", "1\r\nx\r\n"),
        ] {
            let mut stream = connect(address, &(head(path, rest) + body)).await;
            let answer = until_closed(&mut stream).await;
            assert!(answer.starts_with("http/1.1 408 "), "{path} {rest:?} {body:?}: {answer}");
            assert!(answer.contains("connection: close") && answer.contains("application/problem+json"), "{answer}");
        }
    }
    assert_eq!(queue.stats().await.unwrap().open(), 0);
}

#[tokio::test]
async fn a_caller_that_sends_a_byte_now_and_then_is_stopped_by_the_total_limit() {
    let (_, address) = serve().await;
    for path in ["/hooks", "/open", "/pay"] {
        let began = Instant::now();
        let mut stream = connect(address, &head(path, "transfer-encoding: chunked\r\n")).await;
        let (mut from, mut to) = stream.split();
        let mut text = Vec::new();
        tokio::select! {
            read = timeout(SOON, from.read_to_end(&mut text)) => drop(read.expect("it stays open")),
            () = async { while to.write_all(b"1\r\nx\r\n").await.is_ok() { sleep(IDLE / 5).await } sleep(SOON).await } => {}
        }
        assert!(text.starts_with(b"HTTP/1.1 408 "), "{path}: {}", String::from_utf8_lossy(&text));
        assert!(began.elapsed() >= TOTAL, "progress was taken for none");
    }
}

#[tokio::test]
async fn the_rest_of_a_body_that_is_too_large_is_read_off_under_the_same_limits() {
    let (_, address) = serve().await;
    // less than four limits, so it is read off; and then it does not come
    let mut stream = connect(address, &(head("/hooks", "content-length: 3000\r\n") + &"x".repeat(1500))).await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("http/1.1 413 ") && answer.contains("connection: close"), "{answer}");
    // more than that is not read at all
    let mut stream = connect(address, &head("/hooks", "content-length: 5000\r\n")).await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("http/1.1 413 ") && answer.contains("connection: close"), "{answer}");
}

/// Its length is not in the head, so that the limit of the outer layer strikes while the body is read.
#[tokio::test]
async fn a_chunked_body_that_exceeds_the_limit_of_an_outer_layer_is_413() {
    let (queue, address) = serve().await;
    let chunk = format!("{OUTER:x}\r\n{}\r\n1\r\nx\r\n0\r\n\r\n", "x".repeat(OUTER));
    for path in ["/open", "/pay"] {
        let mut stream = connect(address, &(head(path, "transfer-encoding: chunked\r\n") + &chunk)).await;
        let answer = until_closed(&mut stream).await;
        assert!(answer.starts_with("http/1.1 413 ") && answer.contains("application/problem+json"), "{path}: {answer}");
    }
    assert_eq!(queue.stats().await.unwrap().open(), 0);
}

#[tokio::test]
async fn a_caller_that_asks_whether_to_go_on_is_told_so_and_must_then_send() {
    let (_, address) = serve().await;
    for path in ["/hooks", "/open", "/pay"] {
        let mut stream = connect(address, &head(path, "content-length: 10\r\nexpect: 100-continue\r\n")).await;
        let answer = until_closed(&mut stream).await;
        assert!(answer.starts_with("http/1.1 100 continue\r\n\r\nhttp/1.1 408 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_refused_without_a_body_that_was_not_sent_yet() {
    let (_, address) = serve().await;
    let put = head("/open", "content-length: 10\r\nexpect: 100-continue\r\n").replace("POST", "PUT");
    let answer = until_closed(&mut connect(address, &put).await).await;
    assert!(answer.starts_with("http/1.1 405 ") && answer.contains("allow: post"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    // sent, it is read off, and the connection serves the next request
    let put = head("/open", "content-length: 10\r\n").replace("POST", "PUT") + "0123456789";
    let last = head("/open", "content-length: 2\r\nconnection: close\r\n") + "hi";
    let answer = until_closed(&mut connect(address, &(put + &last)).await).await;
    assert!(answer.starts_with("http/1.1 405 ") && answer.contains("http/1.1 202 "), "{answer}");
}

#[tokio::test]
async fn a_caller_that_vanishes_while_its_body_is_read_leaves_nothing() {
    let (queue, address) = serve().await;
    for path in ["/hooks", "/open", "/pay"] {
        drop(connect(address, &(head(path, "content-length: 10\r\n") + "x")).await);
    }
    // the key is free: another body claims it, and its handler runs on
    let mut stream = connect(address, &(head("/pay", "content-length: 5\r\n") + "other")).await;
    assert!(timeout(2 * TOTAL, stream.read_u8()).await.is_err(), "it runs for an hour, and was refused");
    assert_eq!(queue.stats().await.unwrap().open(), 0);
}

/// What comes on a connection that may be reset: a request may be on its way when the server closes.
async fn all_of(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    while let Ok(read @ 1..) = timeout(SOON, stream.read(&mut part)).await.expect("it stays open") {
        text.extend_from_slice(&part[..read]);
    }
    String::from_utf8(text).unwrap().to_lowercase()
}

/// The next request comes right behind: it is answered, or the end was announced. Nothing of a body is taken for a request.
#[tokio::test]
async fn behind_each_refusal_the_next_request_is_answered_or_the_end_was_announced() {
    let (queue, address) = serve().await;
    let last = head("/open", "content-length: 2\r\nconnection: close\r\n") + "hi";
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let sized = |bytes: usize| format!("content-length: {bytes}\r\n");
    let whole = |path: &str, bytes: usize| head(path, &sized(bytes)) + &smuggled.repeat(bytes)[..bytes];
    let chunked = |path: &str, body: &str| head(path, "transfer-encoding: chunked\r\n") + body;
    let twice = "idempotency-key: other\r\ncontent-length: 5\r\n";
    let expects = |bytes: usize| sized(bytes) + "expect: 100-continue\r\n";
    for (request, status, is_usable) in [
        (whole("/hooks", 0), 401, true),
        (whole("/hooks", 1000), 401, true),
        (chunked("/hooks", "0\r\n\r\n"), 401, true),
        (chunked("/hooks", "5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n"), 401, true),
        (head("/hooks", &expects(5)) + "hello", 401, true),
        (whole("/hooks", 1001), 413, true),
        (whole("/hooks", 4000), 413, true),
        (whole("/hooks", 4001), 413, false),
        (head("/hooks", &expects(4001)) + &smuggled.repeat(200)[..4001], 413, false),
        (chunked("/hooks", &format!("fa0\r\n{}\r\n0\r\n\r\n", &smuggled.repeat(200)[..4000])), 413, true),
        (chunked("/hooks", &format!("fa1\r\n{}\r\n0\r\n\r\n", &smuggled.repeat(200)[..4001])), 413, false),
        (whole("/open", 5).replace("POST", "PUT"), 405, true),
        (whole("/open", 0).replace("POST", "GET"), 405, true),
        (head("/open", "").replace("POST", "HEAD"), 405, true),
        (chunked("/open", "5\r\nhello\r\n0\r\n\r\n").replace("POST", "DELETE"), 405, true),
        (head("/open", &expects(5)).replace("POST", "PUT") + "hello", 405, false),
        (head("/pay", twice) + "hello", 400, true),
        (
            head("/pay", twice).replace("content-length: 5", "transfer-encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n",
            400,
            true,
        ),
    ] {
        let named = request[..request.len().min(140)].to_owned();
        let answer = all_of(&mut connect(address, &(request + &last)).await).await;
        let answer = answer.replace("http/1.1 100 continue\r\n\r\n", "");
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{named}: {answer}");
        let answers = answer.matches("http/1.1 ").count();
        if is_usable {
            assert!(answers == 2 && answer.contains("http/1.1 202 "), "{named}: {answer}");
        } else {
            assert_eq!(answers, 1, "{named}: {answer}");
        }
    }
    drop(queue);
}

/// As a decoder that finds the first bytes of a body broken, and reads no further.
#[tokio::test]
async fn a_body_that_a_layer_further_out_cannot_decode_ends_its_connection_and_says_so() {
    let queue = Queue::new("q", MemoryStore::new());
    let broken = axum::middleware::map_request(|request: http::Request<axum::body::Body>| async {
        request.map(|unread| {
            let rest = unread.into_data_stream();
            let rest = tokio_stream::StreamExt::map(rest, |data| data.map_err(std::io::Error::other));
            let failed = tokio_stream::once(Err(std::io::Error::other("corrupt deflate stream")));
            axum::body::Body::from_stream(tokio_stream::StreamExt::chain(failed, rest))
        })
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = hooks(&queue).layer(broken);
    tokio::spawn(async move { axum::serve(listener, app).await });
    for path in ["/hooks", "/open", "/pay"] {
        let answer = until_closed(&mut connect(address, &(head(path, "content-length: 900\r\n") + "x")).await).await;
        assert!(answer.starts_with("http/1.1 400 ") && answer.contains("connection: close"), "{path}: {answer}");
    }
    assert_eq!(queue.stats().await.unwrap().open(), 0);
}

/// Over HTTP/2: a window of nothing, so that the bodies of responses cannot be sent.
async fn over_http2(address: SocketAddr) -> (http::Response<hyper::body::Incoming>, impl Sized) {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0).adaptive_window(false);
    let (mut client, driver) = builder.handshake(io).await.unwrap();
    tokio::spawn(driver);
    let (send, frames) = tokio::sync::mpsc::unbounded_channel::<Result<http_body::Frame<Bytes>, std::io::Error>>();
    send.send(Ok(http_body::Frame::data(Bytes::from("x")))).unwrap();
    let body = http_body_util::StreamBody::new(tokio_stream::wrappers::UnboundedReceiverStream::new(frames));
    let request = http::Request::post(format!("http://{address}/hooks")).body(body.boxed_unsync()).unwrap();
    let answer = timeout(SOON, client.send_request(request)).await.expect("no answer").unwrap();
    (answer, (send, client))
}

#[tokio::test]
async fn over_http_2_the_408_names_no_connection_and_needs_no_window() {
    let (_, address) = serve().await;
    let (answer, _held) = over_http2(address).await;
    assert_eq!(answer.status(), 408);
    assert!(!answer.headers().contains_key("connection"));
}

/// The recipe of `docs/recipes.md`: one signal, and a limit for those who never end their request.
async fn run(queue: Queue, listener: TcpListener, stop: watch::Receiver<bool>, drain: Duration) {
    let app = hooks(&queue);
    let done = tower::service_fn(|_: steadfast::queue::Message| async { Ok::<_, std::convert::Infallible>(()) });
    let stopped = |mut stop: watch::Receiver<bool>| async move { _ = stop.wait_for(|stop| *stop).await };
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped(stop.clone())).into_future();
    let late = async {
        stopped(stop.clone()).await;
        sleep(drain).await;
        Ok(())
    };
    let serve = async {
        tokio::select! { served = server => served, late = late => late }
    };
    let (served, ()) = tokio::join!(serve, Worker::new(queue, done).with_drain(drain).run(stopped(stop.clone())));
    served.unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_in_time_with_callers_connected_that_end_nothing() {
    let queue = Queue::new("q", MemoryStore::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let drain = Duration::from_secs(1);
    let running = tokio::spawn(run(queue.clone(), listener, stopped, drain));
    let long = "content-length: 10\r\n";
    let callers = [
        connect(address, &(head("/hooks", long) + "x")).await,
        connect(address, &head("/hooks", long)).await,
        connect(address, &head("/hooks", long)[..40]).await,
        connect(address, "").await,
        // the one that runs, and one that waits for it
        connect(address, &(head("/pay", long) + "0123456789")).await,
        connect(address, &(head("/pay", long) + "0123456789")).await,
    ];
    let http2 = over_http2(address).await;
    sleep(IDLE / 2).await;
    let began = Instant::now();
    stop.send(true).unwrap();
    timeout(SOON, running).await.expect("the shutdown does not end").unwrap();
    assert!(began.elapsed() < drain + SOON / 2, "{:?}", began.elapsed());
    drop((callers, http2, SECRET));
}

/// Without requests that run for an hour nothing waits for the limit of the recipe: the read limits end what they can.
#[tokio::test]
async fn a_shutdown_waits_no_longer_for_callers_that_send_nothing_than_the_read_limits() {
    let queue = Queue::new("q", MemoryStore::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(run(queue.clone(), listener, stopped, Duration::from_secs(3600)));
    let long = "content-length: 10\r\n";
    let callers = [
        connect(address, &(head("/hooks", long) + "x")).await,
        connect(address, &(head("/open", long) + "x")).await,
        connect(address, &head("/pay", long)).await,
        connect(address, "").await,
    ];
    sleep(IDLE / 2).await;
    stop.send(true).unwrap();
    timeout(SOON, running).await.expect("the shutdown does not end").unwrap();
    drop(callers);
}
