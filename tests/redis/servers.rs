//! What the other tests stand on: servers that die, a proxy that loses what it is told to lose.

use crate::{
    proxy::{Fault, Proxy},
    redis_server::RedisServer,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

#[test]
fn what_is_persistent_survives_a_kill_and_nothing_else_does() {
    for (mut server, survives) in [(RedisServer::persistent(), "1"), (RedisServer::start(), "")] {
        server.cli(&["SET", "a", "1"]);
        server.kill();
        server.restart();
        assert_eq!(server.cli(&["GET", "a"]), survives);
    }
}

/// Sends a command of one line on a connection, and reads what comes: nothing where it was cut.
async fn ask(conn: &mut TcpStream, command: &str) -> String {
    let mut answer = [0; 64];
    if conn.write_all(format!("{command}\r\n").as_bytes()).await.is_err() {
        return String::new();
    }
    let read = conn.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).trim_end().to_owned()
}

#[tokio::test]
async fn the_proxy_does_to_one_request_what_it_was_told() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let connect = || async { TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap() };

    let mut lost = proxy.nth(2, Fault::LoseReply);
    let mut conn = connect().await;
    assert_eq!(ask(&mut conn, "INCR n").await, ":1");
    assert!(!lost.has_happened());
    assert_eq!(ask(&mut conn, "INCR n").await, "", "it came, its answer did not");
    lost.happened().await;
    assert_eq!(ask(&mut connect().await, "INCR n").await, ":3");

    proxy.next_with(b"INCR n", Fault::Refuse);
    let mut conn = connect().await;
    assert_eq!(ask(&mut conn, "PING").await, "+PONG");
    assert_eq!(ask(&mut conn, "INCR n").await, "", "it never came");
    assert_eq!(server.cli(&["GET", "n"]), "3");
}

#[tokio::test]
async fn the_proxy_hangs_and_refuses_by_switch() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let mut conn = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    proxy.set(Fault::Hang);
    let mut asked = Box::pin(ask(&mut conn, "INCR n"));
    timeout(Duration::from_millis(100), &mut asked).await.expect_err("it hangs");
    assert_eq!(server.cli(&["GET", "n"]), "", "it was held back");
    proxy.set(Fault::Pass);
    assert_eq!(asked.await, ":1");
    proxy.set(Fault::Refuse);
    assert_eq!(ask(&mut conn, "INCR n").await, "");
    proxy.set(Fault::Pass);
    let mut conn = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    assert_eq!(ask(&mut conn, "INCR n").await, ":2");
}
