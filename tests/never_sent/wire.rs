//! HTTP/2 frames by hand, and an IO type whose route is lost.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

pub(crate) fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, 0]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Receives a request and answers with a `GOAWAY(NO_ERROR)` that names no stream: nothing of it was processed.
pub(crate) async fn go_away_below(socket: &mut TcpStream) -> io::Result<()> {
    socket.read_exact(&mut [0; 24]).await?;
    socket.write_all(&frame(SETTINGS, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await?;
        let length = u64::from(u32::from_be_bytes([0, head[0], head[1], head[2]]));
        tokio::io::copy(&mut (&mut *socket).take(length), &mut tokio::io::sink()).await?;
        if head[3] == HEADERS {
            socket.write_all(&frame(GOAWAY, 0, &[0; 8])).await?;
        }
    }
}

/// A connection that the kernel gives up, with an error of this kind, once `after` bytes were written to it.
pub(crate) struct Lossy<T> {
    inner: T,
    kind: io::ErrorKind,
    after: usize,
    written: usize,
    reader: Option<Waker>,
}

impl<T> Lossy<T> {
    pub(crate) fn new(inner: T, kind: io::ErrorKind, after: usize) -> Self {
        Self { inner, kind, after, written: 0, reader: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lossy<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.written >= self.after {
            return Poll::Ready(Err(self.kind.into()));
        }
        self.reader = Some(cx.waker().clone());
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Lossy<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(cx, data))?;
        self.written += written;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
