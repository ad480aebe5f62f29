//! Trailers over HTTP/1.1, on a connection of our own.

use crate::support::{app, layer, serve};
use axum::{Router, body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use std::{convert::Infallible, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_stream::{StreamExt as _, iter};

fn trailers() -> HeaderMap {
    [("x-sum".parse().unwrap(), "abc".parse().unwrap())].into_iter().collect()
}

fn announced(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
    response
}

fn frames() -> impl Iterator<Item = Result<Frame<Bytes>, Infallible>> + Send {
    [Frame::data(Bytes::from("some ")), Frame::data(Bytes::from("data")), Frame::trailers(trailers())]
        .into_iter()
        .map(Ok)
}

/// Without a wait between its frames.
fn at_once() -> Response {
    announced(Body::new(StreamBody::new(iter(frames()))))
}

/// Waits before each frame.
fn slowly() -> Response {
    announced(Body::new(StreamBody::new(iter(frames()).then(|frame| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        frame
    }))))
}

/// Says how long it is, and has trailers all the same.
fn sized() -> Response {
    announced(Body::new(Full::new(Bytes::from("some data")).with_trailers(std::future::ready(Some(Ok(trailers()))))))
}

/// The length is in a header too.
fn with_a_length() -> Response {
    let mut response = at_once();
    response.headers_mut().insert("content-length", HeaderValue::from_static("9"));
    response
}

/// Returns the bytes that a server sends, from the first to the last.
async fn exchange(app: Router, te: &str) -> String {
    let mut socket = TcpStream::connect(serve(app).await).await.unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nidempotency-key: k\r\n{te}connection: te, close\r\ncontent-length: 0\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn they_are_sent_with_the_first_answer_and_with_its_replay() {
    for (name, handler) in
        [("at once", at_once as fn() -> Response), ("slowly", slowly), ("sized", sized), ("length", with_a_length)]
    {
        let (app, runs) = app(layer(), move |_| async move { handler() });
        for replayed in [false, true] {
            let answer = exchange(app.clone(), "te: trailers\r\n").await.to_lowercase();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(head.contains("idempotent-replayed: true"), replayed, "{name}: {answer}");
            assert!(head.contains("transfer-encoding: chunked"), "{name}, replayed {replayed}: {answer}");
            assert!(!head.contains("content-length"), "{name}, replayed {replayed}: {answer}");
            assert!(head.contains("trailer: x-sum"), "{name}, replayed {replayed}: {answer}");
            assert!(body.ends_with("0\r\nx-sum: abc\r\n\r\n"), "{name}, replayed {replayed}: {answer}");
        }
        assert_eq!(runs.get(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_client_that_takes_none_gets_the_body_without_them() {
    let (app, _) = app(layer(), |_| async { at_once() });
    for _ in 0..2 {
        let answer = exchange(app.clone(), "").await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.contains("data") && body.ends_with("0\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_without_trailers_has_its_length() {
    let (app, _) = app(layer(), |_| async { "some data" });
    for _ in 0..2 {
        let answer = exchange(app.clone(), "te: trailers\r\n").await;
        assert!(answer.contains("content-length: 9") && !answer.contains("trailer:"), "{answer}");
    }
}
