//! A server over a real socket, HTTP/1 or HTTP/2 as the client speaks, with a script and a list of the requests that it executed.

use bytes::Bytes;
use http::Response;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// The reaction of the server to a request that it has read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Respond(u16),
    Redirect(u16, String),
    /// Closes the connection with a reset.
    Reset,
    /// Closes the connection in order.
    Fin,
    /// HTTP/1: half a head, and closes the connection.
    Half,
    /// HTTP/1: bytes that are no response.
    Garbage,
    /// Responds, and closes the connection a moment later.
    RespondAndClose(u16),
    /// HTTP/2: resets the stream.
    Stream(h2::Reason),
    /// HTTP/2: a GOAWAY that names this stream as processed, and closes the connection.
    GoAway(h2::Reason),
}

/// The reaction of the server to a connection, before it reads a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greet {
    Serve,
    /// Closes it at once, with a reset if the client has written already.
    Close,
    /// HTTP/2: a `GOAWAY(NO_ERROR)` that names no stream as processed, after a request was received.
    GoAwayBelow,
}

/// A request that was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Executed {
    pub method: String,
    pub path: String,
    pub key: Option<String>,
}

type Script = dyn Fn(&Executed, usize) -> Act + Send + Sync;

struct Shared {
    script: Box<Script>,
    greet: Mutex<Vec<Greet>>,
    executed: Mutex<Vec<Executed>>,
    /// Requests whose stream was refused: they were not executed.
    refused: AtomicUsize,
    connections: AtomicUsize,
}

