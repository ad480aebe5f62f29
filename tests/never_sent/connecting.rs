//! One hop: what each failure proves, over each client.

use crate::{
    clients::{Ended, Kind, Layers, Redirects, legacy, post, request, reqwest, retry, through},
    server::{Act, Greet, Server, closed, full, in_time},
    wire::Lossy,
};
use h2::Reason;
use hyper_util::{
    client::legacy::{self as pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    classify::{Failure, MaybeExecuted, Outcome, of_error},
    error::find,
};
use tower::{Layer, ServiceExt, service_fn};

const LAYERS: [Layers; 3] = [Layers::Bare, Layers::Stack, Layers::OneHop];

/// Whether the error that came out claims that nothing was sent.
pub(crate) fn claims_not_sent(ended: &Ended) -> bool {
    let claim = |error| matches!(of_error(error).outcome(), Outcome::Refused | Outcome::Failure(Failure::NotSent));
    ended.result.as_ref().is_err_and(claim)
}

/// Every client that connects by itself, with every layer.
fn connecting() -> impl Iterator<Item = (Kind, Layers)> {
    let kinds = Kind::ALL.into_iter().filter(|kind| !kind.is_one_connection());
    kinds.flat_map(|kind| LAYERS.map(|layers| (kind, layers)))
}

fn all() -> impl Iterator<Item = (Kind, Layers)> {
    Kind::ALL.into_iter().flat_map(|kind| LAYERS.map(|layers| (kind, layers)))
}

/// reqwest follows redirects, and its errors do not show at which hop it failed; so its owner has to state that it follows none.
fn proves_connect(kind: Kind, layers: Layers) -> bool {
    !matches!(kind, Kind::Reqwest1 | Kind::Reqwest2) || layers == Layers::OneHop
}

#[tokio::test]
async fn a_post_is_repeated_once_after_a_refused_connect_that_has_proof() {
    for (kind, layers) in connecting() {
        let case = format!("{kind:?} {layers:?}");
        let ended = in_time(post(kind, layers, Redirects::None, closed(), "/pay", None)).await;
        let expected = if proves_connect(kind, layers) { 2 } else { 1 };
        assert_eq!(ended.attempts, expected, "{case}: {:?}", ended.result);
        assert!(find::<MaybeExecuted>(&**ended.result.as_ref().unwrap_err()).is_none(), "{case}");
    }
}

#[tokio::test]
async fn a_post_with_a_key_is_repeated_after_a_refused_connect() {
    for (kind, layers) in connecting() {
        let ended = in_time(post(kind, layers, Redirects::None, closed(), "/pay", Some("k"))).await;
        assert_eq!(ended.attempts, 3, "{kind:?} {layers:?}: {:?}", ended.result);
    }
}

/// Errors of a connector, of every cause: names, routes, time, proxies, TLS.
#[tokio::test]
async fn a_connector_that_fails_proves_that_a_post_was_never_sent() {
    let kinds = [
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::AddrNotAvailable,
        io::ErrorKind::TimedOut,
        io::ErrorKind::Other,
        io::ErrorKind::ConnectionReset,
    ];
    for kind in kinds {
        for layers in LAYERS {
            let connects = Arc::new(AtomicUsize::new(0));
            let counted = connects.clone();
            let connector = service_fn(move |_: http::Uri| {
                counted.fetch_add(1, SeqCst);
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    Err::<TokioIo<tokio::net::TcpStream>, _>(io::Error::from(kind))
                })
            });
            let client = pool::Client::builder(TokioExecutor::new()).build::<_, crate::clients::Body>(connector);
            let ended = through!(client, layers, request("http://nowhere.example/pay", None));
            assert_eq!((ended.attempts, connects.load(SeqCst)), (2, 2), "{kind:?} {layers:?}: {:?}", ended.result);
        }
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_proves_that_a_post_was_never_sent() {
    #[derive(Clone)]
    struct NoNames(Arc<AtomicUsize>);
    impl ::reqwest::dns::Resolve for NoNames {
        fn resolve(&self, _: ::reqwest::dns::Name) -> ::reqwest::dns::Resolving {
            self.0.fetch_add(1, SeqCst);
            Box::pin(async { Err(io::Error::other("no such name").into()) })
        }
    }
    for layers in LAYERS {
        let resolver = service_fn(|_| async {
            Err::<std::vec::IntoIter<std::net::SocketAddr>, _>(io::Error::other("no such name"))
        });
        let client = pool::Client::builder(TokioExecutor::new())
            .build::<_, crate::clients::Body>(HttpConnector::new_with_resolver(resolver));
        let ended = through!(client, layers, request("http://nowhere.example/pay", None));
        assert_eq!(ended.attempts, 2, "{layers:?}");

        let names = NoNames(Arc::default());
        let client = ::reqwest::Client::builder().dns_resolver(Arc::new(names.clone())).build().unwrap();
        let ended = crate::clients::over_reqwest(client, layers, "http://nowhere.example/pay", None).await;
        let expected = if layers == Layers::OneHop { 2 } else { 1 };
        assert_eq!((ended.attempts as usize, names.0.load(SeqCst)), (expected, expected), "{layers:?}");
    }
}

#[tokio::test]
async fn a_connect_timeout_proves_that_a_post_was_never_sent() {
    let (address, _full) = full().await;
    let (url, after) = (format!("http://{address}/pay"), Duration::from_millis(50));
    for layers in LAYERS {
        let client = ::reqwest::Client::builder().connect_timeout(after).build().unwrap();
        let ended = in_time(crate::clients::over_reqwest(client, layers, &url, None)).await;
        let expected = if layers == Layers::OneHop { 2 } else { 1 };
        assert_eq!(ended.attempts, expected, "{layers:?}: {:?}", ended.result);

        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(after));
        let client = pool::Client::builder(TokioExecutor::new()).build::<_, crate::clients::Body>(connector);
        let ended = in_time(async { through!(client, layers, request(&url, None)) }).await;
        assert_eq!(ended.attempts, 2, "{layers:?}: {:?}", ended.result);
    }
}

