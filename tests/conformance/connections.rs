//! How a request arrives: its answers leave the connection usable, and it is the same request however it is framed.

use crate::{
    server::{Server, over_all},
    wire::{Connection, Request, charge, post, request},
};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::{net::TcpStream, time::sleep};

/// As long as a request may be, less a little.
const LARGE: usize = (1 << 20) - 100;

/// One of each kind that does not reach the handler, all with the same body.
async fn refused_or_replayed(server: &Server, body: &[u8]) -> Vec<(Request, u16)> {
    let slow = |key: &str| post("/slow?ms=1").key(key).body(body);
    assert_eq!(server.send(&slow("done")).await.status, 200);
    let running = post("/slow?ms=20000").key("running").body(body);
    let mut connection = server.connect().await;
    connection.write(&running.bytes()).await;
    while server.count().await < 2 {
        sleep(Duration::from_millis(5)).await;
    }
    vec![
        (slow("done"), 200),
        (slow("\"malformed"), 400),
        (post("/slow?ms=1").body(body), 400),
        (post("/slow?ms=2").key("done").body(body), 422),
        (running, 409),
    ]
}

#[tokio::test]
async fn a_connection_is_usable_after_every_answer_with_a_large_body() {
    over_all(&[], |server| async move {
        let requests = refused_or_replayed(&server, &vec![b'x'; LARGE]).await;
        let mut connection = server.connect().await;
        for (request, status) in &requests {
            // in two writes: the second one after the head may have been answered
            let bytes = request.bytes();
            let head = bytes.len() - LARGE;
            connection.write(&bytes[..head]).await;
            sleep(Duration::from_millis(20)).await;
            connection.write(&bytes[head..]).await;
            assert_eq!(connection.answer().await.status, *status);
            assert_eq!(connection.exchange(&request_count()).await.json()["count"], 2, "after {status}");
        }
        // over the limit, and all of it sent
        let large = post("/slow?ms=1").key("large").body(vec![b'x'; LARGE + 1000]);
        let answer = connection.exchange(&large).await;
        answer.is_refused(413, "request too large");
        assert_eq!(connection.exchange(&request_count()).await.json()["count"], 2);
        let shorter = connection.exchange(&large.body("x")).await;
        assert_eq!((shorter.status, shorter.replayed()), (200, false), "its key is free");
    })
    .await;
}

fn request_count() -> Request {
    request("GET", "/count")
}

#[tokio::test]
async fn who_asks_whether_to_go_on_is_told_so_and_then_answered() {
    over_all(&[], |server| async move {
        let requests = refused_or_replayed(&server, &[b'x'; 5000]).await;
        let new = charge("new", 5);
        let mut connection = server.connect().await;
        for (request, status) in requests.iter().chain([&(new, 201)]) {
            connection.write(&request.expecting()).await;
            assert_eq!(connection.answer().await.status, 100);
            connection.write(request.payload()).await;
            assert_eq!(connection.answer().await.status, *status);
        }
        assert_eq!(server.count().await, 3);
    })
    .await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    over_all(&[], |server| async move {
        let row = [charge("a", 5), charge("a", 5), charge("b", 5), charge("a", 6), charge("b", 5), post("/charge")];
        let mut connection = server.connect().await;
        connection.write(&row.iter().flat_map(Request::bytes).collect::<Vec<_>>()).await;
        let mut seen = Vec::new();
        for _ in &row {
            let answer = connection.answer().await;
            seen.push((answer.status, answer.replayed()));
        }
        assert_eq!(seen, [(201, false), (201, true), (201, false), (422, false), (201, true), (400, false)]);
        assert_eq!(server.count().await, 2);
    })
    .await;
}

#[tokio::test]
async fn it_is_the_same_request_however_it_is_framed() {
    over_all(&[], |server| async move {
        let mut connection = server.connect().await;
        let framed = |key: &str| charge(key, 1_234_567);
        for (n, bytes) in [framed("0").bytes(), framed("1").chunked(1, ""), framed("2").chunked(3, "x-sum: 1\r\n")]
            .into_iter()
            .enumerate()
        {
            connection.write(&bytes).await;
            let first = connection.answer().await;
            assert_eq!((first.status, first.replayed()), (201, false));
            let again = framed(&n.to_string());
            let absolute = again.clone().target("http://test/charge");
            for bytes in [again.bytes(), again.chunked(2, ""), again.chunked(100, "x-sum: 2\r\n"), absolute.bytes()] {
                connection.write(&bytes).await;
                let answer = connection.answer().await;
                assert_eq!((answer.replayed(), &answer.body), (true, &first.body));
            }
        }
        assert_eq!(server.count().await, 3);
    })
    .await;
}

#[tokio::test]
async fn http_1_0_is_answered_and_its_connection_ends() {
    over_all(&[], |server| async move {
        for replayed in [false, true] {
            let mut connection = server.connect().await;
            let answer = connection.exchange(&charge("k", 5).http_1_0()).await;
            assert_eq!((answer.status, answer.replayed()), (201, replayed));
            assert!(connection.is_closed().await);
        }
        for (bytes, again) in [(5000, 200), (3 << 20, 409)] {
            let big = post(&format!("/big?bytes={bytes}")).key(&bytes.to_string()).http_1_0();
            let first = server.send(&big).await;
            assert_eq!((first.status, first.body.len(), first.header("transfer-encoding")), (200, bytes, None));
            assert_eq!(server.send(&big).await.status, again);
        }
        assert_eq!(server.count().await, 3);
    })
    .await;
}

#[tokio::test]
async fn http_2_is_answered_from_the_same_records() {
    over_all(&[], |server| async move {
        let first = server.send(&charge("k", 5)).await;
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut client, driver) =
            hyper::client::conn::http2::handshake::<_, _, Full<&'static [u8]>>(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(driver);
        for (key, amount, status, replayed) in [
            ("k", "{\"amount\":5}", 201, true),
            ("k", "{\"amount\":6}", 422, false),
            ("\"", "{\"amount\":5}", 400, false),
            ("other", "{\"amount\":5}", 201, false),
            ("other", "{\"amount\":5}", 201, true),
        ] {
            let request = http::Request::post(format!("http://{}/charge", server.address()));
            let request = request.header("authorization", "Bearer alice").header("idempotency-key", key);
            let answer = client.send_request(request.body(Full::new(amount.as_bytes())).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers().contains_key("idempotent-replayed"), replayed);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(key != "k" || status != 201 || body == first.body);
        }
        assert_eq!(server.count().await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off_and_does_nothing() {
    over_all(&[], |server| async move {
        let mut connection = Connection::open(server.address()).await;
        // far more than is read off
        let endless = post("/slow?ms=1").key("k").body(vec![b'x'; 16 << 20]).bytes();
        let sending = tokio::time::timeout(Duration::from_secs(10), connection.write_if_read(&endless)).await;
        assert!(sending.is_ok(), "the server neither reads nor ends it");
        assert_eq!(server.count().await, 0);
        assert_eq!(server.send(&post("/slow?ms=1").key("k")).await.status, 200, "its key is free");
    })
    .await;
}
