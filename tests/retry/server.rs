//! Real servers on real sockets, and bodies that stream.

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;

pub type Chunk = Result<Frame<Bytes>, io::Error>;
pub type Stream = StreamBody<ReceiverStream<Chunk>>;

/// A body, and what feeds it.
pub fn stream() -> (mpsc::Sender<Chunk>, Stream) {
    let (feed, from) = mpsc::channel(8);
    (feed, StreamBody::new(ReceiverStream::new(from)))
}

#[expect(clippy::unnecessary_wraps, reason = "a frame of a stream that can fail")]
pub fn data(text: &'static str) -> Chunk {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[expect(clippy::unnecessary_wraps, reason = "a frame of a stream that can fail")]
pub fn trailers(name: &'static str, value: u16) -> Chunk {
    let mut map = HeaderMap::new();
    map.insert(name, value.into());
    Ok(Frame::trailers(map))
}

/// What the server saw.
#[derive(Clone, Default)]
pub struct Seen {
    pub calls: Arc<AtomicUsize>,
    /// Told when the first chunk of an upload is here.
    pub first_chunk: Arc<Notify>,
}

/// `/flaky`: 503 twice, then the body back. `/upload`: 503 as soon as the first chunk is here, then the body back.
/// `/half`: a response that breaks off, as often as `broken` says. `/ok`.
pub fn app(seen: &Seen, broken: usize) -> Router {
    let calls = seen.calls.clone();
    let flaky = move |body: String| {
        let call = calls.fetch_add(1, SeqCst);
        async move { if call < 2 { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { body.into_response() } }
    };
    let (calls, first_chunk) = (seen.calls.clone(), seen.first_chunk.clone());
    let upload = move |request: Request| {
        let (call, first_chunk) = (calls.fetch_add(1, SeqCst), first_chunk.clone());
        async move {
            let mut body = request.into_body();
            let Some(Ok(first)) = body.frame().await else { return StatusCode::BAD_REQUEST.into_response() };
            first_chunk.notify_one();
            if call == 0 {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            match body.collect().await {
                Ok(rest) => [first.into_data().unwrap(), rest.to_bytes()].concat().into_response(),
                Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
            }
        }
    };
    let calls = seen.calls.clone();
    let half = move || {
        let call = calls.fetch_add(1, SeqCst);
        async move {
            if call >= broken {
                return "whole".into_response();
            }
            let (feed, body) = stream();
            tokio::spawn(async move {
                feed.send(data("ha")).await.unwrap();
                // after the head went out
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                _ = feed.send(Err(io::Error::other("cut"))).await;
            });
            Response::new(Body::new(body))
        }
    };
    Router::new()
        .route("/flaky", post(flaky))
        .route("/upload", any(upload))
        .route("/half", get(half))
        .route("/ok", get(|| async { "ok" }))
}

pub async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}