/// The act, whether it can be seen over HTTP/1 and HTTP/2, and how often it lets a POST be executed that one hop is stated for.
fn acts() -> Vec<(Act, bool, bool)> {
    vec![
        (Act::Reset, true, true),
        (Act::Fin, true, true),
        (Act::Half, true, false),
        (Act::Garbage, true, false),
        (Act::Stream(Reason::CANCEL), false, true),
        (Act::Stream(Reason::INTERNAL_ERROR), false, true),
        (Act::Stream(Reason::HTTP_1_1_REQUIRED), false, true),
        (Act::GoAway(Reason::NO_ERROR), false, true),
        (Act::GoAway(Reason::ENHANCE_YOUR_CALM), false, true),
        (Act::GoAway(Reason::REFUSED_STREAM), false, true),
        (Act::Respond(503), true, true),
        (Act::Respond(500), true, true),
        (Act::RespondAndClose(503), true, true),
    ]
}

#[tokio::test]
async fn a_post_that_the_server_has_read_is_executed_once() {
    for (kind, layers) in all() {
        for (act, http1, http2) in acts() {
            if !(if kind.is_http2() { http2 } else { http1 }) {
                continue;
            }
            let case = format!("{kind:?} {layers:?} {act:?}");
            let server = Server::always(act).await;
            let ended = in_time(post(kind, layers, Redirects::None, server.address(), "/pay", None)).await;
            assert_eq!((ended.attempts, server.posts("/pay")), (1, 1), "{case}: {:?}", ended.result);
            assert!(!claims_not_sent(&ended), "{case}: {:?}", ended.result);
        }
    }
}

#[tokio::test]
async fn all_executions_of_a_post_with_a_key_carry_the_key() {
    for (kind, layers) in all() {
        for (act, http1, http2) in acts() {
            if !(if kind.is_http2() { http2 } else { http1 }) || act == Act::Respond(500) {
                continue;
            }
            let case = format!("{kind:?} {layers:?} {act:?}");
            let script = act.clone();
            let server = Server::start(move |_, n| if n == 0 { script.clone() } else { Act::Respond(200) }).await;
            let ended = in_time(post(kind, layers, Redirects::None, server.address(), "/pay", Some("k"))).await;
            assert_eq!(server.keys().into_iter().collect::<Vec<_>>(), [Some("k".to_owned())], "{case}");
            // one connection that is gone stays gone; garbage is a fault, which is not repeated by default
            let ends =
                (kind.is_one_connection() && !matches!(act, Act::Respond(_) | Act::Stream(_))) || act == Act::Garbage;
            if !ends {
                assert_eq!((ended.result.as_ref().ok(), server.posts("/pay")), (Some(&200), 2), "{case}: {ended:?}");
            } else if ended.attempts > 1 {
                assert!(!claims_not_sent(&ended) || !boxes(layers), "{case}: {ended:?}");
            }
        }
    }
}

/// Whether the error type of the retry layer's inner service can hold another error.
const fn boxes(layers: Layers) -> bool {
    matches!(layers, Layers::Stack)
}

/// reqwest repeats by itself a request that the server has not processed (`src/retry.rs` of reqwest 0.13.5).
fn is_repeated(kind: Kind, layers: Layers) -> bool {
    kind != Kind::Reqwest2 && (layers == Layers::OneHop || kind == Kind::Tonic)
}

