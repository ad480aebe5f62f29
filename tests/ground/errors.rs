//! Every row of the table of errors, with the errors that the other crates really make.

use crate::{
    error::Around,
    lost::Lost,
    table::{outcome, rows},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full, StreamBody};
use hyper::client::conn::http1;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{collections::BTreeSet, convert::Infallible, error::Error, future::pending, io, time::Duration};
use steadfast::{
    classify::{Classify, Evidence, Failure, Http, Outcome, of_error},
    error::{BoxError, Refused},
    timeout::{Elapsed, Limit},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    net::{TcpListener, TcpSocket},
};
use tower::{Service, ServiceExt, service_fn};

/// An error as a layer meets it, boxed; and judged by its own type, where it is one.
struct Made {
    error: BoxError,
    typed: Outcome,
}

fn made<E: Error + Send + Sync + 'static>(error: E) -> Made {
    Made { typed: of_error(&error).outcome(), error: error.into() }
}

fn boxed(error: BoxError) -> Made {
    Made { typed: of_error(&error).outcome(), error }
}

/// The row's outcome: by its own type, boxed, inside of another error and inside of an `io::Error`.
#[track_caller]
fn assert_judged(row: &str, made: Made, expected: Outcome) {
    let Made { error, typed } = made;
    let shown = format!("{row}: {error:?}");
    assert_eq!(typed, expected, "by its type: {shown}");
    assert_eq!(of_error(&error).outcome(), expected, "boxed: {shown}");
    let error: BoxError = Around(error).into();
    assert_eq!(of_error(&error).outcome(), expected, "in a chain: {shown}");
    let verdict =
        Classify::<Request<()>, Response<Full<Bytes>>, BoxError>::error(&Http::new(), &error, Evidence::none());
    assert_eq!(verdict.outcome(), expected, "by `Http`: {shown}");
}

fn kinds(kinds: &[io::ErrorKind]) -> Vec<Made> {
    kinds.iter().map(|kind| made(io::Error::from(*kind))).collect()
}

#[tokio::test(start_paused = true)]
async fn every_error_is_what_the_table_says() {
    use io::ErrorKind as K;
    let mut real: Vec<(&str, Vec<Made>)> = vec![
        ("[`Refused`](crate::error::Refused)", vec![made(Refused::new("x", "full"))]),
        ("[`Elapsed`](crate::timeout::Elapsed), `tokio::time::error::Elapsed`", elapsed().await),
        (
            "`std::io::Error`: `ConnectionRefused`, `HostUnreachable`, `NetworkUnreachable`, `AddrNotAvailable`",
            kinds(&[K::ConnectionRefused, K::HostUnreachable, K::NetworkUnreachable, K::AddrNotAvailable]),
        ),
        (
            "`std::io::Error`: `ConnectionReset`, `ConnectionAborted`, `NotConnected`, `BrokenPipe`, `UnexpectedEof`",
            kinds(&[K::ConnectionReset, K::ConnectionAborted, K::NotConnected, K::BrokenPipe, K::UnexpectedEof]),
        ),
        ("`std::io::Error`: `TimedOut`", kinds(&[K::TimedOut])),
        ("hyper-util's legacy client, while connecting", vec![legacy_connect().await]),
        ("`hyper::Error`: canceled, with the request handed back", vec![hyper_canceled().await]),
        ("`hyper::Error`: timeout", vec![hyper_timeout().await]),
        ("`hyper::Error`: the caller's own body", vec![hyper_own_body().await]),
        ("`hyper::Error`: parse", vec![hyper_answered("garbage\r\n\r\n").await]),
        (
            "`hyper::Error`: any other",
            vec![
                hyper_answered("HTTP/1.1 200 OK\r\ncontent-le").await,
                hyper_closed().await,
                hyper_upgrade().await,
                hyper_route_lost().await,
            ],
        ),
        (
            "`h2::Error`: `REFUSED_STREAM`, a remote GOAWAY with `NO_ERROR`",
            vec![h2_reset(h2::Reason::REFUSED_STREAM).await, h2_go_away(h2::Reason::NO_ERROR).await],
        ),
        (
            "`h2::Error`: any other",
            vec![h2_reset(h2::Reason::INTERNAL_ERROR).await, h2_go_away(h2::Reason::ENHANCE_YOUR_CALM).await],
        ),
        ("`reqwest::Error`: connect", vec![reqwest_connect().await]),
        ("`reqwest::Error`: status (`error_for_status`)", vec![]),
        ("`tonic::ConnectError`", vec![tonic_connect()]),
        ("`reqwest::Error`: builder, redirect", reqwest_unsendable().await),
        ("`reqwest::Error`: timeout", vec![reqwest_timeout().await]),
        ("`reqwest::Error`: body, decode", reqwest_broken().await),
        ("`tower::timeout`", vec![tower_timeout().await]),
        ("`tower::load_shed`", vec![tower_load_shed().await]),
        ("`tower::buffer`: closed", vec![tower_buffer().await]),
        ("any other", vec![boxed("who knows".into()), made(std::fmt::Error)]),
    ];
    let table = rows("Errors");
    for row in &table {
        let Some(at) = real.iter().position(|(name, _)| *name == row[0]) else {
            assert_eq!(row[0], "`tonic::Status`", "no test makes such an error");
            continue;
        };
        let (name, errors) = real.swap_remove(at);
        if row[1] == "as the status" {
            continue;
        }
        assert!(!errors.is_empty());
        for error in errors {
            assert_judged(name, error, outcome(row[1]));
        }
    }
    assert!(
        real.is_empty(),
        "the table has no row for {:?}",
        real.iter().map(|(name, _)| name).collect::<BTreeSet<_>>()
    );
}