#[derive(Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// `script`: what to do with a request, by the number of requests before it.
    pub(crate) async fn start(script: impl Fn(&Executed, usize) -> Act + Send + Sync + 'static) -> Self {
        Self::greeting(vec![], script).await
    }

    /// Greets the first connections in the order of `greet`.
    pub(crate) async fn greeting(
        mut greet: Vec<Greet>,
        script: impl Fn(&Executed, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        greet.reverse();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            greet: Mutex::new(greet),
            executed: Mutex::default(),
            refused: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let server = Self { address: listener.local_addr().unwrap(), shared };
        let clone = server.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                tokio::spawn(clone.clone().connection(socket));
            }
        });
        server
    }

    /// Every request gets this.
    pub(crate) async fn always(act: Act) -> Self {
        Self::start(move |_, _| act.clone()).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    pub(crate) fn executed(&self) -> Vec<Executed> {
        self.shared.executed.lock().unwrap().clone()
    }

    /// How often a POST was executed, on this path.
    pub(crate) fn posts(&self, path: &str) -> usize {
        self.executed().iter().filter(|executed| executed.method == "POST" && executed.path == path).count()
    }

    /// The distinct keys of the POSTs that were executed.
    pub(crate) fn keys(&self) -> std::collections::BTreeSet<Option<String>> {
        self.executed().into_iter().filter(|executed| executed.method == "POST").map(|executed| executed.key).collect()
    }

    fn act(&self, executed: Executed) -> Act {
        let mut all = self.shared.executed.lock().unwrap();
        let refused = &self.shared.refused;
        let act = (self.shared.script)(&executed, all.len() + refused.load(SeqCst));
        if act == Act::Stream(h2::Reason::REFUSED_STREAM) {
            refused.fetch_add(1, SeqCst);
        } else {
            all.push(executed);
        }
        act
    }

    async fn connection(self, mut socket: TcpStream) {
        self.shared.connections.fetch_add(1, SeqCst);
        let greet = self.shared.greet.lock().unwrap().pop().unwrap_or(Greet::Serve);
        if greet == Greet::Close {
            return;
        }
        let mut first = [0; 4];
        if socket.peek(&mut first).await.unwrap_or(0) == 0 {
            return;
        }
        // errors end a connection, as the script wants it
        if first.starts_with(b"PRI") {
            if greet == Greet::GoAwayBelow {
                let _ = crate::wire::go_away_below(&mut socket).await;
            } else {
                let _ = self.http2(socket).await;
            }
        } else {
            let _ = self.http1(&mut socket).await;
        }
    }

    async fn http1(&self, socket: &mut TcpStream) -> io::Result<()> {
        loop {
            let Some(request) = read_http1(socket).await? else { return Ok(()) };
            match self.act(request) {
                Act::Respond(status) => write_http1(socket, status, "").await?,
                Act::Redirect(status, to) => write_http1(socket, status, &format!("location: {to}\r\n")).await?,
                Act::RespondAndClose(status) => {
                    write_http1(socket, status, "").await?;
                    return Ok(());
                }
                Act::Reset | Act::Stream(_) | Act::GoAway(_) => return socket.set_zero_linger(),
                Act::Fin => return socket.shutdown().await,
                Act::Half => return socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await,
                Act::Garbage => return socket.write_all(b"\x15\x03\x01 garbage\r\n\r\n").await,
            }
        }
    }

    async fn http2(&self, socket: TcpStream) -> Result<(), h2::Error> {
        let raw = std::os::fd::AsFd::as_fd(&socket).try_clone_to_owned().unwrap();
        let mut connection = h2::server::handshake(socket).await?;
        while let Some(request) = connection.accept().await {
            let (request, mut respond) = request?;
            let executed = Executed {
                method: request.method().to_string(),
                path: request.uri().path().to_owned(),
                key: request.headers().get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()),
            };
            let mut body = request.into_body();
            if !body.is_end_stream() {
                // the connection is polled, or nothing arrives
                let whole = async { while let Some(Ok(_)) = body.data().await {} };
                tokio::select! { biased; () = whole => {} _ = std::future::poll_fn(|cx| connection.poll_closed(cx)) => {} }
            }
            let response = |status: u16| Response::builder().status(status);
            match self.act(executed) {
                Act::Respond(status) => {
                    let mut response = response(status);
                    if status == 200 {
                        response = response.header("grpc-status", "0").header("content-type", "application/grpc");
                    }
                    respond.send_response(response.body(()).unwrap(), true)?;
                }
                Act::Redirect(status, to) => {
                    let mut stream =
                        respond.send_response(response(status).header("location", to).body(()).unwrap(), false)?;
                    stream.send_data(Bytes::new(), true)?;
                }
                Act::RespondAndClose(status) => {
                    respond.send_response(response(status).body(()).unwrap(), true)?;
                    connection.graceful_shutdown();
                }
                Act::Reset => {
                    let socket = std::net::TcpStream::from(raw);
                    socket2_reset(&socket);
                    drop(connection);
                    return Ok(());
                }
                Act::Fin | Act::Half | Act::Garbage => return Ok(()),
                Act::Stream(reason) => respond.send_reset(reason),
                Act::GoAway(reason) => connection.abrupt_shutdown(reason),
            }
        }
        Ok(())
    }
}

/// The next close of the socket is a reset.
fn socket2_reset(socket: &std::net::TcpStream) {
    let socket = socket.try_clone().unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = TcpStream::from_std(socket).unwrap();
    socket.set_zero_linger().unwrap();
}

async fn read_http1(socket: &mut TcpStream) -> io::Result<Option<Executed>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if socket.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap());
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    if header("transfer-encoding").is_some() {
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            if socket.read_buf(&mut body).await? == 0 {
                return Ok(None); // the body broke off: such a request is not executed
            }
        }
    }
    let path = target.parse::<http::Uri>().unwrap().path().to_owned();
    Ok(Some(Executed { method, path, key: header("idempotency-key") }))
}

async fn write_http1(socket: &mut TcpStream, status: u16, headers: &str) -> io::Result<()> {
    socket.write_all(format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n").as_bytes()).await
}

/// An address where nothing listens.
pub(crate) fn closed() -> SocketAddr {
    // bound and never listening; kept for ever, so that no server beside it gets the port
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}

/// Runs a case, which takes long only if it hangs.
pub(crate) async fn in_time<T>(case: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), case).await.expect("the case hangs")
}

/// An address whose listener takes no more connections: a connect waits for ever. It listens until the second value is dropped.
pub(crate) async fn full() -> (SocketAddr, impl Sized) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        queued.push(connected.unwrap());
    }
    (address, (listener, queued))
}
