//! A receiver of webhooks over sockets, with senders of every kind.
use super::queue;
use crate::subject::{Call, Subject};
use axum::Router;
use std::{convert::Infallible, io, net::SocketAddr, time::Duration};
use steadfast::{
    error::BoxError,
    queue::{Message, Queue, Worker},
    store::memory::MemoryStore,
    webhook::{GitHub, Secret, VerifyLayer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tower::{Layer, service_fn};

const KINDS: u64 = 20;
const SECOND: Duration = Duration::from_secs(1);
/// A sender that has stopped sending leaves after this long, if the receiver does not end its connection before.
const STALLED: Duration = Duration::from_secs(15);

#[derive(Clone)]
struct Sender {
    to: SocketAddr,
    github: GitHub,
}

impl Sender {
    fn request(&self, n: u64, forged: bool) -> (String, String) {
        let body = format!("{{\"delivery\":{n},\"padding\":\"{}\"}}", "x".repeat(400));
        let signed = self.github.sign(if forged { b"another body" } else { body.as_bytes() });
        let signature = signed.to_str().unwrap_or_default();
        let head = format!(
            "POST /hook HTTP/1.1\r\nhost: soak\r\nx-github-event: push\r\nx-github-delivery: soak-{n}\r\n\
             x-hub-signature-256: {signature}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        (head, body)
    }

    async fn call(self, call: Call) -> io::Result<bool> {
        let (head, body) = self.request(call.n, call.kind(KINDS) == 1);
        let mut stream = TcpStream::connect(self.to).await?;
        stream.set_nodelay(true)?;
        match call.kind(KINDS) {
            // leaves in the middle of its body
            2 => {
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body.as_bytes()[..50]).await?;
                return Ok(true);
            }
            // one byte at a time
            3 => {
                stream.write_all(head.as_bytes()).await?;
                for byte in body.as_bytes().chunks(1) {
                    stream.write_all(byte).await?;
                    sleep(Duration::from_millis(2)).await;
                }
            }
            // one byte, and then nothing
            4 if call.n % (5 * KINDS) == 4 => {
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body.as_bytes()[..1]).await?;
                let mut read = Vec::new();
                return Ok(timeout(STALLED, stream.read_to_end(&mut read)).await.is_ok());
            }
            // does not wait for the response
            5 => {
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(body.as_bytes()).await?;
                return Ok(true);
            }
            6 => {
                stream.write_all(head.as_bytes()).await?;
                sleep(Duration::from_millis(fastrand::u64(50..1_000))).await;
                stream.write_all(body.as_bytes()).await?;
            }
            // the head alone
            7 => return stream.write_all(head.as_bytes()).await.map(|()| true),
            _ => {
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(body.as_bytes()).await?;
            }
        }
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await?;
        Ok(response.starts_with(b"HTTP/1.1 202"))
    }
}

pub(super) async fn start(_: Duration) -> Result<Subject, BoxError> {
    let queue = Queue::new("soak", MemoryStore::new());
    let github = GitHub::new(Secret::new("soak")?);
    let accept = queue.accept().with_dedupe_for(2 * SECOND);
    let app = Router::new().route_service("/hook", VerifyLayer::new(github.clone()).layer(accept));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let to = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    let service = service_fn(|_: Message| async { Ok::<_, Infallible>(()) });
    let worker = Worker::new(queue.clone(), service).with_keep_done(2 * SECOND);
    tokio::spawn(worker.run(std::future::pending()));
    let sender = Sender { to, github };
    let rows = queue::rows(queue);
    let subject = Subject::new(400, move |call| {
        let sender = sender.clone();
        async move { sender.call(call).await.unwrap_or(false) }
    });
    // A worker sweeps once a minute: a warm-up under load would still be there at the start, and calm calls stay for as long.
    Ok(subject.with_rows(rows).with_calm_warm_up().with_calm_rate(2).with_settling(5, 90))
}