#[tokio::test]
async fn a_refused_stream_lets_a_post_be_repeated_where_there_is_one_hop() {
    for (kind, layers) in all().filter(|(kind, _)| kind.is_http2()) {
        let server = Server::start(|_, n| match n {
            0 => Act::Stream(Reason::REFUSED_STREAM),
            _ => Act::Respond(200),
        });
        let server = server.await;
        let ended = in_time(post(kind, layers, Redirects::None, server.address(), "/pay", None)).await;
        let case = format!("{kind:?} {layers:?}: {ended:?}");
        assert_eq!(ended.attempts, if is_repeated(kind, layers) { 2 } else { 1 }, "{case}");
        assert_eq!(server.posts("/pay"), usize::from(is_repeated(kind, layers) || kind == Kind::Reqwest2), "{case}");
    }
}

#[tokio::test]
async fn a_go_away_below_the_stream_lets_a_post_be_repeated_where_there_is_one_hop() {
    for (kind, layers) in all().filter(|(kind, _)| kind.is_http2()) {
        let server = Server::greeting(vec![Greet::GoAwayBelow], |_, _| Act::Respond(200)).await;
        let ended = in_time(post(kind, layers, Redirects::None, server.address(), "/pay", None)).await;
        let case = format!("{kind:?} {layers:?}: {ended:?}");
        assert_eq!(ended.attempts, if is_repeated(kind, layers) { 2 } else { 1 }, "{case}");
        // the one connection is gone
        let reached = (is_repeated(kind, layers) && !kind.is_one_connection()) || kind == Kind::Reqwest2;
        assert_eq!(server.posts("/pay"), usize::from(reached), "{case}");
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_before_a_request_lets_a_post_be_executed_once_at_most() {
    for (kind, layers) in all() {
        let server = Server::greeting(vec![Greet::Close], |_, _| Act::Respond(200)).await;
        let ended = in_time(post(kind, layers, Redirects::None, server.address(), "/pay", None)).await;
        assert!(server.posts("/pay") <= 1, "{kind:?} {layers:?}: {ended:?}");
        assert_eq!(server.posts("/pay") == 1, ended.result.is_ok(), "{kind:?} {layers:?}: {ended:?}");
    }
}

/// The server closes a kept connection between two requests.
#[tokio::test]
async fn a_kept_connection_that_the_server_has_closed_lets_a_post_be_executed_once() {
    macro_rules! stale {
        ($client:expr, $layers:expr, $request:expr) => {{
            let client = $client;
            for pause in [0, 20] {
                let server =
                    Server::start(|_, n| if n == 0 { Act::RespondAndClose(200) } else { Act::Respond(200) }).await;
                let make = $request;
                let first = through!(client.clone(), $layers, make(&server.url("/first")));
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let ended = in_time(async { through!(client.clone(), $layers, make(&server.url("/pay"))) }).await;
                assert_eq!(first.result.unwrap(), 200);
                assert!(server.posts("/pay") <= 1 && server.posts("/first") == 1, "{pause} {ended:?}");
                assert_eq!(server.posts("/pay") == 1, ended.result.is_ok(), "{pause} {ended:?}");
            }
        }};
    }
    for layers in LAYERS {
        for http2 in [false, true] {
            stale!(legacy(http2), layers, |url: &str| request(url, None));
            let client = reqwest(http2, Redirects::None);
            stale!(client.clone(), layers, |url: &str| client.post(url).body("5 EUR").build().unwrap());
        }
    }
}

/// The kernel gives up an established connection after the request was written to it.
#[tokio::test]
async fn a_route_that_is_lost_after_a_post_was_written_lets_it_be_executed_once() {
    let kinds = [
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::AddrNotAvailable,
        io::ErrorKind::TimedOut,
    ];
    for kind in kinds {
        for http2 in [false, true] {
            for layers in LAYERS {
                let server = Server::always(Act::Respond(200)).await;
                let address = server.address();
                // the preface and the settings of HTTP/2 are written before the request
                let after = if http2 { 71 } else { 1 };
                let client = lossy(address, kind, after, http2);
                let case = format!("{kind:?} {http2} {layers:?}");
                let ended = in_time(async { through!(client, layers, request(&server.url("/pay"), None)) }).await;
                assert_eq!(ended.attempts, 1, "{case}: {ended:?}");
                assert!(ended.result.is_err() && !claims_not_sent(&ended), "{case}: {ended:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
                assert_eq!(server.connections(), 1, "{case}: {ended:?}");
            }
        }
    }
}

type Io = TokioIo<Connected>;

/// A connection that hyper-util's pool can keep.
pub(crate) struct Connected(Lossy<tokio::net::TcpStream>);

impl tokio::io::AsyncRead for Connected {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for Connected {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        data: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl pool::connect::Connection for Connected {
    fn connected(&self) -> pool::connect::Connected {
        pool::connect::Connected::new()
    }
}

/// A client whose connections all go to `address` and are lost after `after` bytes.
fn lossy(
    address: std::net::SocketAddr,
    kind: io::ErrorKind,
    after: usize,
    http2: bool,
) -> pool::Client<
    impl tower::Service<http::Uri, Response = Io, Error = io::Error, Future: Send + Unpin> + Clone + Send + Sync + 'static,
    crate::clients::Body,
> {
    let connector = service_fn(move |_: http::Uri| {
        Box::pin(async move {
            let socket = tokio::net::TcpStream::connect(address).await?;
            Ok::<_, io::Error>(TokioIo::new(Connected(Lossy::new(socket, kind, after))))
        })
    });
    pool::Client::builder(TokioExecutor::new()).http2_only(http2).build(connector)
}

/// A request body that fails is no failure of the server, and ends the call.
#[tokio::test]
async fn a_request_body_that_fails_is_not_repeated_whatever_its_error() {
    let causes: [fn() -> steadfast::error::BoxError; 3] = [
        || io::Error::from(io::ErrorKind::ConnectionRefused).into(),
        || steadfast::error::Refused::new("other", "circuit open").with_retry_after(Duration::from_millis(1)).into(),
        || io::Error::other("file gone").into(),
    ];
    for cause in causes {
        for layers in LAYERS {
            for http2 in [false, true] {
                let server = Server::always(Act::Respond(200)).await;
                let client: pool::Client<
                    _,
                    http_body_util::combinators::BoxBody<bytes::Bytes, steadfast::error::BoxError>,
                > = pool::Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
                let chunks = [Ok(http_body::Frame::data(bytes::Bytes::from("5"))), Err(cause())];
                let body =
                    http_body_util::combinators::BoxBody::new(http_body_util::StreamBody::new(SlowStream::new(chunks)));
                let request = http::Request::post(server.url("/pay")).body(body).unwrap();
                let ended = in_time(async { through!(client, layers, request) }).await;
                assert_eq!(ended.attempts, 1, "{http2} {layers:?}: {ended:?}");
                assert!(!claims_not_sent(&ended), "{http2} {layers:?}: {ended:?}");
            }
        }
    }
}

/// A stream of chunks with a pause before each.
struct SlowStream<T>(std::vec::IntoIter<T>, std::pin::Pin<Box<tokio::time::Sleep>>);

impl<T> SlowStream<T> {
    fn new<const N: usize>(chunks: [T; N]) -> Self {
        let pause = tokio::time::sleep(Duration::from_millis(5));
        Self(chunks.into_iter().collect::<Vec<_>>().into_iter(), Box::pin(pause))
    }
}

impl<T: Unpin> tokio_stream::Stream for SlowStream<T> {
    type Item = T;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<T>> {
        std::task::ready!(self.1.as_mut().poll(cx));
        self.1.as_mut().reset(tokio::time::Instant::now() + Duration::from_millis(5));
        std::task::Poll::Ready(self.0.next())
    }
}

/// HTTP/2, under load: the server shuts down in order, and each POST is executed once.
#[tokio::test]
async fn a_graceful_shutdown_under_load_executes_each_post_once() {
    let server = Server::start(|_, n| if n % 7 == 6 { Act::RespondAndClose(200) } else { Act::Respond(200) }).await;
    let client = legacy(true);
    let calls = (0..200).map(|n| {
        let (client, url) = (client.clone(), server.url(&format!("/pay/{n}")));
        async move { (n, through!(client, Layers::OneHop, request(&url, None))) }
    });
    for (n, ended) in futures_all(calls).await {
        let posts = server.posts(&format!("/pay/{n}"));
        assert!(posts <= 1, "{n}: {posts} {ended:?}");
        assert!(posts == 1 || ended.result.is_err(), "{n}: {ended:?}");
    }
}

async fn futures_all<F: Future<Output: Send + 'static> + Send + 'static>(
    calls: impl Iterator<Item = F>,
) -> Vec<F::Output> {
    let tasks: Vec<_> = calls.map(tokio::spawn).collect();
    let mut out = Vec::new();
    for task in tasks {
        out.push(task.await.unwrap());
    }
    out
}

#[tokio::test]
async fn a_capture_of_the_owner_keeps_working_and_then_nothing_is_proven() {
    let server = Server::always(Act::Respond(200)).await;
    let mut kept = request(&server.url("/pay"), None);
    let connection = pool::connect::capture_connection(&mut kept);
    let response = retry(Layers::Bare).layer(legacy(false)).oneshot(kept).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(connection.connection_metadata().is_some());

    let mut refused = request(&format!("http://{}/pay", closed()), None);
    let _connection = pool::connect::capture_connection(&mut refused);
    let layer = retry(Layers::Bare);
    assert!(layer.layer(legacy(false)).oneshot(refused).await.is_err());
    assert_eq!(crate::clients::attempts(&layer), 1);
}