#[test]
fn a_tonic_status_is_what_its_code_says() {
    for row in rows("gRPC status") {
        let code = tonic::Code::from(row[0].parse::<i32>().unwrap());
        assert_judged(row[1], made(tonic::Status::new(code, "x")), outcome(row[2]));
    }
}

#[test]
fn what_says_that_nothing_was_sent_goes_first() {
    // tonic's channel: UNAVAILABLE outside, a refused connection inside
    let mut status = tonic::Status::unavailable("tcp connect error");
    status.set_source(std::sync::Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
    assert_judged("status", made(status), Outcome::Failure(Failure::NotSent));
    let reset: BoxError = Around(io::Error::from(io::ErrorKind::ConnectionReset).into()).into();
    assert_judged("reset", boxed(reset), Outcome::Failure(Failure::Transient));
}

#[tokio::test]
async fn a_refused_connection_was_not_sent_in_any_client_that_follows_no_redirects() {
    let port = closed_port();
    let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap_err();
    assert_judged("tokio", made(tcp), Outcome::Failure(Failure::NotSent));
    let hyper = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let error = hyper.get(format!("http://127.0.0.1:{port}").parse().unwrap()).await.unwrap_err();
    assert_judged("hyper-util", made(error), Outcome::Failure(Failure::NotSent));
    // it follows redirects, so this may have been another hop's
    assert_judged("reqwest", reqwest_connect().await, Outcome::Failure(Failure::Transient));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    assert_judged("tonic", made(channel.connect().await.unwrap_err()), Outcome::Failure(Failure::NotSent));
    let mut lazy = channel.connect_lazy();
    let error = lazy.ready().await.unwrap().call(Request::new(tonic::body::Body::empty())).await.unwrap_err();
    assert_judged("tonic's channel", made(error), Outcome::Failure(Failure::NotSent));
}

/// Closed before a byte came back: with a reset, or with an end. What it did is unknown.
#[tokio::test]
async fn a_connection_that_breaks_under_a_request_is_transient() {
    for reset in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut socket, _) = listener.accept().await.unwrap();
                // the request is read, so that the end is a FIN and not a reset
                let read = socket.read(&mut [0; 4096]).await.unwrap();
                assert!(read > 0);
                if reset {
                    socket.set_zero_linger().unwrap();
                }
            }
        });
        let hyper = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let error = hyper.get(url.parse().unwrap()).await.unwrap_err();
        assert_judged("hyper-util", made(error), Outcome::Failure(Failure::Transient));
        let error = reqwest::get(url).await.unwrap_err();
        assert_judged("reqwest", made(error), Outcome::Failure(Failure::Transient));
        server.await.unwrap();
    }
}

