//! An upload that is taken over in the middle, over real connections: the server sees a broken one, never a short complete one.

use super::*;
use crate::server::{Stream, data as chunk, stream};
use http::{Request, Response, Version};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{convert::Infallible, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

/// The bytes of one upload that a server received, and whether it was complete.
type Upload = (Vec<u8>, bool);

/// Starts a server, with a channel for the bytes of an upload whenever more arrive, and one for uploads that are over.
async fn serve(
    version: Version,
) -> (std::net::SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>, mpsc::UnboundedReceiver<Upload>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ((begun, begins), (ended, ends)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        loop {
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            let (begun, ended) = (begun.clone(), ended.clone());
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let (begun, ended) = (begun.clone(), ended.clone());
                async move {
                    let (mut body, mut got) = (request.into_body(), Vec::new());
                    let complete = loop {
                        match body.frame().await {
                            None => break true,
                            Some(Err(_)) => break false,
                            Some(Ok(frame)) => got.extend(frame.into_data().unwrap_or_default()),
                        }
                        _ = begun.send(got.clone());
                    };
                    _ = ended.send((got, complete));
                    Ok::<_, Infallible>(Response::new(String::new()))
                }
            });
            tokio::spawn(async move {
                if version == Version::HTTP_2 {
                    _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await;
                } else {
                    _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                }
            });
        }
    });
    (address, begins, ends)
}

/// Sends `body` on a connection of its own.
async fn send<B>(
    address: std::net::SocketAddr,
    version: Version,
    body: B,
) -> Result<Response<hyper::body::Incoming>, hyper::Error>
where
    B: Body<Data = Bytes, Error: Into<steadfast::error::BoxError>> + Unpin + Send + 'static,
{
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let request = Request::put(format!("http://{address}/")).header("host", "h").body(body).unwrap();
    if version == Version::HTTP_2 {
        let (mut send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        send.send_request(request).await
    } else {
        let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        send.send_request(request).await
    }
}

/// A stream that has a length, or has none.
struct Long {
    stream: Stream,
    left: Option<u64>,
    /// The chunk before which it panics.
    panics: Option<usize>,
}

impl Body for Long {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if let Some(chunks) = self.panics.as_mut() {
            assert_ne!(*chunks, 0, "on purpose");
            *chunks -= 1;
        }
        let polled = Pin::new(&mut self.stream).poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(left)) = (&polled, self.left.as_mut()) {
            *left -= frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

async fn ended(ends: &mut mpsc::UnboundedReceiver<Upload>) -> Upload {
    timeout(Duration::from_secs(10), ends.recv()).await.expect("the server waits for ever").unwrap()
}

const KINDS: [(Version, Option<u64>); 4] =
    [(Version::HTTP_11, Some(11)), (Version::HTTP_11, None), (Version::HTTP_2, Some(11)), (Version::HTTP_2, None)];

#[tokio::test]
async fn a_server_sees_a_broken_upload_where_a_later_attempt_took_over() {
    for (version, left) in KINDS {
        // also where nothing is kept in the end
        for cap in [1000, 5] {
            let (address, mut begins, mut ends) = serve(version).await;
            let (feed, stream) = stream();
            let (first, handle) = tee(Long { stream, left, panics: None }, &Caps::new(cap, 1000), true);
            feed.send(chunk("abc")).await.unwrap();
            let old = tokio::spawn(send(address, version, first));
            assert_eq!(begins.recv().await.unwrap(), b"abc");
            let again = axum::body::Body::new(handle.again().unwrap());
            drop(handle);
            assert_eq!(ended(&mut ends).await, (b"abc".into(), false), "{version:?} {left:?}");
            assert!(old.await.unwrap().is_err());
            let new = tokio::spawn(send(address, version, again));
            feed.send(chunk("defghijk")).await.unwrap();
            drop(feed);
            assert_eq!(ended(&mut ends).await, (b"abcdefghijk".into(), true), "{version:?} {left:?}");
            new.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_sees_a_broken_upload_where_the_source_fails_or_panics_or_the_body_is_dropped() {
    for (version, left) in KINDS {
        for (fails, panics) in [(true, None), (false, Some(2)), (false, None)] {
            let (address, mut begins, mut ends) = serve(version).await;
            let (feed, stream) = stream();
            let (first, _handle) = tee(Long { stream, left, panics }, &Caps::default(), true);
            feed.send(chunk("abc")).await.unwrap();
            let call = tokio::spawn(send(address, version, first));
            assert_eq!(begins.recv().await.unwrap(), b"abc");
            if fails {
                feed.send(Err(io::Error::other("disk"))).await.unwrap();
            } else if panics.is_some() {
                // wakes it, and is gone with the source
                _ = feed.send(chunk("def")).await;
                feed.closed().await;
                // hyper resets a stream of HTTP/2 only with its call
                call.abort();
            } else {
                call.abort();
            }
            assert_eq!(ended(&mut ends).await, (b"abc".into(), false), "{version:?} {left:?} {fails} {panics:?}");
        }
    }
}
