//! Counted by the server.

use crate::{
    redis_server::RedisServer,
    support::{App, store},
};
use std::collections::BTreeMap;

/// What the server was asked to do by its clients, and how often: not what scripts called, nor how a connection begins.
fn asked(server: &RedisServer) -> BTreeMap<&'static str, u64> {
    let commands = ["evalsha", "eval", "script|load", "get", "getrange", "set", "del", "wait", "ping", "exec"];
    commands.into_iter().map(|command| (command, server.calls(command))).filter(|(_, calls)| *calls > 0).collect()
}

#[tokio::test]
async fn a_miss_is_two_commands_and_a_hit_is_one() {
    let server = RedisServer::start();
    let app = App::over(store(&server).await);
    app.post("loads-the-scripts").await;
    server.cli(&["CONFIG", "RESETSTAT"]);

    for n in 0..10 {
        assert_eq!(app.post(&n.to_string()).await.text, format!("run {}", n + 2));
    }
    // a script that claims reads and writes once each, so does one that completes
    assert_eq!(asked(&server), BTreeMap::from([("evalsha", 20), ("getrange", 20), ("set", 20)]));

    server.cli(&["CONFIG", "RESETSTAT"]);
    for n in 0..10 {
        assert!(app.post(&n.to_string()).await.replayed());
    }
    // head and answer
    assert_eq!(asked(&server), BTreeMap::from([("evalsha", 10), ("getrange", 20)]));
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_them_again_in_one_more() {
    let server = RedisServer::start();
    let app = App::over(store(&server).await);
    app.post("a").await;
    server.cli(&["SCRIPT", "FLUSH"]);
    server.cli(&["CONFIG", "RESETSTAT"]);
    assert!(app.post("a").await.replayed());
    assert_eq!((server.calls("evalsha"), server.calls("eval")), (1, 1));
    assert_eq!(app.post("b").await.text, "run 2");
    assert_eq!((server.calls("evalsha"), server.calls("eval")), (3, 2), "one more for the script that completes");
    app.post("c").await;
    assert_eq!((server.calls("evalsha"), server.calls("eval")), (5, 2));
}
