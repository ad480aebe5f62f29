//! hyper-util's own client over connections in memory: its connect errors and its reports of connections are real.

use bytes::Bytes;
use http::{Extensions, Request, Uri};
use http_body::Body;
use http_body_util::Empty;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        Client, Error,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tower::Service;

/// Returns the error of a client whose connection was refused, for a request with these `extensions`.
pub(crate) async fn refused(extensions: &Extensions) -> Error {
    send(extensions, |_| None).await.expect_err("the connector refuses")
}

/// Sends a request with these `extensions` over a connection, so that a layer that watches for one sees it.
pub(crate) async fn connected(extensions: &Extensions) {
    send(extensions, |_| Some("HTTP/1.1 204 No Content\r\n\r\n".into())).await.expect("the server in memory answers");
}

async fn send(extensions: &Extensions, answers: fn(&Uri) -> Option<String>) -> Result<(), Error> {
    let mut request = Request::get("http://memory.test/").body(Empty::<Bytes>::new()).expect("a request");
    *request.extensions_mut() = extensions.clone();
    client(answers).request(request).await.map(drop)
}

/// A client whose connections end in memory: `answers` is the response of the server there, and `None` where there is no server.
pub(crate) fn client<B, F>(answers: F) -> Client<Connector<F>, B>
where
    F: Fn(&Uri) -> Option<String> + Clone + Send + Sync + 'static,
    B: Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(Connector { answers })
}

#[derive(Clone)]
pub(crate) struct Connector<F> {
    answers: F,
}

impl<F: Fn(&Uri) -> Option<String>> Service<Uri> for Connector<F> {
    type Response = Wire;
    type Error = io::Error;
    type Future = Ready<io::Result<Wire>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(answer) = (self.answers)(&uri) else { return ready(Err(io::ErrorKind::ConnectionRefused.into())) };
        let (near, far) = duplex(1024);
        tokio::spawn(serve(far, answer));
        ready(Ok(Wire(TokioIo::new(near))))
    }
}

/// Reads the head of one request, and answers.
async fn serve(mut far: DuplexStream, answer: String) {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        match far.read_buf(&mut read).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    _ = far.write_all(answer.as_bytes()).await;
}

pub(crate) struct Wire(TokioIo<DuplexStream>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
