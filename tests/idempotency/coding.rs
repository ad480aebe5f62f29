//! Answers that not every client could read, and answers that have no body.

use crate::support::{Runs, app, layer, request, send, serve};
use axum::{Router, body::Body, routing::post};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_stream::{StreamExt as _, iter};
use tower::ServiceExt as _;
use tower_http::compression::CompressionLayer;

const TEXT: &str =
    "an answer that is long enough to be worth compressing, an answer that is long enough to be worth it";

fn accepting(coding: Option<&str>) -> Request<Body> {
    let mut request = request("k", "");
    if let Some(coding) = coding {
        request.headers_mut().insert("accept-encoding", coding.parse().unwrap());
    }
    request
}

/// Whether the answer is compressed, and its body.
async fn ask(app: &Router, coding: Option<&str>) -> (bool, bool, Bytes) {
    let (head, body) = app.clone().oneshot(accepting(coding)).await.unwrap().into_parts();
    assert_eq!(head.status, StatusCode::OK);
    let gzip = head.headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
    (gzip, head.headers.contains_key("idempotent-replayed"), body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn an_answer_of_an_inner_compression_is_replayed_to_every_client() {
    let app = Router::new().route("/", post(|| async { TEXT })).layer(CompressionLayer::new()).layer(layer());
    ask(&app, Some("gzip")).await;
    for coding in [None, Some("identity"), Some("br")] {
        assert_eq!(ask(&app, coding).await, (false, true, TEXT.into()), "{coding:?}");
    }
}

#[tokio::test]
async fn an_outer_compression_compresses_replays_for_who_asks() {
    let app = Router::new().route("/", post(|| async { TEXT })).layer(layer()).layer(CompressionLayer::new());
    let (gzip, replayed, first) = ask(&app, Some("gzip")).await;
    assert!(gzip && !replayed && first.starts_with(b"\x1f\x8b"));
    assert_eq!(ask(&app, None).await, (false, true, TEXT.into()));
    assert_eq!(ask(&app, Some("gzip")).await, (true, true, first));
}

#[tokio::test]
async fn a_handler_is_asked_for_answers_that_everybody_can_read() {
    let (app, _) = app(layer(), |request| async move {
        let shown = |name: &str| request.headers().get(name).map_or("none", |value| value.to_str().unwrap()).to_owned();
        format!("{} {}", shown("accept-encoding"), shown("grpc-accept-encoding"))
    });
    let mut coded = accepting(Some("gzip, br"));
    coded.headers_mut().insert("grpc-accept-encoding", "gzip".parse().unwrap());
    assert_eq!(send(&app, coded).await.text(), "identity identity");
    assert_eq!(send(&app, request("other", "")).await.text(), "none none");
    let mut unkeyed = accepting(Some("gzip, br"));
    unkeyed.headers_mut().remove("idempotency-key");
    assert_eq!(send(&app, unkeyed).await.text(), "gzip, br none", "what is not recorded is the handler's affair");
}

#[tokio::test]
async fn a_switch_of_protocols_is_not_replayed() {
    let (app, runs) = app(layer(), |_| async { (StatusCode::SWITCHING_PROTOCOLS, [("upgrade", "x")]) });
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SWITCHING_PROTOCOLS);
    let again = send(&app, request("k", "")).await;
    assert_eq!((again.status, &*again.title()), (StatusCode::CONFLICT, "answer not retained"));
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn over_a_connection_the_first_request_switches_and_its_repeat_is_refused() {
    let (app, runs) = app(layer(), |request: Request<Body>| async move {
        tokio::spawn(async move {
            let mut io = hyper_util::rt::TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            io.write_all(b"switched").await.unwrap();
            io.shutdown().await.unwrap();
        });
        (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "echo")])
    });
    let address = serve(app).await;
    let request = "POST / HTTP/1.1\r\nhost: x\r\nidempotency-key: k\r\nconnection: upgrade\r\nupgrade: echo\r\ncontent-length: 0\r\n\r\n";
    for (starts, holds) in [("HTTP/1.1 101", "switched"), ("HTTP/1.1 409", "answer not retained")] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let all = async {
            while !String::from_utf8_lossy(&answer).contains(holds) {
                assert!(socket.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
        assert!(answer.starts_with(starts.as_bytes()), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(runs.get(), 1);
}

/// A server sends nothing after the head of such an answer, so the head is its end.
#[tokio::test(start_paused = true)]
async fn an_answer_that_has_no_body_is_recorded_with_its_head() {
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
        let n = Runs::default();
        let (app, runs) = app(layer(), move |_| {
            n.add();
            let never = iter(0..1).then(|_| async {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok::<_, io::Error>("x")
            });
            async move { (status, Body::from_stream(never)) }
        });
        let seen = app.clone().oneshot(request("k", "")).await.unwrap();
        assert_eq!(seen.status(), status);
        drop(seen);
        let again = send(&app, request("k", "")).await;
        assert_eq!((again.status, again.replayed(), again.text(), runs.get()), (status, true, "", 1));
    }
}

#[tokio::test]
async fn over_a_connection_an_answer_without_a_body_is_replayed_at_once() {
    let never = || async { (StatusCode::NO_CONTENT, Body::from_stream(tokio_stream::pending::<io::Result<Bytes>>())) };
    let address = serve(Router::new().route("/", post(never)).layer(layer())).await;
    let client = reqwest::Client::new();
    for replayed in [false, true] {
        let post = client.post(format!("http://{address}/")).header("idempotency-key", "k").send().await.unwrap();
        let headers: &HeaderMap = post.headers();
        assert_eq!((post.status(), headers.contains_key("idempotent-replayed")), (StatusCode::NO_CONTENT, replayed));
    }
}