async fn elapsed() -> Vec<Made> {
    let tokio = tokio::time::timeout(Duration::from_millis(1), pending::<()>()).await.unwrap_err();
    vec![made(Elapsed::new(Limit::Attempt, 1)), made(Elapsed::new(Limit::Total, 0)), made(tokio)]
}

fn closed_port() -> u16 {
    // bound and never listening; kept for ever, so that no server beside it gets the port
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    std::mem::forget(socket);
    port
}

// ---- hyper ----

/// The connector fails with an error that nobody knows: that it was the connector is all that there is to go by.
async fn legacy_connect() -> Made {
    let failing = legacy::connect::HttpConnector::new_with_resolver(service_fn(|_| async {
        Err::<std::vec::IntoIter<std::net::SocketAddr>, _>(io::Error::other("no such name"))
    }));
    let client = legacy::Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(failing);
    made(client.get("http://nowhere.example".parse().unwrap()).await.unwrap_err())
}

fn get() -> Request<Empty<Bytes>> {
    Request::builder().uri("/").header("host", "x").body(Empty::new()).unwrap()
}

async fn hyper_canceled() -> Made {
    let (client, _server) = duplex(1024);
    let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.unwrap();
    let waiting = sender.send_request(get());
    drop(connection);
    let error = waiting.await.unwrap_err();
    assert!(error.is_canceled());
    made(error)
}

async fn hyper_closed() -> Made {
    let (client, _server) = duplex(1024);
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(client)).await.unwrap();
    drop(connection);
    let error = sender.ready().await.unwrap_err();
    assert!(error.is_closed());
    made(error)
}

/// Canceled too, but no request that hyper hands back: an upgrade whose connection ended.
async fn hyper_upgrade() -> Made {
    let (mut client, server) = duplex(1024);
    let (sender, mut upgrades) = tokio::sync::mpsc::unbounded_channel();
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        sender.send(hyper::upgrade::on(request)).unwrap();
        pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let serve = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let serve = tokio::spawn(serve.with_upgrades());
    client.write_all(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await.unwrap();
    let upgrade = upgrades.recv().await.unwrap();
    serve.abort();
    let error = upgrade.await.unwrap_err();
    assert!(error.is_canceled(), "{error:?}");
    made(error)
}

/// The kernel reports a lost route on an established connection: the request was on the wire by then.
async fn hyper_route_lost() -> Made {
    let io = Lost::after_write(io::ErrorKind::HostUnreachable);
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    made(sender.send_request(get()).await.unwrap_err())
}

fn tonic_connect() -> Made {
    made(tonic::ConnectError("no such name".into()))
}

async fn hyper_timeout() -> Made {
    let (_client, server) = duplex(1024);
    let never = hyper::service::service_fn(|_| pending::<Result<Response<Empty<Bytes>>, Infallible>>());
    let serve = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(1))
        .serve_connection(TokioIo::new(server), never);
    let error = serve.await.unwrap_err();
    assert!(error.is_timeout());
    made(error)
}

async fn hyper_own_body() -> Made {
    let (client, _server) = duplex(1024);
    let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    let broken = StreamBody::new(tokio_stream::once(Err::<http_body::Frame<Bytes>, _>(io::Error::other("file gone"))));
    let error = sender.send_request(Request::post("/").header("host", "x").body(broken).unwrap()).await.unwrap_err();
    assert!(error.is_user());
    made(error)
}

/// The error for a server that answers `raw` and hangs up.
async fn hyper_answered(raw: &'static str) -> Made {
    let (client, mut server) = duplex(1024);
    let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    tokio::spawn(async move {
        let read = server.read(&mut [0; 1024]).await?;
        server.write_all(raw.as_bytes()).await?;
        Ok::<_, io::Error>(read)
    });
    made(sender.send_request(get()).await.unwrap_err())
}

// ---- h2 ----

