//! Keep-alive connections, each with one request at a time, that look only for what they need.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use steadfast::error::BoxError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

#[derive(Clone, Copy)]
pub(crate) enum Keys {
    /// Each request has its own.
    New,
    /// All of a connection have one, which is done.
    Same,
}

#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: u64,
    pub(crate) lasts: Duration,
}

/// No key comes twice in a run of the program but where it is meant to.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Load {
    /// Requests a second.
    pub(crate) async fn rate(&self, address: SocketAddr, keys: Keys) -> Result<f64, BoxError> {
        let since = Instant::now();
        Ok(self.run(address, keys).await? as f64 / since.elapsed().as_secs_f64())
    }

    /// How many requests were answered.
    pub(crate) async fn run(&self, address: SocketAddr, keys: Keys) -> Result<u64, BoxError> {
        let done = Arc::new(AtomicU64::new(0));
        let until = Instant::now() + self.lasts;
        let mut connections = JoinSet::new();
        for _ in 0..self.connections {
            let done = done.clone();
            connections.spawn(async move {
                let mut connection = Connection::open(address).await?;
                let same = NEXT.fetch_add(1, Ordering::Relaxed);
                while Instant::now() < until {
                    let key = match keys {
                        Keys::New => NEXT.fetch_add(1, Ordering::Relaxed),
                        Keys::Same => same,
                    };
                    connection.charge(key).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, BoxError>(())
            });
        }
        while let Some(ended) = connections.join_next().await {
            ended??;
        }
        Ok(done.load(Ordering::Relaxed))
    }
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

const BODY: &str = r#"{"amount":4711,"currency":"EUR","to":"a7"}"#;

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self, BoxError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(1024) })
    }

    async fn charge(&mut self, key: u64) -> Result<(), BoxError> {
        let len = BODY.len();
        let request = format!(
            "POST /charge HTTP/1.1\r\nhost: api.example.com\r\ncontent-type: application/json\r\n\
             idempotency-key: {key:032x}\r\ncontent-length: {len}\r\n\r\n{BODY}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the server hung up".into());
            }
            // a small answer that ends with its object: the server sends a length, and nothing after it
            if self.read.ends_with(b"}") {
                break;
            }
        }
        if !self.read.starts_with(b"HTTP/1.1 201") {
            return Err(String::from_utf8_lossy(&self.read).into());
        }
        Ok(())
    }
}