/// The error of a request over a connection whose server reads it and then sends the frame `answer`.
async fn h2_answered(answer: Vec<u8>) -> Made {
    const HEADERS: u8 = 1;
    let (client, mut server) = duplex(16 << 10);
    tokio::spawn(async move {
        server.read_exact(&mut [0; 24]).await?;
        server.write_all(&frame(4, 0, &[])).await?;
        loop {
            let mut head = [0; 9];
            server.read_exact(&mut head).await?;
            let length = u64::from(u32::from_be_bytes([0, head[0], head[1], head[2]]));
            tokio::io::copy(&mut (&mut server).take(length), &mut tokio::io::sink()).await?;
            if head[3] == HEADERS {
                server.write_all(&answer).await?;
            }
        }
        #[allow(unreachable_code, reason = "says what the loop fails with")]
        Ok::<_, io::Error>(())
    });
    let (sender, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let (answer, _) = sender.send_request(Request::get("http://x/").body(()).unwrap(), true).unwrap();
    made(answer.await.unwrap_err())
}

/// RFC 9113, 4.1.
fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, 0][..], &stream.to_be_bytes(), payload].concat()
}

async fn h2_reset(reason: h2::Reason) -> Made {
    h2_answered(frame(3, 1, &u32::from(reason).to_be_bytes())).await
}

/// The last stream that it names is before ours: nothing was processed.
async fn h2_go_away(reason: h2::Reason) -> Made {
    h2_answered(frame(7, 0, &[[0; 4], u32::from(reason).to_be_bytes()].concat())).await
}

// ---- reqwest ----

async fn reqwest_connect() -> Made {
    let error = reqwest::get(format!("http://127.0.0.1:{}", closed_port())).await.unwrap_err();
    assert!(error.is_connect());
    made(error)
}

/// A server that answers each connection with `raw` once it was asked.
async fn answering(raw: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let raw = raw.clone();
            tokio::spawn(async move {
                let read = socket.read(&mut [0; 4096]).await?;
                socket.write_all(raw.as_bytes()).await?;
                Ok::<_, io::Error>(read)
            });
        }
    });
    url
}

async fn reqwest_unsendable() -> Vec<Made> {
    let builder = reqwest::Client::new().get("http://").send().await.unwrap_err();
    assert!(builder.is_builder());
    let url =
        answering("HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into())
            .await;
    let redirect = reqwest::get(url).await.unwrap_err();
    assert!(redirect.is_redirect());
    vec![made(builder), made(redirect)]
}

async fn reqwest_timeout() -> Made {
    // accepted by the kernel, answered by nobody
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let error = reqwest::Client::new().get(url).timeout(Duration::from_millis(50)).send().await.unwrap_err();
    assert!(error.is_timeout() && !error.is_connect(), "{error:?}");
    made(error)
}

async fn reqwest_broken() -> Vec<Made> {
    let url = answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nonly".into()).await;
    let broken = reqwest::get(&url).await.unwrap().bytes().await.unwrap_err();
    assert!(broken.is_body() || broken.is_decode());
    let whole = answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n{".into()).await;
    let decode = reqwest::get(whole).await.unwrap().json::<u32>().await.unwrap_err();
    assert!(decode.is_decode());
    vec![made(broken), made(decode)]
}

// ---- tower ----

async fn tower_timeout() -> Made {
    let hangs = service_fn(|()| pending::<Result<(), Infallible>>());
    let service = tower::timeout::Timeout::new(hangs, Duration::from_millis(1));
    boxed(service.oneshot(()).await.unwrap_err())
}

async fn tower_load_shed() -> Made {
    let limited = tower::limit::ConcurrencyLimit::new(service_fn(|()| pending::<Result<(), Infallible>>()), 1);
    let mut busy = limited.clone();
    let _held = busy.ready().await.unwrap().call(());
    let mut shed = tower::load_shed::LoadShed::new(limited);
    boxed(shed.ready().await.unwrap().call(()).await.unwrap_err())
}

async fn tower_buffer() -> Made {
    let (mut buffer, worker) =
        tower::buffer::Buffer::<(), _>::pair(service_fn(|()| async { Ok::<_, BoxError>(()) }), 1);
    drop(worker);
    boxed(buffer.ready().await.map(|_| ()).unwrap_err())
}
